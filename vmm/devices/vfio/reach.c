/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/reach.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "base/err.h"
#include "base/num.h"
#include "memory/memslot.h"

static uint64_t map_max(const struct vfio_reach *r)
{
	return r->map_max ? r->map_max : UINT64_MAX;
}

/* Say what is between the usable ranges where the slot lies. */
static int outside(const struct vfio_reach *r, uint64_t first, uint64_t last,
		   struct mote_err *err)
{
	uint64_t low = 0, high = UINT64_MAX, at = first;

	/* The first byte of the slot that no range has. */
	for (int i = 0; i < r->usables; i++)
		if (at >= r->usable[i].first && at <= r->usable[i].last)
			at = r->usable[i].last + 1;
	for (int i = 0; i < r->usables; i++) {
		if (r->usable[i].last < at && r->usable[i].last >= low)
			low = r->usable[i].last + 1;
		if (r->usable[i].first > at && r->usable[i].first <= high)
			high = r->usable[i].first - 1;
	}
	return err_set(err, ERANGE,
		       "RAM 0x%" PRIx64 "-0x%" PRIx64 " is out of the devices' "
		       "reach: the IOMMU leaves out 0x%" PRIx64 "-0x%" PRIx64,
		       first, last, low, high);
}

static bool reachable(const struct vfio_reach *r, uint64_t first, uint64_t last)
{
	for (int i = 0; i < r->usables; i++)
		if (first >= r->usable[i].first && last <= r->usable[i].last)
			return true;
	return r->usables == 0;
}

/* Before anything is mapped: do all slots fit, in address and number? */
static int check(const struct vfio_reach *r, const struct memslot_table *slots,
		 struct mote_err *err)
{
	uint64_t need = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &slots->slot[i];
		uint64_t last = s->gpa + s->ram.size - 1;

		if (!s->ram.addr)
			continue;
		if (!reachable(r, s->gpa, last))
			return outside(r, s->gpa, last, err);
		need += (s->ram.size - 1) / map_max(r) + 1;
	}
	if (need > (uint64_t)(VFIO_MAPS_MAX - r->maps))
		return err_set(err, ENOSPC,
			       "RAM takes %" PRIu64
			       " DMA maps, %d are left of %d",
			       need, VFIO_MAPS_MAX - r->maps, VFIO_MAPS_MAX);
	if (r->counted && need > r->avail)
		return err_set(err, ENOSPC,
			       "RAM takes %" PRIu64
			       " DMA maps, this host allows "
			       "%u more (vfio_iommu_type1.dma_entry_limit)",
			       need, r->avail);
	return 0;
}

static int map_slot(struct vfio_reach *r, const struct memslot *s,
		    const struct vfio_reach_ops *ops, void *opaque,
		    struct mote_err *err)
{
	uint64_t size;

	for (uint64_t at = 0; at < s->ram.size; at += size) {
		int ret;

		size = num_min(s->ram.size - at, map_max(r));
		ret = ops->map(opaque, s->gpa + at, size,
			       (char *)s->ram.addr + at, err);
		if (ret < 0)
			return ret;
		r->map[r->maps].first = s->gpa + at;
		r->map[r->maps++].last = s->gpa + at + size - 1;
	}
	return 0;
}

static void drop_to(struct vfio_reach *r, int left,
		    const struct vfio_reach_ops *ops, void *opaque)
{
	while (r->maps > left) {
		const struct vfio_range *m = &r->map[--r->maps];

		ops->unmap(opaque, m->first, m->last - m->first + 1, NULL,
			   NULL);
	}
}

int vfio_reach_map(struct vfio_reach *r, const struct memslot_table *slots,
		   const struct vfio_reach_ops *ops, void *opaque,
		   struct mote_err *err)
{
	int before = r->maps;
	int ret = check(r, slots, err);

	for (int i = 0; ret == 0 && i < MEMSLOT_MAX; i++)
		if (slots->slot[i].ram.addr)
			ret = map_slot(r, &slots->slot[i], ops, opaque, err);
	if (ret < 0)
		drop_to(r, before, ops, opaque);
	return ret;
}

void vfio_reach_clear(struct vfio_reach *r, const struct vfio_reach_ops *ops,
		      void *opaque)
{
	drop_to(r, 0, ops, opaque);
}

int vfio_reach_cut(const struct vfio_reach *r, uint64_t iova, uint64_t size,
		   struct mote_err *err)
{
	uint64_t last = iova + size - 1;

	if (size == 0 || last < iova)
		return err_set(err, EINVAL,
			       "DMA range 0x%" PRIx64 "+0x%" PRIx64, iova,
			       size);
	for (int i = 0; i < r->maps; i++) {
		const struct vfio_range *m = &r->map[i];

		if (m->last >= iova && m->first <= last &&
		    (m->first < iova || m->last > last))
			return err_set(err, EINVAL,
				       "0x%" PRIx64 "+0x%" PRIx64
				       " cuts the DMA map at 0x%" PRIx64,
				       iova, size, m->first);
	}
	return 0;
}

int vfio_reach_unmap(struct vfio_reach *r, uint64_t iova, uint64_t size,
		     uint64_t *bitmap, uint64_t page_size,
		     const struct vfio_reach_ops *ops, void *opaque,
		     struct mote_err *err)
{
	int ret = vfio_reach_cut(r, iova, size, err);

	for (int i = 0; ret == 0 && i < r->maps;) {
		struct vfio_range m = r->map[i];
		uint64_t bit = bitmap ? (m.first - iova) / page_size : 0;

		if (m.first < iova || m.last > iova + size - 1) {
			i++;
			continue;
		}
		if (bit % 64)
			return err_set(err, EINVAL,
				       "the DMA map at 0x%" PRIx64
				       " begins within a word of the bitmap",
				       m.first);
		ret = ops->unmap(opaque, m.first, m.last - m.first + 1,
				 bitmap ? bitmap + bit / 64 : NULL, err);
		if (ret == 0)
			r->map[i] = r->map[--r->maps];
	}
	return ret;
}
