/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "base/err.h"
#include "base/num.h"

int bus_add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size,
	    const struct bus_handler *handler, struct mote_err *err)
{
	uint64_t end;

	if (size == 0 || !num_add(base, size, &end))
		return err_set(err, EINVAL, "bad bus range: 0x%" PRIx64, base);
	for (int i = 0; i < bus->count; i++) {
		const struct bus_region *r = &bus->region[i];

		if (r->space == space && base < r->base + r->size &&
		    r->base < end)
			return err_set(err, EEXIST,
				       "bus address 0x%" PRIx64 " is taken",
				       base);
	}
	if (bus->count == BUS_REGIONS_MAX)
		return err_set(err, ENOSPC, "all %d bus regions used",
			       BUS_REGIONS_MAX);
	bus->region[bus->count++] = (struct bus_region){.space = space,
							.base = base,
							.size = size,
							.handler = *handler};
	return 0;
}

static const struct bus_region *
find(const struct bus *bus, enum bus_space space, uint64_t addr, uint64_t len)
{
	for (int i = 0; i < bus->count; i++) {
		const struct bus_region *r = &bus->region[i];

		if (r->space == space && addr >= r->base &&
		    num_within(addr - r->base, len, r->size))
			return r;
	}
	return NULL;
}

static uint64_t all_ones(int len)
{
	return len >= 8 ? UINT64_MAX : ((uint64_t)1 << (len * 8)) - 1;
}

bool bus_read(const struct bus *bus, enum bus_space space, uint64_t addr,
	      int len, uint64_t *val)
{
	const struct bus_region *r = find(bus, space, addr, (uint64_t)len);

	*val = all_ones(len);
	if (!r || !r->handler.read)
		return false;
	*val &= r->handler.read(r->handler.opaque, r->handler.region,
				addr - r->base, len);
	return true;
}

bool bus_write(const struct bus *bus, enum bus_space space, uint64_t addr,
	       int len, uint64_t val, uint32_t *wait_ms)
{
	const struct bus_region *r = find(bus, space, addr, (uint64_t)len);
	uint32_t wait;

	if (!r || !r->handler.write)
		return false;
	wait = r->handler.write(r->handler.opaque, r->handler.region,
				addr - r->base, len, val & all_ones(len));
	if (wait > *wait_ms)
		*wait_ms = wait;
	return true;
}

bool bus_hcall(const struct bus *bus, uint64_t nr,
	       uint64_t args[BUS_HCALL_ARGS], int64_t *status,
	       uint32_t *wait_ms)
{
	const struct bus_region *r = find(bus, BUS_HCALL, nr, 1);

	if (!r || !r->handler.hcall)
		return false;
	*status = r->handler.hcall(r->handler.opaque, r->handler.region, nr,
				   args, wait_ms);
	return true;
}
