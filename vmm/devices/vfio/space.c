/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/space.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "devices/vfio/uapi.h"

int vfio_space_open_type1(struct vfio_space *s, int container_fd, int group_fd,
			  struct mote_err *err)
{
	*s = (struct vfio_space){.kind = VFIO_SPACE_TYPE1};
	return vfio_container_open(&s->type1, container_fd, group_fd, err);
}

int vfio_space_open_iommufd(struct vfio_space *s, int iommu_fd,
			    struct mote_err *err)
{
	*s = (struct vfio_space){.kind = VFIO_SPACE_IOMMUFD};
	return vfio_iommufd_open(&s->iommufd, iommu_fd, err);
}

void vfio_space_close(struct vfio_space *s)
{
	if (s->tracking)
		vfio_space_track(s, false, NULL);
	while (s->devs > 0)
		vfio_space_remove(s, s->dev[s->devs - 1]);
	if (s->kind == VFIO_SPACE_TYPE1)
		vfio_container_close(&s->type1);
	else
		vfio_iommufd_close(&s->iommufd);
}

int vfio_space_add(struct vfio_space *s, struct vfio_dev *d,
		   struct mote_err *err)
{
	assert(!s->tracking);
	if (s->devs == VFIO_DEVS_MAX)
		return err_set(err, ENOSPC, "all %d VFIO devices used",
			       VFIO_DEVS_MAX);
	if (d->can_log)
		d->log = VFIO_LOG_DEVICE;
	else if (s->kind == VFIO_SPACE_TYPE1 && s->type1.dirty_page_size &&
		 s->type1.dirty_page_size <= host_page_size())
		d->log = VFIO_LOG_TYPE1;
	s->dev[s->devs++] = d;
	return 0;
}

int vfio_space_add_node(struct vfio_space *s, struct vfio_dev *d, int dev_fd,
			const char *name, struct mote_err *err)
{
	bool logs = false;
	uint32_t id;
	int ret;

	assert(s->kind == VFIO_SPACE_IOMMUFD);
	*d = (struct vfio_dev){.fd = dev_fd, .owned = true};
	ret = vfio_iommufd_bind(&s->iommufd, dev_fd, &id, err);
	if (ret < 0) {
		vfio_dev_close(d);
		return err_wrap(err, ret, "VFIO device %s", name);
	}
	ret = vfio_dev_init(d, dev_fd, true, name, err);
	if (ret < 0)
		return ret;
	ret = vfio_iommufd_attach(&s->iommufd, dev_fd, id, &logs, err);
	d->log = logs ? VFIO_LOG_IOMMU : VFIO_LOG_NONE;
	if (ret == 0)
		ret = vfio_space_add(s, d, err);
	if (ret < 0) {
		vfio_iommufd_detach(dev_fd, NULL);
		vfio_dev_close(d);
		return err_wrap(err, ret, "VFIO device %s", name);
	}
	return 0;
}

void vfio_space_remove(struct vfio_space *s, struct vfio_dev *d)
{
	for (int i = 0; i < s->devs; i++) {
		if (s->dev[i] != d)
			continue;
		s->dev[i] = s->dev[--s->devs];
		if (d->logging)
			vfio_dev_log_stop(d, NULL);
		if (s->kind == VFIO_SPACE_IOMMUFD)
			vfio_iommufd_detach(d->fd, NULL);
		vfio_dev_close(d);
		return;
	}
}

int vfio_space_map(struct vfio_space *s, const struct memslot_table *slots,
		   struct mote_err *err)
{
	s->slots = slots;
	return s->kind == VFIO_SPACE_TYPE1
		       ? vfio_container_map(&s->type1, slots, err)
		       : vfio_iommufd_map(&s->iommufd, slots, err);
}

static bool any(const struct vfio_space *s, enum vfio_log log)
{
	for (int i = 0; i < s->devs; i++)
		if (s->dev[i]->log == log)
			return true;
	return false;
}

/* The part that is no device's: the container, or the page tables. */
static int track_common(struct vfio_space *s, bool on, struct mote_err *err)
{
	if (s->kind == VFIO_SPACE_IOMMUFD)
		return vfio_iommufd_track(&s->iommufd, on, err);
	if (on ? any(s, VFIO_LOG_TYPE1) : s->type1.tracking)
		return vfio_container_track(&s->type1, on, err);
	return 0;
}

static int stop_all(struct vfio_space *s, struct mote_err *err)
{
	int first = track_common(s, false, err);

	s->tracking = false;
	for (int i = 0; i < s->devs; i++) {
		int ret = s->dev[i]->logging
				  ? vfio_dev_log_stop(s->dev[i],
						      first ? NULL : err)
				  : 0;

		first = first ? first : ret;
	}
	return first;
}

int vfio_space_track(struct vfio_space *s, bool on, struct mote_err *err)
{
	int ret;

	if (!on)
		return stop_all(s, err);
	ret = track_common(s, true, err);
	for (int i = 0; ret == 0 && i < s->devs; i++)
		if (s->dev[i]->log == VFIO_LOG_DEVICE)
			ret = vfio_dev_log_start(s->dev[i], s->slots, err);
	if (ret < 0)
		stop_all(s, NULL);
	s->tracking = ret == 0;
	return ret;
}

/*
 * What the container, or the page tables, know of the range, added to bitmap
 * (NULL: not asked) as host pages; unmap also takes the range out.
 */
static int ask_common(struct vfio_space *s, uint64_t gpa, uint64_t size,
		      uint64_t *bitmap, bool unmap, struct mote_err *err)
{
	bool type1 = s->kind == VFIO_SPACE_TYPE1;
	uint64_t page = type1 && s->type1.dirty_page_size
				? s->type1.dirty_page_size
				: host_page_size();
	uint64_t n = size / page, per_page = host_page_size() / page;
	cleanup_free uint64_t *fine = calloc(bitmap_words(n) + 1, 8);
	int ret;

	if (!fine)
		return err_set(err, ENOMEM, "VFIO dirty bitmap");
	if (unmap)
		ret = type1 ? vfio_container_unmap(&s->type1, gpa, size, fine,
						   err)
			    : vfio_iommufd_unmap(&s->iommufd, gpa, size, fine,
						 err);
	else if (type1)
		ret = s->type1.tracking ? vfio_container_dirty(&s->type1, gpa,
							       size, fine, err)
					: 0;
	else
		ret = vfio_iommufd_dirty(&s->iommufd, gpa, size, fine, err);
	for (uint64_t i = 0; bitmap && (i = bitmap_next(fine, i, n)) < n; i++)
		bitmap_set(bitmap, i / per_page);
	return ret;
}

static int ask_devices(struct vfio_space *s, uint64_t gpa, uint64_t size,
		       uint64_t *bitmap, struct mote_err *err)
{
	int ret = 0;

	for (int i = 0; ret == 0 && i < s->devs; i++)
		if (s->dev[i]->logging)
			ret = vfio_dev_log_read(s->dev[i], gpa, size, bitmap,
						err);
	return ret;
}

int vfio_space_dirty(struct vfio_space *s, uint64_t gpa, uint64_t size,
		     uint64_t *bitmap, struct mote_err *err)
{
	int ret = ask_common(s, gpa, size, bitmap, false, err);

	return ret < 0 ? ret : ask_devices(s, gpa, size, bitmap, err);
}

/*
 * After a read, type1 forgets all but the pins that are held; an IOMMU-backed
 * group sets every page again.  So what a second read has, with nothing done
 * between, is what will be dirty as long as things stay as they are.
 */
int vfio_space_sticky(struct vfio_space *s, uint64_t gpa, uint64_t size,
		      uint64_t *sticky, struct mote_err *err)
{
	bool unknown = any(s, VFIO_LOG_NONE);

	for (uint64_t i = 0; unknown && i < size / host_page_size(); i++)
		bitmap_set(sticky, i);
	return unknown || s->kind != VFIO_SPACE_TYPE1
		       ? 0
		       : ask_common(s, gpa, size, sticky, false, err);
}

int vfio_space_unmap(struct vfio_space *s, uint64_t gpa, uint64_t size,
		     uint64_t *bitmap, struct mote_err *err)
{
	int ret = 0;

	assert(!s->tracking || bitmap);
	if (bitmap)
		memset(bitmap, 0, bitmap_words(size / host_page_size()) * 8);
	if (s->tracking)
		ret = ask_devices(s, gpa, size, bitmap, err);
	if (ret == 0 && s->tracking && any(s, VFIO_LOG_NONE))
		ret = vfio_space_sticky(s, gpa, size, bitmap, err);
	return ret < 0 ? ret : ask_common(s, gpa, size, bitmap, true, err);
}
