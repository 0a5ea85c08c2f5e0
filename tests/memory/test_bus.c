/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>

#include "base/err.h"
#include "memory/bus.h"

struct seen {
	uint64_t off, val;
	int len, region, calls;
};

static uint64_t on_read(void *opaque, int region, uint64_t off, int len)
{
	struct seen *s = opaque;

	*s = (struct seen){.off = off,
			   .len = len,
			   .region = region,
			   .calls = s->calls + 1};
	return 0x1122334455667788;
}

static uint32_t on_write(void *opaque, int region, uint64_t off, int len,
			 uint64_t val)
{
	struct seen *s = opaque;

	*s = (struct seen){.off = off,
			   .val = val,
			   .len = len,
			   .region = region,
			   .calls = s->calls + 1};
	return (uint32_t)off;
}

static int64_t on_hcall(void *opaque, int region, uint64_t nr,
			uint64_t args[BUS_HCALL_ARGS], uint32_t *wait_ms)
{
	struct seen *s = opaque;

	(void)region;
	s->off = nr;
	args[0]++;
	*wait_ms = 3;
	return -4;
}

static struct bus_handler handler(struct seen *s)
{
	return (struct bus_handler){.read = on_read,
				    .write = on_write,
				    .hcall = on_hcall,
				    .opaque = s,
				    .region = 9};
}

Test(bus, reads_of_nothing_give_all_ones)
{
	struct bus bus = {0};
	uint64_t val;

	cr_assert_not(bus_read(&bus, BUS_PIO, 0x80, 1, &val));
	cr_assert_eq(val, 0xff);
	cr_assert_not(bus_read(&bus, BUS_MMIO, UINT64_MAX, 8, &val));
	cr_assert_eq(val, UINT64_MAX);
}

Test(bus, an_access_must_lie_within_one_region)
{
	struct bus bus = {0};
	struct seen s = {0};
	struct bus_handler h = handler(&s);
	uint32_t wait = 0;
	uint64_t val;

	cr_assert_eq(bus_add(&bus, BUS_MMIO, 0x1000, 0x10, &h, NULL), 0);
	cr_assert(bus_read(&bus, BUS_MMIO, 0x100c, 4, &val));
	cr_assert_eq(val, 0x55667788);
	cr_assert_eq(s.off, 0xc);
	cr_assert_eq(s.region, 9);
	cr_assert_not(bus_read(&bus, BUS_MMIO, 0x100d, 4, &val));
	cr_assert_not(bus_read(&bus, BUS_MMIO, 0xfff, 4, &val));
	cr_assert_not(bus_read(&bus, BUS_PIO, 0x1000, 4, &val));
	cr_assert_not(bus_write(&bus, BUS_MMIO, 0x1010, 1, 0, &wait));
	cr_assert_eq(s.calls, 1);
}

Test(bus, writes_are_cut_to_their_width)
{
	struct bus bus = {0};
	struct seen s = {0};
	struct bus_handler h = handler(&s);
	uint32_t wait = 0;

	bus_add(&bus, BUS_PIO, 0x3f8, 8, &h, NULL);
	cr_assert(bus_write(&bus, BUS_PIO, 0x3f9, 1, 0x1234, &wait));
	cr_assert_eq(s.val, 0x34);
	cr_assert_eq(wait, 1, "the handler's wish is passed on");
	wait = 100;
	bus_write(&bus, BUS_PIO, 0x3f9, 1, 0, &wait);
	cr_assert_eq(wait, 100, "and never lowers another's");
}

Test(bus, overlaps_and_wraps_are_refused)
{
	struct bus bus = {0};
	struct seen s = {0};
	struct bus_handler h = handler(&s);

	cr_assert_eq(bus_add(&bus, BUS_MMIO, 0x1000, 0x1000, &h, NULL), 0);
	cr_assert_eq(bus_add(&bus, BUS_MMIO, 0x1fff, 1, &h, NULL), -EEXIST);
	cr_assert_eq(bus_add(&bus, BUS_MMIO, 0, 0x1001, &h, NULL), -EEXIST);
	cr_assert_eq(bus_add(&bus, BUS_MMIO, 0x2000, 1, &h, NULL), 0);
	cr_assert_eq(bus_add(&bus, BUS_MMIO, 5, 0, &h, NULL), -EINVAL);
	cr_assert_eq(bus_add(&bus, BUS_MMIO, UINT64_MAX, 2, &h, NULL), -EINVAL);
}

Test(bus, full_is_said)
{
	struct bus bus = {0};
	struct seen s = {0};
	struct bus_handler h = handler(&s);

	for (uint64_t i = 0; i < BUS_REGIONS_MAX; i++)
		cr_assert_eq(bus_add(&bus, BUS_PIO, i, 1, &h, NULL), 0);
	cr_assert_eq(bus_add(&bus, BUS_PIO, 100, 1, &h, NULL), -ENOSPC);
}

Test(bus, hypercalls_go_by_number)
{
	struct bus bus = {0};
	struct seen s = {0};
	struct bus_handler h = handler(&s);
	uint64_t args[BUS_HCALL_ARGS] = {1};
	uint32_t wait = 0;
	int64_t status = 0;

	bus_add(&bus, BUS_HCALL, 0xf6d0, 8, &h, NULL);
	cr_assert(bus_hcall(&bus, 0xf6d4, args, &status, &wait));
	cr_assert_eq(status, -4);
	cr_assert_eq(args[0], 2);
	cr_assert_eq(wait, 3);
	cr_assert_not(bus_hcall(&bus, 0x58, args, &status, &wait));
}
