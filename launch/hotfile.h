/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotfile.h - the file hotset of a snapshot's folder comes to be whole or not
 * at all: hotset.tmp is locked, filled, synced and renamed.  Runs in the
 * launcher, never in the jail.
 */
#ifndef VMM_LAUNCH_HOTFILE_H
#define VMM_LAUNCH_HOTFILE_H

#include "launch/snapdir.h"

/*
 * Make hotset.tmp in the folder dir (borrowed) and lock it; returns its
 * descriptor.  -EBUSY: another run is recording there.
 */
int hotfile_begin(int dir, struct mote_err *err);

/* Give it its name, in place of one that was there. */
int hotfile_commit(int dir, int fd, enum snapdir_sync sync,
		   struct mote_err *err);

/* Remove what hotfile_begin made, unless it was committed. */
void hotfile_abort(int dir, int fd);

#endif
