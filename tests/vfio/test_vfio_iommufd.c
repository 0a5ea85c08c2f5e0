/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_iommufd.c - device nodes and iommufd, in a kernel that has them.
 *
 * The emulated IOMMU has no dirty bits, so what is tested of them here is
 * that their absence is seen; with them: tests/devices/test_vfio_space.c.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/stress.h"
#include "devices/fake_vfio.h"
#include "devices/vfio/dirty.h"
#include "devices/vfio/uapi.h"
#include "kvm/kvm.h"
#include "memory/dirty.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"
#include "vfio/labdev.h"

#define RAM    (16 * MIB)
#define PAGES  (RAM / 4096)
#define BUFFER 0x40000u /* edu's own memory */

static struct memslot_table slots;
static struct vfio_space space;
static struct vfio_dev dev;
static struct dirty_tracker t;
static struct mote_err err;
static char name[64];

static void make_ram(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	memslot_init(&slots, kvm_create_vm(kvm, 0));
	cr_assert_eq(memslot_add(&slots, 0, RAM, &err), 0, "%s", err.msg);
	close(kvm);
}

/* 0 or what failed; a kernel without device nodes skips the test. */
static int open_node(int node)
{
	int iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC), ret;

	if (node < 0 || iommu < 0)
		cr_skip_test("no device nodes, or no /dev/iommu");
	ret = vfio_space_open_iommufd(&space, iommu, &err);
	if (ret < 0) {
		close(node);
		return ret;
	}
	return vfio_space_add_node(&space, &dev, node, name, &err);
}

static int map_and_track(void)
{
	int ret = vfio_space_map(&space, &slots, &err);

	if (ret == 0)
		ret = dirty_init(&t, &slots, &err);
	if (ret == 0)
		ret = vfio_dirty_add(&space, &t, &err);
	if (ret == 0)
		ret = dirty_start(&t, &err);
	return ret < 0 ? ret : dirty_harvest(&t, &err);
}

static void close_all(void)
{
	dirty_fini(&t);
	vfio_space_close(&space);
	cr_expect_eq(lab_pinned_kib(), 0);
}

static volatile uint32_t *edu_bar(void)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = VFIO_PCI_CONFIG_REGION_INDEX};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	void *bar;

	cr_assert_eq(vfio_ioctl(dev.fd, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	cr_assert_eq(
		pwrite(dev.fd, &command, 2, (off_t)info.offset + PCI_COMMAND),
		2);
	info.index = 0;
	cr_assert_eq(vfio_ioctl(dev.fd, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev.fd,
		   (off_t)info.offset);
	cr_assert_neq(bar, MAP_FAILED);
	return bar;
}

static void edu_dma(volatile uint32_t *bar, uint32_t from, uint32_t to,
		    uint32_t command)
{
	bar[0x80 / 4] = from;
	bar[0x88 / 4] = to;
	bar[0x90 / 4] = 2048;
	bar[0x98 / 4] = command | 1;
	for (int i = 0; i < 4000 && (bar[0x98 / 4] & 1); i++)
		usleep(1000);
}

Test(vfio_iommufd, a_device_node_reaches_ram_and_all_of_it_is_sticky)
{
	uint8_t text[2048];

	make_ram();
	cr_assert_eq(open_node(lab_edu_node(name)), 0, "%s", err.msg);
	cr_expect_eq(dev.log, VFIO_LOG_NONE, "no dirty bits in this IOMMU");
	cr_expect_eq(dev.states, 0);
	cr_assert_eq(map_and_track(), 0, "%s", err.msg);
	cr_expect_eq(lab_pinned_kib(), RAM / KIB);
	memset(text, 0x77, sizeof(text));
	cr_assert_eq(guest_write(&slots, 0x7000, text, sizeof(text)), 0);
	edu_dma(edu_bar(), 0x7000, BUFFER, 0);
	edu_dma(edu_bar(), BUFFER, 0x9000, 2);
	cr_expect_arr_eq(guest_map_read(&slots, 0x9000, sizeof(text)), text,
			 sizeof(text));
	cr_assert_eq(dirty_harvest(&t, &err), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_STICKY), PAGES);
	cr_expect_eq(dirty_count(&t, DIRTY_DEVICE), 0);
	cr_expect_not(dirty_test(&t, DIRTY_WRITTEN, 0x9000));
	cr_expect_eq(vfio_dev_reset(&dev, &err), -ENOTSUP, "edu has none");
	close_all();
	memslot_fini(&slots);
}

Test(vfio_iommufd, ram_in_the_iommus_gap_is_refused_with_the_gap)
{
	make_ram();
	cr_assert_eq(open_node(lab_edu_node(name)), 0, "%s", err.msg);
	slots.slot[0].gpa = 0xfe800000;
	cr_expect_eq(vfio_space_map(&space, &slots, &err), -ERANGE);
	cr_expect(strstr(err.msg, "leaves out 0xfee00000-0xfeefffff"), "%s",
		  err.msg);
	slots.slot[0].gpa = 0;
	close_all();
	memslot_fini(&slots);
}

Test(vfio_iommufd, mapped_twice_is_an_error_and_unmapped_it_is_free)
{
	make_ram();
	cr_assert_eq(open_node(lab_edu_node(name)), 0, "%s", err.msg);
	cr_assert_eq(vfio_space_map(&space, &slots, &err), 0, "%s", err.msg);
	cr_expect_eq(vfio_space_map(&space, &slots, &err), -EEXIST);
	cr_expect_str_eq(err.msg, "0x0+0x1000000: IOMMU_IOAS_MAP: File exists");
	cr_expect_eq(vfio_space_unmap(&space, 0, RAM / 2, NULL, &err), -EINVAL);
	cr_expect_eq(vfio_space_unmap(&space, 0, RAM, NULL, &err), 0, "%s",
		     err.msg);
	cr_expect_eq(lab_pinned_kib(), 0);
	cr_expect_eq(vfio_space_map(&space, &slots, &err), 0, "%s", err.msg);
	close_all();
	memslot_fini(&slots);
}

/* No IOMMU serves it: attached all the same, and nobody logs its writes. */
Test(vfio_iommufd, a_mediated_device_is_attached_and_sticky)
{
	make_ram();
	cr_assert_eq(open_node(lab_mdev_node(PIN_TYPE, name)), 0, "%s",
		     err.msg);
	cr_expect_eq(dev.log, VFIO_LOG_NONE);
	cr_assert_eq(map_and_track(), 0, "%s", err.msg);
	cr_expect_eq(pin_do(&dev, PIN_HOLD, 0x5000, 3), 3);
	cr_expect_eq(pin_do(&dev, PIN_WRITE, 0xa000, 1), 1);
	cr_assert_eq(dirty_harvest(&t, &err), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_STICKY), PAGES);
	/* Closed with pins held. */
	close_all();
	lab_mdev_remove(name);
	memslot_fini(&slots);
}

Test(vfio_iommufd, each_ioctl_that_fails_leaves_nothing_pinned)
{
	int fds, n = 1, failed = 0;

	make_ram();
	fds = live_fds();
	for (bool more = true; more; n++) {
		int ret;

		memset(&t, 0, sizeof(t));
		fake_vfio.calls = 0;
		fake_vfio.failed = 0;
		fake_vfio.fail_at = n;
		fake_vfio.fail_with = EIO;
		space = (struct vfio_space){.kind = VFIO_SPACE_IOMMUFD,
					    .iommufd.fd = -1};
		ret = open_node(lab_edu_node(name));
		if (ret == 0)
			ret = map_and_track();
		more = fake_vfio.failed != 0;
		fake_vfio.fail_at = 0;
		failed += ret < 0;
		cr_expect(more || ret == 0, "%s", err.msg);
		close_all();
		cr_expect_eq(live_fds(), fds, "call %d leaked", n);
	}
	cr_expect_geq(failed, 6, "%d of %d", failed, n);
	memslot_fini(&slots);
}
