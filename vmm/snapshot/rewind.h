/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewind.h - a machine goes back to the snapshot that it was loaded from.
 *
 * Only pages that left the snapshot's file are copied back, so KVM's mappings
 * of them stay and the guest takes no fault when it runs again.  vCPUs,
 * devices and console are loaded anew; the next run has a new generation.
 * What is outside the machine (disks, networks) is as the guest left it.
 * Threads: the VM thread.
 */
#ifndef VMM_SNAPSHOT_REWIND_H
#define VMM_SNAPSHOT_REWIND_H

#include <stdint.h>

struct mote_err;
struct rewind;
struct snapshot;
struct vm;

/*
 * Make vm, just loaded from a mapped s, one that can be rewound: its threads
 * outlive its guest.  Both must outlive *out.  -EINVAL: its RAM is no mapping
 * of s, or a disk could be written.
 */
int rewind_init(struct rewind **out, struct vm *vm, const struct snapshot *s,
		struct mote_err *err);
void rewind_fini(struct rewind *r); /* NULL is fine */

/*
 * Rewind: from any state but built or killed, to paused.  *pages: how many
 * were copied; may be NULL.  After a failure the machine has crashed.
 */
int rewind_vm(struct rewind *r, uint64_t *pages, struct mote_err *err);

#endif
