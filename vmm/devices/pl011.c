/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl011.c - an ARM PrimeCell UART, with an interrupt where the machine has
 * one for it; else polled.
 *
 * The console's rings take the place of the FIFOs: what is sent is gone at
 * once while there is room.  The interrupt is an edge: it is raised whenever
 * a cause comes and there was none.
 *
 * Source: ARM DDI 0183, chapter 3.  32-bit registers; narrower accesses
 * work on the low bytes, as the bus of the real one does.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "devices/chardev.h"
#include "devices/models.h"
#include "snapshot/stream.h"

enum {
	REG_DR = 0x000,
	REG_FR = 0x018,
	REG_IBRD = 0x024,
	REG_FBRD = 0x028,
	REG_LCRH = 0x02c,
	REG_CR = 0x030,
	REG_IFLS = 0x034,
	REG_IMSC = 0x038,
	REG_RIS = 0x03c,
	REG_MIS = 0x040,
	REG_ICR = 0x044,
	REG_ID = 0xfe0,
};

#define FR_RXFE 0x10
#define FR_TXFF 0x20
#define FR_TXFE 0x80
#define INT_RX	0x10
#define INT_TX	0x20
#define REGS	6
#define IMSC	5

struct pl011 {
	uint32_t reg[REGS]; /* IBRD FBRD LCRH CR IFLS IMSC */
	bool sent;	    /* INT_TX, until it is cleared */
	bool line;	    /* a cause holds */
};

static uint32_t raw(const struct device *dev)
{
	const struct pl011 *p = dev->priv;

	return (chardev_readable(dev->cfg.console) ? INT_RX : 0) |
	       (p->sent ? INT_TX : 0);
}

static void update(struct device *dev)
{
	struct pl011 *p = dev->priv;
	bool line = dev->cfg.irq_fd > 0 && raw(dev) & p->reg[IMSC];

	if (line && !p->line)
		device_irq(dev);
	p->line = line;
}

/* The console has input or room again. */
static void pl011_changed(void *opaque)
{
	struct device *dev = opaque;
	struct pl011 *p = dev->priv;

	pthread_mutex_lock(&dev->lock);
	if (p->reg[IMSC] & INT_TX && chardev_has_room(dev->cfg.console))
		p->sent = true;
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

/* The plain read-write registers stand in a row from IBRD on. */
static int plain(uint64_t off)
{
	if (off < REG_IBRD || off > REG_IMSC || off % 4)
		return -1;
	return (int)((off - REG_IBRD) / 4);
}

static int pl011_probe(struct device *dev, const struct device_config *cfg,
		       struct mote_err *err)
{
	dev->priv = calloc(1, sizeof(struct pl011));
	if (!dev->priv)
		return err_set(err, ENOMEM, "pl011");
	if (cfg->irq_fd > 0) {
		cfg->console->changed = pl011_changed;
		cfg->console->changed_opaque = dev;
	}
	return 0;
}

static void pl011_destroy(struct device *dev)
{
	if (dev->cfg.irq_fd > 0)
		dev->cfg.console->changed = NULL;
	free(dev->priv);
}

static void pl011_reset(struct device *dev)
{
	struct pl011 *p = dev->priv;

	*p = (struct pl011){0};
}

static uint64_t pl011_read(struct device *dev, int region, uint64_t off,
			   int len)
{
	/* Peripheral and PrimeCell id: part 0x011, revision 1 (3.3.17 on). */
	static const uint8_t id[8] = {0x11, 0x10, 0x14, 0x00,
				      0x0d, 0xf0, 0x05, 0xb1};
	struct pl011 *p = dev->priv;
	uint32_t flags;
	uint8_t byte = 0;

	(void)region;
	(void)len;
	if (off == REG_DR) {
		chardev_get(dev->cfg.console, &byte);
		update(dev);
		return byte;
	}
	if (off == REG_FR) {
		flags = FR_TXFE;
		if (!chardev_readable(dev->cfg.console))
			flags |= FR_RXFE;
		if (!chardev_has_room(dev->cfg.console))
			flags |= FR_TXFF;
		return flags;
	}
	if (off == REG_RIS)
		return raw(dev);
	if (off == REG_MIS)
		return raw(dev) & p->reg[IMSC];
	if (off >= REG_ID && off % 4 == 0)
		return id[(off - REG_ID) / 4 & 7];
	return plain(off) >= 0 ? p->reg[plain(off)] : 0;
}

static void pl011_write(struct device *dev, int region, uint64_t off, int len,
			uint64_t val)
{
	struct pl011 *p = dev->priv;

	(void)region;
	(void)len;
	if (off == REG_DR) {
		chardev_put(dev->cfg.console, (uint8_t)val);
		p->sent = chardev_has_room(dev->cfg.console);
	} else if (off == REG_ICR) {
		p->sent &= !(val & INT_TX);
	} else if (plain(off) >= 0) {
		p->reg[plain(off)] = (uint32_t)val & 0xffff;
	}
	update(dev);
}

static int pl011_save(struct device *dev, struct snap_writer *w,
		      struct mote_err *err)
{
	const struct pl011 *p = dev->priv;

	(void)err;
	for (int i = 0; i < REGS; i++)
		snap_put_u32(w, p->reg[i]);
	snap_put_u8(w, p->sent);
	return 0;
}

static int pl011_load(struct device *dev, struct snap_section *s,
		      struct mote_err *err)
{
	struct pl011 *p = dev->priv;
	uint8_t sent;

	for (int i = 0; i < REGS; i++) {
		p->reg[i] = snap_get_u32(s);
		if (p->reg[i] > 0xffff)
			return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
					     "pl011: register out of range");
	}
	sent = s->version >= 2 ? snap_get_u8(s) : 0;
	p->sent = sent;
	p->line = false;
	if (sent > 1)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "pl011: interrupt out of range");
	return 0;
}

static void pl011_reraise(struct device *dev)
{
	pthread_mutex_lock(&dev->lock);
	((struct pl011 *)dev->priv)->line = false;
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

const struct device_ops pl011_ops = {
	.name = "pl011",
	.version = 2,
	.reraise = pl011_reraise,
	.probe = pl011_probe,
	.destroy = pl011_destroy,
	.reset = pl011_reset,
	.read = pl011_read,
	.write = pl011_write,
	.save = pl011_save,
	.load = pl011_load,
};
