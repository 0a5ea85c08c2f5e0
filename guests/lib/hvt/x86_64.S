/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86_64.S - entry of an hvt guest, and exceptions that end it as a Solo5
 * program ends: with ABORT and a trap frame behind the cookie.
 */
	.section .text.start, "ax"
	.globl _start
_start:
	mov	%rdi, %r12
	lea	idt(%rip), %rdi
	lea	stubs(%rip), %rax
	mov	$32, %ecx
1:	mov	%rax, %rdx
	mov	%dx, (%rdi)		/* offset 0..15 */
	movw	$0x08, 2(%rdi)
	movw	$0x8e00, 4(%rdi)	/* present, interrupt gate */
	shr	$16, %rdx
	mov	%dx, 6(%rdi)
	shr	$16, %rdx
	mov	%edx, 8(%rdi)
	movl	$0, 12(%rdi)
	add	$16, %rdi
	add	$16, %rax
	dec	%ecx
	jnz	1b
	lidt	idtr(%rip)
	lgdt	gdtr(%rip)		/* the one we came with is out of reach */
	mov	%r12, %rdi
	call	hvt_entry
2:	hlt
	jmp	2b

	/* One stub a vector, 16 bytes each: an error code, then the vector. */
	.balign	16
stubs:
	.set	vec, 0
	.rept	32
	.balign	16
	.if	(vec != 8) && (vec != 10) && (vec != 11) && (vec != 12) && (vec != 13) && (vec != 14) && (vec != 17)
	push	$0
	.endif
	push	$vec
	jmp	common
	.set	vec, vec + 1
	.endr

	/* On the stack: vector, error, rip, cs, rflags, rsp, ss. */
common:
	mov	%rsp, %rdi
	mov	%cr2, %rsi
	call	hvt_trap
3:	hlt
	jmp	3b

	.globl hvt_call
hvt_call:				/* (number, argument) */
	lea	0x500(%rdi), %edx
	mov	%esi, %eax
	out	%eax, %dx
	ret

	.globl hvt_cycles
hvt_cycles:
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	ret

	.section .data
	.balign	16
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:
	.word	3 * 8 - 1
	.quad	gdt
	.balign	16
idtr:
	.word	32 * 16 - 1
	.quad	idt
	.section .bss
	.balign	16
idt:
	.skip	32 * 16
