# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# KVM-AMD with nested paging, in Debian's cloud kernel.

ARCH=x86_64
CROSS_COMPILE=
build=build/lab-x86
limit=240
linux_modules="virtio_mmio virtio_blk virtio_net virtio_console virtio_rng
	virtio_balloon vmw_vsock_virtio_transport"
case ${set_name:-} in
linux) limit=90 ;; # times 10, as of every set
esac

# shellcheck source=lab/x86/qemu.sh
. "$top/lab/x86/qemu.sh"

machine_fetch()
{
	x86_fetch_qemu
	root=$(fetch kernel-cloud-amd64 amd64 linux-image-cloud-amd64 \
		busybox-static)
	kernel=$(ls "$root"/boot/vmlinuz-*)
}

# The set linux: Debian's kernel as a guest of mote.
machine_pack()
{
	[ "$set_name" = linux ] || return 0
	pack_linux "$1/lib/mote/linux" "$root" "$kernel"
}

machine_run()
{
	x86_run
}
