/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - the console of a VM process whose reader comes and goes: a
 * unix socket or a pseudo-terminal.
 *
 * One client of the socket is the console; others are told so and closed.
 * Of a terminal the VM process has the master's end, and tells by a hang-up
 * whether anybody has the other end open.
 *
 * Threads: the VM thread.  Trust: who may open either is the user's; what
 * he sends is input of the guest and nothing else.
 */
#ifndef VMM_LAUNCH_CONSOLE_H
#define VMM_LAUNCH_CONSOLE_H

#include <poll.h>
#include <stdbool.h>

#include "mote.h"

#define CONSOLE_POLL_MAX 2

struct console {
	struct mote_vm *vm;
	int listen_fd; /* borrowed; -1: no socket */
	int pty_fd;    /* borrowed; -1: no terminal */
	int client;    /* of the socket; -1: none */
	bool open;     /* somebody has the terminal open */
};

/* Descriptors of -1 both: there is nothing to do here, ever. */
void console_init(struct console *c, struct mote_vm *vm, int listen_fd,
		  int pty_fd);
void console_fini(struct console *c);

/* What to poll (at most CONSOLE_POLL_MAX), how many; *timeout_ms: at most. */
int console_poll(const struct console *c, struct pollfd *fds, int *timeout_ms);

/* After mote_vm_dispatch. */
void console_dispatch(struct console *c, const struct pollfd *fds, int n);

#endif
