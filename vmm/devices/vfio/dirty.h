/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirty.h - a VFIO container as a source of memory/dirty.
 *
 * KVM never sees DMA, VFIO never sees what a CPU writes: the union of both
 * is the truth.  A device behind an IOMMU that cannot log its writes makes
 * every page dirty every time: such pages are sticky, not device-written.
 */
#ifndef VMM_DEVICES_VFIO_DIRTY_H
#define VMM_DEVICES_VFIO_DIRTY_H

#include "memory/dirty.h"

struct vfio_container;

struct vfio_dirty {
	struct vfio_container *container;
	enum dirty_class class;
};

/*
 * Decide the class by what the device behind device_fd can do (its DMA
 * logging feature) and fill in *src; v must outlive the tracker.
 */
void vfio_dirty_source(struct vfio_dirty *v, struct vfio_container *c,
		       int device_fd, struct dirty_source *src);

#endif
