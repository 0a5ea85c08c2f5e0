/* SPDX-License-Identifier: Apache-2.0 */
/*
 * solo5.h - a Solo5 unikernel as a file: ABI note, manifest, segments.
 *
 * Pure: reads the file through an elf_file and fills structs; nothing of
 * the file is trusted.  Source: Solo5, include/solo5/{elf,mft}_abi.h and
 * what its reference tender accepts.  Threads: the VM thread before the
 * first run.
 */
#ifndef VMM_ARCH_COMMON_SOLO5_H
#define VMM_ARCH_COMMON_SOLO5_H

#include <stddef.h>
#include <stdint.h>

#include "arch/common/elf.h"
#include "base/hvt_abi.h"

struct memslot_table;
struct mote_err;

enum solo5_prot {
	SOLO5_R = 1 << 0,
	SOLO5_W = 1 << 1,
	SOLO5_X = 1 << 2,
};

/* One loaded segment, page-aligned as its alignment says. */
struct solo5_segment {
	uint64_t start, end; /* guest addresses */
	uint32_t prot;	     /* enum solo5_prot */
	int phdr;	     /* index in the program header table */
};

struct solo5_image {
	uint64_t entry, end; /* end: the first address after the image */
	struct solo5_segment seg[ELF_PHDR_MAX];
	int segs;
	struct solo5_mft mft; /* as in the file, checked */
};

/* Is it a Solo5 unikernel, whatever its target?  1, 0 or an error. */
int solo5_probe(const struct elf_file *f, struct mote_err *err);

/*
 * Check everything: target and ABI version, manifest, segments within
 * memory bytes of RAM.  Errors (class 65) name the place.
 */
int solo5_read(struct solo5_image *img, const struct elf_file *f,
	       uint64_t memory, struct mote_err *err);

/* Copy the segments to where they belong. */
int solo5_load(const struct solo5_image *img, const struct elf_file *f,
	       struct memslot_table *slots, struct mote_err *err);

/* A manifest as the guest's author wrote it: len bytes at mft. */
int solo5_check_manifest(const struct solo5_mft *mft, size_t len,
			 struct mote_err *err);

/* "BLOCK_BASIC", "NET_BASIC" or "type N". */
const char *solo5_type_name(uint32_t type, char buf[16]);

#endif
