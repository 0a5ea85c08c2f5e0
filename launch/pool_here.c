/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_here.c - mote pool --in-process: all clones in this one process.
 *
 * Denser and quicker than a process for each, and one trust domain: a guest
 * that breaks out of its machine has the others.  vCPU threads are filtered.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/timeline.h"
#include "launch/launch.h"
#include "launch/pool.h"
#include "launch/session.h"

#define FDS_EACH (MOTE_VM_POLL_MAX + 1)

struct place {
	struct session session; /* .client -1: free */
	int vm_fds, own_fds;	/* of this turn */
};

struct here {
	const struct pool_options *opt;
	struct pool_result *res;
	struct mote_pool *pool;
	struct place *place;
	struct pollfd *fds;
	unsigned int serving;
	uint64_t retry_ns; /* no connection is taken before */
	int signals;
	bool stopping;
};

static void leave(struct here *h, struct place *p)
{
	struct mote_vm *vm = p->session.vm;
	struct mote_err err = {0};
	struct mote_status st;

	mote_vm_status(vm, &st, &err);
	if (st.state == MOTE_ENDED && st.end == MOTE_END_CRASH)
		h->opt->say(h->opt->opaque, err.msg);
	session_end(&p->session);
	mote_pool_give_back(h->pool, vm);
	h->serving--;
}

/* The host has no more of something: ask again later, and say it once. */
static void back_off(struct here *h, const struct mote_err *err)
{
	if (h->retry_ns == 0)
		h->opt->say(h->opt->opaque, err->msg);
	h->retry_ns = timeline_now() + POOL_RETRY_MS * 1000000ull;
}

static void serve(struct here *h)
{
	struct place *p = h->place;
	struct mote_err err = {0};
	struct mote_vm *vm;
	int fd = fd_accept(h->opt->listen_fd);

	if (fd < 0) {
		if (fd == -EAGAIN || fd == -ECONNABORTED)
			return;
		err_set(&err, -fd, "no further connection: accept: %s",
			strerror(-fd));
		back_off(h, &err);
		return;
	}
	while (p->session.client >= 0)
		p++;
	if (mote_pool_claim(h->pool, &vm, &err) < 0) {
		back_off(h, &err);
		fd_close(fd);
		return;
	}
	h->retry_ns = 0;
	if (session_begin(&p->session, vm, fd, &err) < 0) {
		h->opt->say(h->opt->opaque, err.msg);
		mote_vm_destroy(vm);
		fd_close(fd);
		return;
	}
	h->serving++;
	h->res->served++;
}

static int poll_places(struct here *h, int n, int *timeout)
{
	for (unsigned int i = 0; i < h->opt->max; i++) {
		struct place *p = &h->place[i];
		int left = -1;

		if (p->session.client < 0)
			continue;
		p->vm_fds = mote_vm_poll(p->session.vm, h->fds + n, &left);
		n += p->vm_fds;
		p->own_fds = session_poll(&p->session, h->fds + n, &left);
		n += p->own_fds;
		if (left >= 0 && (*timeout < 0 || left < *timeout))
			*timeout = left;
	}
	return n;
}

static void dispatch_places(struct here *h, int at)
{
	for (unsigned int i = 0; i < h->opt->max; i++) {
		struct place *p = &h->place[i];

		if (p->session.client < 0)
			continue;
		mote_vm_dispatch(p->session.vm, h->fds + at, p->vm_fds);
		session_dispatch(&p->session, h->fds + at + p->vm_fds,
				 p->own_fds);
		at += p->vm_fds + p->own_fds;
		if (session_over(&p->session) || h->stopping)
			leave(h, p);
	}
}

static void read_signals(struct here *h)
{
	struct signalfd_siginfo info;

	while (read(h->signals, &info, sizeof(info)) == sizeof(info))
		h->stopping = true;
}

static int turn(struct here *h, struct mote_err *err)
{
	bool late = h->retry_ns > timeline_now();
	bool room = !late && h->serving < h->opt->max;
	int n = 0, timeout = late ? POOL_RETRY_MS : -1;

	h->fds[n++] = (struct pollfd){.fd = h->signals, .events = POLLIN};
	h->fds[n++] = (struct pollfd){.fd = room ? h->opt->listen_fd : -1,
				      .events = POLLIN};
	n = poll_places(h, n, &timeout);
	if (poll(h->fds, (nfds_t)n, timeout) < 0 && errno != EINTR)
		return err_set(err, errno, "poll: %s", strerror(errno));
	if (h->fds[0].revents)
		read_signals(h);
	dispatch_places(h, 2);
	if (h->fds[1].revents && !h->stopping)
		serve(h);
	return 0;
}

static int open_pool(struct here *h, struct mote_err *err)
{
	struct mote_pool_options opt = {.size = sizeof(opt),
					.vm = MOTE_VM_OPTIONS_INIT,
					.clones = h->opt->size,
					.refill = !h->opt->rewind};

	opt.vm.config = h->opt->cfg;
	opt.vm.snapshot = h->opt->snapshot;
	opt.vm.rewind = h->opt->rewind;
	opt.vm.seccomp = launch_seccomp(h->opt->cfg);
	return mote_pool_create(&opt, &h->pool, err);
}

static int take_signals(struct here *h, struct mote_err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	h->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return h->signals < 0
		       ? err_set(err, errno, "signalfd: %s", strerror(errno))
		       : 0;
}

int pool_run_here(const struct pool_options *opt, struct pool_result *res,
		  struct mote_err *err)
{
	struct here h = {.opt = opt, .res = res, .signals = -1};
	int ret;

	*res = (struct pool_result){0};
	h.place = calloc(opt->max, sizeof(*h.place));
	h.fds = calloc((size_t)opt->max * FDS_EACH + 2, sizeof(*h.fds));
	if (!h.place || !h.fds) {
		free(h.place);
		free(h.fds);
		return err_set(err, ENOMEM, "pool");
	}
	for (unsigned int i = 0; i < opt->max; i++)
		h.place[i].session.client = -1;
	launch_watch_sigbus();
	ret = take_signals(&h, err);
	if (ret == 0)
		ret = open_pool(&h, err);
	while (ret == 0 && !h.stopping)
		ret = turn(&h, err);
	for (unsigned int i = 0; i < opt->max; i++)
		if (h.place[i].session.client >= 0)
			leave(&h, &h.place[i]);
	mote_pool_destroy(h.pool);
	fd_clear(&h.signals);
	free(h.place);
	free(h.fds);
	return ret;
}
