/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits.S - a guest for measuring (x86_64): ring 3, COUNT port writes to the
 * 8250's scratch register, COUNT writes to a physical address that has no
 * RAM behind it, then exit 0.
 *
 * Ring 3 may write its own page tables here (docs/GUEST-ABI.md): one entry
 * of 2 MiB maps the address, 1 GiB less 2 MiB, which 16 MiB of RAM do not
 * reach.
 */
#define COUNT 4000
#define PD    0xb000

	.section .text.start, "ax"
	.globl _start
_start:
	mov	$(PD + 511 * 8), %ebx
	movq	$(0x3fe00000 | 0x87), (%rbx)
	mov	$0x3fe00000, %ebx
	mov	$0x3ff, %edx	/* 8250: scratch register */
	mov	$COUNT, %ecx
1:	out	%al, %dx
	dec	%ecx
	jnz	1b
	mov	$COUNT, %ecx
2:	mov	%eax, (%rbx)
	dec	%ecx
	jnz	2b
	xor	%eax, %eax
	mov	$0x6dc, %edx	/* event device + MOTE_REG_EXIT */
	out	%eax, %dx
	jmp	.

#define NOTE_FLAGS 1
#include "../lib/note.S"
