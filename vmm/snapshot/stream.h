/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - the byte codec of a snapshot's state file (docs/SNAPSHOT.md).
 *
 * A state file is a header and sections (name, instance, version, flags,
 * length, digest, payload), every number little-endian.  Threads: one.
 * Trust: what is read is hostile; the reader checks all lengths and digests
 * before the first field is handed out, and errors stick to the section.
 */
#ifndef VMM_SNAPSHOT_STREAM_H
#define VMM_SNAPSHOT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;

#define SNAP_NAME_MAX 32 /* with the NUL */

enum snap_flags {
	SNAP_REQUIRED = 1 << 0, /* a reader that does not know it refuses */
};

/* XXH3-128, canonical (big-endian) bytes. */
struct snap_digest {
	uint8_t byte[16];
};
struct snap_digest snap_digest(const void *data, size_t len);

/* The same of data that comes in pieces. */
struct snap_hash {
	_Alignas(64) unsigned char state[576];
};
void snap_hash_begin(struct snap_hash *h);
void snap_hash_add(struct snap_hash *h, const void *data, size_t len);
struct snap_digest snap_hash_end(const struct snap_hash *h);

struct snap_writer {
	uint8_t *buf;
	size_t len, cap;
	size_t section; /* offset of the open section's header, 0: none */
	uint32_t count;
	int error; /* sticky -ENOMEM */
};

void snap_writer_init(struct snap_writer *w);
void snap_writer_fini(struct snap_writer *w);

/* Sections do not nest. */
void snap_section_begin(struct snap_writer *w, const char *name,
			uint32_t instance, uint16_t version,
			enum snap_flags flags);
void snap_section_end(struct snap_writer *w);

void snap_put_u8(struct snap_writer *w, uint8_t v);
void snap_put_u16(struct snap_writer *w, uint16_t v);
void snap_put_u32(struct snap_writer *w, uint32_t v);
void snap_put_u64(struct snap_writer *w, uint64_t v);
void snap_put_bytes(struct snap_writer *w, const void *p, size_t len);

/* Close the file: fills in the header.  0 or the sticky error. */
int snap_writer_finish(struct snap_writer *w, struct mote_err *err);

/* One section as read; also the cursor of its fields. */
struct snap_section {
	char name[SNAP_NAME_MAX];
	uint32_t instance;
	uint16_t version;
	uint16_t flags;
	const uint8_t *data;
	size_t len, pos;
	int error; /* sticky -EBADMSG: read past the end */
};

#define SNAP_SECTIONS_MAX 256

struct snap_reader {
	struct snap_section section[SNAP_SECTIONS_MAX];
	bool used[SNAP_SECTIONS_MAX];
	int count;
};

/*
 * Check the whole of buf (which must outlive the reader): header, every
 * section header and digest, nothing after the last.  -EBADMSG with
 * section and offset otherwise.
 */
int snap_reader_init(struct snap_reader *r, const void *buf, size_t len,
		     struct mote_err *err);

/* A section to read from its start; -ENOENT when there is none. */
int snap_section_open(struct snap_reader *r, const char *name,
		      uint32_t instance, struct snap_section *s,
		      struct mote_err *err);

/* The same without noting that it was read; false when there is none. */
bool snap_section_find(const struct snap_reader *r, const char *name,
		       uint32_t instance, struct snap_section *s);

/* Refuse a section newer than max. */
int snap_section_version(const struct snap_section *s, uint16_t max,
			 struct mote_err *err);

uint8_t snap_get_u8(struct snap_section *s);
uint16_t snap_get_u16(struct snap_section *s);
uint32_t snap_get_u32(struct snap_section *s);
uint64_t snap_get_u64(struct snap_section *s);
void snap_get_bytes(struct snap_section *s, void *p, size_t len);

/* A pointer to len raw bytes of the section, NULL (and error) past it. */
const void *snap_get_raw(struct snap_section *s, size_t len);

/* Bytes not read yet. */
size_t snap_left(const struct snap_section *s);

/* All fields read, and nothing left over: 0 or -EBADMSG. */
int snap_section_close(struct snap_section *s, struct mote_err *err);

/* Every required section was opened: 0, or -EBADMSG naming one. */
int snap_reader_finish(const struct snap_reader *r, struct mote_err *err);

#endif
