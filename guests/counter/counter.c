/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter.c - count in memory and say so, until told to stop.
 *
 * Arguments: until=N ends with code 0 after N (default: never), step_ms=N
 * between two counts (20), quiet=1 prints only what is not a count, nap=N
 * exits once at N with code 7 and goes on where the exit returns.
 * A restored or cloned counter goes on from where it was and says that its
 * generation is new.
 */
#include "guest.h"

static volatile uint64_t count;

static void say(const char *what, uint64_t v)
{
	print(what);
	print(" ");
	print_u64(v);
	print("\n");
}

static void say_generation(void)
{
	const struct mote_generation *gen = guest_generation();

	print("generation ");
	print_u64(gen->count);
	print(" id ");
	for (int i = 0; i < 16; i++)
		print_hex(gen->id[i], 2);
	print("\n");
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t until = guest_arg_u64("until", UINT64_MAX);
	uint64_t nap = guest_arg_u64("nap", UINT64_MAX);
	uint32_t step = (uint32_t)guest_arg_u64("step_ms", 20);
	int quiet = guest_arg_u64("quiet", 0) != 0;

	say_generation();
	reg_write(boot, MOTE_REG_READY, 1);
	while (count < until) {
		uint32_t events = reg_read(boot, MOTE_REG_EVENTS);

		if (events & MOTE_EVENT_STOP) {
			say("stopped at", count);
			return 0;
		}
		if (events & MOTE_EVENT_NEWGEN) {
			say_generation();
			reg_write(boot, MOTE_REG_EVENTS, MOTE_EVENT_NEWGEN);
			continue;
		}
		count++;
		if (!quiet)
			say("count", count);
		if (count == nap)
			reg_write(boot, MOTE_REG_EXIT, 7);
		reg_write(boot, MOTE_REG_WAIT, step);
	}
	say("done at", count);
	return 0;
}
