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
linux | peer) limit=90 ;; # times 10, as of every set
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

# The set peer: QEMU of the lab in the lab, with its libraries, beside mote.
x86_pack_peer()
{
	[ -n "${x86_root:-}" ] || {
		note "the set peer needs the QEMU that the labs fetch"
		return 1
	}
	mkdir -p "$1/lib/peer"
	cp "$qemu" "$1/lib/peer/qemu"
	ldd "$qemu" | awk '$3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' |
		while read -r lib; do
			mkdir -p "$1/$(dirname "$lib")"
			cp -L "$lib" "$1/$lib"
		done
	for rom in bios-microvm.bin linuxboot_dma.bin pvh.bin; do
		cp -L "$(ls "$x86_root/usr/share/qemu/$rom" \
			"/usr/share/seabios/$rom" 2>/dev/null | head -n 1)" \
			"$1/lib/peer/"
	done
}

# The set linux: Debian's kernel as a guest of mote.
machine_pack()
{
	case $set_name in
	linux) ;;
	peer)
		pack_linux "$1/lib/mote/linux" "$root" "$kernel"
		x86_pack_peer "$1"
		return
		;;
	*) return 0 ;;
	esac
	pack_linux "$1/lib/mote/linux" "$root" "$kernel"
	x86_unpack "$kernel" "$1/lib/mote/linux/vmlinux"
}

machine_run()
{
	x86_run
}
