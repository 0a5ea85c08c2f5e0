/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry: EL1h, MMU and caches off, x0 = boot page.
 *
 * MMU and caches go on at once: with them off our stores would bypass the
 * host's cache, and host and guest could see different bytes in the boot
 * page and in a snapshot.  The table is part of the image, so that nothing
 * has to be written before.  The first GiB is device memory, the next three
 * are RAM.  The vectors stay the machine's: an exception ends the guest.
 */
#define DEVICE	0x0060000000000401	/* XN, AF, attribute 0, 1 GiB block */
#define NORMAL	0x0000000000000705	/* AF, inner shareable, attribute 1 */
#define MAIR	0xff04			/* 0: device nGnRE, 1: write-back */
#define TCR	0x803519		/* 39 bits, write-back walks, no TTBR1 */
#define SCTLR	0x1005			/* M, C, I */

	.section .text.start, "ax"
	.globl _start
_start:
	adrp	x1, table
	msr	ttbr0_el1, x1
	mov	x1, #MAIR
	msr	mair_el1, x1
	ldr	x1, =TCR
	msr	tcr_el1, x1
	isb
	tlbi	vmalle1
	dsb	nsh
	mrs	x1, sctlr_el1
	mov	x2, #SCTLR
	orr	x1, x1, x2
	msr	sctlr_el1, x1
	isb
	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	bl	guest_entry
1:	wfi
	b	1b

	.section .rodata.table, "a"
	.balign	4096
table:
	.quad	0x00000000 + DEVICE
	.quad	0x40000000 + NORMAL
	.quad	0x80000000 + NORMAL
	.quad	0xc0000000 + NORMAL
	.fill	508, 8, 0

	.bss
	.balign	16
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", %progbits
