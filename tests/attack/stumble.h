/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stumble.h - run a program and all that it starts under ptrace, and let one
 * of its system calls fail, or a signal come, at a place that a run before
 * has named.
 *
 * A place ("site") is a kind of process or thread, a system call and who
 * called it: the first return addresses into the program's own text on the
 * stack, and for calls that are many in one (ioctl, fcntl, prctl) which.  The
 * program must be linked at a fixed address.  x86_64 only.
 */
#ifndef TESTS_ATTACK_STUMBLE_H
#define TESTS_ATTACK_STUMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SITE_FRAMES 4

struct site {
	unsigned int who; /* forks between the program and it, times 2; plus
			     1: a thread that is not its process's first */
	long nr, which;	  /* -1: no such difference */
	uint64_t frame[SITE_FRAMES];
	unsigned int nth; /* from 1 */
};

enum stumble_what {
	STUMBLE_LIST,	/* nothing: write down the sites */
	STUMBLE_FAIL,	/* the call is not made and fails with value */
	STUMBLE_SIGNAL, /* the thread gets signal value as the call begins */
	STUMBLE_EINTR,	/* every second call that a signal can end has EINTR */
};

struct stumble {
	enum stumble_what what;
	struct site at;
	int value;
	int limit_ms; /* then all are killed */

	/* found */
	bool reached; /* the site; of EINTR: any */
	bool late;    /* killed: it did not end in time */
	bool left;    /* the program had ended, others had not */
	int status;   /* of the program, as a shell says it */
	int client_status;
	unsigned long calls, hits;
	struct site *site; /* of STUMBLE_LIST, free() */
	size_t count;
};

/* What the program is, for frames: its text and its functions' names. */
int stumble_program(const char *path);
const char *stumble_function(uint64_t address);
const char *stumble_call(long nr);
bool stumble_same(const struct site *a, const struct site *b);

/* Errors that a call there is tried with, ended by 0; NULL: it can't fail. */
const int *stumble_errors(const struct site *at);

/*
 * program: a child that will stop itself (SIGSTOP) and then execve; client:
 * started by the callback once the program is traced, or -1; not traced.
 */
int stumble_run(struct stumble *s, pid_t program,
		pid_t (*client)(void *, pid_t), void *opaque);

#endif
