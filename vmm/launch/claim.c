/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/claim.h"

#include <fcntl.h>

#include "base/fd.h"
#include "base/timeline.h"

void claim_init(struct claim *c, int sock, bool rewind, struct mote_vm *vm)
{
	*c = (struct claim){
		.sock = sock, .rewind = rewind, .vm = vm, .client = -1};
}

void claim_fini(struct claim *c)
{
	fd_clear(&c->client);
}

void claim_parked(struct claim *c)
{
	const char parked = CLAIM_PARKED;

	if (c->sock >= 0)
		fd_send_msg(c->sock, &parked, 1, NULL, 0);
}

static uint64_t linger_end(const struct claim *c)
{
	return c->half_closed_ns + CLAIM_LINGER_MS * 1000000ull;
}

int claim_poll(const struct claim *c, struct pollfd *fds, int *timeout_ms)
{
	uint64_t now;
	int n = 0, left;

	if (c->sock < 0)
		return 0;
	fds[n++] = (struct pollfd){.fd = c->sock, .events = POLLIN};
	if (c->client < 0 || c->hung)
		return n;
	if (!c->half_closed_ns) {
		fds[n++] =
			(struct pollfd){.fd = c->client, .events = POLLRDHUP};
		return n;
	}
	/* No events: a hang-up is told all the same. */
	fds[n++] = (struct pollfd){.fd = c->client};
	now = timeline_now();
	left = now < linger_end(c) ? (int)((linger_end(c) - now) / 1000000 + 1)
				   : 0;
	if (*timeout_ms < 0 || *timeout_ms > left)
		*timeout_ms = left;
	return n;
}

/* A connection, or the end of the pool. */
static bool take(struct claim *c)
{
	int fd = -1, n = 0;
	char byte;
	ssize_t len = fd_recv_msg(c->sock, &byte, 1, &fd, 1, &n);

	if (len <= 0) {
		mote_vm_kill(c->vm); /* no pool, no VM */
		c->failed = true;
		return false;
	}
	if (n == 0)
		return false;
	if (c->client >= 0 || mote_vm_console_attach(c->vm, fd, fd) < 0 ||
	    mote_vm_resume(c->vm, NULL) < 0) {
		fd_close(fd);
		return false;
	}
	c->client = fd;
	c->half_closed_ns = 0;
	return true;
}

/* One that is to be rewound stops where it is: killed it could not be. */
static void leave(struct claim *c)
{
	c->hung = true;
	if (!c->rewind)
		mote_vm_kill(c->vm);
}

bool claim_dispatch(struct claim *c, const struct pollfd *fds, int n)
{
	struct mote_status st;
	bool began = false;

	if (c->sock < 0)
		return false;
	for (int i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		if (fds[i].fd == c->sock)
			began |= take(c);
		else if (fds[i].revents & (POLLHUP | POLLERR))
			leave(c);
		else if (!c->half_closed_ns)
			c->half_closed_ns = timeline_now();
	}
	if (c->half_closed_ns && !c->hung && timeline_now() >= linger_end(c))
		leave(c);
	/* A write that failed tells of the end as well. */
	mote_vm_status(c->vm, &st, NULL);
	if (c->client >= 0 && !c->hung && !st.console_attached)
		leave(c);
	return began;
}

bool claim_again(struct claim *c)
{
	if (c->sock < 0 || !c->rewind || c->failed || c->client < 0 ||
	    mote_vm_rewind(c->vm, NULL, NULL) < 0)
		return false;
	mote_vm_console_attach(c->vm, -1, -1);
	fd_clear(&c->client);
	c->hung = false;
	claim_parked(c);
	return true;
}
