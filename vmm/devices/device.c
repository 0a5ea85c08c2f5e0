/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/device.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/event.h"
#include "snapshot/stream.h"

static uint64_t locked_read(void *opaque, int region, uint64_t off, int len)
{
	struct device *dev = opaque;
	uint64_t val;

	pthread_mutex_lock(&dev->lock);
	val = dev->ops->read(dev, region, off, len);
	pthread_mutex_unlock(&dev->lock);
	return val;
}

static uint32_t take_wait_locked(struct device *dev)
{
	uint32_t wait = dev->wait_ms;

	dev->wait_ms = 0;
	return wait;
}

static uint32_t locked_write(void *opaque, int region, uint64_t off, int len,
			     uint64_t val)
{
	struct device *dev = opaque;
	uint32_t wait;

	pthread_mutex_lock(&dev->lock);
	dev->ops->write(dev, region, off, len, val);
	wait = take_wait_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	return wait;
}

static uint32_t unlocked_write(void *opaque, int region, uint64_t off, int len,
			       uint64_t val)
{
	struct device *dev = opaque;

	dev->ops->write(dev, region, off, len, val);
	return 0;
}

static int64_t locked_hcall(void *opaque, int region, uint64_t nr,
			    uint64_t args[BUS_HCALL_ARGS], uint32_t *wait_ms)
{
	struct device *dev = opaque;
	uint32_t wait;
	int64_t status;

	pthread_mutex_lock(&dev->lock);
	status = dev->ops->hcall(dev, region, nr, args);
	wait = take_wait_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	if (wait > *wait_ms)
		*wait_ms = wait;
	return status;
}

int device_create(struct device **out, const char *model, uint32_t instance,
		  const struct device_config *cfg, struct bus *bus,
		  struct mote_err *err)
{
	const struct device_ops *ops = device_find(model);
	struct device *dev;
	int ret;

	*out = NULL;
	if (!ops)
		return err_set(err, ENODEV, "no device model \"%s\"", model);
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return err_set(err, ENOMEM, "%s%u", model, instance);
	dev->ops = ops;
	dev->instance = instance;
	dev->cfg = *cfg;
	pthread_mutex_init(&dev->lock, NULL);
	ret = ops->probe(dev, cfg, err);
	if (ret < 0) {
		pthread_mutex_destroy(&dev->lock);
		free(dev);
		return err_wrap(err, ret, "%s%u", model, instance);
	}
	ret = bus_add(bus, cfg->space, cfg->base, cfg->size,
		      &(struct bus_handler){
			      .read = ops->read ? locked_read : NULL,
			      .write = !ops->write     ? NULL
				       : ops->unlocked ? unlocked_write
						       : locked_write,
			      .hcall = ops->hcall ? locked_hcall : NULL,
			      .opaque = dev,
		      },
		      err);
	if (ret < 0) {
		device_destroy(dev);
		return err_wrap(err, ret, "%s%u", model, instance);
	}
	*out = dev;
	return 0;
}

void device_irq(const struct device *dev)
{
	/* As many as fit into the counter: more are one all the same. */
	if (dev->cfg.irq_fd > 0)
		event_signal(dev->cfg.irq_fd);
}

void device_destroy(struct device *dev)
{
	if (!dev)
		return;
	if (dev->ops->destroy)
		dev->ops->destroy(dev);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

int device_save(struct device *dev, struct snap_writer *w, struct mote_err *err)
{
	int ret;

	if (!dev->ops->save)
		return 0;
	snap_section_begin(w, dev->ops->name, dev->instance, dev->ops->version,
			   SNAP_REQUIRED);
	ret = dev->ops->save(dev, w, err);
	if (ret < 0)
		return err_wrap(err, ret, "%s%u", dev->ops->name,
				dev->instance);
	snap_section_end(w);
	return 0;
}

int device_load(struct device *dev, struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	int ret;

	if (!dev->ops->load)
		return 0;
	ret = snap_section_open(r, dev->ops->name, dev->instance, &s, err);
	if (ret == 0)
		ret = snap_section_version(&s, dev->ops->version, err);
	if (ret == 0)
		ret = dev->ops->load(dev, &s, err);
	if (ret == 0)
		ret = snap_section_close(&s, err);
	return ret;
}
