/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passthrough.h - all devices of the host that a guest drives itself: the
 * PCI root they are on, what they may reach by DMA, their interrupts.
 *
 * Threads: the VM thread, vCPUs parked or not yet there.  Guest RAM is
 * pinned from create to destroy; destroy comes before it is unmapped.
 */
#ifndef VMM_DEVICES_VFIO_PASSTHROUGH_H
#define VMM_DEVICES_VFIO_PASSTHROUGH_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"

struct bus;
struct device;
struct irqroutes;
struct dirty_tracker;
struct memslot_table;
struct mote_err;
struct passthrough;
struct vm_config;

struct passthrough_options {
	const struct vm_config *cfg; /* outlives it */
	const struct arch_pci *arch;
	struct memslot_table *slots; /* with all RAM in them */
	struct bus *bus;
	struct device *root;	  /* of model "pci" */
	struct device *ioapic;	  /* of model "ioapic" */
	struct irqroutes *routes; /* outlives it */
	/* The borrowed descriptor of a section, of "vfio", "iommu"; -1. */
	int (*find)(const void *opaque, const char *section);
	const void *opaque;
};

int passthrough_create(struct passthrough **out,
		       const struct passthrough_options *opt,
		       struct mote_err *err);

/* After the root: the devices are closed.  NULL is fine. */
void passthrough_destroy(struct passthrough *p);

/* The first of a block of descriptors that vCPU threads use: fd_gather. */
int passthrough_fds(const struct passthrough *p);

/*
 * Can a snapshot be taken?  ready: the guest wrote its mark.  sticky: it is to
 * be a diff, but every page is always dirty.  -ENOTSUP names the device.
 */
int passthrough_check(const struct passthrough *p, bool ready, bool sticky,
		      struct mote_err *err);

/*
 * Around a save, vCPUs parked: from freeze on no device writes memory, and
 * the state of those that can save it has been taken.  A failure leaves them
 * as they were.
 */
int passthrough_freeze(struct passthrough *p, struct mote_err *err);

/* -EIO: one of them did not go on as it was; the others do. */
int passthrough_thaw(struct passthrough *p, struct mote_err *err);

/*
 * While vCPUs run: take what of their state there is already; *bytes are left
 * to the freeze.  After a failure, and without a freeze, to be thawed.
 */
int passthrough_pending(struct passthrough *p, uint64_t *bytes,
			struct mote_err *err);

/* Their state was loaded; it waits until just before the first instruction. */
void passthrough_loaded(struct passthrough *p);
int passthrough_run(struct passthrough *p, struct mote_err *err);

/* As more sources of a tracker that does not run yet: what devices write. */
int passthrough_dirty(void *passthrough, struct dirty_tracker *t,
		      struct mote_err *err);

#endif
