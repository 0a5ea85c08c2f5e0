/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/control.h"

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

static struct sockaddr_un addr = {.sun_family = AF_UNIX};

/* An abstract name: no file is left. */
static int listen_here(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "mote-%d",
		 (int)getpid());
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void handle(void *opaque, const char *command,
		   struct json_object *request, const int *fds, int nfds,
		   struct json_object *reply)
{
	(void)opaque;
	(void)command;
	(void)request;
	(void)fds;
	(void)nfds;
	(void)reply;
}

static void serve(struct control *c)
{
	struct pollfd fds[CONTROL_CLIENTS + 1];
	int n = control_poll(c, fds);

	if (poll(fds, (nfds_t)n, 0) > 0)
		control_dispatch(c, fds, n);
}

Test(control, silent_clients_do_not_keep_others_out)
{
	const char ask[] = "{\"command\":\"x\"}\n";
	struct control c;
	int silent[2 * CONTROL_CLIENTS], lfd = listen_here();
	char buf[64] = "";
	int fd;

	control_init(&c, lfd, getuid());
	c.handle = handle;
	for (int i = 0; i < 2 * CONTROL_CLIENTS; i++) {
		silent[i] = client();
		serve(&c);
	}
	fd = client();
	serve(&c);
	cr_expect_eq(write(fd, ask, sizeof(ask) - 1), sizeof(ask) - 1);
	serve(&c);
	cr_expect_gt(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT), 0);
	cr_expect_str_eq(buf, "{\"ok\":true}\n");
	/* Who was silent longest has gone, who came last has not. */
	cr_expect_eq(recv(silent[0], buf, 1, MSG_DONTWAIT), 0);
	cr_expect_eq(
		recv(silent[2 * CONTROL_CLIENTS - 1], buf, 1, MSG_DONTWAIT),
		-1);
	for (int i = 0; i < 2 * CONTROL_CLIENTS; i++)
		fd_close(silent[i]);
	fd_close(fd);
	control_fini(&c);
	fd_close(lfd);
}

Test(control, another_user_is_told_so)
{
	struct control c;
	int lfd = listen_here(), fd;
	char buf[128] = "";

	if (getuid() == 0)
		cr_skip("root may always");
	control_init(&c, lfd, getuid() + 1);
	fd = client();
	serve(&c);
	cr_expect_gt(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT), 0);
	cr_expect_not_null(strstr(buf, "\"code\":77"));
	fd_close(fd);
	control_fini(&c);
	fd_close(lfd);
}
