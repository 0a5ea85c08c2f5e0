/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpt.c - enter hashed page table entries and live on them (ppc64le).
 *
 * Arguments: order=N, the table's order (18); pages=N, how many entries
 * (64); step_ms=N; spin=1 runs without a hypercall after the first round;
 * churn=N: so many entries a round are removed and entered anew, for another
 * page of RAM.
 * Each round stores through every entry with data
 * translation on, reads it back by its real address, and says so.  A
 * restored guest must go on through the entries that it once entered.
 */
#include "guest.h"
#include "hcall.h"

#define H_REMOVE  0x04
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
#define RA_OTHER  0xa00000ul
#define PAGE	  4096ul
#define PAGES_MAX 512

static struct {
	unsigned long slot, ra; /* where its entry is, what it maps */
} page[PAGES_MAX];

/* An entry for that page of ours, for that page of RAM. */
static long enter(unsigned long i, unsigned long ra, unsigned long order)
{
	unsigned long mask = (1ul << (order - 7)) - 1, slot = 0;
	unsigned long ea = EA + i * PAGE, hash = VSID ^ (ea >> 12 & 0xffff);
	long ret = hcall(H_ENTER, &slot, (hash & mask) * 8,
			 VSID << 12 | (ea >> 23 & 0x1f) << 7 | HPTE_V,
			 ra | HPTE_M | HPTE_RW);

	page[i].slot = slot;
	page[i].ra = ra;
	return ret;
}

/* The next few of them go and come back for their other page of RAM. */
static int churn_some(unsigned long n, unsigned long pages, unsigned long order)
{
	static unsigned long next;

	for (; n > 0; n--, next++) {
		unsigned long i = next % pages, flags = 0;
		unsigned long ra = page[i].ra ^ RA ^ RA_OTHER;

		if (hcall(H_REMOVE, &flags, page[i].slot, 0, 0) != 0 ||
		    enter(i, ra, order) != 0) {
			print("churn failed at ");
			print_u64(i);
			print("\n");
			return -1;
		}
	}
	return 0;
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
	__asm__ volatile("slbmte %0, %1\n\tisync"
			 :
			 : "r"(VSID << 12 | SLB_KP),
			   "r"((EA & ~0xffffffful) | SLB_VALID | SLB_INDEX)
			 : "memory");
	for (unsigned long i = 0; i < pages; i++) {
		if (enter(i, RA + i * PAGE, order) != 0) {
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
	unsigned long churn = guest_arg_u64("churn", 0);

	if (pages > PAGES_MAX)
		return 3;
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
			volatile unsigned long *ram =
				(volatile unsigned long *)page[i].ra;

			if (through(EA + i * PAGE, want) != want ||
			    *ram != want) {
				print("wrong page ");
				print_u64(i);
				print("\n");
				return 2;
			}
		}
		if (churn_some(churn, pages, order) < 0)
			return 4;
		print("round ");
		print_u64(round);
		print("\n");
		while (spin)
			__asm__ volatile("" : : : "memory");
		reg_write(boot, MOTE_REG_WAIT, step);
	}
}
