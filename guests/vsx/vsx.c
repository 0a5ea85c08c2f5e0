/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsx.c - compute in all of FPR, VMX and VSX until told to stop (ppc64le),
 * then say how many steps that were and what came out.
 */
#include "vsx.h"
#include "guest.h"

#define MSR_FP	UINT64_C(0x2000)
#define MSR_VSX UINT64_C(0x800000)
#define MSR_VEC UINT64_C(0x2000000)

int guest_main(const struct mote_boot *boot)
{
	static struct vsx_state state __attribute__((aligned(16)));
	uint64_t msr, steps;

	__asm__ volatile("mfmsr %0" : "=r"(msr));
	msr |= MSR_FP | MSR_VSX | MSR_VEC;
	__asm__ volatile("mtmsrd %0\n\tisync" : : "r"(msr) : "memory");
	vsx_init(&state);
	reg_write(boot, MOTE_REG_READY, 1);
	print("computing\n");
	steps = vsx_run(&state, &boot->events, 0);
	print("steps ");
	print_u64(steps);
	print(" sum ");
	print_hex(vsx_sum(&state), 16);
	print("\n");
	return 0;
}
