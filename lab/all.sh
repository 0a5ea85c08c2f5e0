#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# all.sh MACHINE... - run several labs, one after the other, and sum them up
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
began=$(date +%s)
bad=

for name; do
	echo "== lab $name"
	# The pipe must not hide the status.
	{ "$top/lab/run.sh" "$name" || echo "$name" >>"$dir/bad"; } |
		tee "$dir/out"
	tail -n 1 "$dir/out" >>"$dir/sums"
done
[ ! -e "$dir/bad" ] || bad=$(tr '\n' ' ' <"$dir/bad")
echo "== all labs: $(($(date +%s) - began)) s${bad:+, failed: $bad}"
awk '{ p += $1; f += $3; s += $5 }
	END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$dir/sums"
[ -z "$bad" ]
