/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/dirty.h"

#include "base/map.h"
#include "devices/vfio/space.h"
#include "memory/dirty.h"

static int start(void *opaque, struct mote_err *err)
{
	return vfio_space_track(opaque, true, err);
}

static int stop(void *opaque, struct mote_err *err)
{
	return vfio_space_track(opaque, false, err);
}

static int nothing(void *opaque, struct mote_err *err)
{
	(void)opaque;
	(void)err;
	return 0;
}

static int written(void *opaque, int slot, uint64_t gpa, uint64_t pages,
		   uint64_t *bitmap, enum dirty_class *class,
		   struct mote_err *err)
{
	(void)slot;
	*class = DIRTY_DEVICE;
	return vfio_space_dirty(opaque, gpa, pages * host_page_size(), bitmap,
				err);
}

static int sticky(void *opaque, int slot, uint64_t gpa, uint64_t pages,
		  uint64_t *bitmap, enum dirty_class *class,
		  struct mote_err *err)
{
	(void)slot;
	*class = DIRTY_STICKY;
	return vfio_space_sticky(opaque, gpa, pages * host_page_size(), bitmap,
				 err);
}

int vfio_dirty_add(struct vfio_space *s, struct dirty_tracker *t,
		   struct mote_err *err)
{
	const struct dirty_source first = {.name = "vfio",
					   .start = start,
					   .harvest = written,
					   .stop = stop,
					   .opaque = s};
	const struct dirty_source second = {.name = "vfio-sticky",
					    .start = nothing,
					    .harvest = sticky,
					    .stop = nothing,
					    .opaque = s};
	int ret = dirty_add_source(t, &first, err);

	return ret < 0 ? ret : dirty_add_source(t, &second, err);
}
