/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd.h - a long computation whose state is only in vector and x87
 * registers (x86_64).
 *
 * The guests simd and simdavx run it until told to stop; a test runs the
 * same number of steps natively and compares.  Every step mixes every
 * register, and each float is the logistic map in a rounding mode that is
 * not the default: what is lost once stays visible to the end.
 */
#ifndef GUESTS_INCLUDE_SIMD_H
#define GUESTS_INCLUDE_SIMD_H

#include <stdint.h>

struct simd_state {
	uint8_t reg[16][32]; /* the low halves alone where AVX is not used */
	uint8_t x87[16];
	uint32_t control[2]; /* MXCSR and the x87 control word at the end */
};

/*
 * Steps until *stop is set or max are done: how many, at least one.  Leaves
 * MXCSR and the x87 as a C function finds them.
 */
uint64_t simd_sse(struct simd_state *s, const volatile uint32_t *stop,
		  uint64_t max);
uint64_t simd_avx(struct simd_state *s, const volatile uint32_t *stop,
		  uint64_t max);

static inline void simd_init(struct simd_state *s)
{
	uint32_t seed = 0x6d6f7465;
	uint8_t *p = (uint8_t *)s;

	for (unsigned int i = 0; i < sizeof(*s); i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
	/* 15: two doubles between 0 and 1, about 0.3 and 0.7 (14: 3.99) */
	for (int half = 0; half < 4; half++) {
		*(uint64_t *)(s->reg[13] + 8 * half) = 0x3ff0000000000000;
		*(uint64_t *)(s->reg[14] + 8 * half) = 0x400feb851eb851ec;
		*(uint64_t *)(s->reg[15] + 8 * half) =
			half % 2 ? 0x3fe6666666666666 : 0x3fd3333333333333;
	}
}

/* FNV-1a over the state. */
static inline uint64_t simd_sum(const struct simd_state *s)
{
	const uint8_t *p = (const uint8_t *)s;
	uint64_t h = 0xcbf29ce484222325;

	for (unsigned int i = 0; i < sizeof(*s); i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}

#endif
