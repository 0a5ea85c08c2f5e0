#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# storm.sh - scripts of this folder with a mote each thread of which a timer
# interrupts 10,000 times a second (tests/attack/storm.c): all is as ever.
# With all other tests two of them; MOTE_LONG (make storm): all that run VMs.
set -u
. tests/lib.sh
storm=${MOTE_BIN%/*}/storm/mote
trap 'rm -rf "$tmp"' EXIT

if ! kvm_usable; then
	echo "skip a storm of signals: no usable /dev/kvm"
	exit 0
fi
if [ ! -x "$storm" ]; then
	echo "skip a storm of signals: no $storm"
	exit 0
fi
scripts="restore solo5"
[ -z "${MOTE_LONG:-}" ] ||
	scripts="block console damage fork input metrics place pool refuse restore run solo5 when"
ln -s "$storm" "$tmp/mote"
ln -s "${MOTE_BIN%/*}/requests" "$tmp/requests"
ln -s "$MOTE_OCI" "$tmp/mote-oci"
for s in $scripts; do
	MOTE_STORM=$tmp/signals MOTE_BIN=$tmp/mote "tests/cli/$s.sh" </dev/null >"$tmp/out" 2>&1
	check "$s.sh in a storm" 0 $?
	grep -E '^FAIL' "$tmp/out"
done
check "there was a storm, in the first threads and in others" 1 \
	"$(awk '{ f += $1; o += $2 } END { print (f > 10000 && o > 10000) }' "$tmp/signals")"
awk '{ f += $1; o += $2 } END { print "storm: " f " signals to first threads, " o " to others" }' "$tmp/signals"
exit "$failed"
