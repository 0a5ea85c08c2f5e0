/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scribble.h - random accesses of a hostile guest (x86_64, ring 0).
 */
#ifndef GUESTS_INCLUDE_SCRIBBLE_H
#define GUESTS_INCLUDE_SCRIBBLE_H

#include <stdint.h>

static uint64_t random = 88172645463325252u;

static inline uint64_t next(void)
{
	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return random;
}

/* A read or a write of any size at or before base + r % size. */
static inline void scribble(volatile uint8_t *base, uint64_t size)
{
	uint64_t at = next() % size, val = next() % 4 ? next() : UINT64_MAX;
	unsigned int log = next() % 4;
	volatile uint8_t *p = base + (at & ~((UINT64_C(1) << log) - 1));

	if (next() % 3 == 0)
		val = *p;
	else if (log == 0)
		*p = (uint8_t)val;
	else if (log == 1)
		*(volatile uint16_t *)p = (uint16_t)val;
	else if (log == 2)
		*(volatile uint32_t *)p = (uint32_t)val;
	else
		*(volatile uint64_t *)p = val;
}

#endif
