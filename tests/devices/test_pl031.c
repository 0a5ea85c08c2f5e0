/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <time.h>

#include "devices/devtest.h"

static struct devtest d;

static void start(void)
{
	devtest_init(&d, "pl031", BUS_MMIO, 0x9010000, 0x1000);
}

static void end(void)
{
	devtest_fini(&d);
}

TestSuite(pl031, .init = start, .fini = end);

Test(pl031, it_tells_the_wall_clock_and_what_it_was_set_to)
{
	uint32_t before = (uint32_t)time(NULL),
		 told = (uint32_t)devtest_read(&d, 0, 4);

	cr_expect_geq(told, before);
	cr_expect_leq(told, (uint32_t)time(NULL));
	devtest_write(&d, 8, 4, 1000);
	told = (uint32_t)devtest_read(&d, 0, 4);
	cr_expect_geq(told, 1000u);
	cr_expect_leq(told, 1000u + (uint32_t)time(NULL) - before);
	cr_expect_eq(devtest_read(&d, 8, 4), 1000u);
	cr_expect_eq(devtest_read(&d, 0xc, 4), 1u, "it runs");
}

Test(pl031, it_says_what_it_is)
{
	static const uint8_t id[8] = {0x31, 0x10, 0x04, 0x00,
				      0x0d, 0xf0, 0x05, 0xb1};

	for (uint64_t i = 0; i < 8; i++)
		cr_expect_eq(devtest_read(&d, 0xfe0 + 4 * i, 4), id[i]);
}

Test(pl031, every_offset_and_width_answers)
{
	for (uint64_t off = 0; off < 0x1008; off++)
		for (int len = 1; len <= 8; len *= 2) {
			devtest_write(&d, off, len, UINT64_MAX);
			devtest_read(&d, off, len);
		}
	cr_expect_eq(devtest_read(&d, 0x10, 4), 1u);
}

Test(pl031, its_state_is_saved_and_hostile_state_is_safe)
{
	devtest_write(&d, 4, 4, 0x12345678);
	devtest_write(&d, 8, 4, 0x87654321);
	devtest_write(&d, 0x10, 4, 1);
	devtest_check_state(&d);
}
