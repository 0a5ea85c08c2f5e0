/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "devices/devtest.h"

#define GET 0x54
#define PUT 0x58

static struct devtest d;

static void start(void)
{
	devtest_init(&d, "hvc", BUS_HCALL, GET, 5);
}

static void end(void)
{
	devtest_fini(&d);
}

TestSuite(hvc, .init = start, .fini = end);

static int64_t call(uint64_t nr, uint64_t args[BUS_HCALL_ARGS])
{
	uint32_t wait = 0;
	int64_t status = 1;

	if (!bus_hcall(&d.bus, nr, args, &status, &wait))
		return 1;
	cr_expect_eq(wait, 0u);
	return status;
}

Test(hvc, sixteen_bytes_go_out_in_two_registers)
{
	uint64_t args[BUS_HCALL_ARGS] = {0, 16, 0x3031323334353637,
					 0x38396162634465ff};

	cr_expect_eq(call(PUT, args), 0);
	cr_expect_str_eq(devtest_said(&d), "0123456789abcDe\xff");
	args[1] = 3;
	cr_expect_eq(call(PUT, args), 0);
	cr_expect_str_eq(devtest_said(&d), "012");
	args[1] = 0;
	cr_expect_eq(call(PUT, args), 0);
	cr_expect_str_eq(devtest_said(&d), "");
}

Test(hvc, lengths_beyond_sixteen_are_refused)
{
	static const uint64_t lengths[] = {17, 255, 1u << 31, UINT64_MAX};

	for (int i = 0; i < 4; i++) {
		uint64_t args[BUS_HCALL_ARGS] = {0, lengths[i]};

		cr_expect_eq(call(PUT, args), -4, "H_PARAMETER");
	}
	cr_expect_str_eq(devtest_said(&d), "");
}

Test(hvc, input_comes_in_pieces_of_sixteen)
{
	uint64_t args[BUS_HCALL_ARGS] = {0, 7, 7};

	cr_expect_eq(call(GET, args), 0);
	cr_expect_eq(args[0], 0u);
	cr_expect_eq(args[1], 0u);
	cr_expect_eq(args[2], 0u);
	devtest_type(&d, "0123456789abcdefX");
	cr_expect_eq(call(GET, args), 0);
	cr_expect_eq(args[0], 16u);
	cr_expect_eq(args[1], 0x3031323334353637u);
	cr_expect_eq(args[2], 0x3839616263646566u);
	cr_expect_eq(call(GET, args), 0);
	cr_expect_eq(args[0], 1u);
	cr_expect_eq(args[1], (uint64_t)'X' << 56);
	cr_expect_eq(args[2], 0u);
}

Test(hvc, other_calls_are_unknown)
{
	for (uint64_t nr = GET + 1; nr < PUT; nr++) {
		uint64_t args[BUS_HCALL_ARGS] = {0, 1};

		cr_expect_eq(call(nr, args), -2, "H_FUNCTION");
	}
	cr_expect_eq(call(GET - 1, (uint64_t[BUS_HCALL_ARGS]){0}), 1);
	cr_expect_eq(call(PUT + 1, (uint64_t[BUS_HCALL_ARGS]){0}), 1);
}

Test(hvc, it_is_no_place_to_read_or_write)
{
	uint64_t val;

	cr_expect_not(bus_read(&d.bus, BUS_HCALL, GET, 4, &val));
	cr_expect_eq(val, 0xffffffffu);
}
