/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - the metrics of one VM as numbers, and those as JSON or as
 * Prometheus text (exposition format 0.0.4).  One table has the names.
 *
 * Threads: any, no state.  Trust: the launcher gets the numbers from the
 * jailed VM process, so any of them may be anything.
 */
#ifndef VMM_LAUNCH_METRICS_H
#define VMM_LAUNCH_METRICS_H

#include <stddef.h>
#include <stdint.h>

enum metric {
	METRIC_STATE, /* enum mote_state */
	METRIC_READY,
	METRIC_VCPUS,
	METRIC_MEMORY,
	METRIC_EXITS, /* five, in the order of mote_metrics */
	METRIC_FAULTS_MINOR = METRIC_EXITS + 5,
	METRIC_FAULTS_MAJOR,
	METRIC_DIRTY_PAGES,
	METRIC_CONSOLE_DROPPED,
	METRIC_LOG_DROPPED,
	METRIC_SNAPSHOTS,
	METRIC_SNAPSHOTS_FAILED,
	METRIC_SNAPSHOT_PAUSE,
	METRIC_SNAPSHOT_PREDICTED,
	METRIC_SNAPSHOT_WRITE,
	METRIC_SNAPSHOT_TOTAL,
	METRIC_SNAPSHOT_BYTES,
	METRIC_SNAPSHOT_PAGES,
	METRIC_RESTORE_MODE, /* enum mote_restore */
	METRIC_RESTORE_TIME,
	METRIC_JAIL, /* JAIL_LAYERS of them, in the order of their names */
	METRICS = METRIC_JAIL + 10
};

/* Of mote_jail_layer, then these two. */
#define JAIL_LAYERS	(METRICS - METRIC_JAIL)
#define JAIL_NAMESPACES (JAIL_LAYERS - 2)
#define JAIL_SECCOMP	(JAIL_LAYERS - 1)
const char *jail_layer_name(int layer);

/* A negative value is not known and appears nowhere.  Times are ns. */
struct metrics {
	int64_t value[METRICS];
};

struct json_object;

/* Add what is known to an object, flat; vm: the machine's name, or "". */
void metrics_json(const struct metrics *m, const char *vm,
		  struct json_object *out);

/* The text, with a NUL, into buf; its length, or -ENOSPC. */
#define METRICS_TEXT_MAX 12288
int metrics_prometheus(const struct metrics *m, const char *vm, char *buf,
		       size_t size);

#endif
