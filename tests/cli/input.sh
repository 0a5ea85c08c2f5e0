#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# input.sh - what a user gets wrong: paths, closed descriptors, too much.
# The exit code says whose fault it is, and no file of the user is harmed.
set -u
. tests/lib.sh
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$tmp"' EXIT
mote=$MOTE_BIN
hello=config/examples/hello.ini

flags=
for _ in $(seq 300); do flags="$flags --memory 16M"; done
# shellcheck disable=SC2086
$mote run $hello $flags >/dev/null 2>"$tmp/err"
check "hundreds of flags are a usage error" 64 $?

if ! kvm_usable; then
	echo "skip bad input to a launch: no usable /dev/kvm"
	exit "$failed"
fi

# --- paths -------------------------------------------------------------------
$mote run --kernel "$tmp/none.elf" 2>"$tmp/err"
check "a missing image is bad input" 65 $?
has "and named" "none.elf: No such file" "$tmp/err"
mkdir "$tmp/empty"
$mote restore "$tmp/empty" 2>"$tmp/err"
check "a folder without a manifest is bad input" 65 $?
$mote run $hello --set console.type=file --set console.path="$tmp/no/c" 2>"$tmp/err"
check "a console file in no folder is bad input" 65 $?
echo precious >"$tmp/file"
$mote run $hello --set control.socket="$tmp/file" >/dev/null 2>"$tmp/err"
check "a file is no place for the control socket" 65 $?
check "and it stays as it was" precious "$(cat "$tmp/file")"

# --- standard descriptors that are closed -------------------------------------
$mote run $hello --set console.type=file --set console.path="$tmp/c" -- \
	exit=4 <&- >&- 2>&-
check "without any standard descriptor the guest runs" 4 $?
has "and its console is the file" "hello from a mote guest" "$tmp/c"
for fd in 0 1 2; do
	for jail in yes no; do
		case $fd in
		0) $mote run $hello --set sandbox.enable=$jail -- exit=4 <&- >/dev/null 2>&1 ;;
		1) $mote run $hello --set sandbox.enable=$jail -- exit=4 >&- 2>/dev/null ;;
		2) $mote run $hello --set sandbox.enable=$jail -- exit=4 2>&- >/dev/null ;;
		esac
		check "descriptor $fd closed (jail $jail)" 4 $?
	done
done

# --- snapshot.when=ready ---------------------------------------------------------
for i in 1 2 3 4 5; do
	rm -rf "$tmp/ready"
	$mote run $hello --set snapshot.when=ready --set snapshot.dir="$tmp/ready/" \
		-- exit=6 >/dev/null 2>&1
	check "a guest that ends right after its mark ($i)" 6 $?
	$mote verify "$tmp/ready" >/dev/null 2>&1
	check "has its snapshot of the mark ($i)" 0 $?
done
$mote restore "$tmp/ready" >"$tmp/out" 2>/dev/null
check "it is the one before its end" 6 $?
has "and before its greeting" "hello from" "$tmp/out"
$mote run $hello --set snapshot.when=ready --set snapshot.dir="$tmp/ready" \
	>"$tmp/out" 2>"$tmp/err"
check "a snapshot of that name is there" 65 $?
check "which is told before the guest runs" "" "$(cat "$tmp/out")"
printf '[restore]\nfrom = %s\n' "$tmp/ready" >"$tmp/r.ini"
$mote run "$tmp/r.ini" -- more 2>"$tmp/err"
check "a restored guest takes no arguments" 64 $?

# --- stopped before it began -------------------------------------------------------
rm -f "$tmp/out" "$tmp/err"
$mote restore "$tmp/ready" --set restore.resume=no --set control.socket="$tmp/s" \
	>"$tmp/out" 2>"$tmp/err" &
pid=$!
until_ok "$mote" ctl "$tmp/s" status
kill $pid
wait $pid
check "SIGTERM ends a guest that was never resumed" 143 $?
pid=
check "without running it" "" "$(cat "$tmp/out")"
exit "$failed"
