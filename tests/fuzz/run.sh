#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD SECONDS JOBS TARGET... - run each fuzz target, JOBS at a time;
# what it finds stays in BUILD/TARGET.found, what it learned in
# BUILD/TARGET.corpus.  It begins with tests/fuzz/corpus/TARGET, and with files
# of the tree that are such inputs already.
set -u

build=$1 seconds=$2 jobs=$3
shift 3
# shellcheck source-path=SCRIPTDIR source=seeds.sh
. tests/fuzz/seeds.sh

# What ASan remembers of each allocation costs more than the code under test.
ASAN_OPTIONS=malloc_context_size=8:quarantine_size_mb=16:max_malloc_fill_size=0
export ASAN_OPTIONS

# one TARGET: "runs" or "FOUND" in BUILD/TARGET.result
one()
{
	t=$1 corpus=$build/$1.corpus found=$build/$1.found log=$build/$1.log
	mkdir -p "$corpus" "$found" "tests/fuzz/corpus/$t"
	seeds "$t" "$corpus" "$build/.."
	# shellcheck disable=SC2046 # options
	if "$build/fuzz_$t" -max_total_time="$seconds" -timeout=10 \
		-print_final_stats=1 $(options "$t") \
		-artifact_prefix="$found/" "$corpus" "tests/fuzz/corpus/$t" \
		>"$log" 2>&1; then
		sed -n 's/^stat::calls: *//p' "$log" >"$build/$t.calls"
		sed -n 's/^stat::number_of_executed_units: *//p' "$log" \
			>"$build/$t.result"
	else
		echo FOUND >"$build/$t.result"
	fi
}

rm -f "$build"/*.result "$build"/*.calls
printf '%s\n' "$@" >"$build/todo"
# Each job takes the next of every JOBS targets.
for j in $(seq "$jobs"); do
	awk -v n="$jobs" -v j="$j" 'NR % n == j % n' "$build/todo" |
		while read -r t; do
			one "$t"
		done &
done
wait

passed=0 failed=0 total=0 hypercalls=0 calls=0
for t in "$@"; do
	result=$(cat "$build/$t.result" 2>/dev/null)
	case $result in
	'' | *[!0-9]*)
		log=$build/$t.log
		grep -aE 'ERROR|SUMMARY|runtime error|^fuzz' "$log" | head
		tail -n 3 "$log"
		echo "fuzz_$t: FOUND something, see $log and $build/$t.found"
		failed=$((failed + 1))
		;;
	*)
		echo "fuzz_$t: $result runs in $seconds s, nothing found"
		passed=$((passed + 1)) total=$((total + result))
		case $t in
		hvt | event)
			n=$(cat "$build/$t.calls")
			hypercalls=$((hypercalls + result)) calls=$((calls + ${n:-0}))
			;;
		esac
		;;
	esac
done
echo "fuzz: $total runs in all, $hypercalls of them on the hypercall surface (hvt, event), which are $calls calls and accesses"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
