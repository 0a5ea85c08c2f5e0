/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container.h - a VFIO container (type1 v2): what devices may reach by DMA.
 *
 * Source: linux/vfio.h.  Threads: the VM thread.  Everything is opened by
 * the launcher or the embedder and handed in.  Mapping pins guest RAM.
 */
#ifndef VMM_DEVICES_VFIO_CONTAINER_H
#define VMM_DEVICES_VFIO_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vfio/reach.h"

#define VFIO_GROUPS_MAX 8

struct vfio_container {
	int fd;			       /* owned */
	int group_fd[VFIO_GROUPS_MAX]; /* owned */
	int groups;
	/* From the info chain's migration capability; 0: cannot track. */
	uint64_t dirty_page_size;
	uint64_t dirty_bitmap_max; /* bytes of one bitmap */
	struct vfio_reach reach;
	bool tracking;
};

/*
 * Put the group into the container and read what the IOMMU can do.  Both
 * descriptors are taken over, also by a failure.  -EBUSY: the group is not
 * viable (one of its devices belongs to another driver).
 */
int vfio_container_open(struct vfio_container *c, int container_fd,
			int group_fd, struct mote_err *err);

/*
 * One more group; taken over, also by a failure.  What is mapped is mapped
 * for it too; -EINVAL of the kernel: its IOMMU cannot reach that.
 */
int vfio_container_add(struct vfio_container *c, int group_fd,
		       struct mote_err *err);

/*
 * Take a group out (its devices are closed) and close it; not the last one.
 * While tracking, one more read of the bitmap is as it was with the group.
 */
int vfio_container_remove(struct vfio_container *c, int group_fd,
			  struct mote_err *err);

/* Stops tracking, unmaps everything, closes.  Once more is fine. */
void vfio_container_close(struct vfio_container *c);

/*
 * Let devices reach all guest RAM, iova = gpa; see vfio_reach_map.  No map
 * is larger than what the kernel reports at once.
 */
int vfio_container_map(struct vfio_container *c,
		       const struct memslot_table *slots, struct mote_err *err);

/*
 * Unmap what is mapped in [iova, iova + size).  While tracking, bitmap is to
 * be given: it gets (bits of iova on, overwritten) what the unmap would lose.
 */
int vfio_container_unmap(struct vfio_container *c, uint64_t iova, uint64_t size,
			 uint64_t *bitmap, struct mote_err *err);

/* VFIO_IOMMU_DIRTY_PAGES START and STOP. */
int vfio_container_track(struct vfio_container *c, bool on,
			 struct mote_err *err);

/*
 * GET_BITMAP of [iova, iova + size), one bit per page of dirty_page_size;
 * bitmap is overwritten.  The range may hold several maps but must not cut
 * one; each map is asked for by itself.
 */
int vfio_container_dirty(struct vfio_container *c, uint64_t iova, uint64_t size,
			 uint64_t *bitmap, struct mote_err *err);

#endif
