/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kit_data.S - the programs and guests that bench-kit carries, as data:
 * struct { const char *path; const void *data, *end; bool program; }
 * entries, the last one empty.  Paths are below the build folder (-Wa,-I).
 */
	.macro embed path, program
	.section .rodata.kit, "a"
1:	.asciz "\path"
	.balign 16
2:	.incbin "\path"
3:	.section .data.rel.ro.kit, "aw"
	.quad 1b, 2b, 3b, \program
	.endm

	.section .data.rel.ro.kit, "aw"
	.balign 8
	.globl kit_files
kit_files:
	embed mote, 1
	embed bench/floor, 1
	embed bench/floor-nolibc, 1
	embed bench/floor-jail, 1
	embed bench/jail-only, 1
	embed guests/noop.elf, 0
	embed guests/exits.elf, 0
	embed guests/counter.elf, 0
	.section .data.rel.ro.kit, "aw"
	.quad 0, 0, 0, 0
	.section .note.GNU-stack, "", %progbits
