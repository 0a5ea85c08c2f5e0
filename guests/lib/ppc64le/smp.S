/* SPDX-License-Identifier: Apache-2.0 */
/* Where a started vCPU comes in: as vCPU 0 does, r3 = its struct start. */
	.text
	.globl	smp_secondary
smp_secondary:
	lis	%r2, .TOC.@ha
	addi	%r2, %r2, .TOC.@l
	ld	%r1, 8(%r3)
	li	%r0, 0
	stdu	%r0, -112(%r1)
	bl	smp_entered
	nop
1:	b	1b
	.section .note.GNU-stack, "", @progbits
