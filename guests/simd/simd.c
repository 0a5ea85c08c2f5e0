/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd.c - compute in SSE and x87 registers until told to stop (x86_64, ring
 * 3), then say how many steps that were and what came out.
 */
#include "simd.h"
#include "guest.h"
#include "simd_code.h"

int guest_main(const struct mote_boot *boot)
{
	static struct simd_state state;
	uint64_t steps;

	simd_init(&state);
	reg_write(boot, MOTE_REG_READY, 1);
	steps = simd_sse(&state, &boot->events, 0);
	simd_say(steps, &state);
	return 0;
}
