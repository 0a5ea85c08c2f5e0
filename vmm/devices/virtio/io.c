/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - the I/O thread.
 *
 * No wake-up is lost: a kick, a poke and the wish to stop are each written
 * down first (a counter of KVM's, poked, stop) and then make a descriptor
 * readable that the thread sleeps on; it takes the descriptor's count before
 * it looks.  A device that was poked while a vCPU held its lock is looked at
 * again at once.
 */
#include "devices/virtio/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "devices/virtio/virtio.h"

#define NS_PER_S UINT64_C(1000000000)
#define POLLS	 (1 + 2 * VIRTIO_DEVICES_MAX)

struct virtio_io {
	struct virtio_io_options opt;
	struct virtio *dev[VIRTIO_DEVICES_MAX];
	int count;
	int wake_fd; /* what the thread reads */
	int poke_fd; /* the same eventfd, for vCPU threads to write */
	int fds;     /* first of the block */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	atomic_bool stop, end; /* written under lock */
	bool stands;	       /* under lock */
	struct pollfd poll[POLLS];
	struct virtio_scratch scratch;
};

/* --- the thread -------------------------------------------------------------
 */

uint64_t virtio_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

bool virtio_io_hurry(const struct virtio_io *io)
{
	return atomic_load_explicit(&io->stop, memory_order_relaxed);
}

bool virtio_io_lost(const struct virtio_io *io)
{
	return atomic_load_explicit(&io->end, memory_order_relaxed) ||
	       (io->opt.lost && io->opt.lost(io->opt.opaque));
}

bool virtio_io_paged(const struct virtio_io *io)
{
	return io->opt.paged;
}

struct virtio_scratch *virtio_io_scratch(struct virtio_io *io)
{
	return &io->scratch;
}

/* Take the count of an eventfd; 0: there was none. */
static uint64_t take(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Where it was told to stop.  False: for good. */
static bool stand(struct virtio_io *io)
{
	pthread_mutex_lock(&io->lock);
	io->stands = true;
	pthread_cond_broadcast(&io->cond);
	while (io->stop && !io->end)
		pthread_cond_wait(&io->cond, &io->lock);
	io->stands = false;
	pthread_mutex_unlock(&io->lock);
	return !io->end;
}

/* True: it is to be looked at again at once. */
static bool serve(struct virtio *v)
{
	bool again;

	if (atomic_load(&v->waiting)) /* a vCPU goes first */
		return true;
	pthread_mutex_lock(&v->lock);
	if (v->raise)
		virtio_raise(v, 0);
	v->raise = v->more = v->wants_host = false;
	v->again_at = 0;
	if (v->active && v->fresh && v->model->activate)
		v->model->activate(v);
	v->fresh = v->fresh && !v->active;
	if (v->active)
		v->more = v->model->run(v);
	again = v->more;
	pthread_mutex_unlock(&v->lock);
	return again;
}

/* What to sleep on; fds[0] is the wake-up. */
static nfds_t list(struct virtio_io *io, uint64_t *until)
{
	nfds_t n = 0;

	*until = 0;
	io->poll[n++] = (struct pollfd){.fd = io->wake_fd, .events = POLLIN};
	for (int i = 0; i < io->count; i++) {
		const struct virtio *v = io->dev[i];

		io->poll[n++] =
			(struct pollfd){.fd = v->kick_fd, .events = POLLIN};
		io->poll[n++] =
			(struct pollfd){.fd = v->wants_host ? v->host_fd : -1,
					.events = POLLIN};
		if (v->again_at && (!*until || v->again_at < *until))
			*until = v->again_at;
	}
	return n;
}

static void sleep_until(struct virtio_io *io, bool again)
{
	uint64_t until, now;
	nfds_t n = list(io, &until);
	struct timespec t = {0};

	if (until && !again) {
		now = virtio_now();
		if (until > now) {
			t.tv_sec = (time_t)((until - now) / NS_PER_S);
			t.tv_nsec = (long)((until - now) % NS_PER_S);
		}
	}
	if (ppoll(io->poll, n, until || again ? &t : NULL, NULL) < 0)
		for (nfds_t i = 0; i < n; i++) /* look at everything */
			io->poll[i].revents = POLLIN;
}

/* Is there anything to do for it, by what was found when we woke? */
static bool is_due(struct virtio_io *io, int i, uint64_t now)
{
	struct virtio *v = io->dev[i];
	bool due = v->more || io->poll[2 + 2 * i].revents ||
		   (v->again_at && v->again_at <= now);

	if (io->poll[1 + 2 * i].revents) {
		uint64_t n = take(v->kick_fd);

		atomic_fetch_add_explicit(&v->count.kicks, n,
					  memory_order_relaxed);
		due |= n > 0;
	}
	return atomic_exchange(&v->poked, false) || due;
}

bool virtio_io_turn(struct virtio_io *io, bool again)
{
	uint64_t now;

	sleep_until(io, again);
	if (io->poll[0].revents)
		take(io->wake_fd);
	now = virtio_now();
	again = false;
	for (int i = 0; i < io->count; i++) {
		if (!is_due(io, i, now) || atomic_load(&io->stop))
			continue;
		if (serve(io->dev[i])) {
			io->dev[i]->more = true;
			again = true;
		}
	}
	return again;
}

static void *thread_main(void *arg)
{
	struct virtio_io *io = arg;
	int ret = io->opt.enter ? io->opt.enter(io->opt.opaque, io->fds) : 0;

	if (ret < 0) {
		io->opt.failed(io->opt.opaque);
		while (stand(io)) /* and do nothing until the end */
			atomic_store(&io->stop, true);
		return NULL;
	}
	for (bool again = false;;) {
		if (atomic_load(&io->stop) || atomic_load(&io->end)) {
			if (!stand(io))
				return NULL;
			again = true;
		}
		again = virtio_io_turn(io, again);
	}
}

/* --- the VM thread ----------------------------------------------------------
 */

static void wake(struct virtio_io *io)
{
	const uint64_t one = 1;

	/* EAGAIN: it is readable already. */
	while (write(io->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void virtio_io_poke(struct virtio_io *io, struct virtio *v)
{
	const uint64_t one = 1;

	atomic_store(&v->poked, true);
	while (write(io->poke_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int virtio_io_create(struct virtio_io **out,
		     const struct virtio_io_options *opt, struct mote_err *err)
{
	struct virtio_io *io = calloc(1, sizeof(*io));

	*out = NULL;
	if (!io)
		return err_set(err, ENOMEM, "I/O thread");
	io->opt = *opt;
	io->fds = -1;
	atomic_init(&io->stop, true);
	pthread_mutex_init(&io->lock, NULL);
	pthread_cond_init(&io->cond, NULL);
	io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	io->poke_fd =
		io->wake_fd < 0 ? -1 : fcntl(io->wake_fd, F_DUPFD_CLOEXEC, 3);
	if (io->poke_fd < 0) {
		int ret = err_set(err, errno, "I/O thread: eventfd: %s",
				  strerror(errno));

		virtio_io_destroy(io);
		return ret;
	}
	*out = io;
	return 0;
}

int *virtio_io_poke_fd(struct virtio_io *io)
{
	return &io->poke_fd;
}

int virtio_io_add(struct virtio_io *io, struct virtio *v, struct mote_err *err)
{
	if (io->count == VIRTIO_DEVICES_MAX)
		return err_set_class(err, ENOSPC, ERR_CLASS_DATA,
				     "more than %d virtio devices",
				     VIRTIO_DEVICES_MAX);
	io->dev[io->count++] = v;
	return 0;
}

int virtio_io_seal(struct virtio_io *io, struct mote_err *err)
{
	int *fd[1 + VIRTIO_FDS * VIRTIO_DEVICES_MAX], n = 0;

	fd[n++] = &io->wake_fd;
	for (int i = 0; i < io->count; i++) {
		struct virtio *v = io->dev[i];

		fd[n++] = &v->kick_fd;
		fd[n++] = &v->irq_fd;
		if (v->host_fd >= 0)
			fd[n++] = &v->host_fd;
	}
	return fd_gather(fd, n, &io->fds, err);
}

int virtio_io_start(struct virtio_io *io, struct mote_err *err)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	/* An access to guest RAM that was cut off: memory/sigbus.h. */
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&io->thread, NULL, thread_main, io);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret != 0)
		return err_set(err, ret, "I/O thread: %s", strerror(ret));
	io->has_thread = true;
	return 0;
}

void virtio_io_go(struct virtio_io *io)
{
	pthread_mutex_lock(&io->lock);
	/*
	 * Kicks may have been taken and not served, or come before a snapshot;
	 * and the thread may not have got so far as to stand.
	 */
	for (int i = 0; io->stop && i < io->count; i++)
		atomic_store(&io->dev[i]->poked, true);
	atomic_store(&io->stop, false);
	pthread_cond_broadcast(&io->cond);
	pthread_mutex_unlock(&io->lock);
	wake(io);
}

void virtio_io_halt(struct virtio_io *io)
{
	if (!io->has_thread)
		return;
	pthread_mutex_lock(&io->lock);
	atomic_store(&io->stop, true);
	wake(io);
	while (!io->stands)
		pthread_cond_wait(&io->cond, &io->lock);
	pthread_mutex_unlock(&io->lock);
}

void virtio_io_end(struct virtio_io *io)
{
	if (!io)
		return;
	pthread_mutex_lock(&io->lock);
	atomic_store(&io->end, true);
	atomic_store(&io->stop, true);
	pthread_cond_broadcast(&io->cond);
	pthread_mutex_unlock(&io->lock);
	wake(io);
}

void virtio_io_join(struct virtio_io *io)
{
	if (!io || !io->has_thread)
		return;
	pthread_join(io->thread, NULL);
	io->has_thread = false;
}

void virtio_io_destroy(struct virtio_io *io)
{
	if (!io)
		return;
	assert(!io->has_thread);
	fd_clear(&io->wake_fd);
	fd_clear(&io->poke_fd);
	pthread_cond_destroy(&io->cond);
	pthread_mutex_destroy(&io->lock);
	free(io);
}

static uint64_t get(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

void virtio_io_count(const struct virtio_io *io, struct virtio_totals *t)
{
	*t = (struct virtio_totals){0};
	for (int i = 0; io && i < io->count; i++) {
		const struct virtio_counts *c = &io->dev[i]->count;

		t->kicks += get(&c->kicks);
		t->requests += get(&c->requests);
		t->interrupts += get(&c->interrupts);
		t->resets += get(&c->resets);
		t->dropped += get(&c->dropped);
	}
}
