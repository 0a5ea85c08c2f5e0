/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hcall.h - one PAPR hypercall: r3 number and status, r4 on arguments and
 * results (LoPAR 14.5.1).
 */
#ifndef GUESTS_LIB_PPC64LE_HCALL_H
#define GUESTS_LIB_PPC64LE_HCALL_H

/* Up to four arguments; a is r4 to r6, both ways.  The status. */
static inline long hcall_both(unsigned long nr, unsigned long a[3],
			      unsigned long d)
{
	register unsigned long r3 __asm__("r3") = nr;
	register unsigned long r4 __asm__("r4") = a[0];
	register unsigned long r5 __asm__("r5") = a[1];
	register unsigned long r6 __asm__("r6") = a[2];
	register unsigned long r7 __asm__("r7") = d;

	__asm__ volatile("sc 1"
			 : "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
			 :
			 : "r0", "r8", "r9", "r10", "r11", "r12", "ctr", "cr0",
			   "cr1", "cr5", "cr6", "cr7", "xer", "memory");
	a[0] = r4;
	a[1] = r5;
	a[2] = r6;
	return (long)r3;
}

/* The same where only r4 comes back. */
static inline long hcall(unsigned long nr, unsigned long *a, unsigned long b,
			 unsigned long c, unsigned long d)
{
	unsigned long both[3] = {*a, b, c};
	long ret = hcall_both(nr, both, d);

	*a = both[0];
	return ret;
}

#endif
