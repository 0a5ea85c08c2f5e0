/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/iommufd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"
#include "devices/vfio/uapi.h"

static int call(struct vfio_iommufd *f, int nr, const char *name, void *arg,
		struct mote_err *err)
{
	return vfio_ioctl_named(f->fd, (unsigned long)IOMMUFD_CALL(nr), name,
				arg, err);
}

static void destroy(struct vfio_iommufd *f, uint32_t id)
{
	struct uapi_destroy d = {.size = sizeof(d), .id = id};

	call(f, IOMMUFD_DESTROY, "IOMMU_DESTROY", &d, NULL);
}

int vfio_iommufd_open(struct vfio_iommufd *f, int iommu_fd,
		      struct mote_err *err)
{
	struct uapi_ioas_alloc a = {.size = sizeof(a)};
	int ret;

	*f = (struct vfio_iommufd){.fd = iommu_fd};
	ret = call(f, IOMMUFD_IOAS_ALLOC, "IOMMU_IOAS_ALLOC", &a, err);
	if (ret < 0)
		fd_clear(&f->fd);
	f->ioas = a.out_id;
	return ret;
}

int vfio_iommufd_bind(struct vfio_iommufd *f, int dev_fd, uint32_t *devid,
		      struct mote_err *err)
{
	struct uapi_bind b = {.argsz = sizeof(b), .iommufd = f->fd};
	int ret = VFIO_CALL(dev_fd, VFIO_DEVICE_BIND_IOMMUFD, &b, err);

	*devid = b.out_devid;
	return ret;
}

static int get_ranges(struct vfio_iommufd *f, struct mote_err *err)
{
	struct uapi_iova_range range[VFIO_RANGES_MAX];
	struct uapi_iova_ranges r = {.size = sizeof(r),
				     .ioas = f->ioas,
				     .num = VFIO_RANGES_MAX,
				     .ranges = (uintptr_t)range};
	int ret =
		call(f, IOMMUFD_IOVA_RANGES, "IOMMU_IOAS_IOVA_RANGES", &r, err);

	if (ret < 0)
		return ret;
	f->reach.usables = (int)num_min(r.num, VFIO_RANGES_MAX);
	for (int i = 0; i < f->reach.usables; i++)
		f->reach.usable[i] =
			(struct vfio_range){range[i].start, range[i].last};
	return 0;
}

static int attach_to(int dev_fd, uint32_t id, struct mote_err *err)
{
	struct uapi_attach a = {.argsz = sizeof(a), .pt_id = id};

	return VFIO_CALL(dev_fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a, err);
}

/* One of the page tables with dirty bits, or a new one; false: none fits. */
static bool attach_logging(struct vfio_iommufd *f, int dev_fd, uint32_t devid)
{
	struct uapi_hwpt_alloc a = {.size = sizeof(a),
				    .flags = UAPI_HWPT_DIRTY_TRACKING,
				    .dev_id = devid,
				    .pt_id = f->ioas};

	for (int i = 0; i < f->hwpts; i++)
		if (attach_to(dev_fd, f->hwpt[i], NULL) == 0)
			return true;
	if (f->hwpts == VFIO_HWPTS_MAX ||
	    call(f, IOMMUFD_HWPT_ALLOC, "IOMMU_HWPT_ALLOC", &a, NULL) < 0)
		return false;
	if (attach_to(dev_fd, a.out_id, NULL) < 0) {
		destroy(f, a.out_id);
		return false;
	}
	f->hwpt[f->hwpts++] = a.out_id;
	return true;
}

int vfio_iommufd_attach(struct vfio_iommufd *f, int dev_fd, uint32_t devid,
			bool *logs, struct mote_err *err)
{
	int ret = 0;

	*logs = attach_logging(f, dev_fd, devid);
	if (!*logs)
		ret = attach_to(dev_fd, f->ioas, err);
	return ret < 0 ? ret : get_ranges(f, err);
}

int vfio_iommufd_detach(int dev_fd, struct mote_err *err)
{
	struct uapi_attach d = {.argsz = offsetof(struct uapi_attach, pt_id)};

	return VFIO_CALL(dev_fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d, err);
}

static int map_one(void *opaque, uint64_t iova, uint64_t size, void *addr,
		   struct mote_err *err)
{
	struct vfio_iommufd *f = opaque;
	struct uapi_ioas_map m = {.size = sizeof(m),
				  .flags = UAPI_IOAS_MAP_FLAGS,
				  .ioas = f->ioas,
				  .user_va = (uintptr_t)addr,
				  .length = size,
				  .iova = iova};
	int ret = call(f, IOMMUFD_IOAS_MAP, "IOMMU_IOAS_MAP", &m, err);

	return ret < 0 ? err_wrap(err, ret, "0x%" PRIx64 "+0x%" PRIx64, iova,
				  size)
		       : ret;
}

/*
 * iommufd has no unmap that carries the bitmap: it is read just before.  The
 * caller unmaps what the guest has given up, so nothing counts in between.
 */
static int unmap_one(void *opaque, uint64_t iova, uint64_t size,
		     uint64_t *bitmap, struct mote_err *err)
{
	struct vfio_iommufd *f = opaque;
	struct uapi_ioas_unmap u = {.size = sizeof(u),
				    .ioas = f->ioas,
				    .iova = iova,
				    .length = size};
	int ret = bitmap ? vfio_iommufd_dirty(f, iova, size, bitmap, err) : 0;

	return ret < 0 ? ret
		       : call(f, IOMMUFD_IOAS_UNMAP, "IOMMU_IOAS_UNMAP", &u,
			      err);
}

static const struct vfio_reach_ops ops = {.map = map_one, .unmap = unmap_one};

int vfio_iommufd_map(struct vfio_iommufd *f, const struct memslot_table *slots,
		     struct mote_err *err)
{
	return vfio_reach_map(&f->reach, slots, &ops, f, err);
}

int vfio_iommufd_unmap(struct vfio_iommufd *f, uint64_t iova, uint64_t size,
		       uint64_t *bitmap, struct mote_err *err)
{
	return vfio_reach_unmap(&f->reach, iova, size,
				f->tracking ? bitmap : NULL, host_page_size(),
				&ops, f, err);
}

void vfio_iommufd_close(struct vfio_iommufd *f)
{
	if (f->fd < 0)
		return;
	vfio_iommufd_track(f, false, NULL);
	vfio_reach_clear(&f->reach, &ops, f);
	while (f->hwpts > 0)
		destroy(f, f->hwpt[--f->hwpts]);
	destroy(f, f->ioas);
	fd_clear(&f->fd);
}

static int set_dirty(struct vfio_iommufd *f, int i, bool on,
		     struct mote_err *err)
{
	struct uapi_set_dirty s = {.size = sizeof(s),
				   .flags = on ? UAPI_DIRTY_ENABLE : 0,
				   .hwpt = f->hwpt[i]};

	return call(f, IOMMUFD_SET_DIRTY, "IOMMU_HWPT_SET_DIRTY_TRACKING", &s,
		    err);
}

int vfio_iommufd_track(struct vfio_iommufd *f, bool on, struct mote_err *err)
{
	int ret = 0;

	for (; on && f->tracking < f->hwpts; f->tracking++) {
		ret = set_dirty(f, f->tracking, true, err);
		if (ret < 0)
			break;
	}
	if (on && ret == 0)
		return 0;
	/* All of them also when one fails; the first failure is told. */
	while (f->tracking > 0) {
		int r = set_dirty(f, --f->tracking, false, ret ? NULL : err);

		ret = ret ? ret : r;
	}
	return ret;
}

int vfio_iommufd_dirty(struct vfio_iommufd *f, uint64_t iova, uint64_t size,
		       uint64_t *bitmap, struct mote_err *err)
{
	struct uapi_get_dirty g = {.size = sizeof(g),
				   .iova = iova,
				   .length = size,
				   .page_size = host_page_size(),
				   .data = (uintptr_t)bitmap};
	int ret = vfio_reach_cut(&f->reach, iova, size, err);

	memset(bitmap, 0, bitmap_words(size / host_page_size()) * 8);
	/*
	 * The kernel only sets bits, so one bitmap does for all tables.  6.12
	 * loses what fails inside (a hole, a bad pointer) and returns 0: the
	 * caller asks for slots, which are mapped, and hands in its own memory.
	 */
	for (int i = 0; ret == 0 && i < f->tracking; i++) {
		g.hwpt = f->hwpt[i];
		ret = call(f, IOMMUFD_GET_DIRTY, "IOMMU_HWPT_GET_DIRTY_BITMAP",
			   &g, err);
	}
	return ret;
}
