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

# Before 10.0.13 QEMU's AMD IOMMU does not let Debian's kernels start.  The
# one of Debian 13 runs here with the libraries that it needs newer.
amd_fetch_qemu()
{
	amd_root=$(fetch qemu-amd-iommu -s trixie amd64 qemu-system-x86 \
		qemu-system-common qemu-system-data seabios libc6 \
		libcapstone5 libfuse3-4 libaio1t64 libglib2.0-0t64 libmount1 \
		libblkid1 libselinux1 libudev1 libnettle8t64 libhogweed6t64 \
		libgnutls30t64 liburing2 libunistring5 libp11-kit0)
	amd_lib=$amd_root/usr/lib/x86_64-linux-gnu
	qemu=$work/qemu
	cat >"$qemu" <<-END
		#!/bin/sh
		exec "$amd_lib/ld-linux-x86-64.so.2" --library-path \
			"$amd_lib:/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu" \
			"$amd_root/usr/bin/qemu-system-x86_64" "\$@"
		END
	chmod +x "$qemu"
	qemu_data="-L $amd_root/usr/share/qemu -L $amd_root/usr/share/seabios"
}

machine_fetch()
{
	case $iommu in
	amd) amd_fetch_qemu ;;
	*) x86_fetch_qemu ;;
	esac
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
	set -- -device edu,bus=pcie.0,addr=05.0 \
		-device virtio-rng-pci,bus=pcie.0,addr=06.0,disable-legacy=on,iommu_platform=on
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
