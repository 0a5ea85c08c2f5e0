/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multiboot.h - the Multiboot 1 header of an image, found and checked.
 *
 * Pure: no file, no guest.  Every field comes from a hostile file.  Source:
 * Multiboot Specification 0.6.96, chapter 3.
 */
#ifndef VMM_ARCH_X86_64_MULTIBOOT_H
#define VMM_ARCH_X86_64_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;

#define MULTIBOOT_SEARCH    8192u /* the header lies in so many bytes */
#define MULTIBOOT_LOADED_BY 0x2badb002u

struct multiboot {
	uint32_t flags;
	/* A flat image: what of the file goes where; else it is an ELF one. */
	bool flat;
	uint64_t from, load, size, end; /* end: of its memory */
	uint64_t entry;
};

/* 1: there is one, 0: none, -ENOEXEC: one that can't be booted. */
int multiboot_parse(const uint8_t *head, size_t len, uint64_t file_size,
		    struct multiboot *out, struct mote_err *err);

/* What the guest finds at entry, chapter 3.3. */
struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods;
	uint32_t syms[4];
	uint32_t mmap_length, mmap;
	uint32_t drives[2], config, loader, apm;
	uint32_t vbe[4];
};

#define MULTIBOOT_INFO_MEMORY  (1u << 0)
#define MULTIBOOT_INFO_CMDLINE (1u << 2)
#define MULTIBOOT_INFO_MODS    (1u << 3)
#define MULTIBOOT_INFO_MMAP    (1u << 6)
#define MULTIBOOT_INFO_LOADER  (1u << 9)

struct multiboot_mmap {
	uint32_t size; /* of the rest */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

#endif
