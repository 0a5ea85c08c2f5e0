/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/timeline.h"
#include "launch/claim.h"
#include "launch/launch.h"

enum clone_state { CLONE_NONE, CLONE_STARTING, CLONE_PARKED, CLONE_SERVING };

struct clone {
	enum clone_state state;
	pid_t pid; /* its launcher */
	int sock;
	int why; /* a pipe: what its launcher has to say when it fails */
};

/* Something that the host had no more of: not to be tried for a while. */
struct retry {
	uint64_t at_ns;
	bool late; /* it is before */
	bool said;
};

struct pool {
	const struct pool_options *opt;
	struct pool_result *res;
	struct clone *clone; /* max of them */
	struct pollfd *fds;
	unsigned int number; /* of the next clone */
	int signals;
	bool worked; /* a clone was ready once */
	bool stopping;
	struct retry clones, connections;
};

static unsigned int count(const struct pool *p, enum clone_state state)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < p->opt->max; i++)
		n += p->clone[i].state == state;
	return n;
}

static void say(const struct pool *p, const char *line)
{
	if (p->opt->say)
		p->opt->say(p->opt->opaque, line);
}

static void wait_a_while(struct retry *r)
{
	r->at_ns = timeline_now() + POOL_RETRY_MS * 1000000ull;
	r->late = true;
}

/* Go on with what there is; say it once. */
static void back_off(struct pool *p, struct retry *r, const char *what, int err)
{
	char line[128];

	snprintf(line, sizeof(line), "%s: %s; going on with what there is",
		 what, strerror(err));
	if (!r->said)
		say(p, line);
	r->said = true;
	wait_a_while(r);
}

static void look_again(struct retry *r)
{
	r->late = timeline_now() < r->at_ns;
}

/* --- one clone -------------------------------------------------------------
 */

/* The launcher's process: it ends with its clone, and with the pool. */
static void __attribute__((noreturn))
launch_clone(struct pool *p, int sock, int why)
{
	struct launch_options opt = {
		.snapshot = p->opt->snapshot,
		.cfg = launch_numbered(p->opt->cfg, p->number),
		.kernel_fd = -1,
		.no_stdin = true,
		.netns_fd = -1,
		.created_fd = -1,
		.claim_fd = sock,
		.rewind = p->opt->rewind,
	};
	struct launch_result res = {0};
	struct mote_err err = {0};
	int ret;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0); /* what is typed at the terminal is for the pool */
	fd_close(p->opt->listen_fd);
	fd_close(p->signals);
	for (unsigned int i = 0; i < p->opt->max; i++) {
		if (p->clone[i].state == CLONE_NONE)
			continue;
		fd_close(p->clone[i].sock);
		fd_close(p->clone[i].why);
	}
	ret = opt.cfg ? launch_run(&opt, &res, &err)
		      : err_set(&err, ENOMEM, "configuration");
	if (ret < 0) {
		fd_write_full(why, &err, sizeof(err));
		_exit(err_exit_code(&err));
	}
	if (res.end == MOTE_END_CRASH)
		fd_write_full(why, &res.err, sizeof(res.err));
	_exit(res.exit_code);
}

static bool start_clone(struct pool *p)
{
	struct clone *c = p->clone;
	int pair[2], why[2];

	while (c->state != CLONE_NONE)
		c++;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		back_off(p, &p->clones, "no further clone: socketpair", errno);
		return false;
	}
	if (pipe2(why, O_CLOEXEC) < 0) {
		back_off(p, &p->clones, "no further clone: pipe", errno);
		fd_close(pair[0]);
		fd_close(pair[1]);
		return false;
	}
	p->number++;
	c->pid = fork();
	if (c->pid < 0)
		back_off(p, &p->clones, "no further clone: fork", errno);
	if (c->pid == 0) {
		fd_close(pair[0]);
		fd_close(why[0]);
		launch_clone(p, pair[1], why[1]);
	}
	fd_close(pair[1]);
	fd_close(why[1]);
	c->sock = pair[0];
	c->why = why[0];
	if (c->pid > 0) {
		p->clones.said = false;
		c->state = CLONE_STARTING;
		p->res->clones++;
		return true;
	}
	fd_clear(&c->sock);
	fd_clear(&c->why);
	return false;
}

static int refill(struct pool *p, struct mote_err *err)
{
	unsigned int ready = count(p, CLONE_STARTING) + count(p, CLONE_PARKED);
	unsigned int alive = ready + count(p, CLONE_SERVING);

	if (p->stopping || p->clones.late)
		return 0;
	/* One that is rewound comes back: those that serve count too. */
	for (; (p->opt->rewind ? alive : ready) < p->opt->size &&
	       alive < p->opt->max && start_clone(p);
	     ready++, alive++)
		;
	/* It never had one, and what it lacks was said. */
	if (alive == 0 && !p->worked)
		return err_set(err, EAGAIN, "no clone can be made");
	return 0;
}

/* Its launcher has ended; what it had to say is the pool's to tell. */
static int bury(struct pool *p, struct clone *c, struct mote_err *err)
{
	enum clone_state was = c->state;
	struct mote_err why = {0};
	bool told = fd_read_full(c->why, &why, sizeof(why)) == 0;

	fd_clear(&c->sock);
	fd_clear(&c->why);
	*c = (struct clone){.sock = -1, .why = -1};
	if (told)
		why.msg[sizeof(why.msg) - 1] = 0;
	if (was == CLONE_STARTING && !p->worked && !p->stopping) {
		if (!told)
			err_set(&why, EPROTO, "a clone ended without a word");
		*err = why;
		return -why.code;
	}
	if (told)
		say(p, why.msg);
	if (was == CLONE_STARTING)
		wait_a_while(&p->clones);
	return 0;
}

static int reap(struct pool *p, struct mote_err *err)
{
	pid_t pid;
	int ret = 0;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0 ||
	       (pid < 0 && errno == EINTR))
		for (unsigned int i = 0; i < p->opt->max; i++)
			if (p->clone[i].state != CLONE_NONE &&
			    p->clone[i].pid == pid && ret == 0)
				ret = bury(p, &p->clone[i], err);
	return ret;
}

/* --- the pool --------------------------------------------------------------
 */

/* What a VM process says: it is parked.  Its end is told by SIGCHLD. */
static void listen_to(struct pool *p, struct clone *c)
{
	char byte;
	int n = 0;

	if (fd_recv_msg(c->sock, &byte, 1, NULL, 0, &n) == 1 &&
	    byte == CLAIM_PARKED) {
		c->state = CLONE_PARKED;
		p->worked = true;
	}
}

static void serve(struct pool *p)
{
	const char byte = 0;
	struct clone *c = p->clone;
	int fd, ret;

	while (c->state != CLONE_PARKED)
		c++;
	fd = fd_accept(p->opt->listen_fd);
	if (fd < 0) {
		if (fd != -EAGAIN && fd != -ECONNABORTED)
			back_off(p, &p->connections,
				 "no further connection: accept", -fd);
		return;
	}
	p->connections.said = false;
	ret = fd_send_msg(c->sock, &byte, 1, &fd, 1);
	if (ret == 0) {
		c->state = CLONE_SERVING;
		p->res->served++;
	} else {
		back_off(p, &p->connections, "a connection is lost: send",
			 -ret);
	}
	fd_close(fd);
}

static void stop(struct pool *p)
{
	p->stopping = true;
	for (unsigned int i = 0; i < p->opt->max; i++)
		if (p->clone[i].state != CLONE_NONE)
			kill(p->clone[i].pid, SIGTERM);
}

static void read_signals(struct pool *p)
{
	struct signalfd_siginfo info;

	while (read(p->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			stop(p);
}

static int turn(struct pool *p, struct mote_err *err)
{
	bool room = !p->stopping && !p->connections.late &&
		    count(p, CLONE_PARKED) > 0;
	bool late = p->clones.late || p->connections.late;
	int n = 0;

	p->fds[n++] = (struct pollfd){.fd = p->signals, .events = POLLIN};
	/* Who finds no clone waits in the backlog. */
	p->fds[n++] = (struct pollfd){.fd = room ? p->opt->listen_fd : -1,
				      .events = POLLIN};
	for (unsigned int i = 0; i < p->opt->max; i++)
		if (p->clone[i].state == CLONE_STARTING ||
		    (p->opt->rewind && p->clone[i].state == CLONE_SERVING))
			p->fds[n++] = (struct pollfd){.fd = p->clone[i].sock,
						      .events = POLLIN};
	if (poll(p->fds, (nfds_t)n, late ? POOL_RETRY_MS : -1) < 0 &&
	    errno != EINTR)
		return err_set(err, errno, "poll: %s", strerror(errno));
	for (int k = 2; k < n; k++)
		for (unsigned int i = 0; p->fds[k].revents && i < p->opt->max;
		     i++)
			if (p->clone[i].state != CLONE_NONE &&
			    p->clone[i].sock == p->fds[k].fd)
				listen_to(p, &p->clone[i]);
	if (p->fds[1].revents)
		serve(p);
	if (p->fds[0].revents)
		read_signals(p);
	return 0;
}

static int take_signals(struct pool *p, struct mote_err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signals < 0)
		return err_set(err, errno, "signalfd: %s", strerror(errno));
	return 0;
}

static int serve_all(struct pool *p, struct mote_err *err)
{
	int ret = 0;

	do {
		look_again(&p->clones);
		look_again(&p->connections);
		ret = refill(p, err);
		if (ret == 0)
			ret = turn(p, err);
		if (ret == 0)
			ret = reap(p, err);
	} while (ret == 0 &&
		 (!p->stopping || count(p, CLONE_NONE) < p->opt->max));
	return ret;
}

int pool_run(const struct pool_options *opt, struct pool_result *res,
	     struct mote_err *err)
{
	struct pool p = {.opt = opt, .res = res, .signals = -1};
	int ret;

	*res = (struct pool_result){0};
	p.clone = calloc(opt->max, sizeof(*p.clone));
	p.fds = calloc((size_t)opt->max + 2, sizeof(*p.fds));
	if (!p.clone || !p.fds) {
		free(p.clone);
		free(p.fds);
		return err_set(err, ENOMEM, "pool");
	}
	ret = take_signals(&p, err);
	if (ret == 0)
		ret = serve_all(&p, err);
	if (ret < 0 && !p.stopping) {
		stop(&p); /* a failure leaves nobody behind */
		while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
			;
	}
	if (p.signals >= 0)
		fd_close(p.signals);
	free(p.clone);
	free(p.fds);
	return ret;
}
