/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track.h - which pages changed since the snapshot that a machine was loaded
 * from or last saved to (its reference).
 *
 * Two ways.  RAM that is a private mapping of the reference's file needs
 * none of KVM: a page that left the file has changed (diverge.h).  From the
 * first save on the dirty log says it (dirty.h).  Told to, it is the one or
 * the other alone: private has no log, and bitmap and ring begin it as soon as
 * there is a reference.  Threads: the VM thread; vCPUs parked but for
 * track_count, track_mark and track_again.
 */
#ifndef VMM_MEMORY_TRACK_H
#define VMM_MEMORY_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "memory/dirty.h"

enum track_mode {
	TRACK_NONE, /* nobody knows */
	TRACK_FILE, /* against the file that RAM is mapped from */
	TRACK_LOG,
};

struct track {
	struct memslot_table *slots;
	enum dirty_tracking how; /* memory.dirty_tracking */
	enum track_mode mode;
	int pagemap_fd; /* owned; -1: opened when it is needed */
	bool mapped;	/* RAM is a private mapping of a file, whatever mode */
	struct dirty_tracker log;
	/* Adds what else knows of dirty pages to log; or NULL. */
	int (*more)(void *opaque, struct dirty_tracker *log,
		    struct mote_err *err);
	void *more_opaque;
	bool logging; /* the log runs; it counts once mode says so */
	bool marked;  /* track_end is to come */
};

void track_init(struct track *t, struct memslot_table *slots);
void track_fini(struct track *t);

/*
 * memory.dirty_tracking; before the first slot and the first vCPU.  -ENOTSUP:
 * this host has no such thing.
 */
int track_choose(struct track *t, enum dirty_tracking how,
		 struct mote_err *err);

/* RAM is what the reference has; vCPUs have not run since. */
int track_loaded(struct track *t, struct mote_err *err);

/* RAM was mapped from its reference; pagemap_fd (or -1) is taken over. */
void track_file(struct track *t, int pagemap_fd);

/*
 * The reference is the file that RAM is mapped from (again): after a rewind,
 * or when the mapping has just become one.
 */
void track_rebase(struct track *t);

/* Pages over all slots, and 64-bit words for a bit each. */
uint64_t track_pages(const struct track *t);
uint64_t *track_bits(const struct track *t); /* zeroed, malloc'd */

/* Add the bits of pages that left the mapped file. */
int track_diverged(struct track *t, uint64_t *bits, struct mote_err *err);

/* Add the bits of pages that are mapped: somebody touched them. */
int track_touched(struct track *t, uint64_t *bits, struct mote_err *err);

/*
 * Pages that changed so far, vCPUs running or not; what the guest changes
 * meanwhile is for the next call.  -1: not known, also while marked.  With
 * the log on each call write-protects what it counts anew.
 */
int64_t track_count(struct track *t);

/*
 * This moment is to become the reference: add what changed since the last
 * one to bits (NULL: not asked) and follow what changes from here on.
 * track_end then says whether it did.
 */
int track_mark(struct track *t, uint64_t *bits, struct mote_err *err);

/*
 * After track_mark: the moment is now.  Add what changed since it, or since
 * the last call.  Pages of bits are read only after this.
 */
int track_again(struct track *t, uint64_t *bits, struct mote_err *err);
void track_end(struct track *t, bool kept);

#endif
