/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter.h - the VM process reads its metrics, on demand and by a timer.
 *
 * Threads: the VM thread.  Without [metrics] file the timer costs nothing:
 * no system call and no look at the clock.
 */
#ifndef VMM_LAUNCH_METER_H
#define VMM_LAUNCH_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "launch/metrics.h"

struct broker;
struct launch_log;
struct mote_config;
struct mote_vm;

struct meter {
	struct mote_vm *vm;	      /* borrowed, all three */
	struct broker *broker;	      /* leads to the file */
	const struct launch_log *log; /* counts its own losses */
	unsigned int layers;	      /* of the jail: metrics.h */
	uint64_t interval_ns;	      /* 0: no file */
	uint64_t next_ns;
	/* A snapshot is taken when its directory has its name. */
	int64_t taken, failed;
	int64_t pause_ns, write_ns, total_ns; /* the last; -1 */
	int64_t predicted_ns;
	int64_t bytes, pages;
};

/* vm exists and may run already. */
void meter_init(struct meter *m, const struct mote_config *cfg,
		struct mote_vm *vm, struct broker *broker,
		const struct launch_log *log, unsigned int layers);

/* What they are now. */
void meter_read(const struct meter *m, struct metrics *out);

/* A snapshot failed, or took so long; was_running: the pause was for it. */
void meter_snapshot(struct meter *m, bool taken, uint64_t total_ns,
		    bool was_running);

/* Shorten *timeout_ms so that the file is written in time. */
void meter_poll(const struct meter *m, int *timeout_ms);

/* Write the file if it is time, or in any case: the last one. */
void meter_dispatch(struct meter *m, bool last);

#endif
