#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build-module.sh ROOT DIR - build the kernel module whose sources lie in DIR
#
# For the kernel that is unpacked in ROOT: one of Debian's, by its headers
# (unpacked, never installed), or one of build-kernel.sh, whose source is
# prepared with the configuration it had.  Prints the built module.  It lies
# in the cache under a checksum of all that went into it, and appears complete
# or not at all.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=lab/common.sh
. "$top/lab/common.sh"

if [ $# -ne 2 ] || [ ! -f "$2/Kbuild" ]; then
	echo "usage: build-module.sh ROOT DIR" >&2
	exit 2
fi
root=$1
release=$(basename "$(ls -d "$root"/lib/modules/*)")
name=$(sed -n 's/^obj-m *:= *\(.*\)\.o$/\1/p' "$2/Kbuild")
sum=$(cat "$0" "$2"/* "$root/boot/config-$release" | sha256sum | cut -c 1-16)
ko=$(lab_cache)/$name-$release-$sum.ko
[ ! -s "$ko" ] || {
	echo "$ko"
	exit 0
}
need make gcc
tmp=$(mktemp -d "$ko.tmp-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
note "building the module $name for $release"

kernel_make()
{
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CROSS_COMPILE -u ARCH -u V \
		make CC=gcc -j "$(nproc)" "$@" >>"$tmp/log" 2>&1 || {
		tail -n 30 "$tmp/log" >&2
		return 1
	}
}

# The packages' files name each other as they lie when installed.
debian_headers()
{
	base=${release%-*}
	headers=$(fetch headers-amd64 amd64 "linux-headers-$release" \
		"linux-headers-$base-common" "linux-kbuild-${base%.*}")
	cp -r "$headers/usr" "$tmp/usr"
	tree=$tmp/usr/src/linux-headers-$release
	sed -i "s|/usr/src|$tmp/usr/src|" "$tree/Makefile"
}

own_source()
{
	version=${release%.*}
	source=$(fetch "linux-source-$version" -s bookworm-backports amd64 \
		"linux-source-$version")
	tree=$tmp/src
	mkdir "$tree"
	tar -xJf "$source/usr/src/linux-source-$version.tar.xz" -C "$tree" \
		--strip-components=1
	cp "$root/boot/config-$release" "$tree/.config"
	kernel_make -C "$tree" olddefconfig
	kernel_make -C "$tree" modules_prepare
}

case $release in
*-amd64) debian_headers ;;
*) own_source ;;
esac
cp -r "$2" "$tmp/module"
# Of a kernel of our own there is no list of symbols: it is loaded to see.
[ -s "$tree/Module.symvers" ] || set -- "$@" KBUILD_MODPOST_WARN=1
shift 2
kernel_make -C "$tree" M="$tmp/module" "$@" modules
mv -T "$tmp/module/$name.ko" "$ko"
echo "$ko"
