#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sizes.sh - files over the sizes to aim for (a report, not a verdict), and
# how much code there is in vmm/ and config/: lines that are neither blank nor
# comment are limited, all lines are told.
files=$(git ls-files --cached --others --exclude-standard 'vmm/*.[ch]' \
	'config/*.[ch]')
# shellcheck disable=SC2086 # a list of names
wc -l $files | awk '
$2 ~ /\.c$/ && $1 > 600 { print "note: " $2 " has " $1 " lines (aim: 600)" }
$2 ~ /\.h$/ && $1 > 250 { print "note: " $2 " has " $1 " lines (aim: 250)" }
$2 == "total" { print "note: " $1 " lines in all, blank ones and comments too (aim: 25000)" }'
# shellcheck disable=SC2086
cat $files | awk '
/^[ \t]*\/\*/ { comment = 1 }
!comment && !/^[ \t]*$/ { n++ }
/\*\// { comment = 0 }
END {
	if (n <= 25000) print "ok lines of code are at most 25000"
	else print "FAIL lines of code are at most 25000: " n
}'
