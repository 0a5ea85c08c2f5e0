/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.h - the pages that changed since a snapshot's parent.
 *
 * The memory file of a diff holds those pages, in the order in which they
 * were first written; the state's section "ram-diff" says which they are and
 * where, as runs of page numbers through all regions, and keeps a digest for
 * each 2 MiB of the file.  A page that became zeros is a run without bytes.
 * Threads: the VM thread; what is read is hostile and checked before it is
 * used.
 */
#ifndef VMM_SNAPSHOT_DIFF_H
#define VMM_SNAPSHOT_DIFF_H

#include <stdbool.h>
#include <stdint.h>

#include "snapshot/ram.h"

struct manifest;

#define DIFF_SECTION "ram-diff"

enum diff_kind {
	DIFF_PAGES, /* in the memory file */
	DIFF_ZEROS,
	DIFF_KINDS,
};

struct diff_run {
	uint64_t first, count; /* pages */
	enum diff_kind kind;
	uint64_t at; /* DIFF_PAGES: number of the first page in the file */
};

/* The section, read. */
struct diff_index {
	struct diff_run *run; /* owned, in ascending order */
	uint64_t runs;
	uint64_t pages; /* in the memory file */
};

/*
 * Writing one, to fd (empty, open for reading too).  NULL: no memory.  slots
 * outlive it; diff_end frees it, at any time.
 */
struct diff_out;
struct diff_out *diff_begin(const struct memslot_table *slots, int fd);
void diff_end(struct diff_out *d);

/*
 * Write the pages whose bit is set (numbered through the slots), again if need
 * be.  The guest may run if what it writes meanwhile is added later.
 */
int diff_add(struct diff_out *d, const uint64_t *bits, struct mote_err *err);
uint64_t diff_written(const struct diff_out *d); /* bytes so far */

/*
 * bits: all that were added.  Write the section to w; *digest is that of the
 * chunks' digests, *length the file's.  RAM is not looked at any more.
 */
int diff_finish(const struct diff_out *d, const uint64_t *bits,
		struct snap_writer *w, struct snap_digest *digest,
		uint64_t *length, struct mote_err *err);

/*
 * Read the section: the regions and digests into ri, the runs into di.  Pages
 * are of the manifest's size, which need not be this host's: whoever uses
 * them here has asked for that (snapshot_compat).
 */
int diff_index_load(struct diff_index *di, struct ram_index *ri,
		    struct snap_reader *r, const struct manifest *m,
		    struct mote_err *err);
void diff_index_fini(struct diff_index *di);

/* Put its pages over what is in RAM, from its memory file. */
int diff_apply(const struct diff_index *di, int fd,
	       const struct memslot_table *slots, struct mote_err *err);

/* The run that holds a page; NULL: the parent has it. */
const struct diff_run *diff_find(const struct diff_index *di, uint64_t page);

#endif
