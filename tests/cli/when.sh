#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# when.sh - [snapshot] when and ready: snapshots that a run takes by itself,
# jailed and not, and what they bring back.
set -u
. tests/lib.sh
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; umount "$tmp/full" 2>/dev/null; rm -rf "$tmp"' EXIT
mote=$MOTE_BIN

# --- values; no KVM needed ---------------------------------------------------
long=$(printf '%0256d' 0)
for good in mark idle 'console:up ; and # running: yes' "console:$long" after:0 after:250ms after:60m; do
	$mote check config/examples/hello.ini --set snapshot.ready="$good" >"$tmp/out" 2>"$tmp/err"
	check "ready=$(echo "$good" | cut -c1-30) is taken" 0 $?
	cp "$tmp/out" "$tmp/again.ini"
	$mote check "$tmp/again.ini" >"$tmp/out2" 2>"$tmp/err"
	check "and described so that it parses to itself" "$(cat "$tmp/out")" "$(cat "$tmp/out2")"
done
for bad in Mark console: console after: after:5 after:61m after:-1s later; do
	printf '[vm]\nkernel = k.elf\n[snapshot]\nready = %s\n' "$bad" >"$tmp/bad.ini"
	$mote check "$tmp/bad.ini" >/dev/null 2>"$tmp/err"
	check "ready=$(echo "$bad" | cut -c1-30) is bad input" 65 $?
	has "with file, line and key" "bad.ini:4: snapshot.ready: found '" "$tmp/err"
	has "and what is expected" "expected mark|idle|console:TEXT|after:TIME, TEXT of 1 to 256 bytes" "$tmp/err"
done
$mote check config/examples/hello.ini --set snapshot.ready="console:${long}x" >/dev/null 2>"$tmp/err"
check "a text of 257 bytes is bad input" 65 $?
has "and named" "--set: snapshot.ready: found" "$tmp/err"
for when in ready signal exit; do
	$mote check config/examples/hello.ini --set snapshot.when=$when >/dev/null 2>"$tmp/err"
	check "when=$when needs a folder" 65 $?
	has "it is named" "snapshot.dir: not set" "$tmp/err"
done

if ! kvm_usable; then
	echo "skip snapshots by themselves: no usable /dev/kvm"
	exit "$failed"
fi

# counter JAIL NAME WHEN READY ARGS...: in the background, as $pid
counter()
{
	_jail=$1 _name=$2 _when=$3 _ready=$4
	shift 4
	rm -f "$tmp/out" "$tmp/err"
	timeout 60 "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --memory 8M \
		--set sandbox.enable="$_jail" --set snapshot.dir="$tmp/$_name" \
		--set snapshot.when="$_when" --set snapshot.ready="$_ready" \
		--set log.level=info -- "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
}

# restore NAME: what a restored guest says, in $tmp/back
restore()
{
	timeout 60 "$mote" restore "$tmp/$1" >"$tmp/back" 2>"$tmp/err2" </dev/null
}

# first N: the first count that the restored guest says
first()
{
	sed -n 's/^count //p' "$tmp/back" | head -1
}

for jail in yes no; do
	# --- ready ---
	while IFS='|' read -r ready count; do
		rm -rf "$tmp/snap"
		counter $jail snap ready "$ready" step_ms=1 until=20
		wait $pid
		check "ready=$ready: the guest goes on (jail $jail)" 0 $?
		has "to its end" "done at 20" "$tmp/out"
		has "it is logged" "snapshot: snap: taken" "$tmp/err"
		$mote verify "$tmp/snap" >/dev/null 2>&1
		check "the snapshot is whole" 0 $?
		restore snap
		check "it can be restored" 0 $?
		check "and goes on from there" "$count" "$(first)"
	done <<-EOF
		mark|1
		idle|2
		console:count 7|8
	EOF
	rm -rf "$tmp/snap"
	counter $jail snap ready after:100ms step_ms=5
	until_ok test -f "$tmp/snap/manifest"
	check "ready=after: it comes by itself (jail $jail)" 0 $?
	kill $pid
	wait $pid
	check "and the guest hears SIGTERM" 0 $?
	has "as ever" "stopped at" "$tmp/out"
	rm -rf "$tmp/snap"
	counter $jail snap ready console:never until=3 step_ms=1
	wait $pid
	check "a text that never comes (jail $jail)" 0 $?
	has "is told" "snapshot: snap: not taken: the guest ended before it was ready" "$tmp/err"
	check "and leaves nothing" "" "$(ls -d "$tmp"/snap* 2>/dev/null)"

	# --- signal ---
	mkdir "$tmp/sig.2"
	counter $jail sig signal mark step_ms=2
	until_ok grep -q "count 3" "$tmp/out"
	launcher=$(pgrep -P $pid)
	for name in sig sig.1 sig.3; do
		kill -USR1 "$launcher"
		until_ok test -f "$tmp/$name/manifest"
		check "SIGUSR1 makes $name (jail $jail)" 0 $?
		$mote verify "$tmp/$name" >/dev/null 2>&1
		check "a whole one" 0 $?
	done
	check "what was there is left alone" "" "$(ls "$tmp/sig.2")"
	kill "$launcher"
	wait $pid
	check "and the guest ends as told (jail $jail)" 0 $?
	has "by itself" "stopped at" "$tmp/out"
	check "without any more" 4 "$(ls -d "$tmp"/sig* | wc -l)"
	rm -f "$tmp/back"
	$mote restore "$tmp/sig.3" --set control.socket="$tmp/s" >"$tmp/back" 2>/dev/null &
	pid=$!
	until_ok grep -q "count" "$tmp/back"
	check "one of them is restored" 0 $?
	kill $pid
	wait $pid
	a=$(sed -n 's/^count //p' "$tmp/back" | head -1)
	grep -q "^count $((a - 1))$" "$tmp/out"
	check "and goes on from where it was (jail $jail)" 0 $?
	rm -rf "$tmp"/sig*
	counter $jail none/x signal mark until=1
	wait $pid
	check "a folder in no folder is bad input (jail $jail)" 65 $?

	# --- exit ---
	rm -rf "$tmp/snap"
	counter $jail snap exit mark nap=4 until=6 step_ms=1
	wait $pid
	check "when=exit: the guest's code counts (jail $jail)" 7 $?
	has "it is logged" "snapshot: snap: taken" "$tmp/err"
	$mote verify "$tmp/snap" >/dev/null 2>&1
	check "the snapshot is whole" 0 $?
	restore snap
	check "restored, it goes on behind its exit" 0 $?
	check "with the next count" 5 "$(first)"
	has "to its end" "done at 6" "$tmp/back"
	counter $jail snap exit mark until=1
	wait $pid
	check "a snapshot of that name is there (jail $jail)" 65 $?
	check "which is told before the guest runs" "" "$(cat "$tmp/out")"
	rm -rf "$tmp/snap"
	counter $jail snap exit mark quiet=1 step_ms=5
	until_ok grep -q generation "$tmp/out"
	kill "$(pgrep -P $pid)"
	wait $pid
	check "SIGTERM, and the guest's own end (jail $jail)" 0 $?
	$mote verify "$tmp/snap" >/dev/null 2>&1
	check "leave a snapshot" 0 $?
	rm -rf "$tmp/snap"
	rm -f "$tmp/out" "$tmp/err"
	timeout 60 "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --set sandbox.enable=$jail \
		--stop-timeout 0 --set snapshot.when=exit --set snapshot.dir="$tmp/snap" \
		-- quiet=1 step_ms=60000 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	until_ok grep -q generation "$tmp/out"
	kill "$(pgrep -P $pid)"
	wait $pid
	check "one that is killed (jail $jail)" 143 $?
	has "leaves none and says so" "not taken: the guest did not end by its own exit" "$tmp/err"
	check "no folder" "" "$(ls -d "$tmp"/snap* 2>/dev/null)"
	pid=
done

# --- where it can't be written ------------------------------------------------------

# refused CODE WORDS WHEN DIR [WRAPPER...]: before the guest runs
refused()
{
	_code=$1 _words=$2 _when=$3 _dir=$4
	shift 4
	timeout 60 "$@" "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --set snapshot.when="$_when" \
		--set snapshot.dir="$_dir" -- until=1 >"$tmp/out" 2>"$tmp/err" </dev/null
	check "when=$_when, ${_dir##*/}: refused" "$_code" $?
	has "in words" "snapshot.dir: $_words" "$tmp/err"
	check "before the guest runs" "" "$(cat "$tmp/out")"
}

mkdir "$tmp/there" "$tmp/shut"
: >"$tmp/file"
chmod 500 "$tmp/shut"
long=$(printf '%0208d' 0)
for when in ready signal exit; do
	refused 65 "open $tmp/none: No such file or directory" $when "$tmp/none/snap"
	refused 65 "open $tmp/file: Not a directory" $when "$tmp/file/snap"
	refused 65 "$tmp/..: expected the path of a directory to be made" $when "$tmp/.."
	refused 65 "$tmp/$long: expected the path" $when "$tmp/$long"
	if [ "$(id -u)" -ne 0 ]; then
		refused 77 "no place for $tmp/shut/snap: Permission denied" $when "$tmp/shut/snap"
	elif command -v setpriv >/dev/null; then
		refused 77 "no place for $tmp/shut/snap: Permission denied" $when "$tmp/shut/snap" \
			setpriv --bounding-set -dac_override,-dac_read_search
	else
		echo "skip when=$when without permission: no setpriv"
	fi
done
refused 65 "$tmp/there: it exists already" ready "$tmp/there"
refused 65 "$tmp/there: it exists already" exit "$tmp/there"

# empty NAME FOLDER: nothing is left there
empty()
{
	check "$1" "" "$(ls -A "$2")"
}

mkdir "$tmp/full"
full=no
mount -t tmpfs -o size=16k tmpfs "$tmp/full" 2>/dev/null && full=yes
[ $full = yes ] || echo "skip snapshots on a full disk: no tmpfs can be mounted"
for jail in yes no; do
	[ $full = yes ] || break
	counter $jail full/snap ready mark until=3 step_ms=1
	wait $pid
	check "when=ready on a full disk ends the run (jail $jail)" 74 $?
	has "it is told" "snapshot when ready: " "$tmp/err"
	has "with the cause" "No space left on device" "$tmp/err"
	empty "nothing is left" "$tmp/full"
	counter $jail full/snap exit mark until=3 step_ms=1
	wait $pid
	check "when=exit on a full disk counts more than the guest's code (jail $jail)" 74 $?
	has "the guest came to its end" "done at 3" "$tmp/out"
	has "it is told" "snapshot at exit: " "$tmp/err"
	has "with the cause" "No space left on device" "$tmp/err"
	empty "nothing is left" "$tmp/full"
	counter $jail full/snap signal mark step_ms=2
	until_ok grep -q "count 3" "$tmp/out"
	kill -USR1 "$(pgrep -P $pid)"
	until_ok grep -q "snapshot: snap: .*No space left on device" "$tmp/err"
	check "when=signal on a full disk is logged (jail $jail)" 0 $?
	empty "nothing is left" "$tmp/full"
	n=$(grep -c count "$tmp/out")
	until_ok grep -q "count $((n + 20))" "$tmp/out"
	check "and the guest goes on (jail $jail)" 0 $?
	mount -o remount,size=16m "$tmp/full"
	kill -USR1 "$(pgrep -P $pid)"
	until_ok test -f "$tmp/full/snap/manifest"
	check "the next one, with room, has the name (jail $jail)" 0 $?
	kill "$(pgrep -P $pid)"
	wait $pid
	check "to its end (jail $jail)" 0 $?
	rm -rf "$tmp/full/snap"
	mount -o remount,size=16k "$tmp/full"
done
[ $full = no ] || umount "$tmp/full"

for jail in yes no; do
	mkdir "$tmp/gone"
	counter $jail gone/snap exit mark quiet=1 step_ms=5
	until_ok grep -q generation "$tmp/out"
	rmdir "$tmp/gone"
	kill "$(pgrep -P $pid)"
	wait $pid
	check "when=exit, and the folder is gone by then (jail $jail)" 74 $?
	has "it is told" "snapshot at exit: mkdir snap.tmp-" "$tmp/err"
	mkdir "$tmp/gone"
	counter $jail gone/snap exit mark quiet=1 step_ms=5
	until_ok grep -q generation "$tmp/out"
	mkdir "$tmp/gone/snap"
	kill "$(pgrep -P $pid)"
	wait $pid
	check "when=exit, and the name is taken by then (jail $jail)" 65 $?
	has "it is told" "snapshot at exit: snapshot snap: it exists already" "$tmp/err"
	empty "what took it is left alone" "$tmp/gone/snap"
	rm -rf "$tmp/gone"
done
pid=

# --- SIGUSR1 without when=signal is what it was ------------------------------------
rm -f "$tmp/out"
"$mote" run --kernel "$MOTE_GUESTS/counter.elf" -- quiet=1 >"$tmp/out" 2>/dev/null </dev/null &
pid=$!
until_ok grep -q generation "$tmp/out"
kill -USR1 $pid
wait $pid 2>/dev/null
check "SIGUSR1 without when=signal ends mote" 138 $?
pid=
exit "$failed"
