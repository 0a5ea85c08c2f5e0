/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.c - a walk through all RAM above the image: writes a word into every
 * page (step=N bytes, 4096), reads all of them back, and says how many.
 */
#include "guest.h"

extern char guest_end[]; /* guest.ld */

static uint64_t pattern(uint64_t at)
{
	return at * 0x9e3779b97f4a7c15ull ^ 0x6d6f7465;
}

static uint64_t walk(const struct mote_ram *r, uint64_t step, int check,
		     uint64_t *bad)
{
	uint64_t n = 0, end = r->base + r->size;
	uint64_t at = (uint64_t)(uintptr_t)guest_end;

	at = (at + 0xffff) & ~0xffffull;
	if (at < r->base || at >= end)
		at = r->base; /* a region without our image */
	for (; at + 8 <= end; at += step, n++) {
		volatile uint64_t *p = (volatile uint64_t *)(uintptr_t)at;

		if (!check)
			*p = pattern(at);
		else if (*p != pattern(at))
			(*bad)++;
	}
	return n;
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t step = guest_arg_u64("step", 4096), n = 0, bad = 0;

	for (uint32_t i = 0; i < boot->ram_count; i++)
		n += walk(&boot->ram[i], step, 0, &bad);
	for (uint32_t i = 0; i < boot->ram_count; i++)
		walk(&boot->ram[i], step, 1, &bad);
	print("walked ");
	print_u64(n);
	print(" words, ");
	print_u64(bad);
	print(" bad\n");
	return bad ? 1 : 0;
}
