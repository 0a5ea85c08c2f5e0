/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - the header of an arm64 Linux Image, read and checked.
 *
 * Pure: no file, no guest.  Every field comes from a hostile file.  Source:
 * Linux Documentation/arm64/booting.rst.
 */
#ifndef VMM_ARCH_ARM64_IMAGE_H
#define VMM_ARCH_ARM64_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;

#define IMAGE_HEADER 64u
#define IMAGE_ALIGN  UINT64_C(0x200000)

struct arm64_image {
	uint64_t offset; /* from a multiple of IMAGE_ALIGN */
	uint64_t room;	 /* of its memory, from there on */
};

/* Is there a header at all?  head: the file's first len bytes. */
bool arm64_image_is(const uint8_t *head, size_t len);

/* 0, or -ENOEXEC (class 65) that names the field. */
int arm64_image_parse(const uint8_t *head, size_t len, uint64_t file_size,
		      struct arm64_image *out, struct mote_err *err);

#endif
