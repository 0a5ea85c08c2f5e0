/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serial.c - an 8250-compatible UART without interrupts, polled.
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
	REG_IIR = 2,
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
#define IIR_NONE	0x01
#define MSR_DCD_DSR_CTS 0xb0

struct serial {
	uint8_t ier, lcr, mcr, scr, dll, dlm;
};

static int serial_probe(struct device *dev, const struct device_config *cfg,
			struct mote_err *err)
{
	(void)cfg;
	dev->priv = calloc(1, sizeof(struct serial));
	if (!dev->priv)
		return err_set(err, ENOMEM, "serial port");
	return 0;
}

static void serial_destroy(struct device *dev)
{
	free(dev->priv);
}

static void serial_reset(struct device *dev)
{
	struct serial *s = dev->priv;

	*s = (struct serial){0};
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
		return byte;
	case REG_IER:
		return dlab ? s->dlm : s->ier;
	case REG_IIR:
		return IIR_NONE;
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
		return MSR_DCD_DSR_CTS;
	default:
		return s->scr;
	}
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
		else
			chardev_put(dev->cfg.console, byte);
		break;
	case REG_IER:
		if (dlab)
			s->dlm = byte;
		else
			s->ier = byte & 0x0f;
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
	return 0;
}

static int serial_load(struct device *dev, struct snap_section *r,
		       struct mote_err *err)
{
	struct serial *s = dev->priv;

	s->ier = snap_get_u8(r);
	s->lcr = snap_get_u8(r);
	s->mcr = snap_get_u8(r);
	s->scr = snap_get_u8(r);
	s->dll = snap_get_u8(r);
	s->dlm = snap_get_u8(r);
	if (s->ier > 0x0f || s->mcr > 0x1f)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "8250: register out of range");
	return 0;
}

const struct device_ops serial_ops = {
	.name = "8250",
	.version = 1,
	.probe = serial_probe,
	.destroy = serial_destroy,
	.reset = serial_reset,
	.read = serial_read,
	.write = serial_write,
	.save = serial_save,
	.load = serial_load,
};
