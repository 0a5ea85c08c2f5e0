#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# long.sh BUILD TSAN_BUILD [FILTER] - the stress tests at full length, one
# after the other, then writers of snapshots that crash and snapshots that are
# damaged, by the command line, then the tests of references under
# ThreadSanitizer.  FILTER: these stress tests only, or "crash" (both by the
# command line).  The last line is "N passed, N failed, N skipped".
set -u

build=$1 tsan=$2 only=${3:-'stress_*/*'}
MOTE_BIN=$PWD/$build/mote
MOTE_GUESTS=$PWD/$build/guests
MOTE_LONG=1
export MOTE_BIN MOTE_GUESTS MOTE_LONG
log=$(mktemp -d) || exit 1
swap=
trap '[ -z "$swap" ] || swapoff "$swap"; rm -rf "$log"' EXIT
passed=0 failed=0 skipped=0

# count WORD: the number behind it in Criterion's summary
count()
{
	sed 's/\x1b\[[0-9;]*m//g' "$log/out" |
		sed -n "s/.*Synthesis:.*$1: \([0-9]*\).*/\1/p" | tail -n 1
}

# Tests under memory pressure want swap; ours goes with this script.
if [ "$(wc -l </proc/swaps)" -le 1 ] && [ "$(id -u)" = 0 ] &&
	head -c 64M /dev/zero >"$log/swap" && chmod 600 "$log/swap" &&
	mkswap "$log/swap" >/dev/null 2>&1 && swapon "$log/swap" 2>/dev/null; then
	swap=$log/swap
fi

if [ "$only" != crash ]; then
	"$build/unit-tests" --jobs 1 --verbose=1 --filter "$only" >"$log/all" 2>&1
	status=$?
	# What the filter leaves out counts as skipped there, not here.
	grep -av ': Test is disabled' "$log/all" >"$log/out"
	grep -aE '^\[(SKIP|FAIL|CRASH|TIMEOUT)|^\[----\].*:[0-9]+:|^[a-z-]+: [0-9]+ ' "$log/out"
	if [ "$(count Tested)" -gt 0 ] 2>/dev/null; then
		passed=$(count Passing)
		failed=$(($(count Failing)))
		skipped=$(grep -a -c '^\[SKIP\]' "$log/out")
	fi
	[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
fi

# A script that prints "ok NAME", "FAIL NAME" or "skip NAME: reason".
script()
{
	tests/cli/"$1".sh >"$log/out" 2>&1 || grep -q '^FAIL ' "$log/out" ||
		failed=$((failed + 1))
	sed "s/^ok /$1: /" "$log/out"
	passed=$((passed + $(grep -c '^ok ' "$log/out")))
	failed=$((failed + $(grep -c '^FAIL ' "$log/out")))
	skipped=$((skipped + $(grep -c '^skip ' "$log/out")))
}

case $only in
crash | 'stress_*/*')
	script crash
	script damage
	;;
esac

if [ -z "${3:-}" ]; then
	TSAN_OPTIONS=log_path=$log/report:second_deadlock_stack=1
	export TSAN_OPTIONS
	"$tsan/run-unit-tests" --filter 'stress_ref/*' >"$log/out" 2>&1
	grep -aE '^(FAIL|SKIP)|^[a-z-]+: [0-9]+ ' "$log/out" |
		sed 's/^/ThreadSanitizer: /'
	# "N passed, N failed, N skipped"
	line=$(grep -aE '^[0-9]+ passed' "$log/out" | tail -n 1)
	# shellcheck disable=SC2086 # words
	set -- ${line:-0 passed, 1 failed, 0 skipped}
	passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
	for r in "$log"/report*; do
		[ -f "$r" ] || continue
		head -n 40 "$r"
		failed=$((failed + 1))
	done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
