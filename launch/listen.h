/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h - a unix socket at a path, for the control socket and a console.
 *
 * Threads: one (the umask is the process's).  Trust: the path is the user's.
 */
#ifndef VMM_LAUNCH_LISTEN_H
#define VMM_LAUNCH_LISTEN_H

#include <sys/types.h>

struct mote_err;

/*
 * Make a socket of that mode at path and listen; *fd is non-blocking.  One
 * that nobody listens on any more is replaced, anything else that is there
 * is an error and stays as it is.  key ("control.socket") stands in messages.
 * The caller removes the path at the end: *bound says that it is there.
 */
int listen_at(const char *key, const char *path, mode_t mode, int *fd,
	      char **bound, struct mote_err *err);

#endif
