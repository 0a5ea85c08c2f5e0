#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh NUMBER - the demo inside the x86 lab, for hosts without KVM: the
# guest's greeting with that number, and the time line of the launch.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
LAB_APPEND="mote.demo=$1" "$top/lab/run.sh" x86 'demo/*' >"$log" 2>&1 || {
	cat "$log" >&2
	exit 1
}
grep -v '^\[' "$log"
grep -q "arguments: nonce=$1" "$log" || {
	echo "demo: the guest did not print its number" >&2
	exit 1
}
