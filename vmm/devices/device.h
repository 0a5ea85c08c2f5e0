/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - a device model: one const ops table, one private struct.
 *
 * Threads: read, write and hcall run on any vCPU thread with the device
 * lock held and must not sleep (hvt hypercalls are not device reads and
 * writes: they may block, holding no lock).  The rest run on the VM thread,
 * vCPUs parked.  Trust: whatever the guest wrote is hostile.
 */
#ifndef VMM_DEVICES_DEVICE_H
#define VMM_DEVICES_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory/bus.h"

struct chardev;
struct device;
struct event_queue;
struct memslot_table;
struct mote_err;
struct snap_section;
struct snap_writer;
struct trigger;
struct virtio_options;

/* What a model may use of the machine; outlives the device. */
struct device_config {
	enum bus_space space;
	uint64_t base, size;
	struct event_queue *events;
	struct memslot_table *slots;
	struct chardev *console;
	uint64_t boot_page;	 /* gpa of struct mote_boot */
	int irq_fd;		 /* borrowed eventfd; 0: no interrupt */
	struct trigger *trigger; /* NULL: nobody waits for a moment */
	const struct virtio_options *virtio; /* while it is created */
};

struct device_ops {
	const char *name; /* config key and snapshot section: "virtio-blk" */
	uint16_t version; /* of what save() writes; load() takes older too */
	/* One vCPU only, and its calls may block: no lock is taken for them. */
	bool unlocked;

	/* Take host resources; after a failure there is nothing to destroy. */
	int (*probe)(struct device *dev, const struct device_config *cfg,
		     struct mote_err *err);
	void (*destroy)(struct device *dev); /* workers are already joined */
	void (*reset)(struct device *dev);   /* to power-on state */

	/* off: bytes into the region; len: 1, 2, 4 or 8.  MMIO and ports. */
	uint64_t (*read)(struct device *dev, int region, uint64_t off, int len);
	void (*write)(struct device *dev, int region, uint64_t off, int len,
		      uint64_t val);
	/* Hypercalls; the result is the status. */
	int64_t (*hcall)(struct device *dev, int region, uint64_t nr,
			 uint64_t args[BUS_HCALL_ARGS]);

	/* Finish I/O in flight; guest RAM stays untouched until resume(). */
	int (*quiesce)(struct device *dev, struct mote_err *err);
	void (*resume)(struct device *dev);
	/*
	 * After a load, just before the next instruction: raise again what
	 * interrupts hold, as one may have been on its way.
	 */
	void (*reraise)(struct device *dev);
	int (*save)(struct device *dev, struct snap_writer *w,
		    struct mote_err *err);
	/* -EBADMSG: a field is out of range. */
	int (*load)(struct device *dev, struct snap_section *s,
		    struct mote_err *err);
};

struct device {
	const struct device_ops *ops;
	void *priv;
	uint32_t instance;
	struct device_config cfg;
	pthread_mutex_t lock;
	uint32_t wait_ms; /* set by write or hcall: let the vCPU sleep */
};

/* Create a model by name and put its region on the bus. */
int device_create(struct device **out, const char *model, uint32_t instance,
		  const struct device_config *cfg, struct bus *bus,
		  struct mote_err *err);
void device_destroy(struct device *dev);

/*
 * Save the device as one section (name, instance, version), or find and
 * load it; a missing hook means that there is no state.
 */
int device_save(struct device *dev, struct snap_writer *w,
		struct mote_err *err);
struct snap_reader;
int device_load(struct device *dev, struct snap_reader *r,
		struct mote_err *err);

/* Raise its interrupt: one write(2), from any thread; none: nothing. */
void device_irq(const struct device *dev);

/* The one table of models (registry.c); NULL when unknown. */
const struct device_ops *device_find(const char *model);

#endif
