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

/* parent_fd is taken over, also by a failure. */
int snapdir_begin(struct snapdir *d, int parent_fd, const char *name,
		  struct mote_err *err);

/* Sync and rename; an existing snapshot of that name is an error. */
int snapdir_commit(struct snapdir *d, enum snapdir_sync sync,
		   struct mote_err *err);

/* Remove what was made; fine after commit or on a zeroed struct. */
void snapdir_abort(struct snapdir *d);

#endif
