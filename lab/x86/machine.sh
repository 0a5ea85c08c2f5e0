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

# x86_number FILE OFFSET: four bytes of it, as a number.
x86_number()
{
	od -An -tu4 -j "$(($2))" -N 4 "$1" | tr -d ' '
}

# What the bzImage $1 unpacks, to $2: the header says where it is; the last
# four bytes are its size.
x86_unpack()
{
	need lz4
	setup=$(od -An -tu1 -j "$((0x1f1))" -N 1 "$1" | tr -d ' ')
	from=$(((setup + 1) * 512 + $(x86_number "$1" 0x248)))
	length=$(x86_number "$1" 0x24c)
	tail -c "+$((from + 1))" "$1" | head -c "$((length - 4))" |
		lz4 -dc >"$2"
}

# The set linux: Debian's kernel as a guest of mote.
machine_pack()
{
	[ "$set_name" = linux ] || return 0
	pack_linux "$1/lib/mote/linux" "$root" "$kernel"
	x86_unpack "$kernel" "$1/lib/mote/linux/vmlinux"
}

machine_run()
{
	x86_run
}
