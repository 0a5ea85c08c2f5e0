#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# solo5.sh - mote under the name of Solo5's tender: its options, its exit
# statuses, its words; and the same guests from an INI file.
set -u
. tests/lib.sh
trap 'rm -rf "$tmp"' EXIT
hvt=$tmp/solo5-hvt
ln -s "$MOTE_BIN" "$hvt"
probe=$MOTE_GUESTS/hvt-probe.elf

"$hvt" >"$tmp/out" 2>"$tmp/err"
check "no kernel: status 1" 1 $?
has "and usage" "Missing KERNEL operand" "$tmp/err"
"$hvt" --help >"$tmp/out" 2>"$tmp/err"
check "--help: status 1, as there" 1 $?
has "with the options" "--block-sector-size:NAME=SIZE" "$tmp/err"
"$hvt" --version >"$tmp/out" 2>&1
has "--version names the ABI" "ABI version 2" "$tmp/out"
for bad in --mem= --mem=x --mem=0 --net:=tap0 --net:a --block:a= \
	--block:a/b=c --net-mac:a=zz --block-sector-size:a=513 --bogus; do
	"$hvt" $bad "$probe" >"$tmp/out" 2>"$tmp/err"
	check "$bad is refused" 1 $?
done
"$hvt" "$tmp/none" 2>"$tmp/err"
check "a missing image: status 1" 1 $?
has "and named" "none" "$tmp/err"
"$hvt" "$MOTE_GUESTS/hello.elf" 2>"$tmp/err"
check "an image of another kind: status 1" 1 $?

if ! kvm_usable; then
	echo "skip running Solo5 guests: no usable /dev/kvm"
	exit "$failed"
fi
has "in words" "no Solo5 ABI note" "$tmp/err"

# --- statuses and output -------------------------------------------------------
"$hvt" "$probe" Hello_Solo5 exit=9 >"$tmp/out" 2>"$tmp/err"
check "the guest's status" 9 $?
has "the command line reaches the guest" "arguments: Hello_Solo5 exit=9" "$tmp/out"
check "nothing else is said" 0 "$(wc -c <"$tmp/err")"
"$hvt" -- "$probe" --solo5:quiet >"$tmp/out" 2>"$tmp/err"
check "words behind -- are the guest's" 0 $?
has "dashes and all" "arguments: --solo5:quiet" "$tmp/out"
"$hvt" --mem=2 "$probe" memory >"$tmp/out" 2>"$tmp/err"
has "--mem is MiB" 2097152 "$tmp/out"
"$hvt" --mem=3 "$probe" memory >"$tmp/out" 2>"$tmp/err"
has "memory is rounded down" 2097152 "$tmp/out"
has "and that is said" "adjusting memory to 2097152 bytes" "$tmp/err"
"$hvt" "$probe" memory >"$tmp/out" 2>"$tmp/err"
has "512 MiB is the default" 536870912 "$tmp/out"
"$hvt" --mem=8192 "$probe" 2>"$tmp/err"
check "more memory than the contract has: status 1" 1 $?
"$hvt" "$probe" abort >"$tmp/out" 2>"$tmp/err"
check "an abort: status 255" 255 $?
"$hvt" "$probe" trap >"$tmp/out" 2>"$tmp/err"
check "an exception: status 255" 255 $?
has "in the guest's words" ABORT "$tmp/out"
"$hvt" "$probe" xnow >"$tmp/out" 2>"$tmp/err"
check "code that is written: status 1" 1 $?
has "a translation fault" "host/guest translation fault" "$tmp/err"
"$hvt" "$probe" wnox >"$tmp/out" 2>"$tmp/err"
check "data that is run: status 255" 255 $?
"$hvt" "$probe" badptr nr=5 >"$tmp/out" 2>"$tmp/err"
check "a bad pointer: status 1" 1 $?
rm -f "$tmp/out" "$tmp/err"
"$hvt" "$probe" spin >"$tmp/out" 2>"$tmp/err" &
pid=$!
until_ok grep -q hvt "$tmp/out"
kill -TERM $pid
wait $pid
check "SIGTERM: status 1" 1 $?
has "as there" "Exiting on signal 15" "$tmp/err"

# --- devices --------------------------------------------------------------------
dd if=/dev/urandom of="$tmp/from" bs=4k count=16 2>/dev/null
truncate -s 64K "$tmp/to"
for size in 512 4096 32768; do
	"$hvt" --mem=4 --block:from="$tmp/from" --block-sector-size:from=$size \
		--block:to="$tmp/to" "$MOTE_GUESTS/hvt-disk.elf" >"$tmp/out" 2>"$tmp/err"
	check "disks with sectors of $size" 0 $?
	has "as asked" "capacity 65536 sector $size" "$tmp/out"
	cmp -s "$tmp/from" "$tmp/to"
	check "are copied ($size)" 0 $?
	dd if=/dev/urandom of="$tmp/from" bs=4k count=16 2>/dev/null
done
"$hvt" --block:from="$tmp/from" "$MOTE_GUESTS/hvt-disk.elf" 2>"$tmp/err"
check "a device that is not attached: status 1" 1 $?
has "and named" "disk.to: the guest's manifest declares it" "$tmp/err"
"$hvt" --block:x="$tmp/from" "$probe" 2>"$tmp/err"
check "a device that the guest does not know: status 1" 1 $?
has "and named (unknown)" "disk.x: resource not declared" "$tmp/err"
"$hvt" --net:x=none9 "$probe" 2>"$tmp/err"
check "a missing interface: status 1" 1 $?
has "and named (interface)" "none9" "$tmp/err"
mkfifo "$tmp/fifo"
for path in "$tmp" "$tmp/fifo" /dev/null /proc/self/mem "$tmp/none"; do
	timeout 5 "$hvt" --block:from="$path" --block:to="$tmp/to" \
		"$MOTE_GUESTS/hvt-disk.elf" >"$tmp/out" 2>"$tmp/err"
	check "no disk: ${path##*/}" 1 $?
	has "named: ${path##*/}" "disk.from" "$tmp/err"
done
set --
for n in $(seq 0 62); do
	truncate -s 4K "$tmp/s$n"
	set -- "$@" "--block:storage$n=$tmp/s$n"
done
"$hvt" --mem=2 "$@" "$MOTE_GUESTS/hvt-many.elf" >"$tmp/out" 2>"$tmp/err"
check "63 disks" 0 $?
has "all of them" SUCCESS "$tmp/out"

# --- core files -----------------------------------------------------------------
mkdir "$tmp/cores"
"$hvt" --mem=2 --dumpcore="$tmp/cores" "$probe" trap >"$tmp/out" 2>"$tmp/err"
check "with --dumpcore the status stays" 255 $?
core=$(grep -o 'core\.solo5-hvt\.[0-9]*$' "$tmp/err")
check "the core file is where it says" yes "$([ -n "$core" ] && [ -f "$tmp/cores/$core" ] && echo yes)"
check "and an ELF core" 4 "$(od -An -tu2 -j16 -N2 "$tmp/cores/$core" | tr -d ' ')"
"$hvt" --dumpcore="$tmp/none" "$probe" 2>"$tmp/err"
check "a core folder that is not there: status 1" 1 $?
"$hvt" --mem=2 --dumpcore="$tmp/cores" "$probe" exit=3 >"$tmp/out" 2>"$tmp/err"
check "no core without an abort" 1 "$(find "$tmp/cores" -type f | wc -l)"

# A full disk: nothing that passes for a core, and it is said.
mkdir "$tmp/full"
if mount -t tmpfs -o size=16k tmpfs "$tmp/full" 2>/dev/null; then
	"$hvt" --mem=2 --dumpcore="$tmp/full" "$probe" trap >"$tmp/out" 2>"$tmp/err"
	check "a core on a full disk: the status stays" 255 $?
	has "it is told" "is empty: core file: No space left" "$tmp/err"
	check "no half core is left" 0 "$(find "$tmp/full" -type f -size +0 | wc -l)"
	umount "$tmp/full"
else
	echo "skip a core on a full disk: no tmpfs can be mounted"
fi

# --- the same from a file ---------------------------------------------------------
cat >"$tmp/disk.ini" <<EOF
[vm]
kernel = $MOTE_GUESTS/hvt-disk.elf
memory = 4M
[disk.from]
path = from
readonly = yes
[disk.to]
path = to
EOF
"$MOTE_BIN" run "$tmp/disk.ini" >"$tmp/out" 2>"$tmp/err"
check "a Solo5 guest from a file" 0 $?
cmp -s "$tmp/from" "$tmp/to"
check "its disks are copied" 0 $?
for mode in kill errno log off; do
	"$MOTE_BIN" run "$tmp/disk.ini" --set sandbox.seccomp=$mode >"$tmp/out" 2>"$tmp/err"
	check "under seccomp=$mode" 0 $?
done
"$MOTE_BIN" run "$tmp/disk.ini" --set sandbox.enable=no >"$tmp/out" 2>"$tmp/err"
check "without a jail" 0 $?
"$MOTE_BIN" run "$tmp/disk.ini" --set vm.vcpus=2 2>"$tmp/err"
check "two vCPUs are bad input" 65 $?
"$MOTE_BIN" run "$tmp/disk.ini" --set vm.kernel="$probe" 2>"$tmp/err"
check "an undeclared disk is bad input" 65 $?
"$MOTE_BIN" run --kernel "$probe" --memory 2M -- xnow >/dev/null 2>"$tmp/err"
check "a crash of the guest is 75" 75 $?
has "with its place" "rip=0x" "$tmp/err"
"$MOTE_BIN" run --kernel "$probe" --memory 5G 2>"$tmp/err"
check "too much memory is bad input" 65 $?
"$MOTE_BIN" run --kernel "$probe" --protocol mote 2>"$tmp/err"
check "the wrong protocol is bad input" 65 $?

# --- pause, snapshot, restore -----------------------------------------------------
rm -f "$tmp/out"
"$MOTE_BIN" run --kernel "$probe" --memory 4M --set control.socket="$tmp/c" \
	-- ticks=40 step_ms=50 >"$tmp/out" 2>/dev/null &
pid=$!
until_ok grep -q "tick 3" "$tmp/out"
"$MOTE_BIN" ctl "$tmp/c" pause >/dev/null
"$MOTE_BIN" ctl "$tmp/c" snapshot "$tmp/snap" >/dev/null
check "a snapshot of a guest in its poll" 0 $?
cp "$tmp/out" "$tmp/before"
"$MOTE_BIN" ctl "$tmp/c" stop >/dev/null
wait $pid
"$MOTE_BIN" inspect "$tmp/snap" >"$tmp/err"
has "clones of it can't tell" "clone identity = none" "$tmp/err"
timeout 20 "$MOTE_BIN" restore "$tmp/snap" >>"$tmp/before" 2>/dev/null
check "restored, it ends well" 0 $?
check "and every tick came once" 40 "$(grep -c '^tick' "$tmp/before")"
has "the last one, too" "tick 40" "$tmp/before"
exit "$failed"
