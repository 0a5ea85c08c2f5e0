#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# planted.sh SECONDS [NUMBER...] - do the fuzz targets live?  Each patch of
# tests/fuzz/planted (NUMBER-TARGET-WHAT.patch) removes one check; it is
# applied to a copy of the tree, and its target must find that within SECONDS,
# beginning with the corpus of the tree.  A patch that does not apply any more
# is a failure.
#
# Prints how long each took.  What crashed stays in build/planted/NUMBER.log.
set -u

seconds=$1
shift
here=$PWD
work=$here/build/planted
tree=$work/tree
passed=0 failed=0
# shellcheck source-path=SCRIPTDIR source=seeds.sh
. tests/fuzz/seeds.sh

ASAN_OPTIONS=malloc_context_size=8:quarantine_size_mb=16:max_malloc_fill_size=0
export ASAN_OPTIONS

now()
{
	date +%s%N
}

# The tree as it is, with what is not committed; objects of a copy made before
# are kept: make looks at the times.
mkdir -p "$tree"
git ls-files -co --exclude-standard | while read -r f; do
	[ ! -e "$f" ] || echo "$f"
done >"$work/files"
tar -cf - -T "$work/files" | tar -xf - -C "$tree" || exit 1

build()
{
	make -C "$tree" --no-print-directory fuzz-bin FUZZ="$1" \
		>"$work/make.log" 2>&1
}

fail()
{
	echo "planted $1: $2"
	failed=$((failed + 1))
}

# try PATCH
try()
{
	name=$(basename "$1" .patch)
	rest=${name#*-}
	target=${rest%%-*}
	if ! patch -d "$tree" -p1 -s -F 0 --no-backup-if-mismatch <"$1" \
		>"$work/patch.log" 2>&1; then
		fail "$name" "does not apply any more: $(head -n 1 "$work/patch.log")"
		return
	fi
	rm -rf "$work/corpus"
	mkdir -p "$work/corpus"
	seeds "$target" "$work/corpus" "$here/build"
	if ! build "$target"; then
		fail "$name" "does not compile, see $work/make.log"
	else
		began=$(now)
		# shellcheck disable=SC2046 # options
		if (cd "$tree" && exec "build/fuzz/fuzz_$target" -timeout=20 \
			-max_total_time="$seconds" $(options "$target") \
			-artifact_prefix="$work/$name-" "$work/corpus" \
			"tests/fuzz/corpus/$target") >"$work/$name.log" 2>&1; then
			fail "$name" "not found within $seconds s"
		else
			took=$((($(now) - began) / 10000000))
			what=$(grep -aoE 'broken promise: .*|runtime error: .*|AddressSanitizer: [a-zA-Z-]+' \
				"$work/$name.log" | head -n 1)
			# A slow input is no find.
			if [ -n "$what" ]; then
				printf 'planted %s: found in %d.%02d s: %s\n' \
					"$name" $((took / 100)) \
					$((took % 100)) "$what"
				passed=$((passed + 1))
			else
				fail "$name" "no report, see $work/$name.log"
			fi
		fi
	fi
	patch -d "$tree" -p1 -s -R -F 0 --no-backup-if-mismatch <"$1" || exit 1
}

all=$(for f in tests/fuzz/fuzz_*.c; do basename "$f" .c; done | sed 's/fuzz_//')
build "$(echo "$all" | tr '\n' ' ')" || {
	cat "$work/make.log"
	exit 1
}
for p in tests/fuzz/planted/*.patch; do
	number=$(basename "$p" | cut -d- -f1)
	case " $* " in
	'  ' | *" $number "*) try "$p" ;;
	esac
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
