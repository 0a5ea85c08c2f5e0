/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/hpt_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define FIRST_ROOM 4096u

void hpt_stream_fini(struct hpt_stream *s)
{
	free(s->buf);
	*s = (struct hpt_stream){0};
}

void hpt_stream_clear(struct hpt_stream *s)
{
	*s = (struct hpt_stream){.buf = s->buf, .cap = s->cap};
}

int hpt_stream_copy(struct hpt_stream *out, struct hpt_view in,
		    struct mote_err *err)
{
	uint8_t *p = in.len > out->cap ? realloc(out->buf, in.len) : out->buf;

	if (in.len && !p)
		return err_set(err, ENOMEM, "hashed page table");
	if (in.len)
		memcpy(p, in.buf, in.len);
	*out = (struct hpt_stream){
		.buf = p,
		.len = in.len,
		.cap = in.len > out->cap ? in.len : out->cap,
	};
	return 0;
}

void hpt_stream_reserve(struct hpt_stream *s, size_t len)
{
	uint8_t *p = len > s->cap ? realloc(s->buf, len) : NULL;

	if (p) {
		s->buf = p;
		s->cap = len;
	}
}

/* --- building ------------------------------------------------------------ */

static uint8_t *more(struct hpt_stream *s, size_t len)
{
	uint8_t *p;

	if (s->error)
		return NULL;
	if (len > s->cap - s->len) {
		size_t cap = s->cap ? s->cap : FIRST_ROOM;

		while (cap - s->len < len)
			cap *= 2;
		p = realloc(s->buf, cap);
		if (!p) {
			s->error = -ENOMEM;
			return NULL;
		}
		s->buf = p;
		s->cap = cap;
	}
	p = s->buf + s->len;
	s->len += len;
	return p;
}

static void write_header(struct hpt_stream *s)
{
	const struct hpt_record rec = {
		.index = (uint32_t)(s->next - s->valid - s->invalid),
		.valid = (uint16_t)s->valid,
		.invalid = (uint16_t)s->invalid,
	};

	hpt_header_put(s->buf + s->head, &rec, false);
}

static bool begin(struct hpt_stream *s, uint64_t index)
{
	size_t head = s->len;

	if (!more(s, HPT_HEADER_SIZE))
		return false;
	s->head = head;
	s->next = index;
	s->valid = s->invalid = 0;
	return true;
}

void hpt_put_valid(struct hpt_stream *s, uint64_t index, uint64_t n,
		   const uint8_t *entries)
{
	while (n > 0) {
		uint64_t part;
		uint8_t *p;

		if ((s->len == 0 || s->next != index || s->invalid ||
		     s->valid == HPT_RUN_MAX) &&
		    !begin(s, index))
			return;
		part = num_min(n, HPT_RUN_MAX - s->valid);
		p = more(s, part * HPT_ENTRY_SIZE);
		if (!p)
			return;
		memcpy(p, entries, part * HPT_ENTRY_SIZE);
		for (uint64_t i = 0; i < part; i++)
			p[i * HPT_ENTRY_SIZE + HPT_HVLOCK_BYTE] &=
				(uint8_t)~HPT_HVLOCK_BIT;
		s->valid += (uint32_t)part;
		s->next += part;
		write_header(s);
		index += part;
		entries += part * HPT_ENTRY_SIZE;
		n -= part;
	}
}

void hpt_put_invalid(struct hpt_stream *s, uint64_t index, uint64_t n)
{
	while (n > 0) {
		uint64_t part;

		if ((s->len == 0 || s->next != index ||
		     s->invalid == HPT_RUN_MAX) &&
		    !begin(s, index))
			return;
		part = num_min(n, HPT_RUN_MAX - s->invalid);
		s->invalid += (uint32_t)part;
		s->next += part;
		write_header(s);
		index += part;
		n -= part;
	}
}

static int finish(const struct hpt_stream *s, struct mote_err *err)
{
	return s->error ? err_set(err, -s->error, "hashed page table") : 0;
}

int hpt_stream_add(struct hpt_stream *s, const uint8_t *buf, size_t len,
		   bool big, uint64_t entries, uint64_t *next,
		   struct mote_err *err)
{
	struct hpt_record rec;
	size_t pos = 0;
	int ret;

	while ((ret = hpt_record_next(buf, len, &pos, big, entries, next, &rec,
				      err)) > 0) {
		hpt_put_valid(s, rec.index, rec.valid, rec.entries);
		hpt_put_invalid(s, (uint64_t)rec.index + rec.valid,
				rec.invalid);
	}
	return ret < 0 ? ret : finish(s, err);
}

/* --- putting together ------------------------------------------------------
 */

/* Neighbours of one kind. */
struct segment {
	uint64_t at, n;	  /* n 0: the stream has ended */
	const uint8_t *e; /* NULL: invalid */
};

struct cursor {
	struct hpt_view in;
	uint64_t entries, next;
	size_t pos;
	uint32_t invalid; /* what is left of the record: its second half */
	struct segment seg;
};

static void advance(struct cursor *c)
{
	struct hpt_record rec;

	if (c->invalid) {
		c->seg = (struct segment){.at = c->next - c->invalid,
					  .n = c->invalid};
		c->invalid = 0;
		return;
	}
	c->seg = (struct segment){.at = c->entries};
	while (hpt_record_next(c->in.buf, c->in.len, &c->pos, false, c->entries,
			       &c->next, &rec, NULL) > 0) {
		if (rec.valid) {
			c->seg = (struct segment){rec.index, rec.valid,
						  rec.entries};
			c->invalid = rec.invalid;
			return;
		}
		if (rec.invalid) {
			c->seg = (struct segment){.at = rec.index,
						  .n = rec.invalid};
			return;
		}
	}
}

static void cursor_init(struct cursor *c, struct hpt_view in, uint64_t entries)
{
	*c = (struct cursor){.in = in, .entries = entries};
	advance(c);
}

/* Leave the first n entries of the segment behind. */
static void take(struct cursor *c, uint64_t n)
{
	c->seg.at += n;
	c->seg.n -= n;
	if (c->seg.e)
		c->seg.e += n * HPT_ENTRY_SIZE;
	if (c->seg.n == 0)
		advance(c);
}

static void skip_to(struct cursor *c, uint64_t index)
{
	while (c->seg.n > 0 && c->seg.at < index)
		take(c, num_min(c->seg.n, index - c->seg.at));
}

static void put(struct hpt_stream *out, const struct segment *s, uint64_t n)
{
	if (s->e)
		hpt_put_valid(out, s->at, n, s->e);
	else
		hpt_put_invalid(out, s->at, n);
}

int hpt_stream_merge(struct hpt_stream *out, struct hpt_view base,
		     struct hpt_view over, uint64_t entries,
		     struct mote_err *err)
{
	struct cursor a, b;

	cursor_init(&a, base, entries);
	cursor_init(&b, over, entries);
	while (a.seg.n > 0 || b.seg.n > 0) {
		uint64_t n;

		if (b.seg.n > 0 && (a.seg.n == 0 || b.seg.at <= a.seg.at)) {
			n = b.seg.n;
			put(out, &b.seg, n);
			take(&b, n);
			skip_to(&a, out->next);
			continue;
		}
		n = a.seg.n;
		if (b.seg.n > 0)
			n = num_min(n, b.seg.at - a.seg.at);
		put(out, &a.seg, n);
		take(&a, n);
	}
	return finish(out, err);
}

/* Of n entries of both, those that are not the same. */
static void put_changed(struct hpt_stream *out, const struct segment *was,
			const struct segment *now, uint64_t n)
{
	if (!was->e || !now->e) {
		if (was->e || now->e)
			put(out, now, n);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		if (memcmp(was->e + i * HPT_ENTRY_SIZE,
			   now->e + i * HPT_ENTRY_SIZE, HPT_ENTRY_SIZE) != 0)
			hpt_put_valid(out, now->at + i, 1,
				      now->e + i * HPT_ENTRY_SIZE);
}

int hpt_stream_difference(struct hpt_stream *out, struct hpt_view base,
			  struct hpt_view now, uint64_t entries,
			  struct mote_err *err)
{
	struct cursor a, b;

	cursor_init(&a, base, entries);
	cursor_init(&b, now, entries);
	while (a.seg.n > 0 && b.seg.n > 0) {
		uint64_t n = num_min(a.seg.n, b.seg.n);

		put_changed(out, &a.seg, &b.seg, n);
		take(&a, n);
		take(&b, n);
	}
	return finish(out, err);
}

int hpt_stream_select(struct hpt_stream *out, struct hpt_view in,
		      uint64_t first, bool bolted, uint64_t entries,
		      struct mote_err *err)
{
	struct cursor c;

	cursor_init(&c, in, entries);
	skip_to(&c, first);
	while (c.seg.n > 0) {
		uint64_t n = bolted && c.seg.e ? 1 : c.seg.n;
		struct segment s = c.seg;

		if (bolted && s.e && !(s.e[HPT_HVLOCK_BYTE] & HPT_BOLTED_BIT))
			s.e = NULL;
		put(out, &s, n);
		take(&c, n);
	}
	return finish(out, err);
}
