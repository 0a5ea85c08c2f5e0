/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>

#include "base/num.h"
#include "config/config.h"
#include "helpers.h"

typedef int reader_fn(const char *s, uint64_t *out);

static void takes(reader_fn *read, const char *s, uint64_t want)
{
	uint64_t v = ~want;

	cr_assert_eq(read(s, &v), 0, "%s", s);
	cr_assert_eq(v, want, "%s gave %llu", s, (unsigned long long)v);
}

static void refuses(reader_fn *read, const char *s, int want)
{
	uint64_t v = 42;

	cr_assert_eq(read(s, &v), want, "'%s'", s);
	cr_assert_eq(v, 42, "'%s' changed the result", s);
}

Test(number, numbers_are_read_up_to_their_last_value)
{
	takes(config_parse_u64, "0", 0);
	takes(config_parse_u64, "4294967295", 4294967295u);
	takes(config_parse_u64, "4294967296", 4294967296u);
	takes(config_parse_u64, "4294967297", 4294967297u);
	takes(config_parse_u64, "18446744073709551614", UINT64_MAX - 1);
	takes(config_parse_u64, "18446744073709551615", UINT64_MAX);
	refuses(config_parse_u64, "18446744073709551616", -ERANGE);
	refuses(config_parse_u64, "18446744073709551617", -ERANGE);
	refuses(config_parse_u64, "184467440737095516150", -ERANGE);
	refuses(config_parse_u64, "99999999999999999999999999", -ERANGE);
}

Test(number, what_is_not_a_plain_number_is_refused)
{
	static const char *const bad[] = {
		"",    "-1",  "+1",  "0x10", "1e9", "1 K", "K",	  " 1",
		"1 ",  "1.5", "1,0", "00",   "010", "1k",  "1KB", "1KiB",
		"1MM", "KM",  "ms",  "1 s",  "1h",  "1us", "1K1", "1\n",
		"\t1", "1_0", "inf", "nan",  "0b1", "#1",  "1;",  "\xd9\xa1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		refuses(config_parse_u64, bad[i], -EINVAL);
		refuses(config_parse_size, bad[i], -EINVAL);
		refuses(config_parse_time_ms, bad[i], -EINVAL);
	}
	refuses(config_parse_u64, "1K", -EINVAL);
	refuses(config_parse_time_ms, "1K", -EINVAL);
	refuses(config_parse_size, "1s", -EINVAL);
}

Test(number, sizes_are_binary_and_do_not_wrap)
{
	takes(config_parse_size, "0", 0);
	takes(config_parse_size, "1", 1);
	takes(config_parse_size, "64K", 64 * KIB);
	takes(config_parse_size, "64M", 64 * MIB);
	takes(config_parse_size, "2G", 2 * GIB);
	takes(config_parse_size, "1T", 1024 * GIB);
	takes(config_parse_size, "18446744073709551615", UINT64_MAX);
	takes(config_parse_size, "18014398509481983K", UINT64_MAX - 1023);
	refuses(config_parse_size, "18014398509481984K", -ERANGE);
	takes(config_parse_size, "16777215T", 16777215 * (1024 * GIB));
	refuses(config_parse_size, "16777216T", -ERANGE);
	refuses(config_parse_size, "16777217T", -ERANGE);
	refuses(config_parse_size, "17179869184G", -ERANGE);
	refuses(config_parse_size, "18446744073709551616K", -ERANGE);
	refuses(config_parse_size, "18446744073709551616X", -EINVAL);
}

Test(number, times_need_a_unit_but_for_zero)
{
	takes(config_parse_time_ms, "0", 0);
	takes(config_parse_time_ms, "0ms", 0);
	takes(config_parse_time_ms, "10ms", 10);
	takes(config_parse_time_ms, "2s", 2000);
	takes(config_parse_time_ms, "3m", 180000);
	refuses(config_parse_time_ms, "5", -EINVAL);
	takes(config_parse_time_ms, "18446744073709551s",
	      UINT64_C(18446744073709551000));
	refuses(config_parse_time_ms, "18446744073709552s", -ERANGE);
	refuses(config_parse_time_ms, "307445734561826m", -ERANGE);
}

/* Every wrap of 32 or 64 bits around a good value is refused. */
Test(number, a_number_that_wraps_is_not_another_number)
{
	static const char *const bad[] = {
		"vm.vcpus=4294967297",
		"vm.vcpus=18446744073709551617",
		"vm.vcpus=4294967295",
		"vm.vcpus=0",
		"vm.vcpus=65",
		"vm.vcpus=-1",
		"vm.vcpus=0x10",
		"vm.vcpus=1e9",
		"vm.vcpus=",
		"vm.memory=18446744073709551615",
		"vm.memory=18446744073743106048", /* 2^64 + 32M */
		"vm.memory=17592186044416M",	  /* 2^64 */
		"vm.memory=17592186044448M",	  /* 2^64 + 32M */
		"vm.memory=0",
		"vm.memory=1023K",
		"vm.memory=1048577",
		"vm.memory=1025K",
		"vm.memory=1025G",
		"vm.memory=2T",
		"vm.memory=32",
		"vm.memory=32m",
		"vm.memory= 32M",
		"vm.memory=32 M",
		"vm.memory=-32M",
		"vm.stop_timeout=5",
		"vm.stop_timeout=61m",
		"vm.stop_timeout=3600001ms",
		"vm.stop_timeout=307445734561826m",
		"vm.memory=4294967295",
		"vm.memory=4294967297",
		"vm.memory=18446744073709551616",
		"vm.memory=18446744073709551617",
		"vm.memory=",
		"vm.memory=0x2000000",
		"vm.memory=1e9",
		"vm.memory=-1",
		"vm.memory=+32M",
		"vm.max_vcpus=4294967297",
		"vm.max_vcpus=-1",
		"vm.max_vcpus=",
		"vm.stop_timeout=18446744073709551616ms",
		"vm.stop_timeout=18446744073709551617s",
		"vm.stop_timeout=-1s",
		"vm.stop_timeout=0x5s",
		"vm.stop_timeout=1e3ms",
		"vm.stop_timeout=",
		"control.mode=1000",
		"control.mode=0o600",
		"control.mode=800",
		"control.mode=00600",
		"control.mode=",
		"control.mode=-1",
		"sandbox.user=4294967295",
		"sandbox.user=4294967296",
		"sandbox.user=-1",
		"sandbox.user=0x0",
		"sandbox.user=01",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_PARSED p = set(bad[i]);
		AUTO_PARSED d = set("vm.vcpus=1");

		cr_assert_eq(p.ret, -EINVAL, "%s", bad[i]);
		cr_assert_eq(p.e.count, 1, "%s", bad[i]);
		cr_assert_eq(p.c.vm.vcpus, d.c.vm.vcpus, "%s", bad[i]);
		cr_assert_eq(p.c.vm.memory, d.c.vm.memory, "%s", bad[i]);
		cr_assert_eq(p.c.control.mode, d.c.control.mode);
		cr_assert_null(p.c.sandbox.user);
	}
}
