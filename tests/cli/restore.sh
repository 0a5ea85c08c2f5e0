#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# restore.sh - the ways in which a restore gets the memory and verifies it,
# jailed and not.
set -u
. tests/lib.sh
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$tmp"' EXIT
mote=$MOTE_BIN

# --- values; no KVM needed ---------------------------------------------------
printf '[vm]\nkernel = k.elf\n[restore]\nmemory = cow\nverify = lazy\n' >"$tmp/bad.ini"
$mote check "$tmp/bad.ini" >/dev/null 2>"$tmp/err"
check "lazy verification of a mapping is bad input" 65 $?
has "and named" "bad.ini: restore.verify: found lazy, expected restore.memory = uffd or auto beside it" "$tmp/err"

if ! kvm_usable; then
	echo "skip restores by userfaultfd and from sealed copies: no usable /dev/kvm"
	exit "$failed"
fi

# --- a snapshot ----------------------------------------------------------------
rm -f "$tmp/err"
timeout 20 "$mote" run config/examples/counter.ini --set snapshot.dir="$tmp/snap" \
	--set snapshot.when=ready --set snapshot.ready='console:count 3' --set control.socket="$tmp/s1" \
	>/dev/null 2>"$tmp/err" &
pid=$!
until_ok test -d "$tmp/snap"
kill $pid
wait $pid
pid=
[ -d "$tmp/snap" ] || {
	bad "a snapshot to restore" "there is none: $(cat "$tmp/err")"
	exit 1
}

# goes_on NAME WANT KEY...: a restore with those keys counts on; its log has WANT
goes_on()
{
	name=$1 want=$2
	shift 2
	rm -f "$tmp/out"
	rm -f "$tmp/out" "$tmp/err"
	timeout 20 "$@" "$mote" restore "$tmp/snap" $keys --set log.level=info \
		--set control.socket="$tmp/s2" >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	until_ok grep -q 'count 9' "$tmp/out"
	$mote ctl "$tmp/s2" stop >/dev/null 2>&1
	wait $pid
	check "a guest goes on, $name" "0 yes no" "$? $(grep -q 'count 9' "$tmp/out" && echo yes) $(
		grep -q -x 'count 1' "$tmp/out" || echo no)"
	pid=
	has "$name, and the log says so" "$want" "$tmp/err"
}

cp -r "$tmp/snap" "$tmp/hurt"
printf 'X' | dd of="$tmp/hurt/memory" bs=1 seek=1052672 conv=notrunc 2>/dev/null

uffd=yes
timeout 20 "$mote" restore "$tmp/hurt" --set restore.memory=uffd --set restore.verify=lazy >/dev/null 2>"$tmp/no-uffd"
[ $? -ne 69 ] || uffd=

for jail in yes no; do
	keys="--set sandbox.enable=$jail --set restore.verify=once"
	goes_on "verified once, jail=$jail" "restore: memory=cow: mapping is the fastest way; verify=once"
	$mote restore "$tmp/hurt" $keys >/dev/null 2>"$tmp/err"
	check "once refuses a bad byte, jail=$jail" 65 $?
	has "and names the place" "memory: offset 0 to 2097152: digest does not match" "$tmp/err"
	[ "$uffd" ] || {
		echo "skip restores by userfaultfd, jail=$jail: $(tail -n 1 "$tmp/no-uffd")"
		continue
	}
	keys="--set sandbox.enable=$jail --set restore.memory=uffd"
	goes_on "by userfaultfd, jail=$jail" "restore: memory=uffd: the configuration says so; verify=off"
	keys="--set sandbox.enable=$jail --set restore.verify=lazy"
	goes_on "verified when touched, jail=$jail" "restore: memory=uffd: memory is verified when it is touched; verify=lazy"
	timeout 20 "$mote" restore "$tmp/hurt" $keys >"$tmp/out" 2>"$tmp/err"
	check "a bad chunk is the guest's crash, jail=$jail" 75 $?
	has "and named with file and place" "snapshot hurt: chunk 0: memory: offset 0 to 2097152: digest does not match" "$tmp/err"
	check "and nothing of the guest ran" "" "$(cat "$tmp/out")"
done

# --- hot sets --------------------------------------------------------------------
printf '[vm]\nkernel = %s/touch.elf\nmemory = 32M\ncmdline = fill=1 pages=300\n' "$MOTE_GUESTS" >"$tmp/touch.ini"
rm -f "$tmp/err"
timeout 20 "$mote" run "$tmp/touch.ini" --set snapshot.dir="$tmp/warm" --set snapshot.when=ready \
	>/dev/null 2>"$tmp/err" &
pid=$!
until_ok test -d "$tmp/warm"
kill $pid
wait $pid
pid=
for jail in yes no; do
	rm -f "$tmp/warm/hotset"
	timeout 30 "$mote" restore "$tmp/warm" --set restore.record=yes --set sandbox.enable=$jail \
		>/dev/null 2>"$tmp/err"
	check "a run that records ends as any other, jail=$jail" 0 $?
	check "and leaves a hot set and nothing else" "hotset manifest memory state" "$(ls "$tmp/warm" | tr '\n' ' ' | sed 's/ $//')"
	$mote verify "$tmp/warm" >/dev/null 2>"$tmp/err"
	check "which is whole" 0 $?
	for how in private-thp shared-runs; do
		timeout 20 "$mote" restore "$tmp/warm" --set restore.hotset=$how --set log.level=info \
			--set sandbox.enable=$jail >/dev/null 2>"$tmp/err"
		check "a guest runs with it, $how, jail=$jail" 0 $?
		has "and it was brought in, $how" "restore: hotset=$how: pages=" "$tmp/err"
	done
done

# --- a memory file that becomes shorter ---------------------------------------------
for jail in ${uffd:+yes no}; do
	for verify in off lazy; do
		rm -rf "$tmp/cut" "$tmp/s3"
		cp -r "$tmp/warm" "$tmp/cut"
		rm -f "$tmp/err"
		timeout 20 "$mote" restore "$tmp/cut" --set restore.memory=uffd --set restore.verify=$verify \
			--set restore.resume=no --set sandbox.enable=$jail --set control.socket="$tmp/s3" \
			>/dev/null 2>"$tmp/err" &
		pid=$!
		until_ok "$mote" ctl "$tmp/s3" status
		truncate -s 17M "$tmp/cut/memory"
		"$mote" ctl "$tmp/s3" resume >/dev/null
		wait $pid
		check "what is cut off is the guest's crash, verify=$verify, jail=$jail" 75 $?
		pid=
		check "and named with file and place" 1 \
			"$(grep -c 'snapshot cut: .*memory.*offset [0-9]*: Input/output error' "$tmp/err")"
	done
done
cp "$tmp/warm/hotset" "$tmp/before"
: >"$tmp/warm/hotset.tmp"
flock "$tmp/warm/hotset.tmp" "$mote" restore "$tmp/warm" --set restore.record=yes >/dev/null 2>"$tmp/err"
check "two do not record at the same time" 65 $?
has "and the second says so" "restore.record: another run is recording there" "$tmp/err"
# What a killed run left is written over.
timeout 30 "$mote" restore "$tmp/warm" --set restore.record=yes >/dev/null 2>"$tmp/err"
check "a stale hotset.tmp is in nobody's way" "0 no" "$? $(test -e "$tmp/warm/hotset.tmp" && echo yes || echo no)"
printf 'X' | dd of="$tmp/warm/hotset" bs=1 seek=100000 conv=notrunc 2>/dev/null
$mote verify "$tmp/warm" >/dev/null 2>"$tmp/err"
check "verify finds a bad byte of it" 65 $?
has "and says where" "hotset: digest of its pages does not match" "$tmp/err"
# A recording that was stopped by SIGKILL or never came to its end leaves none.
rm "$tmp/warm/hotset"
rm -f "$tmp/err"
"$mote" restore "$tmp/warm" --set restore.record=yes --set restore.resume=no --set control.socket="$tmp/s3" \
	>/dev/null 2>"$tmp/err" &
pid=$!
until_ok "$mote" ctl "$tmp/s3" status
check "while it is recorded it has another name" "yes no" "$(test -e "$tmp/warm/hotset.tmp" && echo yes) $(
	test -e "$tmp/warm/hotset" || echo no)"
kill -9 $pid
wait $pid 2>/dev/null
pid=

# How one was restored is not how its snapshots are.
rm -f "$tmp/err"
timeout 20 "$mote" restore "$tmp/snap" --set restore.record=yes --set control.socket="$tmp/s4" >/dev/null 2>"$tmp/err" &
pid=$!
until_ok "$mote" ctl "$tmp/s4" status
$mote ctl "$tmp/s4" snapshot "$tmp/later" >/dev/null 2>"$tmp/err2"
$mote ctl "$tmp/s4" stop >/dev/null 2>&1
wait $pid
pid=
rm -f "$tmp/err"
timeout 20 "$mote" restore "$tmp/later" --set control.socket="$tmp/s5" >/dev/null 2>"$tmp/err" &
pid=$!
until_ok "$mote" ctl "$tmp/s5" status
check "a snapshot of one that records does not record" "manifest memory state" \
	"$(ls "$tmp/later" | tr '\n' ' ' | sed 's/ $//')"
$mote ctl "$tmp/s5" stop >/dev/null 2>&1
wait $pid
pid=

# --- the file behind a guest's memory is cut short --------------------------------
# restore_and_cut SOCKET JAIL: a restored guest, paused, whose file is short
restore_and_cut()
{
	rm -rf "$tmp/cut"
	cp -r "$tmp/snap" "$tmp/cut"
	rm -f "$tmp/err"
	timeout 20 "$mote" restore "$tmp/cut" --set sandbox.enable="$2" --set control.socket="$1" \
		>/dev/null 2>"$tmp/err" &
	pid=$!
	until_ok "$mote" ctl "$1" pause
	truncate -s 4096 "$tmp/cut/memory"
}

for jail in yes no; do
	restore_and_cut "$tmp/s6" $jail
	timeout 10 "$mote" snapshot "$tmp/s6" "$tmp/of-cut" >/dev/null 2>"$tmp/err2"
	check "memory that is gone can't be saved (jail: $jail)" 74 $?
	has "and it is said why (jail: $jail)" "memory" "$tmp/err2"
	check "nothing is left of it (jail: $jail)" "" "$(ls -d "$tmp"/of-cut* 2>/dev/null)"
	"$mote" ctl "$tmp/s6" resume >/dev/null 2>&1
	wait $pid
	check "its guest crashes, and mote does not (jail: $jail)" 75 $?
	pid=
	has "by name (jail: $jail)" "the guest crashed: " "$tmp/err"
done

# Changed pages go with the rest, and nobody touches them: only the file tells.
for jail in yes no; do
	restore_and_cut "$tmp/s7" $jail
	timeout 10 "$mote" snapshot "$tmp/s7" "$tmp/of-cut" --diff >/dev/null 2>"$tmp/err2"
	check "a diff of what is gone (jail: $jail)" 74 $?
	has "is refused by name (jail: $jail)" "cut short" "$tmp/err2"
	check "nothing is left of it (jail: $jail)" "" "$(ls -d "$tmp"/of-cut* 2>/dev/null)"
	wait $pid
	check "and the guest is over (jail: $jail)" 75 $?
	pid=
done

# --- where there is no userfaultfd -------------------------------------------------
without="unshare -m sh -c"
hide='mount --bind /dev/null /dev/userfaultfd && exec setpriv --bounding-set=-sys_ptrace "$@"'
if [ "$uffd" ] && [ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null)" = 0 ] &&
	$without "$hide" sh true 2>/dev/null; then
	$without "$hide" sh "$mote" restore "$tmp/snap" --set restore.memory=uffd >/dev/null 2>"$tmp/err"
	check "uffd by name needs a userfaultfd" 69 $?
	has "and says what to do" "restore.memory: userfaultfd: /dev/userfaultfd: " "$tmp/err"
	keys="--set restore.verify=lazy"
	goes_on "without userfaultfd, which lazy would take" "verify=once: lazy would take a userfaultfd" \
		$without "$hide" sh
	has "and why there is none" "vm.unprivileged_userfaultfd=1" "$tmp/err"
else
	echo "skip restores where userfaultfd can't be had: it can't be hidden here"
fi
exit "$failed"
