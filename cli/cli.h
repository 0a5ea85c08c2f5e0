/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what the files of the command line share.
 *
 * Only here (and in oci/) is anything printed and a process ended.
 */
#ifndef VMM_CLI_CLI_H
#define VMM_CLI_CLI_H

#include <stdbool.h>

#include "mote.h"

struct timeline_out;

/* Each returns the exit code of mote(1). argv[0] is the command's name. */
int cmd_run(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_ctl(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_compat(int argc, char **argv);
int cmd_merge(int argc, char **argv);
int cmd_pool(int argc, char **argv);
int cmd_fork(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

/* ctl.c: the control socket at path, or -1 and errno. */
int ctl_connect(const char *path);

/* Send one request with descriptors; the reply's line, malloc'd, or NULL. */
struct json_object;
char *ctl_exchange(int sock, struct json_object *req, const int *fds, int nfds);

/* Say why it was NULL, by errno; the exit code. */
int ctl_no_answer(const char *socket);

/*
 * Split a snapshot's path (which is written to) and open its parent folder:
 * *fd is the caller's, *name points into path.  0 or an exit code.
 */
int open_parent(char *path, const char **name, int *fd);

/* "mote: text" on stderr; returns code. */
int fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fail_err(const struct mote_err *err);

/* Print faults (one a line) as they are, free them; returns 65. */
int fail_faults(char *faults);

/*
 * One option of a command: "--name VALUE", "--name=VALUE" or "--name".
 * Returns true when argv[*i] is it; *value is NULL for one without value,
 * and *i moves over what was used.  A missing value: *missing is set.
 */
bool take_option(int argc, char **argv, int *i, const char *name,
		 const char **value, bool *missing);

/* Write the marks as text ("-"), CSV or SVG by the name's ending. */
int timeline_write(const struct mote_timeline *t, const char *path);

/* solo5.c: Solo5's tender options, under its name. */
bool solo5_is_name(const char *argv0);
int cmd_solo5(int argc, char **argv);

#endif
