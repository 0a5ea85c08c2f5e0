/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elfimg.h - a small valid image in memory, for tests to damage.
 */
#ifndef TESTS_FAKE_ELFIMG_H
#define TESTS_FAKE_ELFIMG_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define ELFIMG_BASE  UINT64_C(0x100000)
#define ELFIMG_SEGS  3	/* two to load, one of notes */
#define ELFIMG_BYTES 64 /* in the file, of each segment to load */

struct elfimg {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[ELFIMG_SEGS];
	struct {
		Elf64_Nhdr head;
		char owner[8];
		uint32_t version, flags;
	} note;
	uint8_t data[2][ELFIMG_BYTES];
};

/* Segments of two pages each: at the base and 64 KiB above it. */
void elfimg_init(struct elfimg *img);

/* The first len bytes as a file; the caller closes it. */
int elfimg_fd(const struct elfimg *img, size_t len);

#endif
