/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - what a snapshot says of itself, for people and as one line of
 * JSON.  Its state was read (snapshot_read_state).  Pure.
 */
#ifndef VMM_SNAPSHOT_INSPECT_H
#define VMM_SNAPSHOT_INSPECT_H

#include <stdio.h>

struct snapshot;

void inspect_text(FILE *f, const struct snapshot *s);
void inspect_json(FILE *f, const struct snapshot *s);

#endif
