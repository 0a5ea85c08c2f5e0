/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/edit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "snapshot/manifest.h"

#define EDITS	    16
#define SECTION_MAX (1u << 17) /* bytes of an edited one */
#define DIGEST_LINE 41u	       /* "digest: ", 32 digits, a newline */

static void *read_all(int fd, size_t *len)
{
	int64_t size = fd_size(fd);
	char *buf;

	require(size >= 0, "a size");
	buf = malloc((size_t)size + 1);
	require(buf && fd_pread_full(fd, buf, (size_t)size, 0) == 0, "a read");
	buf[size] = 0;
	*len = (size_t)size;
	return buf;
}

void base_read(struct base *b, int manifest_fd, int state_fd, int memory_fd)
{
	struct mote_err err = {0};

	b->manifest = read_all(manifest_fd, &b->manifest_len);
	b->state = read_all(state_fd, &b->state_len);
	b->memory_fd = memory_fd;
	require(snap_reader_init(&b->reader, b->state, b->state_len, &err) == 0,
		err.msg);
}

bool base_open(struct base *b, const char *folder)
{
	int fd[3] = {-1, -1, -1}, dir;
	static const char *const name[] = {"manifest", "state", "memory"};
	bool there = true;

	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		fd[i] = openat(dir, name[i], O_RDONLY | O_CLOEXEC);
		there = there && fd[i] >= 0;
	}
	if (there)
		base_read(b, fd[0], fd[1], fd[2]);
	else
		fd_close(fd[2]);
	fd_close(fd[0]);
	fd_close(fd[1]);
	fd_close(dir);
	return there;
}

enum kind {
	PUT_BYTE,
	PUT_WORD, /* 1, 2, 4 or 8 bytes of a number that is often an edge */
	PUT_BYTES,
	ADD_WORD, /* a little more or less than there is */
	CUT,
	GROW,
	VERSION,
	DROP,
	KINDS,
};

struct edit {
	enum kind kind;
	int section;
	uint64_t at, val;
	int width;
	uint8_t bytes[16];
};

static uint64_t take_edge(struct input *in)
{
	static const uint64_t edges[] = {
		0,
		1,
		UINT64_MAX,
		UINT64_C(1) << 63,
		(UINT64_C(1) << 63) - 1,
		UINT64_C(1) << 32,
		(UINT64_C(1) << 32) - 1,
		UINT64_C(1) << 31,
	};
	uint64_t which = take(in, 1);

	if (which < 128)
		return edges[which % ARRAY_SIZE(edges)];
	return which < 192 ? take(in, 2) : take(in, 8);
}

static struct edit take_edit(struct input *in, int sections)
{
	struct edit e = {
		.kind = (enum kind)(take(in, 1) % KINDS),
		.section = (int)take(in, 1) % (sections ? sections : 1),
		.at = take(in, 2),
	};

	switch (e.kind) {
	case PUT_WORD:
		e.width = 1 << take(in, 1) % 4;
		e.val = take_edge(in);
		break;
	case ADD_WORD:
		e.width = 1 << take(in, 1) % 4;
		e.val = (uint64_t)(int64_t)(int8_t)take(in, 1);
		break;
	case PUT_BYTES:
		take_bytes(in, e.bytes, sizeof(e.bytes));
		break;
	default:
		e.val = take(in, 1);
	}
	return e;
}

static uint8_t bytes[SECTION_MAX];

static void apply(const struct edit *e, size_t *len, uint16_t *version)
{
	uint64_t at = *len ? e->at % *len : 0, val = e->val, was = 0;
	size_t width = (size_t)e->width;

	switch (e->kind) {
	case PUT_BYTE:
		if (*len)
			bytes[at] = (uint8_t)val;
		break;
	case ADD_WORD:
	case PUT_WORD:
		if (!num_within(at, width, *len))
			break;
		memcpy(&was, bytes + at, width);
		if (e->kind == ADD_WORD)
			val += was;
		memcpy(bytes + at, &val, width);
		break;
	case PUT_BYTES:
		if (num_within(at, sizeof(e->bytes), *len))
			memcpy(bytes + at, e->bytes, sizeof(e->bytes));
		break;
	case CUT:
		*len = at;
		break;
	case GROW:
		for (at = 0; at <= val && *len < SECTION_MAX; at++)
			bytes[(*len)++] = (uint8_t)e->at;
		break;
	case VERSION:
		*version = (uint16_t)(val % 5);
		break;
	default:
		break;
	}
}

void edit_state(const struct base *b, struct input *in, struct snap_writer *w)
{
	int edits = (int)take(in, 1) % EDITS, sections = b->reader.count;
	struct edit edit[EDITS];

	for (int i = 0; i < edits; i++)
		edit[i] = take_edit(in, sections);
	snap_writer_init(w);
	for (int k = 0; k < sections; k++) {
		const struct snap_section *s = &b->reader.section[k];
		uint16_t version = s->version;
		size_t len = s->len;
		bool drop = false;

		require(len <= SECTION_MAX, "a section too long to edit");
		memcpy(bytes, s->data, len);
		for (int i = 0; i < edits; i++) {
			if (edit[i].section != k)
				continue;
			apply(&edit[i], &len, &version);
			drop = drop || edit[i].kind == DROP;
		}
		if (drop)
			continue;
		snap_section_begin(w, s->name, s->instance, version,
				   (enum snap_flags)s->flags);
		snap_put_bytes(w, bytes, len);
		snap_section_end(w);
	}
	require(snap_writer_finish(w, NULL) == 0, "a state");
}

/* Put value behind "key: ", as many bytes as were there. */
static void set_value(char *text, const char *key, const char *value)
{
	char *p = strstr(text, key);

	if (p && strlen(p + strlen(key)) >= strlen(value))
		memcpy(p + strlen(key), value, strlen(value));
}

static void set_digest(char *text, const char *key, const void *buf, size_t len)
{
	struct snap_digest d = snap_digest(buf, len);
	char hex[33];

	manifest_digest_text(&d, hex);
	set_value(text, key, hex);
}

/* The digests of the memory's chunks are the end of its section. */
static void set_memory_digest(char *text, const struct snap_writer *state)
{
	static struct snap_reader r;

	require(snap_reader_init(&r, state->buf, state->len, NULL) == 0,
		"a state");
	for (int i = 0; i < r.count; i++) {
		const struct snap_section *s = &r.section[i];
		size_t n;

		if (strcmp(s->name, "ram") != 0 &&
		    strcmp(s->name, "ram-diff") != 0)
			continue;
		/* Their number stands before them. */
		for (n = 0; s->len >= 8 + 16 * n; n++) {
			uint64_t count;

			memcpy(&count, s->data + s->len - 16 * n - 8, 8);
			if (count == n)
				break;
		}
		if (s->len >= 8 + 16 * n)
			set_digest(text,
				   "memory-digest: ", s->data + s->len - 16 * n,
				   16 * n);
	}
}

char *edit_manifest(const struct base *b, struct input *in,
		    const struct snap_writer *state, size_t *len)
{
	char *text = malloc(b->manifest_len + 64), size[24];
	int edits = (int)take(in, 1) % 8;

	require(text != NULL, "memory");
	memcpy(text, b->manifest, b->manifest_len + 1);
	snprintf(size, sizeof(size), "%zu\n", state->len);
	set_value(text, "state-length: ", size);
	set_digest(text, "state-digest: ", state->buf, state->len);
	set_memory_digest(text, state);
	for (int i = 0; i < edits; i++) {
		uint64_t at = take(in, 2) % (b->manifest_len - DIGEST_LINE);

		text[at] = (char)take(in, 1);
	}
	*len = b->manifest_len;
	set_digest(text + *len - DIGEST_LINE, "digest: ", text,
		   *len - DIGEST_LINE);
	return text;
}

int edit_file(const void *buf, size_t len)
{
	int fd = memfd_create("edited", MFD_CLOEXEC);

	require(fd >= 0 && fd_write_full(fd, buf, len) == 0, "a file");
	return fd;
}
