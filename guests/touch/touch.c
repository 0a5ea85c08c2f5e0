/* SPDX-License-Identifier: Apache-2.0 */
/*
 * touch.c - a guest with a working set: fill=1 writes all its memory from
 * from=MIB (16) on, then it says that it is ready and waits to be a new
 * generation (say=1: it writes a line); then it writes to pages=N pages (0), in
 * groups of run=N (1) whose starts are stride=N pages apart (1), from there on,
 * rounds=N times (1), and to the word at poke=ADDRESS, and exits; stay=1: it
 * waits.  box=1: before all that it takes orders until it is told to stop: the
 * words at from=MIB are an order's number, how many pages, the number of the
 * last order that was done, and then the pages.  On x86_64 in ring 3.
 */
#include "guest.h"

#define PAGE 4096ul

static void fill(const struct mote_boot *boot, uint64_t from)
{
	uint64_t end = boot->ram[0].base + boot->ram[0].size;

	for (uint64_t at = from; at < end; at += PAGE)
		*(volatile uint64_t *)(uintptr_t)at = at | 1;
}

static void touch(uint64_t from, uint64_t pages, uint64_t run, uint64_t stride)
{
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t at = from + (i / run * stride + i % run) * PAGE;

		++*(volatile uint64_t *)(uintptr_t)(at + 8);
	}
}

static void take_orders(const struct mote_boot *boot, uint64_t from)
{
	volatile uint64_t *box = (volatile uint64_t *)(uintptr_t)from;
	const volatile uint32_t *events = &boot->events;

	while (!(*events & MOTE_EVENT_STOP)) {
		if (box[0] == box[2]) {
			reg_write(boot, MOTE_REG_WAIT, 1);
			continue;
		}
		for (uint64_t i = 0; i < box[1]; i++)
			touch(from + box[3 + i] * PAGE, 1, 1, 1);
		box[2] = box[0];
	}
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t from = boot->ram[0].base + (guest_arg_u64("from", 16) << 20);
	uint64_t pages = guest_arg_u64("pages", 0);
	uint64_t run = guest_arg_u64("run", 1);
	const volatile uint32_t *events = &boot->events;
	uint64_t poke = guest_arg_u64("poke", 0);
	uint64_t stride = guest_arg_u64("stride", 1);

	if (run == 0)
		return 2;
	if (guest_arg_u64("fill", 0))
		fill(boot, from);
	reg_write(boot, MOTE_REG_READY, 1);
	while (!(*events & MOTE_EVENT_NEWGEN)) /* no exit is needed to look */
		reg_write(boot, MOTE_REG_WAIT, 1000);
	if (guest_arg_u64("say", 0))
		print("\n");
	if (guest_arg_u64("box", 0))
		take_orders(boot, from);
	for (uint64_t i = guest_arg_u64("rounds", 1); i > 0; i--)
		touch(from, pages, run, stride);
	if (poke)
		*(volatile uint64_t *)(uintptr_t)poke = 1;
	while (guest_arg_u64("stay", 0) && !(*events & MOTE_EVENT_STOP)) {
		reg_write(boot, MOTE_REG_EVENTS, MOTE_EVENT_NEWGEN);
		reg_write(boot, MOTE_REG_WAIT, 1000);
	}
	return 0;
}
