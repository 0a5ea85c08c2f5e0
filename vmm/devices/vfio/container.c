/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/container.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "memory/memslot.h"

#define INFO_MAX 4096

static int call(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

/* Find the migration capability in the info chain; offsets are checked. */
static void read_info(struct vfio_container *c, const uint8_t *buf,
		      uint32_t size)
{
	const struct vfio_iommu_type1_info *info = (const void *)buf;
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	for (int i = 0; at && i < 32; i++) {
		struct vfio_info_cap_header head;
		struct vfio_iommu_type1_info_cap_migration m;

		if (!num_within(at, sizeof(head), size))
			return;
		memcpy(&head, buf + at, sizeof(head));
		if (head.id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION &&
		    num_within(at, sizeof(m), size)) {
			memcpy(&m, buf + at, sizeof(m));
			/* The smallest page is the one that must be used. */
			c->dirty_page_size = m.pgsize_bitmap & -m.pgsize_bitmap;
			c->dirty_bitmap_max = m.max_dirty_bitmap_size;
		}
		at = head.next;
	}
}

static int get_info(struct vfio_container *c, struct mote_err *err)
{
	_Alignas(8) uint8_t buf[INFO_MAX] = {0};
	struct vfio_iommu_type1_info *info = (void *)buf;
	int ret;

	info->argsz = sizeof(buf);
	ret = call(c->fd, VFIO_IOMMU_GET_INFO, info);
	if (ret < 0)
		return err_set(err, -ret, "VFIO_IOMMU_GET_INFO: %s",
			       strerror(-ret));
	read_info(c, buf, (uint32_t)num_min(info->argsz, sizeof(buf)));
	return 0;
}

static int attach(struct vfio_container *c, struct mote_err *err)
{
	struct vfio_group_status st = {.argsz = sizeof(st)};
	int ret = call(c->fd, VFIO_GET_API_VERSION, NULL);

	if (ret != VFIO_API_VERSION)
		return err_set(err, ENODEV, "VFIO API version %d, expected %d",
			       ret, VFIO_API_VERSION);
	if (call(c->fd, VFIO_CHECK_EXTENSION,
		 (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU) <= 0)
		return err_set(err, ENODEV,
			       "this host offers no type1 v2 "
			       "IOMMU");
	ret = call(c->group_fd, VFIO_GROUP_GET_STATUS, &st);
	if (ret < 0)
		return err_set(err, -ret, "VFIO_GROUP_GET_STATUS: %s",
			       strerror(-ret));
	if (!(st.flags & VFIO_GROUP_FLAGS_VIABLE))
		return err_set(err, EBUSY,
			       "IOMMU group is not viable: a device "
			       "of it is bound to a host driver");
	ret = call(c->group_fd, VFIO_GROUP_SET_CONTAINER, &c->fd);
	if (ret < 0)
		return err_set(err, -ret, "VFIO_GROUP_SET_CONTAINER: %s",
			       strerror(-ret));
	ret = call(c->fd, VFIO_SET_IOMMU,
		   (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU);
	if (ret < 0)
		return err_set(err, -ret, "VFIO_SET_IOMMU: %s", strerror(-ret));
	return get_info(c, err);
}

int vfio_container_open(struct vfio_container *c, int container_fd,
			int group_fd, struct mote_err *err)
{
	int ret;

	memset(c, 0, sizeof(*c));
	c->fd = container_fd;
	c->group_fd = group_fd;
	ret = attach(c, err);
	if (ret < 0)
		vfio_container_close(c);
	return ret;
}

static int unmap(struct vfio_container *c, int i)
{
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u),
		.iova = c->map[i].iova,
		.size = c->map[i].size,
	};

	return call(c->fd, VFIO_IOMMU_UNMAP_DMA, &u);
}

void vfio_container_close(struct vfio_container *c)
{
	if (c->tracking)
		vfio_container_track(c, false, NULL);
	while (c->maps > 0)
		unmap(c, --c->maps);
	/* The group first: it holds the container's IOMMU. */
	fd_clear(&c->group_fd);
	fd_clear(&c->fd);
}

static int map_one(struct vfio_container *c, const struct memslot *s,
		   struct mote_err *err)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)s->ram.addr,
		.iova = s->gpa,
		.size = s->ram.size,
	};
	int ret;

	if (c->maps == VFIO_MAPS_MAX)
		return err_set(err, ENOSPC, "all %d DMA maps used",
			       VFIO_MAPS_MAX);
	ret = call(c->fd, VFIO_IOMMU_MAP_DMA, &m);
	if (ret < 0)
		return err_set(err, -ret,
			       "VFIO_IOMMU_MAP_DMA 0x%" PRIx64 "+0x%zx: %s",
			       s->gpa, s->ram.size, strerror(-ret));
	c->map[c->maps].iova = s->gpa;
	c->map[c->maps++].size = s->ram.size;
	return 0;
}

int vfio_container_map(struct vfio_container *c,
		       const struct memslot_table *slots, struct mote_err *err)
{
	int before = c->maps;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		int ret = slots->slot[i].ram.addr
				  ? map_one(c, &slots->slot[i], err)
				  : 0;

		if (ret < 0) {
			while (c->maps > before)
				unmap(c, --c->maps);
			return ret;
		}
	}
	return 0;
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
			       "this IOMMU does not track "
			       "dirty pages");
	ret = call(c->fd, VFIO_IOMMU_DIRTY_PAGES, &d);
	if (ret < 0)
		return err_set(err, -ret, "VFIO_IOMMU_DIRTY_PAGES %s: %s",
			       on ? "START" : "STOP", strerror(-ret));
	c->tracking = on;
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
	};
	uint64_t pages = size / c->dirty_page_size;
	int ret;

	d.get.bitmap.size = (pages + 63) / 64 * sizeof(uint64_t);
	d.get.bitmap.data = (void *)bitmap;
	ret = call(c->fd, VFIO_IOMMU_DIRTY_PAGES, &d);
	if (ret < 0)
		return err_set(err, -ret,
			       "VFIO_IOMMU_DIRTY_PAGES GET 0x%" PRIx64
			       "+0x%" PRIx64 ": %s",
			       iova, size, strerror(-ret));
	return 0;
}

int vfio_container_dirty(struct vfio_container *c, uint64_t iova, uint64_t size,
			 uint64_t *bitmap, struct mote_err *err)
{
	/* A map may not be cut, so only whole maps can be asked apart. */
	uint64_t most = c->dirty_bitmap_max * 8 * c->dirty_page_size;

	if (!c->dirty_page_size || size % c->dirty_page_size ||
	    iova % c->dirty_page_size)
		return err_set(err, EINVAL, "dirty bitmap: bad range");
	if (size > most)
		return err_set(err, E2BIG,
			       "dirty bitmap: 0x%" PRIx64 " bytes, the kernel "
			       "reports at most 0x%" PRIx64 " at once",
			       size, most);
	return get_bitmap(c, iova, size, bitmap, err);
}
