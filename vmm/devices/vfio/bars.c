/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/bars.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "devices/device.h"
#include "devices/pci/root.h"
#include "devices/vfio/uapi.h"
#include "kvm/kvm.h"
#include "memory/bus.h"

/* --- traps ------------------------------------------------------------------
 */

/* A region's number is the BAR's, and whether it lies above the first map. */
#define REGION(bar, off) ((bar) | ((off) ? 8 : 0))
#define REGION_BAR(r)	 ((r)&7)

/* The first page that is trapped. */
static uint64_t trapped_from(const struct vfio_bars *b)
{
	return b->trap.off & ~(uint64_t)(host_page_size() - 1);
}

static uint64_t offset_of(const struct vfio_bars *b, int region, uint64_t off)
{
	return off + (region & 8 ? trapped_from(b) : 0);
}

static bool is_ours(const struct vfio_bars *b, int bar, uint64_t off, int len)
{
	return b->trap.bar == bar && off < b->trap.off + b->trap.size &&
	       b->trap.off < off + (uint64_t)len;
}

static uint64_t trap_read(void *opaque, int region, uint64_t off, int len)
{
	struct vfio_bars *b = opaque;
	int bar = REGION_BAR(region);
	uint64_t val = 0;

	off = offset_of(b, region, off);
	pthread_mutex_lock(&b->root->lock);
	if (!is_ours(b, bar, off, len)) {
		if (fd_pread_full(*b->fd, &val, (size_t)len,
				  b->bar[bar].at + off) < 0)
			val = UINT64_MAX;
	} else if (off >= b->trap.off) {
		val = b->trap.read(b->trap.opaque, off - b->trap.off, len);
	}
	pthread_mutex_unlock(&b->root->lock);
	return val;
}

static uint32_t trap_write(void *opaque, int region, uint64_t off, int len,
			   uint64_t val)
{
	struct vfio_bars *b = opaque;
	int bar = REGION_BAR(region);

	off = offset_of(b, region, off);
	pthread_mutex_lock(&b->root->lock);
	/* What the device refuses is lost, as on a bus. */
	if (!is_ours(b, bar, off, len))
		(void)fd_pwrite_full(*b->fd, &val, (size_t)len,
				     b->bar[bar].at + off);
	else if (off >= b->trap.off)
		b->trap.write(b->trap.opaque, off - b->trap.off, len, val);
	pthread_mutex_unlock(&b->root->lock);
	return 0;
}

static int add_trap(struct vfio_bars *b, struct bus *bus, int i, uint64_t off,
		    uint64_t size, struct mote_err *err)
{
	const struct vfio_bar *bar = &b->bar[i];
	const struct bus_handler handler = {.read = trap_read,
					    .write = trap_write,
					    .opaque = b,
					    .region = REGION(i, off)};

	return bus_add(
		bus, bar->kind & PCI_BASE_ADDRESS_SPACE_IO ? BUS_PIO : BUS_MMIO,
		bar->addr + off, size, &handler, err);
}

/* --- memory slots -----------------------------------------------------------
 */

static int add_map(struct vfio_bars *b, struct vfio_bar *bar, int which,
		   uint64_t off, uint64_t size, uint32_t *slot,
		   struct mote_err *err)
{
	int ret;

	if (size == 0)
		return 0;
	ret = map_shared(&bar->map[which], *b->fd, bar->at + off, size,
			 PROT_READ | PROT_WRITE, err);
	if (ret < 0)
		return ret;
	ret = kvm_set_memory(b->vm_fd, *slot, 0, bar->addr + off, size,
			     bar->map[which].addr);
	if (ret < 0) {
		map_fini(&bar->map[which]);
		return err_set(err, -ret, "memory slot %u: %s", *slot,
			       strerror(-ret));
	}
	bar->slot[which] = (*slot)++;
	return 0;
}

static int show_memory(struct vfio_bars *b, int i,
		       const struct vfio_bars_options *opt,
		       struct mote_err *err)
{
	uint64_t page = host_page_size();
	struct vfio_bar *bar = &b->bar[i];
	uint64_t size = bar->size > page ? bar->size : page;
	uint64_t from = size, to = size;
	int ret;

	if (b->trap.bar == i) {
		from = trapped_from(b);
		to = (b->trap.off + b->trap.size + page - 1) & ~(page - 1);
		if (!num_within(b->trap.off, b->trap.size, bar->size))
			return err_set_class(err, EINVAL, ERR_CLASS_DATA,
					     "its MSI-X table is outside BAR "
					     "%d",
					     i);
	}
	ret = add_map(b, bar, 0, 0, from, opt->slot, err);
	if (ret == 0 && to > from)
		ret = add_trap(b, opt->bus, i, from, to - from, err);
	if (ret == 0 && to < size)
		ret = add_map(b, bar, 1, to, size - to, opt->slot, err);
	return ret;
}

/* --- the registers ----------------------------------------------------------
 */

static int show(struct vfio_bars *b, int i, const struct vfio_bars_options *opt,
		struct mote_err *err)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = (uint32_t)i};
	struct vfio_bar *bar = &b->bar[i];
	bool io = opt->raw[i] & PCI_BASE_ADDRESS_SPACE_IO;
	bool wide = !io && (opt->raw[i] & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
				   PCI_BASE_ADDRESS_MEM_TYPE_64;
	uint64_t room; /* a page at least: nobody else's is on it */
	enum pci_window window = io ? PCI_WINDOW_PORTS : PCI_WINDOW_32;
	struct mote_err own = {0};
	int ret = vfio_ioctl(*b->fd, VFIO_DEVICE_GET_REGION_INFO, &info);

	if (ret < 0)
		return err_set(err, -ret, "VFIO_DEVICE_GET_REGION_INFO %d: %s",
			       i, strerror(-ret));
	if (wide && i + 1 < VFIO_BARS)
		b->bar[i + 1].upper = true;
	if (info.size == 0)
		return 0;
	if (info.size & (info.size - 1) || info.size > UINT64_C(1) << 46)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "BAR %d has 0x%llx bytes", i, info.size);
	bar->at = info.offset;
	bar->kind = opt->raw[i] & (io ? 3 : 15);
	room = io || info.size > host_page_size() ? info.size
						  : host_page_size();
	ret = pci_root_alloc(b->root, window, room, &bar->addr, &own);
	if (ret < 0 && wide)
		ret = pci_root_alloc(b->root, PCI_WINDOW_64, room, &bar->addr,
				     &own);
	if (ret < 0) {
		if (err)
			*err = own;
		return err_wrap(err, ret, "BAR %d", i);
	}
	bar->size = info.size;
	/* Of what can be mapped in parts only, nothing is. */
	if (!io && (info.flags & VFIO_REGION_INFO_FLAG_MMAP) &&
	    (b->trap.bar == i || !(info.flags & VFIO_REGION_INFO_FLAG_CAPS)))
		ret = show_memory(b, i, opt, err);
	else
		ret = add_trap(b, opt->bus, i, 0, bar->size, err);
	return ret < 0 ? err_wrap(err, ret, "BAR %d", i) : 0;
}

int vfio_bars_init(struct vfio_bars *b, const int *fd,
		   const struct vfio_bars_options *opt, struct mote_err *err)
{
	int ret = 0;

	*b = (struct vfio_bars){.fd = fd,
				.root = opt->root,
				.vm_fd = opt->vm_fd,
				.trap = opt->trap};
	for (int i = 0; ret == 0 && i < VFIO_BARS; i++)
		if (!b->bar[i].upper)
			ret = show(b, i, opt, err);
	return ret;
}

void vfio_bars_fini(struct vfio_bars *b)
{
	for (int i = 0; i < VFIO_BARS; i++)
		for (int k = 0; k < 2; k++) {
			struct vfio_bar *bar = &b->bar[i];

			if (bar->map[k].addr)
				kvm_set_memory(b->vm_fd, bar->slot[k], 0,
					       bar->addr, 0, NULL);
			map_fini(&bar->map[k]);
		}
}

uint32_t vfio_bars_get(const struct vfio_bars *b, unsigned int i)
{
	const struct vfio_bar *bar = &b->bar[i];
	const struct vfio_bar *low = bar->upper ? bar - 1 : bar;
	uint64_t val = bar->sizing ? ~(low->size - 1) : low->addr;

	if (low->size == 0)
		return 0;
	return bar->upper ? (uint32_t)(val >> 32) : (uint32_t)val | low->kind;
}

/* They ask for the size by all ones; nothing moves a BAR. */
void vfio_bars_put(struct vfio_bars *b, unsigned int i, uint32_t val)
{
	b->bar[i].sizing = (val | 15) == UINT32_MAX;
}
