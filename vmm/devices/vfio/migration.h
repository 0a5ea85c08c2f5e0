/* SPDX-License-Identifier: Apache-2.0 */
/*
 * migration.h - the state of VFIO devices: out as bytes, and in again.
 *
 * Migration v2 (linux/vfio.h, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE; Linux
 * 5.18, pre-copy 6.2).  A blob belongs to one driver's version; what is in it
 * is the kernel's to judge, sizes and errors of each read and write are
 * judged here.  Order of a stop: vCPUs, every device to P2P, every device to
 * STOP_COPY, the last dirty pages, the blobs.  A failure brings a device back
 * to RUNNING, by a reset where nothing else does (what it was doing is lost
 * then, and said).  Threads: the VM thread; reads and writes may block.
 */
#ifndef VMM_DEVICES_VFIO_MIGRATION_H
#define VMM_DEVICES_VFIO_MIGRATION_H

#include <stddef.h>
#include <stdint.h>

#include "devices/vfio/uapi.h"

struct mote_err;
struct vfio_dev;

struct vfio_mig {
	struct vfio_dev *dev;
	int data_fd; /* -1 when the device is neither saved nor restored */
	uint8_t *blob;
	size_t len, cap;
	size_t max; /* a blob is never larger: -EFBIG */
};

/* -ENOTSUP where the device has no migration v2. */
int vfio_mig_init(struct vfio_mig *m, struct vfio_dev *dev, size_t max,
		  struct mote_err *err);
void vfio_mig_fini(struct vfio_mig *m); /* does not touch the device */

/* The state it is in now (enum vfio_mig_state), or -errno. */
int vfio_mig_state(struct vfio_mig *m);

/*
 * Save while it runs: the first call enters PRE_COPY; each takes what there
 * is.  *left: bytes still to come (VFIO_MIG_GET_PRECOPY_INFO).  Of a device
 * without pre-copy nothing is done: *left is what it says that its state
 * takes, or 0.
 */
int vfio_mig_precopy(struct vfio_mig *m, uint64_t *left, struct mote_err *err);

/*
 * Stop n devices: all to P2P, then all to STOP_COPY; from then on none writes
 * to memory, and the last dirty pages are asked for.  A failure leaves all
 * running.  -ENOTSUP: several devices and one of them cannot P2P.
 */
int vfio_mig_stop(struct vfio_mig *m, int n, struct mote_err *err);

/*
 * After vfio_mig_stop: read every blob to its end; all are in STOP then.
 * After a failure all run again.
 */
int vfio_mig_take(struct vfio_mig *m, int n, struct mote_err *err);

/*
 * From where it is back to RUNNING: after a save that is given up, or once a
 * restored machine runs.  1: a reset alone brought it there, out of ERROR for
 * one, and what it was doing is lost.
 */
int vfio_mig_run(struct vfio_mig *m, struct mote_err *err);

/*
 * Give a device the state that another one saved; it is in STOP then.  After
 * a failure it was reset and runs, with no state of anybody's.
 */
int vfio_mig_load(struct vfio_mig *m, const void *blob, size_t len,
		  struct mote_err *err);

#endif
