# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# An IOMMU, a PCI device to pass through (QEMU's edu: DMA, MSI, a register
# with its id) and KVM-AMD.  The cloud kernel has no VFIO, the generic one
# has type1.  edu reaches only 28 bits of addresses.
#
# pin/ is a module of our own, a mediated device that pins pages when told to.
#
# LAB_VARIANT=iommufd boots a newer kernel, built here, that has the device
# nodes and iommufd besides, and the kernel's mtty sample as a module;
# LAB_VARIANT=amd has AMD's IOMMU in place of Intel's.

ARCH=x86_64
CROSS_COMPILE=
build=build/lab-x86
limit=100
[ -z "$set_name" ] || variants="vfio iommufd amd"

# shellcheck source=lab/x86/qemu.sh
. "$top/lab/x86/qemu.sh"

machine_variant()
{
	kernel_of=vfio iommu=intel
	case $1 in
	vfio) ;;
	iommufd) kernel_of=iommufd list=tests-iommufd ;;
	amd) iommu=amd ;;
	*) return 1 ;;
	esac
}

machine_fetch()
{
	x86_fetch_qemu
	tools=$(fetch kernel-amd64 amd64 linux-image-amd64 busybox-static)
	root=$tools
	[ "$kernel_of" != iommufd ] ||
		root=$("$top/lab/build-kernel.sh" "$ARCH" \
			"$top/lab/vfio/iommufd.config" iommufd)
	kernel=$(ls "$root"/boot/vmlinuz-*)
}

# Modules that no package has, after what they need.
machine_pack()
{
	[ "$kernel_of" != iommufd ] || pack_module "$root" "$1/lab" mtty
	pack_module "$root" "$1/lab" mdev
	cp "$("$top/lab/build-module.sh" "$root" "$top/lab/vfio/pin")" \
		"$1/lab/mote_pin.ko"
	echo mote_pin.ko >>"$1/lab/modules"
}

machine_run()
{
	set -- -device edu,bus=pcie.0,addr=05.0
	case $iommu in
	amd)
		append="$append amd_iommu=on iommu.strict=1"
		x86_run -device amd-iommu,intremap=on "$@"
		;;
	*)
		append="$append intel_iommu=on iommu.strict=1"
		x86_run -device intel-iommu,intremap=on,caching-mode=on "$@"
		;;
	esac
}
