/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "devices/devtest.h"

#define BASE 0x3f8

static struct devtest d;

static void start(void)
{
	devtest_init(&d, "8250", BUS_PIO, BASE, 8);
}

static void end(void)
{
	devtest_fini(&d);
}

TestSuite(serial, .init = start, .fini = end);

Test(serial, bytes_go_out_and_come_in)
{
	devtest_write(&d, 0, 1, 'h');
	devtest_write(&d, 0, 1, 'i');
	cr_expect_str_eq(devtest_said(&d), "hi");
	cr_expect_eq(devtest_read(&d, 5, 1), 0x60u);
	devtest_type(&d, "yo");
	cr_expect_eq(devtest_read(&d, 5, 1), 0x61u);
	cr_expect_eq(devtest_read(&d, 0, 1), (unsigned char)'y');
	cr_expect_eq(devtest_read(&d, 0, 1), (unsigned char)'o');
	cr_expect_eq(devtest_read(&d, 0, 1), 0u);
	cr_expect_eq(devtest_read(&d, 5, 1), 0x60u);
}

Test(serial, the_divisor_hides_data_and_interrupts)
{
	devtest_write(&d, 1, 1, 0xff);
	cr_expect_eq(devtest_read(&d, 1, 1), 0x0fu);
	devtest_write(&d, 3, 1, 0x80);
	devtest_write(&d, 0, 1, 0x34);
	devtest_write(&d, 1, 1, 0x12);
	cr_expect_str_eq(devtest_said(&d), "");
	cr_expect_eq(devtest_read(&d, 0, 1), 0x34u);
	cr_expect_eq(devtest_read(&d, 1, 1), 0x12u);
	devtest_write(&d, 3, 1, 0x03);
	cr_expect_eq(devtest_read(&d, 1, 1), 0x0fu);
}

Test(serial, registers_keep_the_bits_they_have)
{
	devtest_write(&d, 4, 1, 0xff);
	cr_expect_eq(devtest_read(&d, 4, 1), 0x1fu);
	devtest_write(&d, 7, 1, 0xa5);
	cr_expect_eq(devtest_read(&d, 7, 1), 0xa5u);
	devtest_write(&d, 2, 1, 0xff);
	cr_expect_eq(devtest_read(&d, 2, 1), 0xc1u, "no interrupt, and a FIFO");
	devtest_write(&d, 4, 1, 0);
	devtest_write(&d, 6, 1, 0);
	cr_expect_eq(devtest_read(&d, 6, 1), 0xb0u, "somebody is there");
}

Test(serial, every_offset_and_width_answers)
{
	static const int widths[] = {1, 2, 4, 8};
	static const uint64_t ones[] = {0xff, 0xffff, 0xffffffff, UINT64_MAX};

	for (uint64_t off = 0; off < 10; off++)
		for (int w = 0; w < 4; w++) {
			devtest_write(&d, off, widths[w], UINT64_MAX);
			if (w > 0 || off > 7)
				cr_expect_eq(devtest_read(&d, off, widths[w]),
					     ones[w], "%d bytes at %d",
					     widths[w], (int)off);
			else
				cr_expect_leq(devtest_read(&d, off, 1), 0xffu);
		}
}

Test(serial, its_state_is_saved_and_hostile_state_is_safe)
{
	for (uint64_t off = 1; off < 8; off++)
		devtest_write(&d, off, 1, 0x5a + off);
	devtest_check_state(&d);
}

Test(serial, registers_out_of_range_are_refused)
{
	const uint8_t good[8] = {0};

	for (size_t i = 0; i < sizeof(good); i++) {
		uint8_t bad[8] = {0};

		bad[i] = 0x20;
		cr_expect_eq(devtest_load(&d, bad, sizeof(bad)) < 0,
			     i == 0 || i == 2 || i > 5, "%zu", i);
	}
	cr_expect_eq(devtest_load(&d, good, sizeof(good)), 0);
}

/* As a machine of before saved it: no FIFO, nothing to tell. */
Test(serial, the_state_of_version_1_is_loaded)
{
	const uint8_t old[6] = {0x03, 0x13, 0x0b, 0x77, 0x01, 0x00};

	devtest_write(&d, 2, 1, 1);
	cr_assert_eq(devtest_load_version(&d, old, sizeof(old), 1), 0);
	cr_expect_eq(devtest_read(&d, 1, 1), 0x03u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x01u);
	cr_expect_eq(devtest_read(&d, 7, 1), 0x77u);
}

Test(serial, its_lines_loop_back)
{
	static const uint8_t want[16] = {0x00, 0x20, 0x10, 0x30, 0x40, 0x60,
					 0x50, 0x70, 0x80, 0xa0, 0x90, 0xb0,
					 0xc0, 0xe0, 0xd0, 0xf0};

	for (uint64_t i = 0; i < 16; i++) {
		devtest_write(&d, 4, 1, 0x10 | i);
		cr_expect_eq(devtest_read(&d, 6, 1), want[i]);
	}
	devtest_write(&d, 0, 1, 'x');
	cr_expect_str_eq(devtest_said(&d), "");
}

/* --- interrupts
 * -----------------------------------------------------------------
 */

static void start_irq(void)
{
	devtest_init_irq(&d, "8250", BUS_PIO, BASE, 8);
}

TestSuite(serial_irq, .init = start_irq, .fini = end);

Test(serial_irq, an_empty_transmitter_is_told_once)
{
	cr_expect_eq(devtest_raised(&d), 0u);
	devtest_write(&d, 1, 1, 2);
	cr_expect_eq(devtest_raised(&d), 1u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x02u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x01u, "read is told");
	devtest_write(&d, 1, 1, 2);
	cr_expect_eq(devtest_raised(&d), 0u, "it was on already");
	devtest_write(&d, 1, 1, 0);
	devtest_write(&d, 1, 1, 2);
	cr_expect_eq(devtest_raised(&d), 1u, "switched on again");
	cr_expect_eq(devtest_read(&d, 2, 1), 0x02u);
	/* A burst is one interrupt. */
	for (int i = 0; i < 16; i++)
		devtest_write(&d, 0, 1, 'x');
	cr_expect_eq(devtest_raised(&d), 1u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x02u);
	devtest_write(&d, 0, 1, 'x');
	cr_expect_eq(devtest_raised(&d), 1u);
}

Test(serial_irq, input_holds_until_it_is_read)
{
	devtest_type(&d, "ab");
	cr_expect_eq(devtest_raised(&d), 0u, "not wanted");
	devtest_write(&d, 1, 1, 1);
	cr_expect_eq(devtest_raised(&d), 1u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x04u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x04u);
	devtest_type(&d, "c");
	cr_expect_eq(devtest_raised(&d), 0u, "it holds already");
	cr_expect_eq(devtest_read(&d, 0, 1), (unsigned char)'a');
	cr_expect_eq(devtest_read(&d, 0, 1), (unsigned char)'b');
	cr_expect_eq(devtest_read(&d, 2, 1), 0x04u);
	cr_expect_eq(devtest_read(&d, 0, 1), (unsigned char)'c');
	cr_expect_eq(devtest_read(&d, 2, 1), 0x01u);
	devtest_type(&d, "d");
	cr_expect_eq(devtest_raised(&d), 1u);
}

Test(serial_irq, input_comes_before_the_transmitter)
{
	devtest_write(&d, 1, 1, 3);
	devtest_type(&d, "a");
	cr_expect_eq(devtest_read(&d, 2, 1), 0x04u);
	devtest_read(&d, 0, 1);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x02u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x01u);
}

/* Told when the reader has taken some. */
Test(serial_irq, a_full_console_is_told_when_there_is_room)
{
	devtest_write(&d, 1, 1, 2);
	devtest_read(&d, 2, 1);
	for (uint32_t i = 0; i < CHARDEV_OUT; i++) {
		devtest_write(&d, 0, 1, 'x');
		if (i + 1 < CHARDEV_OUT)
			devtest_read(&d, 2, 1);
	}
	devtest_raised(&d);
	cr_expect_eq(devtest_read(&d, 5, 1) & 0x60, 0u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x01u);
	devtest_said(&d);
	cr_expect_eq(devtest_raised(&d), 1u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0x02u);
}

/* One that was on its way when the state was saved comes again. */
Test(serial_irq, what_holds_is_raised_again_after_a_load)
{
	const uint8_t told[8] = {0x02}, holds[8] = {0x02, 0, 0, 0, 0, 0, 1, 1};

	cr_assert_eq(devtest_load(&d, told, sizeof(told)), 0);
	d.dev->ops->reraise(d.dev);
	cr_expect_eq(devtest_raised(&d), 0u);
	cr_assert_eq(devtest_load(&d, holds, sizeof(holds)), 0);
	cr_expect_eq(devtest_raised(&d), 0u, "not before the machine runs");
	d.dev->ops->reraise(d.dev);
	cr_expect_eq(devtest_raised(&d), 1u);
	cr_expect_eq(devtest_read(&d, 2, 1), 0xc2u);
}

Test(serial_irq, its_state_is_saved_and_hostile_state_is_safe)
{
	devtest_write(&d, 2, 1, 1);
	devtest_write(&d, 1, 1, 2);
	devtest_check_state(&d);
}
