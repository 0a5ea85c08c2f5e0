/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launcher_priv.h - what launcher.c and open.c share.
 */
#ifndef VMM_LAUNCH_LAUNCHER_PRIV_H
#define VMM_LAUNCH_LAUNCHER_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "launch/broker.h"
#include "launch/launch.h"
#include "launch/metrics_file.h"
#include "launch/snapdir.h"

struct launcher {
	const struct launch_options *opt;
	struct launch_fds fds;
	int log_file;	    /* owned; -1: the log goes to stderr */
	char *socket_path;  /* to be removed */
	char *console_path; /* likewise: its socket, or the link to its pty */
	struct broker broker;
	struct snapdir snap;
	struct metrics_file metrics;
	pid_t child;
	uint64_t asked_ns; /* when the first signal came */
	int deaf;	   /* errno: the socket of the VM process failed */
	bool created, have_result;
};

/* open.c: open all that the VM needs; close, also after a failure. */
int launcher_open(struct launcher *l, struct mote_err *err);
void launcher_close(struct launcher *l);

/* open_console.c: its part of that. */
int launcher_open_console(struct launcher *l, struct mote_err *err);
void launcher_close_console(struct launcher *l);

#endif
