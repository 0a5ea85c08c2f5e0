/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - a connection that is the console of a clone, from the clone's
 * first instruction to the end of either.
 *
 * Threads: the VM's.  Trust: what comes from the connection is input of the
 * guest and nothing else.
 */
#ifndef VMM_LAUNCH_SESSION_H
#define VMM_LAUNCH_SESSION_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "mote.h"

#define SESSION_LINGER_MS 5000 /* after the client's last byte */

struct session {
	struct mote_vm *vm;
	int client; /* owned; -1: none */
	/*
	 * It sends no more.  It may wait for the answer, or be gone: over TCP
	 * only a write tells.  So long the guest has to end by itself.
	 */
	uint64_t half_closed_ns;
	bool hung; /* the client is gone, or its time is over */
};

/* Let vm, which is paused, run for client; fd is taken over by a success. */
int session_begin(struct session *s, struct mote_vm *vm, int fd,
		  struct mote_err *err);

/* Detach and close; the machine is as it was. */
void session_end(struct session *s);

/* What to poll beside the machine's own (at most 1); timeout as there. */
int session_poll(const struct session *s, struct pollfd *fds, int *timeout_ms);

/* After mote_vm_dispatch: sets hung. */
void session_dispatch(struct session *s, const struct pollfd *fds, int n);

/* The guest has ended and its client has all of it, or is gone. */
bool session_over(const struct session *s);

#endif
