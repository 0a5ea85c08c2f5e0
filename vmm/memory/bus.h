/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus.h - who answers at an MMIO address, an I/O port or a hypercall.
 *
 * Threads: regions are added before the first run; lookups run on any vCPU
 * thread without a lock.  Reads of nothing give all ones, writes to
 * nothing vanish, hypercalls to nobody are the caller's to answer.
 */
#ifndef VMM_MEMORY_BUS_H
#define VMM_MEMORY_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct mote_err;

enum bus_space {
	BUS_MMIO,
	BUS_PIO,
	BUS_HCALL, /* addresses are hypercall numbers */
	BUS_SPACES,
};

#define BUS_REGIONS_MAX 64
#define BUS_HCALL_ARGS	9

/* off is relative to the region's base, len is 1, 2, 4 or 8 bytes. */
struct bus_handler {
	uint64_t (*read)(void *opaque, int region, uint64_t off, int len);
	/* Returns for how many milliseconds the vCPU shall sleep: mostly 0. */
	uint32_t (*write)(void *opaque, int region, uint64_t off, int len,
			  uint64_t val);
	/* args in and out; the value is the hypercall's status. */
	int64_t (*hcall)(void *opaque, int region, uint64_t nr,
			 uint64_t args[BUS_HCALL_ARGS], uint32_t *wait_ms);
	void *opaque;
	int region;
};

struct bus_region {
	enum bus_space space;
	uint64_t base, size;
	struct bus_handler handler;
};

struct bus {
	struct bus_region region[BUS_REGIONS_MAX]; /* of all spaces */
	int count;
};

/* -EEXIST when it overlaps, -EINVAL when empty or wrapping, -ENOSPC. */
int bus_add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size,
	    const struct bus_handler *handler, struct mote_err *err);

/*
 * An access must lie within one region; false when nobody answers.
 * *wait_ms is raised to what the handler asks for, never lowered: a guest
 * that waits (docs/GUEST-ABI.md) sleeps in the run loop, outside the
 * device's lock, where a kick reaches it.
 */
bool bus_read(const struct bus *bus, enum bus_space space, uint64_t addr,
	      int len, uint64_t *val);
bool bus_write(const struct bus *bus, enum bus_space space, uint64_t addr,
	       int len, uint64_t val, uint32_t *wait_ms);
bool bus_hcall(const struct bus *bus, uint64_t nr,
	       uint64_t args[BUS_HCALL_ARGS], int64_t *status,
	       uint32_t *wait_ms);

#endif
