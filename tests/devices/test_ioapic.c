/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "devices/devtest.h"
#include "devices/ioapic.h"

static struct devtest d;

static void start(void)
{
	devtest_init(&d, "ioapic", BUS_MMIO, 0xfec00000, IOAPIC_SIZE);
}

static void end(void)
{
	devtest_fini(&d);
}

TestSuite(ioapic, .init = start, .fini = end);

static uint32_t reg(uint32_t index)
{
	devtest_write(&d, 0, 4, index);
	return (uint32_t)devtest_read(&d, 0x10, 4);
}

static void set(uint32_t index, uint32_t val)
{
	devtest_write(&d, 0, 4, index);
	devtest_write(&d, 0x10, 4, val);
}

Test(ioapic, it_says_what_it_is)
{
	cr_expect_eq(reg(0), 0u);
	cr_expect_eq(reg(1), 0x170020u, "24 pins, an EOI register");
	set(0, 0xffffffff);
	cr_expect_eq(reg(0), 0x0f000000u);
	set(1, 0);
	cr_expect_eq(reg(1), 0x170020u);
}

Test(ioapic, pins_are_masked_until_the_guest_says_more)
{
	for (uint32_t i = 0; i < 24; i++) {
		cr_expect_eq(reg(0x10 + 2 * i), 0x10000u);
		cr_expect_eq(reg(0x11 + 2 * i), 0u);
	}
	set(0x10 + 2 * 16, UINT32_MAX);
	set(0x11 + 2 * 16, UINT32_MAX);
	/* Delivery status and remote IRR are not the guest's. */
	cr_expect_eq(reg(0x10 + 2 * 16), 0x1afffu);
	cr_expect_eq(reg(0x11 + 2 * 16), 0xff000000u);
	cr_expect_eq(reg(0x10 + 2 * 17), 0x10000u);
	cr_expect_eq(reg(0x40), 0u, "behind the last pin");
	set(0x40, 1);
}

static int ended;

static void on_end(void *opaque)
{
	*(int *)opaque += 1;
}

Test(ioapic, the_end_of_an_interrupt_reaches_level_triggered_pins)
{
	ioapic_attach(d.dev, 16, -1, on_end, &ended);
	set(0x10 + 2 * 16, 0x8061);
	ended = 0;
	devtest_write(&d, IOAPIC_EOI, 4, 0x62);
	cr_expect_eq(ended, 0);
	devtest_write(&d, IOAPIC_EOI, 4, 0x61);
	cr_expect_eq(ended, 1);
	set(0x10 + 2 * 16, 0x0061); /* edge: nothing is held */
	ended = 0;
	devtest_write(&d, IOAPIC_EOI, 4, 0x61);
	cr_expect_eq(ended, 0);
}

/* A message that nobody took has no end, and the device would wait for it. */
Test(ioapic, a_pin_that_is_opened_asks_who_holds_it)
{
	ioapic_attach(d.dev, 16, -1, on_end, &ended);
	ended = 0;
	set(0x10 + 2 * 16, 0x18061);
	cr_expect_eq(ended, 0, "it is masked");
	set(0x11 + 2 * 16, 0x1000000);
	cr_expect_eq(ended, 0);
	set(0x10 + 2 * 16, 0x8061);
	cr_expect_eq(ended, 1);
}

Test(ioapic, only_words_are_registers)
{
	for (uint64_t off = 0; off < 0x80; off++)
		for (int len = 1; len <= 8; len *= 2) {
			devtest_write(&d, off, len, UINT64_MAX);
			if (len != 4)
				cr_expect_eq(devtest_read(&d, off, len),
					     UINT64_MAX >> (64 - 8 * len));
		}
}

Test(ioapic, its_state_is_saved)
{
	set(0, 0x03000000);
	set(0x10 + 2 * 5, 0x8155);
	set(0x11 + 2 * 5, 0x07000000);
	devtest_check_state(&d);
}
