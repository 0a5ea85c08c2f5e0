#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# launch.sh - every system call of a launch is known and has a reason: what
# one launch makes is compared with bench/launch.expected.
set -u
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
	echo "skip launch.expected: no usable /dev/kvm"
	exit 0
fi
got=$(mktemp)
trap 'rm -f "$got"' EXIT
build/bench/bench --counts build/mote run bench/noop.ini >"$got" || exit 1
wrong=$(awk '
function name(n) { return $1 == "ioctl" && $2 ~ /^(KVM_|0x)/ ? $1 " " $2 : $1 }
FNR == NR {
	if (/^#/ || NF == 0) next
	n = name(); i = n == $1 ? 2 : 3
	if (NF <= i) print n ": no reason given"
	split($i, range, "-")
	min[n] = range[1]; max[n] = range[2] == "" ? range[1] : range[2]
	next
}
{
	n = name(); seen[n] = 1
	if (!(n in min)) print n ": not expected (" $NF ")"
	else if ($NF < min[n] + 0 || $NF > max[n] + 0)
		print n ": " $NF ", expected " min[n] "-" max[n]
}
END { for (n in min) if (min[n] > 0 && !(n in seen)) print n ": gone" }
' bench/launch.expected "$got")
if [ -z "$wrong" ]; then
	echo "ok a launch makes the expected system calls"
else
	echo "FAIL a launch makes the expected system calls: $(echo "$wrong" |
		tr '\n' ' ')"
fi
