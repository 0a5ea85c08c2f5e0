#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build-kernel.sh ARCH FRAGMENT NAME - build a small kernel, print its folder
#
# For what Debian's own kernels do not offer: another page size, iommufd.  The
# source is Debian's (package linux-source, unpacked, never installed), the
# configuration "no" to everything but lab/kernel/basic.config and FRAGMENT.
# An option of theirs that the kernel does not take is an error, not ignored.
# ARCH is x86_64, arm64 or ppc64le.
#
# The folder is laid out as an unpacked kernel package: boot/vmlinuz-VERSION
# and lib/modules/VERSION.  It lies in the cache under a checksum of all that
# went into it, and appears complete or not at all; two builds of one kernel
# take turns.  It takes minutes; whoever calls it first pays.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=lab/common.sh
. "$top/lab/common.sh"

version=6.12
suite=bookworm-backports

usage()
{
	echo "usage: build-kernel.sh x86_64|arm64|ppc64le FRAGMENT NAME" >&2
	exit 2
}

if [ $# -ne 3 ] || [ ! -f "$2" ]; then
	usage
fi
fragment=$2
name=kernel-$3
case $1 in
x86_64) cross='' karch=x86 image=bzImage ;;
arm64) cross=aarch64-linux-gnu- karch=arm64 image=Image ;;
ppc64le) cross=powerpc64le-linux-gnu- karch=powerpc image=vmlinux ;;
*) usage ;;
esac

source=$(fetch "linux-source-$version" -s "$suite" amd64 \
	"linux-source-$version")
sum=$(cat "$0" "$source/.packages" "$top/lab/kernel/basic.config" \
	"$fragment" | sha256sum | cut -c 1-16)
dir=$(lab_cache)/$name-$sum
[ ! -d "$dir" ] || {
	echo "$dir"
	exit 0
}

"$top/tests/deps.sh" make gcc flex bison bc libelf-dev libssl-dev xz-utils \
	kmod >&2
need make flex bison bc xz depmod flock "${cross}gcc"
exec 8>"$dir.lock"
flock 8
[ ! -d "$dir" ] || {
	echo "$dir"
	exit 0
}
find "$(lab_cache)" -maxdepth 1 -name 'kernel-*.tmp-*' -mmin +120 \
	-exec rm -rf {} +
tmp=$(mktemp -d "$dir.tmp-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$tmp"
mkdir -p "$tmp/src" "$tmp/out" "$tmp/root/boot"
log=$dir.log
began=$(date +%s)
note "building the kernel $3 for $1: minutes; see $log"

# Neither the flags of an outer make nor who builds, where and when.
kernel_make()
{
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CROSS_COMPILE -u V \
		KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab \
		KBUILD_BUILD_TIMESTAMP='1970-01-01' \
		nice -n 19 make -C "$tmp/src" O="$tmp/out" "ARCH=$karch" \
		"CROSS_COMPILE=$cross" -j "$(nproc)" "$@" >>"$log" 2>&1 || {
		tail -n 30 "$log" >&2
		note "the kernel $3 failed to build: see $log"
		return 1
	}
}

# Every line of the fragments is in the configuration as it stands there; what
# is to be off may also be absent.
check_config()
{
	while read -r line; do
		case $line in
		CONFIG_*) grep -qxF "$line" "$tmp/out/.config" && continue ;;
		'# CONFIG_'*' is not set')
			line=${line#\# }
			grep -q "^${line%% *}=" "$tmp/out/.config" || continue
			line="${line%% *} off"
			;;
		*) continue ;;
		esac
		note "the kernel $3 does not take $line"
		echo "$line" >>"$tmp/refused"
	done <"$tmp/fragment"
	[ ! -e "$tmp/refused" ]
}

: >"$log"
tar -xJf "$source/usr/src/linux-source-$version.tar.xz" -C "$tmp/src" \
	--strip-components=1
cat "$top/lab/kernel/basic.config" "$fragment" >"$tmp/fragment"
kernel_make KCONFIG_ALLCONFIG="$tmp/fragment" allnoconfig
check_config "$@"
kernel_make "$image" modules
kernel_make INSTALL_MOD_PATH="$tmp/root" INSTALL_MOD_STRIP=1 modules_install

release=$(cat "$tmp/out/include/config/kernel.release")
case $image in
vmlinux) "${cross}strip" -o "$tmp/root/boot/vmlinuz-$release" "$tmp/out/vmlinux" ;;
*) cp "$tmp/out/arch/$karch/boot/$image" "$tmp/root/boot/vmlinuz-$release" ;;
esac
cp "$tmp/out/.config" "$tmp/root/boot/config-$release"
rm -f "$tmp/root/lib/modules/$release/build" \
	"$tmp/root/lib/modules/$release/source"
mv -T "$tmp/root" "$dir"
rm -f "$log"
note "built the kernel $3 in $(($(date +%s) - began)) s"
echo "$dir"
