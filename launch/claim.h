/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.h - a VM process that waits, parked, for the one whom it will serve.
 *
 * Its end of a SOCK_SEQPACKET pair tells the pool "parked" (one byte, 'P')
 * and receives a connection, which becomes the console; the guest runs then.
 * When the connection is closed the guest is over.  A rewound one starts
 * again with "parked".  Threads: the VM thread.  Trust: the pool is the
 * user's.
 */
#ifndef VMM_LAUNCH_CLAIM_H
#define VMM_LAUNCH_CLAIM_H

#include "launch/session.h"

#define CLAIM_POLL_MAX 2
#define CLAIM_PARKED   'P'

struct claim {
	int sock; /* borrowed; -1: nobody waits, there is nothing to do */
	bool rewind;
	struct mote_vm *vm;
	struct session session;
	bool failed; /* its machine can't be used again */
	/* A line of what went wrong, as LOG_WARNING; or NULL. */
	void (*log)(void *opaque, int level, const char *line);
	void *opaque;
};

void claim_init(struct claim *c, int sock, bool rewind, struct mote_vm *vm);
void claim_fini(struct claim *c);

/* The machine is parked. */
void claim_parked(struct claim *c);

int claim_poll(const struct claim *c, struct pollfd *fds, int *timeout_ms);

/*
 * After mote_vm_dispatch.  True: the guest has just begun to run.  A client
 * that left, or a pool that is gone, ends the guest.
 */
bool claim_dispatch(struct claim *c, const struct pollfd *fds, int n);

/* The guest is over: true when it was rewound, and waits for the next one. */
bool claim_again(struct claim *c);

#endif
