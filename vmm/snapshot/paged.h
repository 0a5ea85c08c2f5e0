/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paged.h - the memory of a snapshot as a pager (memory/pager.h) wants it.
 *
 * Threads: paged_fill and paged_fill_verified run on the pager's, with the
 * snapshot's state read and its diffs sealed before.  A chunk that is
 * verified is read once: what was compared is what is handed out.
 */
#ifndef VMM_SNAPSHOT_PAGED_H
#define VMM_SNAPSHOT_PAGED_H

#include <stdint.h>

#include "snapshot/ram.h"

struct mote_err;

#define PAGED_RUN (UINT64_C(256) << 10) /* filled at a time, not verified */

/* source: a const struct snapshot. */
int paged_fill(void *source, uint64_t off, uint64_t len, void *buf,
	       struct mote_err *err);

/* Blocks of RAM_CHUNK; an error names snapshot, chunk and offset. */
int paged_fill_verified(void *source, uint64_t off, uint64_t len, void *buf,
			struct mote_err *err);

#endif
