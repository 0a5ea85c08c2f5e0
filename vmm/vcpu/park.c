/* SPDX-License-Identifier: Apache-2.0 */
/*
 * park.c - getting a vCPU out of KVM_RUN at a safe point, and back in.
 *
 * The kick, in the kicker's order:
 *   1. set the request bit
 *   2. set kvm_run->immediate_exit
 *   3. unless a signal is already on its way (kicked), send one
 * and in the vCPU thread, after KVM_RUN gave EINTR:
 *   a. take pending kick signals, clear immediate_exit
 *   b. clear kicked
 *   c. look at the requests
 * No wake-up is lost: when 3 finds kicked set, b has not happened yet, so c
 * comes after 1 and sees the request.  When it finds it clear, a signal is
 * sent; it is blocked outside KVM_RUN and stays pending, so the next
 * KVM_RUN ends at once whatever a did to immediate_exit.  One signal at
 * most is in flight, so the limit on queued signals can't be reached.
 *
 * A vCPU that blocks in a call of the guest (struct vcpu_waiter) is reached
 * through an eventfd, written and read together with the signal.  It leaves
 * the call pending and enters KVM_RUN, which finishes the instruction and
 * ends at once; the call goes on after the park, or in a restored VM.
 *
 * Requests are looked at only before the first run and after EINTR.  At
 * that point KVM has finished the instruction of the last exit (an IN or a
 * load gets its value in the next KVM_RUN, also in one that ends at once
 * with EINTR), so registers are whole and a snapshot may be taken.
 *
 * A vCPU that the guest has not started, or that stopped itself
 * (arch_vcpu_stopped), waits in vcpu_obey too: as a running one, so that it
 * can be parked, stopped and ended like the others.  Another vCPU's call
 * starts it and has the VM thread kick it: the kick takes the lock after the
 * state has changed, so either the wait is seen, and ended, or it has not
 * begun and finds the new state.
 *
 * Who waits for whom: the VM thread waits in vcpu_park_wait for the state
 * PARKED; the vCPU waits on the same condition for its request to go away.
 * Nobody holds a lock across KVM_RUN or a join.
 */
#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/kick.h"
#include "vcpu/vcpu.h"

static void kick(struct vcpu *v, unsigned int request)
{
	const uint64_t one = 1;
	bool gone;

	atomic_fetch_or(&v->request, request);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);

	/* For a thread that sleeps outside KVM_RUN. */
	pthread_mutex_lock(&v->lock);
	pthread_cond_broadcast(&v->cond);
	gone = v->ended; /* for good: it won't be in KVM_RUN again */
	pthread_mutex_unlock(&v->lock);

	if (!v->has_thread || gone || atomic_exchange(&v->kicked, true))
		return;
	if (v->env->waiter.pending)
		fd_write_full(v->env->waiter.kick_fd, &one, sizeof(one));
	pthread_kill(v->thread, VCPU_KICK_SIGNAL);
}

/*
 * No request, and kicked stays as it is, so that a later kick reaches a call
 * that blocks.  One more signal in flight, once in a machine's life.
 */
void vcpu_interrupt(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&v->lock);
	pthread_cond_broadcast(&v->cond);
	if (v->has_thread)
		pthread_kill(v->thread, VCPU_KICK_SIGNAL);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_kick_taken(struct vcpu *v)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	if (v->env->waiter.pending) {
		eventfd_t count;

		eventfd_read(v->env->waiter.kick_fd, &count);
	}
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	atomic_store(&v->kicked, false);
}

static void set_state(struct vcpu *v, enum vcpu_state state)
{
	v->state = state;
	pthread_cond_broadcast(&v->cond);
}

/* Not started by the guest, which is not over either. */
static bool sleeps(struct vcpu *v)
{
	return arch_vcpu_stopped(&v->arch) &&
	       !atomic_load(&v->env->events->over);
}

bool vcpu_obey(struct vcpu *v)
{
	unsigned int req;
	bool stop, park;

	pthread_mutex_lock(&v->lock);
	for (;;) {
		req = atomic_load(&v->request);
		/* An ended guest does not go on: its thread need not wait. */
		stop = (req & VCPU_REQ_STOP) || (v->ended && !v->env->keep);
		park = (req & VCPU_REQ_PARK) || v->ended;
		if (stop || (!park && !sleeps(v)))
			break;
		if (park && v->state == VCPU_RUNNING)
			set_state(v, VCPU_PARKED);
		else if (!park && v->state != VCPU_RUNNING)
			set_state(v, VCPU_RUNNING);
		pthread_cond_wait(&v->cond, &v->lock);
	}
	set_state(v, stop ? VCPU_DEAD : VCPU_RUNNING);
	pthread_mutex_unlock(&v->lock);
	return !stop;
}

void vcpu_kick(struct vcpu *v)
{
	kick(v, 0);
}

void vcpu_park_request(struct vcpu *v)
{
	kick(v, VCPU_REQ_PARK);
}

void vcpu_park_wait(struct vcpu *v)
{
	if (!v->has_thread)
		return; /* created only: nothing runs */
	pthread_mutex_lock(&v->lock);
	while (v->state == VCPU_RUNNING)
		pthread_cond_wait(&v->cond, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_unpark(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	atomic_fetch_and(&v->request, ~(unsigned int)VCPU_REQ_PARK);
	pthread_cond_broadcast(&v->cond);
	pthread_mutex_unlock(&v->lock);
}

bool vcpu_rewind(struct vcpu *v)
{
	bool crashed;

	pthread_mutex_lock(&v->lock);
	crashed = v->err.code != 0;
	v->ended = v->nudged = false;
	v->err.code = 0;
	pthread_mutex_unlock(&v->lock);
	return crashed;
}

void vcpu_set_plugged(struct vcpu *v, bool plugged)
{
	pthread_mutex_lock(&v->lock);
	if (v->state == VCPU_PARKED || v->state == VCPU_PARKED_UNPLUGGED)
		v->state = plugged ? VCPU_PARKED : VCPU_PARKED_UNPLUGGED;
	pthread_mutex_unlock(&v->lock);
}

void vcpu_nudge(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->nudged = true;
	pthread_cond_broadcast(&v->cond);
	pthread_mutex_unlock(&v->lock);
}

static void sleep_for(struct vcpu *v, uint32_t ms, bool until_nudged)
{
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&v->lock);
	while (!(until_nudged && v->nudged) && !atomic_load(&v->request) &&
	       ret != ETIMEDOUT)
		ret = pthread_cond_timedwait(&v->cond, &v->lock, &until);
	if (until_nudged)
		v->nudged = false;
	pthread_mutex_unlock(&v->lock);
}

void vcpu_sleep(struct vcpu *v, uint32_t ms)
{
	sleep_for(v, ms, true);
}

void vcpu_hold(struct vcpu *v, uint32_t ms)
{
	sleep_for(v, ms, false);
}

void vcpu_stop(struct vcpu *v)
{
	if (!v->has_thread) { /* who borrowed it may look at its state */
		pthread_mutex_lock(&v->lock);
		v->state = VCPU_DEAD;
		pthread_mutex_unlock(&v->lock);
		return;
	}
	kick(v, VCPU_REQ_STOP);
	pthread_mutex_lock(&v->lock);
	while (v->state != VCPU_DEAD)
		pthread_cond_wait(&v->cond, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_join(struct vcpu *v)
{
	bool has_thread;

	pthread_mutex_lock(&v->lock);
	has_thread = v->has_thread;
	v->has_thread = false;
	pthread_mutex_unlock(&v->lock);
	if (has_thread)
		pthread_join(v->thread, NULL);
}
