/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stress.h - how much of a stress test this run is, and what a process owns.
 */
#ifndef TESTS_BASE_STRESS_H
#define TESTS_BASE_STRESS_H

#include <stdbool.h>

/*
 * slice with all other tests, whole where MOTE_LONG is set (make test-long);
 * MOTE_SLOW (sanitizers, emulated machines) makes a tenth of the slice.
 */
long stress_count(long slice, long whole);
bool stress_long(void);

/* What a process owns, to compare before and after. */
struct live {
	int fds, threads, maps;
};
struct live live_now(void);
int live_fds(void); /* its descriptors alone, at once */

/* Fails the test unless all is as it was before; waits for dying threads. */
void expect_live(const struct live *before, const char *when);

#endif
