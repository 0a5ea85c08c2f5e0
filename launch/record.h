/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - [restore] record: when the hot set is written, in the VM process.
 *
 * At the first of: the guest's ready mark, its end, RECORD_MS after it began
 * to run.  Then the recording is over, whether it worked or not: the guest
 * goes on.  Threads: the VM thread.
 */
#ifndef VMM_LAUNCH_RECORD_H
#define VMM_LAUNCH_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "launch/broker.h"
#include "mote.h"

#define RECORD_MS 10000

struct record {
	struct mote_vm *vm;
	struct broker *broker;
	int fd; /* hotset.tmp, borrowed; -1: nothing is recorded */
	uint64_t until_ns;
	bool running; /* until_ns counts */
	void (*log)(void *opaque, int level, const char *line);
	void *opaque;
};

/* Lower *timeout_ms to when record_turn wants to run again. */
void record_poll(const struct record *r, int *timeout_ms);

/* In each turn of the loop; *stop as in broker.h. */
void record_turn(struct record *r, bool *stop);

#endif
