#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# block.sh - where log, console and metrics go takes nothing any more: a pipe
# that nobody reads, a disk that is full.  The guest goes on, the run ends, its
# code is the guest's, and what was lost is counted or told.
set -u
. tests/lib.sh
mote=$MOTE_BIN
pid= mounted=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; [ -z "$mounted" ] || umount "$tmp/full"; rm -rf "$tmp"' EXIT

if ! kvm_usable; then
	echo "skip targets that block: no usable /dev/kvm"
	exit 0
fi

# The command with the pipe behind that descriptor full, and open for reading
# by nobody who reads; its code, or 124 where it does not end.
blocked()
{
	perl -e '
		use Fcntl; pipe(my $r, my $w) or die;
		fcntl($w, F_SETFL, O_NONBLOCK); 1 while syswrite($w, "x" x 4096);
		1 while syswrite($w, "x"); fcntl($w, F_SETFL, 0);
		fcntl($r, F_SETFD, 0); $^F = 255;
		my $to = shift; open(TO, ">&=", $to); require POSIX;
		POSIX::dup2(fileno($w), $to); exec "timeout", "-k1", "5", @ARGV' "$@"
}

noop="--kernel $MOTE_GUESTS/noop.elf --memory 2M"
counter="--kernel $MOTE_GUESTS/counter.elf --memory 2M"

# --- stderr ---------------------------------------------------------------------
for jail in yes no; do
	blocked 2 "$mote" run $counter --set sandbox.enable=$jail \
		--set log.level=debug -- until=20 step_ms=1 >"$tmp/out"
	check "stderr is a full pipe (jail=$jail): the run ends" 0 $?
	has "and the guest counted to its end" "count 20" "$tmp/out"
done
blocked 2 "$mote" run --kernel "$tmp/none"
check "an error that nobody hears has its code" 65 $?
blocked 2 "$mote" run config/examples/hello.ini --set vm.memory=x
check "so have faults of a file" 65 $?
blocked 2 "$mote" run $counter --set log.level=debug --set control.socket="$tmp/s" >/dev/null &
pid=$!
until_ok "$mote" ctl "$tmp/s" status
"$mote" snapshot "$tmp/s" "$tmp/snap" >"$tmp/said" 2>&1
check "a snapshot is taken beside a log that blocks" 0 $?
"$mote" ctl "$tmp/s" metrics >"$tmp/said" 2>&1
check "lines that were lost are counted" 1 \
	"$(grep -cE 'log_dropped_lines[": ]*[1-9]' "$tmp/said")"
"$mote" ctl "$tmp/s" stop
wait "$pid"
check "and it stops when it is told to" 0 $?
pid=

# --- stdout, the guest's console ---------------------------------------------------
blocked 1 "$mote" run $counter --set control.socket="$tmp/s" --set vm.stop_timeout=1s \
	-- step_ms=1 2>"$tmp/err" &
pid=$!
until_ok "$mote" ctl "$tmp/s" status
"$mote" snapshot "$tmp/s" "$tmp/snap2" >"$tmp/said" 2>&1
check "a console that nobody reads: a snapshot is taken" 0 $?
kill -TERM "$("$mote" ctl "$tmp/s" status --json | sed -n 's/.*"launcher":\([0-9]*\).*/\1/p')" 2>/dev/null ||
	"$mote" ctl "$tmp/s" stop
wait "$pid"
code=$?
if [ "$code" -ne 124 ]; then
	ok "and the run ends when it is told to"
else
	bad "and the run ends when it is told to" "it had to be killed"
fi
pid=

# --- a full disk -------------------------------------------------------------------
mkdir "$tmp/full"
if ! mount -t tmpfs -o size=64k none "$tmp/full" 2>/dev/null; then
	echo "skip a full disk: no right to mount one"
	exit "$failed"
fi
mounted=1
chmod 1777 "$tmp/full"
: >"$tmp/full/log"
head -c 100000 /dev/zero >"$tmp/full/ballast" 2>/dev/null
"$mote" run $counter --set log.level=debug --set log.file="$tmp/full/log" \
	-- until=20 step_ms=1 >"$tmp/out" 2>"$tmp/err"
check "the log's disk is full: the run ends with the guest's code" 0 $?
has "and the guest ran to its end" "count 20" "$tmp/out"
"$mote" run $counter --set metrics.file="$tmp/full/metrics" --set metrics.interval=100ms \
	-- until=300 step_ms=1 >"$tmp/out" 2>"$tmp/err"
check "the metrics' disk is full: the run ends with the guest's code" 0 $?
has "which is told" "metrics.file" "$tmp/err"
has "by its cause" "No space left" "$tmp/err"
check "and nothing half written is left" "" "$(ls -A "$tmp/full" | grep -v -x -e log -e ballast)"
"$mote" run $counter --set console.type=file --set console.path="$tmp/full/console" \
	-- until=20 step_ms=1 >"$tmp/out" 2>"$tmp/err"
check "the console's disk is full: the run ends with the guest's code" 0 $?
has "which is told" "console" "$tmp/err"
"$mote" run $noop --set snapshot.dir="$tmp/full/snap" --set snapshot.when=exit >"$tmp/out" 2>"$tmp/err"
check "the snapshots' disk is full: an I/O error" 74 $?
check "and nothing of it is left" "" "$(ls -A "$tmp/full" | grep -v -x -e log -e ballast -e console)"
exit "$failed"
