/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devtest.h - one device on a bus of its own, without KVM: guest RAM is one
 * slot that no KVM knows.
 */
#ifndef TESTS_DEVICES_DEVTEST_H
#define TESTS_DEVICES_DEVTEST_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/event.h"
#include "devices/chardev.h"
#include "devices/device.h"
#include "memory/bus.h"
#include "memory/memslot.h"
#include "snapshot/stream.h"

#define DEVTEST_BOOT_PAGE 0u

struct devtest {
	struct event_queue events;
	struct chardev console;
	atomic_bool pace;
	struct memslot_table slots;
	struct bus bus;
	struct device *dev;
	struct device_config cfg;
	int in[2], out[2]; /* the console's pipes: [0] is read */
	int irq_fd;	   /* of devtest_init_irq */
};

/* A device of that model at base, size bytes, of the given space. */
void devtest_init(struct devtest *d, const char *model, enum bus_space space,
		  uint64_t base, uint64_t size);
/* The same with an interrupt. */
void devtest_init_irq(struct devtest *d, const char *model,
		      enum bus_space space, uint64_t base, uint64_t size);
void devtest_fini(struct devtest *d);

/* How often it was raised since the last call. */
uint64_t devtest_raised(struct devtest *d);

/* Accesses relative to the device's base. */
uint64_t devtest_read(struct devtest *d, uint64_t off, int len);
void devtest_write(struct devtest *d, uint64_t off, int len, uint64_t val);

/* Give the guest input; take what it said (NUL-terminated). */
void devtest_type(struct devtest *d, const char *text);
const char *devtest_said(struct devtest *d);

/* The device as a whole state file in *w. */
void devtest_save(struct devtest *d, struct snap_writer *w);
/* Its section with payload: the answer of device_load. */
int devtest_load(struct devtest *d, const void *payload, size_t len);
/* The same of an older version. */
int devtest_load_version(struct devtest *d, const void *payload, size_t len,
			 uint16_t version);

/*
 * Save, load into a fresh device, save: the same bytes.  Then every byte
 * flipped, every length: an error or an object that saves again.
 */
void devtest_check_state(struct devtest *d);

#endif
