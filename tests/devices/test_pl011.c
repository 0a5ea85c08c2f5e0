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
