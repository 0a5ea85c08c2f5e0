/* SPDX-License-Identifier: Apache-2.0 */
/* Entry: real mode, little-endian, r3 = boot page. */
	.section .text.start, "ax"
	.globl _start
_start:
	lis	%r2, .TOC.@ha
	addi	%r2, %r2, .TOC.@l
	lis	%r1, stack_top@ha
	addi	%r1, %r1, stack_top@l
	li	%r0, 0
	stdu	%r0, -112(%r1)
	bl	guest_entry
	nop
1:	b	1b

	.bss
	.balign 16
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
