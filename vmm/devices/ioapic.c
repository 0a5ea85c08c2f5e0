/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/ioapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "devices/device.h"
#include "devices/irqroute.h"
#include "devices/models.h"
#include "snapshot/stream.h"

#define REG_SELECT 0x00u
#define REG_WINDOW 0x10u

#define IDX_ID	     0u
#define IDX_VERSION  1u
#define IDX_REDIRECT 0x10u

#define VERSION (0x20u | (IRQROUTE_PINS - 1) << 16)

/* A redirection entry. */
#define ENTRY_VECTOR   0xffu
#define ENTRY_DELIVERY 0x700u
#define ENTRY_LOGICAL  (1u << 11)
#define ENTRY_LEVEL    (1u << 15)
#define ENTRY_MASKED   (1u << 16)
#define ENTRY_WRITABLE UINT64_C(0xff0000000001afff)
#define ID_WRITABLE    0xf000000u
#define ENTRY_DEST(e)  ((uint32_t)((e) >> 56))

struct pin {
	uint64_t entry;
	int event_fd; /* -1: nothing drives it */
	bool on;      /* KVM listens */
	void (*ended)(void *opaque);
	void *opaque;
};

struct ioapic {
	struct irqroutes *routes;
	uint32_t select, id;
	struct pin pin[IRQROUTE_PINS];
};

static void clear(struct ioapic *io)
{
	io->select = io->id = 0;
	for (int i = 0; i < IRQROUTE_PINS; i++)
		io->pin[i].entry = ENTRY_MASKED;
}

static int ioapic_probe(struct device *dev, const struct device_config *cfg,
			struct mote_err *err)
{
	struct ioapic *io = calloc(1, sizeof(*io));

	(void)cfg;
	if (!io)
		return err_set(err, ENOMEM, "I/O APIC");
	for (int i = 0; i < IRQROUTE_PINS; i++)
		io->pin[i].event_fd = -1;
	clear(io);
	dev->priv = io;
	return 0;
}

static void ioapic_destroy(struct device *dev)
{
	free(dev->priv);
}

/* Bring KVM in line with the pin's entry; what it does not take is lost. */
static void update(struct ioapic *io, int i)
{
	struct pin *p = &io->pin[i];
	uint64_t e = p->entry;
	bool on = p->event_fd >= 0 && !(e & ENTRY_MASKED);

	if (on && irqroutes_set(io->routes, i,
				0xfee00000u | ENTRY_DEST(e) << 12 |
					(e & ENTRY_LOGICAL ? 4 : 0),
				(uint32_t)e & (ENTRY_VECTOR | ENTRY_DELIVERY |
					       ENTRY_LEVEL)) < 0)
		on = false;
	if (on != p->on &&
	    irqroutes_connect(io->routes, i, p->event_fd, on) == 0)
		p->on = on;
}

static void ioapic_reset(struct device *dev)
{
	struct ioapic *io = dev->priv;

	clear(io);
	for (int i = 0; i < IRQROUTE_PINS; i++)
		update(io, i);
}

void ioapic_routes(struct device *dev, struct irqroutes *routes)
{
	((struct ioapic *)dev->priv)->routes = routes;
}

void ioapic_attach(struct device *dev, int pin, int event_fd,
		   void (*ended)(void *opaque), void *opaque)
{
	struct ioapic *io = dev->priv;
	struct pin *p = &io->pin[pin];

	if (p->on &&
	    irqroutes_connect(io->routes, pin, p->event_fd, false) == 0)
		p->on = false;
	p->event_fd = event_fd;
	p->ended = ended;
	p->opaque = opaque;
	update(io, pin);
}

static uint32_t read_register(const struct ioapic *io)
{
	uint32_t i = io->select - IDX_REDIRECT;

	if (io->select == IDX_ID)
		return io->id;
	if (io->select == IDX_VERSION)
		return VERSION;
	if (i < 2 * IRQROUTE_PINS)
		return (uint32_t)(io->pin[i / 2].entry >> 32 * (i % 2));
	return 0;
}

static void write_register(struct ioapic *io, uint32_t val)
{
	uint32_t i = io->select - IDX_REDIRECT, shift = 32 * (i % 2);
	uint64_t mask = UINT64_C(0xffffffff) << shift & ENTRY_WRITABLE;
	struct pin *p;

	if (io->select == IDX_ID)
		io->id = val & ID_WRITABLE;
	if (i >= 2 * IRQROUTE_PINS)
		return;
	p = &io->pin[i / 2];
	p->entry = (p->entry & ~mask) | ((uint64_t)val << shift & mask);
	/*
	 * A message that was lost (edge-triggered, no such CPU) had no end, and
	 * who drives the pin waits for one.  Ahead of update: one message.
	 */
	if (!(p->entry & ENTRY_MASKED) && p->ended)
		p->ended(p->opaque);
	update(io, (int)(i / 2));
}

/* Level-triggered pins of that vector: does it still hold? */
static void end_of_interrupt(struct ioapic *io, uint32_t vector)
{
	for (int i = 0; i < IRQROUTE_PINS; i++) {
		struct pin *p = &io->pin[i];

		if ((p->entry & ENTRY_VECTOR) == vector &&
		    p->entry & ENTRY_LEVEL && p->ended)
			p->ended(p->opaque);
	}
}

static uint64_t ioapic_read(struct device *dev, int region, uint64_t off,
			    int len)
{
	const struct ioapic *io = dev->priv;

	(void)region;
	if (len != 4)
		return UINT64_MAX;
	return off == REG_SELECT   ? io->select
	       : off == REG_WINDOW ? read_register(io)
				   : 0;
}

static void ioapic_write(struct device *dev, int region, uint64_t off, int len,
			 uint64_t val)
{
	struct ioapic *io = dev->priv;

	(void)region;
	if (len != 4)
		return;
	if (off == REG_SELECT)
		io->select = (uint32_t)val & 0xff;
	else if (off == REG_WINDOW)
		write_register(io, (uint32_t)val);
	else if (off == IOAPIC_EOI)
		end_of_interrupt(io, (uint32_t)val & ENTRY_VECTOR);
}

static int ioapic_save(struct device *dev, struct snap_writer *w,
		       struct mote_err *err)
{
	const struct ioapic *io = dev->priv;

	(void)err;
	snap_put_u32(w, io->id);
	snap_put_u32(w, io->select);
	for (int i = 0; i < IRQROUTE_PINS; i++)
		snap_put_u64(w, io->pin[i].entry);
	return 0;
}

static int ioapic_load(struct device *dev, struct snap_section *s,
		       struct mote_err *err)
{
	struct ioapic *io = dev->priv;
	uint64_t more;

	io->id = snap_get_u32(s);
	io->select = snap_get_u32(s);
	more = (io->id & ~ID_WRITABLE) | (io->select & ~0xffu);
	for (int i = 0; i < IRQROUTE_PINS; i++) {
		io->pin[i].entry = snap_get_u64(s);
		more |= io->pin[i].entry & ~ENTRY_WRITABLE;
		io->pin[i].entry &= ENTRY_WRITABLE;
		update(io, i);
	}
	if (more)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "ioapic: register out of range");
	return 0;
}

const struct device_ops ioapic_ops = {
	.name = "ioapic",
	.version = 1,
	.probe = ioapic_probe,
	.destroy = ioapic_destroy,
	.reset = ioapic_reset,
	.read = ioapic_read,
	.write = ioapic_write,
	.save = ioapic_save,
	.load = ioapic_load,
};
