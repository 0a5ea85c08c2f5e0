#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# pool.sh - mote pool: every connection has a clone of its own.
. tests/lib.sh
mote=$MOTE_BIN
requests=${MOTE_REQUESTS:-$(dirname "$MOTE_BIN")/requests}

kvm_usable || {
	echo "skip pools: no usable /dev/kvm"
	exit 0
}

# --- a guest that is ready to serve ----------------------------------------------
cat > "$tmp/serve.ini" << END
[vm]
kernel = $MOTE_GUESTS/serve.elf
memory = 32M
[snapshot]
dir = $tmp/ready
when = ready
END
timeout 60 "$mote" run "$tmp/serve.ini" < /dev/null > /dev/null 2>&1 &
pid=$!
until_ok test -d "$tmp/ready"
kill $pid
wait $pid

# pool OPTIONS...: in the background, until it has parked a clone
pool()
{
	rm -f "$tmp/log"
	timeout -k 5 120 "$mote" pool "$tmp/ready" "$@" 2> "$tmp/log" &
	pid=$!
}

# The processes of a pool, itself and its launchers and VMs.
processes()
{
	pgrep -f "pool $tmp/ready" | wc -l
}

end_pool()
{
	pkill -TERM -f "^$mote pool $tmp/ready" || kill $pid
	wait $pid
	check "$1" 0 $?
	check "$1: nobody is left" 0 "$(processes)"
}

# refused CODE WORDS OPTIONS...
refused()
{
	code=$1
	words=$2
	shift 2
	timeout 20 "$mote" pool "$@" > "$tmp/out" 2>&1 < /dev/null
	check "$words: refused" "$code" $?
	has "$words: in words" "$words" "$tmp/out"
}

# --- fresh ones, jailed and not ---------------------------------------------------
for jail in yes no; do
	pool --size 3 --listen "unix:$tmp/s" --set sandbox.enable=$jail
	until_ok test -S "$tmp/s"
	check "the socket is the user's alone (jail $jail)" 600 "$(stat -c %a "$tmp/s")"
	"$requests" "unix:$tmp/s" 20 > "$tmp/out" 2>&1
	check "each request has a clone of its own (jail $jail)" 0 $?
	has "and its answer (jail $jail)" "[request 0] sum" "$tmp/out"
	end_pool "SIGTERM ends a pool (jail $jail)"
	check "the socket is gone (jail $jail)" "" "$(ls "$tmp/s" 2>/dev/null)"
	has "it says what it did (jail $jail)" "20 connections" "$tmp/log"
done

# --- rewound, over TCP ------------------------------------------------------------
port=$((20000 + $$ % 20000))
pool --size 2 --rewind --listen tcp:127.0.0.1:$port
until_ok "$requests" tcp:127.0.0.1:$port 1
"$requests" tcp:127.0.0.1:$port 20 > "$tmp/out" 2>&1
check "a rewound clone is a new one for each request" 0 $?
end_pool "SIGTERM ends a pool of rewound clones"
has "two were enough" " 2 clones" "$tmp/log"

# --- all in one process -----------------------------------------------------------
for rewind in "" --rewind; do
	pool --size 3 --in-process $rewind --listen "unix:$tmp/s"
	until_ok test -S "$tmp/s"
	"$requests" "unix:$tmp/s" 20 > "$tmp/out" 2>&1
	check "in one process each request has a clone of its own $rewind" 0 $?
	check "one process it is $rewind" 1 "$(pgrep -f "^$mote pool $tmp/ready" | wc -l)"
	end_pool "SIGTERM ends it $rewind"
	has "it says that this is one trust domain $rewind" "one trust domain" "$tmp/log"
done

# A client that leaves amid its request: the clone is there for the next one.
pool --size 1 --rewind --listen "unix:$tmp/s"
until_ok test -S "$tmp/s"
perl -MIO::Socket::UNIX -e '
	$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 3;
	syswrite($s, "half a requ"); sleep 1;' "$tmp/s"
"$requests" "unix:$tmp/s" 3 > "$tmp/out" 2>&1
check "a client that left half a request leaves nothing behind" 0 $?
end_pool "SIGTERM ends it after that"

# --- more clients than clones -----------------------------------------------------
pool --size 2 --max 3 --listen "unix:$tmp/s"
until_ok test -S "$tmp/s"
clients=
for i in 1 2 3 4 5 6; do
	"$requests" "unix:$tmp/s" 10 > "$tmp/out.$i" 2>&1 &
	clients="$clients $!"
done
bad=0
for c in $clients; do
	wait "$c" || bad=$((bad + 1))
done
check "six clients at a time wait for three clones" 0 $bad
end_pool "SIGTERM ends it"

# --- the pool is killed, or a clone is --------------------------------------------
pool --size 3 --listen "unix:$tmp/s"
until_ok "$requests" "unix:$tmp/s" 1
pkill -KILL -n -f "pool $tmp/ready"
"$requests" "unix:$tmp/s" 8 > "$tmp/out" 2>&1
check "a clone that was killed is replaced" 0 $?
pkill -KILL -o -f "^$mote pool $tmp/ready"
wait $pid
gone() { [ "$(processes)" = 0 ]; }
until_ok gone
check "a pool that was killed leaves nobody behind" 0 "$(processes)"

# --- too few descriptors ----------------------------------------------------------
for how in "" --in-process; do
	limit=40
	[ -z "$how" ] || limit=100
	(
		ulimit -n $limit
		exec timeout -k 5 120 "$mote" pool "$tmp/ready" $how --size 2 --max 64 \
			--listen "unix:$tmp/s" 2> "$tmp/log"
	) &
	pid=$!
	until_ok "$requests" "unix:$tmp/s" 1
	# More than it has descriptors for, at the same time, and they stay.
	timeout 20 perl -MIO::Socket::UNIX -e '
		for (1 .. 60) {
			$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or last;
			push @s, $s;
		}
		sleep 2;' "$tmp/s"
	has "descriptors run out${how:+ ($how)}: it is said" "Too many open files" "$tmp/log"
	check "and not again and again${how:+ ($how)}" 1 $(($(grep -c "Too many" "$tmp/log") < 6))
	main=$(pgrep -o -f "^$mote pool $tmp/ready")
	cpu=$(awk '{ print $14 + $15 }' "/proc/$main/task/$main/stat")
	# Of its main thread: 60 clones may well be busy.
	check "it does not spin${how:+ ($how)}" 1 $((cpu < 100))
	until_ok "$requests" "unix:$tmp/s" 1
	"$requests" "unix:$tmp/s" 8 > "$tmp/out" 2>&1
	check "and serves when they have gone${how:+ ($how)}" 0 $?
	end_pool "SIGTERM ends it${how:+ ($how)}"
done

# Fewer than were asked for, and those serve.
(
	ulimit -n 24
	exec timeout -k 5 120 "$mote" pool "$tmp/ready" --size 16 --max 64 --listen "unix:$tmp/s" 2> "$tmp/log"
) &
pid=$!
until_ok grep -q "no further clone" "$tmp/log"
timeout 20 "$requests" "unix:$tmp/s" 12 > "$tmp/out" 2>&1
check "a pool that can't be filled serves" 0 $?
end_pool "SIGTERM ends a pool that is not full"

# --- a socket of the service manager ----------------------------------------------
rm -f "$tmp/log"
perl -MIO::Socket::INET -e '
	$s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], ReuseAddr => 1) or exit 3;
	require POSIX;
	POSIX::dup2(fileno($s), 3);
	$^F = 3; # the close-on-exec mark of a descriptor that was made before
	open(my $keep, "<&=", 3); require Fcntl; fcntl($keep, 2, 0);
	$ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1;
	exec @ARGV[1 .. $#ARGV];' $((port + 1)) "$mote" pool "$tmp/ready" --size 1 2> "$tmp/log" &
pid=$!
until_ok "$requests" tcp:127.0.0.1:$((port + 1)) 1
"$requests" tcp:127.0.0.1:$((port + 1)) 3 > "$tmp/out" 2>&1
check "LISTEN_FDS: a socket that was passed" 0 $?
kill $pid
wait $pid
check "SIGTERM ends that one too" 0 $?

# --- refusals ---------------------------------------------------------------------
refused 64 "expected a SNAPSHOT" --size 1 --listen "unix:$tmp/s"
refused 64 "expected --listen" "$tmp/ready" --size 1
refused 64 "--size" "$tmp/ready" --size 0 --listen "unix:$tmp/s"
refused 64 "--max is below --size" "$tmp/ready" --size 3 --max 2 --listen "unix:$tmp/s"
refused 64 "--listen: tcp:localhost:1" "$tmp/ready" --listen tcp:localhost:1
refused 64 "unix:PATH" "$tmp/ready" --listen ftp:x
refused 65 "expected a snapshot" "$tmp/none" --listen "unix:$tmp/s"
refused 65 "console.type" "$tmp/ready" --listen "unix:$tmp/s" --set console.type=pty
refused 65 "--listen: bind" "$tmp/ready" --listen "unix:$tmp/none/s"

cp -r "$tmp/ready" "$tmp/bad"
printf x | dd of="$tmp/bad/memory" bs=1 seek=5000000 conv=notrunc 2> /dev/null
refused 65 "memory" "$tmp/bad" --listen "unix:$tmp/s"
rm -f "$tmp/s" # of the pool that was killed
rm -f "$tmp/log"
"$mote" pool "$tmp/bad" --listen "unix:$tmp/s" --set restore.verify=off 2> "$tmp/log" &
pid=$!
until_ok test -S "$tmp/s"
kill $pid
wait $pid
check "unless it is not to be verified" 0 $?

exit $failed
