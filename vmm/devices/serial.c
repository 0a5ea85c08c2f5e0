/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serial.c - a 16550A-compatible UART, with interrupts where the machine has
 * one for it; else polled.
 *
 * What is sent is gone at once while the console has room, so that the
 * transmitter is empty again.  Received bytes wait in the console's ring,
 * which takes the place of the FIFO.  The interrupt is an edge: it is raised
 * whenever a cause comes and there was none.
 *
 * Source: National Semiconductor PC16550D data sheet, section 8.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "devices/chardev.h"
#include "devices/models.h"
#include "snapshot/stream.h"

enum {
	REG_DATA = 0, /* or divisor low */
	REG_IER = 1,  /* or divisor high */
	REG_IIR = 2,  /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define LCR_DLAB	0x80
#define LSR_DR		0x01
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define IER_INPUT	0x01
#define IER_EMPTY	0x02
#define IIR_NONE	0x01
#define IIR_EMPTY	0x02
#define IIR_INPUT	0x04
#define IIR_FIFO	0xc0
#define FCR_ENABLE	0x01
#define MCR_LOOP	0x10
#define MSR_DCD_DSR_CTS 0xb0

struct serial {
	uint8_t ier, lcr, mcr, scr, dll, dlm;
	bool fifo;
	bool empty; /* the transmitter became so, and nobody was told */
	bool line;  /* a cause holds */
};

/* What IIR says of causes, the most urgent first. */
static uint8_t cause(const struct device *dev)
{
	const struct serial *s = dev->priv;

	if (s->ier & IER_INPUT && chardev_readable(dev->cfg.console))
		return IIR_INPUT;
	if (s->ier & IER_EMPTY && s->empty)
		return IIR_EMPTY;
	return IIR_NONE;
}

static void update(struct device *dev)
{
	struct serial *s = dev->priv;
	bool line = dev->cfg.irq_fd > 0 && cause(dev) != IIR_NONE;

	if (line && !s->line)
		device_irq(dev);
	s->line = line;
}

/* The console has input or room again. */
static void serial_changed(void *opaque)
{
	struct device *dev = opaque;
	struct serial *s = dev->priv;

	pthread_mutex_lock(&dev->lock);
	if (s->ier & IER_EMPTY && chardev_has_room(dev->cfg.console))
		s->empty = true;
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

static int serial_probe(struct device *dev, const struct device_config *cfg,
			struct mote_err *err)
{
	dev->priv = calloc(1, sizeof(struct serial));
	if (!dev->priv)
		return err_set(err, ENOMEM, "serial port");
	if (cfg->irq_fd > 0) {
		cfg->console->changed = serial_changed;
		cfg->console->changed_opaque = dev;
	}
	return 0;
}

static void serial_destroy(struct device *dev)
{
	if (dev->cfg.irq_fd > 0)
		dev->cfg.console->changed = NULL;
	free(dev->priv);
}

static void serial_reset(struct device *dev)
{
	struct serial *s = dev->priv;

	*s = (struct serial){0};
}

/* The modem's lines: a modem that is ready, or our own lines looped back. */
static uint8_t modem(const struct serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_DCD_DSR_CTS;
	return (uint8_t)((s->mcr & 0x02) << 3 | (s->mcr & 0x01) << 5 |
			 (s->mcr & 0x0c) << 4);
}

/* To read IIR tells of the empty transmitter, once. */
static uint8_t identify(struct device *dev)
{
	struct serial *s = dev->priv;
	uint8_t what = cause(dev);

	if (what == IIR_EMPTY)
		s->empty = false;
	update(dev);
	return (uint8_t)(what | (s->fifo ? IIR_FIFO : 0));
}

static uint64_t serial_read(struct device *dev, int region, uint64_t off,
			    int len)
{
	struct serial *s = dev->priv;
	bool dlab = s->lcr & LCR_DLAB;
	uint8_t byte = 0;

	(void)region;
	if (len != 1)
		return UINT64_MAX;
	switch (off) {
	case REG_DATA:
		if (dlab)
			return s->dll;
		chardev_get(dev->cfg.console, &byte);
		update(dev);
		return byte;
	case REG_IER:
		return dlab ? s->dlm : s->ier;
	case REG_IIR:
		return identify(dev);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		byte = chardev_readable(dev->cfg.console) ? LSR_DR : 0;
		if (chardev_has_room(dev->cfg.console))
			byte |= LSR_THRE | LSR_TEMT;
		return byte;
	case REG_MSR:
		return modem(s);
	default:
		return s->scr;
	}
}

/* Gone at once, unless the ring is full now: then serial_changed tells. */
static void transmit(struct device *dev, uint8_t byte)
{
	struct serial *s = dev->priv;

	chardev_put(dev->cfg.console, byte);
	if (dev->cfg.irq_fd <= 0)
		return;
	s->empty = chardev_has_room(dev->cfg.console);
	update(dev);
}

static void enable(struct device *dev, uint8_t ier)
{
	struct serial *s = dev->priv;

	if (ier & ~s->ier & IER_EMPTY)
		s->empty = chardev_has_room(dev->cfg.console);
	s->ier = ier;
	update(dev);
}

static void serial_write(struct device *dev, int region, uint64_t off, int len,
			 uint64_t val)
{
	struct serial *s = dev->priv;
	bool dlab = s->lcr & LCR_DLAB;
	uint8_t byte = (uint8_t)val;

	(void)region;
	if (len != 1)
		return;
	switch (off) {
	case REG_DATA:
		if (dlab)
			s->dll = byte;
		else if (!(s->mcr & MCR_LOOP))
			transmit(dev, byte);
		break;
	case REG_IER:
		if (dlab)
			s->dlm = byte;
		else
			enable(dev, byte & 0x0f);
		break;
	case REG_IIR:
		s->fifo = byte & FCR_ENABLE;
		break;
	case REG_LCR:
		s->lcr = byte;
		break;
	case REG_MCR:
		s->mcr = byte & 0x1f;
		break;
	case REG_SCR:
		s->scr = byte;
		break;
	default:
		break;
	}
}

static int serial_save(struct device *dev, struct snap_writer *w,
		       struct mote_err *err)
{
	const struct serial *s = dev->priv;

	(void)err;
	snap_put_u8(w, s->ier);
	snap_put_u8(w, s->lcr);
	snap_put_u8(w, s->mcr);
	snap_put_u8(w, s->scr);
	snap_put_u8(w, s->dll);
	snap_put_u8(w, s->dlm);
	snap_put_u8(w, s->fifo);
	snap_put_u8(w, s->empty);
	return 0;
}

static int serial_load(struct device *dev, struct snap_section *r,
		       struct mote_err *err)
{
	struct serial *s = dev->priv;
	uint8_t fifo, empty;

	s->ier = snap_get_u8(r);
	s->lcr = snap_get_u8(r);
	s->mcr = snap_get_u8(r);
	s->scr = snap_get_u8(r);
	s->dll = snap_get_u8(r);
	s->dlm = snap_get_u8(r);
	fifo = r->version >= 2 ? snap_get_u8(r) : 0;
	empty = r->version >= 2 ? snap_get_u8(r) : 0;
	s->fifo = fifo;
	s->empty = empty;
	s->line = false;
	if (s->ier > 0x0f || s->mcr > 0x1f || fifo > 1 || empty > 1)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "8250: register out of range");
	return 0;
}

static void serial_reraise(struct device *dev)
{
	pthread_mutex_lock(&dev->lock);
	((struct serial *)dev->priv)->line = false;
	update(dev);
	pthread_mutex_unlock(&dev->lock);
}

const struct device_ops serial_ops = {
	.name = "8250",
	.version = 2,
	.reraise = serial_reraise,
	.probe = serial_probe,
	.destroy = serial_destroy,
	.reset = serial_reset,
	.read = serial_read,
	.write = serial_write,
	.save = serial_save,
	.load = serial_load,
};
