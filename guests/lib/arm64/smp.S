/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp.S - start another vCPU by PSCI CPU_ON.  Source: ARM DEN 0022, 5.1.4.
 */
	.text
	.globl	smp_start
/* smp_start(cpu, function, top of stack); one at a time. */
smp_start:
	adr	x3, entry_fn
	str	x1, [x3]
	str	x2, [x3, #8]
	dsb	sy
	uxtw	x1, w0			/* target: affinity 0 */
	movz	w0, #0x0003
	movk	w0, #0xc400, lsl #16	/* CPU_ON, 64-bit */
	adr	x2, secondary
	mov	x3, #0
	hvc	#0
	ret

secondary:
	adr	x3, entry_fn
	ldr	x1, [x3]
	ldr	x2, [x3, #8]
	mov	sp, x2
	mov	x29, #0
	blr	x1
1:	wfi
	b	1b

	.data
	.balign	8
entry_fn:
	.quad	0, 0
	.section .note.GNU-stack, "", %progbits
