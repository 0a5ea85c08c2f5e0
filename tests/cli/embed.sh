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
check "solo5-hvt is a link to mote" mote "$(readlink "$tmp/i/usr/bin/solo5-hvt")"
page=$tmp/i/usr/share/man/man3/libmote.3
sed -n '/^\.EX$/,/^\.EE$/{/^\.E[XE]$/d;s/\\e/\\/g;p}' "$page" >"$tmp/page.c"
# shellcheck disable=SC2046
gcc -Wall -Wextra -Werror "$tmp/page.c" $(pkg-config --cflags --libs mote) \
	-o "$tmp/page" 2>"$tmp/err"
check "the manual's example compiles" 0 $?
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
LD_LIBRARY_PATH=$tmp/i/usr/lib "$tmp/page" "$MOTE_GUESTS/hello.elf" >"$tmp/out" 2>&1
check "the manual's example runs a guest" 0 $?
has "which speaks" "hello from a mote guest" "$tmp/out"
LD_LIBRARY_PATH=$tmp/i/usr/lib "$tmp/page" "$tmp/none" >"$tmp/out" 2>&1
check "and says what is wrong" 65 $?
if [ -f "$MOTE_GUESTS/hvt-probe.elf" ]; then
	"$tmp/i/usr/bin/solo5-hvt" --mem=2 "$MOTE_GUESTS/hvt-probe.elf" exit=9 >"$tmp/out" 2>&1
	check "the installed solo5-hvt runs a guest" 9 $?
fi
exit "$failed"
