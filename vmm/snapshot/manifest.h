/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.h - the text file that says what a snapshot is (docs/SNAPSHOT.md).
 *
 * "mote-snapshot 1", then "key: value" lines, then the saved configuration,
 * then a digest of all of it.  Readable for ever: unknown keys are skipped
 * unless "requires" names them.  Threads: any.  Trust: hostile; the digest
 * is checked before a line is looked at, and every value is bounded.
 */
#ifndef VMM_SNAPSHOT_MANIFEST_H
#define VMM_SNAPSHOT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snapshot/stream.h"

#define MANIFEST_MAX	  (256u << 10) /* bytes of the file */
#define MANIFEST_NAME_MAX 208	       /* of a parent's name, with the NUL */

struct manifest {
	char arch[16];
	char cpu[64];	   /* words, for people */
	char identity[32]; /* how a clone learns that it is one */
	uint32_t page_size;
	uint32_t vcpus;
	/* Of a diff: the folder beside it that it builds on; else "". */
	char parent[MANIFEST_NAME_MAX];
	struct snap_digest parent_digest;     /* of that one's manifest */
	bool is_diff;			      /* as read: it has a parent */
	uint64_t memory_length, state_length; /* bytes */
	struct snap_digest state_digest;      /* of the state file */
	struct snap_digest memory_digest;     /* of its chunks' digests */
	char *config;			      /* INI text, owned */
	size_t config_length;
	struct snap_digest digest; /* of the manifest; set by both calls */
};

void manifest_fini(struct manifest *m);

/* The file's text, malloc'd; NULL: out of memory. */
char *manifest_format(struct manifest *m, size_t *len);

/* -EBADMSG with the line that is wrong. */
int manifest_parse(struct manifest *m, const char *text, size_t len,
		   struct mote_err *err);

/*
 * Can name be that of a snapshot's folder and stand in a manifest: one part
 * of a path, printable, without blanks at its ends?
 */
bool manifest_name_ok(const char *name);

/* 32 hexadecimal digits and a NUL. */
void manifest_digest_text(const struct snap_digest *d, char text[33]);

#endif
