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
#include "base/num.h"
#include "memory/memslot.h"

#define VERSION	 1
#define PIECES	 256 /* runs of pages in one write */
#define RUN_SIZE 17  /* bytes of one in the section */

/* --- save ------------------------------------------------------------------
 */

/* The memory file as it grows, and its digests. */
struct pack {
	int fd;
	uint64_t len;	  /* bytes given */
	uint64_t written; /* ... and those of them that are in the file */
	struct iovec piece[PIECES];
	int pieces;
	struct snap_hash hash; /* of the chunk that len is in */
	struct snap_writer digests;
	struct snap_writer runs;
	uint64_t run_count;
};

static int flush(struct pack *p, struct mote_err *err)
{
	int ret = fd_pwritev_full(p->fd, p->piece, p->pieces, p->written);

	p->pieces = 0;
	p->written = p->len;
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_IO,
				     "write of the memory file: %s",
				     strerror(-ret));
	return 0;
}

static void end_chunk(struct pack *p)
{
	struct snap_digest d = snap_hash_end(&p->hash);

	snap_put_bytes(&p->digests, d.byte, sizeof(d.byte));
	snap_hash_begin(&p->hash);
}

/* len bytes of guest RAM are next in the file. */
static int add_bytes(struct pack *p, const uint8_t *from, uint64_t len,
		     struct mote_err *err)
{
	int ret = p->pieces == PIECES ? flush(p, err) : 0;

	if (ret < 0)
		return ret;
	p->piece[p->pieces++] =
		(struct iovec){.iov_base = (void *)from, .iov_len = len};
	while (len > 0) {
		uint64_t n = num_min(len, RAM_CHUNK - p->len % RAM_CHUNK);

		snap_hash_add(&p->hash, from, n);
		from += n;
		len -= n;
		p->len += n;
		if (p->len % RAM_CHUNK == 0)
			end_chunk(p);
	}
	return 0;
}

static void add_run(struct pack *p, uint64_t first, uint64_t count,
		    enum diff_kind kind)
{
	snap_put_u64(&p->runs, first);
	snap_put_u64(&p->runs, count);
	snap_put_u8(&p->runs, (uint8_t)kind);
	p->run_count++;
}

/* The changed pages of one slot, whose first has the number base. */
static int pack_slot(struct pack *p, const struct memslot *s,
		     const uint64_t *bits, uint64_t base, struct mote_err *err)
{
	const uint8_t *ram = s->ram.addr;
	uint64_t page = host_page_size(), pages = s->ram.size / page;
	uint64_t i = 0;

	while ((i = bitmap_next(bits, base + i, base + pages) - base) < pages) {
		bool zero = ram_is_zero(ram + i * page, page);
		uint64_t end = i + 1;
		int ret = 0;

		while (end < pages && bitmap_test(bits, base + end) &&
		       ram_is_zero(ram + end * page, page) == zero)
			end++;
		add_run(p, base + i, end - i, zero ? DIFF_ZEROS : DIFF_PAGES);
		if (!zero)
			ret = add_bytes(p, ram + i * page, (end - i) * page,
					err);
		if (ret < 0)
			return ret;
		i = end;
	}
	return 0;
}

static int pack_all(struct pack *p, const struct memslot_table *slots,
		    const uint64_t *bits, struct mote_err *err)
{
	uint64_t base = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &slots->slot[i];
		int ret;

		if (!s->ram.addr)
			continue;
		ret = pack_slot(p, s, bits, base, err);
		if (ret < 0)
			return ret;
		base += s->ram.size / host_page_size();
	}
	if (p->len % RAM_CHUNK)
		end_chunk(p);
	return flush(p, err);
}

int diff_save(const struct memslot_table *slots, const uint64_t *bits, int fd,
	      struct snap_writer *w, struct snap_digest *digest,
	      uint64_t *length, struct mote_err *err)
{
	cleanup_free struct pack *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(err, ENOMEM, "changed pages");
	p->fd = fd;
	snap_hash_begin(&p->hash);
	ret = pack_all(p, slots, bits, err);
	if (ret == 0 && (p->digests.error || p->runs.error))
		ret = err_set(err, ENOMEM, "changed pages");
	if (ret == 0) {
		snap_section_begin(w, DIFF_SECTION, 0, VERSION, SNAP_REQUIRED);
		ram_put_regions(w, slots);
		snap_put_u32(w, (uint32_t)host_page_size());
		snap_put_u64(w, p->run_count);
		snap_put_bytes(w, p->runs.buf, p->runs.len);
		*digest = ram_put_digests(w, p->digests.buf, p->digests.len);
		snap_section_end(w);
		*length = p->len;
	}
	snap_writer_fini(&p->digests);
	snap_writer_fini(&p->runs);
	return ret;
}

/* --- load ------------------------------------------------------------------
 */

static int bad(struct mote_err *err, const char *what)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "section " DIFF_SECTION ": %s", what);
}

/* Ascending, apart from each other, within total pages. */
static int load_runs(struct diff_index *di, struct snap_section *s,
		     uint64_t total, struct mote_err *err)
{
	uint64_t next = 0;

	for (uint64_t i = 0; i < di->runs; i++) {
		struct diff_run *r = &di->run[i];
		uint8_t kind;

		r->first = snap_get_u64(s);
		r->count = snap_get_u64(s);
		kind = snap_get_u8(s);
		if (s->error)
			return 0; /* told when the section is closed */
		if (kind >= DIFF_KINDS || r->count == 0 || r->first < next ||
		    !num_within(r->first, r->count, total))
			return bad(err, "a run of pages that can't be");
		r->kind = (enum diff_kind)kind;
		r->at = di->pages;
		if (r->kind == DIFF_PAGES)
			di->pages += r->count;
		next = r->first + r->count;
	}
	return 0;
}

static int load(struct diff_index *di, struct ram_index *ri,
		struct snap_section *s, uint64_t length, struct mote_err *err)
{
	uint64_t total = 0;
	int ret = ram_get_regions(ri, s, DIFF_SECTION, err);

	if (ret < 0)
		return ret;
	if (snap_get_u32(s) != host_page_size())
		return bad(err, "page size is not this host's");
	for (uint32_t i = 0; i < ri->regions; i++)
		total += ri->region[i].size / host_page_size();
	di->runs = snap_get_u64(s);
	if (di->runs > total || di->runs > snap_left(s) / RUN_SIZE)
		return bad(err, "more runs than it can have");
	di->run = calloc(di->runs + 1, sizeof(*di->run));
	if (!di->run)
		return err_set(err, ENOMEM, "runs of changed pages");
	ret = load_runs(di, s, total, err);
	if (ret == 0 && !s->error && di->pages * host_page_size() != length)
		ret = bad(err, "its pages are not as many as the memory file "
			       "has");
	ri->length = length;
	ri->packed = true;
	return ret;
}

int diff_index_load(struct diff_index *di, struct ram_index *ri,
		    struct snap_reader *r, const struct snap_digest *digest,
		    uint64_t length, struct mote_err *err)
{
	struct snap_section s;
	int ret = snap_section_open(r, DIFF_SECTION, 0, &s, err);

	memset(di, 0, sizeof(*di));
	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret == 0)
		ret = load(di, ri, &s, length, err);
	if (ret == 0)
		ret = ram_get_digests(ri, &s, ram_chunks(length), DIFF_SECTION,
				      digest, err);
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
