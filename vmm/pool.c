/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - clones of one snapshot, kept ready before their first instruction.
 *
 * Built on mote.h alone.  Locks: build (one clone is made at a time, since a
 * snapshot is loaded by one thread at a time) before lock (the list).  The
 * pool's thread sleeps on wake until a clone was taken.
 */
#include "mote.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct mote_pool {
	struct mote_vm_options vm;
	unsigned int size;
	pthread_mutex_t build;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t wake;
	struct mote_vm **parked; /* the last one in is the first one out */
	unsigned int count;
	bool leaving;
	struct mote_err err; /* why the last clone could not be made */

	pthread_t thread;
	bool has_thread;
};

/* A clone, parked before its first instruction. */
static int make_clone(struct mote_pool *p, struct mote_vm **vm,
		      struct mote_err *err)
{
	int ret;

	*vm = NULL;
	pthread_mutex_lock(&p->build);
	ret = mote_vm_create(&p->vm, vm, err);
	pthread_mutex_unlock(&p->build);
	if (ret == 0)
		ret = mote_vm_start(*vm, true, err);
	if (ret < 0) {
		mote_vm_destroy(*vm);
		*vm = NULL;
	}
	return ret;
}

/* False: there is no room (any more). */
static bool park(struct mote_pool *p, struct mote_vm *vm)
{
	bool room;

	pthread_mutex_lock(&p->lock);
	room = p->count < p->size && !p->leaving;
	if (room)
		p->parked[p->count++] = vm;
	pthread_mutex_unlock(&p->lock);
	return room;
}

static struct mote_vm *take(struct mote_pool *p)
{
	struct mote_vm *vm = NULL;

	pthread_mutex_lock(&p->lock);
	if (p->count)
		vm = p->parked[--p->count];
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	return vm;
}

/* Sleeps until a clone is missing; false: the pool goes. */
static bool one_is_missing(struct mote_pool *p)
{
	bool missing;

	pthread_mutex_lock(&p->lock);
	while (!p->leaving && (p->count == p->size || p->err.code))
		pthread_cond_wait(&p->wake, &p->lock);
	missing = !p->leaving;
	pthread_mutex_unlock(&p->lock);
	return missing;
}

static void *refill(void *arg)
{
	struct mote_pool *p = arg;

	while (one_is_missing(p)) {
		struct mote_err err = {0};
		struct mote_vm *vm;

		if (make_clone(p, &vm, &err) < 0) {
			/* Until somebody asks: he gets to know why. */
			pthread_mutex_lock(&p->lock);
			p->err = err;
			pthread_mutex_unlock(&p->lock);
		} else if (!park(p, vm)) {
			mote_vm_destroy(vm);
		}
	}
	return NULL;
}

static int start_thread(struct mote_pool *p, struct mote_err *err)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all); /* signals are the embedder's; but sigbus.h */
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&p->thread, NULL, refill, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	p->has_thread = ret == 0;
	return ret ? err_set(err, ret, "pool: thread: %s", strerror(ret)) : 0;
}

static int check(const struct mote_pool_options *opt, struct mote_err *err)
{
	if (!opt || opt->size != sizeof(*opt) || !opt->vm.snapshot ||
	    !opt->vm.config || opt->clones == 0)
		return err_set(err, EINVAL,
			       "mote_pool_options: bad size, no snapshot, no "
			       "configuration or no clones");
	return mote_snapshot_may_clone(opt->vm.snapshot, opt->vm.config, err);
}

int mote_pool_fill(struct mote_pool *p, struct mote_err *err)
{
	while (mote_pool_parked(p) < p->size) {
		struct mote_vm *vm;
		int ret = make_clone(p, &vm, err);

		if (ret < 0)
			return ret;
		if (!park(p, vm))
			mote_vm_destroy(vm);
	}
	return 0;
}

int mote_pool_create(const struct mote_pool_options *opt,
		     struct mote_pool **out, struct mote_err *err)
{
	struct mote_pool *p;
	int ret = check(opt, err);

	*out = NULL;
	if (ret < 0)
		return ret;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "pool");
	p->vm = opt->vm;
	p->vm.console_in_fd = p->vm.console_out_fd = -1;
	p->size = opt->clones;
	pthread_mutex_init(&p->build, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->parked = calloc(p->size, sizeof(struct mote_vm *));
	ret = p->parked ? mote_pool_fill(p, err) : err_set(err, ENOMEM, "pool");
	if (ret == 0 && opt->refill)
		ret = start_thread(p, err);
	if (ret < 0) {
		mote_pool_destroy(p);
		return ret;
	}
	*out = p;
	return 0;
}

int mote_pool_claim(struct mote_pool *p, struct mote_vm **vm,
		    struct mote_err *err)
{
	*vm = take(p);
	if (*vm)
		return 0;
	/* The thread may try again, whatever stopped it. */
	pthread_mutex_lock(&p->lock);
	p->err.code = 0;
	pthread_mutex_unlock(&p->lock);
	return make_clone(p, vm, err);
}

void mote_pool_give_back(struct mote_pool *p, struct mote_vm *vm)
{
	bool rewound;

	if (!vm)
		return;
	rewound = p->vm.rewind && mote_vm_rewind(vm, NULL, NULL) == 0;
	if (rewound) /* nobody of the last run hears from the next one */
		mote_vm_console_attach(vm, -1, -1);
	if (!rewound || !park(p, vm))
		mote_vm_destroy(vm);
}

unsigned int mote_pool_parked(struct mote_pool *p)
{
	unsigned int n;

	pthread_mutex_lock(&p->lock);
	n = p->count;
	pthread_mutex_unlock(&p->lock);
	return n;
}

void mote_pool_destroy(struct mote_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->leaving = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (p->has_thread)
		pthread_join(p->thread, NULL);
	for (unsigned int i = 0; i < p->count; i++)
		mote_vm_destroy(p->parked[i]);
	free(p->parked);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->build);
	free(p);
}
