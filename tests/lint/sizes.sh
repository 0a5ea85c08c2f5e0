#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# sizes.sh - files over the sizes to aim for; a report, not a verdict.
git ls-files --cached --others --exclude-standard 'vmm/*.[ch]' \
	'config/*.[ch]' | xargs wc -l | awk '
$2 ~ /\.c$/ && $1 > 600 { print "note: " $2 " has " $1 " lines (aim: 600)" }
$2 ~ /\.h$/ && $1 > 250 { print "note: " $2 " has " $1 " lines (aim: 250)" }
$2 == "total" { n += $1 }
END {
	if (n <= 25000) print "ok size.lines is at most 25000"
	else print "FAIL size.lines is at most 25000: " n
}'
