/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "devices/vfio/uapi.h"
#include "memory/memslot.h"

static bool has(int fd, uint32_t feature)
{
	return vfio_feature(fd, VFIO_DEVICE_FEATURE_PROBE | feature, NULL, 0) ==
	       0;
}

int vfio_dev_init(struct vfio_dev *d, int fd, bool owned, const char *name,
		  struct mote_err *err)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	struct vfio_device_feature_migration m = {0};
	int ret;

	*d = (struct vfio_dev){.fd = fd, .owned = owned, .log = VFIO_LOG_NONE};
	snprintf(d->name, sizeof(d->name), "%s", name);
	ret = VFIO_CALL(fd, VFIO_DEVICE_GET_INFO, &info, err);
	if (ret < 0) {
		vfio_dev_close(d);
		return err_wrap(err, ret, "VFIO device %s", name);
	}
	d->flags = info.flags;
	if (vfio_feature(
		    fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION,
		    &m, sizeof(m)) == 0)
		d->states = m.flags;
	d->can_log = has(fd, VFIO_DEVICE_FEATURE_SET |
				     VFIO_DEVICE_FEATURE_DMA_LOGGING_START);
	return 0;
}

int vfio_dev_open(struct vfio_dev *d, int group_fd, const char *name,
		  struct mote_err *err)
{
	int fd = vfio_ioctl(group_fd, VFIO_GROUP_GET_DEVICE_FD, (void *)name);

	if (fd < 0) {
		*d = (struct vfio_dev){.fd = -1};
		return err_set(err, -fd, "VFIO device %s: %s", name,
			       strerror(-fd));
	}
	return vfio_dev_init(d, fd, true, name, err);
}

void vfio_dev_close(struct vfio_dev *d)
{
	if (d->logging)
		vfio_dev_log_stop(d, NULL);
	if (d->owned)
		fd_clear(&d->fd);
	d->fd = -1;
}

int vfio_dev_reset(struct vfio_dev *d, struct mote_err *err)
{
	int ret = VFIO_CALL(d->fd, VFIO_DEVICE_RESET, NULL, err);

	/* Asked first: mtty resets, and does not say so in its flags. */
	if (ret < 0 && !(d->flags & VFIO_DEVICE_FLAGS_RESET))
		return err_set(err, ENOTSUP, "VFIO device %s: no reset",
			       d->name);
	return ret < 0 ? err_wrap(err, ret, "VFIO device %s", d->name) : 0;
}

/* struct vfio_device_feature_dma_logging_range, by a shorter name. */
struct log_range {
	uint64_t iova, length;
};

static int log_start(struct vfio_dev *d, struct log_range *range, int n)
{
	struct vfio_device_feature_dma_logging_control c = {
		.page_size = host_page_size(),
		.num_ranges = (uint32_t)n,
		.ranges = (uintptr_t)range,
	};

	return vfio_feature(d->fd,
			    VFIO_DEVICE_FEATURE_SET |
				    VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
			    &c, sizeof(c));
}

/* The slots by address; those that touch become one. */
static int log_ranges(const struct memslot_table *slots,
		      struct log_range *range)
{
	int n = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &slots->slot[i];
		int at = n;

		if (!s->ram.addr)
			continue;
		for (; at > 0 && range[at - 1].iova > s->gpa; at--)
			range[at] = range[at - 1];
		range[at] = (struct log_range){.iova = s->gpa,
					       .length = s->ram.size};
		n++;
	}
	for (int i = 1; i < n;) {
		if (range[i - 1].iova + range[i - 1].length != range[i].iova) {
			i++;
			continue;
		}
		range[i - 1].length += range[i].length;
		memmove(&range[i], &range[i + 1],
			(size_t)(--n - i) * sizeof(*range));
	}
	return n;
}

static int log_err(struct vfio_dev *d, int ret, const char *what,
		   struct mote_err *err)
{
	return ret < 0 ? err_set(err, -ret,
				 "VFIO device %s: DMA_LOGGING_%s: %s", d->name,
				 what, strerror(-ret))
		       : 0;
}

int vfio_dev_log_start(struct vfio_dev *d, const struct memslot_table *slots,
		       struct mote_err *err)
{
	struct log_range range[MEMSLOT_MAX];
	int n = log_ranges(slots, range);
	int ret = log_start(d, range, n);

	/* mlx5, for one, has few ranges and says so by one of these. */
	if (n > 1 && (ret == -E2BIG || ret == -ENOSPC || ret == -EOPNOTSUPP)) {
		range[0].length =
			range[n - 1].iova + range[n - 1].length - range[0].iova;
		ret = log_start(d, range, 1);
	}
	d->logging = ret == 0;
	return log_err(d, ret, "START", err);
}

int vfio_dev_log_stop(struct vfio_dev *d, struct mote_err *err)
{
	d->logging = false;
	return log_err(
		d,
		vfio_feature(d->fd,
			     VFIO_DEVICE_FEATURE_SET |
				     VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
			     NULL, 0),
		"STOP", err);
}

int vfio_dev_log_read(struct vfio_dev *d, uint64_t iova, uint64_t size,
		      uint64_t *bitmap, struct mote_err *err)
{
	struct vfio_device_feature_dma_logging_report r = {
		.iova = iova,
		.length = size,
		.page_size = host_page_size(),
		.bitmap = (uintptr_t)bitmap,
	};

	return log_err(
		d,
		vfio_feature(d->fd,
			     VFIO_DEVICE_FEATURE_GET |
				     VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
			     &r, sizeof(r)),
		"REPORT", err);
}
