/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.c - the event device of the mote contract (docs/GUEST-ABI.md).
 *
 * The same registers behind ports, MMIO or two hypercalls.  The events
 * word lives in the VM (vm.c raises bits); the device reads and
 * acknowledges it and keeps the copy in the boot page right.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/event.h"
#include "base/guest_abi.h"
#include "base/trigger.h"
#include "devices/event.h"
#include "devices/models.h"
#include "memory/guestmem.h"
#include "snapshot/stream.h"

#define HCALL_SUCCESS	0
#define HCALL_PARAMETER (-4)

struct event_device {
	uint32_t events;
	uint32_t ready; /* how often the mark was written */
};

static int event_probe(struct device *dev, const struct device_config *cfg,
		       struct mote_err *err)
{
	(void)cfg;
	dev->priv = calloc(1, sizeof(struct event_device));
	if (!dev->priv)
		return err_set(err, ENOMEM, "event device");
	return 0;
}

static void event_destroy(struct device *dev)
{
	free(dev->priv);
}

static void event_reset(struct device *dev)
{
	struct event_device *e = dev->priv;

	*e = (struct event_device){0};
}

/* Show the events word in the boot page too. */
static void publish(struct device *dev)
{
	const struct event_device *e = dev->priv;

	guest_write(dev->cfg.slots,
		    dev->cfg.boot_page + offsetof(struct mote_boot, events),
		    &e->events, sizeof(e->events));
}

static uint32_t reg_read(struct device *dev, uint64_t reg)
{
	const struct event_device *e = dev->priv;

	switch (reg) {
	case MOTE_REG_MAGIC:
		return MOTE_EVENT_MAGIC;
	case MOTE_REG_VERSION:
		return MOTE_ABI_VERSION;
	case MOTE_REG_EVENTS:
		return e->events;
	default:
		return UINT32_MAX;
	}
}

static void reg_write(struct device *dev, uint64_t reg, uint32_t val)
{
	struct event_device *e = dev->priv;

	switch (reg) {
	case MOTE_REG_READY:
		event_post(dev->cfg.events, EVENT_READY);
		if (e->ready++ == 0)
			trigger_reached(dev->cfg.trigger, TRIGGER_MARK);
		break;
	case MOTE_REG_EXIT:
		event_end(dev->cfg.events, EVENT_EXIT, (int)(val & 0xff));
		break;
	case MOTE_REG_EVENTS:
		e->events &= ~val;
		publish(dev);
		break;
	case MOTE_REG_WAIT:
		if (e->events)
			break;
		dev->wait_ms = val;
		if (val)
			trigger_reached(dev->cfg.trigger, TRIGGER_IDLE);
		break;
	default:
		break;
	}
}

static uint64_t event_read(struct device *dev, int region, uint64_t off,
			   int len)
{
	(void)region;
	if (len != 4 || off % 4)
		return UINT64_MAX;
	return reg_read(dev, off);
}

static void event_write(struct device *dev, int region, uint64_t off, int len,
			uint64_t val)
{
	(void)region;
	if (len == 4 && off % 4 == 0)
		reg_write(dev, off, (uint32_t)val);
}

/* args[0], args[1] are r4 and r5 of PAPR's calling convention. */
static int64_t event_hcall(struct device *dev, int region, uint64_t nr,
			   uint64_t args[BUS_HCALL_ARGS])
{
	(void)region;
	if (args[0] >= MOTE_REG_SPAN || args[0] % 4)
		return HCALL_PARAMETER;
	if (nr == MOTE_HCALL_READ) {
		args[0] = reg_read(dev, args[0]);
		return HCALL_SUCCESS;
	}
	if (nr == MOTE_HCALL_WRITE) {
		reg_write(dev, args[0], (uint32_t)args[1]);
		return HCALL_SUCCESS;
	}
	return HCALL_PARAMETER;
}

static int event_save(struct device *dev, struct snap_writer *w,
		      struct mote_err *err)
{
	const struct event_device *e = dev->priv;

	(void)err;
	snap_put_u32(w, e->events);
	snap_put_u32(w, e->ready);
	return 0;
}

static int event_load(struct device *dev, struct snap_section *s,
		      struct mote_err *err)
{
	struct event_device *e = dev->priv;

	e->events = snap_get_u32(s);
	e->ready = snap_get_u32(s);
	if (e->events & ~(MOTE_EVENT_STOP | MOTE_EVENT_NEWGEN))
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "event device: unknown event bits");
	return 0;
}

void event_device_raise(struct device *dev, uint32_t bits)
{
	struct event_device *e = dev->priv;

	pthread_mutex_lock(&dev->lock);
	e->events |= bits;
	publish(dev);
	pthread_mutex_unlock(&dev->lock);
}

const struct device_ops event_device_ops = {
	.name = "event",
	.version = 1,
	.probe = event_probe,
	.destroy = event_destroy,
	.reset = event_reset,
	.read = event_read,
	.write = event_write,
	.hcall = event_hcall,
	.save = event_save,
	.load = event_load,
};
