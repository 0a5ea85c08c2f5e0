/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotset.h - the file hotset of a snapshot: which pages a restored guest
 * touches first, and those pages, stored contiguously (docs/SNAPSHOT.md).
 *
 * It is a hint and no part of what the manifest vouches for: one that is
 * damaged or of another snapshot is left alone, with a warning.  Threads: the
 * VM thread.  Trust: what is read is hostile and checked before it is used.
 */
#ifndef VMM_SNAPSHOT_HOTSET_H
#define VMM_SNAPSHOT_HOTSET_H

#include <stdint.h>

#include "snapshot/stream.h"

struct mote_err;

#define HOTSET_PAGES_MAX 16384	 /* of 4 KiB: 64 MiB */
#define HOTSET_HEAD_MAX	 1048576 /* bytes before the pages */

enum hotset_flags {
	HOTSET_WRITTEN = 1 << 0, /* half of the run or more is written to */
};

struct hotset_run {
	uint64_t first, count; /* pages, numbered through the regions */
	uint8_t flags;
	uint64_t at; /* offset of the first page in the file; when read */
};

struct hotset {
	struct hotset_run *run; /* owned, ascending, apart from each other */
	uint64_t runs, pages;
	struct snap_digest digest; /* of the pages' bytes */
};

/*
 * The pages of bits (of total), as runs; gaps of a few pages are bridged.
 * written: the same of those that are written to.
 */
int hotset_make(struct hotset *h, const uint64_t *bits, const uint64_t *written,
		uint64_t total, struct mote_err *err);
void hotset_fini(struct hotset *h);

/*
 * The bytes before the pages (malloc'd), with h's digest; manifest: of the
 * snapshot that it belongs to.
 */
int hotset_format(const struct hotset *h, const struct snap_digest *manifest,
		  uint8_t **head, uint64_t *len, struct mote_err *err);

/*
 * Read what hotset_format made out of a file of size bytes, of which head has
 * the first len; total: pages of RAM.  -ESTALE: of another snapshot.
 */
int hotset_parse(struct hotset *h, const void *head, uint64_t len,
		 uint64_t size, const struct snap_digest *manifest,
		 uint64_t total, struct mote_err *err);

/* The same from the file itself. */
int hotset_read(struct hotset *h, int fd, const struct snap_digest *manifest,
		uint64_t total, struct mote_err *err);

/* Compare every byte of its pages with the digest. */
int hotset_verify(const struct hotset *h, int fd, struct mote_err *err);

#endif
