/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_code.h - the functions of simd.h, as text for the assembler: so the
 * same bytes run in a guest and in the test.  Include it in one C file.
 *
 * Registers 0 to 11 are mixed as integers, 12 is scratch, 13 holds ones, 14
 * the map's factor, 15 its value.
 */
#ifndef GUESTS_INCLUDE_SIMD_CODE_H
#define GUESTS_INCLUDE_SIMD_CODE_H

/* MXCSR: towards zero, all masked; x87: up, 53 bits, all masked. */
__asm__(".pushsection .rodata\n"
	"simd_mxcsr: .long 0x7f80\n"
	"simd_cw: .word 0x0a7f\n"
	".balign 8\n"
	"simd_factor: .double 3.99\n"
	"simd_value: .double 0.37\n"
	".popsection\n"

	".macro sse_get i\n movdqu 32*\\i(%rdi), %xmm\\i\n .endm\n"
	".macro sse_put i\n movdqu %xmm\\i, 32*\\i(%rdi)\n .endm\n"
	".macro sse_mix a, b, c\n"
	"paddq %xmm\\b, %xmm\\a\n"
	"pshufd $0x93, %xmm\\a, %xmm\\a\n"
	"pxor %xmm\\c, %xmm\\a\n"
	".endm\n"
	".macro sse_map\n"
	"movapd %xmm13, %xmm12\n"
	"subpd %xmm15, %xmm12\n"
	"mulpd %xmm12, %xmm15\n"
	"mulpd %xmm14, %xmm15\n"
	".endm\n"

	".macro avx_get i\n vmovdqu 32*\\i(%rdi), %ymm\\i\n .endm\n"
	".macro avx_put i\n vmovdqu %ymm\\i, 32*\\i(%rdi)\n .endm\n"
	".macro avx_mix a, b, c\n"
	"vxorps %ymm\\b, %ymm\\a, %ymm\\a\n"
	"vpermilps $0x93, %ymm\\a, %ymm\\a\n"
	"vperm2f128 $0x01, %ymm\\a, %ymm\\a, %ymm12\n"
	"vshufps $0x4e, %ymm\\c, %ymm12, %ymm12\n"
	"vxorps %ymm12, %ymm\\a, %ymm\\a\n"
	".endm\n"
	".macro avx_map\n"
	"vsubpd %ymm15, %ymm13, %ymm12\n"
	"vmulpd %ymm12, %ymm15, %ymm15\n"
	"vmulpd %ymm14, %ymm15, %ymm15\n"
	".endm\n"

	".macro simd_step isa\n"
	"\\isa\\()_mix 0, 1, 2\n \\isa\\()_mix 1, 2, 3\n"
	"\\isa\\()_mix 2, 3, 4\n \\isa\\()_mix 3, 4, 5\n"
	"\\isa\\()_mix 4, 5, 6\n \\isa\\()_mix 5, 6, 7\n"
	"\\isa\\()_mix 6, 7, 8\n \\isa\\()_mix 7, 8, 9\n"
	"\\isa\\()_mix 8, 9, 10\n \\isa\\()_mix 9, 10, 11\n"
	"\\isa\\()_mix 10, 11, 0\n \\isa\\()_mix 11, 0, 1\n"
	"\\isa\\()_map\n"
	".endm\n"

	/* x87: st0 the value, st1 the factor. */
	".macro simd_x87\n"
	"fld1\n"
	"fsub %st(1), %st\n"
	"fmulp %st, %st(1)\n"
	"fmul %st(1), %st\n"
	".endm\n"

	".macro simd_function name, isa\n"
	".globl \\name\n"
	"\\name:\n"
	"sub $24, %rsp\n"
	"stmxcsr (%rsp)\n"
	"fnstcw 4(%rsp)\n"
	"ldmxcsr simd_mxcsr(%rip)\n"
	"fldcw simd_cw(%rip)\n"
	"fldl simd_factor(%rip)\n"
	"fldl simd_value(%rip)\n"
	".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"\\isa\\()_get \\i\n"
	".endr\n"
	"xor %eax, %eax\n"
	"1: simd_step \\isa\n"
	"simd_x87\n"
	"inc %rax\n"
	"cmp %rdx, %rax\n"
	"je 2f\n"
	"testl $1, (%rsi)\n" /* MOTE_EVENT_STOP */
	"jz 1b\n"
	"2:\n"
	".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"\\isa\\()_put \\i\n"
	".endr\n"
	"fstpt 512(%rdi)\n"
	"fstpl 8(%rsp)\n"
	"stmxcsr 528(%rdi)\n"
	"fnstcw 532(%rdi)\n"
	"ldmxcsr (%rsp)\n"
	"fldcw 4(%rsp)\n"
	"add $24, %rsp\n"
	"ret\n"
	".endm\n"

	".pushsection .text\n"
	"simd_function simd_sse, sse\n"
	"simd_function simd_avx, avx\n"
	".popsection\n");

#ifdef GUESTS_INCLUDE_GUEST_H /* not in the test */
static inline void simd_say(uint64_t steps, const struct simd_state *s)
{
	print("steps ");
	print_u64(steps);
	print(" sum ");
	print_hex(simd_sum(s), 16);
	print("\n");
}
#endif

#endif
