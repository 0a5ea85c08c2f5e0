# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# QEMU's virt board with EL2: KVM in Debian's arm64 cloud kernel, built in.
#
# The standard set boots neoverse-n1 (the host kernel runs in EL2, VHE) with
# the whole list and cortex-a72 (it runs in EL1, nVHE) with tests-kvm.  The
# full set runs everything on both, and on max (SVE, pointer authentication;
# LAB_VARIANT=max make lab-arm64 runs the short list there), gicv2 (a host
# without GICv3), linux-6.12 (Debian's kernel of backports, with a dirty ring),
# linux-sid (Debian's newest: PSCI 1.2 and 1.3) and 16k (a kernel with pages of
# 16 KiB, built here).

ARCH=arm64
CROSS_COMPILE=aarch64-linux-gnu-
build=build/arm64
limit=180

variants="neoverse-n1 cortex-a72"
linux_modules="virtio_mmio virtio_blk virtio_net virtio_console virtio_rng
	virtio_balloon vmw_vsock_virtio_transport"
case ${set_name:-} in
full) variants="neoverse-n1 cortex-a72 max gicv2 linux-6.12 linux-sid 16k" ;;
linux) variants=neoverse-n1 limit=60 ;; # times 10, as of every set
esac

machine_variant()
{
	board=virt,virtualization=on,gic-version=3
	cpu=neoverse-n1
	without=
	case $1 in
	neoverse-n1 | linux-6.12) ;;
	# Whether it runs snapshots of 6.1 may change with each new kernel;
	# that compat knows it may not.
	linux-sid) without=golden_runs ;;
	# The snapshots in tests/golden are of a neoverse-n1, with its answers
	# about the workarounds for Spectre: refused by name elsewhere.
	cortex-a72) cpu=cortex-a72 without=golden_runs ;;
	# The architected pointer authentication is ten times slower.
	max) cpu=max,pauth-impdef=on without=golden_runs ;;
	# The snapshots in tests/golden have a GICv3.
	gicv2)
		board=virt,virtualization=on,gic-version=2
		without="golden_runs arm64_gic/each_vcpu_has_its_own_part"
		;;
	# Snapshots of another page size are refused by name, and parts of a
	# page of the host cannot be kept from being written (docs/SOLO5.md).
	16k)
		without="golden_runs hostile/a_solo5_guest_ends_only_itself
			vm_hot/what_is_protected_stays_so
			hvt/code_and_constants_are_not_written
			hvt/a_bad_address_in_any_call_ends_the_guest
			hvt/a_restored_guest_still_can_not_write_its_code"
		;;
	*) return 1 ;;
	esac
	case $1 in
	linux-6.12 | 16k) ;;
	*) without="$without vm_ring" ;; # Linux 6.1 has no dirty rings here
	esac
	if [ "$1" != neoverse-n1 ] && [ "$list" = tests ]; then
		list=tests-kvm
		limit=90
	elif [ "$1" != neoverse-n1 ]; then
		# Long, and the same on each.
		without="$without ini_lines wrap stress_damage stress_rounds"
	fi
	# Of these machines only max has what they are about.
	[ "$1" = max ] || [ "$list" = tests ] ||
		without="$without arm64_sve arm64_pauth"
	kernel_of=$1
}

machine_fetch()
{
	need qemu-system-aarch64
	tools=$(fetch kernel-arm64 arm64 linux-image-cloud-arm64 busybox-static)
	case $kernel_of in
	linux-6.12)
		root=$(fetch kernel-arm64-6.12 -s bookworm-backports arm64 \
			linux-image-cloud-arm64)
		;;
	linux-sid)
		root=$(fetch kernel-arm64-sid -s sid arm64 \
			linux-image-cloud-arm64)
		;;
	16k)
		root=$("$top/lab/build-kernel.sh" "$ARCH" \
			"$top/lab/arm64/16k.config" arm64-16k)
		;;
	*) root=$tools ;;
	esac
	kernel=$(find "$root/boot" "$root/usr/lib/modules" -name "vmlinuz*" \
		2>/dev/null | head -n 1)
}

# The set linux: Debian's kernel as a guest of mote.
machine_pack()
{
	[ "$set_name" = linux ] || return 0
	pack_linux "$1/lib/mote/linux" "$tools" "$kernel"
}

machine_run()
{
	run_qemu qemu-system-aarch64 \
		-M "${LAB_MACHINE:-$board}" \
		-cpu "${LAB_CPU:-$cpu}" -accel tcg,thread=multi \
		-smp "${LAB_SMP:-1}" -m "${LAB_MEM:-1024}" \
		-nodefaults -no-user-config -display none -serial stdio \
		-nic none -no-reboot -kernel "$kernel" -initrd "$initrd" \
		-append "console=ttyAMA0 $append"
}
