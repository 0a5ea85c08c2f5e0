/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf.h - a bounded loader of static little-endian ELF64 images.
 *
 * Reads through a descriptor with checked offsets; nothing of the file is
 * trusted.  Source: System V gABI, ELF-64 object file format.
 * Threads: the VM thread before the first run.
 */
#ifndef VMM_ARCH_COMMON_ELF_H
#define VMM_ARCH_COMMON_ELF_H

#include <stdbool.h>
#include <stdint.h>

struct memslot_table;
struct mote_err;

/* Our note: owner "mote", type 1, descriptor: u32 ABI version, u32 flags. */
#define ELF_NOTE_OWNER "mote"
#define ELF_NOTE_TYPE  1u
#define ELF_NOTE_RING3 1u /* x86_64: enter in ring 3 */

struct elf_image {
	uint64_t entry;
	uint64_t low, high; /* guest addresses the segments span */
	bool has_note;
	uint32_t note_version, note_flags;
};

/*
 * Check the whole image, then load its segments to their physical
 * addresses.  min: lowest address allowed.  Errors (class 65) name the
 * segment.
 */
int elf_load(struct memslot_table *slots, int fd, uint16_t machine,
	     uint64_t min, struct elf_image *img, struct mote_err *err);

#endif
