/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/hotset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"

#define MAGIC  "MOTEHOTS"
#define FORMAT 1
#define GAP    7  /* pages that are bridged: cheaper than two runs */
#define FIXED  72 /* bytes before the runs */
#define RUN    17 /* bytes of one */

#define FIRST_READ 16384 /* has the head of nearly all */

static int bad(struct mote_err *err, const char *what)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA, "hotset: %s", what);
}

/* --- making one ------------------------------------------------------------
 */

/* The end of the run that begins at i, small gaps included. */
static uint64_t run_end(const uint64_t *bits, uint64_t i, uint64_t total)
{
	uint64_t end = i + 1;

	for (;;) {
		uint64_t next = bitmap_next(bits, end, total);

		if (next >= total || next - end > GAP)
			return end;
		end = next + 1;
	}
}

int hotset_make(struct hotset *h, const uint64_t *bits, const uint64_t *written,
		uint64_t total, struct mote_err *err)
{
	uint64_t n = bitmap_count(bits, total), end;

	memset(h, 0, sizeof(*h));
	h->run = calloc(n + 1, sizeof(*h->run));
	if (!h->run)
		return err_set(err, ENOMEM, "hotset");
	for (uint64_t i = 0; (i = bitmap_next(bits, i, total)) < total;
	     i = end) {
		struct hotset_run *r = &h->run[h->runs++];
		uint64_t w = 0;

		end = run_end(bits, i, total);
		for (uint64_t k = i; k < end; k++)
			w += bitmap_test(written, k);
		r->first = i;
		r->count = end - i;
		r->flags = w * 2 >= r->count ? HOTSET_WRITTEN : 0;
		h->pages += r->count;
	}
	if (h->pages <= HOTSET_PAGES_MAX)
		return 0;
	end = h->pages;
	hotset_fini(h);
	return err_set_class(err, E2BIG, ERR_CLASS_DATA,
			     "hotset: %llu pages were touched, it holds at "
			     "most %d",
			     (unsigned long long)end, HOTSET_PAGES_MAX);
}

void hotset_fini(struct hotset *h)
{
	free(h->run);
	memset(h, 0, sizeof(*h));
}

/* Where the pages begin: after runs and the digest, at a page. */
static uint64_t head_length(uint64_t runs)
{
	uint64_t page = host_page_size(), len = FIXED + runs * RUN + 16;

	return (len + page - 1) / page * page;
}

int hotset_format(const struct hotset *h, const struct snap_digest *manifest,
		  uint8_t **head, uint64_t *len, struct mote_err *err)
{
	struct snap_writer w = {0};
	struct snap_digest d;
	int ret = 0;

	*len = head_length(h->runs);
	snap_put_bytes(&w, MAGIC, 8);
	snap_put_u32(&w, FORMAT);
	snap_put_u32(&w, (uint32_t)host_page_size());
	snap_put_bytes(&w, manifest->byte, sizeof(manifest->byte));
	snap_put_bytes(&w, h->digest.byte, sizeof(h->digest.byte));
	snap_put_u64(&w, 0); /* flags */
	snap_put_u64(&w, h->pages);
	snap_put_u64(&w, h->runs);
	for (uint64_t i = 0; i < h->runs; i++) {
		snap_put_u64(&w, h->run[i].first);
		snap_put_u64(&w, h->run[i].count);
		snap_put_u8(&w, h->run[i].flags);
	}
	d = snap_digest(w.buf, w.error ? 0 : w.len);
	snap_put_bytes(&w, d.byte, sizeof(d.byte));
	*head = w.error ? NULL : calloc(1, *len);
	if (*head)
		memcpy(*head, w.buf, w.len);
	else
		ret = err_set(err, ENOMEM, "hotset");
	snap_writer_fini(&w);
	return ret;
}

/* --- reading one -----------------------------------------------------------
 */

static int parse_runs(struct hotset *h, struct snap_section *s, uint64_t total,
		      struct mote_err *err)
{
	uint64_t next = 0, pages = 0, at = head_length(h->runs);

	for (uint64_t i = 0; i < h->runs; i++) {
		struct hotset_run *r = &h->run[i];

		r->first = snap_get_u64(s);
		r->count = snap_get_u64(s);
		r->flags = snap_get_u8(s);
		if (r->count == 0 || r->first < next ||
		    !num_within(r->first, r->count, total) ||
		    (r->flags & ~HOTSET_WRITTEN))
			return bad(err, "a run of pages that can't be");
		r->at = at;
		at += r->count * host_page_size();
		pages += r->count;
		next = r->first + r->count;
	}
	if (pages != h->pages)
		return bad(err, "its runs do not add up to its pages");
	return 0;
}

static int parse(struct hotset *h, struct snap_section *s, uint64_t size,
		 const struct snap_digest *manifest, uint64_t total,
		 struct mote_err *err)
{
	struct snap_digest of, d;
	char magic[8];
	uint32_t page;

	snap_get_bytes(s, magic, sizeof(magic));
	if (s->error || memcmp(magic, MAGIC, sizeof(magic)) != 0)
		return bad(err, "it is none");
	if (snap_get_u32(s) != FORMAT)
		return bad(err, "of a format that this version can't read");
	page = snap_get_u32(s);
	snap_get_bytes(s, of.byte, sizeof(of.byte));
	snap_get_bytes(s, h->digest.byte, sizeof(h->digest.byte));
	if (snap_get_u64(s) != 0)
		return bad(err, "flags that this version does not know");
	h->pages = snap_get_u64(s);
	h->runs = snap_get_u64(s);
	if (s->error || page != host_page_size() ||
	    h->pages > HOTSET_PAGES_MAX || h->runs > h->pages ||
	    head_length(h->runs) > HOTSET_HEAD_MAX ||
	    head_length(h->runs) > s->len ||
	    head_length(h->runs) + h->pages * page != size)
		return bad(err, "its length or page size can't be");
	d = snap_digest(s->data, FIXED + h->runs * RUN);
	if (memcmp(d.byte, s->data + FIXED + h->runs * RUN, sizeof(d.byte)) !=
	    0)
		return bad(err, "digest of its head does not match");
	if (memcmp(of.byte, manifest->byte, sizeof(of.byte)) != 0)
		return err_set_class(err, ESTALE, ERR_CLASS_DATA,
				     "hotset: it is of another snapshot");
	h->run = calloc(h->runs + 1, sizeof(*h->run));
	if (!h->run)
		return err_set(err, ENOMEM, "hotset");
	return parse_runs(h, s, total, err);
}

int hotset_parse(struct hotset *h, const void *head, uint64_t len,
		 uint64_t size, const struct snap_digest *manifest,
		 uint64_t total, struct mote_err *err)
{
	struct snap_section s = {.data = head, .len = len};
	int ret;

	memset(h, 0, sizeof(*h));
	ret = parse(h, &s, size, manifest, total, err);
	if (ret < 0)
		hotset_fini(h);
	return ret;
}

/* How long the file says that its head is. */
static uint64_t head_said(const char *head, uint64_t len)
{
	struct snap_section s = {.data = (const void *)head, .len = len};
	uint64_t runs;

	snap_get_raw(&s, FIXED - sizeof(runs));
	runs = snap_get_u64(&s);
	return runs <= HOTSET_PAGES_MAX ? head_length(runs) : 0;
}

static int read_head(int fd, uint64_t len, char **head, struct mote_err *err)
{
	int ret;

	free(*head);
	*head = malloc(len + 1);
	if (!*head)
		return err_set(err, ENOMEM, "hotset");
	ret = fd_pread_full(fd, *head, len, 0);
	return ret < 0 ? err_set_class(err, -ret, ERR_CLASS_IO, "hotset: %s",
				       strerror(-ret))
		       : 0;
}

int hotset_read(struct hotset *h, int fd, const struct snap_digest *manifest,
		uint64_t total, struct mote_err *err)
{
	cleanup_free char *head = NULL;
	int64_t size = fd_size(fd);
	uint64_t len, said;
	int ret;

	memset(h, 0, sizeof(*h));
	if (size < 0)
		return err_set(err, (int)-size, "hotset: %s",
			       strerror((int)-size));
	len = num_min((uint64_t)size, FIRST_READ);
	ret = read_head(fd, len, &head, err);
	said = ret == 0 ? num_min(head_said(head, len), (uint64_t)size) : 0;
	if (said > len && said <= HOTSET_HEAD_MAX) {
		len = said;
		ret = read_head(fd, len, &head, err);
	}
	if (ret < 0)
		return ret;
	return hotset_parse(h, head, len, (uint64_t)size, manifest, total, err);
}

int hotset_verify(const struct hotset *h, int fd, struct mote_err *err)
{
	uint64_t page = host_page_size(), at = head_length(h->runs);
	cleanup_free char *buf = malloc(page);
	struct snap_digest d;
	struct snap_hash hash;

	if (!buf)
		return err_set(err, ENOMEM, "hotset");
	snap_hash_begin(&hash);
	for (uint64_t i = 0; i < h->pages; i++, at += page) {
		int ret = fd_pread_full(fd, buf, page, at);

		if (ret < 0)
			return err_set_class(err, -ret, ERR_CLASS_IO,
					     "hotset: %s", strerror(-ret));
		snap_hash_add(&hash, buf, page);
	}
	d = snap_hash_end(&hash);
	return memcmp(d.byte, h->digest.byte, sizeof(d.byte)) != 0
		       ? bad(err, "digest of its pages does not match")
		       : 0;
}
