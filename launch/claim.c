/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/claim.h"

#include <string.h>

#include "base/err.h"
#include "base/fd.h"

void claim_init(struct claim *c, int sock, bool rewind, struct mote_vm *vm)
{
	*c = (struct claim){.sock = sock,
			    .rewind = rewind,
			    .vm = vm,
			    .session = {.client = -1}};
}

/* The machine, which borrows its descriptor, is gone already. */
void claim_fini(struct claim *c)
{
	fd_clear(&c->session.client);
}

void claim_parked(struct claim *c)
{
	const char parked = CLAIM_PARKED;

	/* One that the pool does not know of is to be replaced. */
	if (c->sock >= 0 && fd_send_msg(c->sock, &parked, 1, NULL, 0) < 0) {
		c->failed = true;
		mote_vm_kill(c->vm);
	}
}

int claim_poll(const struct claim *c, struct pollfd *fds, int *timeout_ms)
{
	if (c->sock < 0)
		return 0;
	fds[0] = (struct pollfd){.fd = c->sock, .events = POLLIN};
	return 1 + session_poll(&c->session, fds + 1, timeout_ms);
}

/* A connection, or the end of the pool. */
static bool take(struct claim *c)
{
	struct mote_err err = {0};
	int fd = -1, n = 0;
	char byte;
	ssize_t len = fd_recv_msg(c->sock, &byte, 1, &fd, 1, &n);

	if (len <= 0) {
		if (len < 0 && c->log) {
			err_set(&err, (int)-len,
				"claim: what the pool says: %s",
				strerror((int)-len));
			c->log(c->opaque, 4, err.msg);
		}
		mote_vm_kill(c->vm); /* no pool, no VM */
		c->failed = true;
		return false;
	}
	if (n == 0)
		return false;
	if (c->session.client < 0 &&
	    session_begin(&c->session, c->vm, fd, &err) == 0)
		return true;
	if (err.msg[0] && c->log)
		c->log(c->opaque, 4, err.msg);
	fd_close(fd);
	return false;
}

bool claim_dispatch(struct claim *c, const struct pollfd *fds, int n)
{
	bool was, began = false;

	if (c->sock < 0)
		return false;
	was = c->session.hung;
	session_dispatch(&c->session, fds + 1, n - 1);
	/* One that is to be rewound stops where it is: killed it could not. */
	if (c->session.hung && !was && !c->rewind)
		mote_vm_kill(c->vm);
	if (fds[0].revents)
		began = take(c);
	return began;
}

/* Nobody else tells of a clone that crashed. */
static void tell_crash(const struct claim *c)
{
	struct mote_err err = {0};
	struct mote_status st;

	mote_vm_status(c->vm, &st, &err);
	if (st.state == MOTE_ENDED && st.end == MOTE_END_CRASH && c->log)
		c->log(c->opaque, 4, err.msg);
}

bool claim_again(struct claim *c)
{
	if (c->sock >= 0)
		tell_crash(c);
	if (c->sock < 0 || !c->rewind || c->failed || c->session.client < 0 ||
	    mote_vm_rewind(c->vm, NULL, NULL) < 0)
		return false;
	session_end(&c->session);
	claim_parked(c);
	return true;
}
