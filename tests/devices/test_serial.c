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
	cr_expect_eq(devtest_read(&d, 2, 1), 0x01u, "no interrupt");
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
	const uint8_t ier[6] = {0x10}, mcr[6] = {0, 0, 0x20};

	cr_expect_lt(devtest_load(&d, ier, sizeof(ier)), 0);
	cr_expect_lt(devtest_load(&d, mcr, sizeof(mcr)), 0);
}
