#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# embed.sh - the library as an embedder gets it: installed, linked shared and
# static by pkg-config, two guests in one process.
set -u
. tests/lib.sh
trap 'rm -rf "$tmp"' EXIT

make -s --no-print-directory install DESTDIR="$tmp/i" PREFIX=/usr >/dev/null 2>"$tmp/err"
check "make install DESTDIR=" 0 $?
PKG_CONFIG_PATH=$tmp/i/usr/lib/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$tmp/i
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
# shellcheck disable=SC2046
gcc -Wall -Wextra -Werror examples/embed.c $(pkg-config --cflags --libs mote) \
	-o "$tmp/shared" 2>"$tmp/err"
check "the example links with the shared library" 0 $?
# shellcheck disable=SC2046
gcc -Wall -Wextra -Werror examples/embed.c $(pkg-config --cflags mote) \
	"$tmp/i/usr/lib/libmote.a" -linih -lcap-ng -ljson-c -pthread \
	-o "$tmp/static" 2>"$tmp/err"
check "and with the static one" 0 $?
other=$(nm -g --defined-only "$tmp/i/usr/lib/libmote.a" | awk 'NF == 3 {print $3}' | grep -v '^mote_' | head -n 3)
check "which shows nothing but mote_" "" "$other"
if ! kvm_usable; then
	echo "skip embedded guests: no usable /dev/kvm"
	exit "$failed"
fi
for kind in shared static; do
	LD_LIBRARY_PATH=$tmp/i/usr/lib "$tmp/$kind" "$MOTE_GUESTS/hello.elf" >"$tmp/out" 2>&1
	check "two guests in one process ($kind)" 0 $?
	has "the first speaks ($kind)" "arguments: guest=1 exit=1" "$tmp/out"
	has "the second speaks ($kind)" "arguments: guest=2 exit=2" "$tmp/out"
done
exit "$failed"
