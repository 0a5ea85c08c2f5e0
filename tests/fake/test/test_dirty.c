/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/num.h"
#include "fake/fake_kvm.h"
#include "memory/dirty.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

/* A source that notes what is asked of it; the teardown asks it too. */
struct probe {
	int starts, stops, harvests;
	int start_ret, stop_ret, harvest_ret;
	enum dirty_class class;
	uint64_t bits; /* of the first word of every slot */
};

static struct memslot_table slots;
static struct dirty_tracker t;
static uint64_t page;

static int on_start(void *opaque, struct mote_err *err)
{
	struct probe *p = opaque;

	p->starts++;
	return p->start_ret ? err_set(err, -p->start_ret, "no start") : 0;
}

static int on_stop(void *opaque, struct mote_err *err)
{
	struct probe *p = opaque;

	p->stops++;
	return p->stop_ret ? err_set(err, -p->stop_ret, "no stop") : 0;
}

static int on_harvest(void *opaque, int slot, uint64_t gpa, uint64_t pages,
		      uint64_t *bitmap, enum dirty_class *class,
		      struct mote_err *err)
{
	struct probe *p = opaque;

	(void)slot;
	(void)gpa;
	for (uint64_t i = 0; i < pages; i++)
		cr_assert_not(bitmap_test(bitmap, i), "not zeroed for us");
	p->harvests++;
	bitmap[0] |= p->bits;
	*class = p->class;
	return p->harvest_ret ? err_set(err, -p->harvest_ret, "no bits") : 0;
}

static void add(struct probe *p)
{
	const struct dirty_source src = {
		.name = "probe",
		.start = on_start,
		.harvest = on_harvest,
		.stop = on_stop,
		.opaque = p,
	};

	cr_assert_eq(dirty_add_source(&t, &src, NULL), 0);
}

/* Two slots, the first of a number of pages that no word holds evenly. */
static void start(void)
{
	page = host_page_size();
	fake_kvm_reset();
	memslot_init(&slots, 3);
	cr_assert_eq(memslot_add(&slots, 0, 67 * page, NULL), 0);
	cr_assert_eq(memslot_add(&slots, GIB, 64 * page, NULL), 1);
	cr_assert_eq(dirty_init(&t, &slots, NULL), 0);
	cr_assert_eq(t.pages, 131u);
}

static void end(void)
{
	dirty_fini(&t);
	memslot_fini(&slots);
	cr_expect_eq(map_live(), 0);
}

TestSuite(dirty, .init = start, .fini = end);

Test(dirty, a_source_that_does_not_start_stops_those_before_it)
{
	static struct probe good = {0}, bad = {.start_ret = -EIO}, later = {0};
	struct mote_err err = {0};

	add(&good);
	add(&bad);
	add(&later);
	cr_expect_eq(dirty_start(&t, &err), -EIO);
	cr_expect_str_eq(err.msg, "start probe: no start");
	cr_expect_eq(good.stops, 1);
	cr_expect_eq(bad.stops, 0);
	cr_expect_eq(later.starts, 0);
	cr_expect_eq(later.stops, 0);
	cr_expect_eq(fake_kvm_slot(0)->flags, 0u);
	cr_expect_eq(fake_kvm_slot(1)->flags, 0u);
	bad.start_ret = 0;
	cr_expect_eq(dirty_start(&t, NULL), 0, "it may be tried again");
}

Test(dirty, a_kvm_that_does_not_log_starts_nothing)
{
	static struct probe p = {0};
	struct mote_err err = {0};

	add(&p);
	fake_kvm_fail_nth(2, ENOMEM);
	cr_expect_eq(dirty_start(&t, &err), -ENOMEM);
	cr_expect_not_null(strstr(err.msg, "start kvm-log"), "%s", err.msg);
	cr_expect_eq(p.starts, 0);
	cr_expect_eq(fake_kvm_slot(0)->flags, 0u);
}

Test(dirty, every_source_is_stopped_also_after_a_failure)
{
	static struct probe a = {.stop_ret = -EIO}, b = {0};
	struct mote_err err = {0};

	add(&a);
	add(&b);
	cr_assert_eq(dirty_start(&t, NULL), 0);
	cr_expect_eq(dirty_stop(&t, &err), -EIO);
	cr_expect_str_eq(err.msg, "stop probe: no stop");
	cr_expect_eq(b.stops, 1);
	cr_expect_eq(fake_kvm_slot(1)->flags, 0u);
}

Test(dirty, fini_stops_what_runs)
{
	static struct probe p = {0};

	add(&p);
	cr_assert_eq(dirty_start(&t, NULL), 0);
	dirty_fini(&t);
	cr_expect_eq(p.stops, 1);
	dirty_fini(&t);
	cr_expect_eq(p.stops, 1);
}

Test(dirty, what_changed_before_the_start_is_not_reported)
{
	cr_assert_eq(guest_zero(&slots, 0, 3 * page), 0);
	cr_assert_eq(dirty_start(&t, NULL), 0);
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_CLASSES), 0u);
}

Test(dirty, harvest_clears_what_it_reports)
{
	cr_assert_eq(dirty_start(&t, NULL), 0);
	fake_kvm_slot(0)->dirty = 0x5;
	fake_kvm_slot(1)->dirty = 0x80;
	cr_assert_eq(guest_zero(&slots, GIB + 9 * page - 1, 2), 0);
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_WRITTEN), 5u);
	cr_expect(dirty_test(&t, DIRTY_WRITTEN, 0));
	cr_expect_not(dirty_test(&t, DIRTY_WRITTEN, page));
	cr_expect(dirty_test(&t, DIRTY_WRITTEN, 2 * page + 17));
	cr_expect(dirty_test(&t, DIRTY_WRITTEN, GIB + 7 * page));
	cr_expect(dirty_test(&t, DIRTY_WRITTEN, GIB + 8 * page));
	cr_expect(dirty_test(&t, DIRTY_WRITTEN, GIB + 9 * page));
	dirty_reset(&t);
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_CLASSES), 0u);
}

Test(dirty, maps_grow_until_they_are_reset)
{
	cr_assert_eq(dirty_start(&t, NULL), 0);
	fake_kvm_slot(0)->dirty = 0x1;
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	fake_kvm_slot(0)->dirty = 0x2;
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_WRITTEN), 2u);
}

Test(dirty, classes_are_kept_apart_and_sticky_stays)
{
	static struct probe device = {.class = DIRTY_DEVICE, .bits = 0x3};
	static struct probe pinned = {.class = DIRTY_STICKY, .bits = 0x8};

	add(&device);
	add(&pinned);
	cr_assert_eq(dirty_start(&t, NULL), 0);
	fake_kvm_slot(0)->dirty = 0x1;
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_WRITTEN), 1u);
	cr_expect_eq(dirty_count(&t, DIRTY_DEVICE), 4u);
	cr_expect_eq(dirty_count(&t, DIRTY_STICKY), 2u);
	cr_expect_eq(dirty_count(&t, DIRTY_CLASSES), 6u, "a page once");
	dirty_reset(&t);
	cr_expect_eq(dirty_count(&t, DIRTY_CLASSES), 2u);
	cr_expect(dirty_test(&t, DIRTY_CLASSES, GIB + 3 * page));
	cr_expect_not(dirty_test(&t, DIRTY_CLASSES, GIB));
}

/* A pin that is dropped: reported by nobody any more, and not yet copied. */
Test(dirty, what_is_sticky_no_longer_has_been_written)
{
	static struct probe device = {.class = DIRTY_DEVICE, .bits = 0xb};
	static struct probe pinned = {.class = DIRTY_STICKY, .bits = 0x8};

	add(&device);
	add(&pinned);
	cr_assert_eq(dirty_start(&t, NULL), 0);
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect(dirty_test(&t, DIRTY_STICKY, GIB + 3 * page));
	cr_expect_not(dirty_test(&t, DIRTY_DEVICE, GIB + 3 * page),
		      "in one class of the two");
	dirty_reset(&t);
	device.bits = pinned.bits = 0;
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_not(dirty_test(&t, DIRTY_STICKY, GIB + 3 * page));
	cr_expect(dirty_test(&t, DIRTY_DEVICE, GIB + 3 * page));
	dirty_reset(&t);
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_CLASSES), 0u);
}

Test(dirty, a_failed_harvest_keeps_what_is_sticky)
{
	static struct probe pinned = {.class = DIRTY_STICKY, .bits = 0x8};

	add(&pinned);
	cr_assert_eq(dirty_start(&t, NULL), 0);
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	pinned.bits = 0;
	pinned.harvest_ret = -EIO;
	cr_assert_eq(dirty_harvest(&t, NULL), -EIO);
	cr_expect_eq(dirty_count(&t, DIRTY_STICKY), 2u);
}

Test(dirty, a_harvest_that_fails_is_told_and_loses_nothing)
{
	static struct probe p = {.harvest_ret = -EIO};
	struct mote_err err = {0};

	add(&p);
	cr_assert_eq(dirty_start(&t, NULL), 0);
	fake_kvm_slot(0)->dirty = 0x1;
	cr_expect_eq(dirty_harvest(&t, &err), -EIO);
	cr_expect_str_eq(err.msg, "probe: no bits");
	cr_expect(dirty_test(&t, DIRTY_WRITTEN, 0), "read and then lost");
	fake_kvm_fail_next(KVM_GET_DIRTY_LOG, EFAULT);
	cr_expect_eq(dirty_harvest(&t, &err), -EFAULT);
	cr_expect_str_eq(err.msg,
			 "kvm-log: slot 0: KVM_GET_DIRTY_LOG: Bad address");
	p.harvest_ret = 0;
	cr_expect_eq(dirty_harvest(&t, NULL), 0);
	cr_expect_eq(dirty_count(&t, DIRTY_CLASSES), 1u);
}

Test(dirty, what_is_not_ram_is_not_dirty)
{
	cr_expect_not(dirty_test(&t, DIRTY_CLASSES, 67 * page));
	cr_expect_not(dirty_test(&t, DIRTY_CLASSES, GIB - 1));
	cr_expect_not(dirty_test(&t, DIRTY_CLASSES, UINT64_MAX));
}

Test(dirty, the_ninth_source_is_refused)
{
	static struct probe p = {0};
	struct dirty_source src = {.name = "probe", .opaque = &p};
	struct mote_err err = {0};

	for (int i = 1; i < DIRTY_SOURCES_MAX; i++)
		add(&p);
	cr_expect_eq(dirty_add_source(&t, &src, &err), -ENOSPC);
	cr_expect_neq(err.msg[0], 0);
}

Test(dirty, one_harvest_tells_what_is_new_to_it)
{
	uint64_t first[3] = {0}, second[3] = {0}, all[3] = {0};

	cr_assert_eq(dirty_start(&t, NULL), 0);
	cr_assert_eq(guest_write(&slots, 66 * page, "x", 1), 0);
	cr_assert_eq(dirty_harvest_into(&t, first, NULL), 0);
	cr_assert_eq(guest_write(&slots, GIB, "x", 1), 0);
	cr_assert_eq(dirty_harvest_into(&t, second, NULL), 0);
	cr_expect(bitmap_test(first, 66) && bitmap_count(first, 131) == 1);
	cr_expect(bitmap_test(second, 67) && bitmap_count(second, 131) == 1);
	dirty_union(&t, all);
	cr_expect_eq(bitmap_count(all, 131), 2);
}

/* The mark is taken between the two, and what was copied is half of it. */
Test(dirty, what_was_written_into_a_mapped_range_counts_again)
{
	uint64_t bits[3] = {0};

	cr_assert_eq(dirty_start(&t, NULL), 0);
	cr_assert_not_null(guest_map_write(&slots, 3 * page, page + 1));
	cr_assert_eq(dirty_harvest(&t, NULL), 0);
	guest_written(&slots, 3 * page, page + 1);
	guest_written(&slots, 2 * GIB, page); /* no RAM: nothing */
	cr_assert_eq(dirty_harvest_into(&t, bits, NULL), 0);
	cr_expect(bitmap_test(bits, 3) && bitmap_test(bits, 4));
	cr_expect_eq(bitmap_count(bits, 131), 2);
}
