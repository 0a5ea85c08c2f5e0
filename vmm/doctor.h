/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - what this host offers to mote, what each lack costs.
 *
 * Asks the kernel by trying: flags of a CPU or a config prove nothing.
 * Threads: any; leaves nothing behind.
 */
#ifndef VMM_DOCTOR_H
#define VMM_DOCTOR_H

#include <stdbool.h>

struct doctor_finding {
	const char *name;
	bool ok;
	const char *detail; /* a value or an error, may be "" */
	const char *cost;   /* what the lack costs, "" when ok */
	const char *remedy; /* how to get it, may be "" */
};

typedef void (*doctor_say)(void *opaque, const struct doctor_finding *f);

/* True when guests can run here. */
bool doctor_run(doctor_say say, void *opaque);

#endif
