/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirty.h - which pages of guest RAM changed, and by whom.
 *
 * Three classes, kept apart because they are sent at different times:
 * written (KVM's log, our own writes), device-written (VFIO), and sticky
 * (always dirty: held pins, devices that cannot track).  Bits are host
 * pages, numbered through the slots in slot order.  Threads: the VM thread.
 */
#ifndef VMM_MEMORY_DIRTY_H
#define VMM_MEMORY_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

struct memslot_table;
struct mote_err;

enum dirty_class {
	DIRTY_WRITTEN,
	DIRTY_DEVICE,
	DIRTY_STICKY,
	DIRTY_CLASSES,
};

#define DIRTY_SOURCES_MAX 8

/*
 * One place that knows of dirty pages.  harvest ORs what changed since the
 * last call into bitmap (pages of the slot, zeroed by the caller) and says
 * which class it is: a device behind an IOMMU that reports every page every
 * time is sticky, whatever the call was named.  Sticky pages are reported by
 * each call as long as they are.
 */
struct dirty_source {
	const char *name;
	int (*start)(void *opaque, struct mote_err *err);
	int (*harvest)(void *opaque, int slot, uint64_t gpa, uint64_t pages,
		       uint64_t *bitmap, enum dirty_class *class,
		       struct mote_err *err);
	int (*stop)(void *opaque, struct mote_err *err);
	void *opaque;
};

struct dirty_tracker {
	struct memslot_table *slots;
	struct dirty_source source[DIRTY_SOURCES_MAX];
	int count;
	bool started;
	uint64_t pages; /* over all slots */
	uint64_t *map[DIRTY_CLASSES];
};

/* Allocates the bitmaps for the slots as they are; KVM's log is source 0. */
int dirty_init(struct dirty_tracker *t, struct memslot_table *slots,
	       struct mote_err *err);
void dirty_fini(struct dirty_tracker *t); /* stops what runs */

/* Before start.  -ENOSPC when there are too many. */
int dirty_add_source(struct dirty_tracker *t, const struct dirty_source *src,
		     struct mote_err *err);

/*
 * START every source, before the first page is copied: what changed
 * earlier is not reported.  A failure stops those already started.
 */
int dirty_start(struct dirty_tracker *t, struct mote_err *err);

/*
 * Add what changed since the last call to the maps of each class.  Written
 * and device-written grow until dirty_reset; sticky is as the sources say
 * now, and a page that was sticky till then is device-written.  A sticky page
 * is never device-written too; it may be written.
 */
int dirty_harvest(struct dirty_tracker *t, struct mote_err *err);

/* The same; also gets the bits of this call alone (t->pages of them). */
int dirty_harvest_into(struct dirty_tracker *t, uint64_t *also,
		       struct mote_err *err);

/* STOP every source, also after a failure. */
int dirty_stop(struct dirty_tracker *t, struct mote_err *err);

/* Forget written and device-written pages: they have been copied. */
void dirty_reset(struct dirty_tracker *t);

/* OR the pages of every class into bits (t->pages of them). */
void dirty_union(const struct dirty_tracker *t, uint64_t *bits);

/* Is the page in a class, or (DIRTY_CLASSES) in any?  By guest address. */
bool dirty_test(const struct dirty_tracker *t, enum dirty_class class,
		uint64_t gpa);

/* Pages in a class, or (DIRTY_CLASSES) in the union. */
uint64_t dirty_count(const struct dirty_tracker *t, enum dirty_class class);

#endif
