/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - mote pool: a process for each clone, jailed and parked before its
 * first instruction; a connection becomes the console of one.
 *
 * The pool forks a launcher for each clone (launch.h), which makes the VM
 * process; it talks to that one by the claim socket alone (claim.h).  Refills
 * happen while others run.  Threads: one.
 */
#ifndef VMM_LAUNCH_POOL_H
#define VMM_LAUNCH_POOL_H

#include "mote.h"

#define POOL_RETRY_MS 1000 /* after the host had no more of something */

struct pool_options {
	/* Of all clones; "%i" in a value is the clone's number. */
	const struct mote_config *cfg;
	struct mote_snapshot *snapshot;
	int listen_fd;	   /* non-blocking */
	unsigned int size; /* parked ones */
	unsigned int max;  /* ones that live at a time */
	/* A clone serves one connection after the other: size of them, no
	 * more; further connections wait. */
	bool rewind;
	/* Told of what is worth a line. */
	void (*say)(void *opaque, const char *line);
	void *opaque;
};

struct pool_result {
	unsigned long long served; /* connections */
	unsigned long long clones; /* that were made */
};

/*
 * Serve until SIGTERM, SIGINT or SIGHUP; then every clone is ended.  A
 * negative value: no clone could be made at the beginning; *err says why.
 */
int pool_run(const struct pool_options *opt, struct pool_result *res,
	     struct mote_err *err);

/* The same with all clones in this process, unjailed; res counts no clones. */
int pool_run_here(const struct pool_options *opt, struct pool_result *res,
		  struct mote_err *err);

#endif
