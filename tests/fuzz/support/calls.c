/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.c - how much of the hypercall surface a target tried.
 */
#include "fuzz/support/fuzz.h"

unsigned long fuzz_calls;

static void __attribute__((destructor)) tell(void)
{
	if (fuzz_calls)
		fprintf(stderr, "stat::calls: %lu\n", fuzz_calls);
}
