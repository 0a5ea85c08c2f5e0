/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/fake_vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/vfio/uapi.h"

struct fake_vfio fake_vfio;
#define F fake_vfio

int __real_vfio_ioctl(int fd, unsigned long request, void *arg);
int __wrap_vfio_ioctl(int fd, unsigned long request, void *arg);

void fake_vfio_start(void)
{
	F = (struct fake_vfio){
		.on = true,
		.viable = true,
		.bitmap_max = 1 << 20,
		.gap_first = 0xfee00000,
		.gap_last = 0xfeefffff,
		.avail = 65535,
		.log_ranges_max = 256,
		.container_fd = -1,
		.state = MIG_RUNNING,
		.data_fd = -1,
		.pci_fd = -1,
		.irq_index = -1,
	};
}

bool fake_vfio_idle(void)
{
	return F.irq_index == -1 && F.maps == 0 && F.tracking == 0 &&
	       F.log_ranges == 0 && F.attached == 0 && F.hwpts == 0 &&
	       F.ioas == 0;
}

static int info(struct vfio_iommu_type1_info *i)
{
	struct {
		struct vfio_iommu_type1_info_cap_iova_range head;
		struct vfio_iova_range range[2];
		struct vfio_iommu_type1_info_cap_migration mig;
		struct vfio_iommu_type1_info_dma_avail avail;
	} caps = {0};
	uint32_t at = sizeof(*i) + 8; /* not where one would guess */

	if (i->argsz < at + sizeof(caps)) {
		i->argsz = (uint32_t)(at + sizeof(caps));
		return 0;
	}
	caps.head.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	caps.head.header.next = (uint32_t)(at + offsetof(typeof(caps), mig));
	caps.head.nr_iovas = 2;
	caps.range[0].end = F.gap_first - 1;
	caps.range[1].start = F.gap_last + 1;
	caps.range[1].end = UINT64_C(1) << 39;
	/* A kernel without dirty tracking has another capability here. */
	caps.mig.header.id =
		F.no_dirty ? 99 : VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
	caps.mig.header.next = (uint32_t)(at + offsetof(typeof(caps), avail));
	caps.mig.pgsize_bitmap = FAKE_PAGE | FAKE_PAGE << 9;
	caps.mig.max_dirty_bitmap_size = F.bitmap_max;
	caps.avail.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
	caps.avail.avail = F.avail - (uint32_t)F.maps;
	i->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	i->cap_offset = at;
	memcpy((char *)i + at, &caps, sizeof(caps));
	return 0;
}

static int find(uint64_t iova)
{
	for (int i = 0; i < F.maps; i++)
		if (iova >= F.map[i].iova &&
		    iova - F.map[i].iova < F.map[i].size)
			return i;
	return -1;
}

static int map(uint64_t iova, uint64_t size)
{
	if ((iova | size) % FAKE_PAGE || !size)
		return -EINVAL;
	if (find(iova) >= 0 || find(iova + size - 1) >= 0)
		return -EEXIST;
	if (F.maps == FAKE_MAPS)
		return -ENOSPC;
	F.map[F.maps].iova = iova;
	F.map[F.maps++].size = size;
	return 0;
}

static bool cuts(uint64_t iova, uint64_t size)
{
	int first = find(iova), last = find(iova + size - 1);

	return (first >= 0 && F.map[first].iova != iova) ||
	       (last >= 0 &&
		F.map[last].iova + F.map[last].size != iova + size);
}

static void put_bits(uint64_t iova, uint64_t size, const uint8_t *from,
		     uint64_t *bitmap)
{
	for (uint64_t i = 0; i < size / FAKE_PAGE; i++) {
		uint64_t page = iova / FAKE_PAGE + i;

		if (find(iova + i * FAKE_PAGE) < 0 || page >= FAKE_PAGES)
			continue;
		if (from[page] || (F.all && from == F.dirty))
			bitmap[i / 64] |= UINT64_C(1) << (i % 64);
	}
}

/* Whole words are copied, so that a range that is not zeroed shows. */
static int get_bitmap(uint64_t iova, uint64_t size, struct vfio_bitmap *b)
{
	uint64_t pages = size / FAKE_PAGE;

	if (!F.tracking || b->pgsize != FAKE_PAGE || !pages ||
	    (iova | size) % FAKE_PAGE || b->size > F.bitmap_max ||
	    b->size < (pages + 63) / 64 * 8 || cuts(iova, size))
		return -EINVAL;
	if (!b->data)
		return -EFAULT;
	for (uint64_t i = 0; i < (pages + 63) / 64; i++)
		F.seen_full_bitmap |= ((uint64_t *)b->data)[i] != 0;
	F.gets++;
	put_bits(iova, size, F.dirty, (uint64_t *)b->data);
	for (uint64_t i = iova / FAKE_PAGE;
	     i < (iova + size) / FAKE_PAGE && i < FAKE_PAGES; i++)
		F.dirty[i] = F.held[i];
	return 0;
}

static int unmap(struct vfio_iommu_type1_dma_unmap *u)
{
	int i = find(u->iova), ret = 0;

	if (cuts(u->iova, u->size))
		return -EINVAL;
	if (u->flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		ret = get_bitmap(u->iova, u->size,
				 (struct vfio_bitmap *)u->data);
	if (ret < 0)
		return ret;
	u->size = 0;
	if (i >= 0) {
		u->size = F.map[i].size;
		F.map[i] = F.map[--F.maps];
	}
	return 0;
}

static int dirty_pages(struct vfio_iommu_type1_dirty_bitmap *d)
{
	struct vfio_iommu_type1_dirty_bitmap_get *g = (void *)d->data;

	switch (d->flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		F.tracking = 1;
		memcpy(F.dirty, F.held, sizeof(F.dirty));
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		F.tracking = 0;
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return get_bitmap(g->iova, g->size, &g->bitmap);
	}
	return -EINVAL;
}

static int log_start(struct vfio_device_feature_dma_logging_control *c)
{
	struct vfio_device_feature_dma_logging_range *r =
		(void *)(uintptr_t)c->ranges;

	if (c->num_ranges > F.log_ranges_max)
		return -E2BIG;
	for (uint32_t i = 0; i < c->num_ranges; i++)
		if ((r[i].iova | r[i].length) % c->page_size ||
		    (i && r[i - 1].iova + r[i - 1].length > r[i].iova))
			return -EINVAL;
	F.log_ranges = c->num_ranges;
	F.log_first = r[0].iova;
	F.log_last =
		r[c->num_ranges - 1].iova + r[c->num_ranges - 1].length - 1;
	return 0;
}

static int log_report(struct vfio_device_feature_dma_logging_report *r)
{
	if (!F.log_ranges || r->iova < F.log_first ||
	    r->iova + r->length - 1 > F.log_last)
		return -EINVAL;
	put_bits(r->iova, r->length, F.logged,
		 (uint64_t *)(uintptr_t)r->bitmap);
	memset(F.logged + r->iova / FAKE_PAGE, 0, r->length / FAKE_PAGE);
	return 0;
}

static int set_state(struct vfio_device_feature_mig_state *s)
{
	F.precopies += s->device_state == MIG_PRE_COPY;
	if ((F.mig_error &&
	     (!F.mig_error_to || F.mig_error_to == (int)s->device_state)) ||
	    F.state == MIG_ERROR) {
		F.state = MIG_ERROR;
		F.mig_error = false;
		return -EIO;
	}
	if (s->device_state == MIG_STOP_COPY && F.state == MIG_PRE_COPY) {
		F.state = MIG_STOP_COPY; /* the same descriptor goes on */
		return 0;
	}
	F.state = (int)s->device_state;
	if (F.state == MIG_STOP_COPY || F.state == MIG_RESUMING ||
	    F.state == MIG_PRE_COPY)
		s->data_fd = dup(F.data_fd);
	return 0;
}

static int feature(struct vfio_device_feature *f)
{
	uint32_t what = f->flags & VFIO_DEVICE_FEATURE_MASK;
	bool log = what >= VFIO_DEVICE_FEATURE_DMA_LOGGING_START &&
		   what <= VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;

	if ((log && !F.device_logs) || (!log && !F.mig_flags))
		return -ENOTTY;
	if (f->flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	switch (what) {
	case VFIO_DEVICE_FEATURE_MIGRATION:
		memcpy(f->data, &F.mig_flags, sizeof(F.mig_flags));
		return 0;
	case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
		if (f->flags & VFIO_DEVICE_FEATURE_SET)
			return set_state((void *)f->data);
		((struct vfio_device_feature_mig_state *)f->data)
			->device_state = (uint32_t)F.state;
		return 0;
	case VFIO_DEVICE_FEATURE_MIG_DATA_SIZE:
		memcpy(f->data, &F.state_bytes, sizeof(F.state_bytes));
		return F.state_bytes ? 0 : -ENOTTY;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
		return log_start((void *)f->data);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
		F.log_ranges = 0;
		return 0;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		return log_report((void *)f->data);
	}
	return -ENOTTY;
}

static int hwpt_dirty(struct uapi_get_dirty *g)
{
	if (!F.tracking || g->page_size != FAKE_PAGE)
		return -EINVAL;
	put_bits(g->iova, g->length, F.dirty, (uint64_t *)(uintptr_t)g->data);
	memset(F.dirty + g->iova / FAKE_PAGE, 0, g->length / FAKE_PAGE);
	return 0;
}

static int iova_ranges(struct uapi_iova_ranges *r)
{
	struct uapi_iova_range *out = (void *)(uintptr_t)r->ranges;

	if (r->num < 2)
		return -EMSGSIZE;
	out[0] = (struct uapi_iova_range){0, F.gap_first - 1};
	out[1] = (struct uapi_iova_range){F.gap_last + 1, UINT64_C(1) << 39};
	r->num = 2;
	r->out_alignment = FAKE_PAGE;
	return 0;
}

static int iommufd(unsigned long request, void *arg)
{
	struct uapi_hwpt_alloc *h = arg;
	struct uapi_ioas_map *m = arg;
	struct uapi_ioas_unmap *u = arg;
	struct uapi_destroy *d = arg;
	int i;

	switch (request & 0xff) {
	case IOMMUFD_IOAS_ALLOC:
		((struct uapi_ioas_alloc *)arg)->out_id = 1;
		F.ioas++;
		return 0;
	case IOMMUFD_IOVA_RANGES:
		return iova_ranges(arg);
	case IOMMUFD_IOAS_MAP:
		return map(m->iova, m->length);
	case IOMMUFD_IOAS_UNMAP:
		i = find(u->iova);
		if (i < 0 || F.map[i].iova != u->iova ||
		    F.map[i].size != u->length)
			return -ENOENT;
		F.map[i] = F.map[--F.maps];
		return 0;
	case IOMMUFD_HWPT_ALLOC:
		if (!F.hwpt_dirty)
			return -EOPNOTSUPP;
		h->out_id = 10 + (uint32_t)F.hwpts++;
		return 0;
	case IOMMUFD_DESTROY:
		if (d->id >= 10)
			F.hwpts--;
		else
			F.ioas--;
		return 0;
	case IOMMUFD_SET_DIRTY:
		F.tracking += ((struct uapi_set_dirty *)arg)->flags ? 1 : -1;
		return 0;
	case IOMMUFD_GET_DIRTY:
		return hwpt_dirty(arg);
	}
	return -ENOTTY;
}

static int container(unsigned long request, void *arg)
{
	struct vfio_iommu_type1_dma_map *m = arg;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return !F.no_type1;
	case VFIO_SET_IOMMU:
		return 0;
	case VFIO_IOMMU_GET_INFO:
		return info(arg);
	case VFIO_IOMMU_MAP_DMA:
		return map(m->iova, m->size);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap(arg);
	case VFIO_IOMMU_DIRTY_PAGES:
		return F.no_dirty ? -ENOTTY : dirty_pages(arg);
	}
	return -ENOTTY;
}

static int region(struct vfio_region_info *i)
{
	if (i->index < 6) {
		i->size = F.bar[i->index];
		i->flags = F.bar_flags[i->index];
	} else {
		i->size = i->index == VFIO_PCI_CONFIG_REGION_INDEX ? 256 : 0;
	}
	i->offset = i->index * FAKE_REGION;
	return 0;
}

/* As vfio_pci_intrs.c: one kind at a time, off before another. */
static int set_irqs(const struct vfio_irq_set *s)
{
	if (s->flags & VFIO_IRQ_SET_ACTION_UNMASK)
		return F.irq_index == (int)s->index ? 0 : -EINVAL;
	if (s->flags & VFIO_IRQ_SET_DATA_NONE && s->count == 0) {
		if (F.irq_index == (int)s->index)
			F.irq_index = -1;
		return 0;
	}
	if (F.irq_index != -1 || s->index > VFIO_PCI_MSIX_IRQ_INDEX ||
	    s->count == 0 || s->count > F.irqs[s->index] ||
	    s->argsz < sizeof(*s) + s->count * sizeof(int32_t)) {
		F.irq_refused++;
		return -EINVAL;
	}
	F.irq_index = (int)s->index;
	F.irq_count = s->count;
	memcpy(F.irq_fd, s->data, s->count * sizeof(int32_t));
	return 0;
}

/* Requests of a PCI function alone; -ENOTTY: none of them. */
static int pci(unsigned long request, void *arg)
{
	struct vfio_irq_info *irq = arg;

	if (F.pci_fd < 0)
		return -ENOTTY;
	switch (request) {
	case VFIO_GROUP_GET_DEVICE_FD:
		return fcntl(F.pci_fd, F_DUPFD_CLOEXEC, 3);
	case VFIO_DEVICE_GET_REGION_INFO:
		return region(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		irq->count = irq->index < 3 ? F.irqs[irq->index] : 0;
		irq->flags = VFIO_IRQ_INFO_EVENTFD;
		return 0;
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(arg);
	}
	return -ENOTTY;
}

static int device(unsigned long request, void *arg)
{
	struct uapi_precopy_info *p = arg;
	int ret = pci(request, arg);

	if (ret != -ENOTTY)
		return ret;
	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)arg)->flags =
			F.viable ? VFIO_GROUP_FLAGS_VIABLE : 0;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		F.groups++;
		return 0;
	case VFIO_GROUP_UNSET_CONTAINER:
		F.groups--;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		return eventfd(0, EFD_CLOEXEC);
	case VFIO_DEVICE_GET_INFO:
		((struct vfio_device_info *)arg)->flags =
			VFIO_DEVICE_FLAGS_RESET;
		return 0;
	case VFIO_DEVICE_RESET:
		F.resets++;
		F.state = MIG_RUNNING;
		return 0;
	case VFIO_DEVICE_FEATURE:
		return feature(arg);
	case VFIO_DEVICE_BIND_IOMMUFD:
		((struct uapi_bind *)arg)->out_devid = 5;
		return 0;
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		F.attached = 1;
		return 0;
	case VFIO_DEVICE_DETACH_IOMMUFD_PT:
		F.attached = 0;
		return 0;
	case VFIO_MIG_GET_PRECOPY_INFO:
		p->initial_bytes = F.initial_bytes;
		return F.state == MIG_PRE_COPY ? 0 : -EINVAL;
	}
	return -ENOTTY;
}

int __wrap_vfio_ioctl(int fd, unsigned long request, void *arg)
{
	if (++F.calls == F.fail_at || (F.refuse && F.refuse == request &&
				       (!F.refuse_not || fd != F.refuse_not))) {
		F.failed = request;
		return -F.fail_with;
	}
	if (!F.on)
		return __real_vfio_ioctl(fd, request, arg);
	if (request == VFIO_GET_API_VERSION)
		F.container_fd = fd;
	/*
	 * Numbers are not unique: iommufd's are above VFIO's, and a device's
	 * are those of the container again.
	 */
	if ((request & 0xff) >= IOMMUFD_DESTROY)
		return iommufd(request, arg);
	return F.container_fd == fd ? container(request, arg)
				    : device(request, arg);
}
