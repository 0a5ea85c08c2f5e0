/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"
#include "base/num.h"

/*
 * File header: magic[8], u32 format, u32 section count.
 * Section header: name[32], u32 instance, u16 version, u16 flags,
 * u64 length, digest[16] of the 48 bytes before it and the payload.
 */
static const char magic[8] = "MOTESTAT";
#define FORMAT	      1u
#define HEADER_SIZE   16u
#define SECTION_FIXED 48u
#define SECTION_SIZE  64u

_Static_assert(sizeof(struct snap_hash) >= sizeof(XXH3_state_t), "snap_hash");

static struct snap_digest canonical(XXH128_hash_t hash)
{
	XXH128_canonical_t canon;
	struct snap_digest d;

	XXH128_canonicalFromHash(&canon, hash);
	memcpy(d.byte, canon.digest, sizeof(d.byte));
	return d;
}

struct snap_digest snap_digest(const void *data, size_t len)
{
	return canonical(XXH3_128bits(data, len));
}

void snap_hash_begin(struct snap_hash *h)
{
	XXH3_state_t *state = (XXH3_state_t *)h;

	XXH3_INITSTATE(state);
	XXH3_128bits_reset(state);
}

void snap_hash_add(struct snap_hash *h, const void *data, size_t len)
{
	XXH3_128bits_update((XXH3_state_t *)h, data, len);
}

struct snap_digest snap_hash_end(const struct snap_hash *h)
{
	return canonical(XXH3_128bits_digest((const XXH3_state_t *)h));
}

static struct snap_digest section_digest(const uint8_t *header, size_t len)
{
	struct snap_hash h;

	snap_hash_begin(&h);
	snap_hash_add(&h, header, SECTION_FIXED);
	snap_hash_add(&h, header + SECTION_SIZE, len);
	return snap_hash_end(&h);
}

static void put_le(uint8_t *p, uint64_t v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* Room for len more bytes, or NULL and the sticky error. */
static uint8_t *grow(struct snap_writer *w, size_t len)
{
	uint8_t *p;

	if (w->error)
		return NULL;
	if (w->cap - w->len < len) {
		size_t cap = w->cap ? w->cap * 2 : 16384;

		while (cap - w->len < len)
			cap *= 2;
		p = realloc(w->buf, cap);
		if (!p) {
			w->error = -ENOMEM;
			return NULL;
		}
		w->buf = p;
		w->cap = cap;
	}
	p = w->buf + w->len;
	w->len += len;
	return p;
}

void snap_writer_init(struct snap_writer *w)
{
	uint8_t *p;

	memset(w, 0, sizeof(*w));
	p = grow(w, HEADER_SIZE);
	if (p)
		memset(p, 0, HEADER_SIZE);
}

void snap_writer_fini(struct snap_writer *w)
{
	free(w->buf);
	memset(w, 0, sizeof(*w));
}

void snap_section_begin(struct snap_writer *w, const char *name,
			uint32_t instance, uint16_t version,
			enum snap_flags flags)
{
	size_t at = w->len;
	uint8_t *p;

	assert(w->section == 0 && strlen(name) < SNAP_NAME_MAX);
	p = grow(w, SECTION_SIZE);
	if (!p)
		return;
	memset(p, 0, SECTION_SIZE);
	memcpy(p, name, strlen(name)); /* NOLINT: zeroed above */
	put_le(p + 32, instance, 4);
	put_le(p + 36, version, 2);
	put_le(p + 38, flags, 2);
	w->section = at;
}

void snap_section_end(struct snap_writer *w)
{
	struct snap_digest d;
	uint8_t *p;
	size_t len;

	if (w->error)
		return;
	assert(w->section);
	p = w->buf + w->section;
	len = w->len - w->section - SECTION_SIZE;
	put_le(p + 40, len, 8);
	d = section_digest(p, len);
	memcpy(p + SECTION_FIXED, d.byte, sizeof(d.byte));
	w->section = 0;
	w->count++;
}

static void put_num(struct snap_writer *w, uint64_t v, size_t len)
{
	uint8_t *p = grow(w, len);

	if (p)
		put_le(p, v, len);
}

void snap_put_u8(struct snap_writer *w, uint8_t v)
{
	put_num(w, v, 1);
}

void snap_put_u16(struct snap_writer *w, uint16_t v)
{
	put_num(w, v, 2);
}

void snap_put_u32(struct snap_writer *w, uint32_t v)
{
	put_num(w, v, 4);
}

void snap_put_u64(struct snap_writer *w, uint64_t v)
{
	put_num(w, v, 8);
}

void snap_put_bytes(struct snap_writer *w, const void *p, size_t len)
{
	uint8_t *dst = grow(w, len);

	if (dst && len)
		memcpy(dst, p, len);
}

int snap_writer_finish(struct snap_writer *w, struct mote_err *err)
{
	if (w->error)
		return err_set(err, -w->error, "out of memory for the state");
	assert(w->section == 0);
	memcpy(w->buf, magic, sizeof(magic));
	put_le(w->buf + 8, FORMAT, 4);
	put_le(w->buf + 12, w->count, 4);
	return 0;
}

static int bad(struct mote_err *err, size_t offset, const char *what)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA, "offset %zu: %s",
			     offset, what);
}

/* By its name, as far as that can be read: it may be what is damaged. */
static int bad_section(struct mote_err *err, size_t offset, const uint8_t *head)
{
	char name[SNAP_NAME_MAX] = "";

	for (size_t i = 0; i < sizeof(name) - 1 && head[i]; i++)
		name[i] = head[i] > ' ' && head[i] < 0x7f ? (char)head[i] : '?';
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "section %s[%u], offset %zu: its digest does not "
			     "match",
			     name, (unsigned int)get_le(head + 32, 4), offset);
}

/* Take one section at *pos; the digest is checked before anything else. */
static int read_section(struct snap_reader *r, const uint8_t *buf, size_t len,
			size_t *pos, struct mote_err *err)
{
	struct snap_section *s = &r->section[r->count];
	const uint8_t *p = buf + *pos;
	struct snap_digest d;
	uint64_t size;

	if (!num_within(*pos, SECTION_SIZE, len))
		return bad(err, *pos, "cut within a section header");
	size = get_le(p + 40, 8);
	if (!num_within(*pos + SECTION_SIZE, size, len))
		return bad(err, *pos, "section is longer than the file");
	d = section_digest(p, size);
	if (memcmp(d.byte, p + SECTION_FIXED, sizeof(d.byte)) != 0)
		return bad_section(err, *pos, p);
	if (p[SNAP_NAME_MAX - 1] != 0 || p[0] == 0)
		return bad(err, *pos, "section without a name");

	memset(s, 0, sizeof(*s));
	memcpy(s->name, p, SNAP_NAME_MAX);
	s->instance = (uint32_t)get_le(p + 32, 4);
	s->version = (uint16_t)get_le(p + 36, 2);
	s->flags = (uint16_t)get_le(p + 38, 2);
	s->data = p + SECTION_SIZE;
	s->len = size;
	for (int i = 0; i < r->count; i++)
		if (!strcmp(r->section[i].name, s->name) &&
		    r->section[i].instance == s->instance)
			return bad(err, *pos, "section stands twice");
	r->count++;
	*pos += SECTION_SIZE + size;
	return 0;
}

int snap_reader_init(struct snap_reader *r, const void *buf, size_t len,
		     struct mote_err *err)
{
	const uint8_t *p = buf;
	size_t pos = HEADER_SIZE;
	uint64_t format, count;

	memset(r->used, 0, sizeof(r->used));
	r->count = 0;
	if (len < HEADER_SIZE || memcmp(p, magic, sizeof(magic)) != 0)
		return bad(err, 0, "not a state file of mote");
	format = get_le(p + 8, 4);
	if (format != FORMAT)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "offset 8: state format %u, this version "
				     "reads %u",
				     (unsigned int)format, FORMAT);
	count = get_le(p + 12, 4);
	if (count > SNAP_SECTIONS_MAX)
		return bad(err, 12, "more sections than a snapshot can have");
	while (count--) {
		int ret = read_section(r, p, len, &pos, err);

		if (ret < 0)
			return ret;
	}
	if (pos != len)
		return bad(err, pos, "bytes after the last section");
	return 0;
}

static int find(const struct snap_reader *r, const char *name,
		uint32_t instance)
{
	for (int i = 0; i < r->count; i++)
		if (!strcmp(r->section[i].name, name) &&
		    r->section[i].instance == instance)
			return i;
	return -1;
}

bool snap_section_find(const struct snap_reader *r, const char *name,
		       uint32_t instance, struct snap_section *s)
{
	int i = find(r, name, instance);

	if (i >= 0)
		*s = r->section[i];
	return i >= 0;
}

int snap_section_open(struct snap_reader *r, const char *name,
		      uint32_t instance, struct snap_section *s,
		      struct mote_err *err)
{
	int i = find(r, name, instance);

	if (i < 0)
		return err_set_class(err, ENOENT, ERR_CLASS_DATA,
				     "section %s[%u] is missing", name,
				     instance);
	r->used[i] = true;
	*s = r->section[i];
	return 0;
}

int snap_section_version(const struct snap_section *s, uint16_t max,
			 struct mote_err *err)
{
	if (s->version == 0 || s->version > max)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section %s[%u]: version %u, this "
				     "version reads up to %u",
				     s->name, s->instance, s->version, max);
	return 0;
}

static uint64_t get_num(struct snap_section *s, size_t len)
{
	const uint8_t *p = snap_get_raw(s, len);

	return p ? get_le(p, len) : 0;
}

uint8_t snap_get_u8(struct snap_section *s)
{
	return (uint8_t)get_num(s, 1);
}

uint16_t snap_get_u16(struct snap_section *s)
{
	return (uint16_t)get_num(s, 2);
}

uint32_t snap_get_u32(struct snap_section *s)
{
	return (uint32_t)get_num(s, 4);
}

uint64_t snap_get_u64(struct snap_section *s)
{
	return get_num(s, 8);
}

void snap_get_bytes(struct snap_section *s, void *p, size_t len)
{
	const void *src = snap_get_raw(s, len);

	if (src)
		memcpy(p, src, len);
	else
		memset(p, 0, len);
}

const void *snap_get_raw(struct snap_section *s, size_t len)
{
	const uint8_t *p;

	if (s->error || !num_within(s->pos, len, s->len)) {
		s->error = -EBADMSG;
		return NULL;
	}
	p = s->data + s->pos;
	s->pos += len;
	return p;
}

size_t snap_left(const struct snap_section *s)
{
	return s->error ? 0 : s->len - s->pos;
}

int snap_section_close(struct snap_section *s, struct mote_err *err)
{
	if (s->error)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section %s[%u]: too short", s->name,
				     s->instance);
	if (s->pos != s->len)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section %s[%u]: %zu bytes too many",
				     s->name, s->instance, s->len - s->pos);
	return 0;
}

int snap_reader_finish(const struct snap_reader *r, struct mote_err *err)
{
	for (int i = 0; i < r->count; i++)
		if (!r->used[i] && (r->section[i].flags & SNAP_REQUIRED))
			return err_set_class(
				err, EBADMSG, ERR_CLASS_DATA,
				"section %s[%u] is required and this version "
				"does not know it",
				r->section[i].name, r->section[i].instance);
	return 0;
}
