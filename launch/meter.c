/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/meter.h"

#include <sys/resource.h>

#include "base/num.h"
#include "base/timeline.h"
#include "launch/broker.h"
#include "launch/launch.h"
#include "launch/logline.h"
#include "mote.h"

#define MS UINT64_C(1000000) /* in ns */

void meter_init(struct meter *m, const struct mote_config *cfg,
		struct mote_vm *vm, struct broker *broker,
		const struct launch_log *log, unsigned int layers)
{
	char buf[8];

	*m = (struct meter){
		.vm = vm,
		.broker = broker,
		.log = log,
		.layers = layers,
		.pause_ns = -1,
		.predicted_ns = -1,
		.write_ns = -1,
		.total_ns = -1,
		.bytes = -1,
		.pages = -1,
	};
	if (mote_config_get(cfg, "metrics.file", buf, sizeof(buf)))
		m->interval_ns =
			launch_number(cfg, "metrics.interval", 10000) * MS;
}

static int64_t count(uint64_t n)
{
	return (int64_t)num_min(n, INT64_MAX);
}

void meter_read(const struct meter *m, struct metrics *out)
{
	struct mote_metrics vm = {.size = sizeof(vm)};
	struct rusage use;
	bool have = getrusage(RUSAGE_SELF, &use) == 0;

	mote_vm_metrics(m->vm, &vm);
	*out = (struct metrics){{
		[METRIC_STATE] = vm.state,
		[METRIC_READY] = vm.ready,
		[METRIC_VCPUS] = vm.vcpus,
		[METRIC_MEMORY] = count(vm.memory),
		[METRIC_FAULTS_MINOR] = have ? use.ru_minflt : -1,
		[METRIC_FAULTS_MAJOR] = have ? use.ru_majflt : -1,
		[METRIC_DIRTY_PAGES] = vm.dirty_pages,
		[METRIC_CONSOLE_DROPPED] = count(vm.console_dropped),
		[METRIC_LOG_DROPPED] = count(m->log->dropped),
		[METRIC_SNAPSHOTS] = m->taken,
		[METRIC_SNAPSHOTS_FAILED] = m->failed,
		[METRIC_SNAPSHOT_PAUSE] = m->pause_ns,
		[METRIC_SNAPSHOT_PREDICTED] = m->predicted_ns,
		[METRIC_SNAPSHOT_WRITE] = m->write_ns,
		[METRIC_SNAPSHOT_TOTAL] = m->total_ns,
		[METRIC_SNAPSHOT_BYTES] = m->bytes,
		[METRIC_SNAPSHOT_PAGES] = m->pages,
		[METRIC_RESTORE_MODE] = vm.restore,
		[METRIC_RESTORE_TIME] = vm.restore_ns,
	}};
	for (int i = 0; i < JAIL_LAYERS; i++)
		out->value[METRIC_JAIL + i] = m->layers >> i & 1;
	for (size_t i = 0; i < ARRAY_SIZE(vm.exits); i++)
		out->value[METRIC_EXITS + i] = count(vm.exits[i]);
}

void meter_snapshot(struct meter *m, bool taken, uint64_t total_ns,
		    bool was_running)
{
	struct mote_metrics vm = {.size = sizeof(vm)};

	if (!taken) {
		m->failed++;
		return;
	}
	mote_vm_metrics(m->vm, &vm);
	m->taken++;
	/* Of a guest that was paused before, the pause is another's. */
	m->pause_ns = was_running ? vm.snapshot_pause_ns : -1;
	m->predicted_ns = was_running ? vm.snapshot_predicted_ns : -1;
	m->write_ns = vm.snapshot_ns;
	m->bytes = vm.snapshot_bytes;
	m->pages = vm.snapshot_pages;
	m->total_ns = count(total_ns);
}

void meter_poll(const struct meter *m, int *timeout_ms)
{
	uint64_t now, left;

	if (m->interval_ns == 0)
		return;
	now = timeline_now();
	left = m->next_ns > now ? (m->next_ns - now + MS - 1) / MS : 0;
	if (*timeout_ms < 0 || left < (uint64_t)*timeout_ms)
		*timeout_ms = (int)left; /* an hour at most */
}

void meter_dispatch(struct meter *m, bool last)
{
	struct metrics now;

	if (m->interval_ns == 0 || (!last && timeline_now() < m->next_ns))
		return;
	meter_read(m, &now);
	broker_metrics(m->broker, &now, last);
	m->next_ns = timeline_now() + m->interval_ns;
}
