/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers.h - sections that a diff holds as changes to its parent's.
 *
 * There is one: POWER's hashed page table.  Everybody who loads state gets it
 * whole, as if the snapshot were a full one; pure, so that any host can do it.
 */
#ifndef VMM_SNAPSHOT_LAYERS_H
#define VMM_SNAPSHOT_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;
struct snap_reader;
struct snapshot;

struct layers {
	uint8_t *section; /* owned: the whole table; NULL: it is whole */
	size_t len;
	bool read;
	/* For inspection. */
	bool hpt;
	uint32_t hpt_order;
	uint64_t hpt_entries, hpt_valid, hpt_bolted;
	uint64_t hpt_changed; /* by this layer alone */
	bool hpt_changes;     /* it is one of changes */
};

/* Once the states of s and its parents are read: fills in s->layers. */
int layers_read(struct snapshot *s, struct mote_err *err);
void layers_fini(struct layers *l);

/* Put the whole sections into r, which is a copy of s->reader. */
void layers_patch(const struct snapshot *s, struct snap_reader *r);

#endif
