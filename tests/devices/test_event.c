/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <stddef.h>

#include "base/guest_abi.h"
#include "devices/devtest.h"
#include "devices/event.h"
#include "memory/guestmem.h"

static struct devtest d;

static void start(void)
{
	devtest_init(&d, "event", BUS_PIO, 0x6d0, MOTE_REG_SPAN);
}

static void end(void)
{
	devtest_fini(&d);
}

TestSuite(event_device, .init = start, .fini = end);

static uint32_t shown(void)
{
	uint32_t events = 0;

	cr_assert_eq(guest_read(&d.slots,
				DEVTEST_BOOT_PAGE +
					offsetof(struct mote_boot, events),
				&events, sizeof(events)),
		     0);
	return events;
}

static uint32_t wait_of(uint64_t off, uint64_t val)
{
	uint32_t wait = 0;

	cr_assert(bus_write(&d.bus, BUS_PIO, 0x6d0 + off, 4, val, &wait));
	return wait;
}

Test(event_device, it_says_what_it_is)
{
	cr_expect_eq(devtest_read(&d, MOTE_REG_MAGIC, 4), MOTE_EVENT_MAGIC);
	cr_expect_eq(devtest_read(&d, MOTE_REG_VERSION, 4), MOTE_ABI_VERSION);
}

Test(event_device, every_offset_and_width_answers)
{
	static const int widths[] = {1, 2, 4, 8};

	for (uint64_t off = 0; off < MOTE_REG_SPAN + 8; off++)
		for (int w = 0; w < 4; w++) {
			uint64_t len = (uint64_t)widths[w];
			uint64_t val = devtest_read(&d, off, widths[w]);
			bool is_reg = w == 2 && (off == MOTE_REG_MAGIC ||
						 off == MOTE_REG_VERSION ||
						 off == MOTE_REG_EVENTS);

			if (!is_reg)
				cr_expect_eq(val, UINT64_MAX >> (64 - 8 * len),
					     "%d bytes at %d", widths[w],
					     (int)off);
			if (w != 2)
				devtest_write(&d, off, widths[w], UINT64_MAX);
		}
	cr_expect_eq(event_take(&d.events), 0u, "an odd width did something");
}

Test(event_device, the_mark_and_the_end_are_posted)
{
	devtest_write(&d, MOTE_REG_READY, 4, 1);
	cr_expect_eq(event_take(&d.events), (unsigned int)EVENT_READY);
	devtest_write(&d, MOTE_REG_EXIT, 4, 0x1234);
	cr_expect_eq(event_take(&d.events), (unsigned int)EVENT_EXIT);
	cr_expect_eq(atomic_load(&d.events.exit_code), 0x34);
	devtest_write(&d, MOTE_REG_EXIT, 4, 7);
	cr_expect_eq(event_take(&d.events), 0u, "the first end counts");
	cr_expect_eq(atomic_load(&d.events.exit_code), 0x34);
}

Test(event_device, events_stay_until_they_are_acknowledged)
{
	event_device_raise(d.dev, MOTE_EVENT_STOP);
	event_device_raise(d.dev, MOTE_EVENT_NEWGEN);
	cr_expect_eq(devtest_read(&d, MOTE_REG_EVENTS, 4), 3u);
	cr_expect_eq(shown(), 3u);
	devtest_write(&d, MOTE_REG_EVENTS, 4, MOTE_EVENT_NEWGEN);
	cr_expect_eq(devtest_read(&d, MOTE_REG_EVENTS, 4), 1u);
	cr_expect_eq(shown(), 1u);
	devtest_write(&d, MOTE_REG_EVENTS, 4, UINT32_MAX);
	cr_expect_eq(shown(), 0u);
}

Test(event_device, a_wait_is_asked_for_unless_something_is_up)
{
	cr_expect_eq(wait_of(MOTE_REG_WAIT, 250), 250u);
	cr_expect_eq(wait_of(MOTE_REG_READY, 1), 0u, "it is asked for once");
	cr_expect_eq(wait_of(MOTE_REG_WAIT, UINT32_MAX), UINT32_MAX);
	event_device_raise(d.dev, MOTE_EVENT_STOP);
	cr_expect_eq(wait_of(MOTE_REG_WAIT, 250), 0u);
}

Test(event_device, its_state_is_saved_and_hostile_state_is_safe)
{
	event_device_raise(d.dev, MOTE_EVENT_STOP);
	devtest_write(&d, MOTE_REG_READY, 4, 1);
	devtest_check_state(&d);
}

Test(event_device, by_hypercall_the_registers_are_the_same)
{
	struct devtest h;

	devtest_init(&h, "event", BUS_HCALL, MOTE_HCALL_READ, 8);
	for (uint64_t reg = 0; reg < 0x40; reg++) {
		uint64_t args[BUS_HCALL_ARGS] = {reg};
		uint32_t wait = 0;
		int64_t status;
		bool known = reg < MOTE_REG_SPAN && reg % 4 == 0;

		cr_assert(bus_hcall(&h.bus, MOTE_HCALL_READ, args, &status,
				    &wait));
		cr_expect_eq(status, known ? 0 : -4, "register 0x%x", (int)reg);
		if (reg == MOTE_REG_MAGIC)
			cr_expect_eq(args[0], MOTE_EVENT_MAGIC);
		if (reg == MOTE_REG_WAIT)
			cr_expect_eq(args[0], UINT32_MAX);
	}
	for (uint64_t nr = MOTE_HCALL_READ; nr < MOTE_HCALL_READ + 8; nr++) {
		uint64_t args[BUS_HCALL_ARGS] = {MOTE_REG_WAIT, 20};
		uint32_t wait = 0;
		int64_t status;

		cr_assert(bus_hcall(&h.bus, nr, args, &status, &wait));
		cr_expect_eq(status, nr % 4 == 0 ? 0 : -4);
		cr_expect_eq(wait, nr == MOTE_HCALL_WRITE ? 20u : 0u);
	}
	devtest_fini(&h);
}
