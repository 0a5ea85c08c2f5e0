/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry.S - how the four contracts enter the image pc: Linux's 32-bit entry
 * at its first byte and its 64-bit one 0x200 on, PVH and Multiboot by note and
 * header.  All end in pc_main(contract, eax, information), in protected mode
 * without paging.  Sources: Linux Documentation/x86/boot.rst, Xen's
 * docs/misc/pvh, Multiboot Specification 0.6.96; AMD64 APM vol. 2, 14.
 */
	.section .entry, "ax", @progbits
	.code32
	.globl	linux32, linux64, pvh, multiboot
linux32:
	mov	$1, %ecx
	jmp	start
	.balign	0x40
pvh:
	mov	%ebx, %esi
	mov	$2, %ecx
	jmp	start
	.balign	0x40
multiboot:
	mov	%ebx, %esi
	mov	$3, %ecx
start:
	cld
	mov	$stack_top, %esp
	lgdtl	gdtr
	ljmp	$0x10, $1f
1:	mov	$0x18, %edx
	mov	%edx, %ds
	mov	%edx, %es
	mov	%edx, %ss
	push	%esi
	push	%eax
	push	%ecx
	call	pc_main
2:	cli
	hlt
	jmp	2b

	.balign	0x100
	.long	0x1badb002
#ifdef FLAT
	.long	0x10003
	.long	-(0x1badb002 + 0x10003)
	.long	0x100100, 0x100000, _loaded, _end, multiboot
#else
	.long	3
	.long	-(0x1badb002 + 3)
#endif

	/* From long mode to where the others begin. */
	.org	linux32 + 0x200
	.code64
linux64:
	mov	$4, %ecx
	mov	$gdtr, %edx
	lgdt	(%rdx)
	mov	$stack_top, %esp
	mov	$narrow, %edx
	pushq	$0x10
	push	%rdx
	lretq
	.code32
narrow:
	mov	%ecx, %edi
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	and	$~0x100, %eax
	wrmsr
	xor	%eax, %eax
	mov	%eax, %cr4
	mov	%edi, %ecx
	jmp	start

	/*
	 * An interrupt: count it, end it.  No IRET: a KVM that interprets
	 * ring 0 has none for 32 bits.
	 */
	.globl	serial_entry
serial_entry:
	pushal
	call	serial_interrupt
	popal
	pushl	8(%esp)
	popfl
	lret	$4

	/* A CPU that was started: real mode, CS = 0x1000.  Copied there. */
	.globl	tramp, tramp_end
	.code16
tramp:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lock incl 0x100
1:	hlt
	jmp	1b
tramp_end:
	/* Copied there too: entered with a 16-bit segment. */
	.globl	to_bios, to_bios_end
to_bios:
	mov	%cr0, %eax
	and	$0xfffffffe, %eax
	mov	%eax, %cr0
	ljmp	$0xffff, $0
to_bios_end:
	.code32

	.balign	8
gdt:	.quad	0
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00009b010000ffff	/* 0x20: 16 bits, at 0x10000 */
gdtr:	.word	gdtr - gdt - 1
	.long	gdt
	.long	0

	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 4, 18
	.asciz	"Xen"
	.long	pvh

	.bss
	.balign	16
	.skip	8192
stack_top:
	.section .note.GNU-stack, "", @progbits
