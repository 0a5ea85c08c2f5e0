#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# dirty.sh - memory.dirty_tracking: snapshots, diffs and restores in each mode,
# jailed, so that the VM thread's filter has what they need.
. tests/lib.sh
mote=$MOTE_BIN

kvm_usable || {
	echo "skip dirty tracking: no usable /dev/kvm"
	exit 0
}

# up NAME COMMAND...: in the background, with a control socket, until it counts
up()
{
	_out=$tmp/$1.out
	shift
	rm -f "$tmp/ctl"
	"$@" > "$_out" 2> "$tmp/err" < /dev/null &
	pid=$!
	until_ok counted "$_out"
}

counted()
{
	[ "$(grep -a -c '^count [0-9]' "$1")" -ge 3 ]
}

down()
{
	kill -KILL $pid
	wait $pid 2> /dev/null
}

# take MODE NAME OPTION...: a snapshot, which is whole
take()
{
	_mode=$1 _name=$2
	shift 2
	"$mote" snapshot "$tmp/ctl" "$tmp/snaps/$_name" "$@" > "$tmp/said" 2>&1
	check "$_mode: $_name is taken: $(cat "$tmp/said")" 0 $?
	"$mote" verify "$tmp/snaps/$_name" > /dev/null 2>&1
	check "$_mode: it is whole" 0 $?
}

mkdir "$tmp/snaps"
modes="auto bitmap"
ring=$("$mote" run --kernel "$MOTE_GUESTS/hello.elf" --set memory.dirty_tracking=ring 2>&1 > /dev/null)
case $ring in
*"no dirty ring"*) ;;
*) modes="$modes ring" ;;
esac

for mode in $modes; do
	up $mode "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --memory 16M \
		--set memory.dirty_tracking=$mode --set control.socket="$tmp/ctl" -- step_ms=10
	take $mode $mode-full
	take $mode $mode-one --diff
	"$mote" ctl "$tmp/ctl" pause > /dev/null
	take $mode $mode-two --diff
	down
	# With a log the first diff needs no mapping.
	up $mode-copy "$mote" restore "$tmp/snaps/$mode-two" --set restore.memory=copy \
		--set control.socket="$tmp/ctl"
	if [ $mode = auto ]; then
		"$mote" snapshot "$tmp/ctl" "$tmp/snaps/auto-copy" --diff > "$tmp/said" 2>&1
		check "$mode: a diff of a copy is refused" 1 "$(grep -c 'not tracked' "$tmp/said")"
	else
		take $mode $mode-copy --diff
	fi
	down
done

up private "$mote" restore "$tmp/snaps/auto-full" --set memory.dirty_tracking=private \
	--set control.socket="$tmp/ctl"
take private private-one --diff
"$mote" snapshot "$tmp/ctl" "$tmp/snaps/private-two" --diff > "$tmp/said" 2>&1
check "private: a diff to a diff is refused by name" 1 "$(grep -c 'dirty_tracking=private' "$tmp/said")"
down

"$mote" run --kernel "$MOTE_GUESTS/hello.elf" --set memory.dirty_tracking=wp > /dev/null 2> "$tmp/err"
check "wp is refused" 65 $?
has "by name" "memory.dirty_tracking: 'wp': not in this version yet" "$tmp/err"
