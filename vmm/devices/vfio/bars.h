/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bars.h - the base address registers of a VFIO device, and what is behind.
 *
 * A memory BAR becomes one or two memory slots of the guest, around the
 * pages that must be trapped; one that can't be mapped, and I/O ports, are
 * trapped whole: read and write of the device's descriptor.  Source:
 * linux/vfio.h, VFIO_DEVICE_GET_REGION_INFO.  Threads: init and fini on the
 * VM thread; traps on any vCPU thread, under the root's lock.
 */
#ifndef VMM_DEVICES_VFIO_BARS_H
#define VMM_DEVICES_VFIO_BARS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

struct bus;
struct device;
struct mote_err;

#define VFIO_BARS 6

/* Bytes of a BAR that are ours and not the device's: the MSI-X table. */
struct vfio_trap {
	int bar; /* -1: none */
	uint64_t off, size;
	uint64_t (*read)(void *opaque, uint64_t off, int len);
	void (*write)(void *opaque, uint64_t off, int len, uint64_t val);
	void *opaque;
};

struct vfio_bar {
	uint64_t addr, size; /* size 0: none; a power of two */
	uint64_t at;	     /* offset in the descriptor */
	uint32_t kind;	     /* the register's low four bits */
	bool upper;	     /* it is the upper half of the one before */
	bool sizing;	     /* all ones were written */
	struct map map[2];   /* below and above what is trapped */
	uint32_t slot[2];
};

struct vfio_bars {
	const int *fd; /* the device's, which may be moved */
	struct device *root;
	int vm_fd;
	struct vfio_trap trap;
	struct vfio_bar bar[VFIO_BARS];
};

struct vfio_bars_options {
	struct device *root;
	struct bus *bus;
	int vm_fd;
	uint32_t *slot;		 /* the next free KVM slot */
	uint32_t raw[VFIO_BARS]; /* the device's registers */
	struct vfio_trap trap;
};

int vfio_bars_init(struct vfio_bars *b, const int *fd,
		   const struct vfio_bars_options *opt, struct mote_err *err);

/* Out of the guest, then out of our memory.  Half an init is fine. */
void vfio_bars_fini(struct vfio_bars *b);

/* The registers as the guest reads and writes them. */
uint32_t vfio_bars_get(const struct vfio_bars *b, unsigned int i);
void vfio_bars_put(struct vfio_bars *b, unsigned int i, uint32_t val);

#endif
