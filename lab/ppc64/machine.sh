# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# A bare-metal POWER machine: KVM-HV in Debian's ppc64el kernel.
#
# The standard set boots powernv10 (a radix host) with the whole list, and
# powernv8 and powernv9 (hosts with a hash table) with tests-kvm.  The full
# set runs everything on the three, on powernv10-4k and powernv8-4k (a kernel
# with pages of 4 KiB, built here), tests-smp on powernv10 with two processors
# (powernv10-smp), and has pseries, a KVM-HV that runs in a hypervisor itself and has
# no hash table to give: tests-no-hpt expects to be told so.

ARCH=ppc64le
CROSS_COMPILE=powerpc64le-linux-gnu-
build=build/ppc64le
limit=150

variants="powernv10 powernv8 powernv9"
case ${set_name:-} in
full) variants="$variants powernv10-smp powernv10-4k powernv8-4k pseries" ;;
# Debian's kernel as a guest; it takes its time.
linux) variants=powernv10 limit=60 ;; # times 10, as of every set
esac

machine_variant()
{
	board=${1%%-*}
	cpu=
	smp=1
	without=
	case $1 in
	powernv10 | powernv10-4k) ;;
	powernv8 | powernv8-4k) ;;
	powernv9) append="disable_radix $append" ;;
	powernv10-smp)
		# One of two emulated processors may not run for seconds while
		# this host is busy: no reason to call it locked up.
		smp=2,cores=2,threads=1 append="nowatchdog $append"
		# And this machine stops for good now and then, one's timer
		# firing without end (QEMU 7.2 and 10.0): so only what two
		# processors are for.
		list=tests-smp
		;;
	pseries)
		board=pseries,cap-nested-hv=on
		cpu=power9_v2.0
		list=tests-no-hpt
		;;
	*) return 1 ;;
	esac
	# The snapshots in tests/golden are of POWER10: refused by name elsewhere.
	case $board in
	powernv8 | powernv9) without=golden_runs ;;
	esac
	if [ "$1" != powernv10 ] && [ "$list" = tests ]; then
		list=tests-kvm
		limit=75
	elif [ "$1" != powernv10 ] && [ "$list" = tests.full ]; then
		# Long, and the same on each.
		without="$without ini_lines wrap stress_damage stress_rounds"
	fi
	# Snapshots of another page size are refused by name; XIVE's native mode
	# wants pages of 64 KiB.
	native="ppc64_xive/every_call* ppc64_xive/events* ppc64_xive/what_cannot*
		ppc64_xive/a_diff* ppc64_xive/it_is*"
	case $1 in
	*-4k) without="$without golden_runs $native" ;;
	powernv8) without="$without $native" ;;
	esac
	# Real mode reaches the first slot alone through a hashed table.
	case $board in
	powernv8 | powernv9) without="$without ppc64_radix stage2/two_addresses*" ;;
	esac
	kernel_of=$1
}

machine_fetch()
{
	need qemu-system-ppc64
	tools=$(fetch kernel-ppc64el ppc64el linux-image-powerpc64le \
		busybox-static)
	case $kernel_of in
	*-4k)
		root=$("$top/lab/build-kernel.sh" "$ARCH" \
			"$top/lab/ppc64/4k.config" ppc64-4k)
		kernel=$(ls "$root"/boot/vmlinuz-*)
		return
		;;
	esac
	root=$tools
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
	[ "$set_name" = linux ] || return 0
	linux=$1/lib/mote/linux
	inner=$work/inner
	rm -rf "$inner"
	mkdir -p "$linux" "$inner/bin" "$inner/dev" "$inner/proc" "$inner/sys"
	cp "$kernel" "$linux/vmlinux"
	cp "$tools/bin/busybox" "$inner/bin/busybox"
	cp "$top/lab/ppc64/guest-init" "$inner/init"
	chmod 755 "$inner/init"
	pack "$inner" "$linux/initrd"
}

# Without a BMC powering a powernv off would hang.
machine_run()
{
	set -- -M "${LAB_MACHINE:-$board}"
	case $2 in
	powernv*)
		set -- "$@" -device ipmi-bmc-sim,id=bmc0 \
			-device isa-ipmi-bt,bmc=bmc0,irq=10
		;;
	esac
	[ -z "${LAB_CPU:-$cpu}" ] || set -- "$@" -cpu "${LAB_CPU:-$cpu}"
	run_qemu qemu-system-ppc64 "$@" -accel tcg \
		-smp "${LAB_SMP:-$smp}" -m "${LAB_MEM:-2048}" \
		-nodefaults -nographic -monitor none -serial stdio -no-reboot \
		-kernel "$kernel" -initrd "$initrd" \
		-append "console=hvc0 $append"
}
