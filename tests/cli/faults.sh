#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# faults.sh [SCENE] - every system call of every scene (tests/attack/
# faults.scenes) fails once; every second call that waits has EINTR; every
# signal comes to every thread.  docs/FAULTS.md says what is demanded.  With
# all other tests a fixed slice of it; MOTE_LONG (make faults) makes it whole,
# and its last line "N passed, N failed, N skipped".
set -u
. tests/lib.sh
. tests/attack/material.sh
faults=${MOTE_BIN%/*}/faults
MOTE=$MOTE_BIN OCI=$MOTE_OCI G=$MOTE_GUESTS B=$tmp
REQUESTS=${MOTE_BIN%/*}/requests
export MOTE OCI G B REQUESTS
trap 'rm -rf "$tmp"' EXIT

if ! kvm_usable; then
	echo "skip calls that fail: no usable /dev/kvm"
	exit 0
fi
if [ ! -x "$faults" ]; then
	echo "skip calls that fail: tests/attack/stumble.c is for x86_64 only"
	exit 0
fi
if [ "$(id -u)" -ne 0 ] && [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null)" = 3 ]; then
	echo "skip calls that fail: ptrace(2) is not allowed here"
	exit 0
fi
make_material >"$tmp/err" 2>&1 || {
	bad "what the scenes read" "$(cat "$tmp/err")"
	exit 1
}
sums=$(cd "$B" && cat hello/* diff/* serve/* from bundle/config.json | cksum)
if [ -n "${MOTE_LONG:-}" ]; then fail=1 signal=1; else fail=61 signal=401; fi

# part NAME OPTIONS...: a line for each scene, then the sum
part()
{
	_name=$1
	shift
	"$faults" -s "${only:-}" "$@" tests/attack/faults.scenes >"$tmp/said" 2>&1 || failed=1
	sed "s/^\(ok\|FAIL\|skip\) /\1 $_name: /; s/^faults: /$_name: /" "$tmp/said" | tee -a "$tmp/all"
}

only=${1:-}
part "calls that fail" -m fail -k $fail
part "EINTR each second time" -m eintr
[ -n "${MOTE_LONG:-}" ] || only=jailed # enough of them for a slice
part "signals" -m signal -k $signal
check "what all scenes read is as it was" "$sums" \
	"$(cd "$B" && cat hello/* diff/* serve/* from bundle/config.json | cksum)" >>"$tmp/all"
tail -n 1 "$tmp/all"
if [ -n "${MOTE_LONG:-}" ]; then
	echo "$(grep -c '^ok ' "$tmp/all") passed, $(grep -c '^FAIL ' "$tmp/all") failed, $(grep -c '^skip ' "$tmp/all") skipped"
fi
exit "$failed"
