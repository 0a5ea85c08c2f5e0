/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - what a snapshot says of itself, for people and as one line of
 * JSON.  Its state was read (snapshot_read_state).  Pure.
 */
#ifndef VMM_SNAPSHOT_INSPECT_H
#define VMM_SNAPSHOT_INSPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "snapshot/stream.h"

struct snapshot;

/* A device of the host that the machine had. */
struct inspect_device {
	char name[256]; /* of its [passthrough.NAME] */
	bool state;	/* saved; and then: */
	uint16_t vendor, device;
	uint64_t bytes;
};

/* *n: 0 the first time.  The next device; false: no more. */
bool inspect_device(const struct snapshot *s, struct snap_section *sec,
		    uint32_t *n, struct inspect_device *d);

void inspect_text(FILE *f, const struct snapshot *s);
void inspect_json(FILE *f, const struct snapshot *s);

#endif
