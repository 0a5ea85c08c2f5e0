/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzimage.h - the header of a Linux bzImage, read and checked.
 *
 * Pure: no file, no guest.  Every field comes from a hostile file.  Source:
 * Linux Documentation/x86/boot.rst, protocol 2.12 and later.
 */
#ifndef VMM_ARCH_X86_64_BZIMAGE_H
#define VMM_ARCH_X86_64_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;

/* The header begins here in the file, and ends before that. */
#define BZIMAGE_HEADER	   0x1f1u
#define BZIMAGE_HEADER_MAX 0x290u

struct bzimage {
	uint64_t payload, payload_size; /* in the file */
	uint64_t header_size;		/* from BZIMAGE_HEADER on */
	uint64_t align, prefer;		/* where it wants to lie */
	uint64_t room;			/* from there on, until it has moved */
	uint64_t initrd_max;  /* the last byte that an initrd may be */
	uint32_t cmdline_max; /* bytes, without the NUL */
	bool relocatable, entry64;
};

/* Is there a header at all?  head: the file's first len bytes. */
bool bzimage_is(const uint8_t *head, size_t len);

/* 0, or -ENOEXEC (class 65) that names the field. */
int bzimage_parse(const uint8_t *head, size_t len, uint64_t file_size,
		  struct bzimage *out, struct mote_err *err);

#endif
