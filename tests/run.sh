#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD - run the tests of this host and sum them up.  The last line
# is "N passed, N failed, N skipped".
set -u

build=$1
MOTE_BIN=$PWD/$build/mote
MOTE_OCI=$PWD/$build/mote-oci
MOTE_GUESTS=$PWD/$build/guests
export MOTE_BIN MOTE_OCI MOTE_GUESTS
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# One program of Criterion tests; its own summary is the count.
criterion()
{
	"$@" --jobs 2 --verbose=1 >"$log" 2>&1
	status=$?
	grep -aE '^\[(SKIP|FAIL|CRASH|TIMEOUT)|^\[----\].*:[0-9]+:|Warning' "$log"
	line=$(grep -a 'Synthesis:' "$log" | tail -n 1 |
		sed 's/\x1b\[[0-9;]*m//g')
	t=$(echo "$line" | sed -n 's/.*Tested: \([0-9]*\).*/\1/p')
	p=$(echo "$line" | sed -n 's/.*Passing: \([0-9]*\).*/\1/p')
	f=$(echo "$line" | sed -n 's/.*Failing: \([0-9]*\).*/\1/p')
	c=$(echo "$line" | sed -n 's/.*Crashing: \([0-9]*\).*/\1/p')
	if [ -z "$t" ] || [ "$t" -eq 0 ]; then
		echo "$1: no summary (status $status)"
		tail -n 20 "$log"
		failed=$((failed + 1))
		return
	fi
	s=$(grep -a -c '^\[SKIP\]' "$log")
	echo "$1: $p passed, $((f + c)) failed, $s skipped"
	passed=$((passed + p))
	failed=$((failed + f + c))
	skipped=$((skipped + s))
	if [ "$status" -ne 0 ] && [ $((f + c)) -eq 0 ]; then
		echo "$1: status $status"
		failed=$((failed + 1))
	fi
}

# A script that prints "ok NAME", "FAIL NAME" or "skip NAME: reason".
script()
{
	"$@" >"$log" 2>&1
	status=$?
	grep -v '^ok ' "$log"
	p=$(grep -c '^ok ' "$log")
	f=$(grep -c '^FAIL ' "$log")
	s=$(grep -c '^skip ' "$log")
	echo "$1: $p passed, $f failed, $s skipped"
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
	if [ $((p + f + s)) -eq 0 ] ||
		{ [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; }; then
		echo "$1: status $status"
		failed=$((failed + 1))
	fi
}

criterion "$build/unit-tests"
[ ! -x "$build/fake-tests" ] || criterion "$build/fake-tests"
for t in tests/cli/*.sh tests/oci/*.sh tests/lint/*.sh; do
	[ -x "$t" ] || continue
	script "$t"
done
[ ! -x "$build/attack/mote-probe" ] || script tests/attack/probe.sh "$build/attack/mote-probe"
script tests/attack/race.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
