/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.h - a good snapshot, and the same with what an input changes in its
 * sections and its manifest, all digests put right again: what is behind
 * them is what is to be tried.
 */
#ifndef TESTS_FUZZ_SUPPORT_EDIT_H
#define TESTS_FUZZ_SUPPORT_EDIT_H

#include "fuzz/support/fuzz.h"
#include "snapshot/snapshot.h"
#include "snapshot/stream.h"

struct base {
	uint8_t *state;
	size_t state_len;
	struct snap_reader reader; /* of state */
	char *manifest;
	size_t manifest_len;
	int memory_fd;
};

/* From open files (memory_fd stays open); or from a folder: false, none. */
void base_read(struct base *b, int manifest_fd, int state_fd, int memory_fd);
bool base_open(struct base *b, const char *folder);

/*
 * The sections of b with some edits of in; w is initialised here.  Up to 255
 * edits, which the first byte counts; each is a kind, a section, an offset,
 * and what it takes.
 */
void edit_state(const struct base *b, struct input *in, struct snap_writer *w);

/*
 * The manifest with edits, and with length and digest of that state; malloc'd.
 */
char *edit_manifest(const struct base *b, struct input *in,
		    const struct snap_writer *state, size_t *len);

/* A file in memory with these bytes. */
int edit_file(const void *buf, size_t len);

#endif
