/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden.h - copies of the snapshots of tests/golden, to be damaged, and the
 * digests of what was damaged.  A tree without tests/golden (a lab) skips.
 */
#ifndef TESTS_SNAPSHOT_GOLDEN_H
#define TESTS_SNAPSHOT_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

#include "snapshot/stream.h"

struct mote_err;

enum golden_file {
	GOLDEN_MANIFEST,
	GOLDEN_STATE,
	GOLDEN_MEMORY,
	GOLDEN_FILES,
};
extern const char *const golden_name[GOLDEN_FILES];

struct golden {
	char dir[64]; /* under /tmp */
	int fd[GOLDEN_FILES];
	uint64_t size[GOLDEN_FILES]; /* as copied */
};

/* name: "ARCH/FOLDER" */
void golden_copy(struct golden *g, const char *name);
void golden_remove(struct golden *g);

/* The whole file, malloc'd; and the other way. */
void *golden_read(const struct golden *g, enum golden_file f);
void golden_write(struct golden *g, enum golden_file f, const void *buf,
		  uint64_t len);

/* mote_snapshot_open and _verify. */
int golden_verify(const char *dir, struct mote_err *err);

void golden_put_section(struct snap_writer *w, const struct snap_section *s);

/* Write len bytes as the manifest, with the digest that they have. */
void golden_repair_manifest(struct golden *g, char *text, uint64_t len);

/*
 * Write len bytes as the state with the digests that its sections have as far
 * as they can be told apart, and the manifest to it.
 */
void golden_repair_state(struct golden *g, uint8_t *state, uint64_t len,
			 char *manifest, uint64_t manifest_len);

/* The memory was changed: all digests above it. */
void golden_repair_memory(struct golden *g);

#endif
