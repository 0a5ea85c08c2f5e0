/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arm64.S - entry of an hvt guest; every exception ends it with ABORT.
 */
	.section .text.start, "ax"
	.globl _start
_start:
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	bl	hvt_entry
1:	wfi
	b	1b

	.balign	2048
vectors:
	.rept	16
	.balign	128
	b	common
	.endr
common:
	sub	sp, sp, #64
	mrs	x0, esr_el1
	mrs	x1, far_el1
	mrs	x2, elr_el1
	stp	x0, x2, [sp]
	mov	x0, sp
	bl	hvt_trap
2:	wfi
	b	2b

	.globl hvt_call
hvt_call:				/* (number, argument) */
	mov	x2, #0x100000000
	add	x2, x2, w0, uxtw #3
	str	w1, [x2]
	ret

	.globl hvt_cycles
hvt_cycles:
	isb
	mrs	x0, cntvct_el0
	ret
