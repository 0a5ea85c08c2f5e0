/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/irqs.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "devices/irqroute.h"
#include "devices/pci/root.h"
#include "devices/vfio/bars.h"
#include "devices/vfio/device.h"
#include "devices/vfio/uapi.h"

#define IRQS_NONE  UINT32_MAX
#define MSIX_ENTRY 16 /* bytes: address, data, control */

/* VFIO_DEVICE_SET_IRQS: n eventfds, or with none the interrupt is off. */
static int set_irqs(struct vfio_irqs *v, uint32_t index, uint32_t n)
{
	struct {
		struct vfio_irq_set head;
		int32_t fd[VFIO_VECTORS_MAX];
	} set = {.head = {.argsz = (uint32_t)(sizeof(set.head) +
					      n * sizeof(set.fd[0])),
			  .flags = VFIO_IRQ_SET_ACTION_TRIGGER |
				   (n ? VFIO_IRQ_SET_DATA_EVENTFD
				      : VFIO_IRQ_SET_DATA_NONE),
			  .index = index,
			  .count = n}};

	for (uint32_t i = 0; i < n; i++)
		set.fd[i] = index == VFIO_PCI_INTX_IRQ_INDEX
				    ? v->intx_fd
				    : v->vector[i].event_fd;
	return vfio_ioctl(v->dev->fd, VFIO_DEVICE_SET_IRQS, &set);
}

void vfio_irqs_intx_ended(void *opaque)
{
	const struct vfio_irqs *v = opaque;
	struct vfio_irq_set set = {.argsz = sizeof(set),
				   .flags = VFIO_IRQ_SET_ACTION_UNMASK |
					    VFIO_IRQ_SET_DATA_NONE,
				   .index = VFIO_PCI_INTX_IRQ_INDEX,
				   .count = 1};

	vfio_ioctl(v->dev->fd, VFIO_DEVICE_SET_IRQS, &set);
}

static void connect(struct vfio_irqs *v, uint32_t i, bool on)
{
	struct vfio_vector *to = &v->vector[i];

	if (to->on != on &&
	    irqroutes_connect(v->routes, to->gsi, to->event_fd, on) == 0)
		to->on = on;
}

/* A message that KVM does not take (a bad address) is one that gets lost. */
static void aim(struct vfio_irqs *v, uint32_t i, uint64_t addr, uint32_t data)
{
	if (irqroutes_set(v->routes, v->vector[i].gsi, addr, data) == 0)
		connect(v, i, true);
	else
		connect(v, i, false);
}

void vfio_irqs_disarm(struct vfio_irqs *v)
{
	for (uint32_t i = 0; i < v->vectors; i++)
		connect(v, i, false);
	if (v->armed != IRQS_NONE)
		set_irqs(v, v->armed, 0);
	v->armed = IRQS_NONE;
}

/* n vectors of that kind; false: the host has not that many left. */
static bool arm(struct vfio_irqs *v, uint32_t index, uint32_t n)
{
	if (v->armed == index)
		return true;
	vfio_irqs_disarm(v);
	if (set_irqs(v, index, n) < 0)
		return false;
	v->armed = index;
	return true;
}

/* The kind that is off now; INTx is what is left. */
static void leave(struct vfio_irqs *v, uint32_t index)
{
	if (v->armed != index)
		return;
	vfio_irqs_disarm(v);
	if (v->intx_fd >= 0)
		arm(v, VFIO_PCI_INTX_IRQ_INDEX, 1);
}

void vfio_irqs_update_msi(struct vfio_irqs *v)
{
	uint16_t flags =
		(uint16_t)pci_get(v->config, v->msi + PCI_MSI_FLAGS, 2);
	bool wide = flags & PCI_MSI_FLAGS_64BIT;
	uint32_t most = 1u << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
	uint32_t n = 1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4);
	uint64_t addr = pci_get(v->config, v->msi + PCI_MSI_ADDRESS_LO, 4);
	uint32_t data =
		pci_get(v->config,
			v->msi + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2);
	uint32_t mask = 0;

	if (!(flags & PCI_MSI_FLAGS_ENABLE)) {
		leave(v, VFIO_PCI_MSI_IRQ_INDEX);
		return;
	}
	n = n > most ? most : n;
	if (!arm(v, VFIO_PCI_MSI_IRQ_INDEX, n)) {
		pci_put(v->config, v->msi + PCI_MSI_FLAGS, 2,
			flags & ~PCI_MSI_FLAGS_ENABLE);
		leave(v, IRQS_NONE);
		return;
	}
	if (wide)
		addr |= (uint64_t)pci_get(v->config,
					  v->msi + PCI_MSI_ADDRESS_HI, 4)
			<< 32;
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		mask = pci_get(
			v->config,
			v->msi + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4);
	for (uint32_t i = 0; i < n; i++)
		if (mask & 1u << i)
			connect(v, i, false);
		else
			aim(v, i, addr, (data & ~(n - 1)) | i);
}

static void update_vector(struct vfio_irqs *v, uint32_t i)
{
	const uint32_t *e = v->table[i];
	uint16_t flags =
		(uint16_t)pci_get(v->config, v->msix + PCI_MSIX_FLAGS, 2);

	if (v->armed != VFIO_PCI_MSIX_IRQ_INDEX)
		return;
	if (flags & PCI_MSIX_FLAGS_MASKALL ||
	    e[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT)
		connect(v, i, false);
	else
		aim(v, i, (uint64_t)e[1] << 32 | e[0], e[2]);
}

void vfio_irqs_update_msix(struct vfio_irqs *v)
{
	uint16_t flags =
		(uint16_t)pci_get(v->config, v->msix + PCI_MSIX_FLAGS, 2);

	if (!(flags & PCI_MSIX_FLAGS_ENABLE)) {
		leave(v, VFIO_PCI_MSIX_IRQ_INDEX);
		return;
	}
	if (!arm(v, VFIO_PCI_MSIX_IRQ_INDEX, v->of_msix)) {
		pci_put(v->config, v->msix + PCI_MSIX_FLAGS, 2,
			flags & ~PCI_MSIX_FLAGS_ENABLE);
		leave(v, IRQS_NONE);
		return;
	}
	for (uint32_t i = 0; i < v->of_msix; i++)
		update_vector(v, i);
}

static uint64_t table_read(void *opaque, uint64_t off, int len)
{
	const struct vfio_irqs *v = opaque;
	uint64_t val = 0;

	if (num_within(off, (uint64_t)len, v->of_msix * MSIX_ENTRY))
		memcpy(&val, (const uint8_t *)v->table + off, (size_t)len);
	return val;
}

/* Of 4 or 8 aligned bytes; others are nothing. */
static void table_write(void *opaque, uint64_t off, int len, uint64_t val)
{
	struct vfio_irqs *v = opaque;

	if (len < 4 || off % (uint64_t)len ||
	    !num_within(off, (uint64_t)len, v->of_msix * MSIX_ENTRY))
		return;
	memcpy((uint8_t *)v->table + off, &val, (size_t)len);
	update_vector(v, (uint32_t)(off / MSIX_ENTRY));
}

/* How many vectors there are of a kind; 0: none, or not asked for. */
static uint32_t irq_count(const struct vfio_irqs *v, uint32_t index)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

	if (vfio_ioctl(v->dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 ||
	    !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	return (uint32_t)num_min(info.count, VFIO_VECTORS_MAX);
}

static void show_msi(struct vfio_irqs *v, unsigned int at, uint8_t *writable)
{
	uint16_t flags = (uint16_t)pci_get(v->config, at + PCI_MSI_FLAGS, 2);
	bool wide = flags & PCI_MSI_FLAGS_64BIT;
	uint16_t most = (flags & PCI_MSI_FLAGS_QMASK) >> 1;

	while (most > 0 && 1u << most > v->vectors)
		most--;
	flags &= (uint16_t) ~(PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_QSIZE |
			      PCI_MSI_FLAGS_ENABLE);
	pci_put(v->config, at + PCI_MSI_FLAGS, 2, flags | (uint32_t)most << 1);
	pci_put(writable, at + PCI_MSI_FLAGS, 2,
		PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_put(writable, at + PCI_MSI_ADDRESS_LO, 4, ~3u);
	if (wide)
		pci_put(writable, at + PCI_MSI_ADDRESS_HI, 4, UINT32_MAX);
	pci_put(writable, at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2,
		UINT16_MAX);
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		pci_put(writable,
			at + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4,
			UINT32_MAX);
	v->msi = at;
}

static void show_msix(struct vfio_irqs *v, unsigned int at, uint8_t *writable)
{
	v->entries = (pci_get(v->config, at + PCI_MSIX_FLAGS, 2) &
		      PCI_MSIX_FLAGS_QSIZE) +
		     1;
	pci_put(v->config, at + PCI_MSIX_FLAGS, 2, v->of_msix - 1);
	pci_put(writable, at + PCI_MSIX_FLAGS, 2,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	v->msix = at;
}

bool vfio_irqs_show(struct vfio_irqs *v, unsigned int at, uint8_t *writable)
{
	if (v->config[at] == PCI_CAP_ID_MSI && !v->msi && at <= 0xe8 &&
	    irq_count(v, VFIO_PCI_MSI_IRQ_INDEX))
		show_msi(v, at, writable);
	else if (v->config[at] == PCI_CAP_ID_MSIX && !v->msix && at <= 0xf4 &&
		 v->of_msix)
		show_msix(v, at, writable);
	else
		return false;
	return true;
}

static int make_event(int *fd, struct mote_err *err)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? err_set(err, errno, "eventfd: %s", strerror(errno))
		       : 0;
}

void vfio_irqs_none(struct vfio_irqs *v)
{
	*v = (struct vfio_irqs){.intx_fd = -1, .armed = IRQS_NONE};
	for (int i = 0; i < VFIO_VECTORS_MAX; i++)
		v->vector[i].event_fd = -1;
}

void vfio_irqs_fini(struct vfio_irqs *v)
{
	for (int i = 0; i < VFIO_VECTORS_MAX; i++)
		fd_clear(&v->vector[i].event_fd);
	fd_clear(&v->intx_fd);
}

int vfio_irqs_init(struct vfio_irqs *v, const struct vfio_dev *dev,
		   struct irqroutes *routes, uint8_t *config,
		   struct mote_err *err)
{
	uint32_t msi;
	int first;

	v->dev = dev;
	v->routes = routes;
	v->config = config;
	msi = irq_count(v, VFIO_PCI_MSI_IRQ_INDEX);
	v->of_msix = irq_count(v, VFIO_PCI_MSIX_IRQ_INDEX);
	v->vectors = msi > v->of_msix ? msi : v->of_msix;
	first = irqroutes_alloc(v->routes, (int)v->vectors, err);
	if (first < 0)
		return first;
	for (uint32_t i = 0; i < v->vectors; i++) {
		v->vector[i].gsi = first + (int)i;
		if (make_event(&v->vector[i].event_fd, err) < 0)
			return -EMFILE;
	}
	if (!v->config[PCI_INTERRUPT_PIN] ||
	    !irq_count(v, VFIO_PCI_INTX_IRQ_INDEX))
		return 0;
	return make_event(&v->intx_fd, err);
}

void vfio_irqs_table(struct vfio_irqs *v, struct vfio_trap *trap)
{
	uint32_t at;

	*trap = (struct vfio_trap){.bar = -1};
	if (!v->msix)
		return;
	at = pci_get(v->config, v->msix + PCI_MSIX_TABLE, 4);
	*trap = (struct vfio_trap){
		.bar = (int)(at & PCI_MSIX_TABLE_BIR),
		.off = at & PCI_MSIX_TABLE_OFFSET,
		.size = v->entries * MSIX_ENTRY, /* all of it */
		.read = table_read,
		.write = table_write,
		.opaque = v,
	};
}

void vfio_irqs_reset(struct vfio_irqs *v)
{
	vfio_irqs_disarm(v);
	memset(v->table, 0, sizeof(v->table));
	for (uint32_t i = 0; i < v->vectors; i++)
		v->table[i][3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	leave(v, IRQS_NONE);
}
