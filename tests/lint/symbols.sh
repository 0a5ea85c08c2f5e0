#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# symbols.sh - the shared library exports mote_* and nothing else, all of
# mote.h; the library never ends the process.
set -u

so=build/libmote.so.0
[ -f "$so" ] || {
	echo "skip exported symbols: $so is not built"
	exit 0
}
other=$(nm -D --defined-only "$so" | awk '$2 != "A" {print $3}' |
	grep -v '^mote_' | sed 's/@.*//' | grep -v '^mote_' | tr '\n' ' ')
[ -z "$other" ] && echo "ok only mote_ is exported" ||
	echo "FAIL only mote_ is exported: $other"

missing=
for f in $(grep -o '\bmote_[a-z_]*(' vmm/mote.h | tr -d '(' | sort -u); do
	nm -D --defined-only "$so" | grep -q " T $f@" || missing="$missing $f"
done
[ -z "$missing" ] && echo "ok all of mote.h is exported" ||
	echo "FAIL all of mote.h is exported: not$missing"

# The library reports; only the front ends print and exit.
enders=$(grep -nE '\b(exit|_exit|abort|quick_exit|err|errx|perror|printf)\(' \
	$(git ls-files --cached --others --exclude-standard 'vmm/*.c' \
		'config/*.c' | grep -v /gen_) |
	grep -vE ':\s*\*|/\*|[a-z_>.](exit|err)\(' | head -n 3)
[ -z "$enders" ] && echo "ok the library never ends or prints" ||
	echo "FAIL the library never ends or prints: $enders"
