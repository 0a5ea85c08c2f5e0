/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/container.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "devices/vfio/uapi.h"

#define INFO_MAX 4096

static void read_ranges(struct vfio_reach *r, const uint8_t *buf, uint32_t at,
			uint32_t size)
{
	struct vfio_iommu_type1_info_cap_iova_range head;
	struct vfio_iova_range range;

	if (!num_within(at, sizeof(head), size))
		return;
	memcpy(&head, buf + at, sizeof(head));
	at += sizeof(head);
	for (uint32_t i = 0; i < head.nr_iovas && i < VFIO_RANGES_MAX &&
			     num_within(at, sizeof(range), size);
	     i++, at += sizeof(range)) {
		memcpy(&range, buf + at, sizeof(range));
		r->usable[r->usables].first = range.start;
		r->usable[r->usables++].last = range.end;
	}
}

static void read_cap(struct vfio_container *c, const uint8_t *buf, uint16_t id,
		     uint32_t at, uint32_t size)
{
	struct vfio_iommu_type1_info_cap_migration m;
	struct vfio_iommu_type1_info_dma_avail avail;

	if (id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION &&
	    num_within(at, sizeof(m), size)) {
		memcpy(&m, buf + at, sizeof(m));
		/* The smallest page is the one that must be used. */
		c->dirty_page_size = m.pgsize_bitmap & -m.pgsize_bitmap;
		c->dirty_bitmap_max = m.max_dirty_bitmap_size;
		c->reach.map_max =
			c->dirty_bitmap_max / 8 * 64 * c->dirty_page_size;
	} else if (id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL &&
		   num_within(at, sizeof(avail), size)) {
		memcpy(&avail, buf + at, sizeof(avail));
		c->reach.counted = true;
		c->reach.avail = avail.avail;
	} else if (id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
		read_ranges(&c->reach, buf, at, size);
	}
}

/* Walk the info chain; offsets are checked. */
static void read_info(struct vfio_container *c, const uint8_t *buf,
		      uint32_t size)
{
	const struct vfio_iommu_type1_info *info = (const void *)buf;
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	for (int i = 0; at && i < 32; i++) {
		struct vfio_info_cap_header head;

		if (!num_within(at, sizeof(head), size))
			return;
		memcpy(&head, buf + at, sizeof(head));
		read_cap(c, buf, head.id, at, size);
		at = head.next;
	}
}

static int get_info(struct vfio_container *c, struct mote_err *err)
{
	_Alignas(8) uint8_t buf[INFO_MAX] = {0};
	struct vfio_iommu_type1_info *info = (void *)buf;
	int ret;

	info->argsz = sizeof(buf);
	ret = VFIO_CALL(c->fd, VFIO_IOMMU_GET_INFO, info, err);
	if (ret < 0)
		return ret;
	c->reach.usables = 0; /* the last group that had a gap may be gone */
	read_info(c, buf, (uint32_t)num_min(info->argsz, sizeof(buf)));
	return 0;
}

static int set_container(struct vfio_container *c, int group_fd,
			 struct mote_err *err)
{
	struct vfio_group_status st = {.argsz = sizeof(st)};
	int ret = VFIO_CALL(group_fd, VFIO_GROUP_GET_STATUS, &st, err);

	if (ret < 0)
		return ret;
	if (!(st.flags & VFIO_GROUP_FLAGS_VIABLE))
		return err_set(err, EBUSY,
			       "IOMMU group is not viable: a device "
			       "of it is bound to a host driver");
	return VFIO_CALL(group_fd, VFIO_GROUP_SET_CONTAINER, &c->fd, err);
}

int vfio_container_add(struct vfio_container *c, int group_fd,
		       struct mote_err *err)
{
	int ret = c->groups == VFIO_GROUPS_MAX
			  ? err_set(err, ENOSPC, "all %d IOMMU groups used",
				    VFIO_GROUPS_MAX)
			  : set_container(c, group_fd, err);

	if (ret < 0) {
		fd_close(group_fd);
		return ret;
	}
	c->group_fd[c->groups++] = group_fd;
	/* The first group brings the IOMMU; each may take addresses away. */
	if (c->groups == 1)
		ret = VFIO_CALL(c->fd, VFIO_SET_IOMMU,
				(void *)(uintptr_t)VFIO_TYPE1v2_IOMMU, err);
	if (ret >= 0)
		ret = get_info(c, err);
	if (ret < 0)
		fd_clear(&c->group_fd[--c->groups]);
	return ret < 0 ? ret : 0;
}

int vfio_container_open(struct vfio_container *c, int container_fd,
			int group_fd, struct mote_err *err)
{
	int ret;

	*c = (struct vfio_container){.fd = container_fd};
	ret = VFIO_CALL(c->fd, VFIO_GET_API_VERSION, NULL, err);
	if (ret >= 0 && ret != VFIO_API_VERSION)
		ret = err_set(err, ENODEV, "VFIO API version %d, expected %d",
			      ret, VFIO_API_VERSION);
	if (ret >= 0 && vfio_ioctl(c->fd, VFIO_CHECK_EXTENSION,
				   (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU) <= 0)
		ret = err_set(err, ENODEV,
			      "this host offers no type1 v2 IOMMU");
	if (ret < 0) {
		fd_close(group_fd);
	} else {
		ret = vfio_container_add(c, group_fd, err);
	}
	if (ret < 0)
		vfio_container_close(c);
	return ret;
}

int vfio_container_remove(struct vfio_container *c, int group_fd,
			  struct mote_err *err)
{
	int ret;

	for (int i = 0; i < c->groups; i++) {
		if (c->group_fd[i] != group_fd || c->groups == 1)
			continue;
		ret = VFIO_CALL(group_fd, VFIO_GROUP_UNSET_CONTAINER, NULL,
				err);
		if (ret < 0)
			return ret;
		fd_close(group_fd);
		c->group_fd[i] = c->group_fd[--c->groups];
		return get_info(c, err);
	}
	return err_set(err, EINVAL, "no group to take out of the container");
}

static int range_err(struct mote_err *err, int ret, const char *call,
		     uint64_t iova, uint64_t size, const char *more)
{
	return err_set(err, -ret, "%s 0x%" PRIx64 "+0x%" PRIx64 ": %s%s", call,
		       iova, size, strerror(-ret), more);
}

static int map_one(void *opaque, uint64_t iova, uint64_t size, void *addr,
		   struct mote_err *err)
{
	struct vfio_container *c = opaque;
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)addr,
		.iova = iova,
		.size = size,
	};
	int ret = vfio_ioctl(c->fd, VFIO_IOMMU_MAP_DMA, &m);

	return ret < 0 ? range_err(err, ret, "VFIO_IOMMU_MAP_DMA", iova, size,
				   ret == -ENOMEM ? " (all of RAM is pinned: "
						    "see RLIMIT_MEMLOCK)"
						  : "")
		       : 0;
}

static int unmap_one(void *opaque, uint64_t iova, uint64_t size,
		     uint64_t *bitmap, struct mote_err *err)
{
	struct vfio_container *c = opaque;
	struct {
		struct vfio_iommu_type1_dma_unmap head;
		struct vfio_bitmap bitmap;
	} u = {.head.argsz = sizeof(u), .head.iova = iova, .head.size = size};
	int ret;

	if (bitmap) {
		size_t bytes = bitmap_words(size / c->dirty_page_size) * 8;

		memset(bitmap, 0, bytes);
		u.head.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
		u.bitmap.pgsize = c->dirty_page_size;
		u.bitmap.size = bytes;
		u.bitmap.data = (void *)bitmap;
	} else {
		u.head.argsz = sizeof(u.head);
	}
	ret = vfio_ioctl(c->fd, VFIO_IOMMU_UNMAP_DMA, &u.head);
	return ret < 0 ? range_err(err, ret, "VFIO_IOMMU_UNMAP_DMA", iova, size,
				   "")
		       : 0;
}

static const struct vfio_reach_ops ops = {.map = map_one, .unmap = unmap_one};

int vfio_container_map(struct vfio_container *c,
		       const struct memslot_table *slots, struct mote_err *err)
{
	int ret = get_info(c, err); /* how many maps are left */

	return ret < 0 ? ret : vfio_reach_map(&c->reach, slots, &ops, c, err);
}

int vfio_container_unmap(struct vfio_container *c, uint64_t iova, uint64_t size,
			 uint64_t *bitmap, struct mote_err *err)
{
	assert(!c->tracking || bitmap);
	return vfio_reach_unmap(&c->reach, iova, size,
				c->tracking ? bitmap : NULL, c->dirty_page_size,
				&ops, c, err);
}

void vfio_container_close(struct vfio_container *c)
{
	if (c->tracking)
		vfio_container_track(c, false, NULL);
	vfio_reach_clear(&c->reach, &ops, c);
	/* The groups first: they hold the container's IOMMU. */
	while (c->groups > 0)
		fd_clear(&c->group_fd[--c->groups]);
	fd_clear(&c->fd);
}

int vfio_container_track(struct vfio_container *c, bool on,
			 struct mote_err *err)
{
	struct vfio_iommu_type1_dirty_bitmap d = {
		.argsz = sizeof(d),
		/* Exactly one flag a call: the kernel insists. */
		.flags = on ? VFIO_IOMMU_DIRTY_PAGES_FLAG_START
			    : VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
	};
	int ret;

	if (!c->dirty_page_size)
		return err_set(err, EOPNOTSUPP,
			       "this IOMMU does not track dirty pages");
	ret = vfio_ioctl(c->fd, VFIO_IOMMU_DIRTY_PAGES, &d);
	/* Also after a STOP that failed: it is not tried a second time. */
	c->tracking = on && ret == 0;
	if (ret < 0)
		return err_set(err, -ret, "VFIO_IOMMU_DIRTY_PAGES %s: %s",
			       on ? "START" : "STOP", strerror(-ret));
	return 0;
}

static int get_bitmap(struct vfio_container *c, uint64_t iova, uint64_t size,
		      uint64_t *bitmap, struct mote_err *err)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} d = {
		.head.argsz = sizeof(d),
		.head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		.get.iova = iova,
		.get.size = size,
		.get.bitmap.pgsize = c->dirty_page_size,
		.get.bitmap.size = bitmap_words(size / c->dirty_page_size) * 8,
		.get.bitmap.data = (void *)bitmap,
	};
	int ret = vfio_ioctl(c->fd, VFIO_IOMMU_DIRTY_PAGES, &d.head);

	return ret < 0 ? range_err(err, ret, "VFIO_IOMMU_DIRTY_PAGES GET", iova,
				   size, "")
		       : 0;
}

int vfio_container_dirty(struct vfio_container *c, uint64_t iova, uint64_t size,
			 uint64_t *bitmap, struct mote_err *err)
{
	uint64_t page = c->dirty_page_size, bit;
	int ret;

	if (!page || size % page || iova % page)
		return err_set(err, EINVAL, "dirty bitmap: bad range");
	ret = vfio_reach_cut(&c->reach, iova, size, err);
	if (ret < 0)
		return ret;
	memset(bitmap, 0, bitmap_words(size / page) * 8);
	/* Map by map: each fits the kernel's limit, holes are not asked for. */
	for (int i = 0; ret == 0 && i < c->reach.maps; i++) {
		const struct vfio_range *m = &c->reach.map[i];

		if (m->first < iova || m->first - iova >= size)
			continue;
		bit = (m->first - iova) / page;
		if (bit % 64)
			return err_set(err, EINVAL,
				       "the DMA map at 0x%" PRIx64
				       " begins within a word of the bitmap",
				       m->first);
		ret = get_bitmap(c, m->first, m->last - m->first + 1,
				 bitmap + bit / 64, err);
	}
	return ret;
}
