/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bitmap.h - bits in 64-bit words, in the layout of KVM's dirty log.
 *
 * Bit i of the map is bit i % 64 of word i / 64.  Threads: the caller's
 * lock, except bitmap_set_atomic.
 */
#ifndef VMM_BASE_BITMAP_H
#define VMM_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t bitmap_words(uint64_t bits)
{
	return (size_t)((bits + 63) / 64);
}

static inline bool bitmap_test(const uint64_t *map, uint64_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(uint64_t *map, uint64_t bit)
{
	map[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static inline void bitmap_clear(uint64_t *map, uint64_t bit)
{
	map[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

/*
 * Set, callable from any thread beside other bitmap_set_atomic calls; what
 * was written before is seen by who takes the bit.
 */
static inline void bitmap_set_atomic(uint64_t *map, uint64_t bit)
{
	__atomic_fetch_or(&map[bit / 64], (uint64_t)1 << (bit % 64),
			  __ATOMIC_RELEASE);
}

/* The first bit from i on that is set, or end. */
static inline uint64_t bitmap_next(const uint64_t *map, uint64_t i,
				   uint64_t end)
{
	while (i < end) {
		uint64_t word = map[i / 64] >> (i % 64);

		if (word) {
			i += (uint64_t)__builtin_ctzll(word);
			return i < end ? i : end;
		}
		i = (i / 64 + 1) * 64;
	}
	return end;
}

/* How many of the first bits bits are set; the words' tail must be 0. */
static inline uint64_t bitmap_count(const uint64_t *map, uint64_t bits)
{
	uint64_t n = 0;

	for (size_t i = 0; i < bitmap_words(bits); i++)
		n += (uint64_t)__builtin_popcountll(map[i]);
	return n;
}

/* dst |= src over bits bits. */
static inline void bitmap_or(uint64_t *dst, const uint64_t *src, uint64_t bits)
{
	for (size_t i = 0; i < bitmap_words(bits); i++)
		dst[i] |= src[i];
}

#endif
