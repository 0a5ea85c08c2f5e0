#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# man.sh - the manual says what the program does: commands, options, codes.
set -u
page=docs/man/mote.1
mote=build/mote
[ -x "$mote" ] || {
	echo "skip manual against --help: $mote is not built"
	exit 0
}

missing=
for c in $($mote --help | sed -n 's/^  mote \([a-z]*\) .*/\1/p' | sort -u); do
	grep -q "^\.B mote $c\|^\.BR* .*$c" $page || missing="$missing $c"
done
[ -z "$missing" ] && echo "ok the manual names every command" ||
	echo "FAIL the manual names every command: not$missing"

missing=
for o in $($mote run --help | sed -n 's/^  \(--.*\)/\1/p' | grep -o -- '--[a-z-]*' | sort -u); do
	grep -q -- "$(echo "$o" | sed 's/-/\\\\-/g')" $page || missing="$missing $o"
done
[ -z "$missing" ] && echo "ok the manual names every option of run" ||
	echo "FAIL the manual names every option of run: not$missing"

# The exit codes of the manual are those of the error classes.
want=$(sed -n 's/^\tERR_CLASS_[A-Z]* = \([1-9][0-9]*\),/\1/p' vmm/base/err.h | tr '\n' ' ')
got=$(sed -n 's/^\.B \([0-9][0-9]*\)$/\1/p' $page | tr '\n' ' ')
[ "$want" = "$got" ] && echo "ok the manual's exit codes are the program's" ||
	echo "FAIL the manual's exit codes are the program's: $got, not $want"

# libmote(3) names every function that is exported.
missing=
functions=$(sed -n '/^MOTE_API/{s/.*\(mote_[a-z_]*\)(.*/\1/p}' vmm/mote.h | sort -u)
for f in $functions; do
	grep -q "^\.BR $f ()" docs/man/libmote.3 || missing="$missing $f"
done
if [ -n "$functions" ] && [ -z "$missing" ]; then
	echo "ok the manual names every function of mote.h"
else
	echo "FAIL the manual names every function of mote.h: not$missing"
fi
for f in $(sed -n 's/^\.BR \(mote_[a-z_]*\) ().*/\1/p' docs/man/libmote.3 | sort -u); do
	echo "$functions" | grep -qx "$f" || echo "FAIL the manual names no other: $f"
done

for p in build/man/mote.ini.5 docs/man/*.[1-8]; do
	if ! command -v man >/dev/null; then
		echo "skip manual pages are well formed: no man(1)"
		break
	fi
	[ -f "$p" ] || continue
	w=$(man --warnings -E UTF-8 -l "$p" 2>&1 >/dev/null | head -n 2)
	[ -z "$w" ] && echo "ok $p is well formed" || echo "FAIL $p is well formed: $w"
done
