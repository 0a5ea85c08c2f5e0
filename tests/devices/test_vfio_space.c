/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/num.h"
#include "base/stress.h"
#include "devices/fake_vfio.h"
#include "devices/vfio/dirty.h"
#include "devices/vfio/space.h"
#include "devices/vfio/uapi.h"
#include "memory/dirty.h"
#include "memory/memslot.h"

#define PAGES 256u

static struct memslot_table slots;
static struct vfio_space space;
static struct vfio_dev dev;
static struct dirty_tracker tracker;
static struct mote_err err;
static int fds;

static int any_fd(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

/* RAM without KVM: the tracker's own source is taken out below. */
static void add_slot(int i, uint64_t gpa, uint64_t pages)
{
	cr_assert_eq(
		map_anon(&slots.slot[i].ram, pages * host_page_size(), 0, NULL),
		0);
	slots.slot[i].gpa = gpa;
	free(slots.slot[i].dirty); /* of one that was there */
	slots.slot[i].dirty = calloc(bitmap_words(pages), sizeof(uint64_t));
}

static void setup(void)
{
	if (host_page_size() != FAKE_PAGE)
		cr_skip_test("the model of VFIO has pages of 4 KiB");
	memset(&slots, 0, sizeof(slots));
	slots.vm_fd = -1;
	add_slot(0, 0, PAGES);
	add_slot(1, 4 * MIB, 2 * PAGES);
	fake_vfio_start();
	fds = live_fds();
}

TestSuite(vfio_space, .init = setup);

static int open_space(bool iommufd)
{
	int ret = iommufd ? vfio_space_open_iommufd(&space, any_fd(), &err)
			  : vfio_space_open_type1(&space, any_fd(), any_fd(),
						  &err);

	if (ret < 0)
		return ret;
	if (iommufd)
		return vfio_space_add_node(&space, &dev, any_fd(), "node",
					   &err);
	ret = vfio_dev_open(&dev, space.type1.group_fd[0], "pin", &err);
	if (ret == 0)
		ret = vfio_space_add(&space, &dev, &err);
	return ret;
}

static void must_open(bool iommufd)
{
	cr_assert_eq(open_space(iommufd), 0, "%s", err.msg);
}

/* A tracker of the space alone. */
static int track(void)
{
	int ret = dirty_init(&tracker, &slots, &err);

	cr_assert_eq(ret, 0);
	tracker.count = 0;
	ret = vfio_dirty_add(&space, &tracker, &err);
	cr_assert_eq(ret, 0);
	return dirty_start(&tracker, &err);
}

static void map_and_track(void)
{
	cr_assert_eq(vfio_space_map(&space, &slots, &err), 0, "%s", err.msg);
	cr_assert_eq(track(), 0, "%s", err.msg);
}

static void harvest(void)
{
	cr_assert_eq(dirty_harvest(&tracker, &err), 0, "%s", err.msg);
}

static void close_all(void)
{
	dirty_fini(&tracker);
	vfio_space_close(&space);
	cr_expect(fake_vfio_idle(), "left: %d maps, %d tracking",
		  fake_vfio.maps, fake_vfio.tracking);
	cr_expect_eq(live_fds(), fds, "a descriptor leaked");
}

Test(vfio_space, pins_are_sticky_and_writes_are_not)
{
	must_open(false);
	cr_expect_eq(dev.log, VFIO_LOG_TYPE1);
	map_and_track();
	fake_vfio.dirty[7] = 1;
	fake_vfio.held[1024 + 9] = fake_vfio.dirty[1024 + 9] = 1;
	harvest();
	cr_expect_not(fake_vfio.seen_full_bitmap, "zeroed by us each time");
	cr_expect_eq(dirty_count(&tracker, DIRTY_DEVICE), 1);
	cr_expect(dirty_test(&tracker, DIRTY_DEVICE, 7 * FAKE_PAGE));
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 1);
	cr_expect(dirty_test(&tracker, DIRTY_STICKY, 4 * MIB + 9 * FAKE_PAGE));

	/* Dropped: one more time as device-written, then clean. */
	dirty_reset(&tracker);
	fake_vfio.held[1024 + 9] = 0;
	harvest();
	/* The model, as the kernel, had it in the bitmap of the last read. */
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 0);
	cr_expect(dirty_test(&tracker, DIRTY_DEVICE, 4 * MIB + 9 * FAKE_PAGE));
	dirty_reset(&tracker);
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_CLASSES), 0);
	close_all();
}

Test(vfio_space, a_group_behind_an_iommu_makes_all_sticky)
{
	int group = any_fd();

	must_open(false);
	map_and_track();
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_CLASSES), 0);
	cr_assert_eq(vfio_container_add(&space.type1, group, &err), 0);
	fake_vfio.all = true;
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 3 * PAGES);
	cr_assert_eq(vfio_container_remove(&space.type1, group, &err), 0);
	fake_vfio.all = false;
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 0);
	cr_expect_eq(dirty_count(&tracker, DIRTY_DEVICE), 3 * PAGES,
		     "written at some time, and not copied since");
	cr_expect_eq(vfio_container_remove(&space.type1,
					   space.type1.group_fd[0], &err),
		     -EINVAL, "the last group stays");
	close_all();
}

Test(vfio_space, nobody_logs_and_all_is_sticky)
{
	fake_vfio.no_dirty = true;
	must_open(false);
	cr_expect_eq(dev.log, VFIO_LOG_NONE);
	map_and_track();
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 3 * PAGES);
	cr_expect_eq(dirty_count(&tracker, DIRTY_DEVICE), 0);
	cr_expect_eq(fake_vfio.gets, 0);
	close_all();
}

Test(vfio_space, a_device_that_logs_is_asked_itself)
{
	fake_vfio.device_logs = true;
	fake_vfio.all = true;
	must_open(false);
	cr_expect_eq(dev.log, VFIO_LOG_DEVICE);
	map_and_track();
	cr_expect_eq(fake_vfio.log_ranges, 2);
	cr_expect_eq(fake_vfio.tracking, 0, "type1 would say: all");
	fake_vfio.logged[3] = 1;
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_DEVICE), 1);
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 0);
	close_all();
}

Test(vfio_space, slots_that_touch_are_one_range_to_a_device)
{
	fake_vfio.device_logs = true;
	/* Behind slot 1 and before slot 0 of the table: order is by address. */
	add_slot(2, 4 * MIB + 2 * PAGES * FAKE_PAGE, PAGES);
	must_open(false);
	map_and_track();
	cr_expect_eq(fake_vfio.log_ranges, 2);
	cr_expect_eq(fake_vfio.log_last, 4 * MIB + 3 * PAGES * FAKE_PAGE - 1);
	close_all();
}

Test(vfio_space, a_device_with_one_range_gets_one)
{
	fake_vfio.device_logs = true;
	fake_vfio.log_ranges_max = 1;
	must_open(false);
	map_and_track();
	cr_expect_eq(fake_vfio.log_ranges, 1);
	cr_expect_eq(fake_vfio.log_last, 4 * MIB + 2 * PAGES * FAKE_PAGE - 1);
	fake_vfio.logged[1024] = 1;
	harvest();
	cr_expect(dirty_test(&tracker, DIRTY_DEVICE, 4 * MIB));
	close_all();
}

/* One of type1 and one that logs itself, which then does not start. */
Test(vfio_space, a_start_that_fails_stops_what_had_started)
{
	struct vfio_dev logs;

	must_open(false);
	fake_vfio.device_logs = true;
	cr_assert_eq(
		vfio_dev_open(&logs, space.type1.group_fd[0], "logs", &err), 0);
	cr_assert_eq(vfio_space_add(&space, &logs, &err), 0);
	cr_expect_eq(dev.log, VFIO_LOG_TYPE1);
	cr_expect_eq(logs.log, VFIO_LOG_DEVICE);
	cr_assert_eq(vfio_space_map(&space, &slots, &err), 0);
	fake_vfio.refuse = VFIO_DEVICE_FEATURE;
	fake_vfio.fail_with = ENOMEM;
	/* The number is the container's DIRTY_PAGES too: let that one pass. */
	fake_vfio.refuse_not = space.type1.fd;
	cr_expect_eq(track(), -ENOMEM);
	cr_expect_str_eq(err.msg, "start vfio: VFIO device logs: "
				  "DMA_LOGGING_START: Cannot allocate memory");
	cr_expect_eq(fake_vfio.tracking, 0, "type1 had started");
	fake_vfio.refuse = 0;
	cr_expect_eq(dirty_start(&tracker, &err), 0, "%s", err.msg);
	fake_vfio.logged[1] = 1;
	fake_vfio.dirty[2] = 1;
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_DEVICE), 2, "both are asked");
	close_all();
}

Test(vfio_space, iommufd_page_tables_log)
{
	fake_vfio.hwpt_dirty = true;
	must_open(true);
	cr_expect_eq(dev.log, VFIO_LOG_IOMMU);
	map_and_track();
	cr_expect_eq(fake_vfio.tracking, 1);
	fake_vfio.dirty[1030] = 1;
	harvest();
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_DEVICE), 1);
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 0);
	close_all();
}

Test(vfio_space, iommufd_without_logging_is_all_sticky)
{
	must_open(true);
	cr_expect_eq(dev.log, VFIO_LOG_NONE);
	map_and_track();
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_STICKY), 3 * PAGES);
	close_all();
}

/* Two maps where one bitmap does not cover the slot: none is cut. */
Test(vfio_space, maps_are_no_larger_than_the_kernel_reports_at_once)
{
	fake_vfio.bitmap_max = 16; /* 128 pages */
	must_open(false);
	map_and_track();
	cr_expect_eq(fake_vfio.maps, 6);
	cr_expect_eq(fake_vfio.map[1].iova, 128 * FAKE_PAGE);
	fake_vfio.dirty[200] = fake_vfio.dirty[1024 + 511] = 1;
	harvest();
	cr_expect_eq(dirty_count(&tracker, DIRTY_DEVICE), 2);
	cr_expect(dirty_test(&tracker, DIRTY_DEVICE, 200 * FAKE_PAGE));
	cr_expect(
		dirty_test(&tracker, DIRTY_DEVICE, 4 * MIB + 511 * FAKE_PAGE));
	cr_expect_eq(fake_vfio.gets, 12, "six maps, two reads");
	close_all();
}

Test(vfio_space, a_range_may_hold_several_maps_and_a_hole)
{
	uint64_t bits[24] = {~0ull};

	must_open(false);
	map_and_track();
	fake_vfio.dirty[1] = fake_vfio.dirty[1024] = 1;
	cr_assert_eq(vfio_container_dirty(&space.type1, 0, 6 * MIB, bits, &err),
		     0, "%s", err.msg);
	cr_expect_eq(fake_vfio.gets, 2);
	cr_expect_eq(bits[0], 2, "zeroed first");
	cr_expect_eq(bits[16], 1);
	close_all();
}

Test(vfio_space, a_range_that_cuts_a_map_is_refused_by_name)
{
	uint64_t bits[24];

	must_open(false);
	map_and_track();
	cr_expect_eq(vfio_container_dirty(&space.type1, 0, MIB / 2, bits, &err),
		     -EINVAL);
	cr_expect(strstr(err.msg, "cuts the DMA map at 0x0"), "%s", err.msg);
	cr_expect_eq(vfio_container_dirty(&space.type1, 1, MIB, bits, &err),
		     -EINVAL);
	cr_expect_eq(vfio_space_unmap(&space, 4 * MIB, MIB, bits, &err),
		     -EINVAL);
	cr_expect_eq(vfio_space_unmap(&space, 0, 0, bits, &err), -EINVAL);
	cr_expect_eq(fake_vfio.maps, 2);
	close_all();
}

Test(vfio_space, unmap_carries_what_it_would_lose)
{
	uint64_t bits[8];

	must_open(false);
	map_and_track();
	harvest();
	fake_vfio.dirty[1024 + 70] = 1;
	cr_assert_eq(vfio_space_unmap(&space, 4 * MIB, 2 * PAGES * FAKE_PAGE,
				      bits, &err),
		     0, "%s", err.msg);
	cr_expect_eq(bits[1], 1u << 6);
	cr_expect_eq(bitmap_count(bits, 2 * PAGES), 1);
	cr_expect_eq(fake_vfio.maps, 1);
	close_all();
}

Test(vfio_space, unmap_asks_the_others_too)
{
	uint64_t bits[8];

	fake_vfio.device_logs = true;
	must_open(false);
	map_and_track();
	fake_vfio.logged[1024] = 1;
	cr_assert_eq(vfio_space_unmap(&space, 4 * MIB, 2 * PAGES * FAKE_PAGE,
				      bits, &err),
		     0, "%s", err.msg);
	cr_expect_eq(bits[0], 1);
	close_all();
	fake_vfio_start();
	fake_vfio.hwpt_dirty = true;
	must_open(true);
	map_and_track();
	fake_vfio.dirty[1025] = 1;
	cr_assert_eq(vfio_space_unmap(&space, 4 * MIB, 2 * PAGES * FAKE_PAGE,
				      bits, &err),
		     0, "%s", err.msg);
	cr_expect_eq(bits[0], 2);
	cr_expect_eq(fake_vfio.maps, 1);
	close_all();
}

Test(vfio_space, ram_where_no_device_reaches_is_refused_with_the_gap)
{
	for (int iommufd = 0; iommufd < 2; iommufd++) {
		fake_vfio_start();
		add_slot(3, 0xfed00000, 1024);
		must_open(iommufd);
		cr_expect_eq(vfio_space_map(&space, &slots, &err), -ERANGE);
		cr_expect(strstr(err.msg, "0xfee00000-0xfeefffff"), "%s",
			  err.msg);
		cr_expect_eq(fake_vfio.maps, 0);
		slots.slot[3].gpa = UINT64_C(1) << 40;
		cr_expect_eq(vfio_space_map(&space, &slots, &err), -ERANGE);
		cr_expect(strstr(err.msg, "0x8000000001-0xffffffffffffffff"),
			  "%s", err.msg);
		map_fini(&slots.slot[3].ram);
		vfio_space_close(&space);
	}
}

Test(vfio_space, the_limit_on_maps_is_told_before_any_is_made)
{
	fake_vfio.avail = 1;
	must_open(false);
	cr_expect_eq(vfio_space_map(&space, &slots, &err), -ENOSPC);
	cr_expect(strstr(err.msg, "dma_entry_limit"), "%s", err.msg);
	cr_expect_eq(fake_vfio.maps, 0);
	fake_vfio.avail = 65535;
	fake_vfio.bitmap_max = 8; /* a map per 64 pages: fine */
	cr_expect_eq(vfio_space_map(&space, &slots, &err), 0, "%s", err.msg);
	close_all();
}

Test(vfio_space, what_the_host_lacks_has_a_name)
{
	fake_vfio.viable = false;
	cr_expect_eq(open_space(false), -EBUSY);
	cr_expect(strstr(err.msg, "not viable"));
	fake_vfio.viable = true;
	fake_vfio.no_type1 = true;
	cr_expect_eq(open_space(false), -ENODEV);
	cr_expect(strstr(err.msg, "no type1 v2"));
	cr_expect_eq(live_fds(), fds);
}

static int every_step(bool iommufd)
{
	uint64_t bits[8];
	int ret = open_space(iommufd);

	if (ret == 0)
		ret = vfio_space_map(&space, &slots, &err);
	if (ret == 0)
		ret = track();
	if (ret == 0)
		ret = dirty_harvest(&tracker, &err);
	if (ret == 0)
		ret = vfio_space_unmap(&space, 4 * MIB, 2 * PAGES * FAKE_PAGE,
				       bits, &err);
	if (ret == 0)
		ret = dirty_stop(&tracker, &err);
	return ret;
}

/* Probes may fail: the device then just has no such feature. */
static bool may_fail(unsigned long request)
{
	return request == VFIO_DEVICE_FEATURE ||
	       request == (unsigned long)IOMMUFD_CALL(IOMMUFD_HWPT_ALLOC) ||
	       request == VFIO_DEVICE_ATTACH_IOMMUFD_PT;
}

static void fail_each(bool iommufd, bool hwpt, bool logs)
{
	static const int codes[] = {ENOMEM, EINVAL, EFAULT, EEXIST};
	int n = 1;

	for (bool more = true; more; n++) {
		int ret;

		fake_vfio_start();
		fake_vfio.hwpt_dirty = hwpt;
		fake_vfio.device_logs = logs;
		fake_vfio.fail_at = n;
		fake_vfio.fail_with = codes[n % 4];
		err = (struct mote_err){0};
		memset(&tracker, 0, sizeof(tracker));
		space.kind = VFIO_SPACE_TYPE1;
		space.type1 = (struct vfio_container){.fd = -1};
		ret = every_step(iommufd);
		more = fake_vfio.failed != 0;
		fake_vfio.fail_at = 0;
		if (more && !may_fail(fake_vfio.failed)) {
			cr_expect_eq(ret,
				     fake_vfio.failed == VFIO_CHECK_EXTENSION
					     ? -ENODEV
					     : -codes[n % 4],
				     "call %d (0x%lx): %d", n, fake_vfio.failed,
				     ret);
			cr_expect_neq(err.msg[0], 0);
		}
		dirty_fini(&tracker);
		vfio_space_close(&space);
		/* A stop that failed is not tried again: closing ends it. */
		if (!strncmp(err.msg, "stop vfio", 9))
			fake_vfio.tracking = fake_vfio.log_ranges = 0;
		cr_expect(fake_vfio_idle(),
			  "call %d (0x%lx) left %d maps, %d tracking", n,
			  fake_vfio.failed, fake_vfio.maps, fake_vfio.tracking);
		cr_expect_eq(live_fds(), fds, "call %d leaked", n);
	}
	cr_expect_geq(n, 15);
}

Test(vfio_space, each_call_of_type1_that_fails_leaves_nothing)
{
	fail_each(false, false, false);
}

Test(vfio_space, each_call_of_a_logging_device_that_fails_leaves_nothing)
{
	fail_each(false, false, true);
}

Test(vfio_space, each_call_of_iommufd_that_fails_leaves_nothing)
{
	fail_each(true, true, false);
}

Test(vfio_space, memory_that_can_not_be_pinned_names_the_limit)
{
	must_open(false);
	fake_vfio.refuse = VFIO_IOMMU_MAP_DMA;
	fake_vfio.fail_with = ENOMEM;
	cr_expect_eq(vfio_space_map(&space, &slots, &err), -ENOMEM);
	cr_expect(strstr(err.msg, "RLIMIT_MEMLOCK"), "%s", err.msg);
	fake_vfio.refuse = 0;
	close_all();
}
