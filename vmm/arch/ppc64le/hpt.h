/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpt.h - reading and writing a VM's hashed page table through KVM's fds.
 *
 * What the kernel's "modified" marks tell is told once, to whoever reads:
 * so there is one reader, opened ahead of the first pass and kept until the
 * VM goes, and all that it ever told is kept as a stream.  A first pass reads
 * the whole table, later ones what changed since; a pass may be taken while
 * the guest runs, and in pieces.
 *
 * Source: Linux api.rst 4.78 and what was measured (the traps stand at the
 * functions).  Threads: the VM thread; writing needs all vCPUs out of KVM_RUN.
 */
#ifndef VMM_ARCH_PPC64LE_HPT_H
#define VMM_ARCH_PPC64LE_HPT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/common/hpt_stream.h"

struct mote_err;
struct snap_section;
struct snap_writer;

struct hpt {
	int vm_fd;	/* borrowed; -1: no table (radix) */
	uint32_t order; /* as KVM allocated it; never changes */
	bool used;	/* entries were written: it is not an empty one */
	int fd;		/* the reader, while there is a buf */
	uint8_t *buf;	/* of READ_SIZE bytes; NULL: not open */
	/* The pass that is going on. */
	bool within;
	uint64_t next; /* the lowest index that it may still tell */
	struct hpt_stream pass;
	/* Of the passes that ended. */
	bool known; /* now is what the table was */
	struct hpt_stream now;
	/* Of snapshots: the last one that was kept, and the last one. */
	struct hpt_stream kept, saved;
	bool has_kept, has_saved;
	/* Passes, and how long the last one and its pieces took. */
	uint64_t passes, pass_ns, piece_ns_max;
};

/* Allocate a table of 2^order bytes, exactly that, before any vCPU runs. */
int hpt_init(struct hpt *h, int vm_fd, uint32_t order, struct mote_err *err);

/* Before the VM's descriptor is closed: the reader holds the VM. */
void hpt_fini(struct hpt *h);

/*
 * Go on with a pass, or begin one, for about budget_ns (0: no limit): no more
 * than one read of 64 KiB longer.  1: a pass ended; 0: the budget did.  The
 * guest may run.  An error throws away what was known: the next pass is a
 * first one again.
 */
int hpt_pass(struct hpt *h, uint64_t budget_ns, struct mote_err *err);

/* All vCPUs parked: afterwards h->now is the table. */
int hpt_settle(struct hpt *h, struct mote_err *err);

/*
 * Settle, then write the open section: what changed since the last snapshot
 * that was kept, or (no diff, or none was) all of it.  hpt_saved tells whether
 * this one is.
 */
int hpt_save(struct hpt *h, bool diff, struct snap_writer *w,
	     struct mote_err *err);
void hpt_saved(struct hpt *h, bool kept);

/*
 * Make the table that of the section, which is checked whole before the first
 * write: slots exist, no vCPU is loaded yet.  Of a table in use only what
 * differs is written.  An error may leave part of it written: destroy the VM.
 */
int hpt_load(struct hpt *h, struct snap_section *s, struct mote_err *err);

#endif
