/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_arm64.h - system registers and PSCI, for our arm64 guests.
 */
#ifndef GUESTS_INCLUDE_GUEST_ARM64_H
#define GUESTS_INCLUDE_GUEST_ARM64_H

#include "guest.h"

#define MRS(name)                                                              \
	({                                                                     \
		uint64_t v_;                                                   \
		__asm__ volatile("mrs %0, " name : "=r"(v_)::"memory");        \
		v_;                                                            \
	})
#define MSR(name, value)                                                       \
	__asm__ volatile("msr " name ", %0\n\tisb"                             \
			 :                                                     \
			 : "r"((uint64_t)(value))                              \
			 : "memory")

/* Say that we are there, and come back in a clone of the snapshot. */
static inline void wait_for_clone(const struct mote_boot *boot)
{
	reg_write(boot, MOTE_REG_READY, 1);
	print("ready\n");
	while (!(reg_read(boot, MOTE_REG_EVENTS) & MOTE_EVENT_NEWGEN))
		reg_write(boot, MOTE_REG_WAIT, 1000);
	reg_write(boot, MOTE_REG_EVENTS, MOTE_EVENT_NEWGEN);
}

/*
 * A call of the firmware.  What it clobbers: ARM DEN 0028 (SMCCC), 2.6; 1.0
 * allows all of x4 to x17 to change, too.
 */
static inline int64_t psci_call(uint32_t function, uint64_t a, uint64_t b,
				uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
			   "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return (int32_t)x0;
}

#endif
