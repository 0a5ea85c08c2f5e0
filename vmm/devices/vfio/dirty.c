/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/dirty.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "devices/vfio/container.h"

/* Newer than Debian 12's headers: Linux 6.2, linux/vfio.h. */
#ifndef VFIO_DEVICE_FEATURE_DMA_LOGGING_START
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_START 6
#endif

static int vfio_start(void *opaque, struct mote_err *err)
{
	struct vfio_dirty *v = opaque;

	return vfio_container_track(v->container, true, err);
}

static int vfio_stop(void *opaque, struct mote_err *err)
{
	struct vfio_dirty *v = opaque;

	return vfio_container_track(v->container, false, err);
}

/* Bits of VFIO's page size into bits of host pages. */
static void widen(uint64_t *bitmap, uint64_t pages, const uint64_t *fine,
		  uint64_t per_page)
{
	for (uint64_t i = 0; i < pages * per_page; i++)
		if (bitmap_test(fine, i))
			bitmap_set(bitmap, i / per_page);
}

static int vfio_harvest(void *opaque, int slot, uint64_t gpa, uint64_t pages,
			uint64_t *bitmap, enum dirty_class *class,
			struct mote_err *err)
{
	struct vfio_dirty *v = opaque;
	uint64_t size = pages * host_page_size();
	uint64_t per_page = host_page_size() / v->container->dirty_page_size;
	cleanup_free uint64_t *fine = NULL;
	int ret;

	(void)slot;
	*class = v->class;
	if (per_page == 1)
		return vfio_container_dirty(v->container, gpa, size, bitmap,
					    err);
	if (per_page == 0)
		return err_set(err, EINVAL,
			       "VFIO tracks larger pages than "
			       "the host has");
	fine = calloc(bitmap_words(pages * per_page), sizeof(*fine));
	if (!fine)
		return err_set(err, ENOMEM, "VFIO dirty bitmap");
	ret = vfio_container_dirty(v->container, gpa, size, fine, err);
	if (ret == 0)
		widen(bitmap, pages, fine, per_page);
	return ret;
}

void vfio_dirty_source(struct vfio_dirty *v, struct vfio_container *c,
		       int device_fd, struct dirty_source *src)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
	};

	v->container = c;
	v->class = ioctl(device_fd, VFIO_DEVICE_FEATURE, &probe) == 0
			   ? DIRTY_DEVICE
			   : DIRTY_STICKY;
	*src = (struct dirty_source){
		.name = "vfio",
		.start = vfio_start,
		.harvest = vfio_harvest,
		.stop = vfio_stop,
		.opaque = v,
	};
}
