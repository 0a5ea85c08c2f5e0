/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_file.h - [metrics] file: replaced whole each time, mode 0600.
 *
 * Runs in the launcher, never in the jail.  Threads: one.  A failure to
 * write is said once in the log and disturbs nothing else.
 */
#ifndef VMM_LAUNCH_METRICS_FILE_H
#define VMM_LAUNCH_METRICS_FILE_H

#include <stdbool.h>

#include "launch/logline.h"

struct metrics;

/* What is added to the file's name while it is written. */
#define METRICS_TMP_MAX 20

struct metrics_file {
	int dir_fd; /* owned; -1: no such file is wanted */
	char name[256];
	bool prometheus; /* else JSON */
	bool failed;	 /* it was said */
	struct launch_log log;
};

/* Write NAME.tmp-PID and rename it; nothing where no file is wanted. */
void metrics_file_write(struct metrics_file *f, const struct metrics *m);

#endif
