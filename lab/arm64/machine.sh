# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# QEMU's virt board with EL2: KVM in Debian's arm64 cloud kernel, built in.
# neoverse-n1 gives VHE, LAB_CPU=cortex-a72 gives nVHE.
# LAB_MACHINE=virt,virtualization=on,gic-version=2 gives a host without GICv3.

ARCH=arm64
CROSS_COMPILE=aarch64-linux-gnu-
build=build/arm64
limit=240

machine_fetch()
{
	need qemu-system-aarch64
	root=$(fetch kernel-arm64 arm64 linux-image-cloud-arm64 busybox-static)
	kernel=$(ls "$root"/boot/vmlinuz-*)
}

machine_run()
{
	run_qemu qemu-system-aarch64 \
		-M "${LAB_MACHINE:-virt,virtualization=on,gic-version=3}" \
		-cpu "${LAB_CPU:-neoverse-n1}" -accel tcg,thread=multi \
		-smp "${LAB_SMP:-1}" -m "${LAB_MEM:-1024}" \
		-nodefaults -no-user-config -display none -serial stdio \
		-nic none -no-reboot -kernel "$kernel" -initrd "$initrd" \
		-append "console=ttyAMA0 $append"
}
