#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# crash.sh - who writes a snapshot is killed, or a call of his fails, at every
# place there is: the snapshots of before stay whole, the new one is whole or
# not there, and the next attempt works.  A part of it with all other tests;
# MOTE_LONG (make test-long) makes it whole.
set -u
. tests/lib.sh
trip=${MOTE_BIN%/*}/trip
mote=$MOTE_BIN
pid= tripper=
trap 'kill -9 $pid $tripper 2>/dev/null; rm -rf "$tmp"' EXIT

if ! kvm_usable; then
	echo "skip writers that crash: no usable /dev/kvm"
	exit 0
fi
if [ ! -x "$trip" ]; then
	echo "skip writers that crash: tests/cli/trip.c is for x86_64 only"
	exit 0
fi
if "$trip" - any 0 kill /bin/true 2>&1 | grep -q PTRACE; then
	echo "skip writers that crash: ptrace(2) is not allowed here"
	exit 0
fi

# every N: one of how many places is tried; rounds: killed at any moment
if [ -n "${MOTE_LONG:-}" ]; then every=1 rounds=1000; else every=11 rounds=20; fi
mkdir "$tmp/d"
s=$tmp/s new=$tmp/d/new

# wait until a command succeeds, in small steps
soon()
{
	for _ in $(seq 1000); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.005
	done
	return 1
}

# begin JAIL: a guest that goes on from the snapshot "old"
begin()
{
	rm -f "$s"
	rm -f "$tmp/err"
	"$mote" restore "$tmp/d/old" --set control.socket="$s" \
		--set sandbox.enable="$1" </dev/null >/dev/null 2>"$tmp/err" &
	pid=$!
	soon "$mote" ctl "$s" status
}

end()
{
	kill -9 "$pid" 2>/dev/null
	# Its VM process goes with it, but not at once.
	wait "$pid" 2>/dev/null
	pid=
}

# watch WHO CALL N ACTION: trip.c waits at it
watch()
{
	: >"$tmp/trip" # what the last one said is no "ready"
	"$trip" "$@" >>"$tmp/trip" 2>&1 &
	tripper=$!
	soon grep -q -e ready -e PTRACE "$tmp/trip"
}

unwatch()
{
	kill "$tripper" 2>/dev/null
	wait "$tripper" 2>/dev/null
	tripper=
}

who()
{
	if [ "$1" = vm ]; then pgrep -P "$pid"; else echo "$pid"; fi
}

# Is what is there whole?  Says what is wrong; counts what is new.
whole()
{
	"$mote" verify "$tmp/d/old" >/dev/null 2>&1 || echo "the old one is damaged"
	[ ! -e "$new" ] || "$mote" verify "$new" >/dev/null 2>"$tmp/verr" ||
		echo "the new one is half: $(cat "$tmp/verr")"
}

# The next attempt works, and clears away what is left of the last one.
again()
{
	rm -rf "$new"
	begin "$1"
	"$mote" ctl "$s" snapshot "$new" >/dev/null 2>"$tmp/verr" ||
		echo "no snapshot any more: $(cat "$tmp/verr")"
	whole
	end
	rm -rf "$new"
	left=$(ls "$tmp/d")
	[ "$left" = old ] || echo "left behind: $left"
}

"$mote" run --kernel "$MOTE_GUESTS/counter.elf" --memory 2M --set snapshot.when=ready \
	--set snapshot.dir="$tmp/d/old" -- quiet=1 step_ms=50 </dev/null >/dev/null 2>&1 &
pid=$!
soon test -e "$tmp/d/old"
end
"$mote" verify "$tmp/d/old" >/dev/null
check "there is a snapshot to begin with" 0 $?
[ "$failed" -eq 0 ] || exit 1

# --- killed after a system call ---------------------------------------------------
# clear: nothing new is there, or ("stale") what a killed one left
clear_new()
{
	rm -rf "$new" "$new".tmp-*
	[ "$1" != stale ] || { mkdir "$new.tmp-0badcafe" && touch "$new.tmp-0badcafe/state"; }
}

# kill_at TARGET JAIL [diff|stale]
kill_at()
{
	what="$1 (jail $2${3:+, $3})" wrong='' tried=0 kept=0
	option=
	[ "${3:-}" != diff ] || option=--diff
	clear_new "${3:-}"
	begin "$2"
	watch "$(who "$1")" any 0 kill
	# shellcheck disable=SC2086 # an option or none
	"$mote" snapshot "$s" "$new" $option >/dev/null 2>&1
	unwatch
	all=$(grep -c '^[0-9]' "$tmp/trip")
	[ -e "$new" ] && [ "$all" -gt 20 ] || wrong="only $all calls are seen"
	end
	n=1
	while [ "$n" -le "$all" ]; do
		clear_new "${3:-}"
		begin "$2"
		watch "$(who "$1")" any "$n" kill
		# shellcheck disable=SC2086 # an option or none
		"$mote" snapshot "$s" "$new" $option >/dev/null 2>&1
		# A call more or less at the end: then nothing was to be stopped.
		soon grep -q '\*$' "$tmp/trip" || [ -e "$new" ] ||
			wrong="$wrong $n:not reached"
		end
		wait "$tripper" 2>/dev/null
		tripper=
		w=$(whole)
		[ -z "$w" ] || wrong="$wrong $n:$w"
		[ ! -e "$new" ] || kept=$((kept + 1))
		tried=$((tried + 1))
		n=$((n + every))
	done
	w=$(again "$2")
	check "the $what killed after $tried of $all system calls: $kept new, $((tried - kept)) none, all whole" \
		"" "$wrong$w"
	[ "$every" -gt 1 ] || check "some came in time, some too late ($what)" 1 \
		$((kept > 0 && kept < tried))
}
kill_at launcher yes
kill_at vm yes
kill_at process no
kill_at launcher yes diff
kill_at vm yes diff
kill_at launcher yes stale

# --- killed at any moment -----------------------------------------------------------
for target in launcher vm; do
	wrong='' kept=0 n=0
	while [ "$n" -lt $((rounds / 2)) ]; do
		n=$((n + 1))
		begin yes
		victim=$(who $target)
		"$mote" ctl "$s" snapshot "$new" >/dev/null 2>&1 &
		ctl=$!
		# 0 to 8 ms: a snapshot takes about 4.  The seed is the number.
		perl -e 'srand(shift); select(undef, undef, undef, rand 0.008);
			kill "KILL", shift' $n "$victim"
		wait "$ctl" 2>/dev/null
		end
		w=$(whole)
		[ -z "$w" ] || wrong="$wrong $n:$w"
		[ ! -e "$new" ] || kept=$((kept + 1))
		rm -rf "$new"
	done
	w=$(again yes)
	check "the $target killed at $n random moments: $kept new, $((n - kept)) none, all whole" \
		"" "$wrong$w"
done

# --- a call that fails --------------------------------------------------------------
# fail_at TARGET JAIL CALL ERROR [NEW]: every CALL once; NEW: it may be there
# although the last of them failed (the folder's name is not on the disk).
fail_at()
{
	what="$3 of the $1 (jail $2)" wrong='' n=1 last=
	begin "$2"
	while :; do
		watch "$(who "$1")" "$3" $n "$4"
		"$mote" ctl "$s" snapshot "$new" >/dev/null 2>"$tmp/ctl"
		code=$?
		unwatch
		hit=$(grep -c '\*$' "$tmp/trip")
		if [ "$hit" -eq 0 ]; then
			[ "$code" -eq 0 ] || wrong="$wrong $n:it fails untouched"
			rm -rf "$new"
			break
		fi
		case $4 in
		short) [ "$code" -eq 0 ] && [ -e "$new" ] || wrong="$wrong $n:code $code" ;;
		*)
			[ "$code" -eq 74 ] || wrong="$wrong $n:code $code $(cat "$tmp/ctl")"
			last=$last$([ ! -e "$new" ] || echo "$n ")
			;;
		esac
		# Whose answer was a failure is not asked again.
		fd=$(sed -n 's/^[0-9]* [0-9]* \([-0-9]*\) \*$/\1/p' "$tmp/trip")
		[ "$3" != fsync ] || [ "$(awk -v f="$fd" '$3 == f' "$tmp/trip" | wc -l)" -eq 1 ] ||
			wrong="$wrong $n:fsync of $fd again"
		w=$(whole)
		[ -z "$w" ] || wrong="$wrong $n:$w"
		rm -rf "$new"
		left=$(ls "$tmp/d")
		[ "$left" = old ] || wrong="$wrong $n:left $left"
		"$mote" ctl "$s" status | grep -q "state: running" || wrong="$wrong $n:the guest stands"
		n=$((n + 1))
	done
	end
	[ "$n" -gt 1 ] || wrong="no such call"
	[ "$4" = short ] || [ "$last" = "${5:+$((n - 1)) }" ] || wrong="$wrong there after: $last"
	check "$4 at each $what: $((n - 1)) of them, whole or not there, and the guest goes on" "" "$wrong"
}
for error in ENOSPC EDQUOT EIO short; do
	fail_at vm yes write $error
	[ -n "${MOTE_LONG:-}" ] || [ $error = ENOSPC ] || continue
	fail_at process no write $error
	[ $error != short ] || continue
	fail_at vm yes ftruncate $error
	fail_at launcher yes mkdirat $error
	fail_at launcher yes renameat2 $error
done
fail_at launcher yes fsync EIO new
fail_at process no fsync EIO new

# --- mote merge ---------------------------------------------------------------------
begin yes
"$mote" snapshot "$s" "$tmp/d/diff" --diff >/dev/null
end
"$trip" - any 0 kill "$mote" merge "$tmp/d/diff" "$new" >"$tmp/trip" 2>&1
"$mote" verify "$new" >/dev/null
check "a merge that is watched" 0 $?
all=$(grep -c '^[0-9]' "$tmp/trip") n=1 wrong='' kept=0 tried=0
while [ "$n" -le "$all" ]; do
	rm -rf "$new"
	"$trip" - any $n kill "$mote" merge "$tmp/d/diff" "$new" >"$tmp/trip" 2>&1
	w=$(whole)
	[ -z "$w" ] || wrong="$wrong $n:$w"
	[ ! -e "$new" ] || kept=$((kept + 1))
	tried=$((tried + 1)) n=$((n + every))
done
"$mote" verify "$tmp/d/diff" >/dev/null || wrong="$wrong its source is damaged"
rm -rf "$new"
"$mote" merge "$tmp/d/diff" "$new" >/dev/null || wrong="$wrong no merge any more"
rm -rf "$new" "$tmp/d/diff"
[ "$(ls "$tmp/d")" = old ] || wrong="$wrong left: $(ls "$tmp/d")"
check "a merge killed after $tried of $all system calls: $kept new, $((tried - kept)) none, all whole" \
	"" "$wrong"
exit "$failed"
