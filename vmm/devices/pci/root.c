/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pci/root.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/err.h"
#include "base/num.h"
#include "devices/models.h"
#include "snapshot/stream.h"

/* ECAM: bus 27:20, device 19:15, function 14:12, register 11:0. */
#define ECAM_DEVICE(off)   ((unsigned int)((off) >> 15 & 31))
#define ECAM_FUNCTION(off) ((unsigned int)((off) >> 12 & 7))
#define ECAM_REGISTER(off) ((unsigned int)((off)&0xfff))

struct window {
	uint64_t next, end;
};

struct pci_root {
	struct window window[PCI_WINDOW_64 + 1];
	struct pci_function *function[PCI_FUNCTIONS_MAX]; /* device n + 1 */
	int functions;
};

static int root_probe(struct device *dev, const struct device_config *cfg,
		      struct mote_err *err)
{
	(void)cfg;
	dev->priv = calloc(1, sizeof(struct pci_root));
	return dev->priv ? 0 : err_set(err, ENOMEM, "PCI root");
}

static void root_destroy(struct device *dev)
{
	struct pci_root *r = dev->priv;

	for (int i = 0; i < r->functions; i++)
		r->function[i]->destroy(r->function[i]);
	free(r);
}

static void root_reset(struct device *dev)
{
	struct pci_root *r = dev->priv;

	for (int i = 0; i < r->functions; i++)
		r->function[i]->reset(r->function[i]);
}

void pci_root_windows(struct device *root, const struct arch_pci *arch,
		      uint64_t top)
{
	struct pci_root *r = root->priv;

	r->window[PCI_WINDOW_PORTS] =
		(struct window){arch->ports, arch->ports + arch->ports_size};
	r->window[PCI_WINDOW_32] =
		(struct window){arch->mmio, arch->mmio + arch->mmio_size};
	r->window[PCI_WINDOW_64] =
		(struct window){top > arch->high ? top : arch->high,
				arch->high + arch->high_size};
}

int pci_root_alloc(struct device *root, enum pci_window w, uint64_t size,
		   uint64_t *addr, struct mote_err *err)
{
	struct pci_root *r = root->priv;
	struct window *win = &r->window[w];
	uint64_t at = (win->next + size - 1) & ~(size - 1);

	if (at < win->next || !num_within(at, size, win->end))
		return err_set_class(err, ENOSPC, ERR_CLASS_UNAVAILABLE,
				     "no room for a window of 0x%" PRIx64
				     " bytes: 0x%" PRIx64 " are left",
				     size, win->end - win->next);
	*addr = at;
	win->next = at + size;
	return 0;
}

int pci_root_add(struct device *root, struct pci_function *f,
		 struct mote_err *err)
{
	struct pci_root *r = root->priv;

	if (r->functions == PCI_FUNCTIONS_MAX)
		return err_set(err, ENOSPC, "%d PCI devices at most",
			       PCI_FUNCTIONS_MAX);
	r->function[r->functions++] = f;
	return r->functions;
}

/* An access within one register of a function, or nobody's. */
static struct pci_function *target(const struct pci_root *r, uint64_t off,
				   int len)
{
	unsigned int n = ECAM_DEVICE(off);

	if (len > 4 || off % (unsigned int)len || off >> 20 ||
	    ECAM_FUNCTION(off) || n == 0 || n > (unsigned int)r->functions)
		return NULL;
	return r->function[n - 1];
}

static uint64_t root_read(struct device *dev, int region, uint64_t off, int len)
{
	struct pci_function *f = target(dev->priv, off, len);

	(void)region;
	if (!f)
		return UINT64_MAX;
	if (ECAM_REGISTER(off) >= PCI_CONFIG_SIZE)
		return 0;
	return f->read(f, ECAM_REGISTER(off), len);
}

static void root_write(struct device *dev, int region, uint64_t off, int len,
		       uint64_t val)
{
	struct pci_function *f = target(dev->priv, off, len);

	(void)region;
	if (f && ECAM_REGISTER(off) < PCI_CONFIG_SIZE)
		f->write(f, ECAM_REGISTER(off), len, (uint32_t)val);
}

/* Functions in their order; each begins with its name's length and bytes. */
static int root_save(struct device *dev, struct snap_writer *w,
		     struct mote_err *err)
{
	const struct pci_root *r = dev->priv;

	(void)err;
	snap_put_u32(w, (uint32_t)r->functions);
	for (int i = 0; i < r->functions; i++) {
		struct pci_function *f = r->function[i];
		size_t n = strlen(f->name);

		snap_put_u8(w, (uint8_t)n);
		snap_put_bytes(w, f->name, n);
		f->save(f, w);
	}
	return 0;
}

static int root_load(struct device *dev, struct snap_section *s,
		     struct mote_err *err)
{
	const struct pci_root *r = dev->priv;
	uint32_t n = snap_get_u32(s);
	char name[256];
	int ret = 0;

	if (n != (uint32_t)r->functions)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "the snapshot has %u PCI devices, the "
				     "configuration %d",
				     n, r->functions);
	for (int i = 0; ret == 0 && i < r->functions; i++) {
		size_t len = snap_get_u8(s);

		memset(name, 0, sizeof(name));
		snap_get_bytes(s, name, len);
		if (strcmp(name, r->function[i]->name) != 0)
			return err_set_class(err, EINVAL, ERR_CLASS_DATA,
					     "expected a section "
					     "[passthrough.%s] here",
					     s->error ? "?" : name);
		ret = r->function[i]->load(r->function[i], s, err);
	}
	return ret;
}

const struct device_ops pci_root_ops = {
	.name = "pci",
	.version = 1,
	.probe = root_probe,
	.destroy = root_destroy,
	.reset = root_reset,
	.read = root_read,
	.write = root_write,
	.save = root_save,
	.load = root_load,
};
