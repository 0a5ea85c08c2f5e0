#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# reach.sh - how much code a guest can reach once the jail is closed: at most
# 8000 lines (make reachable lists them).  With what the VM thread does, for
# who holds the control socket, it is more: that is told, and may not grow.
[ "$(uname -m)" = x86_64 ] || exit 0
n=$(bench/reach.sh build --total)
if [ "${n:-8001}" -le 8000 ] && [ "${n:-0}" -gt 1000 ]; then
	echo "ok a guest reaches at most 8000 lines of code"
else
	echo "FAIL a guest reaches at most 8000 lines of code: ${n:-unknown}"
fi
all=$(bench/reach.sh build --all | awk '$2 == "total" { print $1 }')
if [ "${all:-14001}" -le 14000 ] && [ "${all:-0}" -gt "${n:-0}" ]; then
	echo "ok all threads of the VM process reach at most 14000"
else
	echo "FAIL all threads of the VM process reach at most 14000: ${all:-unknown}"
fi
echo "note: a guest reaches $n lines of code, all threads of the VM process $all"
