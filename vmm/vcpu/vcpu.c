/* SPDX-License-Identifier: Apache-2.0 */
#include "vcpu/vcpu.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/kick.h"
#include "kvm/kvm.h"

static void vcpu_free(struct vcpu *v)
{
	arch_vcpu_fini(&v->arch);
	map_fini(&v->run_map);
	fd_clear(&v->fd);
	vcpu_join(v);
	pthread_cond_destroy(&v->cond);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static int vcpu_open(struct vcpu *v, struct mote_err *err)
{
	int ret = kvm_create_vcpu(v->env->vm_fd, v->id);

	if (ret < 0)
		return err_set(err, -ret, "KVM_CREATE_VCPU: %s",
			       strerror(-ret));
	v->fd = ret;
	ret = kvm_vcpu_mmap_size(v->env->kvm_fd);
	if (ret < 0)
		return err_set(err, -ret, "KVM_GET_VCPU_MMAP_SIZE: %s",
			       strerror(-ret));
	ret = map_shared(&v->run_map, v->fd, 0, (size_t)ret,
			 PROT_READ | PROT_WRITE, err);
	if (ret < 0)
		return ret;
	v->run = v->run_map.addr;
	ret = kvm_unblock_in_run(v->fd, VCPU_KICK_SIGNAL);
	if (ret < 0)
		return err_set(err, -ret, "KVM_SET_SIGNAL_MASK: %s",
			       strerror(-ret));
	return arch_vcpu_init(&v->arch, v->env->arch_vm, v->fd, v->run, v->id,
			      err);
}

int vcpu_create(struct vcpu **out, struct vcpu_env *env, uint32_t id,
		struct mote_err *err)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	pthread_condattr_t attr;
	int ret;

	*out = NULL;
	if (!v)
		return err_set(err, ENOMEM, "vCPU %u", id);
	ref_init(&v->ref);
	v->id = id;
	v->fd = -1;
	v->env = env;
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->cond, &attr);
	pthread_condattr_destroy(&attr);

	ret = vcpu_open(v, err);
	if (ret < 0) {
		vcpu_put(&v);
		return err_wrap(err, ret, "vCPU %u", id);
	}
	*out = v;
	return 0;
}

bool vcpu_get(struct vcpu *v)
{
	return ref_get(&v->ref);
}

void vcpu_put(struct vcpu **vp)
{
	struct vcpu *v = *vp;

	*vp = NULL;
	if (v && ref_put(&v->ref))
		vcpu_free(v);
}

static void *thread_main(void *arg)
{
	struct vcpu *v = arg;
	int ret = 0;

	/* Its waits end when the guest said, not up to 50 us later. */
	if (v->env->waiter.pending)
		prctl(PR_SET_TIMERSLACK, 1ul);
	if (v->env->thread_enter)
		ret = v->env->thread_enter(v->env->opaque, v->fd);
	if (ret < 0) {
		pthread_mutex_lock(&v->lock);
		err_set(&v->err, -ret, "vCPU %u: seccomp filter: %s", v->id,
			strerror(-ret));
		v->ended = true;
		pthread_mutex_unlock(&v->lock);
		event_end(v->env->events, EVENT_CRASH, 0);
	}
	vcpu_loop(v);
	return NULL;
}

int vcpu_start(struct vcpu *v, bool paused, struct mote_err *err)
{
	sigset_t all, old;
	int ret;

	assert(!v->has_thread);
	v->state = VCPU_RUNNING;
	/* Nothing is left of a thread that was stopped before. */
	atomic_store(&v->request, paused ? VCPU_REQ_PARK : 0);
	atomic_store(&v->kicked, false);
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	/*
	 * The thread starts with every signal blocked: the kick signal is
	 * let in by KVM_RUN alone, the others are the embedder's.
	 */
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* sigbus.h */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&v->lock);
	ret = pthread_create(&v->thread, NULL, thread_main, v);
	v->has_thread = ret == 0;
	pthread_mutex_unlock(&v->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret != 0) {
		v->state = VCPU_CREATED;
		return err_set(err, ret, "vCPU %u: thread: %s", v->id,
			       strerror(ret));
	}
	return 0;
}

bool vcpu_ended(struct vcpu *v, struct mote_err *err)
{
	bool ended;

	pthread_mutex_lock(&v->lock);
	ended = v->ended;
	if (ended && err && v->err.code)
		*err = v->err;
	pthread_mutex_unlock(&v->lock);
	return ended;
}

enum vcpu_state vcpu_state(struct vcpu *v)
{
	enum vcpu_state state;

	pthread_mutex_lock(&v->lock);
	state = v->state;
	pthread_mutex_unlock(&v->lock);
	return state;
}
