/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot.c - two ways to bring a hot set in, for what a guest's fault costs: one
 * for each page, or one for many.
 *
 * private-thp replaces a 2 MiB block of which enough is hot by one anonymous
 * huge page, read whole from the memory file (or a chain): hardware maps it
 * with one entry.  shared-runs keeps a file behind every page, so that clones
 * share what they do not write: runs of 64 pages and more are mapped from the
 * hotset file, where they lie one after the other, and populated.
 *
 * All of it is bounded by BUDGET; of that huge pages, and runs up to EARLY,
 * come before the first instruction.  What is beyond or in neither form is left
 * to faults, after the kernel was told to read it ahead.
 */
#include "snapshot/hot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/timeline.h"
#include "snapshot/hotset.h"
#include "snapshot/paged.h"
#include "snapshot/snapshot.h"
#include "vm.h"

#define HUGE	    (UINT64_C(2) << 20)
#define ENOUGH	    4 /* one in so many pages of a block: a huge page */
#define RUN_PAGES   64
#define BUDGET	    (UINT64_C(8) << 20) /* bytes; some 4 ms */
#define AHEAD_MAX   1024
#define PIECE_PAGES 256
#define SAMPLES	    8

/* What the guest waits for at most: bytes of runs. */
#define EARLY (UINT64_C(4) << 20)

/* --- recording -------------------------------------------------------------
 */

/* Which of the touched pages are no more as the snapshot has them. */
static int find_written(struct vm *vm, const struct snapshot *s,
			const uint64_t *bits, uint64_t *written,
			struct mote_err *err)
{
	uint64_t pages = track_pages(&vm->track), page = host_page_size(), n;
	cleanup_free char *was = malloc(page);

	if (!was)
		return err_set(err, ENOMEM, "hotset");
	for (uint64_t i = 0; (i = bitmap_next(bits, i, pages)) < pages; i++) {
		int ret = paged_fill((void *)s, i * page, page, was, err);

		if (ret < 0)
			return ret;
		if (memcmp(was, memslot_page(&vm->slots, i, &n), page) != 0)
			bitmap_set(written, i);
	}
	return 0;
}

/* The pages as the snapshot has them, a run after the other from off on. */
static int write_pages(struct hotset *h, const struct snapshot *s, int fd,
		       uint64_t off, struct mote_err *err)
{
	cleanup_free char *buf = malloc(PAGED_RUN);
	uint64_t page = host_page_size();
	struct snap_hash hash;
	int ret = buf ? 0 : err_set(err, ENOMEM, "hotset");

	snap_hash_begin(&hash);
	for (uint64_t i = 0; ret == 0 && i < h->runs; i++) {
		uint64_t at = h->run[i].first * page;
		uint64_t end = at + h->run[i].count * page;

		for (uint64_t n; ret == 0 && at < end; at += n, off += n) {
			n = num_min(PAGED_RUN, end - at);
			ret = paged_fill((void *)s, at, n, buf, err);
			if (ret < 0)
				break;
			snap_hash_add(&hash, buf, n);
			if (mem_is_zero(buf, n))
				continue; /* a hole */
			ret = fd_pwrite_full(fd, buf, n, off);
			if (ret < 0)
				err_set_class(err, -ret, ERR_CLASS_IO,
					      "hotset: %s", strerror(-ret));
		}
	}
	if (ret == 0 && ftruncate(fd, (off_t)off) < 0)
		ret = err_set_class(err, errno, ERR_CLASS_IO, "hotset: %s",
				    strerror(errno));
	h->digest = snap_hash_end(&hash);
	return ret;
}

static int write_hotset(struct hotset *h, const struct snapshot *s, int fd,
			struct mote_err *err)
{
	cleanup_free uint8_t *head = NULL;
	uint64_t len;
	int ret = hotset_format(h, &s->manifest.digest, &head, &len, err);

	if (ret == 0)
		ret = write_pages(h, s, fd, len, err);
	free(ptr_steal(&head));
	if (ret == 0) /* with the digest */
		ret = hotset_format(h, &s->manifest.digest, &head, &len, err);
	if (ret < 0)
		return ret;
	ret = fd_pwrite_full(fd, head, len, 0);
	return ret < 0 ? err_set_class(err, -ret, ERR_CLASS_IO, "hotset: %s",
				       strerror(-ret))
		       : 0;
}

int hot_record(struct vm *vm, const struct snapshot *s, int fd,
	       struct mote_err *err)
{
	cleanup_free uint64_t *bits = track_bits(&vm->track);
	cleanup_free uint64_t *written = track_bits(&vm->track);
	struct hotset h = {0};
	int ret;

	if (!bits || !written)
		return err_set(err, ENOMEM, "hotset");
	ret = track_touched(&vm->track, bits, err);
	if (ret == 0)
		ret = find_written(vm, s, bits, written, err);
	if (ret == 0)
		ret = hotset_make(&h, bits, written, track_pages(&vm->track),
				  err);
	if (ret < 0)
		return ret;
	ret = write_hotset(&h, s, fd, err);
	if (ret == 0)
		log_info(&vm->log,
			 "hotset: recorded: pages=%" PRIu64 " runs=%" PRIu64,
			 h.pages, h.runs);
	hotset_fini(&h);
	return ret;
}

/* --- bringing one in -------------------------------------------------------
 */

struct hot_rest;

struct hot {
	struct vm *vm;
	const struct snapshot *s;
	struct hotset set;
	uint64_t *bits; /* hot pages that are still to come */
	bool stored;
	bool cached; /* the files are, it seems */
	struct hot_rest *rest;
	uint64_t budget;	      /* bytes */
	uint64_t blocks, runs, pages; /* that were brought in */
};

static void brought_in(struct hot *h, uint64_t first, uint64_t count, bool own)
{
	for (uint64_t i = first; i < first + count; i++) {
		h->pages += bitmap_test(h->bits, i);
		bitmap_clear(h->bits, i);
		if (own)
			bitmap_set(h->vm->brought_in, i);
	}
}

static uint64_t count_hot(const struct hot *h, uint64_t first, uint64_t count)
{
	uint64_t n = 0;

	for (uint64_t i = first, end = first + count;
	     (i = bitmap_next(h->bits, i, end)) < end; i++)
		n++;
	return n;
}

/* The mapping is gone once mmap has returned: from there on it must work. */
static int make_huge(struct hot *h, char *to, uint64_t first,
		     struct mote_err *err)
{
	uint64_t page = host_page_size();
	int ret;

	if (mmap(to, HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return err_set(err, errno, "hotset: mmap: %s", strerror(errno));
	madvise(to, HUGE, MADV_HUGEPAGE);
	ret = paged_fill((void *)h->s, first * page, HUGE, to, err);
	if (ret < 0)
		return ret;
	brought_in(h, first, HUGE / page, true);
	h->blocks++;
	h->budget -= HUGE;
	return 0;
}

static int huge_blocks(struct hot *h, struct mote_err *err)
{
	uint64_t page = host_page_size(), first = 0, n = HUGE / page;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct map *ram = &h->vm->slots.slot[i].ram;

		for (uint64_t at = 0; at + HUGE <= ram->size; at += HUGE) {
			uint64_t k = first + at / page;
			int ret;

			if (h->budget < HUGE || count_hot(h, k, n) * ENOUGH < n)
				continue;
			ret = make_huge(h, (char *)ram->addr + at, k, err);
			if (ret < 0)
				return ret;
		}
		first += ram->size / page;
	}
	return 0;
}

/* A run that is mapped: when its pages come in is bring()'s. */
struct mapped_run {
	void *to;
	uint64_t len;
	bool own; /* a page of its own for each: they are written to */
};

struct hot_rest {
	uint64_t n, most;
	uint64_t early; /* are done */
	struct mapped_run at[];
};

/* Long enough to be mapped? */
static bool is_long(const struct hotset_run *r)
{
	return r->count >= RUN_PAGES;
}

/* Where the pages of a run are read from, and from which byte on. */
static int file_of(const struct hot *h, const struct hotset_run *r, off_t *off)
{
	bool own_copy = h->stored && is_long(r);

	*off = (off_t)(own_copy ? r->at : r->first * host_page_size());
	return own_copy ? h->s->hotset_fd : snapshot_root(h->s)->fds.memory_fd;
}

/* Is it in the page cache already, as far as some pages tell? */
static bool is_cached(const struct hot *h)
{
	uint64_t step = h->set.runs / SAMPLES + 1;
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	for (uint64_t i = 0; i < h->set.runs; i += step) {
		off_t off;
		int fd = file_of(h, &h->set.run[i], &off);

		if (preadv2(fd, &iov, 1, off, RWF_NOWAIT) != 1)
			return false;
	}
	return true;
}

/* Let it come from the disk while the rest is done. */
static void read_ahead(const struct hot *h, const struct hotset_run *r)
{
	off_t off;
	int fd = file_of(h, r, &off);

	if (!h->cached)
		posix_fadvise(fd, off, (off_t)(r->count * host_page_size()),
			      POSIX_FADV_WILLNEED);
}

/* Of what is left to the guest's faults. */
static void read_short_ahead(const struct hot *h)
{
	for (uint64_t i = 0, n = 0; i < h->set.runs && n < AHEAD_MAX; i++) {
		if (is_long(&h->set.run[i]))
			continue;
		read_ahead(h, &h->set.run[i]);
		n++;
	}
}

/* Part of a run: what no huge page has, within one slot. */
static int map_piece(struct hot *h, const struct hotset_run *r, uint64_t first,
		     uint64_t count, struct mote_err *err)
{
	uint64_t page = host_page_size(), len = count * page, left;
	uint64_t at = r->at + (first - r->first) * page;
	bool own = r->flags & HOTSET_WRITTEN;
	void *to = memslot_page(&h->vm->slots, first, &left);

	if (h->stored && mmap(to, len, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
			      h->s->hotset_fd, (off_t)at) == MAP_FAILED)
		return err_set(err, errno, "hotset: mmap: %s", strerror(errno));
	h->rest->at[h->rest->n++] =
		(struct mapped_run){.to = to, .len = len, .own = own};
	brought_in(h, first, count, own);
	h->runs++;
	h->budget -= len;
	return 0;
}

/* A long run in pieces; what is not mapped is read ahead at least. */
static int map_run(struct hot *h, const struct hotset_run *r,
		   struct mote_err *err)
{
	uint64_t page = host_page_size(), end = r->first + r->count;
	uint64_t i = r->first, most, n;
	int ret = 0;

	read_ahead(h, r);
	while (ret == 0 && (i = bitmap_next(h->bits, i, end)) < end) {
		memslot_page(&h->vm->slots, i, &most);
		most = num_min(num_min(most, PIECE_PAGES), end - i);
		for (n = 1; n < most && bitmap_test(h->bits, i + n); n++)
			;
		if (h->budget < n * page || h->rest->n == h->rest->most)
			break;
		ret = map_piece(h, r, i, n, err);
		i += n;
	}
	return ret;
}

/* How many pieces a set can have: a huge page or a slot's end parts one. */
static uint64_t pieces_most(const struct hotset *set)
{
	return 2 * set->runs + set->pages / PIECE_PAGES +
	       set->pages / (HUGE / host_page_size() / ENOUGH) + MEMSLOT_MAX;
}

/* Without it (before Linux 5.14) the guest's faults do it, but slower. */
static void bring(const struct mapped_run *r)
{
	madvise(r->to, r->len,
		r->own ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

/*
 * The first runs, for which the guest waits.  One thread: two at the same
 * memory, or one beside the guest's own faults, took more than twice as long
 * where it was measured.
 */
static void bring_early(struct hot_rest *rest)
{
	uint64_t bytes = 0;

	for (;
	     rest->early < rest->n && rest->at[rest->early].to && bytes < EARLY;
	     rest->early++) {
		bring(&rest->at[rest->early]);
		bytes += rest->at[rest->early].len;
	}
}

void hot_finish(struct vm *vm)
{
	struct hot_rest *rest = vm->hot_rest;

	if (!rest)
		return;
	for (uint64_t i = rest->early; i < rest->n; i++)
		bring(&rest->at[i]);
	free(rest);
	vm->hot_rest = NULL;
}

static int bring_in(struct hot *h, enum restore_hotset how,
		    struct mote_err *err)
{
	int ret = 0;

	for (uint64_t i = 0; i < h->set.runs; i++) {
		const struct hotset_run *r = &h->set.run[i];

		for (uint64_t k = r->first; k < r->first + r->count; k++)
			bitmap_set(h->bits, k);
	}
	if (how == HOTSET_PRIVATE_THP)
		ret = huge_blocks(h, err);
	for (uint64_t i = 0; ret == 0 && i < h->set.runs; i++)
		if (is_long(&h->set.run[i]))
			ret = map_run(h, &h->set.run[i], err);
	return ret;
}

int hot_apply(struct vm *vm, const struct snapshot *s, enum restore_hotset how,
	      bool stored, struct mote_err *err)
{
	cleanup_free uint64_t *bits = NULL;
	struct hot h = {.vm = vm, .s = s, .stored = stored, .budget = BUDGET};
	struct mote_err own = {0};
	int ret;

	if (s->hotset_fd < 0 || how == HOTSET_OFF)
		return 0;
	h.bits = bits = track_bits(&vm->track);
	vm->brought_in = track_bits(&vm->track);
	if (!bits || !vm->brought_in)
		return err_set(err, ENOMEM, "hotset");
	ret = hotset_read(&h.set, s->hotset_fd, &s->manifest.digest,
			  track_pages(&vm->track), &own);
	if (ret < 0) {
		log_warn(&vm->log, "restore: not used: %s", own.msg);
		return 0;
	}
	h.rest = malloc(sizeof(*h.rest) +
			pieces_most(&h.set) * sizeof(h.rest->at[0]));
	if (!h.rest) {
		hotset_fini(&h.set);
		return err_set(err, ENOMEM, "hotset");
	}
	*h.rest = (struct hot_rest){.most = pieces_most(&h.set)};
	h.cached = is_cached(&h);
	read_short_ahead(&h);
	ret = bring_in(&h, how, err);
	if (ret == 0) {
		if (stored && h.runs > 0)
			vm_add_file(vm, s->hotset_fd,
				    (uint64_t)fd_size(s->hotset_fd));
		bring_early(h.rest);
		timeline_mark(vm->timeline, "hot set in memory");
		log_info(&vm->log,
			 "restore: hotset=%s: pages=%" PRIu64 " of %" PRIu64
			 " in huge=%" PRIu64 " runs=%" PRIu64,
			 how == HOTSET_PRIVATE_THP ? "private-thp"
						   : "shared-runs",
			 h.pages, h.set.pages, h.blocks, h.runs);
	}
	vm->hot_rest = h.rest; /* goes with the machine, whatever happened */
	hotset_fini(&h.set);
	return ret;
}

int hot_drop_same(struct vm *vm, const struct snapshot *s, uint64_t *bits,
		  struct mote_err *err)
{
	uint64_t pages = track_pages(&vm->track), page = host_page_size(), n;
	cleanup_free char *was = NULL;

	if (!vm->brought_in || !s)
		return 0;
	was = malloc(page);
	if (!was)
		return err_set(err, ENOMEM, "changed pages");
	for (uint64_t i = 0; (i = bitmap_next(bits, i, pages)) < pages; i++) {
		int ret;

		if (!bitmap_test(vm->brought_in, i))
			continue;
		ret = paged_fill((void *)s, i * page, page, was, err);
		if (ret < 0)
			return ret;
		if (!memcmp(was, memslot_page(&vm->slots, i, &n), page))
			bitmap_clear(bits, i);
	}
	return 0;
}
