#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# virtio.sh - virtio devices of a jailed mote: disks, entropy and a tap from an
# INI file; what is refused; a snapshot under load, restored with the disk named
# anew.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

pid=
ns=mote-virtio-$$
# shellcheck disable=SC2317 # called by trap
cleanup()
{
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	wait
	ip netns del "$ns" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT

if ! kvm_usable; then
	echo "skip virtio: no usable /dev/kvm"
	exit 0
fi
if [ ! -e "$MOTE_GUESTS/vblk.elf" ]; then
	echo "skip virtio: no virtio devices on this architecture"
	exit 0
fi

disk=$tmp/disk
truncate -s 4M "$disk"
cat >"$tmp/vm.ini" <<EOF
[vm]
kernel = $MOTE_GUESTS/vblk.elf
[disk.root]
path = $disk
queues = 4
EOF

timeout 60 "$MOTE_BIN" run "$tmp/vm.ini" >"$tmp/out" 2>"$tmp/err"
check "a disk: status" 0 $?
has "a disk: its name" "id root sectors 8192 size 512" "$tmp/out"
check "a disk: nothing is wrong" 0 "$(grep -c '^FAIL' "$tmp/out")"

timeout 60 "$MOTE_BIN" run "$tmp/vm.ini" --set disk.root.sector_size=4096 \
	--set sandbox.enable=no >"$tmp/out" 2>"$tmp/err"
check "without a jail: status" 0 $?
has "without a jail: sectors of 4 KiB" "size 4096" "$tmp/out"

chmod 444 "$disk"
timeout 60 "$MOTE_BIN" run "$tmp/vm.ini" --set disk.root.readonly=yes \
	-- ro=1 >"$tmp/out" 2>"$tmp/err"
check "read-only: status" 0 $?
has "read-only: a write is refused" "ok write refused" "$tmp/out"
chmod 644 "$disk"

# refuses NAME TEXT OPTION...
refuses()
{
	name=$1 text=$2
	shift 2
	timeout 60 "$MOTE_BIN" run "$tmp/vm.ini" "$@" >"$tmp/out" 2>"$tmp/err"
	check "$name: status" 65 $?
	has "$name: words" "$text" "$tmp/err"
}
truncate -s 1000 "$tmp/odd"
refuses "a disk of 1000 bytes" \
	"disk.root: 1000 bytes, expected a multiple of its sector size, 512" \
	--set disk.root.path="$tmp/odd"
refuses "nine queues" "disk.root.queues: found '9'" --set disk.root.queues=9
refuses "cache=none" "disk.root.cache: 'none': not in this version yet" \
	--set disk.root.cache=none
set --
for i in $(seq 19); do
	cp --sparse=always "$disk" "$tmp/d$i"
	set -- "$@" --set "disk.d$i.path=$tmp/d$i"
done
refuses "20 disks" "20 virtio devices, this version has room for fewer" "$@"

# A snapshot while eight requests are under way; only the restored one goes on.
"$MOTE_BIN" run "$tmp/vm.ini" --set control.socket="$tmp/s" \
	-- rounds=1000000 >"$tmp/out" 2>"$tmp/err" &
pid=$!
until_ok grep -q '^ready' "$tmp/out"
"$MOTE_BIN" ctl "$tmp/s" pause >/dev/null
check "pause under load" 0 $?
"$MOTE_BIN" snapshot "$tmp/s" "$tmp/snap" >"$tmp/said" 2>&1
check "snapshot under load" 0 $?
kill -9 "$pid"
wait "$pid" 2>/dev/null
pid=
timeout 120 "$MOTE_BIN" restore "$tmp/snap" --set disk.root.path="$disk" \
	>"$tmp/out" 2>"$tmp/err"
check "restored: status" 0 $?
has "restored: every block is as it was last written" "load done 1000000" \
	"$tmp/out"
timeout 60 "$MOTE_BIN" restore "$tmp/snap" >"$tmp/out" 2>"$tmp/err"
check "restored without its disk: status" 65 $?
has "restored without its disk: words" "disk.root.path: not set" "$tmp/err"
truncate -s 8M "$tmp/other"
timeout 60 "$MOTE_BIN" restore "$tmp/snap" --set disk.root.path="$tmp/other" \
	>"$tmp/out" 2>"$tmp/err"
check "restored with another disk: status" 65 $?
has "restored with another disk: words" "the snapshot's guest has seen 8192" \
	"$tmp/err"

# A diff to a snapshot of before: what the device wrote into RAM is in it.  The
# disk is as it was when the diff was taken.
"$MOTE_BIN" run "$tmp/vm.ini" --set control.socket="$tmp/s" \
	-- rounds=1000000 >"$tmp/out" 2>"$tmp/err" &
pid=$!
until_ok "$MOTE_BIN" ctl "$tmp/s" pause
"$MOTE_BIN" snapshot "$tmp/s" "$tmp/base" >"$tmp/said" 2>&1
check "a snapshot ahead of a diff" 0 $?
"$MOTE_BIN" ctl "$tmp/s" resume >/dev/null
until_ok grep -q '^ready' "$tmp/out"
"$MOTE_BIN" ctl "$tmp/s" pause >/dev/null
"$MOTE_BIN" snapshot "$tmp/s" "$tmp/diff" --diff >"$tmp/said" 2>&1
check "a diff under load" 0 $?
kill -9 "$pid"
wait "$pid" 2>/dev/null
pid=
for how in cow copy; do
	cp "$disk" "$tmp/again"
	timeout 120 "$MOTE_BIN" restore "$tmp/diff" --set restore.memory=$how \
		--set disk.root.path="$tmp/again" >"$tmp/out" 2>"$tmp/err"
	check "a diff restored ($how): status" 0 $?
	has "a diff restored ($how): every block is as it was last written" \
		"load done 1000000" "$tmp/out"
done

# Entropy, with interrupts.
if [ -e "$MOTE_GUESTS/vent.elf" ]; then
	printf '[vm]\nkernel = %s\n[rng]\n' "$MOTE_GUESTS/vent.elf" >"$tmp/rng.ini"
	timeout 60 "$MOTE_BIN" run "$tmp/rng.ini" >"$tmp/out" 2>"$tmp/err"
	check "entropy: status" 0 $?
	has "entropy: interrupts" "interrupts 9" "$tmp/out"
fi

# A tap in a network namespace; the kernel's own stack asks for the guest.
if ! command -v ip >/dev/null || ! ip netns add "$ns" 2>/dev/null; then
	echo "skip virtio: no network namespaces here"
	exit $failed
fi
ip -n "$ns" tuntap add tap0 mode tap &&
	ip -n "$ns" addr add 10.0.9.1/24 dev tap0 &&
	ip -n "$ns" link set tap0 up || bad "a tap" "it can't be made"
ip netns exec "$ns" "$MOTE_BIN" run --kernel "$MOTE_GUESTS/vnet.elf" \
	--set vm.protocol=mote --net n=tap0 >"$tmp/out" 2>"$tmp/err" &
pid=$!
until_ok grep -q '^listening' "$tmp/out"
has "a tap: offloads" "offloads 1" "$tmp/out"
# Anything sent there makes the kernel ask who has the address.
# shellcheck disable=SC2016 # for the inner shell
asks='echo x >/dev/udp/10.0.9.2/9; ip neigh show 10.0.9.2 | grep -q lladdr'
if until_ok ip netns exec "$ns" bash -c "$asks"; then
	ok "a tap: the guest answers ARP"
else
	bad "a tap: the guest answers ARP" "$(ip -n "$ns" neigh show)"
fi
kill "$pid"
wait "$pid"
check "a tap: status" 0 $?
pid=
exit $failed
