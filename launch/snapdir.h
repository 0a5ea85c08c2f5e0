/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapdir.h - a snapshot directory comes to be whole or not at all.
 *
 * NAME.tmp-XXXXXXXX (0700) with three files (0600) is made, filled, synced
 * and renamed; a reader accepts only a renamed one.  Runs in the launcher,
 * never in the jail.
 */
#ifndef VMM_LAUNCH_SNAPDIR_H
#define VMM_LAUNCH_SNAPDIR_H

#include <stdbool.h>

struct mote_err;

#define SNAPDIR_NAME_MAX 208 /* with the NUL */

struct snapdir {
	int parent_fd; /* owned */
	int dir_fd;
	int file_fd[3]; /* manifest, state, memory */
	char name[256], tmp[300];
	bool made; /* tmp exists */
};

enum snapdir_sync {
	SNAPDIR_SYNC_FULL, /* files, directory, parent */
	SNAPDIR_SYNC_FILE,
	SNAPDIR_SYNC_NONE,
};

/* Can a snapshot be called so?  A plain file name, and room for .tmp-. */
bool snapdir_name_ok(const char *name);

/*
 * Make the folder for snapshot name under parent_fd, which is taken over,
 * also by a failure.  base: NULL, or of a diff the digest (32 hexadecimal
 * digits), a blank and the name of its parent, which must lie there too.
 */
int snapdir_begin(struct snapdir *d, int parent_fd, const char *name,
		  const char *base, struct mote_err *err);

/* Sync and rename; an existing snapshot of that name is an error. */
int snapdir_commit(struct snapdir *d, enum snapdir_sync sync,
		   struct mote_err *err);

/* Remove what was made; fine after commit or on a zeroed struct. */
void snapdir_abort(struct snapdir *d);

#endif
