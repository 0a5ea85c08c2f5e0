#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# runtime.sh - mote-oci by hand: the calls of an engine, and bad input.
set -u
. tests/lib.sh
trap 'rm -rf "$tmp"' EXIT
oci="$MOTE_OCI --root $tmp/state"

bundle() # DIR ARGS-JSON
{
	mkdir -p "$1/rootfs"
	cp "$MOTE_GUESTS/hello.elf" "$MOTE_GUESTS/counter.elf" "$1/rootfs/"
	cat >"$1/config.json" <<-EOF
	{"ociVersion":"1.0.2","process":{"terminal":false,"args":[$2],"cwd":"/"},
	"root":{"path":"rootfs"},"annotations":{"org.example.k":"v"}}
	EOF
}

$MOTE_OCI --version >"$tmp/out"
has "version names the spec" "spec: 1.0" "$tmp/out"

$oci create --bundle "$tmp/nothing" c0 2>"$tmp/err"
check "a missing bundle is refused" 1 $?
has "and named" "$tmp/nothing" "$tmp/err"
bundle "$tmp/b0" '"/absent.elf"'
$oci --log "$tmp/log" --log-format json create --bundle "$tmp/b0" c0 2>"$tmp/err"
check "a missing image is refused" 1 $?
has "and named in the JSON log" '"msg":"guest image \/absent.elf in the rootfs' "$tmp/log"
ln -s /etc/passwd "$tmp/b0/rootfs/absent.elf"
$oci create --bundle "$tmp/b0" c0 2>"$tmp/err"
check "a link out of the rootfs is refused" 1 $?
bundle "$tmp/b1" '"/hello.elf"'
$oci create --bundle "$tmp/b1" ../evil 2>"$tmp/err"
check "a container id with a slash is refused" 1 $?
$oci start nobody 2>"$tmp/err"
check "start of nothing fails" 1 $?
has "and says so" "container nobody does not exist" "$tmp/err"
$oci delete --force nobody
check "delete --force of nothing is fine" 0 $?
check "nothing is left behind" "" "$(ls "$tmp/state" 2>/dev/null)"

if ! kvm_usable; then
	echo "skip running containers: no usable /dev/kvm"
	exit "$failed"
fi

bundle "$tmp/b2" '"/hello.elf","nonce=oci","exit=5"'
$oci run --bundle "$tmp/b2" c2 >"$tmp/out" 2>"$tmp/err"
check "run passes on the guest's code" 5 $?
has "run shows the guest's output" "arguments: nonce=oci exit=5" "$tmp/out"

bundle "$tmp/b2" '"/hello.elf",null'
$oci run --bundle "$tmp/b2" c2 2>"$tmp/err"
check "an argument that is no string is refused" 1 $?
has "and named" "process.args: word 1" "$tmp/err"
bundle "$tmp/b2" '"/hello.elf"'
$oci create --bundle "$tmp/b2" c2 <&- >&- 2>&-
check "create without standard descriptors" 0 $?
$oci delete --force c2

bundle "$tmp/b3" '"/counter.elf"'
$oci create --bundle "$tmp/b3" c3 >"$tmp/out" 2>"$tmp/err"
$oci kill c3 TERM
dead() { $oci state c3 | grep -q '"status":"stopped"'; }
until_ok dead
check "a created container can be ended" 0 $?
check "and has not run" "" "$(cat "$tmp/out")"
$oci delete c3

bundle "$tmp/b3" '"/counter.elf","step_ms=10"'
$oci create --bundle "$tmp/b3" --pid-file "$tmp/pid" c3 >"$tmp/out" 2>"$tmp/err"
check "create" 0 $?
$oci state c3 >"$tmp/state.out"
has "a created container says so" '"status":"created"' "$tmp/state.out"
has "state has the annotations" '"org.example.k":"v"' "$tmp/state.out"
check "nothing has run before start" "" "$(cat "$tmp/out")"
$oci create --bundle "$tmp/b3" c3 2>"$tmp/err"
check "an id is taken once" 1 $?
$oci start c3
check "start" 0 $?
$oci start c3 2>/dev/null
check "start twice fails" 1 $?
until_ok grep -q 'count 3' "$tmp/out"
check "the guest runs" 0 $?
$oci kill c3 WINCH
check "a signal without meaning is taken" 0 $?
$oci delete c3 2>/dev/null
check "a running container is not deleted" 1 $?
$oci pause c3 && a=$(wc -l <"$tmp/out") && sleep 0.3 && check "a paused guest is silent" "$a" "$(wc -l <"$tmp/out")"
$oci resume c3
$oci kill c3 15
check "kill" 0 $?
gone() { ! kill -0 "$(cat "$tmp/pid")" 2>/dev/null || grep -q '(mote-oci) Z' "/proc/$(cat "$tmp/pid")/stat"; }
until_ok gone
check "SIGTERM reaches the guest, which ends" 0 $?
has "by its own will" "stopped at" "$tmp/out"
$oci state c3 >"$tmp/state.out"
has "a stopped container says so" '"status":"stopped"' "$tmp/state.out"
$oci delete c3
check "delete" 0 $?
bundle "$tmp/b4" '"/counter.elf","quiet=1"'
$oci create --bundle "$tmp/b4" --pid-file "$tmp/pid" c4 >/dev/null 2>&1
$oci start c4
$oci delete --force c4
check "delete --force ends a running one" 0 $?
gone
check "its process is gone" 0 $?
check "no state is left" "" "$(ls "$tmp/state")"
exit "$failed"
