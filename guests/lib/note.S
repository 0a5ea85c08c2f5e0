/* SPDX-License-Identifier: Apache-2.0 */
/* The note that makes an ELF file a mote image (docs/GUEST-ABI.md). */
#ifndef NOTE_FLAGS
#define NOTE_FLAGS 0
#endif
	.section .note.mote, "a", %note
	.balign 4
	.long 5, 8, 1
	.asciz "mote"
	.balign 4
	.long 1, NOTE_FLAGS
	.section .note.GNU-stack, "", %progbits
