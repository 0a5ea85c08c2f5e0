/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - KVM's dirty rings: each vCPU tells which pages it wrote.
 *
 * KVM API, 8.29 (KVM_CAP_DIRTY_LOG_RING and _ACQ_REL).  What is taken out of
 * the rings is set in the slots' own bitmaps (struct memslot, dirty), where
 * dirty.c finds it with what we wrote ourselves.  A ring that is full keeps
 * its vCPU out of the guest until it has been emptied: EVENT_RING asks for
 * that.  Threads: the VM thread; vCPUs may run, and KVM adds meanwhile.
 * Trust: rings are written by the kernel alone; a page that is no RAM is
 * not marked, and no harvest counts from then on.
 */
#ifndef VMM_MEMORY_RING_H
#define VMM_MEMORY_RING_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

struct memslot_table;
struct mote_err;

/* Newer than Debian 12's headers. */
#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#endif
#ifndef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225
#endif

/*
 * KVM_DIRTY_LOG_PAGE_OFFSET wherever there are rings.  Debian 12's headers
 * say 0 on arm64: mmap(2) works there, and shows something else.
 */
#define RING_PAGE 64u

#define RING_VCPUS_MAX 64

/*
 * 64 KiB, 4,096 pages a vCPU: it was emptied long before it is full while
 * memory is copied, and it is what a micro-VM can spare.
 */
#define RING_BYTES 65536u

struct ring_set {
	uint32_t entries; /* of each; a power of two */
	bool bitmap;	  /* what is written outside a vCPU is in KVM's log */
	bool taken;	  /* KVM_RESET_DIRTY_RINGS is to come */
	bool stray;	  /* KVM named a page that is no RAM */
	uint32_t count;
	struct ring {
		struct map map;
		uint32_t next; /* goes round */
	} vcpu[RING_VCPUS_MAX];
};

/* Before the first slot and the first vCPU.  -ENOTSUP: KVM has none. */
int ring_enable(struct memslot_table *t, struct mote_err *err);

/*
 * Map the ring of a new vCPU; nothing to do where none were enabled.  The
 * mapping keeps the vCPU: ring_fini before memory goes.
 */
int ring_add(struct memslot_table *t, int vcpu_fd, struct mote_err *err);
void ring_fini(struct memslot_table *t);

/*
 * Empty all rings into the slots' bitmaps and have KVM write-protect those
 * pages again: they are read only after this.  Nothing to do without rings.
 */
int ring_collect(const struct memslot_table *t, struct mote_err *err);

#endif
