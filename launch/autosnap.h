/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autosnap.h - the snapshots that a VM process takes by itself: [snapshot]
 * when.
 *
 * ready and exit take one, NAME.  signal takes one each time: NAME, NAME.1,
 * NAME.2 and so on, numbers that are taken are left out.
 * Threads: the VM thread.
 */
#ifndef VMM_LAUNCH_AUTOSNAP_H
#define VMM_LAUNCH_AUTOSNAP_H

#include <stdbool.h>

#include "launch/launch.h"
#include "mote.h"

struct broker;

enum autosnap_when {
	AUTOSNAP_NEVER,
	AUTOSNAP_READY,
	AUTOSNAP_SIGNAL,
	AUTOSNAP_EXIT,
};

struct autosnap {
	enum autosnap_when when;
	struct mote_vm *vm;
	struct broker *broker;
	const char *name;
	unsigned int next; /* number in the next name of signal */
	bool done;
	/* Write a snapshot of that name into the configured directory. */
	int (*take)(void *opaque, const char *name, struct mote_err *err);
	/* A line of log, as mote_vm_options.log. */
	void (*log)(void *opaque, int level, const char *line);
	void *opaque;
};

/* What cfg says; vm, take, log and opaque are the caller's to set. */
void autosnap_init(struct autosnap *a, const struct mote_config *cfg,
		   struct broker *broker, const char *name);

/* Once a turn of the loop: take what is due.  Of signal no failure ends it. */
int autosnap_turn(struct autosnap *a, struct mote_err *err);

/* The guest has ended, its machine is still there. */
int autosnap_end(struct autosnap *a, struct mote_err *err);

#endif
