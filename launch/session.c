/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/session.h"

#include "base/fd.h"
#include "base/timeline.h"

int session_begin(struct session *s, struct mote_vm *vm, int fd,
		  struct mote_err *err)
{
	int ret;

	mote_vm_console_attach(vm, fd, fd);
	ret = mote_vm_resume(vm, err);
	if (ret < 0) {
		mote_vm_console_attach(vm, -1, -1);
		return ret;
	}
	*s = (struct session){.vm = vm, .client = fd};
	return 0;
}

void session_end(struct session *s)
{
	if (s->client >= 0)
		mote_vm_console_attach(s->vm, -1, -1);
	fd_clear(&s->client);
	s->hung = false;
}

static uint64_t linger_end(const struct session *s)
{
	return s->half_closed_ns + SESSION_LINGER_MS * 1000000ull;
}

int session_poll(const struct session *s, struct pollfd *fds, int *timeout_ms)
{
	uint64_t now = timeline_now();
	int left = 0;

	if (s->client < 0 || s->hung)
		return 0;
	/* Without events a hang-up is told all the same. */
	fds[0] = (struct pollfd){.fd = s->client,
				 .events = s->half_closed_ns ? 0 : POLLRDHUP};
	if (!s->half_closed_ns)
		return 1;
	if (now < linger_end(s))
		left = (int)((linger_end(s) - now) / 1000000 + 1);
	if (*timeout_ms < 0 || *timeout_ms > left)
		*timeout_ms = left;
	return 1;
}

void session_dispatch(struct session *s, const struct pollfd *fds, int n)
{
	struct mote_status st;

	if (s->client < 0)
		return;
	if (n > 0 && fds[0].revents & (POLLHUP | POLLERR))
		s->hung = true;
	else if (n > 0 && fds[0].revents && !s->half_closed_ns)
		s->half_closed_ns = timeline_now();
	if (s->half_closed_ns && timeline_now() >= linger_end(s))
		s->hung = true;
	/* A write that failed tells of the end as well. */
	mote_vm_status(s->vm, &st, NULL);
	if (!st.console_attached)
		s->hung = true;
}

bool session_over(const struct session *s)
{
	struct mote_status st;

	mote_vm_status(s->vm, &st, NULL);
	return s->hung || (st.state == MOTE_ENDED && st.console_pending == 0);
}
