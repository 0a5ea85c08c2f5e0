/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpt.c - enter hashed page table entries and live on them (ppc64le).
 *
 * Arguments: order=N, the table's order (18); pages=N, how many entries
 * (64); step_ms=N; spin=1 runs without a hypercall after the first round.
 * Each round stores through every entry with data
 * translation on, reads it back by its real address, and says so.  A
 * restored guest must go on through the entries that it once entered.
 */
#include "guest.h"
#include "hcall.h"

#define H_ENTER	  0x08
#define HPTE_V	  1ul
#define HPTE_M	  0x10ul /* memory is coherent */
#define HPTE_RW	  2ul
#define MSR_DR	  0x10ul
#define SLB_VALID 0x8000000ul
#define SLB_KP	  0x400ul
#define SLB_INDEX 5ul
#define VSID	  0x777ul
#define EA	  0x20000000ul
#define RA	  0x800000ul
#define PAGE	  4096ul

static long enter(unsigned long group, unsigned long v, unsigned long r)
{
	unsigned long flags = 0;

	return hcall(H_ENTER, &flags, group, v, r);
}

/* Store and load through the entry, data translation on for just that. */
static unsigned long through(unsigned long ea, unsigned long val)
{
	unsigned long msr, on, got;

	__asm__ volatile("mfmsr %0\n\tori %1, %0, %5\n\tmtmsrd %1\n\tisync\n\t"
			 "std %4, 0(%3)\n\tld %2, 0(%3)\n\t"
			 "mtmsrd %0\n\tisync"
			 : "=&r"(msr), "=&r"(on), "=&r"(got)
			 : "b"(ea), "r"(val), "i"(MSR_DR)
			 : "memory");
	return got;
}

static int enter_all(unsigned long pages, unsigned long order)
{
	unsigned long mask = (1ul << (order - 7)) - 1;

	__asm__ volatile("slbmte %0, %1\n\tisync"
			 :
			 : "r"(VSID << 12 | SLB_KP),
			   "r"((EA & ~0xffffffful) | SLB_VALID | SLB_INDEX)
			 : "memory");
	for (unsigned long i = 0; i < pages; i++) {
		unsigned long ea = EA + i * PAGE;
		unsigned long hash = VSID ^ (ea >> 12 & 0xffff);
		long ret = enter((hash & mask) * 8,
				 VSID << 12 | (ea >> 23 & 0x1f) << 7 | HPTE_V,
				 (RA + i * PAGE) | HPTE_M | HPTE_RW);

		if (ret != 0) {
			print("H_ENTER failed at ");
			print_u64(i);
			print("\n");
			return -1;
		}
	}
	return 0;
}

int guest_main(const struct mote_boot *boot)
{
	unsigned long pages = guest_arg_u64("pages", 64);
	unsigned long order = guest_arg_u64("order", 18);
	uint32_t step = (uint32_t)guest_arg_u64("step_ms", 20);
	int spin = guest_arg_u64("spin", 0) != 0;
	volatile unsigned long *ram = (volatile unsigned long *)RA;

	if (enter_all(pages, order) < 0)
		return 1;
	print("entered ");
	print_u64(pages);
	print("\n");
	reg_write(boot, MOTE_REG_READY, 1);
	for (unsigned long round = 1;; round++) {
		if (reg_read(boot, MOTE_REG_EVENTS) & MOTE_EVENT_STOP)
			return 0;
		for (unsigned long i = 0; i < pages; i++) {
			unsigned long want = round * 1000 + i;

			if (through(EA + i * PAGE, want) != want ||
			    ram[i * PAGE / 8] != want) {
				print("wrong page ");
				print_u64(i);
				print("\n");
				return 2;
			}
		}
		print("round ");
		print_u64(round);
		print("\n");
		while (spin)
			__asm__ volatile("" : : : "memory");
		reg_write(boot, MOTE_REG_WAIT, step);
	}
}
