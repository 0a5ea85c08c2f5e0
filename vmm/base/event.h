/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.h - what a vCPU or a device wants of the machine, posted without
 * knowing the machine.
 *
 * Threads: event_post from any thread (one write(2) at most, no lock);
 * event_take from the VM thread.
 */
#ifndef VMM_BASE_EVENT_H
#define VMM_BASE_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

struct mote_err;

enum event_bits {
	EVENT_READY = 1 << 0,	/* the guest's ready mark */
	EVENT_EXIT = 1 << 1,	/* the guest ended itself; exit_code is set */
	EVENT_RESET = 1 << 2,	/* the guest asked for a reset */
	EVENT_CRASH = 1 << 3,	/* the guest can't go on */
	EVENT_FAIL = 1 << 4,	/* a host call failed in a vCPU thread */
	EVENT_CONSOLE = 1 << 5, /* console output waits */
	EVENT_LINE = 1 << 6,	/* ... and holds a whole line, or much */
	EVENT_TRIGGER = 1 << 7, /* the moment of trigger.h has come */
	EVENT_OTHERS = 1 << 8,	/* vCPUs shall pass by arch_vcpu_enter */
	EVENT_RING = 1 << 9,	/* a dirty ring is full: its vCPU waits */
};

struct event_queue {
	atomic_uint pending; /* enum event_bits */
	atomic_bool over;    /* the guest has ended; vCPUs run no further */
	atomic_int exit_code;
	int fd; /* eventfd: readable while something is pending */
};

int event_init(struct event_queue *q, struct mote_err *err);
void event_fini(struct event_queue *q);

/* Add one to an eventfd that does not block; any thread. */
void event_signal(int fd);

/* Add bits; wakes the VM thread when they are news. */
void event_post(struct event_queue *q, unsigned int bits);

/*
 * The guest is over: EVENT_EXIT (with its code), EVENT_RESET, EVENT_CRASH.
 * The first call counts, later ones change nothing.
 */
void event_end(struct event_queue *q, unsigned int bit, int code);

/* As after event_init: the guest is not over, nothing is pending. */
void event_rewind(struct event_queue *q);

/* Take all pending bits and clear the eventfd. */
unsigned int event_take(struct event_queue *q);

#endif
