# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# KVM-AMD with nested paging, in Debian's cloud kernel.

ARCH=x86_64
CROSS_COMPILE=
build=build/lab-x86
limit=240

# shellcheck source=lab/x86/qemu.sh
. "$top/lab/x86/qemu.sh"

machine_fetch()
{
	x86_fetch_qemu
	root=$(fetch kernel-cloud-amd64 amd64 linux-image-cloud-amd64 \
		busybox-static)
	kernel=$(ls "$root"/boot/vmlinuz-*)
}

machine_run()
{
	x86_run
}
