#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sizes.sh - files over the sizes to aim for (a report, not a verdict), and
# how much code there is in vmm/ and config/: lines that are neither blank nor
# comment.  What is limited is the code of one build: the files that it links,
# for one architecture, and their headers; the code of all three, of programs
# that only run while it is built, and all lines are told.  The goal was missed
# when Linux guests and virtio devices came.
files=$(git ls-files --cached --others --exclude-standard 'vmm/*.[ch]' \
	'config/*.[ch]')
# shellcheck disable=SC2086 # a list of names
wc -l $files | awk '
$2 ~ /\.c$/ && $1 > 600 { print "note: " $2 " has " $1 " lines (aim: 600)" }
$2 ~ /\.h$/ && $1 > 250 { print "note: " $2 " has " $1 " lines (aim: 250)" }
$2 == "total" { print "note: " $1 " lines in all, blank ones and comments too (aim: 25000)" }'

# code FILE...: lines of code
code()
{
	cat "$@" | awk '
	/^[ \t]*\/\*/ { comment = 1 }
	!comment && !/^[ \t]*$/ { n++ }
	/\*\// { comment = 0 }
	END { print n }'
}

# shellcheck disable=SC2086
echo "note: $(code $files) lines of code for all architectures together"
for arch in x86_64 arm64 ppc64le; do
	own=$(make -s --no-print-directory ARCH=$arch print-sources &&
		echo "$files" | grep '\.h$' | grep -v -E \
			"^vmm/arch/(x86_64|arm64|ppc64le)/" &&
		echo "$files" | grep "^vmm/arch/$arch/.*\.h$")
	# shellcheck disable=SC2086
	n=$(code $own)
	if [ "$n" -le 34000 ]; then
		echo "ok lines of code for $arch are at most 34000"
	else
		echo "FAIL lines of code for $arch are at most 34000: $n"
	fi
	echo "note: $n for $arch (goal: 25000)"
done
