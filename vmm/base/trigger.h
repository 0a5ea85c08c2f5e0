/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger.h - the moment at which a guest is ready for its snapshot, and a
 * hold on the guest until somebody has parked it there.
 *
 * Threads: trigger_init before any vCPU thread; trigger_scan with the lock
 * of the console held; the rest from any thread.  A trigger fires once.
 */
#ifndef VMM_BASE_TRIGGER_H
#define VMM_BASE_TRIGGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_queue;

#define TRIGGER_TEXT_MAX 256
#define TRIGGER_HOLD_MS	 1000u /* at most; a park ends it */

enum trigger_on {
	TRIGGER_NEVER, /* by nothing that a guest does */
	TRIGGER_MARK,
	TRIGGER_IDLE,
	TRIGGER_CONSOLE,
};

struct trigger {
	enum trigger_on on;
	struct event_queue *events; /* gets EVENT_TRIGGER */
	atomic_bool fired, hold;
	/* The text on the console, and how much of it was seen. */
	const char *text; /* borrowed */
	uint32_t len, seen;
	uint8_t back[TRIGGER_TEXT_MAX]; /* seen after a mismatch there */
};

/* text: of TRIGGER_CONSOLE, 1 to TRIGGER_TEXT_MAX bytes; else NULL. */
void trigger_init(struct trigger *t, enum trigger_on on, const char *text,
		  struct event_queue *events);

/* As after trigger_init; no vCPU runs.  t may be NULL. */
void trigger_rearm(struct trigger *t);

/* The guest has come to what; t may be NULL. */
void trigger_reached(struct trigger *t, enum trigger_on what);

/* Bytes of the console, in order: is the text complete?  t may be NULL. */
bool trigger_scan(struct trigger *t, const void *buf, size_t len);

/* Shall a vCPU wait for its park (TRIGGER_HOLD_MS)?  t may be NULL. */
bool trigger_holds(const struct trigger *t);
void trigger_release(struct trigger *t);

#endif
