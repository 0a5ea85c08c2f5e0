#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD SECONDS TARGET... - run each fuzz target; what it finds stays
# in BUILD/TARGET.found, its corpus in BUILD/TARGET.corpus.
set -u

build=$1 seconds=$2
shift 2
passed=0 failed=0
root=$PWD

# Something valid to begin with.
seed()
{
	case $1 in
	ini)
		for f in config/examples/*.ini; do
			{ printf 'x'; cat "$f"; } >"$2/$(basename "$f")"
		done
		;;
	elf)
		for f in build/guests/*.elf; do
			[ ! -f "$f" ] || head -c 65536 "$f" \
				>"$2/$(basename "$f")"
		done
		;;
	control)
		printf 'A{"command":"status"}\n{"command":"snapshot","name":"a"}\n' \
			>"$2/status"
		;;
	manifest)
		hex=00000000000000000000000000000000
		printf 'requires: base\narchitecture: x86_64\npage-size: 4096\ncpu: c\nvcpus: 1\nclone-identity: generation-page\nparent: none\nstate-length: 1\nstate-digest: %s\nmemory-length: 1\nmemory-digest: %s\nconfig-length: 2\n\nab' \
			$hex $hex >"$2/minimal"
		;;
	esac
}

for t in "$@"; do
	corpus=$root/$build/$t.corpus found=$root/$build/$t.found
	mkdir -p "$corpus" "$found"
	seed "$t" "$corpus"
	log=$build/$t.log
	if "$build/fuzz_$t" -max_total_time="$seconds" -timeout=10 \
		-max_len=16384 -print_final_stats=1 \
		-artifact_prefix="$found/" "$corpus" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		echo "fuzz_$t: $runs runs in $seconds s, nothing found"
		passed=$((passed + 1))
	else
		grep -aE 'ERROR|SUMMARY|runtime error|^fuzz_' "$log" | head
		tail -n 3 "$log"
		echo "fuzz_$t: FOUND something, see $log and $found"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
