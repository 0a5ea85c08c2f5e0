/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf.h - a bounded reader and loader of static little-endian ELF64 images.
 *
 * Reads through a descriptor with checked offsets; nothing of the file is
 * trusted.  Source: System V gABI, ELF-64 object file format.
 * Threads: the VM thread before the first run.
 */
#ifndef VMM_ARCH_COMMON_ELF_H
#define VMM_ARCH_COMMON_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memslot_table;
struct mote_err;

/* Our note: owner "mote", type 1, descriptor: u32 ABI version, u32 flags. */
#define ELF_NOTE_OWNER "mote"
#define ELF_NOTE_TYPE  1u
#define ELF_NOTE_RING3 1u /* x86_64: enter in ring 3 */

#define ELF_PHDR_MAX 64

/* A file whose header and program header table are sound. */
struct elf_file {
	int fd; /* borrowed */
	uint64_t size;
	Elf64_Ehdr eh;
	/* Our own note, once it was looked for (elf_own_note). */
	struct elf_own {
		bool known, found;
		uint32_t version, flags;
	} own;
	Elf64_Phdr ph[ELF_PHDR_MAX];
};

int elf_open(struct elf_file *f, int fd, uint16_t machine,
	     struct mote_err *err);

/*
 * The first note of that owner and type: up to size bytes of its descriptor
 * into buf.  1 and *len (the whole descriptor's), 0: there is none, or an
 * error.  *file_off: where the descriptor lies in the file.
 */
int elf_note(const struct elf_file *f, const char *owner, uint32_t type,
	     void *buf, size_t size, size_t *len, uint64_t *file_off,
	     struct mote_err *err);

/* Our own note, read once for each file: 1, 0: there is none, or an error. */
int elf_own_note(struct elf_file *f, struct mote_err *err);

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
int elf_load(struct memslot_table *slots, const struct elf_file *f,
	     uint64_t min, struct elf_image *img, struct mote_err *err);

/* One segment's bytes to gpa; what the file does not fill stays zero. */
int elf_load_segment(struct memslot_table *slots, const struct elf_file *f,
		     int i, uint64_t gpa, struct mote_err *err);

#endif
