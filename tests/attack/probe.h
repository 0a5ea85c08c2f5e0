/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what a VM process that a guest has taken over would try.
 */
#ifndef TESTS_ATTACK_PROBE_H
#define TESTS_ATTACK_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROBE_TEXT 128

/* What stands outside of the jail for a probe to reach; made by probe.sh. */
struct target {
	char dir[PROBE_TEXT];	   /* of all users; holds "secret", "socket" */
	char abstract[PROBE_TEXT]; /* name of an abstract unix socket */
	int port;		   /* of TCP on 127.0.0.1 */
	int shm_key;		   /* a System V segment, mode 0666 */
	pid_t victim;		   /* same user as the jailed process */
	pid_t launcher;
	char link[16]; /* a network interface */
};

struct probe {
	const char *name;
	/* 0: it worked, the jail has a hole; else the errno that refused. */
	int (*try)(const struct target *t);
	/* Why one layer is all there is; NULL: two must refuse it. */
	const char *single;
	/*
	 * Beside seccomp it is stopped by the lack of room for a descriptor
	 * alone; who closes one first gets there.
	 */
	bool room;
};

extern const struct probe probes[];
extern const size_t probe_count;

#endif
