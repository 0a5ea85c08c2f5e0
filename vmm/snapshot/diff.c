/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/num.h"
#include "memory/memslot.h"
#include "memory/ring.h"
#include "snapshot/manifest.h"

#define VERSION	 2
#define PIECES	 256 /* stretches of memory in one write */
#define RUN_SIZE 25  /* bytes of one in the section; version 1: 17 */
#define RUN_OLD	 17

/* --- save ------------------------------------------------------------------
 */

/*
 * The memory file as it grows.  A page gets its place when it is first written
 * with anything but zeros, behind all others, and keeps it: what changed since
 * is written over it.  A changed page without a place is zeros.
 */
struct diff_out {
	const struct memslot_table *slots;
	int fd;
	struct diff_run *run; /* places; the first known ones ascend */
	uint64_t runs, room, known;
	uint64_t pages;	  /* in the file */
	uint64_t written; /* bytes, some of them more than once */
	struct iovec piece[PIECES];
	int pieces;
	uint64_t off, len; /* of the pieces, in the file */
};

struct diff_out *diff_begin(const struct memslot_table *slots, int fd)
{
	struct diff_out *d = calloc(1, sizeof(*d));

	if (d) {
		d->slots = slots;
		d->fd = fd;
	}
	return d;
}

void diff_end(struct diff_out *d)
{
	if (d)
		free(d->run);
	free(d);
}

static int flush(struct diff_out *d, struct mote_err *err)
{
	int ret = fd_pwritev_full(d->fd, d->piece, d->pieces, d->off);

	d->pieces = 0;
	d->written += d->len;
	d->off += d->len;
	d->len = 0;
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_IO,
				     "write of the memory file: %s",
				     strerror(-ret));
	return 0;
}

/* len bytes of guest RAM go to off in the file. */
static int put(struct diff_out *d, const uint8_t *from, uint64_t len,
	       uint64_t off, struct mote_err *err)
{
	if (d->pieces == PIECES || off != d->off + d->len) {
		int ret = flush(d, err);

		if (ret < 0)
			return ret;
		d->off = off;
	}
	d->piece[d->pieces++] =
		(struct iovec){.iov_base = (void *)from, .iov_len = len};
	d->len += len;
	return 0;
}

static int add_run(struct diff_out *d, uint64_t first, uint64_t count,
		   struct mote_err *err)
{
	if (!d->run || d->runs == d->room) {
		uint64_t room = d->room ? 2 * d->room : 64;
		void *run = realloc(d->run, room * sizeof(*d->run));

		if (!run)
			return err_set(err, ENOMEM, "runs of changed pages");
		d->run = run;
		d->room = room;
	}
	d->run[d->runs++] = (struct diff_run){
		.first = first, .count = count, .at = d->pages};
	d->pages += count;
	return 0;
}

/* The first of the known runs that ends behind page; or their number. */
static uint64_t next_known(const struct diff_out *d, uint64_t page)
{
	uint64_t low = 0, high = d->known;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (d->run[mid].first + d->run[mid].count <= page)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* How many of max pages from page on are set, and zeros like it or not. */
static uint64_t alike(const uint64_t *bits, const uint8_t *ram, uint64_t page,
		      uint64_t max, bool zero)
{
	uint64_t size = host_page_size(), n = 1;

	while (n < max && bitmap_test(bits, page + n) &&
	       mem_is_zero(ram + n * size, size) == zero)
		n++;
	return n;
}

/* Pages from page (which is set) on, at most max; how many in *n. */
static int put_some(struct diff_out *d, const uint64_t *bits,
		    const uint8_t *ram, uint64_t page, uint64_t max,
		    uint64_t *n, struct mote_err *err)
{
	uint64_t size = host_page_size(), k = next_known(d, page);
	const struct diff_run *r = k < d->known ? &d->run[k] : NULL;
	uint64_t at = d->pages;
	bool zero;
	int ret;

	*n = 1;
	if (r && r->first <= page) {
		max = num_min(max, r->first + r->count - page);
		while (*n < max && bitmap_test(bits, page + *n))
			++*n;
		at = r->at + page - r->first;
		return put(d, ram, *n * size, at * size, err);
	}
	if (r)
		max = num_min(max, r->first - page);
	/* Asked once: the guest may write it right now. */
	zero = mem_is_zero(ram, size);
	*n = alike(bits, ram, page, max, zero);
	if (zero)
		return 0;
	ret = add_run(d, page, *n, err);
	return ret < 0 ? ret : put(d, ram, *n * size, at * size, err);
}

static int compare_runs(const void *a, const void *b)
{
	const struct diff_run *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* What was placed in this pass is known to the next. */
static void learn(struct diff_out *d)
{
	uint64_t n = 0;

	if (d->runs)
		qsort(d->run, d->runs, sizeof(*d->run), compare_runs);
	for (uint64_t i = 1; i < d->runs; i++) {
		struct diff_run *last = &d->run[n];

		if (d->run[i].first == last->first + last->count &&
		    d->run[i].at == last->at + last->count)
			last->count += d->run[i].count;
		else
			d->run[++n] = d->run[i];
	}
	d->runs = d->known = d->runs ? n + 1 : 0;
}

int diff_add(struct diff_out *d, const uint64_t *bits, struct mote_err *err)
{
	uint64_t total = memslot_total(d->slots) / host_page_size(), n;
	int ret;

	for (uint64_t i = 0; (i = bitmap_next(bits, i, total)) < total;
	     i += n) {
		uint64_t max;
		const uint8_t *ram = memslot_page(d->slots, i, &max);

		ret = put_some(d, bits, ram, i, max, &n, err);
		if (ret == 0)
			ret = ring_collect(d->slots, err);
		if (ret < 0)
			return ret;
	}
	ret = flush(d, err);
	learn(d);
	return ret;
}

uint64_t diff_written(const struct diff_out *d)
{
	return d->written;
}

static void put_run(struct snap_writer *w, const struct diff_run *r)
{
	snap_put_u64(w, r->first);
	snap_put_u64(w, r->count);
	snap_put_u8(w, (uint8_t)r->kind);
	snap_put_u64(w, r->at);
}

/* All runs, with those of zeros; how many. */
static uint64_t put_runs(const struct diff_out *d, const uint64_t *bits,
			 struct snap_writer *w)
{
	uint64_t total = memslot_total(d->slots) / host_page_size(), n = 0;
	struct diff_run r;

	for (uint64_t i = 0; (i = bitmap_next(bits, i, total)) < total;
	     i = r.first + r.count) {
		uint64_t k = next_known(d, i), end = total;

		if (k < d->known)
			end = d->run[k].first;
		r = (struct diff_run){
			.first = i, .count = 1, .kind = DIFF_ZEROS};
		if (end <= i)
			r = d->run[k];
		else
			while (i + r.count < end &&
			       bitmap_test(bits, i + r.count))
				r.count++;
		put_run(w, &r);
		n++;
	}
	return n;
}

int diff_finish(const struct diff_out *d, const uint64_t *bits,
		struct snap_writer *w, struct snap_digest *digest,
		uint64_t *length, struct mote_err *err)
{
	struct snap_writer runs = {0}, digests = {0}; /* no header */
	uint64_t count;
	int ret;

	*length = d->pages * host_page_size();
	count = put_runs(d, bits, &runs);
	ret = ram_digest_file(d->fd, 0, *length, &digests, err);
	if (ret == 0 && (runs.error || digests.error))
		ret = err_set(err, ENOMEM, "runs of changed pages");
	if (ret == 0) {
		snap_section_begin(w, DIFF_SECTION, 0, VERSION, SNAP_REQUIRED);
		ram_put_regions(w, d->slots);
		snap_put_u32(w, (uint32_t)host_page_size());
		snap_put_u64(w, count);
		snap_put_bytes(w, runs.buf, runs.len);
		*digest = ram_put_digests(w, digests.buf, digests.len);
		snap_section_end(w);
	}
	snap_writer_fini(&digests);
	snap_writer_fini(&runs);
	return ret;
}

/* --- load ------------------------------------------------------------------
 */

static int bad(struct mote_err *err, const char *what)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "section " DIFF_SECTION ": %s", what);
}

/*
 * Ascending, apart from each other, within total pages; in the file within
 * pages of it.
 */
static int load_runs(struct diff_index *di, struct snap_section *s,
		     uint64_t total, uint64_t pages, struct mote_err *err)
{
	uint64_t next = 0;

	for (uint64_t i = 0; i < di->runs; i++) {
		struct diff_run *r = &di->run[i];
		uint64_t at;
		uint8_t kind;

		r->first = snap_get_u64(s);
		r->count = snap_get_u64(s);
		kind = snap_get_u8(s);
		at = s->version < 2 ? 0 : snap_get_u64(s);
		if (s->error)
			return 0; /* told when the section is closed */
		if (kind >= DIFF_KINDS || r->count == 0 || r->first < next ||
		    !num_within(r->first, r->count, total))
			return bad(err, "a run of pages that can't be");
		r->kind = (enum diff_kind)kind;
		r->at = s->version < 2 ? di->pages : at;
		if (r->kind == DIFF_PAGES)
			di->pages += r->count;
		if (r->kind == DIFF_PAGES &&
		    !num_within(r->at, r->count, pages))
			return bad(err, "a run that the memory file lacks");
		next = r->first + r->count;
	}
	return 0;
}

static int load(struct diff_index *di, struct ram_index *ri,
		struct snap_section *s, const struct manifest *m,
		struct mote_err *err)
{
	uint64_t total = 0, size = s->version < 2 ? RUN_OLD : RUN_SIZE;
	uint64_t page = m->page_size, length = m->memory_length;
	int ret = ram_get_regions(ri, s, DIFF_SECTION, err);

	if (ret < 0)
		return ret;
	if (snap_get_u32(s) != page)
		return bad(err, "page size is not the manifest's");
	for (uint32_t i = 0; i < ri->regions; i++)
		total += ri->region[i].size / page;
	di->runs = snap_get_u64(s);
	if (di->runs > total || di->runs > snap_left(s) / size)
		return bad(err, "more runs than it can have");
	di->run = calloc(di->runs + 1, sizeof(*di->run));
	if (!di->run)
		return err_set(err, ENOMEM, "runs of changed pages");
	ret = load_runs(di, s, total, length / page, err);
	if (ret == 0 && !s->error && di->pages * page != length)
		ret = bad(err, "its pages are not as many as the memory file "
			       "has");
	ri->length = length;
	ri->packed = true;
	return ret;
}

int diff_index_load(struct diff_index *di, struct ram_index *ri,
		    struct snap_reader *r, const struct manifest *m,
		    struct mote_err *err)
{
	struct snap_section s;
	int ret = snap_section_open(r, DIFF_SECTION, 0, &s, err);

	memset(di, 0, sizeof(*di));
	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret == 0)
		ret = load(di, ri, &s, m, err);
	if (ret == 0)
		ret = ram_get_digests(ri, &s, ram_chunks(m->memory_length),
				      DIFF_SECTION, &m->memory_digest, err);
	if (ret < 0)
		diff_index_fini(di);
	return ret;
}

void diff_index_fini(struct diff_index *di)
{
	free(di->run);
	memset(di, 0, sizeof(*di));
}

/* One run, or what of it lies in one slot. */
static int apply_piece(uint8_t *to, const struct diff_run *r, uint64_t skip,
		       uint64_t count, int fd)
{
	uint64_t page = host_page_size();

	if (r->kind == DIFF_PAGES)
		return fd_pread_full(fd, to, count * page,
				     (r->at + skip) * page);
	memset(to, 0, count * page);
	return 0;
}

int diff_apply(const struct diff_index *di, int fd,
	       const struct memslot_table *slots, struct mote_err *err)
{
	for (uint64_t i = 0; i < di->runs; i++) {
		const struct diff_run *r = &di->run[i];

		for (uint64_t skip = 0, n; skip < r->count; skip += n) {
			uint8_t *to = memslot_page(slots, r->first + skip, &n);
			int ret = to ? 0 : -EFAULT;

			n = num_min(n, r->count - skip);
			if (ret == 0)
				ret = apply_piece(to, r, skip, n, fd);
			if (ret < 0)
				return err_set_class(err, -ret, ERR_CLASS_IO,
						     "read of the memory file: "
						     "%s",
						     strerror(-ret));
		}
	}
	return 0;
}

const struct diff_run *diff_find(const struct diff_index *di, uint64_t page)
{
	uint64_t low = 0, high = di->runs;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		const struct diff_run *r = &di->run[mid];

		if (page < r->first)
			high = mid;
		else if (page - r->first >= r->count)
			low = mid + 1;
		else
			return r;
	}
	return NULL;
}
