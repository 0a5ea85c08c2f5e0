#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# podman.sh - a real podman with --runtime mote-oci: output, exit code, stop.
set -u
. tests/lib.sh
if ! command -v podman >/dev/null; then
	echo "skip podman: not installed"
	rmdir "$tmp"
	exit 0
elif [ "$(id -u)" != 0 ]; then
	echo "skip podman: not root"
	rmdir "$tmp"
	exit 0
elif ! kvm_usable; then
	echo "skip podman: no usable /dev/kvm"
	rmdir "$tmp"
	exit 0
fi

pod()
{
	podman --root "$tmp/root" --runroot "$tmp/run" --storage-driver vfs \
		--cgroup-manager=cgroupfs --events-backend=file \
		--runtime "$MOTE_OCI" "$@"
}
clean()
{
	pod rm -f -a >/dev/null 2>&1
	rm -rf "$tmp"
}
trap clean EXIT
# Some hosts do not let limits be raised: podman's defaults are above theirs.
limits="--ulimit nofile=1000:1000 --ulimit nproc=1000:1000"
mkdir "$tmp/rootfs"
cp "$MOTE_GUESTS/hello.elf" "$MOTE_GUESTS/counter.elf" "$tmp/rootfs"

# shellcheck disable=SC2086
pod run --rm --network none $limits --rootfs "$tmp/rootfs" \
	/hello.elf nonce=podman exit=9 >"$tmp/out" 2>"$tmp/err"
check "podman run passes on the exit code" 9 $?
has "podman run shows the output" "arguments: nonce=podman exit=9" "$tmp/out"
# shellcheck disable=SC2086
pod run -d --name c --network none $limits --rootfs "$tmp/rootfs" \
	/counter.elf step_ms=20 >"$tmp/out" 2>"$tmp/err"
check "podman run -d" 0 $?
counted() { pod logs c 2>/dev/null | grep -q 'count 3'; }
until_ok counted
check "podman logs shows the guest counting" 0 $?
pod stop -t 5 c >/dev/null 2>&1
check "podman stop" 0 $?
pod logs c >"$tmp/out" 2>&1
has "the guest heard it" "stopped at" "$tmp/out"
check "and its code is kept" 0 "$(pod inspect c --format '{{.State.ExitCode}}')"
# shellcheck disable=SC2086
pod run --rm --network none $limits --rootfs "$tmp/rootfs" /none.elf \
	>"$tmp/out" 2>"$tmp/err"
check "a missing image fails" 127 $?
has "with our words" "guest image /none.elf in the rootfs" "$tmp/err"
exit "$failed"
