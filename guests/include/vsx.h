/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsx.h - a long computation whose state is only in vector and floating
 * point registers (ppc64le): all 64 of VSX, which are FPRs and VMX registers
 * too, the rounding mode in FPSCR, and VRSAVE.
 *
 * The guest vsx runs it until told to stop; a test runs the same number of
 * steps natively and compares.  Every register takes part in each step, and
 * the last is the logistic map, rounded in a mode that is not the default:
 * what is lost once stays visible to the end.  Include it in one C file.
 *
 * Registers 0 to 59 are mixed, 60 is scratch, 61 holds ones, 62 the map's
 * factor, 63 its value.
 */
#ifndef GUESTS_INCLUDE_VSX_H
#define GUESTS_INCLUDE_VSX_H

#include <stdint.h>

struct vsx_state {
	uint64_t reg[64][2];
	uint64_t fpscr, vrsave; /* at the end */
};

/* Steps until bit 0 of *stop is set or max are done: how many, at least one. */
uint64_t vsx_run(struct vsx_state *s, const volatile uint32_t *stop,
		 uint64_t max);

__asm__(".machine push\n"
	".machine power8\n"
	".altmacro\n"
	".macro vsx_get n\n"
	"	li %r7, 16*\\n\n"
	"	lxvd2x \\n, %r3, %r7\n"
	".endm\n"
	".macro vsx_put n\n"
	"	li %r7, 16*\\n\n"
	"	stxvd2x \\n, %r3, %r7\n"
	".endm\n"
	".macro vsx_mix a, b\n"
	"	xxsldwi \\a, \\a, \\a, 1\n"
	"	xxlxor \\a, \\a, \\b\n"
	".endm\n"
	".globl vsx_run\n"
	".type vsx_run, @function\n"
	"vsx_run:\n"
	".set vsx_i, 0\n"
	".rept 64\n"
	"	vsx_get %vsx_i\n"
	"	.set vsx_i, vsx_i + 1\n"
	".endr\n"
	"	mtfsfi 7, 1\n" /* towards zero */
	"	lis %r8, 0x5a5a\n"
	"	mtspr 256, %r8\n" /* VRSAVE */
	"	li %r8, 0\n"
	"1:\n"
	".set vsx_i, 0\n"
	".rept 59\n"
	"	vsx_mix %vsx_i, %(vsx_i + 1)\n"
	"	.set vsx_i, vsx_i + 1\n"
	".endr\n"
	"	vsx_mix 59, 0\n"
	"	xvsubdp 60, 61, 63\n"
	"	xvmuldp 63, 63, 60\n"
	"	xvmuldp 63, 63, 62\n"
	"	addi %r8, %r8, 1\n"
	"	cmpd %r8, %r5\n"
	"	beq 2f\n"
	"	lwz %r9, 0(%r4)\n"
	"	andi. %r9, %r9, 1\n" /* MOTE_EVENT_STOP */
	"	beq 1b\n"
	"2:\n"
	".set vsx_i, 0\n"
	".rept 64\n"
	"	vsx_put %vsx_i\n"
	"	.set vsx_i, vsx_i + 1\n"
	".endr\n"
	"	mffs 0\n"
	"	stfd 0, 1024(%r3)\n"
	"	mfspr %r7, 256\n"
	"	std %r7, 1032(%r3)\n"
	"	mtfsfi 7, 0\n"
	"	mr %r3, %r8\n"
	"	blr\n"
	".size vsx_run, . - vsx_run\n"
	".noaltmacro\n"
	".machine pop\n");

static inline void vsx_init(struct vsx_state *s)
{
	uint64_t seed = 0x6d6f7465;

	for (int i = 0; i < 64; i++)
		for (int k = 0; k < 2; k++) {
			seed = seed * 6364136223846793005 + 1442695040888963407;
			s->reg[i][k] = seed;
		}
	for (int k = 0; k < 2; k++) {
		s->reg[61][k] = 0x3ff0000000000000; /* 1 */
		s->reg[62][k] = 0x400feb851eb851ec; /* 3.99 */
		s->reg[63][k] = k ? 0x3fe6666666666666 : 0x3fd3333333333333;
	}
}

/* FNV-1a over the state, but for what FPSCR says of the last operation. */
static inline uint64_t vsx_sum(const struct vsx_state *s)
{
	const uint8_t *p = (const uint8_t *)s->reg;
	uint64_t h = 0xcbf29ce484222325;

	for (unsigned int i = 0; i < sizeof(s->reg); i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h ^ (s->fpscr & 3) ^ s->vrsave << 8;
}

#endif
