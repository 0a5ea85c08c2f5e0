/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - levelled log lines to a sink that the embedder owns.
 *
 * Threads: any but a vCPU thread's fast path (the sink may write).  The
 * library writes to no descriptor by itself: without a sink, nothing is
 * said.  Lines: "module: what happened: key=value", lower case.
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H

/* Levels of syslog(3). */
enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARN = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

struct log {
	/* Called with a complete line without newline; may be NULL. */
	void (*sink)(void *opaque, int level, const char *line);
	void *opaque;
	int level; /* lines above this are dropped */
};

void log_at(const struct log *log, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_err(l, ...)	  log_at(l, LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(l, ...)  log_at(l, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(l, ...)  log_at(l, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_at(l, LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
