/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - how a restore gets the memory and when that is verified.
 *
 * What the configuration leaves to "auto" is chosen here, with the reason in
 * words.  Pure: nothing is opened or tried.  Threads: any.
 */
#ifndef VMM_SNAPSHOT_PLAN_H
#define VMM_SNAPSHOT_PLAN_H

#include <stdbool.h>

#include "base/err.h"
#include "config/config.h"

struct restore_plan {
	enum restore_memory memory;	     /* never auto */
	enum restore_verify verify;	     /* never auto */
	enum restore_hotset hotset;	     /* never auto */
	const char *memory_why, *verify_why; /* literals, or refused->msg */
	const char *hotset_why;
};

/* Would a userfaultfd be used, if one can be had? */
bool restore_wants_uffd(const struct vm_config *cfg);

/*
 * refused: why there is no userfaultfd (lives as long as *plan), NULL: there
 * is one, or restore_wants_uffd said that none is wanted.  -EINVAL: two
 * settings that exclude each other; class 69: uffd was asked for by name.
 * rewind: the machine will go back to its snapshot.
 */
int restore_plan(const struct vm_config *cfg, const struct mote_err *refused,
		 bool rewind, struct restore_plan *plan, struct mote_err *err);

const char *restore_memory_name(enum restore_memory memory);
const char *restore_verify_name(enum restore_verify verify);

#endif
