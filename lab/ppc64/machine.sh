# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# A bare-metal POWER machine: KVM-HV in Debian's ppc64el kernel.
# LAB_MACHINE=powernv8 or powernv9 (with LAB_APPEND=disable_radix a host with
# a hash table) run as well.  Without a BMC powering off would hang.

ARCH=ppc64le
CROSS_COMPILE=powerpc64le-linux-gnu-
build=build/ppc64le
limit=240
[ "${set_name:-}" != -linux ] || limit=60 # times 10 for a set

machine_fetch()
{
	need qemu-system-ppc64
	root=$(fetch kernel-ppc64el ppc64el linux-image-powerpc64le \
		busybox-static)
	# The debug information is most of the file, and QEMU loads it all.
	kernel=$root/vmlinux.stripped
	if [ ! -e "$kernel" ]; then
		${CROSS_COMPILE}strip -o "$kernel.$$" "$root"/boot/vmlinux-*
		mv "$kernel.$$" "$kernel"
	fi
}

# The kernel of the lab once more, as a guest of mote, with a shell.
machine_pack()
{
	[ "$set_name" = -linux ] || return 0
	linux=$1/lib/mote/linux
	inner=$work/inner
	rm -rf "$inner"
	mkdir -p "$linux" "$inner/bin" "$inner/dev" "$inner/proc" "$inner/sys"
	cp "$kernel" "$linux/vmlinux"
	cp "$root/bin/busybox" "$inner/bin/busybox"
	cp "$top/lab/ppc64/guest-init" "$inner/init"
	chmod 755 "$inner/init"
	pack "$inner" "$linux/initrd"
}

machine_run()
{
	run_qemu qemu-system-ppc64 \
		-M "${LAB_MACHINE:-powernv10}" -accel tcg \
		-smp "${LAB_SMP:-1}" -m "${LAB_MEM:-2048}" \
		-nodefaults -nographic -monitor none -serial stdio -no-reboot \
		-device ipmi-bmc-sim,id=bmc0 \
		-device isa-ipmi-bt,bmc=bmc0,irq=10 \
		-kernel "$kernel" -initrd "$initrd" \
		-append "console=hvc0 $append"
}
