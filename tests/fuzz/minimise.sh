#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# minimise.sh BUILD TARGET... - make tests/fuzz/corpus/TARGET anew: of what is
# there, what BUILD/TARGET.corpus learned and what FUZZ_MORE/TARGET holds, the
# few inputs that together reach the same code; small ones, because they are
# in the tree (FUZZ_KEEP bytes a target, 24576).
set -eu

build=$1
shift
keep=${FUZZ_KEEP:-24576}
# shellcheck source-path=SCRIPTDIR source=seeds.sh
. tests/fuzz/seeds.sh

for t in "$@"; do
	all=$build/$t.all new=$build/$t.new
	rm -rf "$all" "$new"
	mkdir -p "$all" "$new" "$build/$t.corpus" "tests/fuzz/corpus/$t"
	for d in "tests/fuzz/corpus/$t" "$build/$t.corpus" \
		"${FUZZ_MORE:-$build/none}/$t"; do
		[ ! -d "$d" ] || find "$d" -type f -size -8k \
			-exec cp -t "$all" {} +
	done
	# shellcheck disable=SC2046 # options
	"$build/fuzz_$t" $(options "$t") -set_cover_merge=1 "$new" "$all" \
		>"$build/$t.merge.log" 2>&1
	rm -rf "tests/fuzz/corpus/$t"
	mkdir -p "tests/fuzz/corpus/$t"
	# The smallest first, until the room is used up.
	find "$new" -type f -printf '%s %p\n' | sort -n |
		awk -v keep="$keep" '{ n += $1; if (n <= keep) print $2 }' |
		while read -r f; do
			name=$(basename "$f" | cut -c1-10)
			cp "$f" "tests/fuzz/corpus/$t/$name"
		done
	echo "$t: $(find "tests/fuzz/corpus/$t" -type f | wc -l) inputs of" \
		"$(find "$new" -type f | wc -l), $(cat "tests/fuzz/corpus/$t"/* | wc -c) bytes"
	rm -rf "$all" "$new"
done
