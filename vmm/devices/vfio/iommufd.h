/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iommufd.h - an address space of iommufd: what devices may reach by DMA.
 *
 * Source: linux/iommufd.h, Documentation/userspace-api/iommufd.rst.  Threads:
 * the VM thread.  /dev/iommu is opened elsewhere and handed in; devices are
 * device nodes (/dev/vfio/devices/vfioN).  Mapping pins guest RAM once a
 * device is attached.  Devices are closed before it.
 */
#ifndef VMM_DEVICES_VFIO_IOMMUFD_H
#define VMM_DEVICES_VFIO_IOMMUFD_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vfio/reach.h"

#define VFIO_HWPTS_MAX 8

struct vfio_iommufd {
	int fd; /* owned */
	uint32_t ioas;
	uint32_t hwpt[VFIO_HWPTS_MAX]; /* page tables that log dirty pages */
	int hwpts, tracking;	       /* the first so many of them log now */
	struct vfio_reach reach;
};

/* Allocate an address space; the descriptor is taken over, always. */
int vfio_iommufd_open(struct vfio_iommufd *f, int iommu_fd,
		      struct mote_err *err);
void vfio_iommufd_close(struct vfio_iommufd *f);

/* Make a device node's descriptor usable: *devid is its number here. */
int vfio_iommufd_bind(struct vfio_iommufd *f, int dev_fd, uint32_t *devid,
		      struct mote_err *err);

/*
 * Let a bound device reach what is mapped.  *logs: its IOMMU logs what it
 * writes, by a page table with dirty bits; where there is none (or it works
 * without an IOMMU) it is attached all the same.  Detached by the caller, also
 * after a failure.
 */
int vfio_iommufd_attach(struct vfio_iommufd *f, int dev_fd, uint32_t devid,
			bool *logs, struct mote_err *err);
int vfio_iommufd_detach(int dev_fd, struct mote_err *err);

/* As vfio_container_map and _unmap. */
int vfio_iommufd_map(struct vfio_iommufd *f, const struct memslot_table *slots,
		     struct mote_err *err);
int vfio_iommufd_unmap(struct vfio_iommufd *f, uint64_t iova, uint64_t size,
		       uint64_t *bitmap, struct mote_err *err);

/* On: every page table that can logs, from nothing on.  Off: none. */
int vfio_iommufd_track(struct vfio_iommufd *f, bool on, struct mote_err *err);

/*
 * Pages of the host's size that were written since the last call, in all page
 * tables; bitmap is overwritten.  The range must be mapped without a hole.
 */
int vfio_iommufd_dirty(struct vfio_iommufd *f, uint64_t iova, uint64_t size,
		       uint64_t *bitmap, struct mote_err *err);

#endif
