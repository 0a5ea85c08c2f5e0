/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - a VFIO device: what it can do, and who tells what it writes.
 *
 * Source: linux/vfio.h.  Threads: the VM thread.  The descriptor comes from a
 * group or is a device node; closing order: devices, then their space.
 */
#ifndef VMM_DEVICES_VFIO_DEVICE_H
#define VMM_DEVICES_VFIO_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct memslot_table;
struct mote_err;

/* Who knows which pages the device wrote; the first that there is. */
enum vfio_log {
	VFIO_LOG_DEVICE, /* itself: VFIO_DEVICE_FEATURE_DMA_LOGGING_* */
	VFIO_LOG_IOMMU,	 /* its IOMMU: page tables of iommufd */
	VFIO_LOG_TYPE1,	 /* the container: VFIO_IOMMU_DIRTY_PAGES */
	VFIO_LOG_NONE,	 /* nobody: every page is always dirty */
};

struct vfio_dev {
	int fd;
	bool owned;	   /* vfio_dev_close closes fd */
	char name[64];	   /* for messages */
	uint32_t flags;	   /* VFIO_DEVICE_FLAGS_* */
	uint64_t states;   /* VFIO_MIGRATION_*; 0: its state cannot be moved */
	bool can_log;	   /* DMA logging of its own */
	bool logging;	   /* it does now */
	enum vfio_log log; /* chosen by vfio_space_add */
};

/* Take device NAME (0000:00:05.0, an mdev's uuid) of a group. */
int vfio_dev_open(struct vfio_dev *d, int group_fd, const char *name,
		  struct mote_err *err);

/*
 * A descriptor that is open (of a group, or bound to an iommufd): read what
 * the device can do.  owned: close takes it along, as does a failure.
 */
int vfio_dev_init(struct vfio_dev *d, int fd, bool owned, const char *name,
		  struct mote_err *err);
void vfio_dev_close(struct vfio_dev *d); /* stops its logging */

/* -ENOTSUP where the device has no reset. */
int vfio_dev_reset(struct vfio_dev *d, struct mote_err *err);

/*
 * DMA logging of all slots by the device itself.  Slots that touch are one
 * range to it; a device that has too few ranges gets one for all.
 */
int vfio_dev_log_start(struct vfio_dev *d, const struct memslot_table *slots,
		       struct mote_err *err);
int vfio_dev_log_stop(struct vfio_dev *d, struct mote_err *err);

/* OR host pages written since the last call into bitmap, and forget them. */
int vfio_dev_log_read(struct vfio_dev *d, uint64_t iova, uint64_t size,
		      uint64_t *bitmap, struct mote_err *err);

#endif
