#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# floor.sh - the yardstick stays what it is: the floor program's system
# calls and ioctls are those of bench/floor.expected.
set -u
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
	echo "skip floor.expected: no usable /dev/kvm"
	exit 0
fi
got=$(mktemp)
trap 'rm -f "$got"' EXIT
build/bench/bench --counts build/bench/floor >"$got" || exit 1
if cmp -s bench/floor.expected "$got"; then
	echo "ok the floor makes the expected system calls"
else
	echo "FAIL the floor makes the expected system calls: $(diff \
		bench/floor.expected "$got" | tr '\n' ' ')"
fi
