#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# binary.sh - the stripped static mote is at most 1 MiB; what the programs, the
# library and its objects are hardened with is in their files.
bin=${MOTE_BIN:-build/mote}
build=$(dirname "$bin")
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
arch=$(uname -m)

# check WHAT COMMAND...: ok if it succeeds
check()
{
	what=$1
	shift
	if "$@"; then
		echo "ok $what"
	else
		echo "FAIL $what"
	fi
}

strip -o "$tmp/mote" "$bin" || exit 1
size=$(stat -c %s "$tmp/mote")
if [ "$size" -le 1048576 ]; then
	echo "ok the stripped mote is at most 1 MiB"
else
	echo "FAIL the stripped mote is at most 1 MiB: $size bytes"
fi

has()
{
	grep -qE "$2" "$tmp/$1"
}

hasnt()
{
	! has "$@"
}

# The last byte of what is read-only after start is the last of a page, so
# that all of it is; and it holds what calls go by.
relro_whole()
{
	# shellcheck disable=SC2046 # address and size
	set -- $(awk '$1 == "GNU_RELRO" { print $3, $6 }' "$tmp/segments")
	[ $# -eq 2 ] && [ $((($1 + $2) % 4096)) -eq 0 ] &&
		awk -v first="$1" -v size="$2" '
		function num(h,  i, n) {
			n = 0; h = tolower(h); sub(/^0x/, "", h)
			for (i = 1; i <= length(h); i++)
				n = n * 16 + index("0123456789abcdef", \
					substr(h, i, 1)) - 1
			return n
		}
		{ sub(/\[ */, "["); sub(/\]/, "") }
		$2 == ".got" { ok = num($4) >= num(first) &&
			num($4) + num($6) <= num(first) + num(size) }
		END { exit !ok }' "$tmp/sections"
}

for f in "$bin" "$build/mote-oci" "$build/libmote.so.0"; do
	name=$(basename "$f")
	readelf -lW "$f" >"$tmp/segments"
	readelf -SW "$f" >"$tmp/sections"
	readelf -dW "$f" >"$tmp/dynamic"
	readelf -hW "$f" >"$tmp/header"
	nm -a "$f" >"$tmp/symbols"
	check "$name: the stack can't be executed" \
		has segments '^ *GNU_STACK.* RW +0x'
	check "$name: nothing is writable and executable" \
		hasnt segments '^ *[A-Z_]+ .* (RWE|WE) '
	check "$name: relocated data is read-only after start" relro_whole
	check "$name: no path of this machine to look for libraries" \
		hasnt dynamic 'RPATH|RUNPATH'
	check "$name: text has no relocations" hasnt dynamic 'TEXTREL'
	check "$name: functions with arrays check their stack" \
		has symbols '__stack_chk_fail'
	check "$name: copies of a known size are checked" \
		has symbols '__(memcpy|snprintf|vsnprintf|read|poll)_chk'
	case $name-$arch in
	libmote.so.0-* | *-x86_64)
		check "$name: its addresses are not fixed" \
			has header 'Type: +DYN'
		;;
	esac
	case $name in
	*.so.0)
		check "$name: all symbols are bound at start" \
			has dynamic 'BIND_NOW|FLAGS_1.*NOW'
		;;
	*)
		check "$name: static" hasnt segments '^ *INTERP '
		;;
	esac
done

# What the library is compiled with: each of its objects says so.
unmarked=
for o in $(find "$build/obj/vmm" "$build/obj/config" -name '*.o'); do
	case $arch in
	x86_64) want='IBT, SHSTK' ;;
	*) want='BTI, PAC' ;;
	esac
	src=${o#"$build/obj/"}
	[ -f "${src%.o}.c" ] || [ -f "${src%.o}.S" ] || continue # left over
	readelf -nW "$o" 2>/dev/null | grep -q "$want" || unmarked="$unmarked $o"
done
case $arch in
x86_64 | aarch64)
	if [ -z "$unmarked" ]; then
		echo "ok every object marks where it may be entered"
	else
		echo "FAIL every object marks where it may be entered:$unmarked"
	fi
	;;
esac

# A local that nobody sets is zero: by the flags that objects are made with.
flags=$(make -s --no-print-directory print-harden)
for want in -ftrivial-auto-var-init=zero -fstack-protector-strong \
	-D_FORTIFY_SOURCE=2; do
	case " $flags " in
	*" $want "*) echo "ok compiled with $want" ;;
	*) echo "FAIL compiled with $want" ;;
	esac
done
# ... which this compiler obeys.
cat >"$tmp/local.c" <<'END'
int take(char *p);
int f(void);
int f(void) { char local[64]; return take(local); }
END
# shellcheck disable=SC2086 # a list of flags
if ${CC:-gcc} -O2 $flags -fno-stack-protector -S -o "$tmp/with.s" "$tmp/local.c" &&
	${CC:-gcc} -O2 $flags -fno-stack-protector \
		-ftrivial-auto-var-init=uninitialized -S -o "$tmp/without.s" \
		"$tmp/local.c" &&
	! cmp -s "$tmp/with.s" "$tmp/without.s"; then
	echo "ok locals are made zero"
else
	echo "FAIL locals are made zero"
fi
