/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/dirty.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "memory/memslot.h"
#include "memory/ring.h"

/* What KVM_CLEAR_DIRTY_LOG does under its lock at a time, 256 MiB of 4 KiB. */
#define CLEAR_PAGES 65536u

static uint64_t slot_pages(const struct memslot *s)
{
	return s->ram.size / host_page_size();
}

/* Forget our own writes to a slot; bits, if not NULL, gets them first. */
static void take_own(struct memslot *s, uint64_t *bits)
{
	for (size_t i = 0; i < bitmap_words(slot_pages(s)); i++) {
		uint64_t word =
			__atomic_exchange_n(&s->dirty[i], 0, __ATOMIC_ACQUIRE);

		if (bits)
			bits[i] |= word;
	}
}

static int kvm_log_start(void *opaque, struct mote_err *err)
{
	struct memslot_table *slots = opaque;
	int ret = ring_collect(slots, err); /* what is left of the last time */

	for (int i = 0; i < MEMSLOT_MAX; i++)
		take_own(&slots->slot[i], NULL);
	return ret < 0 ? ret : memslot_log_dirty(slots, true, err);
}

static int kvm_log_stop(void *opaque, struct mote_err *err)
{
	return memslot_log_dirty(opaque, false, err);
}

/*
 * Forget what was read, and nothing else: from here on these pages count
 * again, so they are copied only after it.  A log that begins with every
 * page set (KVM_DIRTY_LOG_INITIALLY_SET) is not asked for.
 */
static int clear_log(const struct memslot_table *slots, int slot,
		     uint64_t pages, const uint64_t *bitmap)
{
	int ret = 0;

	for (uint64_t at = 0; ret == 0 && at < pages; at += CLEAR_PAGES) {
		uint64_t n = num_min(CLEAR_PAGES, pages - at);

		if (bitmap_next(bitmap, at, at + n) < at + n)
			ret = kvm_clear_dirty_log(slots->vm_fd, (uint32_t)slot,
						  at, (uint32_t)n,
						  bitmap + at / 64);
	}
	return ret;
}

static int read_log(const struct memslot_table *slots, int slot, uint64_t pages,
		    uint64_t *bitmap, struct mote_err *err)
{
	int ret = kvm_get_dirty_log(slots->vm_fd, (uint32_t)slot, bitmap);

	if (ret < 0)
		return err_set(err, -ret, "slot %d: KVM_GET_DIRTY_LOG: %s",
			       slot, strerror(-ret));
	ret = slots->clears ? clear_log(slots, slot, pages, bitmap) : 0;
	if (ret < 0)
		return err_set(err, -ret, "slot %d: KVM_CLEAR_DIRTY_LOG", slot);
	return 0;
}

static int kvm_log_harvest(void *opaque, int slot, uint64_t gpa, uint64_t pages,
			   uint64_t *bitmap, enum dirty_class *class,
			   struct mote_err *err)
{
	struct memslot_table *slots = opaque;
	int ret;

	(void)gpa;
	*class = DIRTY_WRITTEN;
	ret = ring_collect(slots, err);
	if (ret == 0 && slots->rings && slots->rings->stray)
		ret = err_set(err, EIO,
			      "the dirty ring named a page that is no RAM");
	/* With rings it has what KVM itself wrote, or there is none. */
	if (ret == 0 && (!slots->rings || slots->rings->bitmap))
		ret = read_log(slots, slot, pages, bitmap, err);
	if (ret < 0)
		return ret;
	/* KVM does not see them; and what was in the rings. */
	take_own(&slots->slot[slot], bitmap);
	return 0;
}

int dirty_init(struct dirty_tracker *t, struct memslot_table *slots,
	       struct mote_err *err)
{
	struct dirty_source kvm_log = {
		.name = "kvm-log",
		.start = kvm_log_start,
		.harvest = kvm_log_harvest,
		.stop = kvm_log_stop,
		.opaque = slots,
	};

	memset(t, 0, sizeof(*t));
	t->slots = slots;
	for (int i = 0; i < MEMSLOT_MAX; i++)
		t->pages += slot_pages(&slots->slot[i]);
	for (int i = 0; i < DIRTY_CLASSES; i++) {
		t->map[i] =
			calloc(bitmap_words(t->pages) + 1, sizeof(uint64_t));
		if (!t->map[i]) {
			dirty_fini(t);
			return err_set(err, ENOMEM, "dirty bitmaps");
		}
	}
	return dirty_add_source(t, &kvm_log, err);
}

void dirty_fini(struct dirty_tracker *t)
{
	if (t->started)
		dirty_stop(t, NULL);
	for (int i = 0; i < DIRTY_CLASSES; i++)
		free(t->map[i]);
	memset(t, 0, sizeof(*t));
}

int dirty_add_source(struct dirty_tracker *t, const struct dirty_source *src,
		     struct mote_err *err)
{
	assert(!t->started);
	if (t->count == DIRTY_SOURCES_MAX)
		return err_set(err, ENOSPC, "all %d dirty sources used",
			       DIRTY_SOURCES_MAX);
	t->source[t->count++] = *src;
	return 0;
}

/* Stop the first n sources; the first failure is what is told. */
static int stop_first(struct dirty_tracker *t, int n, struct mote_err *err)
{
	int first = 0;

	for (int i = 0; i < n; i++) {
		struct dirty_source *s = &t->source[i];
		int ret = s->stop(s->opaque, first ? NULL : err);

		if (ret < 0 && !first)
			first = err_wrap(err, ret, "stop %s", s->name);
	}
	return first;
}

int dirty_start(struct dirty_tracker *t, struct mote_err *err)
{
	assert(!t->started);
	for (int i = 0; i < t->count; i++) {
		struct dirty_source *s = &t->source[i];
		int ret = s->start(s->opaque, err);

		if (ret < 0) {
			stop_first(t, i, NULL);
			return err_wrap(err, ret, "start %s", s->name);
		}
	}
	t->started = true;
	return 0;
}

int dirty_stop(struct dirty_tracker *t, struct mote_err *err)
{
	t->started = false;
	return stop_first(t, t->count, err);
}

/* OR bits of one slot into the map of all slots, at bit position at. */
static void merge(uint64_t *map, uint64_t at, const uint64_t *bits,
		  uint64_t pages)
{
	if (at % 64 == 0) {
		bitmap_or(map + at / 64, bits, pages);
		return;
	}
	for (uint64_t i = 0; i < pages; i++)
		if (bitmap_test(bits, i))
			bitmap_set(map, at + i);
}

static int harvest_slot(struct dirty_tracker *t, int slot, uint64_t at,
			uint64_t *bits, uint64_t *also, struct mote_err *err)
{
	const struct memslot *m = &t->slots->slot[slot];
	uint64_t pages = slot_pages(m);

	for (int i = 0; i < t->count; i++) {
		struct dirty_source *s = &t->source[i];
		enum dirty_class class = DIRTY_WRITTEN;
		int ret;

		/* Zeroed by us: the kernel only ever sets bits. */
		memset(bits, 0, bitmap_words(pages) * sizeof(*bits));
		ret = s->harvest(s->opaque, slot, m->gpa, pages, bits, &class,
				 err);
		/* Also what was found, and cleared, before a failure. */
		merge(t->map[class], at, bits, pages);
		if (ret < 0)
			return err_wrap(err, ret, "%s", s->name);
		if (also)
			merge(also, at, bits, pages);
	}
	return 0;
}

/*
 * Sticky is what is so now: a page that no longer is was written at some
 * time, and has not been copied since.  After a failure nobody knows.
 */
static void settle_sticky(struct dirty_tracker *t, const uint64_t *before,
			  bool failed)
{
	for (size_t i = 0; i < bitmap_words(t->pages); i++) {
		uint64_t *sticky = &t->map[DIRTY_STICKY][i];

		if (failed)
			*sticky |= before[i];
		t->map[DIRTY_DEVICE][i] |= before[i];
		t->map[DIRTY_DEVICE][i] &= ~*sticky;
	}
}

int dirty_harvest_into(struct dirty_tracker *t, uint64_t *also,
		       struct mote_err *err)
{
	size_t words = bitmap_words(t->pages) + 1;
	cleanup_free uint64_t *bits = NULL;
	uint64_t *before, at = 0;
	int ret = 0;

	assert(t->started);
	bits = calloc(2 * words, sizeof(*bits));
	if (!bits)
		return err_set(err, ENOMEM, "dirty bitmap");
	before = bits + words;
	memcpy(before, t->map[DIRTY_STICKY], words * sizeof(*bits));
	memset(t->map[DIRTY_STICKY], 0, words * sizeof(*bits));
	for (int i = 0; ret == 0 && i < MEMSLOT_MAX; i++) {
		if (!t->slots->slot[i].ram.addr)
			continue;
		ret = harvest_slot(t, i, at, bits, also, err);
		at += slot_pages(&t->slots->slot[i]);
	}
	settle_sticky(t, before, ret < 0);
	return ret;
}

int dirty_harvest(struct dirty_tracker *t, struct mote_err *err)
{
	return dirty_harvest_into(t, NULL, err);
}

void dirty_reset(struct dirty_tracker *t)
{
	size_t bytes = bitmap_words(t->pages) * sizeof(uint64_t);

	memset(t->map[DIRTY_WRITTEN], 0, bytes);
	memset(t->map[DIRTY_DEVICE], 0, bytes);
}

/* The page's number through all slots; false when gpa is not RAM. */
static bool page_of(const struct dirty_tracker *t, uint64_t gpa, uint64_t *page)
{
	uint64_t at = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &t->slots->slot[i];

		if (!s->ram.addr)
			continue;
		if (gpa >= s->gpa && gpa - s->gpa < s->ram.size) {
			*page = at + (gpa - s->gpa) / host_page_size();
			return true;
		}
		at += slot_pages(s);
	}
	return false;
}

static uint64_t class_word(const struct dirty_tracker *t,
			   enum dirty_class class, size_t i)
{
	if (class != DIRTY_CLASSES)
		return t->map[class][i];
	return t->map[DIRTY_WRITTEN][i] | t->map[DIRTY_DEVICE][i] |
	       t->map[DIRTY_STICKY][i];
}

void dirty_union(const struct dirty_tracker *t, uint64_t *bits)
{
	for (size_t i = 0; i < bitmap_words(t->pages); i++)
		bits[i] |= class_word(t, DIRTY_CLASSES, i);
}

bool dirty_test(const struct dirty_tracker *t, enum dirty_class class,
		uint64_t gpa)
{
	uint64_t page;

	if (!page_of(t, gpa, &page))
		return false;
	return class_word(t, class, page / 64) >> (page % 64) & 1;
}

uint64_t dirty_count(const struct dirty_tracker *t, enum dirty_class class)
{
	uint64_t n = 0;

	for (size_t i = 0; i < bitmap_words(t->pages); i++)
		n += (uint64_t)__builtin_popcountll(class_word(t, class, i));
	return n;
}
