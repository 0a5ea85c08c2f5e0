# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# The x86 labs need QEMU 10 or newer: before, a nested guest that waits with
# "sti; hlt" loses its wake-up, and the edu device aborts on a whole page.

x86_fetch_qemu()
{
	need qemu-system-x86_64
	qemu=qemu-system-x86_64
	qemu_data=
	x86_version=$($qemu --version | sed -n '1s/.*version \([0-9]*\).*/\1/p')
	[ "${x86_version:-0}" -lt 10 ] || return 0
	x86_root=$(fetch qemu-x86 -s bookworm-backports amd64 \
		qemu-system-x86 qemu-system-common qemu-system-data)
	qemu=$x86_root/usr/bin/qemu-system-x86_64
	qemu_data="-L $x86_root/usr/share/qemu -L /usr/share/seabios"
}

# The rest of the command line is the caller's.
x86_run()
{
	# shellcheck disable=SC2086 # several words or none
	run_qemu "$qemu" $qemu_data -accel tcg,thread=multi \
		-machine q35,kernel-irqchip=off \
		-cpu "${LAB_CPU:-EPYC,+svm,+npt}" \
		-smp "${LAB_SMP:-1}" -m "${LAB_MEM:-1024}" \
		-nodefaults -no-user-config -display none -serial stdio \
		-no-reboot -kernel "$kernel" -initrd "$initrd" "$@" -append \
		"console=ttyS0 mitigations=off tsc=reliable no_timer_check nokaslr $append"
}
