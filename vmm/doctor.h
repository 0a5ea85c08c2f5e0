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

/* --- the traps of the kernel's interfaces (doctor_uapi.c) ------------------
 */

enum doctor_verdict {
	DOCTOR_ABSENT, /* can't be asked here */
	DOCTOR_AS_EXPECTED,
	DOCTOR_DIFFERS,
};

struct doctor_trap {
	const char *name; /* what is expected */
	enum doctor_verdict verdict;
	const char *detail; /* what was seen, or why it can't be asked */
};

typedef void (*doctor_say_trap)(void *opaque, const struct doctor_trap *t);

/*
 * Try each, on machines of its own; true when none differs.  Blocks and
 * takes VCPU_KICK_SIGNAL for the calling thread; without KVM all that is
 * KVM's is absent.
 */
bool doctor_uapi(doctor_say_trap say, void *opaque);

#endif
