/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/autosnap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "launch/broker.h"

#define LEVEL_ERR  3
#define LEVEL_WARN 4
#define LEVEL_INFO 6

void autosnap_init(struct autosnap *a, const struct mote_config *cfg,
		   struct broker *broker, const char *name)
{
	*a = (struct autosnap){.broker = broker, .name = name};
	if (launch_is(cfg, "snapshot.when", "ready"))
		a->when = AUTOSNAP_READY;
	else if (launch_is(cfg, "snapshot.when", "signal"))
		a->when = AUTOSNAP_SIGNAL;
	else if (launch_is(cfg, "snapshot.when", "exit"))
		a->when = AUTOSNAP_EXIT;
}

static void say(struct autosnap *a, int level, const char *name,
		const char *what)
{
	char line[MOTE_ERR_MAX + 300];

	snprintf(line, sizeof(line), "snapshot: %s: %s", name, what);
	a->log(a->opaque, level, line);
}

static int take(struct autosnap *a, const char *name, struct mote_err *err)
{
	int ret = a->take(a->opaque, name, err);

	if (ret == 0)
		say(a, LEVEL_INFO, name, "taken");
	return ret;
}

/* A failure is told; the guest goes on and may be asked again. */
static void take_next(struct autosnap *a)
{
	struct mote_err err = {0};
	char name[300];
	int ret;

	do {
		if (a->next)
			snprintf(name, sizeof(name), "%s.%u", a->name, a->next);
		else
			snprintf(name, sizeof(name), "%s", a->name);
		ret = take(a, name, &err);
		if (ret == 0 || ret == -EEXIST)
			a->next++;
	} while (ret == -EEXIST && a->next);
	if (ret < 0)
		say(a, LEVEL_ERR, name, err.msg);
}

int autosnap_turn(struct autosnap *a, struct mote_err *err)
{
	struct mote_status st;
	int ret;

	if (a->when == AUTOSNAP_SIGNAL && a->broker->snap_asked) {
		a->broker->snap_asked = false;
		take_next(a);
	}
	if (a->when != AUTOSNAP_READY || a->done)
		return 0;
	mote_vm_status(a->vm, &st, NULL);
	if (st.state == MOTE_ENDED || !mote_vm_snapshot_due(a->vm))
		return 0;
	ret = take(a, a->name, err);
	if (ret == -ESRCH) /* it ended just now: autosnap_end tells */
		return 0;
	a->done = true;
	return ret < 0 ? err_wrap(err, ret, "snapshot when ready") : 0;
}

int autosnap_end(struct autosnap *a, struct mote_err *err)
{
	struct mote_status st;
	int ret;

	if (a->when == AUTOSNAP_READY && !a->done)
		say(a, LEVEL_WARN, a->name,
		    "not taken: the guest ended before it was ready");
	if (a->when != AUTOSNAP_EXIT)
		return 0;
	mote_vm_status(a->vm, &st, NULL);
	if (st.end == MOTE_END_EXIT) {
		ret = take(a, a->name, err);
		return ret < 0 ? err_wrap(err, ret, "snapshot at exit") : 0;
	}
	say(a, LEVEL_WARN, a->name,
	    "not taken: the guest did not end by its own exit");
	return 0;
}
