#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fork.sh - mote fork: children of a running VM, jailed and not, booted and
# restored.
. tests/lib.sh
mote=$MOTE_BIN

kvm_usable || {
	echo "skip forks: no usable /dev/kvm"
	exit 0
}

# parent COMMAND...: in the background, with a control socket
parent()
{
	rm -f "$tmp/ctl"
	rm -f "$tmp/out" "$tmp/err"
	timeout 120 "$@" --set control.socket="$tmp/ctl" $more > "$tmp/out" 2> "$tmp/err" < /dev/null &
	pid=$!
	until_ok counted "$tmp/out" 3
}

# counted FILE N: at least N counts are there
counted()
{
	[ "$(grep -a -c '^count [0-9]' "$1")" -ge "$2" ]
}

first() { sed -n 's/^count \([0-9]*\)$/\1/p' "$1" | head -n 1; }

# children NAME: fork three of them; each goes on from one moment, as another
children()
{
	before=$(grep -a -x 'count [0-9]*' "$tmp/out" | tail -n 1 | sed 's/count //')
	rm -f "$tmp"/child.*
	timeout 60 "$mote" fork "$tmp/ctl" -n 3 --set console.type=file \
		--set "console.path=$tmp/child.%i" 2> "$tmp/ferr"
	check "$1: its children end as it would" 0 $?
	for i in 1 2 3; do
		has "$1: child $i came to its end" "done at 300" "$tmp/child.$i"
		check "$1: child $i goes on after its parent" ok \
			"$([ "$(first "$tmp/child.$i")" -gt "$before" ] && echo ok)"
	done
	check "$1: all from one moment" 1 "$(for i in 1 2 3; do first "$tmp/child.$i"; done | sort -u | wc -l)"
	check "$1: none is another one's twin" 3 "$(grep -h -o 'id .*' "$tmp"/child.* | sort -u | wc -l)"
	wait $pid
	check "$1: the parent ends by itself" 0 $?
	check "$1: it has counted one by one" "$(first "$tmp/out") 300" \
		"$(sed -n 's/^count //p' "$tmp/out" | awk 'NR == 1 { a = $1 } { if ($1 != a + NR - 1) bad = 1; z = $1 } END { print bad ? "bad" : a " " z }')"
}

counter="$mote run --kernel $MOTE_GUESTS/counter.elf --memory 16M"
for jail in yes no; do
	more="--set sandbox.enable=$jail -- step_ms=10 until=300"
	parent $counter
	children "booted (jail $jail)"
done

# A restored one: what its file holds is copied before the pause.
more="--set sandbox.enable=no --set snapshot.dir=$tmp/snap --set snapshot.when=ready \
	--set snapshot.ready=after:50ms -- step_ms=10 until=300"
parent $counter
wait $pid
more=
parent "$mote" restore "$tmp/snap"
children "restored"

more="-- step_ms=10 until=300"
parent $counter
timeout 60 "$mote" fork "$tmp/ctl" > "$tmp/child" 2> "$tmp/ferr" < /dev/null
check "one child has the terminal" 0 $?
has "and talks there" "done at 300" "$tmp/child"
wait $pid

# --- who ends whom ----------------------------------------------------------------
family() { pgrep -f "fork $tmp/ctl -n 3" | wc -l; }
nobody() { [ "$(family)" = 0 ]; }
for sig in TERM KILL; do
	more="-- step_ms=10 until=100000"
	parent $counter
	rm -f "$tmp/ferr"
	"$mote" fork "$tmp/ctl" -n 3 2> "$tmp/ferr" &
	forked=$!
	all_there() { [ "$(family)" -ge 7 ]; } # itself, three launchers, three VMs
	until_ok all_there
	kill -$sig $forked
	wait $forked
	check "SIG$sig: it ends" "$([ $sig = TERM ] && echo 0 || echo 137)" $?
	until_ok nobody
	check "SIG$sig: and its children with it" 0 "$(family)"
	check "SIG$sig: not its parent" "ok" "$(kill -0 $pid && echo ok)"
	kill $pid
	wait $pid
done

# --- requests that are none --------------------------------------------------------
more="-- step_ms=10 until=100000"
parent $counter
perl -MIO::Socket::UNIX -e '
	$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 3;
	syswrite($s, "{\"command\":\"fork\"}\n");
	sysread($s, $_, 4096); print;' "$tmp/ctl" > "$tmp/ferr"
has "a fork without files is refused" "fork: expected three files" "$tmp/ferr"
kill $pid
wait $pid

# --- refusals ---------------------------------------------------------------------
"$mote" fork "$tmp/none" 2> "$tmp/ferr"
check "no such socket" 69 $?
"$mote" fork "$tmp/ctl" -n 0 2> "$tmp/ferr"
check "no children" 64 $?
"$mote" fork 2> "$tmp/ferr"
check "no socket" 64 $?

exit $failed
