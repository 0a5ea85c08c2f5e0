# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# An IOMMU, a PCI device to pass through (QEMU's edu: DMA, MSI, a register
# with its id) and KVM-AMD.  The cloud kernel has no VFIO, the generic one
# has type1.  edu reaches only 28 bits of addresses.
#
# LAB_VARIANT=iommufd boots a newer kernel, built here, that has the device
# nodes and iommufd besides, and the kernel's mtty sample as a module.

ARCH=x86_64
CROSS_COMPILE=
build=build/lab-x86
limit=100

# shellcheck source=lab/x86/qemu.sh
. "$top/lab/x86/qemu.sh"

machine_variant()
{
	case $1 in
	vfio | iommufd) kernel_of=$1 ;;
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

machine_run()
{
	append="$append intel_iommu=on iommu.strict=1"
	x86_run -device intel-iommu,intremap=on,caching-mode=on \
		-device edu,bus=pcie.0,addr=05.0 \
		-device virtio-rng-pci,bus=pcie.0,addr=06.0,disable-legacy=on,iommu_platform=on
}
