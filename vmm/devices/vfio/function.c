/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/function.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"
#include "devices/ioapic.h"
#include "devices/pci/root.h"
#include "devices/vfio/bars.h"
#include "devices/vfio/device.h"
#include "devices/vfio/irqs.h"
#include "devices/vfio/migration.h"
#include "devices/vfio/uapi.h"
#include "snapshot/stream.h"

#define STATE_MAX (UINT64_C(1) << 30) /* bytes of a device's state */

struct vfio_function {
	struct pci_function f;
	struct device *ioapic;
	int pin; /* of the I/O APIC, for INTx */
	struct vfio_dev *dev;
	struct vfio_mig mig; /* of a device that has states */
	bool can_save;
	uint64_t config_at; /* offset of its configuration space in fd */
	uint8_t config[PCI_CONFIG_SIZE], initial[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that the guest may change */
	struct vfio_bars bars;
	struct vfio_irqs irqs;
	bool held; /* bus master is off while it is still */
};

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

		return pci_get((const uint8_t *)&bar, off & 3, len);
	}
	return pci_get(v->config, off, len);
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
		set_command(v, (uint16_t)pci_get(v->config, PCI_COMMAND, 2));
	if (v->irqs.msi && touches(off, len, v->irqs.msi, 24))
		vfio_irqs_update_msi(&v->irqs);
	if (v->irqs.msix && touches(off, len, v->irqs.msix, 4))
		vfio_irqs_update_msix(&v->irqs);
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

	vfio_irqs_disarm(&v->irqs);
	vfio_ioctl(v->dev->fd, VFIO_DEVICE_RESET, NULL);
	memcpy(v->config, v->initial, sizeof(v->config));
	set_command(v, 0);
	vfio_irqs_reset(&v->irqs);
}

int vfio_function_hold(struct vfio_function *v, bool hold, struct mote_err *err)
{
	int ret;

	v->held = hold;
	ret = set_command(v, (uint16_t)pci_get(v->config, PCI_COMMAND, 2));
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
	snap_put_u32(w, v->irqs.vectors);
	snap_put_bytes(w, v->config, sizeof(v->config));
	for (uint32_t i = 0; i < v->irqs.vectors; i++)
		for (int k = 0; k < 4; k++)
			snap_put_u32(w, v->irqs.table[i][k]);
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
	if (snap_get_u32(s) != v->irqs.vectors)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "passthrough.%s: another number of "
				     "interrupts than was saved",
				     f->name);
	snap_get_bytes(s, saved, sizeof(saved));
	for (uint32_t i = 0; i < v->irqs.vectors; i++)
		for (int k = 0; k < 4; k++)
			v->irqs.table[i][k] = snap_get_u32(s);
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
	if (v->irqs.msi)
		vfio_irqs_update_msi(&v->irqs);
	if (v->irqs.msix)
		vfio_irqs_update_msix(&v->irqs);
	if (memcmp(v->config, saved, sizeof(saved)) != 0)
		return err_set_class(err, ENOSPC, ERR_CLASS_UNAVAILABLE,
				     "passthrough.%s: this host does not give "
				     "it the interrupts that it had",
				     f->name);
	ret = vfio_function_hold(v, false, err);
	if (ret < 0)
		return ret;
	ret = vfio_mig_load(&v->mig, blob, len, &own);
	if (ret < 0) /* the kernel's word on it: not this device's state */
		return err_set_class(err, -ret, ERR_CLASS_DATA,
				     "passthrough.%s: %s", f->name, own.msg);
	return 0;
}

static void function_destroy(struct pci_function *f)
{
	struct vfio_function *v = (struct vfio_function *)f;

	vfio_irqs_disarm(&v->irqs);
	vfio_ioctl(v->dev->fd, VFIO_DEVICE_RESET, NULL);
	if (v->irqs.intx_fd >= 0)
		ioapic_attach(v->ioapic, v->pin, -1, NULL, NULL);
	vfio_irqs_fini(&v->irqs);
	vfio_bars_fini(&v->bars);
	vfio_mig_fini(&v->mig);
	free(v);
}

/* --- what the device has ----------------------------------------------------
 */

/* Link the capabilities that the guest sees; a loop ends after 48 of them. */
static void show_capabilities(struct vfio_function *v)
{
	unsigned int at = v->config[PCI_CAPABILITY_LIST] & 0xfcu;
	unsigned int link = PCI_CAPABILITY_LIST;
	bool has = pci_get(v->config, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST;

	v->config[link] = 0;
	for (int i = 0; has && at >= 0x40 && i < 48; i++) {
		unsigned int next = v->config[at + PCI_CAP_LIST_NEXT] & 0xfcu;
		uint8_t id = v->config[at];
		bool show = id == PCI_CAP_ID_EXP || id == PCI_CAP_ID_VNDR ||
			    vfio_irqs_show(&v->irqs, at, v->writable);

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
	pci_put(v->config, PCI_COMMAND, 2, 0);
	pci_put(v->config, PCI_STATUS, 2,
		pci_get(v->config, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	pci_put(v->config, PCI_BASE_ADDRESS_0, 4, 0);
	memset(v->config + PCI_BASE_ADDRESS_0, 0, 24); /* vfio_bars_get */
	pci_put(v->config, PCI_ROM_ADDRESS, 4, 0);
	v->config[PCI_INTERRUPT_LINE] =
		(uint8_t)(v->irqs.intx_fd >= 0 ? v->pin : 0);
	v->config[PCI_INTERRUPT_PIN] = v->irqs.intx_fd >= 0; /* INTA */
	pci_put(v->writable, PCI_COMMAND, 2,
		PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			PCI_COMMAND_INTX_DISABLE);
	v->writable[PCI_INTERRUPT_LINE] = 0xff;
	v->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	show_capabilities(v);
	memcpy(v->initial, v->config, sizeof(v->initial));
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
		ret = vfio_irqs_init(&v->irqs, v->dev, opt->routes, v->config,
				     err);
	if (ret < 0)
		return ret;
	memcpy(bars.raw, v->config + PCI_BASE_ADDRESS_0, sizeof(bars.raw));
	show_header(v);
	vfio_irqs_table(&v->irqs, &bars.trap);
	ret = set_command(v, 0);
	if (ret < 0)
		return err_set(err, -ret, "command register: %s",
			       strerror(-ret));
	if (v->irqs.intx_fd >= 0)
		ioapic_attach(v->ioapic, v->pin, v->irqs.intx_fd,
			      vfio_irqs_intx_ended, &v->irqs);
	vfio_irqs_reset(&v->irqs);
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
	v->ioapic = opt->ioapic;
	v->pin = opt->pin;
	v->dev = dev;
	v->mig.data_fd = -1;
	v->can_save = vfio_mig_init(&v->mig, dev, STATE_MAX, NULL) == 0;
	vfio_irqs_none(&v->irqs);
	ret = set_up(v, opt, err);
	if (ret < 0) {
		function_destroy(&v->f);
		return err_wrap(err, ret, "passthrough.%s", opt->name);
	}
	*out = v;
	return 0;
}
