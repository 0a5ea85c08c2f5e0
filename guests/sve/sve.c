/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sve.c - arm64: fill all scalable vector and predicate registers, wait until
 * we are a clone, and say which of them changed.  Nothing else here uses them:
 * guests are compiled for general registers only.
 */
#include "guest_arm64.h"

#define Z_REGS	  32
#define P_REGS	  16
#define BYTES_MAX 256			/* of a vector of 2048 bits */
#define CPACR_SVE (3u << 20 | 3u << 16) /* FPEN, ZEN: no traps */

__asm__(".arch armv8.2-a+sve");

struct vectors {
	uint8_t z[Z_REGS * BYTES_MAX]; /* each as long as a vector is */
	uint8_t p[(P_REGS + 1) * BYTES_MAX / 8]; /* the last: FFR */
} __attribute__((aligned(16)));

static struct vectors before, after;

#define ZS(op, base)                                                           \
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,"      \
	"22,23,24,25,26,27,28,29,30,31\n\t" op " z\\n, [" base                 \
	", #\\n, mul vl]\n\t.endr\n\t"
#define PS(op, base)                                                           \
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t" op " p\\n, [" base  \
	", #\\n, mul vl]\n\t.endr\n\t"

static void fill(const struct vectors *v)
{
	__asm__ volatile("ldr p0, [%1, #16, mul vl]\n\t"
			 "wrffr p0.b\n\t" ZS("ldr", "%0") PS("ldr", "%1")
			 :
			 : "r"(v->z), "r"(v->p)
			 : "memory");
}

/* FFR goes out by P0, which is out by then. */
static void take(struct vectors *v)
{
	__asm__ volatile(ZS("str", "%0") PS("str", "%1") "rdffr p0.b\n\t"
							 "str p0, [%1, #16, "
							 "mul vl]"
			 :
			 : "r"(v->z), "r"(v->p)
			 : "memory");
}

static int changed(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++)
		if (a[i] != b[i])
			return 1;
	return 0;
}

/* FFR takes only a run of ones from bit 0; this is one of them. */
static void pattern(uint64_t bytes)
{
	uint64_t p = bytes / 8;

	for (uint64_t i = 0; i < Z_REGS * bytes; i++)
		before.z[i] = (uint8_t)(i * 37 + i / bytes * 11 + 1);
	for (uint64_t i = 0; i < P_REGS * p; i++)
		before.p[i] = (uint8_t)(i * 29 + 7);
	for (uint64_t i = 0; i < p; i++)
		before.p[P_REGS * p + i] = i == 0 ? 0x7f : 0;
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t bytes, bad = 0;

	if (!(MRS("id_aa64pfr0_el1") >> 32 & 0xf)) {
		print("no sve\n");
		return 2;
	}
	MSR("cpacr_el1", CPACR_SVE);
	MSR("zcr_el1", 0xf); /* the longest that there is */
	__asm__ volatile("rdvl %0, #1" : "=r"(bytes));
	print("sve ");
	print_u64(bytes * 8);
	print(" bits\n");
	pattern(bytes);
	fill(&before);
	wait_for_clone(boot);
	take(&after);
	for (uint64_t i = 0; i < Z_REGS; i++)
		bad += (uint64_t)changed(before.z + i * bytes,
					 after.z + i * bytes, bytes);
	for (uint64_t i = 0; i < P_REGS + 1; i++)
		bad += (uint64_t)changed(before.p + i * (bytes / 8),
					 after.p + i * (bytes / 8), bytes / 8);
	print_u64(bad);
	print(" registers changed\n");
	return bad ? 1 : 0;
}
