/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the control socket: JSON lines, both ways.
 *
 * One request a line, at most 4096 bytes, answered in order by one line.
 * Threads: the VM thread.  Trust: the peer must be the launcher's user or
 * root; what it sends is bounded and checked all the same.
 */
#ifndef VMM_LAUNCH_CONTROL_H
#define VMM_LAUNCH_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTROL_CLIENTS	 4
#define CONTROL_LINE_MAX 4096
#define CONTROL_FDS	 3 /* a request may carry */

struct json_object;

struct control_client {
	int fd; /* -1: free */
	size_t len;
	int pass[CONTROL_FDS];
	int npass;
	unsigned long long heard; /* turn in which it last said something */
};

struct control {
	int listen_fd; /* borrowed; -1: no control */
	unsigned int owner_uid;
	struct control_client client[CONTROL_CLIENTS];
	unsigned long long turn;
	/* Of the clients; apart, so that nobody's stay untouched. */
	char line[CONTROL_CLIENTS][CONTROL_LINE_MAX];
	/*
	 * Answer one request: put what is to be said into reply ("ok" is
	 * there already) or return -errno and the error in reply.
	 */
	void (*handle)(void *opaque, const char *command,
		       struct json_object *request, const int *fds, int nfds,
		       struct json_object *reply);
	void *opaque;
};

void control_init(struct control *c, int listen_fd, unsigned int owner_uid);
void control_fini(struct control *c);

/* Fill in what to poll (at most CONTROL_CLIENTS + 1); how many. */
int control_poll(const struct control *c, struct pollfd *fds);
void control_dispatch(struct control *c, const struct pollfd *fds, int n);

struct mote_err;
/* Put an error into a reply. */
void control_error(struct json_object *reply, const struct mote_err *err);

#endif
