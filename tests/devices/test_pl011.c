/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "devices/devtest.h"

static struct devtest d;

static void start(void)
{
	devtest_init(&d, "pl011", BUS_MMIO, 0x9000000, 0x1000);
}

static void end(void)
{
	devtest_fini(&d);
}

TestSuite(pl011, .init = start, .fini = end);

Test(pl011, bytes_go_out_and_come_in)
{
	devtest_write(&d, 0, 4, 'h');
	devtest_write(&d, 0, 1, 'i');
	cr_expect_str_eq(devtest_said(&d), "hi");
	cr_expect_eq(devtest_read(&d, 0x18, 4), 0x90u, "empty both ways");
	devtest_type(&d, "yo");
	cr_expect_eq(devtest_read(&d, 0x18, 4), 0x80u);
	cr_expect_eq(devtest_read(&d, 0, 4), (unsigned char)'y');
	cr_expect_eq(devtest_read(&d, 0, 1), (unsigned char)'o');
	cr_expect_eq(devtest_read(&d, 0, 4), 0u);
}

Test(pl011, it_says_what_it_is)
{
	static const uint8_t id[8] = {0x11, 0x10, 0x14, 0x00,
				      0x0d, 0xf0, 0x05, 0xb1};

	for (uint64_t i = 0; i < 8; i++)
		cr_expect_eq(devtest_read(&d, 0xfe0 + 4 * i, 4), id[i]);
}

Test(pl011, plain_registers_keep_sixteen_bits)
{
	for (uint64_t off = 0x24; off <= 0x38; off += 4) {
		devtest_write(&d, off, 4, 0xdeadbeef);
		cr_expect_eq(devtest_read(&d, off, 4), 0xbeefu);
		cr_expect_eq(devtest_read(&d, off, 1), 0xefu);
	}
}

Test(pl011, every_offset_and_width_answers)
{
	static const int widths[] = {1, 2, 4, 8};

	for (uint64_t off = 0; off < 0x1008; off++)
		for (int w = 0; w < 4; w++) {
			uint64_t len = (uint64_t)widths[w], val;

			devtest_write(&d, off, widths[w], UINT64_MAX);
			val = devtest_read(&d, off, widths[w]);
			if (off + len > 0x1000)
				cr_expect_eq(val, UINT64_MAX >> (64 - 8 * len));
			else
				cr_expect_leq(val, 0xffffu);
		}
}

Test(pl011, its_state_is_saved_and_hostile_state_is_safe)
{
	for (uint64_t off = 0x24; off <= 0x38; off += 4)
		devtest_write(&d, off, 4, 0x1234 + off);
	devtest_check_state(&d);
}

Test(pl011, the_state_of_version_1_is_loaded)
{
	const uint8_t old[24] = {0x12};

	cr_assert_eq(devtest_load_version(&d, old, sizeof(old), 1), 0);
	cr_expect_eq(devtest_read(&d, 0x24, 4), 0x12u);
	cr_expect_eq(devtest_read(&d, 0x3c, 4), 0u);
}

/* --- interrupts
 * -----------------------------------------------------------------
 */

#define IMSC 0x38
#define RIS  0x3c
#define MIS  0x40
#define ICR  0x44
#define RX   0x10u
#define TX   0x20u

static void start_irq(void)
{
	devtest_init_irq(&d, "pl011", BUS_MMIO, 0x9000000, 0x1000);
}

TestSuite(pl011_irq, .init = start_irq, .fini = end);

Test(pl011_irq, input_holds_until_it_is_read)
{
	devtest_type(&d, "ab");
	cr_expect_eq(devtest_raised(&d), 0u, "not wanted");
	cr_expect_eq(devtest_read(&d, RIS, 4), RX);
	cr_expect_eq(devtest_read(&d, MIS, 4), 0u);
	devtest_write(&d, IMSC, 4, RX);
	cr_expect_eq(devtest_raised(&d), 1u);
	cr_expect_eq(devtest_read(&d, MIS, 4), RX);
	devtest_write(&d, ICR, 4, 0x7ff);
	cr_expect_eq(devtest_read(&d, MIS, 4), RX, "it is still there");
	devtest_read(&d, 0, 4);
	devtest_read(&d, 0, 4);
	cr_expect_eq(devtest_read(&d, MIS, 4), 0u);
	devtest_type(&d, "c");
	cr_expect_eq(devtest_raised(&d), 1u);
}

Test(pl011_irq, what_was_sent_is_told_until_it_is_cleared)
{
	devtest_write(&d, IMSC, 4, TX);
	cr_expect_eq(devtest_raised(&d), 0u);
	for (int i = 0; i < 16; i++)
		devtest_write(&d, 0, 4, 'x');
	cr_expect_eq(devtest_raised(&d), 1u);
	cr_expect_eq(devtest_read(&d, MIS, 4), TX);
	devtest_write(&d, ICR, 4, TX);
	cr_expect_eq(devtest_read(&d, MIS, 4), 0u);
	devtest_write(&d, 0, 4, 'x');
	cr_expect_eq(devtest_raised(&d), 1u);
}

Test(pl011_irq, what_holds_is_raised_again_after_a_load)
{
	uint8_t state[25] = {0};

	state[20] = TX;
	state[24] = 1;
	cr_assert_eq(devtest_load(&d, state, sizeof(state)), 0);
	cr_expect_eq(devtest_raised(&d), 0u, "not before the machine runs");
	d.dev->ops->reraise(d.dev);
	cr_expect_eq(devtest_raised(&d), 1u);
	state[24] = 2;
	cr_expect_lt(devtest_load(&d, state, sizeof(state)), 0);
}

Test(pl011_irq, its_state_is_saved_and_hostile_state_is_safe)
{
	devtest_write(&d, IMSC, 4, TX | RX);
	devtest_write(&d, 0, 4, 'x');
	devtest_check_state(&d);
}
