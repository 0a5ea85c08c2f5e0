/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline.h - where the time of a launch or restore went.
 *
 * Marks in the order they were made; one writer at a time (the launcher,
 * then the VM process, then a vCPU's ready mark through the VM thread).
 */
#ifndef VMM_BASE_TIMELINE_H
#define VMM_BASE_TIMELINE_H

#include <stdint.h>
#include <time.h>

#define TIMELINE_MAX 48

struct timeline {
	uint32_t count;
	struct {
		const char *name; /* a literal: valid in a forked child too */
		uint64_t ns;	  /* CLOCK_MONOTONIC */
	} mark[TIMELINE_MAX];
};

static inline uint64_t timeline_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Note that name is reached; t may be NULL. */
static inline void timeline_mark(struct timeline *t, const char *name)
{
	if (!t || t->count == TIMELINE_MAX)
		return;
	t->mark[t->count].name = name;
	t->mark[t->count].ns = timeline_now();
	t->count++;
}

#endif
