/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stale.c - read and write memory whose pages the host takes, replaces,
 * merges and moves (stale.h), until told to stop; then say what was wrong.
 */
#include "stale.h"
#include "guest.h"

static void barrier(void)
{
#if defined(__aarch64__)
	__asm__ volatile("dmb sy" ::: "memory");
#elif defined(__powerpc64__)
	__asm__ volatile("sync" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

static volatile uint64_t *word(uint64_t base, const struct stale_box *b,
			       uint64_t i)
{
	return (volatile uint64_t *)(uintptr_t)(base + i * b->page);
}

static void note(struct stale_box *b, volatile uint64_t *count, uint64_t i,
		 uint64_t saw, uint64_t wanted)
{
	if (b->stale + b->lost == 0) {
		b->at = i;
		b->saw = saw;
		b->wanted = wanted;
	}
	*count += 1;
}

/* Not older than the epoch that holds before and after the look. */
static void read_a(struct stale_box *b, uint64_t base)
{
	for (uint64_t i = 0; i < b->pages; i++) {
		uint64_t epoch = b->epoch, saw;

		barrier();
		saw = *word(base, b, i);
		barrier();
		if (saw < epoch && b->epoch == epoch)
			note(b, &b->stale, i, saw, epoch);
	}
}

static void check_b(struct stale_box *b, uint64_t base, uint64_t round)
{
	for (uint64_t i = 0; i < b->pages; i++) {
		uint64_t saw = *word(base, b, i);

		if (saw != round + i)
			note(b, &b->lost, i, saw, round + i);
	}
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t ram = boot->ram[0].base, round = 1;
	struct stale_box *b = (struct stale_box *)(uintptr_t)(ram + STALE_BOX);

	reg_write(boot, MOTE_REG_READY, 1);
	for (; !b->stop; round++) {
		for (uint64_t i = 0; i < b->pages; i++)
			*word(ram + STALE_B, b, i) = round + i;
		read_a(b, ram + STALE_A);
		if (b->alias) {
			read_a(b, ram + STALE_A + b->alias);
			barrier();
			check_b(b, ram + STALE_B + b->alias, round);
		}
		check_b(b, ram + STALE_B, round);
		b->rounds = round;
	}
	print(b->stale || b->lost ? "wrong\n" : "fine\n");
	return b->stale || b->lost ? 1 : 0;
}
