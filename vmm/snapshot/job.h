/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.h - a snapshot that is being written: what save.c, which has the order,
 * and pinned.c share.  Threads: the VM thread.
 */
#ifndef VMM_SNAPSHOT_JOB_H
#define VMM_SNAPSHOT_JOB_H

#include <stdint.h>

#include "snapshot/snapshot.h"
#include "vm.h"

struct diff_out;

struct job {
	struct vm *vm;
	const struct snapshot_files *files;
	const struct snapshot_options *opt;
	struct manifest m;
	struct snap_writer w;
	struct vm_save now;
	uint64_t *bits; /* of a diff: the pages that changed; else NULL */
	uint64_t *sent; /* with devices of the host: pages that were written */
	struct diff_out *diff;
};

/* What changed since the reference, into bits; of a full one NULL. */
int job_find_changed(struct job *j, struct mote_err *err);

/* Everything but memory, of a machine that stands still. */
int job_save_state(struct job *j, struct mote_err *err);

/* The section of memory, of what was written. */
int job_finish_memory(struct job *j, struct mote_err *err);

/* All of it, of a machine that stands still. */
int job_save_still(struct job *j, struct mote_err *err);

/* pinned.c: devices go on after passthrough_freeze; what was lost is logged. */
void pinned_thaw(struct vm *vm);

/*
 * pinned.c: of a machine with devices of the host that runs, and does so again;
 * what it may be (a diff may become a full one).
 */
int pinned_save(struct job *j, struct mote_err *err);
int pinned_check(struct vm *vm, struct snapshot_options *opt,
		 struct mote_err *err);

#endif
