/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot.h - the hot set of a machine: recorded from one that was restored,
 * brought into the memory of the next ones as they begin.
 *
 * Threads: the VM thread.  hot_record may be called while the guest runs.
 */
#ifndef VMM_SNAPSHOT_HOT_H
#define VMM_SNAPSHOT_HOT_H

#include "config/config.h"

struct mote_err;
struct snapshot;
struct vm;

/*
 * Write the pages that were touched since vm was loaded from s into fd, an
 * empty file, as a hotset.
 */
int hot_record(struct vm *vm, const struct snapshot *s, int fd,
	       struct mote_err *err);

/*
 * Put the hot set of s, where it has one, into the private mapping of its
 * memory; nothing has run.  Blocks that are dense become huge pages; of the
 * others runs are mapped and brought in, as many as take some milliseconds.
 * stored: the set's own copy of the pages may be used, which is not verified.
 * Only a failure that leaves memory other than saved is an error; all else is
 * logged, and left to the guest's faults.
 */
int hot_apply(struct vm *vm, const struct snapshot *s, enum restore_hotset how,
	      bool stored, struct mote_err *err);

/*
 * Bring in the rest, while the guest runs or waits: its own faults do not
 * wait for that.  Nothing of it can fail so that it matters.
 */
void hot_finish(struct vm *vm);

/*
 * Drop from bits, pages that left the file, those that hot_apply brought in
 * and nobody has changed since.
 */
int hot_drop_same(struct vm *vm, const struct snapshot *s, uint64_t *bits,
		  struct mote_err *err);

#endif
