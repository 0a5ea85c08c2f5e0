#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# golden.sh - the snapshots of tests/golden: each is read, those of another
# architecture are refused (those of this one run: test_golden.c); and what a
# new one holds of the host that it was taken on: nothing.
set -u
. tests/lib.sh
mote=$MOTE_BIN
pid=
trap 'kill -9 $pid 2>/dev/null; rm -rf "$tmp"' EXIT

case $(uname -m) in
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac
for s in tests/golden/*/*/; do
	s=${s%/}
	name=${s#tests/golden/}
	"$mote" verify "$s" >/dev/null 2>"$tmp/err"
	check "$name is sound" 0 $?
	"$mote" inspect "$s" >"$tmp/out" 2>"$tmp/err"
	has "$name is inspected" "architecture = ${name%%/*}" "$tmp/out"
	has "$name shows its sections" "section console[0] = version" "$tmp/out"
	[ "${name%%/*}" != "$arch" ] || continue
	"$mote" restore "$s" >/dev/null 2>"$tmp/err"
	check "$name is not restored here" 69 $?
	has "$name is refused by name" "architecture: the snapshot is of ${name%%/*}" "$tmp/err"
done

# --- what a snapshot of another architecture says of itself -------------------------
"$mote" inspect tests/golden/arm64/counter-1 >"$tmp/said"
has "inspect: the PSCI version of an arm64 guest" "PSCI = 1.0" "$tmp/said"
"$mote" inspect --json tests/golden/arm64/counter-1 >"$tmp/said"
has "as JSON" '"psci":"1.0"}' "$tmp/said"
"$mote" inspect tests/golden/ppc64le/counter-2 >"$tmp/said"
has "inspect: the page table of a POWER guest" \
	"hashed page table = order 18, 16384 entries, 128 valid, 128 bolted" "$tmp/said"
"$mote" inspect --json tests/golden/ppc64le/counter-2 >"$tmp/said"
has "as JSON" '"hpt":{"order":18,"entries":16384,"valid":128,"bolted":128,"changed":null}' "$tmp/said"
"$mote" compat tests/golden/ppc64le/counter-2 >"$tmp/said" 2>&1
check "compat: it is not for this host" 69 $?
has "by name" "ppc64le" "$tmp/said"

if ! kvm_usable; then
	echo "skip what a new snapshot holds: no usable /dev/kvm"
	exit "$failed"
fi

# --- what a new one holds -----------------------------------------------------------
mkdir "$tmp/d"
host=$(uname -n)
[ ${#host} -gt 5 ] || host=none-such # "vm" and the like are also other words
truncate -s 32M "$tmp/from" "$tmp/to" # large enough to be copied for a while
rm -f "$tmp/err"
(umask 0; exec "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --memory 2M \
	--set control.socket="$tmp/s" --set snapshot.dir="$tmp/d/auto" \
	--set snapshot.when=ready --set log.file="$tmp/log" \
	--set metrics.file="$tmp/metrics" --set sandbox.user=nobody \
	-- step_ms=20 quiet=1) >/dev/null 2>"$tmp/err" &
pid=$!
until_ok test -e "$tmp/d/auto"
"$mote" snapshot "$tmp/s" "$tmp/d/full"
"$mote" snapshot "$tmp/s" "$tmp/d/diff" --diff
(umask 0; "$mote" merge "$tmp/d/diff" "$tmp/d/merged")
vm=$(pgrep -P $pid)
for s in auto full diff merged; do
	check "$s: the folder is its owner's (umask 0)" 700 "$(stat -c %a "$tmp/d/$s")"
	check "$s: its files too" "600 600 600 " "$(stat -c %a "$tmp/d/$s/"* | tr '\n' ' ')"
	check "$s: three files and nothing else" "manifest memory state " \
		"$(ls -A "$tmp/d/$s" | tr '\n' ' ')"
	live=
	for word in "$tmp" "$host" nobody "$(cat /proc/sys/kernel/random/boot_id)" \
		" $pid" " $vm" "$(cat /etc/machine-id 2>/dev/null || echo none-such)"; do
		! grep -q -a -F -e "$word" "$tmp/d/$s/manifest" "$tmp/d/$s/state" ||
			live="$live $word"
	done
	check "$s: no path but the image's, no host, user or process is in it" "" "$live"
done
kill -9 "$pid"
wait "$pid" 2>/dev/null
pid=

# --- a disk that is missing --------------------------------------------------------
# A socket of its own: a killed one is answered until its VM process is gone.
rm -f "$tmp/err"
"$mote" run --kernel "$MOTE_GUESTS/hvt-disk.elf" --memory 4M \
	--disk from="$tmp/from" --disk to="$tmp/to" --set control.socket="$tmp/s2" \
	>/dev/null 2>"$tmp/err" &
pid=$!
until_ok "$mote" ctl "$tmp/s2" status
"$mote" snapshot "$tmp/s2" "$tmp/d/disk"
check "a guest with disks is saved" 0 $?
kill -9 "$pid"
wait "$pid" 2>/dev/null
pid=
check "its disks' paths are not in it" 0 "$(grep -c -a -F "$tmp" "$tmp/d/disk/manifest")"
"$mote" restore "$tmp/d/disk" --disk from="$tmp/from" >/dev/null 2>"$tmp/err"
check "a missing disk is refused" 65 $?
has "and named" "disk.to" "$tmp/err"
trip=${MOTE_BIN%/*}/trip
if [ -x "$trip" ]; then
	"$trip" - any 0 kill "$mote" restore "$tmp/d/disk" --disk from="$tmp/from" \
		--set sandbox.enable=no >"$tmp/trip" 2>&1
	# 16 is ioctl(2): KVM's device would have to be asked for a VM.
	check "before there could be a VM" 0 "$(grep -c '^[0-9]* 16 ' "$tmp/trip")"
fi
rm -f "$tmp/err"
"$mote" restore "$tmp/d/disk" --disk from="$tmp/from" --disk to="$tmp/to" \
	--set control.socket="$tmp/s3" >/dev/null 2>"$tmp/err" &
pid=$!
until_ok "$mote" ctl "$tmp/s3" status
"$mote" ctl "$tmp/s3" status >"$tmp/out"
has "with it, it runs" "state: running" "$tmp/out"
exit "$failed"
