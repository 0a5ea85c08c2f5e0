#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo-fuzz.sh BUILD [SECONDS] - libFuzzer finds the planted bug of a guest's
# parser, each input in the same machine put back to the same instant; then
# executions per second, beside a native program started for each input.
set -eu

build=$(realpath "$1")
limit=${2:-240}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	echo "demo-fuzz: no usable /dev/kvm" >&2
	exit 69
fi
export MOTE_FUZZ_GUEST="$build/guests/parse.elf"
mkdir "$tmp/corpus"
printf 'MR\001\002V\001xE\000' > "$tmp/corpus/one"
echo "1. libFuzzer, from one valid input (at most $limit s):"
if "$build/fuzz-rewind" -artifact_prefix="$tmp/" -max_len=64 -seed=1 \
	-max_total_time="$limit" -print_final_stats=1 "$tmp/corpus" > "$tmp/log" 2>&1; then
	echo "the bug was not found:" >&2
	tail -n 5 "$tmp/log" >&2
	exit 1
fi
crash=$(ls "$tmp"/crash-* 2>/dev/null) || {
	tail -n 20 "$tmp/log" >&2
	exit 1
}
sed -n 's/^stat::number_of_executed_units: *\(.*\)/   executions until then: \1/p; s/^fuzz: \(.*\)/   \1/p' "$tmp/log"
echo "   the input that does it:"
od -A d -c "$crash" | sed 's/^/   /'
if "$build/fuzz-rewind" "$crash" > "$tmp/log" 2>&1; then
	echo "demo-fuzz: it does not happen again" >&2
	exit 1
fi
echo "   and once more, alone: it crashes the guest again"
echo
echo "2. executions:"
MOTE_FUZZ_BENCH="$build/fuzz-native" "$build/fuzz-rewind" 2> "$tmp/log" | sed 's/^/   /'
