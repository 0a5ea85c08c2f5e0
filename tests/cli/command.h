/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - the built mote as a user runs it, from a test: $MOTE_BIN
 * (build/mote), guests of $MOTE_GUESTS (build/guests).
 */
#ifndef TESTS_CLI_COMMAND_H
#define TESTS_CLI_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

#define COMMAND_OUT_MAX 65536

/* A folder of the test's own under /tmp, and a file in it (malloc'd). */
void command_setup(void);
void command_teardown(void);
char *command_path(const char *name);

/* Skips the test on a host without KVM. */
void command_need_kvm(void);

/* The file of a guest (malloc'd). */
char *command_guest(const char *name);

/* The words of a command, for the calls below. */
#define WORDS(...)                                                             \
	(const char *const[])                                                  \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}

/* Start mote with these words; output and errors go to the file out. */
pid_t command_start(const char *out, const char *const words[]);

/* Its exit code, 128 + the signal that ended it, or -1: it had to be killed. */
int command_finish(pid_t pid);

/* Has it ended?  It is still to be finished. */
bool command_ended(pid_t pid);

/* start and finish */
int command_run(const char *out, const char *const words[]);

/* What is in a file; good until the next call. */
const char *command_text(const char *path);

/* Wait until it holds text: a lab is slow. */
void command_wait_for(const char *path, const char *text);

#endif
