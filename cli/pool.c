/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - mote pool: parked clones of a snapshot, one for each connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "launch/listen.h"
#include "launch/pool.h"

#define SIZE_MAX_CLONES 4096
#define FIRST_PASSED_FD 3 /* sd_listen_fds(3) */
#define BACKLOG		128

struct request {
	const char *snapshot, *listen;
	long size, max;
	bool rewind, in_process;
	struct mote_config *cfg;
	struct mote_snapshot *snap;
	int fd;
	char *path; /* of a unix socket, to be removed; owned */
};

static int bad_number(const char *option, const char *value)
{
	return fail(ERR_CLASS_USAGE, "pool: %s: \"%.32s\": expected 1 to %d",
		    option, value, SIZE_MAX_CLONES);
}

static int number(const char *option, const char *value, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(value, &end, 10);
	if (end == value || *end || errno || *out < 1 || *out > SIZE_MAX_CLONES)
		return bad_number(option, value);
	return 0;
}

static int take_argument(struct request *r, int argc, char **argv, int *i)
{
	const char *value = NULL;
	bool missing = false;
	int ret = 0;

	if (!strcmp(argv[*i], "--rewind"))
		r->rewind = true;
	else if (!strcmp(argv[*i], "--in-process"))
		r->in_process = true;
	else if (take_option(argc, argv, i, "--size", &value, &missing))
		ret = missing ? 0 : number("--size", value, &r->size);
	else if (take_option(argc, argv, i, "--max", &value, &missing))
		ret = missing ? 0 : number("--max", value, &r->max);
	else if (take_option(argc, argv, i, "--listen", &value, &missing))
		r->listen = value;
	else if (take_option(argc, argv, i, "--set", &value, &missing))
		; /* second pass: over what the snapshot says */
	else if (argv[*i][0] == '-')
		return fail(ERR_CLASS_USAGE,
			    "pool: unknown option %s; mote pool --help",
			    argv[*i]);
	else if (r->snapshot)
		return fail(ERR_CLASS_USAGE, "pool: two snapshots, %s and %s",
			    r->snapshot, argv[*i]);
	else
		r->snapshot = argv[*i];
	if (missing)
		return fail(ERR_CLASS_USAGE, "pool: %s needs a value",
			    argv[*i]);
	return ret;
}

/* --- where connections come from ------------------------------------------ */

/* "127.0.0.1:PORT" or "[::1]:PORT" */
static int parse_address(const char *text, struct sockaddr_storage *sa,
			 socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	const char *colon = strrchr(text, ':');
	char host[64], *end;
	long port;

	memset(sa, 0, sizeof(*sa));
	if (!colon || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtol(colon + 1, &end, 10);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (*end || port < 0 || port > 65535)
		return -EINVAL;
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = 0;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*len = sizeof(*in6);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1
			       ? 0
			       : -EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	*len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

static int listen_tcp(struct request *r, const char *address,
		      struct mote_err *err)
{
	struct sockaddr_storage sa;
	const int one = 1;
	socklen_t len;

	if (parse_address(address, &sa, &len) < 0)
		return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
				     "--listen: tcp:%s: expected "
				     "tcp:ADDRESS:PORT, the address in numbers",
				     address);
	r->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0);
	if (r->fd < 0 ||
	    setsockopt(r->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) <
		    0 ||
	    bind(r->fd, (struct sockaddr *)&sa, len) < 0 ||
	    listen(r->fd, BACKLOG) < 0)
		return err_set(err, errno, "--listen: tcp:%s: %s", address,
			       strerror(errno));
	return 0;
}

static int listen_unix(struct request *r, const char *path,
		       struct mote_err *err)
{
	int ret = listen_at("--listen", path, 0600, &r->fd, &r->path, err);

	if (ret < 0)
		return ret;
	if (listen(r->fd, BACKLOG) < 0) /* that of a control socket is short */
		return err_set(err, errno, "--listen: unix:%s: %s", path,
			       strerror(errno));
	return 0;
}

/* Is the environment variable that number? */
static bool is_number(const char *name, long want)
{
	const char *text = getenv(name);
	char *end;
	long v;

	if (!text)
		return false;
	v = strtol(text, &end, 10);
	return end != text && *end == 0 && v == want;
}

/* A socket that the service manager made: sd_listen_fds(3). */
static bool take_passed(struct request *r)
{
	int flags;

	if (!is_number("LISTEN_PID", (long)getpid()) ||
	    !is_number("LISTEN_FDS", 1))
		return false;
	flags = fcntl(FIRST_PASSED_FD, F_GETFL);
	if (flags < 0 || fcntl(FIRST_PASSED_FD, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(FIRST_PASSED_FD, F_SETFL, flags | O_NONBLOCK) < 0)
		return false;
	r->fd = FIRST_PASSED_FD;
	return true;
}

static int open_listen(struct request *r, struct mote_err *err)
{
	if (!r->listen && take_passed(r))
		return 0;
	if (!r->listen)
		return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
				     "pool: expected --listen unix:PATH or "
				     "tcp:ADDRESS:PORT (or a socket by "
				     "LISTEN_FDS)");
	if (!strncmp(r->listen, "tcp:", 4))
		return listen_tcp(r, r->listen + 4, err);
	if (!strncmp(r->listen, "unix:", 5) && r->listen[5])
		return listen_unix(r, r->listen + 5, err);
	return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
			     "--listen: %s: expected unix:PATH or "
			     "tcp:ADDRESS:PORT",
			     r->listen);
}

/* --- what is run ---------------------------------------------------------- */

static bool is_set(const struct mote_config *cfg, const char *key,
		   const char *value)
{
	char buf[16];

	return !strcmp(mote_config_get(cfg, key, buf, sizeof(buf)), value);
}

/*
 * What "auto" means where many share the memory: it is verified once, here,
 * and the hot set is brought into pages that they can share.  One that is
 * rewound has its own by the second connection.
 */
static void clone_defaults(struct mote_config *cfg, bool rewind)
{
	if (is_set(cfg, "restore.verify", "auto"))
		mote_config_set(cfg, "pool", "restore.verify=once", NULL);
	if (!rewind && is_set(cfg, "restore.hotset", "auto"))
		mote_config_set(cfg, "pool", "restore.hotset=shared-runs",
				NULL);
}

/* A clone is a console and nothing that all of them would share. */
static int configure(struct request *r, int argc, char **argv)
{
	struct mote_err err = {0};
	char *faults = NULL;

	r->cfg = mote_config_new();
	if (!r->cfg)
		return fail(ERR_CLASS_OS, "out of memory");
	if (mote_snapshot_open(AT_FDCWD, r->snapshot, &r->snap, &err) < 0 ||
	    mote_snapshot_config(r->snap, r->cfg, &err) < 0)
		return fail_err(&err);
	mote_config_set(r->cfg, "pool", "console.type=null", NULL);
	for (int i = 1; i < argc; i++) {
		const char *value = NULL;
		bool missing = false;

		if (take_option(argc, argv, &i, "--set", &value, &missing) &&
		    mote_config_set(r->cfg, "--set", value, &faults) < 0)
			return fail_faults(faults);
	}
	if (mote_config_check(r->cfg, r->snapshot, &faults) < 0)
		return fail_faults(faults);
	if (!is_set(r->cfg, "console.type", "null"))
		return fail(ERR_CLASS_DATA, "console.type: the connection is "
					    "a clone's console: expected null");
	clone_defaults(r->cfg, r->rewind);
	if (is_set(r->cfg, "restore.verify", "once") &&
	    mote_snapshot_seal(r->snap, &err) < 0)
		return fail_err(&err);
	if (mote_snapshot_may_clone(r->snap, r->cfg, &err) < 0)
		return fail_err(&err);
	return 0;
}

/* A clone in this process is a dozen of descriptors, outside it two. */
static void allow_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static void say(void *opaque, const char *line)
{
	(void)opaque;
	fprintf(stderr, "mote: pool: %s\n", line);
}

static int run(struct request *r)
{
	const struct pool_options opt = {
		.cfg = r->cfg,
		.snapshot = r->snap,
		.listen_fd = r->fd,
		.size = (unsigned int)r->size,
		.max = (unsigned int)r->max,
		.rewind = r->rewind,
		.say = say,
	};
	struct pool_result res;
	struct mote_err err = {0};
	int ret;

	if (r->in_process)
		say(NULL, "all clones are in this process: one trust domain, "
			  "no jail but the filters of the vCPU threads");
	ret = r->in_process ? pool_run_here(&opt, &res, &err)
			    : pool_run(&opt, &res, &err);
	if (ret < 0)
		return fail_err(&err);
	fprintf(stderr, "mote: pool: %llu connections", res.served);
	if (!r->in_process)
		fprintf(stderr, ", %llu clones", res.clones);
	fputc('\n', stderr);
	return 0;
}

/* From the socket on there is something to remove: the pool takes them. */
static void hold_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int cmd_pool(int argc, char **argv)
{
	struct request r = {.size = 1, .fd = -1};
	struct mote_err err = {0};
	int ret = 0;

	for (int i = 1; i < argc && ret == 0; i++)
		ret = take_argument(&r, argc, argv, &i);
	if (ret == 0 && !r.snapshot)
		ret = fail(ERR_CLASS_USAGE, "pool: expected a SNAPSHOT "
					    "directory");
	if (r.max == 0)
		r.max = r.size < SIZE_MAX_CLONES / 4 ? 4 * r.size
						     : SIZE_MAX_CLONES;
	if (ret == 0 && r.max < r.size)
		ret = fail(ERR_CLASS_USAGE, "pool: --max is below --size");
	if (ret == 0)
		ret = configure(&r, argc, argv);
	if (ret == 0) {
		allow_files();
		hold_signals();
	}
	if (ret == 0 && open_listen(&r, &err) < 0)
		ret = fail_err(&err);
	if (ret == 0)
		ret = run(&r);
	if (r.path)
		unlink(r.path);
	free(r.path);
	if (r.fd >= 0)
		fd_close(r.fd);
	mote_snapshot_close(r.snap);
	mote_config_free(r.cfg);
	return ret;
}
