/* SPDX-License-Identifier: Apache-2.0 */
/*
 * num.h - checked arithmetic for numbers that come from a guest or a file.
 *
 * Threads: any.  Every function returns false on overflow and then leaves
 * the result undefined.
 */
#ifndef VMM_BASE_NUM_H
#define VMM_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline bool num_add(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool num_mul(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* Round v up to a multiple of align, a power of two. */
static inline bool num_round_up(uint64_t v, uint64_t align, uint64_t *out)
{
	if (!num_add(v, align - 1, out))
		return false;
	*out &= ~(align - 1);
	return true;
}

/* Is [off, off + len) inside [0, size)? */
static inline bool num_within(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

static inline uint64_t num_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif
