/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logline.h - where log lines go: [log] file or stderr, as text or JSON.
 *
 * Threads: one at a time.  A line that does not fit a full pipe or disk is
 * lost and counted; one that takes nothing is waited for 100 ms, once.
 */
#ifndef VMM_LAUNCH_LOGLINE_H
#define VMM_LAUNCH_LOGLINE_H

#include <stdbool.h>
#include <stdint.h>

struct mote_config;

struct launch_log {
	const struct mote_config *cfg; /* borrowed */
	int fd;			       /* borrowed */
	uint64_t dropped;	       /* lines that it did not take whole */
	bool blocked;		       /* it took none last time */
};

/* The level of [log], one of syslog(3). */
int launch_log_level(const struct mote_config *cfg);

/* One line, whatever the level; opaque is the launch_log (mote_vm_options). */
void launch_log_line(void *opaque, int level, const char *line);

/* A warning, where [log] level wants them. */
void launch_log_warn(struct launch_log *log, const char *line);

#endif
