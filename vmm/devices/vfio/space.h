/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space.h - what the devices of a machine may reach by DMA, and who tells
 * which pages they wrote.
 *
 * One of two kinds: a type1 container with its groups, or an address space of
 * iommufd with device nodes.  Nothing is opened here: descriptors are handed
 * in.  Order: open, add devices, map, track, ...; devices are closed before
 * the space.  Slots do not change while it tracks but by vfio_space_unmap.
 * Threads: the VM thread.
 */
#ifndef VMM_DEVICES_VFIO_SPACE_H
#define VMM_DEVICES_VFIO_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vfio/container.h"
#include "devices/vfio/device.h"
#include "devices/vfio/iommufd.h"

#define VFIO_DEVS_MAX 16

struct vfio_space {
	enum { VFIO_SPACE_TYPE1, VFIO_SPACE_IOMMUFD } kind;
	union {
		struct vfio_container type1;
		struct vfio_iommufd iommufd;
	};
	struct vfio_dev *dev[VFIO_DEVS_MAX]; /* the caller's */
	int devs;
	const struct memslot_table *slots; /* as mapped */
	bool tracking;
};

/* As vfio_container_open and vfio_iommufd_open. */
int vfio_space_open_type1(struct vfio_space *s, int container_fd, int group_fd,
			  struct mote_err *err);
int vfio_space_open_iommufd(struct vfio_space *s, int iommu_fd,
			    struct mote_err *err);
void vfio_space_close(struct vfio_space *s);

/*
 * A device is now of this space; d stays where it is until it is taken out.
 * Chooses d->log.  iommufd: dev_fd is a device node's (owned), which is bound
 * and attached here and becomes d->fd; type1: the device is open, and its
 * group in the container (vfio_container_add).  Not while tracking.
 */
int vfio_space_add(struct vfio_space *s, struct vfio_dev *d,
		   struct mote_err *err);
int vfio_space_add_node(struct vfio_space *s, struct vfio_dev *d, int dev_fd,
			const char *name, struct mote_err *err);

/* Detach and close a device. */
void vfio_space_remove(struct vfio_space *s, struct vfio_dev *d);

/* Map all slots; see vfio_reach_map. */
int vfio_space_map(struct vfio_space *s, const struct memslot_table *slots,
		   struct mote_err *err);

/*
 * Unmap what lies in [gpa, gpa + size), which cuts no map.  While tracking,
 * bitmap (host pages, from gpa on, overwritten) gets what devices wrote there
 * and nobody was told of: the caller adds it to what it copies.
 */
int vfio_space_unmap(struct vfio_space *s, uint64_t gpa, uint64_t size,
		     uint64_t *bitmap, struct mote_err *err);

/* Start, or stop, all that know what devices write; see enum vfio_log. */
int vfio_space_track(struct vfio_space *s, bool on, struct mote_err *err);

/*
 * Host pages of [gpa, gpa + size), a slot, that devices wrote since the last
 * call (bitmap) and that they may write at any time without a word (sticky:
 * held pins, devices nobody logs, IOMMU-backed groups of type1).  ORed.
 */
int vfio_space_dirty(struct vfio_space *s, uint64_t gpa, uint64_t size,
		     uint64_t *bitmap, struct mote_err *err);
int vfio_space_sticky(struct vfio_space *s, uint64_t gpa, uint64_t size,
		      uint64_t *sticky, struct mote_err *err);

#endif
