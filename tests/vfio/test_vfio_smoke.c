/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_smoke.c - does this machine pass a device through?
 *
 * Finds QEMU's edu device, binds it to vfio-pci and reads its id register
 * through the mapped BAR.  Uses the kernel's interface directly: it judges the
 * machine, not mote.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio/labdev.h"

#define EDU_ID 0x010000ed /* at offset 0 of BAR 0: version 1.0 and "ed" */

static int open_device(const char *name, int group)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int container = lab_container(), dev;

	cr_assert_geq(container, 0, "/dev/vfio/vfio: %s", strerror(errno));
	cr_assert_geq(group, 0, "%s: %s", name, strerror(errno));
	cr_assert_eq(ioctl(group, VFIO_GROUP_GET_STATUS, &status), 0);
	cr_assert(status.flags & VFIO_GROUP_FLAGS_VIABLE, "group not viable");
	cr_assert_eq(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	cr_assert_eq(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	dev = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	cr_assert_geq(dev, 0, "%s: %s", name, strerror(errno));
	return dev;
}

/* The BAR answers only after memory decoding is switched on. */
static void enable_memory(int dev)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = VFIO_PCI_CONFIG_REGION_INDEX};
	uint16_t command = PCI_COMMAND_MEMORY;

	cr_assert_eq(ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	cr_assert_eq(pwrite(dev, &command, sizeof(command),
			    (off_t)info.offset + PCI_COMMAND),
		     (ssize_t)sizeof(command));
}

static const volatile uint32_t *map_bar(int dev)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = VFIO_PCI_BAR0_REGION_INDEX};
	void *bar;

	cr_assert_eq(ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	cr_assert(info.flags & VFIO_REGION_INFO_FLAG_MMAP);
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		   (off_t)info.offset);
	cr_assert_neq(bar, MAP_FAILED);
	return bar;
}

Test(vfio_smoke, edu_register_is_read_through_the_bar)
{
	const volatile uint32_t *bar;
	char name[64];
	int dev;

	if (!lab_pci(0x1234, 0x11e8, name))
		cr_skip_test("no edu device in this machine");
	dev = open_device(name, lab_edu_group(name));
	enable_memory(dev);
	bar = map_bar(dev);
	cr_expect_eq(bar[0], EDU_ID, "0x%x", bar[0]);
}
