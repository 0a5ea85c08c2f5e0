/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pcpower.c - the ports that reset or end an x86 guest, and that nothing
 * but the right value does.
 */
#include <criterion/criterion.h>

#include "devices/devtest.h"

static struct devtest d;

static void fini(void)
{
	devtest_fini(&d);
}

/* Which value of all 256 at which port ends the guest, and how. */
static void only(uint64_t size, uint64_t off, bool (*ends)(unsigned int),
		 unsigned int bit)
{
	for (uint64_t at = 0; at < size; at++)
		for (unsigned int v = 0; v < 256; v++) {
			bool want = at == off && ends(v);

			devtest_write(&d, at, 1, v);
			cr_expect_eq(event_take(&d.events), want ? bit : 0,
				     "0x%x at %d", v, (int)at);
			event_rewind(&d.events);
			for (int len = 2; len <= 8; len *= 2)
				devtest_write(&d, at, len, v);
			cr_expect_eq(event_take(&d.events), 0u);
		}
}

static bool is_off(unsigned int v)
{
	return (v & 0x3c) == (5 << 2 | 0x20);
}

static bool is_reset(unsigned int v)
{
	return v == 1;
}

static bool is_pulse(unsigned int v)
{
	return v == 0xfe;
}

static bool is_cf9(unsigned int v)
{
	return v & 4;
}

TestSuite(pcpower, .fini = fini);

Test(pcpower, acpi_sleeps_and_resets)
{
	devtest_init(&d, "acpi-power", BUS_PIO, 0x600, 3);
	only(1, 0, is_off, EVENT_EXIT);
	fini();
	devtest_init(&d, "acpi-power", BUS_PIO, 0x600, 3);
	for (unsigned int v = 0; v < 256; v++) {
		devtest_write(&d, 1, 1, v);
		cr_expect_eq(event_take(&d.events), 0u, "0x%x", v);
		devtest_write(&d, 2, 1, v);
		cr_expect_eq(event_take(&d.events),
			     is_reset(v) ? EVENT_RESET : 0u, "0x%x", v);
		event_rewind(&d.events);
	}
	cr_expect_eq(devtest_read(&d, 0, 1), 0u);
	cr_expect_eq(devtest_read(&d, 1, 1), 0u, "nothing to wake from");
}

Test(pcpower, the_keyboard_controller_resets)
{
	devtest_init(&d, "i8042", BUS_PIO, 0x60, 5);
	only(5, 4, is_pulse, EVENT_RESET);
	cr_expect_eq(devtest_read(&d, 4, 1), 0u, "it takes a command");
	/* Who waits for the second channel of a timer does not wait. */
	cr_expect(devtest_read(&d, 1, 1) & 0x20);
	cr_expect_eq(devtest_read(&d, 0, 4), 0xffffffffu);
}

Test(pcpower, the_chipset_resets)
{
	devtest_init(&d, "cf9", BUS_PIO, 0xcf9, 1);
	only(1, 0, is_cf9, EVENT_RESET);
}
