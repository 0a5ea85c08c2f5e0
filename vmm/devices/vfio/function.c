/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/function.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"
#include "devices/ioapic.h"
#include "devices/irqroute.h"
#include "devices/pci/root.h"
#include "devices/vfio/bars.h"
#include "devices/vfio/device.h"
#include "devices/vfio/migration.h"
#include "devices/vfio/uapi.h"
#include "snapshot/stream.h"

#define VECTORS_MAX 64 /* of one device */
#define IRQS_NONE   UINT32_MAX
#define STATE_MAX   (UINT64_C(1) << 30) /* bytes of a device's state */
#define MSIX_ENTRY  16			/* bytes: address, data, control */

struct vector {
	int event_fd, gsi;
	bool on; /* KVM listens */
};

struct vfio_function {
	struct pci_function f;
	struct device *root;
	struct irqroutes *routes;
	struct device *ioapic;
	int pin, intx_fd; /* -1: it has no pin */
	struct vfio_dev *dev;
	struct vfio_mig mig; /* of a device that has states */
	bool can_save;
	uint64_t config_at; /* offset of its configuration space in fd */
	uint8_t config[PCI_CONFIG_SIZE], initial[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that the guest may change */
	struct vfio_bars bars;
	unsigned int msi, msix;	     /* offsets of the capabilities, 0: none */
	uint32_t entries;	     /* of the device\'s MSI-X table */
	uint32_t vectors, irq_index; /* irq_index: as armed now, or none */
	struct vector vector[VECTORS_MAX];
	uint32_t table[VECTORS_MAX]
		      [4]; /* MSI-X: address low, high, data, mask */
	bool held;	   /* bus master is off while it is still */
};

static uint32_t get(const uint8_t *config, unsigned int off, int len)
{
	uint32_t v = 0;

	memcpy(&v, config + off, (size_t)len);
	return v;
}

static void put(uint8_t *config, unsigned int off, int len, uint32_t v)
{
	memcpy(config + off, &v, (size_t)len);
}

/* --- interrupts -------------------------------------------------------------
 */

/* VFIO_DEVICE_SET_IRQS: n eventfds, or with none the interrupt is off. */
static int set_irqs(struct vfio_function *v, uint32_t index, uint32_t n)
{
	struct {
		struct vfio_irq_set head;
		int32_t fd[VECTORS_MAX];
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

/*
 * The guest has handled its INTx: VFIO masked the pin when it raised it, and
 * raises it again if the device still holds it.  Refused where MSI is on.
 */
static void intx_ended(void *opaque)
{
	const struct vfio_function *v = opaque;
	struct vfio_irq_set set = {.argsz = sizeof(set),
				   .flags = VFIO_IRQ_SET_ACTION_UNMASK |
					    VFIO_IRQ_SET_DATA_NONE,
				   .index = VFIO_PCI_INTX_IRQ_INDEX,
				   .count = 1};

	vfio_ioctl(v->dev->fd, VFIO_DEVICE_SET_IRQS, &set);
}

static void connect(struct vfio_function *v, uint32_t i, bool on)
{
	struct vector *to = &v->vector[i];

	if (to->on != on &&
	    irqroutes_connect(v->routes, to->gsi, to->event_fd, on) == 0)
		to->on = on;
}

/* A message that KVM does not take (a bad address) is one that gets lost. */
static void aim(struct vfio_function *v, uint32_t i, uint64_t addr,
		uint32_t data)
{
	if (irqroutes_set(v->routes, v->vector[i].gsi, addr, data) == 0)
		connect(v, i, true);
	else
		connect(v, i, false);
}

static void disarm(struct vfio_function *v)
{
	for (uint32_t i = 0; i < v->vectors; i++)
		connect(v, i, false);
	if (v->irq_index != IRQS_NONE)
		set_irqs(v, v->irq_index, 0);
	v->irq_index = IRQS_NONE;
}

/* n vectors of that kind; false: the host has not that many left. */
static bool arm(struct vfio_function *v, uint32_t index, uint32_t n)
{
	if (v->irq_index == index)
		return true;
	disarm(v);
	if (set_irqs(v, index, n) < 0)
		return false;
	v->irq_index = index;
	return true;
}

/* The kind that is off now; INTx is what is left. */
static void leave(struct vfio_function *v, uint32_t index)
{
	if (v->irq_index != index)
		return;
	disarm(v);
	if (v->intx_fd >= 0)
		arm(v, VFIO_PCI_INTX_IRQ_INDEX, 1);
}

static void update_msi(struct vfio_function *v)
{
	uint16_t flags = (uint16_t)get(v->config, v->msi + PCI_MSI_FLAGS, 2);
	bool wide = flags & PCI_MSI_FLAGS_64BIT;
	uint32_t most = 1u << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
	uint32_t n = 1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4);
	uint64_t addr = get(v->config, v->msi + PCI_MSI_ADDRESS_LO, 4);
	uint32_t data =
		get(v->config,
		    v->msi + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2);
	uint32_t mask = 0;

	if (!(flags & PCI_MSI_FLAGS_ENABLE)) {
		leave(v, VFIO_PCI_MSI_IRQ_INDEX);
		return;
	}
	n = n > most ? most : n;
	if (!arm(v, VFIO_PCI_MSI_IRQ_INDEX, n)) {
		put(v->config, v->msi + PCI_MSI_FLAGS, 2,
		    flags & ~PCI_MSI_FLAGS_ENABLE);
		leave(v, IRQS_NONE);
		return;
	}
	if (wide)
		addr |= (uint64_t)get(v->config, v->msi + PCI_MSI_ADDRESS_HI, 4)
			<< 32;
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		mask = get(v->config,
			   v->msi + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32),
			   4);
	for (uint32_t i = 0; i < n; i++)
		if (mask & 1u << i)
			connect(v, i, false);
		else
			aim(v, i, addr, (data & ~(n - 1)) | i);
}

static void update_vector(struct vfio_function *v, uint32_t i)
{
	const uint32_t *e = v->table[i];
	uint16_t flags = (uint16_t)get(v->config, v->msix + PCI_MSIX_FLAGS, 2);

	if (v->irq_index != VFIO_PCI_MSIX_IRQ_INDEX)
		return;
	if (flags & PCI_MSIX_FLAGS_MASKALL ||
	    e[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT)
		connect(v, i, false);
	else
		aim(v, i, (uint64_t)e[1] << 32 | e[0], e[2]);
}

static void update_msix(struct vfio_function *v)
{
	uint16_t flags = (uint16_t)get(v->config, v->msix + PCI_MSIX_FLAGS, 2);

	if (!(flags & PCI_MSIX_FLAGS_ENABLE)) {
		leave(v, VFIO_PCI_MSIX_IRQ_INDEX);
		return;
	}
	if (!arm(v, VFIO_PCI_MSIX_IRQ_INDEX, v->vectors)) {
		put(v->config, v->msix + PCI_MSIX_FLAGS, 2,
		    flags & ~PCI_MSIX_FLAGS_ENABLE);
		leave(v, IRQS_NONE);
		return;
	}
	for (uint32_t i = 0; i < v->vectors; i++)
		update_vector(v, i);
}

/* --- the MSI-X table: in our memory, not in the device's --------------------
 */

static uint64_t table_read(void *opaque, uint64_t off, int len)
{
	const struct vfio_function *v = opaque;
	uint64_t val = 0;

	if (num_within(off, (uint64_t)len, v->vectors * MSIX_ENTRY))
		memcpy(&val, (const uint8_t *)v->table + off, (size_t)len);
	return val;
}

/* Of 4 or 8 aligned bytes; others are nothing. */
static void table_write(void *opaque, uint64_t off, int len, uint64_t val)
{
	struct vfio_function *v = opaque;

	if (len < 4 || off % (uint64_t)len ||
	    !num_within(off, (uint64_t)len, v->vectors * MSIX_ENTRY))
		return;
	memcpy((uint8_t *)v->table + off, &val, (size_t)len);
	update_vector(v, (uint32_t)(off / MSIX_ENTRY));
}

/* --- configuration space ----------------------------------------------------
 */

/* What of the command register the device itself gets. */
#define COMMAND_PASSED (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

static int set_command(struct vfio_function *v, uint16_t guest)
{
	uint16_t cmd = (uint16_t)((guest & COMMAND_PASSED) |
				  PCI_COMMAND_MEMORY | PCI_COMMAND_IO);

	if (v->held)
		cmd &= (uint16_t)~PCI_COMMAND_MASTER;
	return fd_pwrite_full(v->dev->fd, &cmd, sizeof(cmd),
			      v->config_at + PCI_COMMAND);
}

static uint32_t config_read(struct pci_function *f, unsigned int off, int len)
{
	const struct vfio_function *v = (const struct vfio_function *)f;
	unsigned int reg = off & ~3u;

	if (reg >= PCI_BASE_ADDRESS_0 && reg <= PCI_BASE_ADDRESS_5) {
		uint32_t bar =
			vfio_bars_get(&v->bars, (reg - PCI_BASE_ADDRESS_0) / 4);

		return get((const uint8_t *)&bar, off & 3, len);
	}
	return get(v->config, off, len);
}

static bool touches(unsigned int off, int len, unsigned int at,
		    unsigned int size)
{
	return off < at + size && at < off + (unsigned int)len;
}

/* Bring what depends on [off, off + len) in line with it. */
static void update(struct vfio_function *v, unsigned int off, int len)
{
	if (touches(off, len, PCI_COMMAND, 2))
		set_command(v, (uint16_t)get(v->config, PCI_COMMAND, 2));
	if (v->msi && touches(off, len, v->msi, 24))
		update_msi(v);
	if (v->msix && touches(off, len, v->msix, 4))
		update_msix(v);
}

static void config_write(struct pci_function *f, unsigned int off, int len,
			 uint32_t val)
{
	struct vfio_function *v = (struct vfio_function *)f;
	uint8_t was[4];

	if (off >= PCI_BASE_ADDRESS_0 && off < PCI_BASE_ADDRESS_5 + 4) {
		if (len == 4)
			vfio_bars_put(&v->bars, (off - PCI_BASE_ADDRESS_0) / 4,
				      val);
		return;
	}
	memcpy(was, v->config + off, (size_t)len);
	for (int i = 0; i < len; i++) {
		uint8_t mask = v->writable[off + (unsigned int)i];

		v->config[off + (unsigned int)i] =
			(uint8_t)((was[i] & ~mask) | (val >> 8 * i & mask));
	}
	if (memcmp(was, v->config + off, (size_t)len) != 0)
		update(v, off, len);
}

/* --- life -------------------------------------------------------------------
 */

static void function_reset(struct pci_function *f)
{
	struct vfio_function *v = (struct vfio_function *)f;

	disarm(v);
	vfio_ioctl(v->dev->fd, VFIO_DEVICE_RESET, NULL);
	memcpy(v->config, v->initial, sizeof(v->config));
	memset(v->table, 0, sizeof(v->table));
	for (uint32_t i = 0; i < v->vectors; i++)
		v->table[i][3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	set_command(v, 0);
	leave(v, IRQS_NONE);
}

int vfio_function_hold(struct vfio_function *v, bool hold, struct mote_err *err)
{
	int ret;

	v->held = hold;
	ret = set_command(v, (uint16_t)get(v->config, PCI_COMMAND, 2));
	if (ret < 0)
		return err_set(err, -ret,
			       "passthrough.%s: command register: %s",
			       v->f.name, strerror(-ret));
	return 0;
}

struct vfio_mig *vfio_function_mig(struct vfio_function *v)
{
	return v->can_save ? &v->mig : NULL;
}

/* Without its state the device is as after a reset, and so is this. */
static void function_save(struct pci_function *f, struct snap_writer *w)
{
	const struct vfio_function *v = (const struct vfio_function *)f;

	snap_put_u8(w, v->can_save);
	if (!v->can_save)
		return;
	snap_put_u32(w, v->vectors);
	snap_put_bytes(w, v->config, sizeof(v->config));
	for (uint32_t i = 0; i < v->vectors; i++)
		for (int k = 0; k < 4; k++)
			snap_put_u32(w, v->table[i][k]);
	snap_put_u64(w, v->mig.len);
	snap_put_bytes(w, v->mig.blob, v->mig.len);
}

/* Another device than the one that was saved is told by what it can't change.
 */
static int load_config(struct vfio_function *v, const uint8_t *saved,
		       struct mote_err *err)
{
	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
		if ((saved[i] ^ v->initial[i]) & ~v->writable[i])
			return err_set_class(
				err, EINVAL, ERR_CLASS_DATA,
				"passthrough.%s: another device than the one "
				"that was saved: byte 0x%x of its "
				"configuration is 0x%02x, saved was 0x%02x",
				v->f.name, i, v->initial[i], saved[i]);
	memcpy(v->config, saved, sizeof(v->config));
	return 0;
}

static int function_load(struct pci_function *f, struct snap_section *s,
			 struct mote_err *err)
{
	struct vfio_function *v = (struct vfio_function *)f;
	uint8_t saved[PCI_CONFIG_SIZE];
	struct mote_err own = {0};
	const void *blob;
	uint64_t len;
	int ret;

	if (!snap_get_u8(s))
		return 0;
	if (!v->can_save && !s->error)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "passthrough.%s: this device can't take "
				     "the state that was saved",
				     f->name);
	if (snap_get_u32(s) != v->vectors)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "passthrough.%s: another number of "
				     "interrupts than was saved",
				     f->name);
	snap_get_bytes(s, saved, sizeof(saved));
	for (uint32_t i = 0; i < v->vectors; i++)
		for (int k = 0; k < 4; k++)
			v->table[i][k] = snap_get_u32(s);
	len = snap_get_u64(s);
	if (len > snap_left(s))
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "passthrough.%s: a state of %" PRIu64
				     " bytes, the section has %zu",
				     f->name, len, snap_left(s));
	blob = snap_get_raw(s, len);
	if (s->error)
		return snap_section_close(s, err);
	ret = load_config(v, saved, err);
	if (ret < 0)
		return ret;
	if (v->msi)
		update_msi(v);
	if (v->msix)
		update_msix(v);
	ret = set_command(v, (uint16_t)get(v->config, PCI_COMMAND, 2));
	if (ret < 0)
		return err_set(err, -ret,
			       "passthrough.%s: command register: %s", f->name,
			       strerror(-ret));
	ret = vfio_mig_load(&v->mig, blob, len, &own);
	if (ret < 0) /* the kernel's word on it: not this device's state */
		return err_set_class(err, -ret, ERR_CLASS_DATA,
				     "passthrough.%s: %s", f->name, own.msg);
	return 0;
}

static void function_destroy(struct pci_function *f)
{
	struct vfio_function *v = (struct vfio_function *)f;

	disarm(v);
	vfio_ioctl(v->dev->fd, VFIO_DEVICE_RESET, NULL);
	for (int i = 0; i < VECTORS_MAX; i++)
		fd_clear(&v->vector[i].event_fd);
	if (v->intx_fd >= 0)
		ioapic_attach(v->ioapic, v->pin, -1, NULL, NULL);
	fd_clear(&v->intx_fd);
	vfio_bars_fini(&v->bars);
	vfio_mig_fini(&v->mig);
	free(v);
}

/* --- what the device has ----------------------------------------------------
 */

static void show_msi(struct vfio_function *v, unsigned int at)
{
	uint16_t flags = (uint16_t)get(v->config, at + PCI_MSI_FLAGS, 2);
	bool wide = flags & PCI_MSI_FLAGS_64BIT;
	uint16_t most = (flags & PCI_MSI_FLAGS_QMASK) >> 1;

	while (most > 0 && 1u << most > v->vectors)
		most--;
	flags &= (uint16_t) ~(PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_QSIZE |
			      PCI_MSI_FLAGS_ENABLE);
	put(v->config, at + PCI_MSI_FLAGS, 2, flags | (uint32_t)most << 1);
	put(v->writable, at + PCI_MSI_FLAGS, 2,
	    PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	put(v->writable, at + PCI_MSI_ADDRESS_LO, 4, ~3u);
	if (wide)
		put(v->writable, at + PCI_MSI_ADDRESS_HI, 4, UINT32_MAX);
	put(v->writable, at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2,
	    UINT16_MAX);
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		put(v->writable,
		    at + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4,
		    UINT32_MAX);
	v->msi = at;
}

static void show_msix(struct vfio_function *v, unsigned int at)
{
	v->entries = (get(v->config, at + PCI_MSIX_FLAGS, 2) &
		      PCI_MSIX_FLAGS_QSIZE) +
		     1;
	put(v->config, at + PCI_MSIX_FLAGS, 2, v->vectors - 1);
	put(v->writable, at + PCI_MSIX_FLAGS, 2,
	    PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	v->msix = at;
}

/* How many vectors there are of a kind; 0: none, or not asked for. */
static uint32_t irq_count(const struct vfio_function *v, uint32_t index)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

	if (vfio_ioctl(v->dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 ||
	    !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	return (uint32_t)num_min(info.count, VECTORS_MAX);
}

/* Link the capabilities that the guest sees; a loop ends after 48 of them. */
static void show_capabilities(struct vfio_function *v)
{
	unsigned int at = v->config[PCI_CAPABILITY_LIST] & 0xfcu;
	unsigned int link = PCI_CAPABILITY_LIST;
	bool has = get(v->config, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST;

	v->config[link] = 0;
	for (int i = 0; has && at >= 0x40 && i < 48; i++) {
		unsigned int next = v->config[at + PCI_CAP_LIST_NEXT] & 0xfcu;
		uint8_t id = v->config[at];
		bool show = id == PCI_CAP_ID_EXP || id == PCI_CAP_ID_VNDR;

		if (id == PCI_CAP_ID_MSI && !v->msi &&
		    irq_count(v, VFIO_PCI_MSI_IRQ_INDEX) && at <= 0xe8) {
			show_msi(v, at);
			show = true;
		}
		if (id == PCI_CAP_ID_MSIX && !v->msix &&
		    irq_count(v, VFIO_PCI_MSIX_IRQ_INDEX) && at <= 0xf4) {
			show_msix(v, at);
			show = true;
		}
		if (show) {
			v->config[link] = (uint8_t)at;
			link = at + PCI_CAP_LIST_NEXT;
			v->config[link] = 0;
		}
		at = next;
	}
}

static int read_config(struct vfio_function *v, struct mote_err *err)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = VFIO_PCI_CONFIG_REGION_INDEX};
	int ret = vfio_ioctl(v->dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info);

	if (ret == 0 && info.size < PCI_STD_HEADER_SIZEOF)
		ret = -EINVAL;
	v->config_at = info.offset;
	/* Samples of mediated devices have a byte less. */
	if (ret == 0)
		ret = fd_pread_full(v->dev->fd, v->config,
				    num_min(info.size, sizeof(v->config)),
				    v->config_at);
	if (ret < 0)
		return err_set(err, -ret, "configuration space: %s",
			       strerror(-ret));
	if ((v->config[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL)
		return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
				     "it is a bridge");
	return 0;
}

/* The header as a guest finds it after power-on. */
static void show_header(struct vfio_function *v)
{
	v->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL;
	put(v->config, PCI_COMMAND, 2, 0);
	put(v->config, PCI_STATUS, 2,
	    get(v->config, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	put(v->config, PCI_BASE_ADDRESS_0, 4, 0);
	memset(v->config + PCI_BASE_ADDRESS_0, 0, 24); /* vfio_bars_get */
	put(v->config, PCI_ROM_ADDRESS, 4, 0);
	v->config[PCI_INTERRUPT_LINE] = (uint8_t)(v->intx_fd >= 0 ? v->pin : 0);
	v->config[PCI_INTERRUPT_PIN] = v->intx_fd >= 0; /* INTA */
	put(v->writable, PCI_COMMAND, 2,
	    PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		    PCI_COMMAND_INTX_DISABLE);
	v->writable[PCI_INTERRUPT_LINE] = 0xff;
	v->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	show_capabilities(v);
	memcpy(v->initial, v->config, sizeof(v->initial));
}

static int make_event(int *fd, struct mote_err *err)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? err_set(err, errno, "eventfd: %s", strerror(errno))
		       : 0;
}

static int make_vectors(struct vfio_function *v, struct mote_err *err)
{
	uint32_t msi = irq_count(v, VFIO_PCI_MSI_IRQ_INDEX);
	uint32_t msix = irq_count(v, VFIO_PCI_MSIX_IRQ_INDEX);
	int first;

	v->vectors = msi > msix ? msi : msix;
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

/* Where its MSI-X table lies, as the capability says. */
static void find_table(const struct vfio_function *v, struct vfio_trap *trap)
{
	uint32_t at;

	*trap = (struct vfio_trap){.bar = -1};
	if (!v->msix)
		return;
	at = get(v->config, v->msix + PCI_MSIX_TABLE, 4);
	*trap = (struct vfio_trap){
		.bar = (int)(at & PCI_MSIX_TABLE_BIR),
		.off = at & PCI_MSIX_TABLE_OFFSET,
		.size = v->entries * MSIX_ENTRY, /* all of it */
		.read = table_read,
		.write = table_write,
		.opaque = (void *)v,
	};
}

static int set_up(struct vfio_function *v,
		  const struct vfio_function_options *opt, struct mote_err *err)
{
	struct vfio_bars_options bars = {.root = opt->root,
					 .bus = opt->bus,
					 .vm_fd = opt->vm_fd,
					 .slot = opt->slot};
	int ret = vfio_ioctl(v->dev->fd, VFIO_DEVICE_RESET, NULL);

	/* One that can't be reset alone was reset by its opening, or not. */
	if (ret < 0 && ret != -EINVAL && ret != -ENOTTY)
		return err_set(err, -ret, "VFIO_DEVICE_RESET: %s",
			       strerror(-ret));
	ret = read_config(v, err);
	if (ret == 0)
		ret = make_vectors(v, err);
	if (ret < 0)
		return ret;
	memcpy(bars.raw, v->config + PCI_BASE_ADDRESS_0, sizeof(bars.raw));
	show_header(v);
	find_table(v, &bars.trap);
	for (uint32_t i = 0; i < v->vectors; i++)
		v->table[i][3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	ret = set_command(v, 0);
	if (ret < 0)
		return err_set(err, -ret, "command register: %s",
			       strerror(-ret));
	if (v->intx_fd >= 0)
		ioapic_attach(v->ioapic, v->pin, v->intx_fd, intx_ended, v);
	leave(v, IRQS_NONE);
	ret = vfio_bars_init(&v->bars, &v->dev->fd, &bars, err);
	return ret < 0 ? ret : pci_root_add(opt->root, &v->f, err);
}

int vfio_function_create(struct vfio_function **out, struct vfio_dev *dev,
			 const struct vfio_function_options *opt,
			 struct mote_err *err)
{
	struct vfio_function *v = calloc(1, sizeof(*v));
	int ret;

	*out = NULL;
	if (!v)
		return err_set(err, ENOMEM, "passthrough.%s", opt->name);
	v->f = (struct pci_function){
		.name = opt->name,
		.read = config_read,
		.write = config_write,
		.reset = function_reset,
		.save = function_save,
		.load = function_load,
		.destroy = function_destroy,
	};
	v->root = opt->root;
	v->routes = opt->routes;
	v->ioapic = opt->ioapic;
	v->pin = opt->pin;
	v->intx_fd = -1;
	v->dev = dev;
	v->mig.data_fd = -1;
	v->can_save = vfio_mig_init(&v->mig, dev, STATE_MAX, NULL) == 0;
	v->irq_index = IRQS_NONE;
	for (int i = 0; i < VECTORS_MAX; i++)
		v->vector[i].event_fd = -1;
	ret = set_up(v, opt, err);
	if (ret < 0) {
		function_destroy(&v->f);
		return err_wrap(err, ret, "passthrough.%s", opt->name);
	}
	*out = v;
	return 0;
}
