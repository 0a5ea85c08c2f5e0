#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sysroot.sh ARCH - prints a folder with the libraries that mote links
# statically, for arm64 or ppc64le: DIR/usr/include and DIR/usr/lib/TRIPLET
#
# The C library itself comes with the cross compiler.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=lab/common.sh
. "$top/lab/common.sh"

case ${1:-} in
arm64) deb=arm64 triplet=aarch64-linux-gnu ;;
ppc64le) deb=ppc64el triplet=powerpc64le-linux-gnu ;;
*)
	echo "usage: sysroot.sh arm64|ppc64le" >&2
	exit 2
	;;
esac

root=$(fetch "sysroot-$1" "$deb" libcap-ng-dev libseccomp-dev libinih-dev \
	libfdt-dev libjson-c-dev libxxhash-dev)

# Static libraries only, so that no link can pick a shared one by accident.
if [ ! -d "$root/static" ]; then
	tmp=$(mktemp -d "$root/static.tmp-XXXXXX")
	mkdir -p "$tmp/usr/lib/$triplet"
	cp -R "$root/usr/include" "$tmp/usr/include"
	if [ -d "$tmp/usr/include/$triplet" ]; then
		cp -R "$tmp/usr/include/$triplet/." "$tmp/usr/include/"
	fi
	find "$root/usr" -name 'lib*.a' -type f |
		while read -r lib; do cp "$lib" "$tmp/usr/lib/$triplet/"; done
	chmod 755 "$tmp"
	mv -T "$tmp" "$root/static" 2>/dev/null || [ -d "$root/static" ]
fi
echo "$root/static"
