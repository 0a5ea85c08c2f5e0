/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.c - mote fork: children of a running VM, without a file.
 *
 * The VM writes where it stands into three memfds of ours; each child is a
 * launcher and a VM process that map the memory copy on write.
 */
#include <errno.h>
#include <json-c/json.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "launch/launch.h"

#define CHILDREN_MAX 1000

struct request {
	const char *socket;
	long n;
	int argc;
	char **argv;
	struct mote_config *cfg;
	struct mote_snapshot *snap;
};

static int take_argument(struct request *r, int argc, char **argv, int *i)
{
	const char *value = NULL;
	bool missing = false;
	char *end;

	if (take_option(argc, argv, i, "-n", &value, &missing)) {
		r->n = value ? strtol(value, &end, 10) : 1;
		if (value &&
		    (end == value || *end || r->n < 1 || r->n > CHILDREN_MAX))
			return fail(ERR_CLASS_USAGE,
				    "fork: -n: \"%.32s\": expected 1 to %d",
				    value, CHILDREN_MAX);
	} else if (take_option(argc, argv, i, "--set", &value, &missing)) {
		; /* second pass: over what the VM says */
	} else if (argv[*i][0] == '-') {
		return fail(ERR_CLASS_USAGE,
			    "fork: unknown option %s; mote fork --help",
			    argv[*i]);
	} else if (r->socket) {
		return fail(ERR_CLASS_USAGE, "fork: two sockets, %s and %s",
			    r->socket, argv[*i]);
	} else {
		r->socket = argv[*i];
	}
	if (missing)
		return fail(ERR_CLASS_USAGE, "fork: %s needs a value",
			    argv[*i]);
	return 0;
}

/* The answer's error, if it is one, told; else 0. */
static int check_reply(const char *line)
{
	struct json_object *reply = json_tokener_parse(line), *ok = NULL,
			   *code = NULL, *error = NULL;
	int ret = 0;

	json_object_object_get_ex(reply, "ok", &ok);
	json_object_object_get_ex(reply, "code", &code);
	json_object_object_get_ex(reply, "error", &error);
	if (!json_object_get_boolean(ok))
		ret = fail(code ? json_object_get_int(code)
				: ERR_CLASS_INTERNAL,
			   "%s",
			   error ? json_object_get_string(error) : "refused");
	json_object_put(reply);
	return ret;
}

static int ask(const char *socket, const int fds[3])
{
	struct json_object *req = json_object_new_object();
	cleanup_fd int sock = ctl_connect(socket);
	cleanup_free char *line = NULL;

	json_object_object_add(req, "command", json_object_new_string("fork"));
	if (sock >= 0)
		line = ctl_exchange(sock, req, fds, 3);
	json_object_put(req);
	if (sock < 0)
		return fail(errno == EACCES ? ERR_CLASS_PERM
					    : ERR_CLASS_UNAVAILABLE,
			    "connect to %s: %m", socket);
	if (!line)
		return ctl_no_answer(socket);
	return check_reply(line);
}

static int take_snapshot(struct request *r)
{
	static const char *const name[] = {"mote-manifest", "mote-state",
					   "mote-memory"};
	struct mote_err err = {0};
	int fds[3] = {-1, -1, -1}, ret = 0;

	for (int i = 0; i < 3; i++) {
		fds[i] = memfd_create(name[i], MFD_CLOEXEC);
		if (fds[i] < 0 && ret == 0)
			ret = fail(ERR_CLASS_OS, "memfd: %m");
	}
	if (ret == 0)
		ret = ask(r->socket, fds);
	if (ret != 0) {
		for (int i = 0; i < 3; i++)
			fd_clear(&fds[i]);
		return ret;
	}
	return mote_snapshot_adopt(
		       &(struct mote_snapshot_files){fds[0], fds[1], fds[2]},
		       &r->snap, &err) < 0
		       ? fail_err(&err)
		       : 0;
}

/* More than one child have no console, unless they are given one. */
static int configure(struct request *r)
{
	struct mote_err err = {0};
	char *faults = NULL;

	r->cfg = mote_config_new();
	if (!r->cfg)
		return fail(ERR_CLASS_OS, "out of memory");
	if (mote_snapshot_config(r->snap, r->cfg, &err) < 0)
		return fail_err(&err);
	mote_config_set(r->cfg, "fork", "restore.verify=off", NULL);
	if (r->n > 1)
		mote_config_set(r->cfg, "fork", "console.type=null", NULL);
	for (int i = 1; i < r->argc; i++) {
		const char *value = NULL;
		bool missing = false;

		if (take_option(r->argc, r->argv, &i, "--set", &value,
				&missing) &&
		    mote_config_set(r->cfg, "--set", value, &faults) < 0)
			return fail_faults(faults);
	}
	if (mote_config_check(r->cfg, r->socket, &faults) < 0)
		return fail_faults(faults);
	return 0;
}

static int run_child(const struct request *r, unsigned int number)
{
	struct mote_config *cfg = launch_numbered(r->cfg, number);
	const struct launch_options opt = {
		.cfg = cfg,
		.snapshot = r->snap,
		.kernel_fd = -1,
		.no_stdin = r->n > 1,
		.netns_fd = -1,
		.claim_fd = -1,
		.created_fd = -1,
	};
	struct launch_result res = {0};
	struct mote_err err = {0};
	int ret = cfg ? launch_run(&opt, &res, &err)
		      : err_set(&err, ENOMEM, "configuration");

	mote_config_free(cfg);
	if (ret < 0)
		return fail_err(&err);
	if (res.end == MOTE_END_CRASH)
		fail(0, "child %u: the guest crashed: %s", number, res.err.msg);
	return res.exit_code;
}

static void hold_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
	sigprocmask(SIG_BLOCK, set, NULL);
}

/* Pass on that they shall end; they are their own judges of it. */
static void tell_children(const pid_t *pid, long n, int sig)
{
	for (long i = 0; i < n; i++)
		if (pid[i] > 0)
			kill(pid[i], sig);
}

/* Until none is left; the first code that is not 0. */
static int wait_for_children(pid_t *pid, long n, const sigset_t *set)
{
	int code = 0;

	for (long left = n; left > 0;) {
		int status, sig = sigwaitinfo(set, NULL);
		pid_t gone;

		if (sig > 0 && sig != SIGCHLD)
			tell_children(pid, n, sig);
		while ((gone = waitpid(-1, &status, WNOHANG)) > 0) {
			for (long i = 0; i < n; i++)
				if (pid[i] == gone)
					pid[i] = 0;
			left--;
			if (code == 0)
				code = WIFEXITED(status)
					       ? WEXITSTATUS(status)
					       : 128 + WTERMSIG(status);
		}
		if (gone < 0) /* nobody is left */
			break;
	}
	return code;
}

/* A launcher's process for each, which does not outlive this one. */
static int run_children(const struct request *r)
{
	static pid_t pid[CHILDREN_MAX];
	int failed = 0, code;
	const pid_t self = getpid();
	sigset_t set;
	long made = 0;

	if (r->n == 1)
		return run_child(r, 1);
	hold_signals(&set);
	fflush(stdout);
	for (; made < r->n && !failed; made++) {
		pid[made] = fork();
		if (pid[made] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			if (getppid() != self) /* it was killed meanwhile */
				_exit(128 + SIGTERM);
			_exit(run_child(r, (unsigned int)made + 1));
		}
		if (pid[made] < 0)
			failed = fail(ERR_CLASS_OS, "fork: child %ld: %m",
				      made + 1);
	}
	if (failed)
		tell_children(pid, --made, SIGTERM);
	code = wait_for_children(pid, made, &set);
	return failed ? failed : code;
}

int cmd_fork(int argc, char **argv)
{
	struct request r = {.n = 1, .argc = argc, .argv = argv};
	int ret = 0;

	for (int i = 1; i < argc && ret == 0; i++)
		ret = take_argument(&r, argc, argv, &i);
	if (ret == 0 && !r.socket)
		ret = fail(ERR_CLASS_USAGE, "fork: expected a SOCKET");
	if (ret == 0)
		ret = take_snapshot(&r);
	if (ret == 0)
		ret = configure(&r);
	if (ret == 0)
		ret = run_children(&r);
	mote_snapshot_close(r.snap);
	mote_config_free(r.cfg);
	return ret;
}
