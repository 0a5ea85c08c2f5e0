/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ram.h - guest RAM as the memory file of a snapshot, with its digests.
 *
 * The file is the RAM regions one after the other, page-aligned so that it
 * can be mapped; pages of zeros are holes.  Digests are kept for chunks of
 * 2 MiB, in the state's section "ram".  Threads: the VM thread, vCPUs parked
 * unless it is said.
 */
#ifndef VMM_SNAPSHOT_RAM_H
#define VMM_SNAPSHOT_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snapshot/stream.h"

struct memslot_table;
struct mote_err;

#define RAM_CHUNK (UINT64_C(2) << 20)

/*
 * Write all RAM to fd (empty, at least readable by nobody else) and the
 * section to w; *digest is that of the chunks' digests, *written how many
 * bytes went into the file: no holes.
 */
int ram_save(const struct memslot_table *slots, int fd, struct snap_writer *w,
	     struct snap_digest *digest, uint64_t *written,
	     struct mote_err *err);

/*
 * The same in steps, while the guest runs: all pages that are not zeros, then,
 * as often as wanted, those whose bit is set (numbered through the slots); when
 * no page has changed since, the section.  It is made of what is in the file,
 * which must be open for reading too; RAM may change again.  *written grows.
 */
int ram_write_all(const struct memslot_table *slots, int fd, uint64_t *written,
		  struct mote_err *err);
int ram_write_pages(const struct memslot_table *slots, const uint64_t *bits,
		    int fd, uint64_t *written, struct mote_err *err);
int ram_finish(const struct memslot_table *slots, int fd, struct snap_writer *w,
	       struct snap_digest *digest, struct mote_err *err);

/* The section, read: where the regions lie and the chunks' digests. */
struct ram_index {
	uint32_t regions;
	struct {
		uint64_t gpa, size;
	} region[2];
	uint64_t ram;	 /* bytes of guest RAM */
	uint64_t length; /* bytes of the memory file */
	bool packed;	 /* a diff's file: no regions in it */
	uint64_t chunks;
	const uint8_t *digests; /* 16 bytes a chunk, inside the state */
};

/* The section of RAM that others map as it is: its digests are zeros. */
int ram_describe(const struct memslot_table *slots, struct snap_writer *w,
		 struct snap_digest *digest, struct mote_err *err);

/* Check the section against itself and the manifest's digest. */
int ram_index_load(struct ram_index *ri, struct snap_reader *r,
		   const struct snap_digest *digest, struct mote_err *err);

/* Read the whole memory file and compare; -EBADMSG names the chunk. */
int ram_verify(const struct ram_index *ri, int fd, struct mote_err *err);

/*
 * The same while copying it into a memfd that nobody can change afterwards:
 * what was compared is what is there.  Holes and pages of zeros stay holes.
 * Returns the memfd, which is the caller's.
 */
int ram_seal(const struct ram_index *ri, int fd, struct mote_err *err);

/* A chunk's place in the memory file and its digest; i < chunks. */
struct ram_chunk {
	uint64_t off, len;
	const uint8_t *digest;
};

struct ram_chunk ram_chunk(const struct ram_index *ri, uint64_t i);

/* Read chunk c into buf (RAM_CHUNK bytes) and compare. */
int ram_read_chunk(const struct ram_chunk *c, int fd, void *buf,
		   struct mote_err *err);

/* --- for both forms of the memory file: this one and diff.c -------------- */

/* Chunks of size bytes; the last may be short. */
uint64_t ram_chunks(uint64_t size);

/* The fields that both sections have, as docs/SNAPSHOT.md says. */
void ram_put_regions(struct snap_writer *w, const struct memslot_table *slots);
/* Digests of the chunks of size bytes at off, as they are in the file. */
int ram_digest_file(int fd, uint64_t off, uint64_t size, struct snap_writer *w,
		    struct mote_err *err);
struct snap_digest ram_put_digests(struct snap_writer *w,
				   const uint8_t *digests, size_t len);
int ram_get_regions(struct ram_index *ri, struct snap_section *s,
		    const char *section, struct mote_err *err);
/* Also closes the section; chunks is how many there must be. */
int ram_get_digests(struct ram_index *ri, struct snap_section *s,
		    uint64_t chunks, const char *section,
		    const struct snap_digest *digest, struct mote_err *err);

#endif
