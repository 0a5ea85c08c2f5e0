/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - how a restore gets the memory and when that is verified.
 *
 * What the configuration leaves to "auto" is chosen here, with the reason in
 * words.  Pure: nothing is opened or tried.  Threads: any.
 */
#ifndef VMM_SNAPSHOT_PLAN_H
#define VMM_SNAPSHOT_PLAN_H

#include "config/config.h"

struct mote_err;

struct restore_plan {
	enum restore_memory memory;	     /* cow, copy: never auto */
	enum restore_verify verify;	     /* off, once, eager: never auto */
	const char *memory_why, *verify_why; /* literals */
};

/* -EINVAL: two settings that exclude each other, by name. */
int restore_plan(const struct vm_config *cfg, struct restore_plan *plan,
		 struct mote_err *err);

const char *restore_memory_name(enum restore_memory memory);
const char *restore_verify_name(enum restore_verify verify);

#endif
