/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirty.h - the devices of a VFIO space as sources of memory/dirty.
 *
 * KVM never sees DMA, VFIO never sees what a CPU writes: the union of both
 * is the truth.  What a device may write at any time is sticky; what it
 * wrote is device-written (space.h).
 */
#ifndef VMM_DEVICES_VFIO_DIRTY_H
#define VMM_DEVICES_VFIO_DIRTY_H

struct dirty_tracker;
struct mote_err;
struct vfio_space;

/*
 * Two sources: what was written, and then, slot by slot, what is sticky.
 * The space is mapped (all slots of the tracker) and outlives the tracker.
 */
int vfio_dirty_add(struct vfio_space *s, struct dirty_tracker *t,
		   struct mote_err *err);

#endif
