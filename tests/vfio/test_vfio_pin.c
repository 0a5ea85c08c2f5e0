/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_pin.c - held pins and single writes, told apart by a real kernel.
 *
 * The mediated device of lab/vfio/pin does what it is told, so each page's
 * class is known before it is asked for.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bitmap.h"
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
#include "snapshot/precopy.h"
#include "vfio/labdev.h"

#define PAGE	4096u
#define RAM	(16 * MIB)
#define GPA(n)	((uint64_t)(n)*PAGE)
#define MS	UINT64_C(1000000)
#define EXAMPLE (64 * MIB)

static struct memslot_table slots;
static struct vfio_space space;
static struct vfio_dev pin;
static struct dirty_tracker t;
static struct mote_err err;
static char name[64];

/* RAM in a VM of KVM's, so that its log is the first source. */
static void make_ram(uint64_t size)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	memslot_init(&slots, kvm_create_vm(kvm, 0));
	cr_assert_geq(slots.vm_fd, 0);
	cr_assert_eq(memslot_add(&slots, 0, size, &err), 0, "%s", err.msg);
	close(kvm);
}

static void open_pin(uint64_t size)
{
	int group = lab_mdev_group(PIN_TYPE, name);

	if (group < 0)
		cr_skip_test("no mediated device that pins");
	make_ram(size);
	cr_assert_eq(
		vfio_space_open_type1(&space, lab_container(), group, &err), 0,
		"%s", err.msg);
	cr_assert_eq(vfio_dev_open(&pin, group, name, &err), 0, "%s", err.msg);
	cr_assert_eq(vfio_space_add(&space, &pin, &err), 0);
	cr_assert_eq(pin.log, VFIO_LOG_TYPE1);
	cr_assert_eq(vfio_space_map(&space, &slots, &err), 0, "%s", err.msg);
	cr_assert_eq(dirty_init(&t, &slots, &err), 0);
	cr_assert_eq(vfio_dirty_add(&space, &t, &err), 0);
}

static void start(void)
{
	cr_assert_eq(dirty_start(&t, &err), 0, "%s", err.msg);
}

static void harvest(void)
{
	cr_assert_eq(dirty_harvest(&t, &err), 0, "%s", err.msg);
}

static void expect(uint64_t device, uint64_t sticky)
{
	cr_expect_eq(dirty_count(&t, DIRTY_DEVICE), device, "%d device-written",
		     (int)dirty_count(&t, DIRTY_DEVICE));
	cr_expect_eq(dirty_count(&t, DIRTY_STICKY), sticky, "%d sticky",
		     (int)dirty_count(&t, DIRTY_STICKY));
}

static void close_pin(void)
{
	dirty_fini(&t);
	vfio_space_close(&space);
	memslot_fini(&slots);
	lab_mdev_remove(name);
	cr_expect_eq(lab_pinned_kib(), 0);
}

Test(vfio_pin, writes_are_told_once_and_reads_never)
{
	open_pin(RAM);
	start();
	harvest();
	expect(0, 0);
	cr_assert_eq(pin_do(&pin, PIN_WRITE, GPA(7) + 16, 1), 1);
	cr_assert_eq(pin_do(&pin, PIN_TOUCH, GPA(100), 10), 10);
	cr_assert_eq(pin_do(&pin, PIN_READ, GPA(50), 5), 5);
	harvest();
	expect(11, 0);
	cr_expect(dirty_test(&t, DIRTY_DEVICE, GPA(7)));
	cr_expect(dirty_test(&t, DIRTY_DEVICE, GPA(109)));
	cr_expect_not(dirty_test(&t, DIRTY_WRITTEN, GPA(7)),
		      "KVM can't have seen it");
	dirty_reset(&t);
	harvest();
	expect(0, 0);
	close_pin();
}

Test(vfio_pin, held_pins_are_sticky_beside_what_is_written)
{
	open_pin(RAM);
	start();
	cr_assert_eq(pin_do(&pin, PIN_HOLD, GPA(32), 4), 4);
	cr_assert_eq(pin_do(&pin, PIN_TOUCH, GPA(64), 2), 2);
	harvest();
	expect(2, 4);
	dirty_reset(&t);
	harvest();
	expect(0, 4);
	/* Dropped: written till then, nobody tells it again. */
	cr_assert_eq(pin_do(&pin, PIN_STORE, GPA(33), 1), 1);
	cr_assert_eq(pin_do(&pin, PIN_DROP, GPA(32), 2), 2);
	harvest();
	expect(2, 2);
	cr_expect(dirty_test(&t, DIRTY_DEVICE, GPA(33)));
	dirty_reset(&t);
	harvest();
	expect(0, 2);
	close_pin();
}

/* Why START comes before the first page is copied. */
Test(vfio_pin, what_was_dropped_before_start_is_not_told)
{
	open_pin(RAM);
	cr_assert_eq(pin_do(&pin, PIN_HOLD, GPA(8), 4), 4);
	cr_assert_eq(pin_do(&pin, PIN_DROP, GPA(8), 2), 2);
	start();
	harvest();
	expect(0, 2);
	cr_expect_not(dirty_test(&t, DIRTY_CLASSES, GPA(8)));
	cr_expect(dirty_test(&t, DIRTY_STICKY, GPA(10)));
	close_pin();
}

Test(vfio_pin, dropped_between_two_reads_is_not_lost)
{
	uint64_t bits[RAM / PAGE / 64] = {0};

	open_pin(RAM);
	start();
	cr_assert_eq(pin_do(&pin, PIN_HOLD, GPA(5), 1), 1);
	/* The first of a harvest's two reads, the drop, then the second. */
	cr_assert_eq(vfio_space_dirty(&space, 0, RAM, bits, &err), 0);
	cr_assert_eq(pin_do(&pin, PIN_DROP, GPA(5), 1), 1);
	harvest();
	cr_expect(dirty_test(&t, DIRTY_CLASSES, GPA(5)));
	harvest();
	cr_expect(dirty_test(&t, DIRTY_DEVICE, GPA(5)));
	close_pin();
}

Test(vfio_pin, pinned_again_it_is_the_memory_of_now)
{
	uint64_t val;

	open_pin(RAM);
	start();
	cr_assert_eq(pin_do(&pin, PIN_HOLD, GPA(9), 1), 1);
	cr_assert_eq(pin_do(&pin, PIN_DROP, GPA(9), 1), 1);
	/* Another frame at the same address, which the kernel must look up. */
	cr_assert_eq(madvise((char *)slots.slot[0].ram.addr + GPA(9), PAGE,
			     MADV_DONTNEED),
		     0);
	cr_assert_eq(pin_do(&pin, PIN_HOLD, GPA(9), 1), 1);
	cr_assert_eq(pin_do(&pin, PIN_STORE, GPA(9), 1), 1);
	cr_assert_eq(guest_read(&slots, GPA(9), &val, sizeof(val)), 0);
	cr_expect_eq(val, ~GPA(9));
	harvest();
	expect(0, 1);
	close_pin();
}

Test(vfio_pin, unmap_while_pinned_carries_the_bitmap)
{
	uint64_t bits[RAM / PAGE / 64];

	open_pin(RAM);
	start();
	harvest();
	cr_assert_eq(pin_do(&pin, PIN_HOLD, GPA(3), 2), 2);
	cr_assert_eq(pin_do(&pin, PIN_TOUCH, GPA(200), 3), 3);
	cr_assert_eq(vfio_space_unmap(&space, 0, RAM, bits, &err), 0, "%s",
		     err.msg);
	cr_expect_eq(bitmap_count(bits, RAM / PAGE), 5);
	cr_expect(bitmap_test(bits, 4) && bitmap_test(bits, 202));
	cr_expect_lt(pin_do(&pin, PIN_TOUCH, GPA(3), 1), 0,
		     "nothing is mapped there");
	close_pin();
}

Test(vfio_pin, a_group_behind_the_iommu_joins_and_leaves)
{
	char edu[64];
	int group;

	open_pin(RAM);
	start();
	harvest();
	expect(0, 0);
	group = lab_edu_group(edu);
	cr_assert_geq(group, 0);
	cr_assert_eq(vfio_container_add(&space.type1, group, &err), 0, "%s",
		     err.msg);
	harvest();
	expect(0, RAM / PAGE);
	cr_assert_eq(vfio_container_remove(&space.type1, group, &err), 0, "%s",
		     err.msg);
	/* The kernel tells all of it once more, then what is so. */
	harvest();
	expect(RAM / PAGE, 0);
	dirty_reset(&t);
	harvest();
	expect(0, 0);
	cr_assert_eq(pin_do(&pin, PIN_TOUCH, GPA(1), 1), 1);
	harvest();
	expect(1, 0);
	close_pin();
}

/* ---- what the kernel refuses, asked without mote's own checks ---- */

static int raw(uint32_t flags, uint64_t iova, uint64_t size, uint64_t page,
	       void *bits, uint64_t bytes)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} d = {{sizeof(d), flags}, {iova, size, {page, bytes, bits}}};

	return vfio_ioctl(space.type1.fd, VFIO_IOMMU_DIRTY_PAGES, &d.head);
}

Test(vfio_pin, the_kernel_refuses_what_we_never_ask)
{
	static uint64_t bits[RAM / PAGE / 64];
	const uint32_t get = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;

	open_pin(RAM);
	cr_expect_eq(raw(get, 0, RAM, PAGE, bits, sizeof(bits)), -EINVAL,
		     "before START");
	cr_expect_eq(raw(VFIO_IOMMU_DIRTY_PAGES_FLAG_START |
				 VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
			 0, 0, 0, NULL, 0),
		     -EINVAL);
	start();
	cr_expect_eq(raw(get, 0, RAM, PAGE, bits, sizeof(bits)), 0);
	cr_expect_eq(raw(get, 0, RAM, 65536, bits, sizeof(bits)), -EINVAL,
		     "another page size");
	cr_expect_eq(raw(get, 0, RAM, PAGE, bits, sizeof(bits) - 8), -EINVAL,
		     "a short bitmap");
	cr_expect_eq(raw(get, 0, RAM, PAGE, bits, 1 << 29), -EINVAL,
		     "more than the limit");
	cr_expect_eq(raw(get, 0, RAM / 2, PAGE, bits, sizeof(bits)), -EINVAL,
		     "half a map");
	cr_expect_eq(raw(get, 0, RAM, PAGE, (void *)8, sizeof(bits)), -EFAULT);
	cr_assert_eq(dirty_stop(&t, &err), 0);
	cr_expect_eq(raw(get, 0, RAM, PAGE, bits, sizeof(bits)), -EINVAL,
		     "after STOP");
	close_pin();
}

Test(vfio_pin, each_refusal_has_words)
{
	uint64_t bits[RAM / PAGE / 64];

	open_pin(RAM);
	cr_expect_eq(vfio_container_dirty(&space.type1, 0, RAM, bits, &err),
		     -EINVAL);
	cr_expect_str_eq(err.msg,
			 "VFIO_IOMMU_DIRTY_PAGES GET 0x0+0x1000000: Invalid "
			 "argument");
	cr_expect_eq(vfio_container_dirty(&space.type1, 0, RAM / 2, bits, &err),
		     -EINVAL);
	cr_expect_str_eq(err.msg, "0x0+0x800000 cuts the DMA map at 0x0");
	cr_expect_eq(vfio_space_map(&space, &slots, &err), -EEXIST);
	cr_expect_str_eq(err.msg,
			 "VFIO_IOMMU_MAP_DMA 0x0+0x1000000: File exists");
	cr_expect_eq(space.type1.reach.maps, 1);
	close_pin();
}

/* ---- with a device that the IOMMU serves: RAM is pinned ---- */

static void drop_caps(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	cr_assert_eq(syscall(SYS_capset, &head, data), 0);
}

static int open_edu(struct vfio_dev *edu)
{
	int group = lab_edu_group(name);
	int ret = vfio_space_open_type1(&space, lab_container(), group, &err);

	if (ret == 0)
		ret = vfio_dev_open(edu, group, name, &err);
	return ret < 0 ? ret : vfio_space_add(&space, edu, &err);
}

Test(vfio_pin, memory_that_can_not_be_pinned_names_the_limit)
{
	struct rlimit limit = {64 << 10, 64 << 10};
	struct vfio_dev edu;

	make_ram(RAM);
	cr_assert_eq(open_edu(&edu), 0, "%s", err.msg);
	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	drop_caps();
	cr_expect_eq(vfio_space_map(&space, &slots, &err), -ENOMEM);
	cr_expect(strstr(err.msg, "Cannot allocate memory (all of RAM is "
				  "pinned: see RLIMIT_MEMLOCK)"),
		  "%s", err.msg);
	cr_expect_eq(lab_pinned_kib(), 0);
	vfio_space_close(&space);
}

Test(vfio_pin, ram_in_the_iommus_gap_is_refused_with_the_gap)
{
	struct vfio_dev edu;

	make_ram(RAM);
	cr_assert_eq(open_edu(&edu), 0, "%s", err.msg);
	slots.slot[0].gpa = 0xfe800000;
	cr_expect_eq(vfio_space_map(&space, &slots, &err), -ERANGE);
	cr_expect(strstr(err.msg, "leaves out 0xfee00000-0xfeefffff"), "%s",
		  err.msg);
	slots.slot[0].gpa = 0;
	vfio_space_close(&space);
	memslot_fini(&slots);
}

static int every_step(struct vfio_dev *edu)
{
	uint64_t bits[RAM / PAGE / 64];
	int ret = open_edu(edu);

	if (ret == 0)
		ret = vfio_space_map(&space, &slots, &err);
	if (ret == 0)
		ret = dirty_init(&t, &slots, &err);
	if (ret == 0)
		ret = vfio_dirty_add(&space, &t, &err);
	if (ret == 0)
		ret = dirty_start(&t, &err);
	if (ret == 0)
		ret = dirty_harvest(&t, &err);
	if (ret == 0)
		ret = vfio_space_unmap(&space, 0, RAM, bits, &err);
	return ret < 0 ? ret : dirty_stop(&t, &err);
}

Test(vfio_pin, each_ioctl_that_fails_leaves_nothing_pinned)
{
	int fds, failed = 0;

	make_ram(RAM);
	fds = live_fds();
	for (int n = 1; n < 40; n++) {
		struct vfio_dev edu;
		bool hit;
		int ret;

		memset(&t, 0, sizeof(t));
		fake_vfio.calls = 0;
		fake_vfio.failed = 0;
		fake_vfio.fail_at = n;
		fake_vfio.fail_with = EIO;
		space = (struct vfio_space){.type1.fd = -1};
		ret = every_step(&edu);
		hit = fake_vfio.failed != 0;
		fake_vfio.fail_at = 0;
		failed += ret < 0;
		dirty_fini(&t);
		vfio_space_close(&space);
		cr_expect_eq(lab_pinned_kib(), 0, "call %d", n);
		cr_expect_eq(live_fds(), fds, "call %d leaked", n);
		if (!hit) {
			cr_expect_eq(ret, 0, "%s", err.msg);
			break;
		}
		cr_expect_lt(n, 39);
	}
	cr_expect_geq(failed, 12);
	memslot_fini(&slots);
}

/* ---- the mailing list's example: real pins, a clock that is the link's ----
 */

static struct {
	uint64_t clock, wrote;
	int sends;
	bool hidden, paused;
	struct dirty_source sources[2]; /* the real ones, under the ablation */
} m;

static void guest_writes(uint64_t from, uint64_t bytes)
{
	for (uint64_t at = from; at < from + bytes; at += PAGE)
		cr_assert_eq(guest_write(&slots, at, &m.clock, 8), 0);
}

/* The guest writes 64 MiB while the first pass is sent, later 8 MiB/s. */
static int send_pages(void *opaque, uint64_t first, uint64_t n,
		      struct mote_err *e)
{
	m.clock += n * PAGE * 1000 * MS / EXAMPLE;
	if (m.sends++ == 0)
		guest_writes(EXAMPLE, EXAMPLE);
	else if (!m.paused && m.clock > 3000 * MS &&
		 m.clock - m.wrote > 125 * MS) {
		guest_writes(EXAMPLE + (m.clock / MS % 64) * MIB, MIB);
		m.wrote = m.clock;
	}
	return 0;
}

static uint64_t now_ns(void *opaque)
{
	return m.clock;
}

static int pause_it(void *opaque, struct mote_err *e)
{
	m.paused = true;
	return 0;
}

/* The ablation: VFIO is asked when the machine stands, not before. */
static int late_start(void *opaque, struct mote_err *e)
{
	struct dirty_source *real = opaque;

	return real->start(real->opaque, e);
}

static int late_stop(void *opaque, struct mote_err *e)
{
	struct dirty_source *real = opaque;

	return real->stop(real->opaque, e);
}

static int late_harvest(void *opaque, int slot, uint64_t gpa, uint64_t pages,
			uint64_t *bits, enum dirty_class *class,
			struct mote_err *e)
{
	struct dirty_source *real = opaque;

	*class = DIRTY_DEVICE;
	return m.paused ? real->harvest(real->opaque, slot, gpa, pages, bits,
					class, e)
			: 0;
}

static void ask_late(int i)
{
	m.sources[i] = t.source[1 + i];
	t.source[1 + i] = (struct dirty_source){
		.name = "late",
		.start = late_start,
		.harvest = late_harvest,
		.stop = late_stop,
		.opaque = &m.sources[i],
	};
}

static void run_example(bool hidden, struct precopy_result *r)
{
	const struct precopy_limits limits = {.pause_ns = 1200 * MS};
	const struct precopy_target to = {
		.send = send_pages, .now_ns = now_ns, .pause = pause_it};

	open_pin(256 * MIB);
	cr_assert_eq(pin_do(&pin, PIN_HOLD, 0, EXAMPLE / PAGE), EXAMPLE / PAGE);
	memset(&m, 0, sizeof(m));
	for (int i = 0; hidden && i < 2; i++)
		ask_late(i);
	cr_assert_eq(precopy_run(&t, &to, &limits, r, &err), 0, "%s", err.msg);
	cr_log_info("predicted %d ms, was %d ms; %d rounds, %d sticky, "
		    "%d of them sent before",
		    (int)(r->predicted_ns / MS), (int)(r->pause_ns / MS),
		    (int)r->rounds, (int)r->sticky_pages,
		    (int)r->resent_sticky);
}

Test(vfio_pin, sixty_four_mib_of_pins_are_in_the_prediction)
{
	struct precopy_result r;
	uint64_t off;

	run_example(false, &r);
	off = r.pause_ns > r.predicted_ns ? r.pause_ns - r.predicted_ns
					  : r.predicted_ns - r.pause_ns;
	cr_expect(r.fits);
	cr_expect_leq(r.pause_ns, 1200 * MS);
	cr_expect_leq(off * 10, r.pause_ns, "within a tenth");
	cr_expect_geq(r.rounds, 2);
	cr_expect_eq(r.sticky_pages, EXAMPLE / PAGE);
	cr_expect_eq(r.resent_sticky, 0);
	close_pin();
}

Test(vfio_pin, asked_only_at_the_stop_they_make_it_twice_as_long)
{
	struct precopy_result r;

	run_example(true, &r);
	cr_expect(r.fits, "so it was believed");
	cr_expect_geq(r.pause_ns * 10, r.predicted_ns * 18);
	cr_expect_leq(r.pause_ns * 10, r.predicted_ns * 22);
	cr_expect_eq(r.resent_sticky, EXAMPLE / PAGE);
	close_pin();
}
