/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simdavx.c - as simd.c with the whole of the AVX registers (x86_64, ring 0:
 * it switches them on).  Ends with code 2 where there are none.
 */
#include "guest.h"
#include "simd.h"
#include "simd_code.h"

#define XSAVE_AND_AVX (1u << 26 | 1u << 28)
#define CR4_OSXSAVE   (1ul << 18)
#define XCR0_AVX      7u

static int enable_avx(void)
{
	uint32_t a = 1, b, c = 0, d;
	uint64_t cr4;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if ((c & XSAVE_AND_AVX) != XSAVE_AND_AVX)
		return 0;
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	__asm__ volatile("xsetbv" : : "a"(XCR0_AVX), "d"(0), "c"(0));
	return 1;
}

int guest_main(const struct mote_boot *boot)
{
	static struct simd_state state;
	uint64_t steps;

	if (!enable_avx()) {
		print("no avx\n");
		return 2;
	}
	simd_init(&state);
	reg_write(boot, MOTE_REG_READY, 1);
	steps = simd_avx(&state, &boot->events, 0);
	simd_say(steps, &state);
	return 0;
}
