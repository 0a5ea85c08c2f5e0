/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reach.h - which addresses devices can use, and which are mapped for them.
 *
 * Both kinds of address space (container.h, iommufd.h) keep one.  iova = gpa
 * always.  Threads: the VM thread.  Ranges are inclusive, as the kernel's.
 */
#ifndef VMM_DEVICES_VFIO_REACH_H
#define VMM_DEVICES_VFIO_REACH_H

#include <stdbool.h>
#include <stdint.h>

struct memslot_table;
struct mote_err;

#define VFIO_MAPS_MAX	64
#define VFIO_RANGES_MAX 64

struct vfio_range {
	uint64_t first, last;
};

struct vfio_reach {
	struct vfio_range usable[VFIO_RANGES_MAX];
	int usables;	  /* 0: the kernel did not say */
	bool counted;	  /* the kernel limits the maps: */
	uint32_t avail;	  /* how many more it takes */
	uint64_t map_max; /* no map is larger (0: no limit) */
	struct vfio_range map[VFIO_MAPS_MAX];
	int maps;
};

struct vfio_reach_ops {
	int (*map)(void *opaque, uint64_t iova, uint64_t size, void *addr,
		   struct mote_err *err);
	int (*unmap)(void *opaque, uint64_t iova, uint64_t size,
		     uint64_t *bitmap, struct mote_err *err);
};

/*
 * Map every slot; a failure leaves what was mapped before.  -ERANGE: a slot
 * lies where no device can reach (the message has the gap); -ENOSPC: more
 * maps than the kernel takes.
 */
int vfio_reach_map(struct vfio_reach *r, const struct memslot_table *slots,
		   const struct vfio_reach_ops *ops, void *opaque,
		   struct mote_err *err);

/*
 * Unmap every map within [iova, iova + size), one at a time; bitmap (or NULL)
 * is handed through at the right word.  -EINVAL: the range cuts a map.
 */
int vfio_reach_unmap(struct vfio_reach *r, uint64_t iova, uint64_t size,
		     uint64_t *bitmap, uint64_t page_size,
		     const struct vfio_reach_ops *ops, void *opaque,
		     struct mote_err *err);

/* Unmap everything; failures are passed over: the descriptors go next. */
void vfio_reach_clear(struct vfio_reach *r, const struct vfio_reach_ops *ops,
		      void *opaque);

/* -EINVAL: a map lies partly in the range, or the range is none. */
int vfio_reach_cut(const struct vfio_reach *r, uint64_t iova, uint64_t size,
		   struct mote_err *err);

#endif
