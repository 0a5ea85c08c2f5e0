/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum.c - work whose answer one lost or foreign byte of memory changes.
 *
 * rounds=N times (1000) each word of a table is mixed with another one; says
 * "round R" now and then, and at the end "sum X" of the table.
 */
#include "guest.h"

#define WORDS 32768u /* 256 KiB */
#define OFTEN 64

static uint64_t table[WORDS];

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t rounds = guest_arg_u64("rounds", 1000), sum = 0, at = 1;

	reg_write(boot, MOTE_REG_READY, 1);
	for (uint64_t r = 0; r < rounds; r++) {
		for (uint32_t i = 0; i < WORDS; i++) {
			at = mix(at + table[i] + r);
			table[at % WORDS] += at ^ i;
		}
		if (r % OFTEN)
			continue;
		print("round ");
		print_u64(r);
		print("\n");
	}
	for (uint32_t i = 0; i < WORDS; i++)
		sum = mix(sum ^ table[i]);
	print("sum ");
	print_u64(sum);
	print("\n");
	return 0;
}
