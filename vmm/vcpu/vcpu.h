/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpu.h - a vCPU: one KVM vCPU, one thread, counted references.
 *
 * Threads: the VM thread creates, parks, starts, stops; the vCPU's own
 * thread runs it and owns registers and kvm_run, but while it is parked
 * they are the VM thread's.  The lossless kick and the park are explained
 * in park.c.  Identity is the KVM id: closing the descriptor and creating
 * the same id again gives EEXIST, so an unplugged vCPU stays parked.
 */
#ifndef VMM_VCPU_VCPU_H
#define VMM_VCPU_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/err.h"
#include "base/map.h"
#include "base/ref.h"

struct event_queue;
struct kvm_run;
struct trigger;

enum vcpu_state {
	VCPU_CREATED,	       /* no thread yet */
	VCPU_PARKED,	       /* its thread waits; state may be touched */
	VCPU_RUNNING,	       /* in or near KVM_RUN */
	VCPU_PARKED_UNPLUGGED, /* parked and out of the table, fd kept */
	VCPU_DEAD,	       /* its thread has left for good */
};

enum vcpu_exit_kind {
	VCPU_EXIT_IO,
	VCPU_EXIT_MMIO,
	VCPU_EXIT_HCALL,
	VCPU_EXIT_KICK,
	VCPU_EXIT_OTHER,
	VCPU_EXIT_KINDS,
};

/*
 * A contract whose calls may block in the vCPU's own thread (hvt).  After an
 * exit that left a call pending, wait runs before the guest does, until it
 * says that the call is done; false: a kick came, readable from kick_fd.
 */
struct vcpu_waiter {
	bool (*pending)(void *opaque);
	bool (*wait)(void *opaque);
	void *opaque;
	int kick_fd; /* an eventfd */
};

/* What all vCPUs of one VM share; outlives them. */
struct vcpu_env {
	int kvm_fd, vm_fd;
	struct arch_vm *arch_vm;
	const struct bus *bus;
	struct event_queue *events;
	atomic_bool pace;	 /* a device asks vCPUs to slow down */
	struct trigger *trigger; /* NULL: nobody waits for a moment */
	bool finish; /* an ended guest's last instruction is completed */
	struct vcpu_waiter waiter; /* of its one vCPU; pending NULL: none */
	bool keep;   /* an ended guest's threads wait parked: vcpu_rewind */
	bool strict; /* a port or address that nobody answers ends the guest */
	/* Runs first in the vCPU's thread (its seccomp filter); 0 or -errno. */
	int (*thread_enter)(void *opaque, int vcpu_fd);
	void *opaque;
};

struct vcpu {
	struct ref ref;
	uint32_t id;
	int fd;
	struct map run_map;
	struct kvm_run *run;
	struct arch_vcpu arch;
	struct vcpu_env *env;

	pthread_t thread;
	bool has_thread; /* to be joined; set by the VM thread, in lock */

	pthread_mutex_t lock; /* state, nudged, ended, err */
	pthread_cond_t cond;
	enum vcpu_state state;
	bool nudged;
	bool ended;	     /* the guest is over; the thread leaves or waits */
	struct mote_err err; /* why it ended, when not by its own will */

	atomic_uint request; /* VCPU_REQ_* */
	atomic_bool kicked;  /* a signal is on its way */
	bool stopping;	     /* its own thread's: ARCH_EXIT_STOPPED */
	atomic_ullong exits[VCPU_EXIT_KINDS];
};

/* Create with one reference, which is the caller's. */
int vcpu_create(struct vcpu **out, struct vcpu_env *env, uint32_t id,
		struct mote_err *err);

/* Another reference; false when the count is already zero. */
bool vcpu_get(struct vcpu *v);

/* Drop *v and clear it; the last one frees, its thread being joined. */
void vcpu_put(struct vcpu **v);

/* Start the thread, parked (paused) or running.  VM thread. */
int vcpu_start(struct vcpu *v, bool paused, struct mote_err *err);

/* Ask for a park, then wait for it: two steps, so that all park at once. */
void vcpu_park_request(struct vcpu *v);
void vcpu_park_wait(struct vcpu *v);
void vcpu_unpark(struct vcpu *v);

/*
 * Parked only: the guest is not over; its state is about to be loaded.  True:
 * it was over because it could not go on.
 */
bool vcpu_rewind(struct vcpu *v);

/* Parked only: say whether it is in the machine or kept outside. */
void vcpu_set_plugged(struct vcpu *v, bool plugged);

/*
 * Any thread, once event_queue.over is set: get it out of the guest, also
 * where it has not entered yet.  It does not come back in.
 */
void vcpu_interrupt(struct vcpu *v);

/*
 * Any thread but a vCPU's: bring it past arch_vcpu_enter soon, out of the
 * guest or out of its wait to be started.
 */
void vcpu_kick(struct vcpu *v);

/* Wake a vCPU that sleeps in the guest's WAIT. */
void vcpu_nudge(struct vcpu *v);

/*
 * Make it DEAD, from any state: the guest never runs again, and of the
 * thread only its way out is left, which needs nothing but v.  Who starts it
 * anew joins it first; the last reference joins it by itself, after KVM's
 * objects are closed: taking a machine down and a thread's way out, each
 * some 50 us and more, happen side by side.
 */
void vcpu_stop(struct vcpu *v);
void vcpu_join(struct vcpu *v);

/* Has the guest ended on this vCPU, and why (*err, may be NULL)? */
bool vcpu_ended(struct vcpu *v, struct mote_err *err);

enum vcpu_state vcpu_state(struct vcpu *v);

/* --- between park.c and run.c -------------------------------------------- */

enum vcpu_request {
	VCPU_REQ_PARK = 1 << 0,
	VCPU_REQ_STOP = 1 << 1,
};

/*
 * Do what was asked, and wait while the guest has not started this vCPU;
 * false: leave the loop.  Own thread, after a kick.
 */
bool vcpu_obey(struct vcpu *v);

/* Own thread: KVM_RUN gave EINTR; make the next kick count again. */
void vcpu_kick_taken(struct vcpu *v);

/* Own thread: sleep until nudged, asked for something, or ms are over. */
void vcpu_sleep(struct vcpu *v, uint32_t ms);
/* The same without being nudged: that is for the guest's own sleep. */
void vcpu_hold(struct vcpu *v, uint32_t ms);

/* The thread's body (run.c). */
void vcpu_loop(struct vcpu *v);

#endif
