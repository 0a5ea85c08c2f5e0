#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# console.sh - each kind of [console]: who reads comes and goes, the guest
# goes on, and nothing is left behind.
set -u
. tests/lib.sh
pid= reader=
trap '[ -z "$pid$reader" ] || kill -9 $pid $reader 2>/dev/null; rm -rf "$tmp"' EXIT
mote=$MOTE_BIN
hello=config/examples/hello.ini
counter="--kernel $MOTE_GUESTS/counter.elf --memory 8M"

kvm_usable || {
	echo "skip consoles: no usable /dev/kvm"
	exit 0
}

# What the socket $1 says, until it is closed; $2 is sent first.
client()
{
	exec perl -MIO::Socket::UNIX -e '$| = 1;
		$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 3;
		$SIG{PIPE} = "IGNORE"; # who is turned away has an answer waiting
		syswrite($s, $ARGV[1]) if length $ARGV[1];
		print while sysread($s, $_, 4096);' "$1" "${2-}"
}

# first FILE, last FILE: that count of whole lines "count N"
first()
{
	sed -n 's/^count \([0-9]*\)\r*$/\1/p' "$1" | head -n 1
}

last()
{
	grep -a -x 'count [0-9]*' "$1" | tail -n 2 | head -n 1 | sed 's/count //'
}

# counts FILE N: at least N counts are there
counts()
{
	[ "$(grep -a -c '^count [0-9]' "$1")" -ge "$2" ]
}

end_vm()
{
	kill $pid
	wait $pid
	check "$1" 0 $?
	pid=
}

# --- null, file ----------------------------------------------------------------
$mote run $hello --set console.type=null -- exit=3 >"$tmp/out" 2>"$tmp/err"
check "a guest runs without a console" 3 $?
check "and says nothing" "" "$(cat "$tmp/out")"
for i in 1 2; do
	$mote run $hello --set console.type=file --set console.path="$tmp/c" -- \
		n=$i >"$tmp/out" 2>/dev/null
	has "a file takes what the guest says ($i)" "arguments: n=$i" "$tmp/c"
done
check "one after the other" 2 "$(grep -c hello "$tmp/c")"
check "and standard output nothing" "" "$(cat "$tmp/out")"
check "the file is the user's alone" 600 "$(stat -c %a "$tmp/c")"

# --- socket ----------------------------------------------------------------------
for jail in yes no; do
	rm -f "$tmp/out" "$tmp/err"
	# shellcheck disable=SC2086
	$mote run $counter --set console.type=socket --set console.path="$tmp/s" \
		--set control.socket="$tmp/ctl" --set sandbox.enable=$jail \
		-- step_ms=10 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	until_ok test -S "$tmp/s"
	check "the socket is the user's alone (jail $jail)" 600 "$(stat -c %a "$tmp/s")"
	sleep 0.3
	$mote ctl "$tmp/ctl" status >"$tmp/st"
	has "status says that nobody is there (jail $jail)" "console_attached: false" "$tmp/st"
	rm -f "$tmp/a"
	client "$tmp/s" "typed and never read" >"$tmp/a" &
	reader=$!
	until_ok counts "$tmp/a" 10
	has "a client hears what was said before it came (jail $jail)" "generation 1" "$tmp/a"
	check "all of it (jail $jail)" 1 "$(first "$tmp/a")"
	$mote ctl "$tmp/ctl" status >"$tmp/st"
	has "status says that somebody is there (jail $jail)" "console_attached: true" "$tmp/st"
	(client "$tmp/s") >"$tmp/b"
	check "a second one is turned away (jail $jail)" \
		"mote: busy: the console has a client already" "$(cat "$tmp/b")"
	n=$(last "$tmp/a")
	until_ok counts "$tmp/a" $((n + 10))
	check "and the first goes on (jail $jail)" 0 $?
	kill $reader
	wait $reader 2>/dev/null
	reader=
	a=$(last "$tmp/a")
	sleep 0.5 # half a hundred counts that nobody hears
	rm -f "$tmp/b"
	(client "$tmp/s") >"$tmp/b" &
	reader=$!
	until_ok counts "$tmp/b" 60
	check "when it has left, another may come (jail $jail)" 0 $?
	b=$(first "$tmp/b")
	if [ "$b" -ge "$a" ] && [ "$b" -lt $((a + 20)) ]; then
		ok "who hears what was said meanwhile (jail $jail)"
	else
		bad "who hears what was said meanwhile (jail $jail)" "$b after $a"
	fi
	$mote run $hello --set console.type=socket --set console.path="$tmp/s" \
		>/dev/null 2>"$tmp/err2"
	check "a second VM on the same socket is refused (jail $jail)" 65 $?
	has "by name (jail $jail)" "console.path: bind $tmp/s: Address already" "$tmp/err2"
	end_vm "SIGTERM ends it (jail $jail)"
	wait $reader
	reader=
	has "the client has the guest's last word (jail $jail)" "stopped at" "$tmp/b"
	check "the socket is gone (jail $jail)" "" "$(ls "$tmp/s" 2>/dev/null)"
	check "standard output got nothing (jail $jail)" "" "$(cat "$tmp/out")"
done

# --- pty -------------------------------------------------------------------------
for jail in yes no; do
	rm -f "$tmp/out" "$tmp/err"
	# shellcheck disable=SC2086
	$mote run $counter --set console.type=pty --set console.path="$tmp/tty" \
		--set control.socket="$tmp/ctl" --set sandbox.enable=$jail \
		-- step_ms=10 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	until_ok test -L "$tmp/tty"
	until_ok grep -q console "$tmp/err"
	tty=$(readlink "$tmp/tty")
	check "the terminal's name is said (jail $jail)" "mote: console: $tty" "$(cat "$tmp/err")"
	check "it is the user's alone (jail $jail)" 600 "$(stat -L -c %a "$tmp/tty")"
	sleep 0.3
	$mote ctl "$tmp/ctl" status >"$tmp/st"
	has "status names it (jail $jail)" "console: $tty" "$tmp/st"
	has "and says that nobody is there (jail $jail)" "console_attached: false" "$tmp/st"
	rm -f "$tmp/a"
	cat "$tmp/tty" >"$tmp/a" 2>/dev/null &
	reader=$!
	until_ok counts "$tmp/a" 40
	has "who opens it hears what was said before (jail $jail)" "generation 1" "$tmp/a"
	check "all of it, as it was said (jail $jail)" 1 "$(first "$tmp/a")"
	echo "typed and never read" >"$tmp/tty"
	n=$(last "$tmp/a")
	until_ok counts "$tmp/a" $((n + 10))
	check "nothing is echoed (jail $jail)" 0 "$(grep -c typed "$tmp/a")"
	kill $reader
	wait $reader 2>/dev/null
	a=$(last "$tmp/a")
	sleep 0.5
	rm -f "$tmp/b"
	cat "$tmp/tty" >"$tmp/b" 2>/dev/null &
	reader=$!
	until_ok counts "$tmp/b" 60
	check "when he has left, another may come (jail $jail)" 0 $?
	b=$(first "$tmp/b")
	if [ "$b" -ge "$a" ] && [ "$b" -lt $((a + 25)) ]; then
		ok "who hears what was said meanwhile (jail $jail)"
	else
		bad "who hears what was said meanwhile (jail $jail)" "$b after $a"
	fi
	end_vm "SIGTERM ends it (jail $jail)"
	wait $reader 2>/dev/null
	reader=
	has "the reader has the guest's last word (jail $jail)" "stopped at" "$tmp/b"
	check "the link is gone (jail $jail)" "" "$(ls "$tmp/tty" 2>/dev/null)"
done
$mote run $hello --set console.type=pty --json >/dev/null 2>"$tmp/err"
has "without a path the name is enough; --json has it too" '{"console":"/dev/pts/' "$tmp/err"

# --- a guest that listens -------------------------------------------------------------
# say SOCKET TEXT: and leave at once
say()
{
	perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 3;
		syswrite($s, $ARGV[1]);' "$1" "$2"
}

# half SOCKET TEXT: say no more, but hear on
half()
{
	exec perl -MIO::Socket::UNIX -e '$| = 1;
		$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 3;
		syswrite($s, $ARGV[1]);
		shutdown($s, 1);
		print while sysread($s, $_, 4096);' "$1" "$2"
}

if [ ! -f "$MOTE_GUESTS/echo.elf" ]; then
	echo "skip input: no guest that listens on this architecture"
else
	long=$(seq -s '' 1000 1024) # 100 bytes
	for jail in yes no; do
		rm -f "$tmp/err"
		timeout 60 "$mote" run --kernel "$MOTE_GUESTS/echo.elf" --memory 8M --set console.type=socket \
			--set console.path="$tmp/s" --set sandbox.enable=$jail \
			>/dev/null 2>"$tmp/err" &
		pid=$!
		# It may be there a moment before anyone listens.
		until_ok say "$tmp/s" "one
"
		# More than one read takes, and gone before the guest looks.
		say "$tmp/s" "$(for i in 1 2 3 4 5 6 7 8 9; do echo "$i$long"; done)
"
		rm -f "$tmp/a"
		(half "$tmp/s" "two
") >"$tmp/a" &
		reader=$!
		until_ok grep -q two "$tmp/a"
		has "who says no more still hears (jail $jail)" "[two]" "$tmp/a"
		kill $reader
		wait $reader 2>/dev/null
		reader=
		until_ok say "$tmp/s" "quit
"
		wait $pid
		check "every line was heard, also of who left at once (jail $jail)" 11 $?
		pid=
	done
	rm -f "$tmp/err"
	timeout 60 "$mote" run --kernel "$MOTE_GUESTS/echo.elf" --memory 8M --set console.type=pty \
		--set console.path="$tmp/tty" >/dev/null 2>"$tmp/err" &
	pid=$!
	until_ok test -L "$tmp/tty"
	printf 'one\nt\003o\n' >"$tmp/tty"
	sleep 0.3
	rm -f "$tmp/a"
	cat "$tmp/tty" >"$tmp/a" 2>/dev/null &
	reader=$!
	until_ok grep -q '\]' "$tmp/a"
	printf 'three\n' >"$tmp/tty"
	until_ok grep -q three "$tmp/a"
	check "a terminal passes every byte on" "listening [one] [t^Co] [three]" \
		"$(cat -v "$tmp/a" | tr '\n' ' ' | sed 's/ $//')"
	kill $reader
	wait $reader 2>/dev/null
	reader=
	sleep 0.2
	printf 'quit\n' >"$tmp/tty"
	wait $pid
	check "also from who opens it for a moment only" 3 $?
	pid=
fi

# --- nobody ever reads ---------------------------------------------------------------
for type in socket pty; do
	# shellcheck disable=SC2086
	timeout 60 $mote run $counter --set console.type=$type \
		--set console.path="$tmp/n" -- step_ms=0 until=12000 >/dev/null 2>"$tmp/err"
	check "a guest with much to say ends without a reader ($type)" 0 $?
	has "what was lost is told ($type)" "console: output lost: bytes=" "$tmp/err"
	check "and nothing is left ($type)" "" "$(ls "$tmp/n" 2>/dev/null)"
done

# --- what is at console.path already ---------------------------------------------------
for type in socket pty; do
	echo precious >"$tmp/file"
	$mote run $hello --set console.type=$type --set console.path="$tmp/file" \
		>/dev/null 2>"$tmp/err"
	check "a file is no place for a console's $type" 65 $?
	has "it is named ($type)" "console.path: " "$tmp/err"
	check "and stays as it was ($type)" precious "$(cat "$tmp/file")"
	mkdir -p "$tmp/dir"
	$mote run $hello --set console.type=$type --set console.path="$tmp/dir" \
		>/dev/null 2>"$tmp/err"
	check "nor is a folder ($type)" 65 $?
	check "which is still there ($type)" yes "$([ -d "$tmp/dir" ] && echo yes)"
	for target in /dev/null /dev/pts/none/x "$tmp/file" /dev/pts/ptmx; do
		ln -sf $target "$tmp/link"
		case $type$target in
		pty/dev/pts/none/x) want=0 ;; # of a terminal that is gone
		*) want=65 ;;
		esac
		$mote run $hello --set console.type=$type --set console.path="$tmp/link" \
			>/dev/null 2>"$tmp/err"
		check "a link to $target ($type)" $want $?
		[ $want = 0 ] || check "and it stays ($type)" $target "$(readlink "$tmp/link")"
		rm -f "$tmp/link"
	done
	# One that a killed launcher left is replaced.
	# shellcheck disable=SC2086
	$mote run $counter --set console.type=$type --set console.path="$tmp/old" \
		-- quiet=1 >/dev/null 2>&1 &
	pid=$!
	until_ok ls "$tmp/old"
	kill -9 $pid
	wait $pid 2>/dev/null
	pid=
	check "a killed mote leaves its $type" yes "$([ -L "$tmp/old" ] || [ -S "$tmp/old" ] && echo yes)"
	sleep 0.2 # its VM dies with it
	$mote run $hello --set console.type=$type --set console.path="$tmp/old" -- exit=5 \
		>/dev/null 2>"$tmp/err"
	check "which the next one replaces ($type)" 5 $?
	check "and removes ($type)" "" "$(ls "$tmp/old" 2>/dev/null)"
done
$mote run $hello --set console.type=socket 2>"$tmp/err"
check "a socket needs a path" 65 $?
exit "$failed"
