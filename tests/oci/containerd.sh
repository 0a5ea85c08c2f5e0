#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# containerd.sh - a real containerd and ctr with --runc-binary mote-oci.
set -u
. tests/lib.sh
reason=
command -v containerd >/dev/null || reason="not installed"
command -v ctr >/dev/null || reason="ctr is not installed"
command -v podman >/dev/null || reason="podman (which makes the image) is not installed"
[ "$(id -u)" = 0 ] || reason="not root"
kvm_usable || reason="no usable /dev/kvm"
if [ -n "$reason" ]; then
	echo "skip containerd: $reason"
	rmdir "$tmp"
	exit 0
fi

cat >"$tmp/config.toml" <<EOF
version = 2
root = "$tmp/root"
state = "$tmp/state"
disabled_plugins = ["io.containerd.grpc.v1.cri",
 "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
 "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$tmp/c.sock"
EOF
containerd --config "$tmp/config.toml" >"$tmp/containerd.log" 2>&1 &
daemon=$!
clean()
{
	kill "$daemon" 2>/dev/null
	wait "$daemon" 2>/dev/null
	rm -rf "$tmp"
}
trap clean EXIT

mkdir "$tmp/rootfs"
cp "$MOTE_GUESTS/hello.elf" "$MOTE_GUESTS/counter.elf" "$tmp/rootfs"
tar -C "$tmp/rootfs" -cf "$tmp/rootfs.tar" .
pod() { podman --root "$tmp/pr" --runroot "$tmp/prr" --storage-driver vfs "$@"; }
pod import "$tmp/rootfs.tar" mote/guests:latest >/dev/null 2>&1
pod save -o "$tmp/image.tar" mote/guests:latest >/dev/null 2>&1
until_ok test -S "$tmp/c.sock"
c() { ctr -a "$tmp/c.sock" "$@"; }
c images import "$tmp/image.tar" >/dev/null 2>"$tmp/err"
check "the image is imported" 0 $?
image=localhost/mote/guests:latest
go() { c run --runc-binary "$MOTE_OCI" --snapshotter native "$@"; }

go --rm "$image" k1 /hello.elf nonce=ctr exit=11 >"$tmp/out" 2>"$tmp/err"
check "ctr run passes on the exit code" 11 $?
has "ctr run shows the output" "arguments: nonce=ctr exit=11" "$tmp/out"
go -d "$image" k2 /counter.elf quiet=1 >/dev/null 2>"$tmp/err"
check "ctr run -d" 0 $?
c task ls >"$tmp/out"
has "the task runs" RUNNING "$tmp/out"
c task kill -s SIGTERM k2
stopped() { c task ls | grep -q STOPPED; }
until_ok stopped
check "ctr task kill ends it" 0 $?
c task rm k2 >/dev/null 2>&1
c containers rm k2
go --rm "$image" k3 /none.elf >"$tmp/out" 2>"$tmp/err"
check "a missing image fails" 1 $?
has "with our words" "guest image /none.elf in the rootfs" "$tmp/err"
c containers rm k3 2>/dev/null
exit "$failed"
