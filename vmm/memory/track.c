/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/track.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "kvm/kvm.h"
#include "memory/diverge.h"
#include "memory/memslot.h"
#include "memory/ring.h"

void track_init(struct track *t, struct memslot_table *slots)
{
	memset(t, 0, sizeof(*t));
	t->slots = slots;
	t->pagemap_fd = -1;
}

static bool by_log(const struct track *t)
{
	return t->how == DIRTY_BITMAP || t->how == DIRTY_RING;
}

/* Where KVM can't, reading its log clears it: that is right as well. */
static int clear_by_hand(struct memslot_table *slots, struct mote_err *err)
{
	const uint64_t args[4] = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE};
	uint32_t cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
	int ret = 0;

	slots->clears = kvm_check_extension(slots->vm_fd, cap) &
			KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	if (slots->clears)
		ret = kvm_enable_cap(slots->vm_fd, cap, args);
	return ret < 0 ? err_set(err, -ret, "memory.dirty_tracking: bitmap: %s",
				 strerror(-ret))
		       : 0;
}

int track_choose(struct track *t, enum dirty_tracking how, struct mote_err *err)
{
	t->how = how;
	if (how == DIRTY_BITMAP)
		return clear_by_hand(t->slots, err);
	return how == DIRTY_RING ? ring_enable(t->slots, err) : 0;
}

void track_fini(struct track *t)
{
	if (t->log.slots)
		dirty_fini(&t->log);
	t->logging = false;
	fd_clear(&t->pagemap_fd);
}

void track_file(struct track *t, int pagemap_fd)
{
	t->mode = TRACK_FILE;
	t->mapped = true;
	t->pagemap_fd = pagemap_fd;
}

uint64_t track_pages(const struct track *t)
{
	return memslot_total(t->slots) / host_page_size();
}

uint64_t *track_bits(const struct track *t)
{
	return calloc(bitmap_words(track_pages(t)) + 1, sizeof(uint64_t));
}

static int scan_slot(struct track *t,
		     int (*scan)(int, const void *, size_t, uint64_t *,
				 struct mote_err *),
		     const struct memslot *s, uint64_t at, uint64_t *bits,
		     struct mote_err *err)
{
	uint64_t pages = s->ram.size / host_page_size();
	cleanup_free uint64_t *own = NULL;
	int ret;

	if (at % 64 == 0)
		return scan(t->pagemap_fd, s->ram.addr, s->ram.size,
			    bits + at / 64, err);
	own = calloc(bitmap_words(pages), sizeof(*own));
	if (!own)
		return err_set(err, ENOMEM, "changed pages");
	ret = scan(t->pagemap_fd, s->ram.addr, s->ram.size, own, err);
	for (uint64_t i = 0; ret == 0 && i < pages; i++)
		if (bitmap_test(own, i))
			bitmap_set(bits, at + i);
	return ret;
}

static int scan_all(struct track *t,
		    int (*scan)(int, const void *, size_t, uint64_t *,
				struct mote_err *),
		    uint64_t *bits, struct mote_err *err)
{
	uint64_t at = 0;

	if (t->pagemap_fd < -1)
		return err_set(err, EACCES,
			       "/proc/self/pagemap: it could not "
			       "be opened before the jail closed");
	if (t->pagemap_fd < 0) {
		int fd = diverge_open(err);

		if (fd < 0)
			return fd;
		t->pagemap_fd = fd;
	}
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &t->slots->slot[i];
		int ret;

		if (!s->ram.addr)
			continue;
		ret = scan_slot(t, scan, s, at, bits, err);
		if (ret < 0)
			return ret;
		at += s->ram.size / host_page_size();
	}
	return 0;
}

int track_diverged(struct track *t, uint64_t *bits, struct mote_err *err)
{
	return scan_all(t, diverge_scan, bits, err);
}

int track_touched(struct track *t, uint64_t *bits, struct mote_err *err)
{
	return scan_all(t, diverge_touched, bits, err);
}

static int start_log(struct track *t, struct mote_err *err)
{
	bool fresh = !t->log.slots;
	int ret = fresh ? dirty_init(&t->log, t->slots, err) : 0;

	if (ret == 0 && fresh && t->more)
		ret = t->more(t->more_opaque, &t->log, err);
	if (ret == 0)
		ret = dirty_start(&t->log, err);
	if (ret < 0)
		return ret;
	/*
	 * The first log of KVM-HV also has what was written before it began
	 * (the C bits of the hash table): memory is saved after this.
	 */
	ret = dirty_harvest(&t->log, err);
	t->logging = ret == 0;
	if (ret < 0)
		dirty_stop(&t->log, NULL);
	else
		dirty_reset(&t->log);
	return ret;
}

int track_loaded(struct track *t, struct mote_err *err)
{
	int ret;

	if (!by_log(t))
		return 0;
	ret = t->logging ? dirty_harvest(&t->log, err) : start_log(t, err);
	if (ret == 0)
		dirty_reset(&t->log);
	t->mode = ret < 0 ? TRACK_NONE : TRACK_LOG;
	return ret;
}

void track_rebase(struct track *t)
{
	t->mapped = true;
	if (by_log(t)) {
		track_loaded(t, NULL);
		return;
	}
	if (t->logging)
		dirty_stop(&t->log, NULL);
	t->logging = false;
	t->mode = TRACK_FILE;
}

int64_t track_count(struct track *t)
{
	cleanup_free uint64_t *bits = NULL;

	/* What track_end is to forget must not get what changed after it. */
	if (t->marked || t->mode == TRACK_NONE)
		return -1;
	if (t->mode == TRACK_LOG)
		return dirty_harvest(&t->log, NULL) < 0
			       ? -1
			       : (int64_t)dirty_count(&t->log, DIRTY_CLASSES);
	/* Opening the page map is not for a jail. */
	bits = t->pagemap_fd < 0 ? NULL : track_bits(t);
	if (!bits || track_diverged(t, bits, NULL) < 0)
		return -1;
	return (int64_t)bitmap_count(bits, track_pages(t));
}

int track_mark(struct track *t, uint64_t *bits, struct mote_err *err)
{
	int ret = 0;

	t->marked = true;
	if (bits && t->mode == TRACK_NONE)
		return err_set(
			err, EINVAL,
			"what changed since then was not tracked%s",
			t->how == DIRTY_PRIVATE
				? ": memory.dirty_tracking=private knows "
				  "it of the snapshot that memory is "
				  "mapped from, and of no other"
				: "");
	/*
	 * The log first: what a guest that runs changes while the page map is
	 * read is in the one if not in the other.  Also harvested for nobody:
	 * the kernel's log begins anew here.
	 */
	if (t->logging)
		ret = dirty_harvest(&t->log, err);
	else if (t->how != DIRTY_PRIVATE)
		ret = start_log(t, err);
	if (ret == 0 && bits && t->mode == TRACK_LOG)
		dirty_union(&t->log, bits);
	if (ret == 0 && bits && t->mode == TRACK_FILE)
		ret = track_diverged(t, bits, err);
	return ret;
}

int track_again(struct track *t, uint64_t *bits, struct mote_err *err)
{
	return dirty_harvest_into(&t->log, bits, err);
}

void track_end(struct track *t, bool kept)
{
	t->marked = false;
	if (kept && t->logging) {
		dirty_reset(&t->log);
		t->mode = TRACK_LOG;
	} else if (kept) {
		t->mode = TRACK_NONE;
	} else if (t->mode != TRACK_LOG && t->logging) {
		dirty_stop(&t->log, NULL);
		t->logging = false;
	}
}
