/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/record.h"

#include <stdio.h>

#include "base/err.h"
#include "base/timeline.h"

#define WARNING 4

void record_poll(const struct record *r, int *timeout_ms)
{
	uint64_t now = timeline_now(), left;

	if (r->fd < 0 || !r->running)
		return;
	left = r->until_ns > now ? (r->until_ns - now) / 1000000 + 1 : 0;
	if (*timeout_ms < 0 || left < (uint64_t)*timeout_ms)
		*timeout_ms = (int)left;
}

static void finish(struct record *r, bool *stop)
{
	char line[MOTE_ERR_MAX + 32];
	struct mote_err err = {0};
	int ret = mote_vm_hotset(r->vm, r->fd, &err);

	if (ret == 0)
		ret = broker_hotset(r->broker, stop, &err);
	if (ret < 0) {
		snprintf(line, sizeof(line), "restore.record: %s", err.msg);
		r->log(r->opaque, WARNING, line);
	}
	r->fd = -1;
}

void record_turn(struct record *r, bool *stop)
{
	struct mote_status st = {.size = sizeof(st)};

	if (r->fd < 0)
		return;
	mote_vm_status(r->vm, &st, NULL);
	if (st.state == MOTE_RUNNING && !r->running) {
		r->running = true;
		r->until_ns = timeline_now() + RECORD_MS * UINT64_C(1000000);
	}
	if (st.ready || st.state == MOTE_ENDED ||
	    (r->running && timeline_now() >= r->until_ns))
		finish(r, stop);
}
