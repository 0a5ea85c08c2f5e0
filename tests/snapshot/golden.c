/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/golden.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/num.h"
#include "mote.h"
#include "snapshot/manifest.h"
#include "snapshot/ram.h"

#define HEADER	    16u /* of the state file, then of a section: */
#define SECTION	    64u
#define DIGEST_AT   48u
#define DIGEST_LINE 41u /* "digest: ", 32 digits, a newline */

const char *const golden_name[GOLDEN_FILES] = {"manifest", "state", "memory"};

static void copy_file(int from, int to, uint64_t size)
{
	static uint8_t buf[1 << 16], zero[1 << 16];

	for (uint64_t at = 0; at < size; at += sizeof(buf)) {
		size_t n = num_min(sizeof(buf), size - at);

		cr_assert_eq(fd_pread_full(from, buf, n, at), 0);
		if (memcmp(buf, zero, n) != 0)
			cr_assert_eq(fd_pwrite_full(to, buf, n, at), 0);
	}
	cr_assert_eq(ftruncate(to, (off_t)size), 0);
}

void golden_copy(struct golden *g, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "tests/golden/%s", name);
	if (access(path, R_OK) < 0)
		cr_skip_test("%s: %s", path, strerror(errno));
	snprintf(g->dir, sizeof(g->dir), "/tmp/golden-XXXXXX");
	cr_assert_not_null(mkdtemp(g->dir));
	for (int i = 0; i < GOLDEN_FILES; i++) {
		int from;

		snprintf(path, sizeof(path), "tests/golden/%s/%s", name,
			 golden_name[i]);
		from = open(path, O_RDONLY | O_CLOEXEC);
		cr_assert_geq(from, 0, "%s: %s", path, strerror(errno));
		snprintf(path, sizeof(path), "%s/%s", g->dir, golden_name[i]);
		g->fd[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		cr_assert_geq(g->fd[i], 0, "%s: %s", path, strerror(errno));
		g->size[i] = (uint64_t)fd_size(from);
		copy_file(from, g->fd[i], g->size[i]);
		fd_close(from);
	}
}

void golden_remove(struct golden *g)
{
	char path[128];

	for (int i = 0; i < GOLDEN_FILES; i++) {
		fd_clear(&g->fd[i]);
		snprintf(path, sizeof(path), "%s/%s", g->dir, golden_name[i]);
		unlink(path);
	}
	rmdir(g->dir);
}

void *golden_read(const struct golden *g, enum golden_file f)
{
	uint64_t size = (uint64_t)fd_size(g->fd[f]);
	void *buf = malloc(size + 1);

	cr_assert_not_null(buf);
	cr_assert_eq(fd_pread_full(g->fd[f], buf, size, 0), 0);
	return buf;
}

void golden_write(struct golden *g, enum golden_file f, const void *buf,
		  uint64_t len)
{
	cr_assert_eq(fd_pwrite_full(g->fd[f], buf, len, 0), 0);
	cr_assert_eq(ftruncate(g->fd[f], (off_t)len), 0);
}

int golden_verify(const char *dir, struct mote_err *err)
{
	struct mote_snapshot *s;
	int ret = mote_snapshot_open(AT_FDCWD, dir, &s, err);

	if (ret < 0)
		return ret;
	ret = mote_snapshot_verify(s, err);
	mote_snapshot_close(s);
	return ret;
}

void golden_put_section(struct snap_writer *w, const struct snap_section *s)
{
	snap_section_begin(w, s->name, s->instance, s->version,
			   (enum snap_flags)s->flags);
	snap_put_bytes(w, s->data, s->len);
	snap_section_end(w);
}

void golden_repair_manifest(struct golden *g, char *text, uint64_t len)
{
	struct snap_digest d = snap_digest(text, len - DIGEST_LINE);
	char hex[33];

	manifest_digest_text(&d, hex);
	memcpy(text + len - DIGEST_LINE, "digest: ", 8);
	memcpy(text + len - 33, hex, 32);
	text[len - 1] = '\n';
	golden_write(g, GOLDEN_MANIFEST, text, len);
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static void repair_sections(uint8_t *state, uint64_t len)
{
	uint64_t at = HEADER;

	while (num_within(at, SECTION, len)) {
		uint64_t size = le64(state + at + 40);
		struct snap_digest d;
		struct snap_hash h;

		if (!num_within(at + SECTION, size, len))
			return;
		snap_hash_begin(&h);
		snap_hash_add(&h, state + at, DIGEST_AT);
		snap_hash_add(&h, state + at + SECTION, size);
		d = snap_hash_end(&h);
		memcpy(state + at + DIGEST_AT, d.byte, sizeof(d.byte));
		at += SECTION + size;
	}
}

/* Put value behind "key: "; as many bytes as were there. */
static void set_value(char *text, uint64_t len, const char *key,
		      const char *value)
{
	char *p = memmem(text, len, key, strlen(key));

	if (p)
		memcpy(p + strlen(key), value, strlen(value));
}

/* 16 bytes a chunk stand at the end of the section of the memory. */
static void set_memory_digest(const uint8_t *state, uint64_t len, char *text,
			      uint64_t text_len)
{
	uint64_t at = HEADER;

	while (num_within(at, SECTION, len)) {
		uint64_t size = le64(state + at + 40);
		struct snap_digest d;
		char hex[33];

		if (!num_within(at + SECTION, size, len))
			return;
		if (!strncmp((const char *)state + at, "ram", 4) &&
		    size >= 16) {
			d = snap_digest(state + at + SECTION + size - 16, 16);
			manifest_digest_text(&d, hex);
			set_value(text, text_len, "memory-digest: ", hex);
		}
		at += SECTION + size;
	}
}

void golden_repair_state(struct golden *g, uint8_t *state, uint64_t len,
			 char *manifest, uint64_t manifest_len)
{
	struct snap_digest d;
	char hex[33], size[24];

	repair_sections(state, len);
	d = snap_digest(state, len);
	manifest_digest_text(&d, hex);
	set_value(manifest, manifest_len, "state-digest: ", hex);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)len);
	set_value(manifest, manifest_len, "state-length: ", size);
	set_memory_digest(state, len, manifest, manifest_len);
	golden_write(g, GOLDEN_STATE, state, len);
	golden_repair_manifest(g, manifest, manifest_len);
}

/* One chunk: the golden ones are not larger. */
void golden_repair_memory(struct golden *g)
{
	uint8_t *memory = golden_read(g, GOLDEN_MEMORY);
	uint8_t *state = golden_read(g, GOLDEN_STATE), *old;
	char *manifest = golden_read(g, GOLDEN_MANIFEST);
	uint64_t len = (uint64_t)fd_size(g->fd[GOLDEN_STATE]);
	struct snap_digest d;

	cr_assert_eq(g->size[GOLDEN_MEMORY], RAM_CHUNK);
	d = snap_digest(memory, RAM_CHUNK);
	/* Section "ram" is the last one, and ends with the chunk's digest. */
	old = state + len - sizeof(d.byte);
	memcpy(old, d.byte, sizeof(d.byte));
	golden_repair_state(g, state, len, manifest, g->size[GOLDEN_MANIFEST]);
	free(manifest);
	free(state);
	free(memory);
}
