/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp.S - start another vCPU: INIT and SIPI through the x2APIC, a trampoline
 * at 0x80000 from real mode into our long mode.  Source: AMD64 APM vol. 2,
 * 14 and 16.
 */
	.set	TRAMP, 0x80000

	.text
	.globl	smp_start
/* smp_start(cpu, function, top of stack); one at a time. */
smp_start:
	push	%rbx
	mov	%edi, %r8d
	mov	%rsi, t_fn(%rip)
	mov	%rdx, t_stack(%rip)
	mov	%cr3, %rax
	mov	%rax, t_cr3(%rip)
	lea	tramp(%rip), %rsi
	mov	$TRAMP, %edi
	mov	$(tramp_end - tramp), %ecx
	rep movsb
	mov	$0x1b, %ecx		/* IA32_APIC_BASE */
	rdmsr
	or	$0xc00, %eax		/* enabled, x2APIC */
	wrmsr
	mov	$0x830, %ecx		/* ICR */
	mov	%r8d, %edx
	mov	$0x4500, %eax		/* INIT */
	wrmsr
	mov	$(0x4600 | TRAMP >> 12), %eax
	wrmsr
	pop	%rbx
	ret

	.balign	16
tramp:
	.code16
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	t_gdtr - tramp
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	t_cr3 - tramp, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax
	mov	%eax, %cr0
	ljmpl	$0x08, $(TRAMP + t_long - tramp)
	.code64
t_long:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	TRAMP + t_stack - tramp, %rsp
	xor	%ebp, %ebp
	call	*(TRAMP + t_fn - tramp)
1:	hlt
	jmp	1b
	.balign	8
t_gdtr:	.word	5 * 8 - 1
	.long	0x1000			/* the machine's GDT, still mapped */
	.balign	8
t_cr3:	.quad	0
t_fn:	.quad	0
t_stack: .quad	0
tramp_end:
	.section .note.GNU-stack, "", @progbits
