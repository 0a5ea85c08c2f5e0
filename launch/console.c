/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/console.h"

#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

/* Nothing tells that a terminal was opened: it is looked at so often. */
#define PTY_LOOK_MS 100

void console_init(struct console *c, struct mote_vm *vm, int listen_fd,
		  int pty_fd)
{
	*c = (struct console){.vm = vm,
			      .listen_fd = listen_fd,
			      .pty_fd = pty_fd,
			      .client = -1};
}

void console_fini(struct console *c)
{
	fd_clear(&c->client);
}

int console_poll(const struct console *c, struct pollfd *fds, int *timeout_ms)
{
	int n = 0;

	/* No events: a hang-up is told all the same. */
	if (c->client >= 0)
		fds[n++] = (struct pollfd){.fd = c->client};
	if (c->listen_fd >= 0)
		fds[n++] =
			(struct pollfd){.fd = c->listen_fd, .events = POLLIN};
	if (c->pty_fd >= 0 && c->open)
		fds[n++] = (struct pollfd){.fd = c->pty_fd};
	if (c->pty_fd >= 0 && !c->open &&
	    (*timeout_ms < 0 || *timeout_ms > PTY_LOOK_MS))
		*timeout_ms = PTY_LOOK_MS;
	return n;
}

/* What was sent before the end is for the guest, as far as it has room. */
static void take_last_input(struct console *c, int fd)
{
	for (;;) {
		struct pollfd fds[MOTE_VM_POLL_MAX];
		bool input = false;
		int timeout, n = mote_vm_poll(c->vm, fds, &timeout);

		if (poll(fds, (nfds_t)n, 0) <= 0)
			return;
		for (int i = 0; i < n; i++)
			input |= fds[i].fd == fd && (fds[i].events & POLLIN) &&
				 fds[i].revents;
		if (!input)
			return;
		mote_vm_dispatch(c->vm, fds, n);
	}
}

static void leave(struct console *c, int fd)
{
	take_last_input(c, fd);
	mote_vm_console_attach(c->vm, -1, -1);
}

static void take_client(struct console *c)
{
	static const char busy[] =
		"mote: busy: the console has a client already\n";
	int fd = fd_accept(c->listen_fd);

	if (fd < 0)
		return;
	if (c->client >= 0) {
		sendto(fd, busy, strlen(busy), MSG_NOSIGNAL, NULL, 0);
		fd_close(fd);
		return;
	}
	c->client = fd;
	mote_vm_console_attach(c->vm, fd, fd);
}

static bool hung_up(const struct pollfd *p)
{
	return p->revents & (POLLHUP | POLLERR);
}

static void look_at_terminal(struct console *c, bool hung, bool attached)
{
	struct pollfd p = {.fd = c->pty_fd, .events = POLLIN};

	if (c->open && (hung || !attached)) {
		c->open = false;
		leave(c, c->pty_fd);
		return;
	}
	if (c->open)
		return;
	poll(&p, 1, 0);
	if (!(p.revents & POLLHUP)) {
		c->open = true;
		mote_vm_console_attach(c->vm, c->pty_fd, c->pty_fd);
	} else if (p.revents & POLLIN) {
		/* Somebody was there between two looks; he reads nothing. */
		mote_vm_console_attach(c->vm, c->pty_fd, -1);
		leave(c, c->pty_fd);
	}
}

void console_dispatch(struct console *c, const struct pollfd *fds, int n)
{
	bool hung = false, knocked = false;
	struct mote_status st;

	if (c->listen_fd < 0 && c->pty_fd < 0)
		return;
	for (int i = 0; i < n; i++) {
		if (fds[i].fd == c->listen_fd)
			knocked = fds[i].revents;
		else
			hung |= hung_up(&fds[i]);
	}
	/* A write that failed tells of the end as well. */
	mote_vm_status(c->vm, &st, NULL);
	if (c->client >= 0 && (hung || !st.console_attached)) {
		leave(c, c->client);
		fd_clear(&c->client);
	}
	if (c->pty_fd >= 0)
		look_at_terminal(c, hung, st.console_attached);
	if (knocked)
		take_client(c);
}
