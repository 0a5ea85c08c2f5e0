#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# damage.sh - one bit of a snapshot's memory is another one: mote verify and,
# however it verifies, mote restore refuse it, and the guest says nothing.
# Under lazy verification that is so for the chunks that are touched; what
# nobody touches hurts nobody.  MOTE_LONG (make test-long): a thousand times.
set -u
. tests/lib.sh
mote=$MOTE_BIN
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$tmp"' EXIT
if [ "$(uname -m)" != x86_64 ]; then
	echo "skip damage by the command line: the golden snapshot is of x86_64"
	exit 0
fi
times=20 rounds=1
[ -z "${MOTE_LONG:-}" ] || times=1000 rounds=10
cp -r tests/golden/x86_64/counter-1 "$tmp/snap"

# flip SEED FILE [FIRST LENGTH]: a bit of it, or of that part; twice is as before
flip()
{
	perl -e 'srand(shift); open(my $f, "+<", shift) or die;
		my ($first, $n) = (@ARGV, 0, -s $f); my $at = $first + int rand($n);
		seek($f, $at, 0); read($f, my $b, 1);
		seek($f, $at, 0); print $f chr(ord($b) ^ 1 << rand 8)' "$@"
}

# refused CODE WORDS COMMAND...: with that code and those words, and no output
refused()
{
	want=$1 words=$2
	shift 2
	timeout 10 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	code=$?
	[ $code -eq "$want" ] && [ ! -s "$tmp/out" ] && grep -q -F "$words" "$tmp/err" ||
		wrong="$wrong $n:$3:$code:$(head -c 200 "$tmp/err")"
}

has_uffd=yes
place='memory: offset 0 to 2097152: digest does not match'
if ! kvm_usable; then
	echo "skip damage that a restore finds: no usable /dev/kvm"
	has_uffd=
else
	flip 0 "$tmp/snap/memory"
	"$mote" restore "$tmp/snap" --set restore.memory=uffd --set restore.verify=lazy \
		>/dev/null 2>"$tmp/err" </dev/null
	[ $? -ne 69 ] || {
		echo "skip damage under lazy verification: $(tail -n 1 "$tmp/err")"
		has_uffd=
	}
	flip 0 "$tmp/snap/memory"
fi

wrong='' n=0
while [ $n -lt $times ]; do
	n=$((n + 1))
	flip $n "$tmp/snap/memory"
	refused 65 "$place" "$mote" verify "$tmp/snap"
	if kvm_usable; then
		for how in eager once; do
			refused 65 "$place" "$mote" restore "$tmp/snap" --set restore.verify=$how
		done
	fi
	[ -z "$has_uffd" ] || refused 75 "snapshot snap: chunk 0: $place" \
		"$mote" restore "$tmp/snap" --set restore.verify=lazy
	flip $n "$tmp/snap/memory"
done
check "$n times one bit of the memory: refused each time, in words, unseen by the guest" "" "$wrong"
"$mote" verify "$tmp/snap" >/dev/null
check "put back, it is sound" 0 $?
[ "$has_uffd" ] || exit "$failed"

# --- a machine of eight chunks, one of which is damaged -------------------------------
timeout 20 "$mote" run --kernel "$MOTE_GUESTS/counter.elf" --memory 16M --set snapshot.when=ready \
	--set snapshot.ready='console:count 3' --set snapshot.dir="$tmp/large" -- step_ms=1 \
	</dev/null >/dev/null 2>&1 &
pid=$!
until_ok test -e "$tmp/large"
kill $pid
wait $pid 2>/dev/null
pid=

wrong='' n=0 ended=0 on=0
while [ $n -lt $((rounds * 8)) ]; do
	chunk=$((n % 8))
	begin=$((chunk * 2097152))
	flip $n "$tmp/large/memory" $begin 2097152
	rm -f "$tmp/s" "$tmp/out"
	rm -f "$tmp/out" "$tmp/err"
	timeout 20 "$mote" restore "$tmp/large" --set restore.verify=lazy \
		--set control.socket="$tmp/s" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	until_ok sh -c "grep -q '^count 9$' '$tmp/out' || ! kill -0 $pid"
	"$mote" ctl "$tmp/s" stop >/dev/null 2>&1
	wait $pid
	code=$?
	pid=
	if [ $code -eq 75 ]; then
		ended=$((ended + 1))
		grep -q -F "snapshot large: chunk $chunk: memory: offset $begin to $((begin + 2097152)):" \
			"$tmp/err" || wrong="$wrong $n:$(head -c 200 "$tmp/err")"
	else
		on=$((on + 1))
		[ $code -eq 0 ] && [ "$(grep -m 1 '^count' "$tmp/out")" = "count 4" ] &&
			grep -q '^count 9$' "$tmp/out" || wrong="$wrong $n:$code:$(head -c 200 "$tmp/err")"
	fi
	flip $n "$tmp/large/memory" $begin 2097152
	n=$((n + 1))
done
check "$n times one bit of a chunk, lazy: $ended ended the guest, by name; $on were not touched, and it went on" \
	"" "$wrong"
check "both were to be seen" 1 $((ended > 0 && on > 0))
"$mote" verify "$tmp/large" >/dev/null
check "put back, it is sound too" 0 $?
exit "$failed"
