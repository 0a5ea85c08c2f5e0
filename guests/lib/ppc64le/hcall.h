/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hcall.h - one PAPR hypercall: r3 number and status, r4 on arguments and
 * results (LoPAR 14.5.1).
 */
#ifndef GUESTS_LIB_PPC64LE_HCALL_H
#define GUESTS_LIB_PPC64LE_HCALL_H

/* Up to four arguments; *a is r4, both ways.  The status. */
static inline long hcall(unsigned long nr, unsigned long *a, unsigned long b,
			 unsigned long c, unsigned long d)
{
	register unsigned long r3 __asm__("r3") = nr;
	register unsigned long r4 __asm__("r4") = *a;
	register unsigned long r5 __asm__("r5") = b;
	register unsigned long r6 __asm__("r6") = c;
	register unsigned long r7 __asm__("r7") = d;

	__asm__ volatile("sc 1"
			 : "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
			 :
			 : "r0", "r8", "r9", "r10", "r11", "r12", "ctr", "cr0",
			   "cr1", "cr5", "cr6", "cr7", "xer", "memory");
	*a = r4;
	return (long)r3;
}

#endif
