#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - mote run, check, ctl, snapshot, restore as a user runs them, and
# what they say to bad input.
set -u
. tests/lib.sh
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$tmp"' EXIT
mote=$MOTE_BIN

# --- no KVM needed ---------------------------------------------------------
$mote --version >"$tmp/out"
has "--version" "mote 0." "$tmp/out"
$mote --help >"$tmp/out"
for word in run check restore ctl snapshot inspect verify compat merge; do
	has "--help names $word" "mote $word" "$tmp/out"
done
$mote 2>"$tmp/err"
check "no command is a usage error" 64 $?
$mote frobnicate 2>"$tmp/err"
check "an unknown command is a usage error" 64 $?
$mote bench x 2>"$tmp/err"
check "a command of later versions is refused" 64 $?
has "and says so" "not in this version yet" "$tmp/err"
$mote run 2>"$tmp/err"
check "run without a file is a usage error" 64 $?
$mote run a.ini --bogus 2>"$tmp/err"
check "an unknown option is a usage error" 64 $?
$mote run "$tmp/none.ini" 2>"$tmp/err"
check "a missing file is bad input" 65 $?

cat >"$tmp/bad.ini" <<EOF
[vm]
kernel = k.elf
memry = 16M
memory = 16Q
[nonsense]
x = 1
EOF
$mote check "$tmp/bad.ini" 2>"$tmp/err"
check "faults end with 65" 65 $?
has "a fault names file, line and key" "bad.ini:3: vm.memry" "$tmp/err"
has "the nearest key is offered" "memory" "$tmp/err"
has "all faults come at once" "bad.ini:5:" "$tmp/err"
$mote check config/examples/hello.ini >"$tmp/one.ini" &&
	cp "$tmp/one.ini" config/examples/.again.ini &&
	$mote check config/examples/.again.ini >"$tmp/two.ini"
check "check's output parses to itself" "$(cat "$tmp/one.ini")" "$(cat "$tmp/two.ini")"
rm -f config/examples/.again.ini
$mote check config/examples/hello.ini --set vm.memory=0 2>"$tmp/err"
check "a bad --set is bad input" 65 $?
has "and names its key" "vm.memory" "$tmp/err"
$mote doctor --bogus 2>/dev/null
check "doctor takes no other option" 64 $?
$mote doctor --json >"$tmp/out" 2>/dev/null
has "doctor as JSON names KVM" '"name":"KVM"' "$tmp/out"
$mote ctl "$tmp/none.sock" status 2>"$tmp/err"
check "no socket: the host lacks it" 69 $?
$mote restore "$tmp" 2>"$tmp/err"
check "a folder that is no snapshot is refused" 65 $?
$mote inspect "$tmp/none" 2>"$tmp/err"
check "a missing snapshot is refused" 65 $?

if ! kvm_usable; then
	echo "skip running guests: no usable /dev/kvm"
	exit "$failed"
fi

$mote doctor >"$tmp/out"
check "doctor finds this host fit" 0 $?

# --- a guest from a file -----------------------------------------------------
for jail in yes no; do
	$mote run config/examples/hello.ini --set sandbox.enable=$jail -- \
		nonce=$$x exit=7 >"$tmp/out" 2>"$tmp/err"
	check "the guest's code is mote's (jail $jail)" 7 $?
	has "only the guest can print it (jail $jail)" "nonce=$$x" "$tmp/out"
	has "the last line says whose code (jail $jail)" "the guest ended with code 7" "$tmp/err"
done
$mote run config/examples/hello.ini --json -- exit=3 >/dev/null 2>"$tmp/err"
has "--json says whose code" '"code":3,"code_from":"guest"' "$tmp/err"
for form in - "$tmp/t.csv" "$tmp/t.svg"; do
	$mote run config/examples/hello.ini --timeline="$form" >"$tmp/out" 2>/dev/null
	[ "$form" = - ] || cp "$form" "$tmp/out"
	has "the time line as ${form##*.} has the ready mark" "guest ready" "$tmp/out"
done
$mote run --kernel "$MOTE_GUESTS/hello.elf" --memory 8M -- flags >"$tmp/out" 2>/dev/null
has "flags do without a file" "8 MiB, arguments: flags" "$tmp/out"
$mote run --kernel "$tmp" 2>"$tmp/err"
check "a folder as kernel is bad input" 65 $?
has "and named" "a directory" "$tmp/err"
head -c 100 "$MOTE_GUESTS/hello.elf" >"$tmp/cut.elf"
$mote run --kernel "$tmp/cut.elf" 2>"$tmp/err"
check "a cut image is bad input" 65 $?
cp "$mote" "$tmp/plain.elf"
$mote run --kernel "$tmp/plain.elf" 2>"$tmp/err"
check "a program of the host is no image" 65 $?
printf 'x' >"$tmp/one.elf"
$mote run --kernel "$tmp/one.elf" 2>"$tmp/err"
check "one byte is no image" 65 $?
$mote run config/examples/hello.ini >/dev/full 2>/dev/null
check "a full standard output does not hang" 0 $?
rm -f "$tmp/err"
$mote run --kernel "$MOTE_GUESTS/counter.elf" -- quiet=1 2>"$tmp/err" >/dev/null &
pid=$!
sleep 0.5
kill -TERM $pid
wait $pid
check "SIGTERM reaches the guest, whose code counts" 0 $?
rm -f "$tmp/err"
$mote run --kernel "$MOTE_GUESTS/counter.elf" --stop-timeout 300ms -- quiet=1 \
	step_ms=10 >/dev/null 2>"$tmp/err" &
pid=$!
sleep 0.5
kids=$(pgrep -P $pid | wc -l)
check "the jailed VM is a process of its own" 1 "$kids"
vm=$(pgrep -P $pid)
kill -KILL "$vm"
wait $pid
check "a killed VM process is told as its signal" 137 $?
pid=

$mote run config/examples/hello.ini --set log.level=info --set log.file="$tmp/log" --set vm.name=lucy >/dev/null 2>"$tmp/err"
has "the log goes to its file, with name and level" "mote[lucy]: info: vm: started" "$tmp/log"
$mote run config/examples/hello.ini --set log.level=info --set log.format=json >/dev/null 2>"$tmp/err"
has "as JSON too" '{"level":"info","vm":"","message":"vm: ended' "$tmp/err"
$mote run config/examples/hello.ini --set log.level=info >/dev/null 2>"$tmp/err"
has "or to stderr" "mote: info: vm: ended" "$tmp/err"
$mote run config/examples/hello.ini >/dev/null 2>"$tmp/err"
check "by default only the end is told" 1 "$(wc -l <"$tmp/err")"
$mote run config/examples/hello.ini --set sandbox.user=nobody >/dev/null 2>"$tmp/err"
check "the jail's user may be a name" 0 $?
$mote run config/examples/hello.ini --set sandbox.user=not-a-user >/dev/null 2>"$tmp/err"
check "an unknown one is bad input" 65 $?
has "and named" "sandbox.user: not-a-user is not in /etc/passwd" "$tmp/err"

$mote run config/examples/hello.ini --set memory.hugepages=thp >"$tmp/out" 2>/dev/null
has "transparent huge pages" "16 MiB" "$tmp/out"
if [ "$(cat /proc/sys/vm/nr_hugepages)" = 0 ]; then
	$mote run config/examples/hello.ini --set memory.hugepages=2M >/dev/null 2>"$tmp/err"
	check "no reserved huge pages: the host lacks them" 69 $?
	has "and it says where to get them" "vm.nr_hugepages" "$tmp/err"
else
	$mote run config/examples/hello.ini --set memory.hugepages=2M >"$tmp/out" 2>/dev/null
	has "reserved huge pages" "16 MiB" "$tmp/out"
fi

for jail in yes no; do
	$mote run config/examples/hello.ini --set memory.shared=yes --set sandbox.enable=$jail >"$tmp/out" 2>/dev/null
	has "shared memory (jail $jail)" "16 MiB" "$tmp/out"
done
if [ "$(ulimit -H -l)" = unlimited ] || [ "$(ulimit -H -l)" -ge 4096 ]; then
	$mote run config/examples/hello.ini --set memory.lock=yes --set vm.memory=4M >"$tmp/out" 2>"$tmp/err"
	has "locked memory" "4 MiB" "$tmp/out"
	$mote run config/examples/hello.ini --set memory.lock=yes --set memory.shared=yes --set vm.memory=4M >"$tmp/out" 2>"$tmp/err"
	has "locked and shared memory" "4 MiB" "$tmp/out"
else
	echo "skip locked memory: RLIMIT_MEMLOCK is below 4 MiB for good"
fi
if (ulimit -l 64 && ulimit -H -l 128) 2>/dev/null; then
	echo "skip a lock over the limit: RLIMIT_MEMLOCK can be raised"
else
	(ulimit -l 64; $mote run config/examples/hello.ini --set memory.lock=yes >/dev/null 2>"$tmp/err")
	check "a lock over the limit is a matter of rights" 77 $?
	has "and the limit is named" "RLIMIT_MEMLOCK is 65536 bytes" "$tmp/err"
fi

if unshare -Ur true 2>/dev/null; then
	unshare -Ur "$mote" run config/examples/hello.ini -- exit=4 >/dev/null 2>"$tmp/err"
	check "root of a user namespace runs guests too" 4 $?
else
	echo "skip root of a user namespace: unshare -Ur is not allowed"
fi

# --- control, snapshot, restore ------------------------------------------------
rm -f "$tmp/out" "$tmp/err"
$mote run --kernel "$MOTE_GUESTS/counter.elf" --memory 16M \
	--set control.socket="$tmp/s" -- step_ms=10 >"$tmp/out" 2>"$tmp/err" &
pid=$!
until_ok grep -q 'count 5' "$tmp/out"
$mote ctl "$tmp/s" status >"$tmp/st"
has "status says running" "state: running" "$tmp/st"
has "status says ready" "ready: true" "$tmp/st"
has "status shows the jail" "seccomp" "$tmp/st"
$mote ctl "$tmp/s" status --json >"$tmp/st"
has "status as JSON" '"state":"running"' "$tmp/st"
$mote ctl "$tmp/s" pause
check "pause" 0 $?
a=$(wc -l <"$tmp/out")
sleep 0.2
check "a paused guest is silent" "$a" "$(wc -l <"$tmp/out")"
mkdir "$tmp/snap.tmp-0badcafe" && touch "$tmp/snap.tmp-0badcafe/memory"
$mote ctl "$tmp/s" snapshot "$tmp/snap"
check "snapshot" 0 $?
check "its folder is private" 700 "$(stat -c %a "$tmp/snap")"
check "its files are private" "600 600 600" "$(stat -c %a "$tmp/snap/"* | tr '\n' ' ' | sed 's/ $//')"
check "nothing temporary is left, not even of a killed one" "" "$(ls "$tmp" | grep tmp-)"
$mote ctl "$tmp/s" snapshot "$tmp/snap" 2>"$tmp/err2"
check "an existing snapshot is not replaced" 65 $?
has "and named" "exists already" "$tmp/err2"
$mote ctl "$tmp/s" snapshot "$tmp/no/where" 2>"$tmp/err2"
check "no parent folder is an error" 74 $?
$mote ctl "$tmp/s" bogus 2>"$tmp/err2"
check "an unknown command is a usage error" 64 $?
$mote ctl "$tmp/s" resume
check "resume" 0 $?
last=$(grep -c . "$tmp/out")
goes_on() { [ "$(grep -c . "$tmp/out")" -gt "$((last + 3))" ]; }
until_ok goes_on
check "the guest goes on" 0 $?
$mote snapshot "$tmp/s" "$tmp/snap2"
check "a running guest is snapshotted too" 0 $?
$mote snapshot "$tmp/s" "$tmp/diff1" --diff
check "a diff of a running guest" 0 $?
$mote snapshot "$tmp/s" "$tmp/diff2" --diff
check "a diff to a diff" 0 $?
$mote inspect "$tmp/diff2" >"$tmp/st"
has "its parent is named" "parent = diff1" "$tmp/st"
has "and how many there are" "depth = 2" "$tmp/st"
mkdir "$tmp/elsewhere"
$mote snapshot "$tmp/s" "$tmp/elsewhere/diff3" --diff 2>"$tmp/err2"
check "a diff away from its parent is refused" 65 $?
has "and the parent named" "its parent diff2 is not in the same folder" "$tmp/err2"
check "nothing is left of it" "" "$(ls "$tmp/elsewhere")"
$mote merge "$tmp/diff2" "$tmp/merged"
check "merge" 0 $?
$mote merge "$tmp/diff2" "$tmp/merged" 2>"$tmp/err2"
check "merge replaces nothing" 65 $?
$mote verify "$tmp/merged" >/dev/null
check "what was merged is sound" 0 $?
$mote ctl "$tmp/s" stop
wait $pid
check "stop" 0 $?
pid=
has "the guest heard it" "stopped at" "$tmp/out"
check "the socket is gone" "" "$(ls "$tmp/s" 2>/dev/null)"

$mote inspect "$tmp/snap" >"$tmp/insp"
has "inspect names the architecture" "architecture = " "$tmp/insp"
has "inspect says how a clone knows" "clone identity = generation-page" "$tmp/insp"
$mote verify "$tmp/snap" >/dev/null
check "verify" 0 $?
$mote compat "$tmp/snap" >/dev/null
check "compat" 0 $?

# What the snapshot held is the count of the pause.
at=$(sed -n "${a}p" "$tmp/out" | sed 's/count //')
for how in auto cow copy; do
	rm -f "$tmp/out2" # what is waited for must be of this run
	rm -f "$tmp/out2" "$tmp/err2"
	timeout 5 "$mote" restore "$tmp/snap" --set restore.memory=$how \
		--set restore.verify=eager --set control.socket="$tmp/s2" \
		>"$tmp/out2" 2>"$tmp/err2" &
	pid=$!
	until_ok grep -q 'count' "$tmp/out2"
	$mote ctl "$tmp/s2" stop >/dev/null 2>&1
	wait $pid
	check "a restored guest ends by itself ($how)" 0 $?
	pid=
	check "it goes on counting ($how)" "count $((at + 1))" "$(grep -m 1 count "$tmp/out2")"
	has "it knows that it is another ($how)" "generation 2 id" "$tmp/out2"
done
one=$(grep generation "$tmp/out2")
rm -f "$tmp/out2"
rm -f "$tmp/out2"
timeout 5 "$mote" restore "$tmp/snap" >"$tmp/out2" 2>/dev/null &
pid=$!
until_ok grep -q generation "$tmp/out2"
kill $pid
wait $pid
pid=
if [ "$one" = "$(grep generation "$tmp/out2")" ]; then
	bad "twins have different ids" "$one"
else
	ok "twins have different ids"
fi

# resume=no, save again: the same bytes
rm -f "$tmp/err2"
$mote restore "$tmp/snap" --set restore.resume=no --set control.socket="$tmp/s3" \
	>/dev/null 2>"$tmp/err2" &
pid=$!
until_ok "$mote" ctl "$tmp/s3" status
$mote ctl "$tmp/s3" snapshot "$tmp/snap3" >/dev/null 2>&1
kill $pid
wait $pid
pid=
for f in state memory; do
	cmp -s "$tmp/snap/$f" "$tmp/snap3/$f"
	check "saved again unrun, $f has the same bytes" 0 $?
done

# --- memory that is not mapped privately -------------------------------------------
$mote restore "$tmp/snap" --set memory.shared=yes >/dev/null 2>"$tmp/err2"
check "a mapped snapshot can't be shared memory" 65 $?
has "and it says what to do" "set restore.memory=copy" "$tmp/err2"
printf '[restore]\nfrom = %s\n[memory]\nshared = yes\n' "$tmp/snap" >"$tmp/r.ini"
$mote check "$tmp/r.ini" >/dev/null 2>"$tmp/err2"
check "which a file is told before anything is opened" 65 $?
for keys in "memory.shared=yes --set restore.memory=copy" memory.lock=yes; do
	case $keys in
	*lock*) [ "$(ulimit -H -l)" = unlimited ] || [ "$(ulimit -H -l)" -ge 16384 ] || {
		echo "skip locked memory of a snapshot: RLIMIT_MEMLOCK is below 16 MiB for good"
		continue
	} ;;
	esac
	rm -f "$tmp/out2"
	rm -f "$tmp/out2" "$tmp/err2"
	# shellcheck disable=SC2086
	timeout 5 "$mote" restore "$tmp/snap" --set $keys --set control.socket="$tmp/s2" \
		>"$tmp/out2" 2>"$tmp/err2" &
	pid=$!
	until_ok grep -q 'count' "$tmp/out2"
	$mote ctl "$tmp/s2" stop >/dev/null 2>&1
	wait $pid
	check "a restored guest runs with $keys" "0 count $((at + 1))" \
		"$? $(grep -m 1 count "$tmp/out2")"
	pid=
done

# --- damage ----------------------------------------------------------------------
for f in manifest state memory; do
	cp -r "$tmp/snap" "$tmp/hurt"
	size=$(stat -c %s "$tmp/hurt/$f")
	truncate -s $((size - 1)) "$tmp/hurt/$f"
	$mote restore "$tmp/hurt" >/dev/null 2>"$tmp/err2"
	check "a cut $f is refused" 65 $?
	has "a cut $f is named" "$f" "$tmp/err2"
	rm -r "$tmp/hurt"
done
cp -r "$tmp/snap" "$tmp/hurt"
printf 'X' | dd of="$tmp/hurt/memory" bs=1 seek=1052672 conv=notrunc 2>/dev/null
$mote verify "$tmp/hurt" >/dev/null 2>"$tmp/err2"
check "verify finds one byte" 65 $?
$mote restore "$tmp/hurt" --set restore.verify=eager >/dev/null 2>"$tmp/err2"
check "eager verification refuses it" 65 $?
has "and names the place" "memory: offset 0" "$tmp/err2"
cp "$tmp/snap2/state" "$tmp/hurt/state"
$mote restore "$tmp/hurt" >/dev/null 2>"$tmp/err2"
check "two snapshots mixed are refused" 65 $?
$mote restore "$tmp/snap" --set vm.memory=32M >/dev/null 2>"$tmp/err2"
check "another memory size is refused" 65 $?
has "and named" "vm.memory" "$tmp/err2"

# --- when=ready ---------------------------------------------------------------------
timeout 10 "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --memory 16M \
	--set snapshot.when=ready --set snapshot.dir="$tmp/ready" -- until=30 \
	>"$tmp/out" 2>"$tmp/err"
check "a guest with when=ready goes on" 0 $?
$mote verify "$tmp/ready" >/dev/null
check "and left a whole snapshot" 0 $?
exit "$failed"
