/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memslot.h - guest RAM and the KVM slots that show it to the guest.
 *
 * Threads: the VM thread changes the table while no vCPU runs; everyone
 * reads it.  A slot's host address stays mapped for the slot's whole life
 * (KVM API: KVM_SET_USER_MEMORY_REGION).
 */
#ifndef VMM_MEMORY_MEMSLOT_H
#define VMM_MEMORY_MEMSLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

struct mote_err;
struct ring_set;

#define MEMSLOT_MAX   16
#define MEMSLOT_ALIGN (UINT64_C(2) << 20) /* so that huge pages fit */

struct memslot {
	uint64_t gpa;
	struct map ram;	 /* empty when the slot is free */
	uint64_t *dirty; /* own writes, one bit a page; see dirty.h */
	int fd;		 /* its memfd where it is shared; -1 */
};

/* Guest addresses that only the host's page tables keep from being written. */
struct memslot_readonly {
	uint64_t gpa, end;
};

#define MEMSLOT_READONLY_MAX 64

struct memslot_table {
	int vm_fd;
	/* Of memslot_add: reserved huge pages of that many bytes, or 0. */
	uint64_t huge;
	bool thp;	/* ask for transparent ones */
	bool shared;	/* of memslot_add: a memfd that others can map */
	bool lock;	/* keep the pages of every slot in memory */
	uint32_t flags; /* KVM_MEM_* of every slot */
	bool clears;	/* KVM's log keeps what was read until it is told */
	struct ring_set *rings; /* dirty rings (ring.h), or NULL */
	struct memslot slot[MEMSLOT_MAX];
	struct memslot_readonly readonly[MEMSLOT_READONLY_MAX];
	int readonlys;
};

void memslot_init(struct memslot_table *t, int vm_fd);

/* Remove every slot from KVM, then unmap. */
void memslot_fini(struct memslot_table *t);

/*
 * Give the guest size bytes of zero memory at gpa.  Returns the slot's
 * number.  -EINVAL: unaligned or wrapping; -EEXIST: overlaps; -ENOSPC.
 */
int memslot_add(struct memslot_table *t, uint64_t gpa, uint64_t size,
		struct mote_err *err);

/* The same with a mapping that exists; taken over on success. */
int memslot_add_map(struct memslot_table *t, uint64_t gpa, struct map *ram,
		    struct mote_err *err);

/*
 * Shared RAM of one slot stays as it is now: what its memfd holds is for
 * others to map, and this machine goes on in pages of its own.  The memfd
 * (the slot's), or -EINVAL where RAM is not shared, or not one slot.
 */
int memslot_freeze(struct memslot_table *t, struct mote_err *err);

/* Remove the slot from KVM first, then unmap its memory. */
int memslot_remove(struct memslot_table *t, int id, struct mote_err *err);

/*
 * Switch KVM's dirty log on or off for all slots.  After a failure to
 * switch it on it is off for all; off goes on to the slots that are left.
 */
int memslot_log_dirty(struct memslot_table *t, bool on, struct mote_err *err);

/*
 * The page with that number through all slots, in slot order (dirty.h), and
 * how many follow it in the same slot, itself included; NULL past the last.
 */
void *memslot_page(const struct memslot_table *t, uint64_t page, uint64_t *n);

/* Slots in use. */
int memslot_count(const struct memslot_table *t);

/* Bytes of guest RAM over all slots. */
uint64_t memslot_total(const struct memslot_table *t);

#endif
