/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hptsmp.c - vCPU 0 enters, changes and removes hashed page table entries
 * with translation on while the others compute (ppc64le).
 *
 * Arguments: order=N, the table's order (18); pages=N (64); rounds=N (20).
 * Each round enters all pages read-write, stores through each, makes it
 * read-only by H_PROTECT (loads still work, the entry says so), removes it
 * by H_REMOVE (the entry is gone, H_READ says) and checks what H_REMOVE gave.
 * The others sum a table of numbers over and over; a sum that is not the one
 * of the first time ends the guest with 2.  Says "round N", and "sums N".
 */
#include "guest.h"
#include "hcall.h"
#include "smp.h"

#define H_REMOVE    0x04
#define H_ENTER	    0x08
#define H_READ	    0x0c
#define H_PROTECT   0x18
#define H_EXACT	    (1ul << (63 - 24)) /* H_ENTER: into that very slot */
#define H_AVPN	    (1ul << (63 - 32)) /* only if it is this page's */
#define HPTE_V	    1ul
#define HPTE_R_KEEP 0x0ffffffffffff000ul /* real page number */
#define HPTE_M	    0x10ul		 /* memory is coherent */
#define HPTE_PP	    3ul
#define HPTE_RW	    2ul
#define HPTE_RO	    3ul
#define MSR_DR	    0x10ul
#define SLB_VALID   0x8000000ul
#define SLB_KP	    0x400ul
#define SLB_INDEX   5ul
#define VSID	    0x777ul
#define EA	    0x20000000ul
#define RA	    0x800000ul
#define PAGE	    4096ul
#define NUMBERS	    512

static volatile uint64_t sums[SMP_VCPUS_MAX];
static volatile uint32_t over, bad;
static uint64_t numbers[NUMBERS];
static char stacks[SMP_VCPUS_MAX][4096] __attribute__((aligned(16)));

static uint64_t sum(void)
{
	uint64_t s = 0;

	for (int i = 0; i < NUMBERS; i++)
		s = (s ^ ((volatile uint64_t *)numbers)[i]) * 0x100000001b3;
	return s;
}

static void compute(void)
{
	static uint64_t next;
	uint64_t me = __atomic_add_fetch(&next, 1, __ATOMIC_SEQ_CST);
	uint64_t want = sum();

	while (!over) {
		if (sum() != want)
			bad = 1;
		sums[me]++;
	}
}

static void fail(const char *what, unsigned long page, long got)
{
	print("wrong: ");
	print(what);
	print(" page ");
	print_u64(page);
	print(": ");
	print_hex((uint64_t)got, 16);
	print("\n");
	guest_exit(1);
}

/* Store val (or not) and load through the entry, translation on for that. */
static unsigned long through(unsigned long ea, unsigned long val, int store)
{
	unsigned long msr, on, got;

	__asm__ volatile("mfmsr %0\n\tori %1, %0, %6\n\tmtmsrd %1\n\tisync\n\t"
			 "cmpwi %5, 0\n\tbeq 1f\n\tstd %4, 0(%3)\n1:\t"
			 "ld %2, 0(%3)\n\tmtmsrd %0\n\tisync"
			 : "=&r"(msr), "=&r"(on), "=&r"(got)
			 : "b"(ea), "r"(val), "r"(store), "i"(MSR_DR)
			 : "cr0", "memory");
	return got;
}

struct entry {
	unsigned long index, v, r, ea, ra;
};

static struct entry entry_of(unsigned long page, unsigned long mask)
{
	unsigned long ea = EA + page * PAGE;
	unsigned long hash = VSID ^ (ea >> 12 & 0xffff);
	struct entry e = {
		/* The last of a group may be KVM's, for real mode. */
		.index = (hash & mask) * 8 + page % 7,
		.v = VSID << 12 | (ea >> 23 & 0x1f) << 7 | HPTE_V,
		.r = (RA + page * PAGE) | HPTE_M | HPTE_RW,
		.ea = ea,
		.ra = RA + page * PAGE,
	};

	return e;
}

/* Is it there, and with which protection? */
static void expect_entry(const struct entry *e, unsigned long page,
			 unsigned long v, unsigned long pp, const char *what)
{
	unsigned long a[3] = {0, e->index, 0};
	long ret = hcall_both(H_READ, a, 0);

	if (ret != 0 || (a[0] & HPTE_V) != v)
		fail(what, page, ret ? ret : (long)a[0]);
	if (v && ((a[1] & HPTE_PP) != pp ||
		  (a[1] & HPTE_R_KEEP) != (e->r & HPTE_R_KEEP)))
		fail(what, page, (long)a[1]);
}

static void one_round(unsigned long round, unsigned long pages,
		      unsigned long mask)
{
	for (unsigned long i = 0; i < pages; i++) {
		struct entry e = entry_of(i, mask);
		unsigned long want = round * 1000 + i, flags = H_EXACT;
		long ret = hcall(H_ENTER, &flags, e.index, e.v, e.r);

		if (ret != 0)
			fail("H_ENTER", i, ret);
		expect_entry(&e, i, HPTE_V, HPTE_RW, "entered");
		if (through(e.ea, want, 1) != want ||
		    *(volatile unsigned long *)e.ra != want)
			fail("store", i, (long)want);
	}
	for (unsigned long i = 0; i < pages; i++) {
		struct entry e = entry_of(i, mask);
		unsigned long want = round * 1000 + i;
		unsigned long a[3] = {H_AVPN | HPTE_RO, e.index, e.v & ~0x7ful};
		long ret = hcall_both(H_PROTECT, a, 0);

		if (ret != 0)
			fail("H_PROTECT", i, ret);
		expect_entry(&e, i, HPTE_V, HPTE_RO, "protected");
		if (through(e.ea, 0, 0) != want)
			fail("load", i, (long)want);
		a[0] = H_AVPN;
		a[1] = e.index;
		a[2] = e.v & ~0x7ful;
		ret = hcall_both(H_REMOVE, a, 0);
		if (ret != 0 || !(a[0] & HPTE_V) || (a[1] & HPTE_PP) != HPTE_RO)
			fail("H_REMOVE", i, ret ? ret : (long)a[1]);
		expect_entry(&e, i, 0, 0, "removed");
	}
}

int guest_main(const struct mote_boot *boot)
{
	unsigned long pages = guest_arg_u64("pages", 64);
	unsigned long order = guest_arg_u64("order", 18);
	uint64_t rounds = guest_arg_u64("rounds", 20);
	uint64_t all = 0;

	for (int i = 0; i < NUMBERS; i++)
		numbers[i] = (uint64_t)i * 0x9e3779b97f4a7c15;
	__asm__ volatile("slbmte %0, %1\n\tisync"
			 :
			 : "r"(VSID << 12 | SLB_KP),
			   "r"((EA & ~0xffffffful) | SLB_VALID | SLB_INDEX)
			 : "memory");
	for (uint32_t i = 1; i < boot->vcpus; i++)
		if (smp_start(i, compute, stacks[i] + 4096) != 0)
			return 3;
	for (uint64_t round = 1; round <= rounds; round++) {
		one_round(round, pages, (1ul << (order - 7)) - 1);
		print("round ");
		print_u64(round);
		print("\n");
		reg_write(boot, MOTE_REG_WAIT, 1);
		/* Each computes between two rounds. */
		for (uint32_t i = 1; i < boot->vcpus; i++)
			for (uint64_t was = sums[i]; sums[i] == was && !bad;)
				reg_write(boot, MOTE_REG_WAIT, 1);
		if (bad)
			return 2;
	}
	over = 1;
	for (uint32_t i = 1; i < boot->vcpus; i++)
		all += sums[i];
	print("sums ");
	print_u64(all);
	print("\n");
	return bad ? 2 : 0;
}
