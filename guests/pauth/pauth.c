/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pauth.c - arm64: sign pointers with keys of our own, wait until we are a
 * clone, and say whether they can still be authenticated.
 */
#include "guest_arm64.h"

#define SCTLR_KEYS (1ull << 31 | 1ull << 30 | 1ull << 27 | 1ull << 13)
#define ISAR1_APA  (0xffull << 4)	    /* address: APA, API */
#define ISAR2_APA3 (0xfull << 12)	    /* ... by QARMA3 */
#define MODIFIER   UINT64_C(0x123456789abc) /* as a stack pointer would be */

__asm__(".arch armv8.3-a");

#define SIGN(op, ptr)                                                          \
	({                                                                     \
		uint64_t p_ = (ptr);                                           \
		__asm__ volatile(op " %0, %1" : "+r"(p_) : "r"(MODIFIER));     \
		p_;                                                            \
	})

/* By keys IA, IB, DA, DB and the generic one. */
struct signs {
	uint64_t sign[5];
};

static void sign(struct signs *s, uint64_t ptr)
{
	s->sign[0] = SIGN("pacia", ptr);
	s->sign[1] = SIGN("pacib", ptr);
	s->sign[2] = SIGN("pacda", ptr);
	s->sign[3] = SIGN("pacdb", ptr);
	__asm__ volatile("pacga %0, %1, %2"
			 : "=r"(s->sign[4])
			 : "r"(ptr), "r"(MODIFIER));
}

static void set_keys(void)
{
	uint64_t k = UINT64_C(0x9e3779b97f4a7c15);

	MSR("apiakeylo_el1", k);
	MSR("apiakeyhi_el1", k * 3);
	MSR("apibkeylo_el1", k * 5);
	MSR("apibkeyhi_el1", k * 7);
	MSR("apdakeylo_el1", k * 11);
	MSR("apdakeyhi_el1", k * 13);
	MSR("apdbkeylo_el1", k * 17);
	MSR("apdbkeyhi_el1", k * 19);
	MSR("apgakeylo_el1", k * 23);
	MSR("apgakeyhi_el1", k * 29);
	MSR("sctlr_el1", MRS("sctlr_el1") | SCTLR_KEYS);
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t ptr = (uint64_t)(uintptr_t)&guest_main, bad = 0;
	struct signs before, after;

	if (!(MRS("id_aa64isar1_el1") & ISAR1_APA) &&
	    !(MRS("s3_0_c0_c6_2") & ISAR2_APA3)) {
		print("no pauth\n");
		return 2;
	}
	set_keys();
	sign(&before, ptr);
	/* Five signs of so many bits can't all be zero by chance. */
	print(before.sign[0] == ptr && before.sign[1] == ptr ? "unsigned\n"
							     : "signed\n");
	wait_for_clone(boot);
	bad += SIGN("autia", before.sign[0]) != ptr;
	bad += SIGN("autib", before.sign[1]) != ptr;
	bad += SIGN("autda", before.sign[2]) != ptr;
	bad += SIGN("autdb", before.sign[3]) != ptr;
	sign(&after, ptr);
	for (int i = 0; i < 5; i++)
		bad += before.sign[i] != after.sign[i];
	print_u64(bad);
	print(" signs wrong\n");
	return bad ? 1 : 0;
}
