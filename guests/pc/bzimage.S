/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzimage.S - the flat image pc as a bzImage: one sector of boot code that is
 * none, one of setup, then the image.  Source: Linux
 * Documentation/x86/boot.rst, protocol 2.12.
 */
	.section .entry, "a", @progbits
	.globl	linux32
linux32:
	.org	0x1f1
	.byte	1			/* setup_sects */
	.word	0
	.long	(end - payload) / 16	/* syssize */
	.word	0, 0, 0
	.word	0xaa55
	.byte	0xeb, 0x66		/* the header's end: 0x268 */
	.ascii	"HdrS"
	.word	0x20f
	.org	0x211
	.byte	1			/* loaded high */
	.org	0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x1000			/* kernel_alignment */
	.byte	0, 0
	.word	XLOADFLAGS
	.long	2047			/* cmdline_size */
	.org	0x258
	.quad	0x100000		/* pref_address */
	.long	0x100000		/* init_size */
	.org	0x400
payload:
	.incbin	FLAT_IMAGE
	.balign	16
end:
	.section .note.GNU-stack, "", @progbits
