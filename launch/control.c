/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define DEPTH_MAX 4

void control_init(struct control *c, int listen_fd, unsigned int owner_uid)
{
	memset(c, 0, offsetof(struct control, line));
	c->listen_fd = listen_fd;
	c->owner_uid = owner_uid;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		c->client[i].fd = -1;
}

static void drop_fds(struct control_client *cl)
{
	while (cl->npass > 0)
		fd_close(cl->pass[--cl->npass]);
}

static void drop(struct control_client *cl)
{
	drop_fds(cl);
	fd_clear(&cl->fd);
	cl->len = 0;
}

void control_fini(struct control *c)
{
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		drop(&c->client[i]);
}

int control_poll(const struct control *c, struct pollfd *fds)
{
	int n = 0;

	if (c->listen_fd < 0)
		return 0;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (c->client[i].fd >= 0)
			fds[n++] = (struct pollfd){.fd = c->client[i].fd,
						   .events = POLLIN};
	fds[n++] = (struct pollfd){.fd = c->listen_fd, .events = POLLIN};
	return n;
}

static bool peer_allowed(const struct control *c, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	       (cred.uid == c->owner_uid || cred.uid == 0);
}

void control_error(struct json_object *reply, const struct mote_err *err)
{
	json_object_object_add(reply, "ok", json_object_new_boolean(0));
	json_object_object_add(reply, "error",
			       json_object_new_string(err->msg));
	json_object_object_add(reply, "code",
			       json_object_new_int(err_exit_code(err)));
}

static void refuse(struct json_object *reply, const char *what)
{
	struct mote_err err = {0};

	err_set_class(&err, EINVAL, ERR_CLASS_USAGE, "control: %s", what);
	control_error(reply, &err);
}

/* A place for one more; who has been silent longest makes room. */
static struct control_client *make_room(struct control *c)
{
	struct control_client *cl = &c->client[0];

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		if (c->client[i].fd < 0)
			return &c->client[i];
		if (c->client[i].heard < cl->heard)
			cl = &c->client[i];
	}
	drop(cl);
	return cl;
}

/* sendto: send is another system call on some architectures. */
static bool send_all(int fd, const char *text, size_t len, int flags)
{
	ssize_t n;

	do {
		n = sendto(fd, text, len, MSG_NOSIGNAL | flags, NULL, 0);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

static void take_client(struct control *c)
{
	static const char no[] =
		"{\"ok\":false,\"error\":\"control: this user may not: the "
		"VM is another one's\",\"code\":77}\n";
	struct control_client *cl;
	int fd = fd_accept(c->listen_fd);

	if (fd < 0)
		return;
	if (!peer_allowed(c, fd)) {
		send_all(fd, no, sizeof(no) - 1, 0);
		fd_close(fd);
		return;
	}
	cl = make_room(c);
	cl->fd = fd;
	cl->heard = ++c->turn;
}

static void handle_line(struct control *c, struct control_client *cl,
			const char *line, size_t len, struct json_object *reply)
{
	struct json_tokener *tok = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *req = NULL, *cmd = NULL;

	if (tok)
		req = json_tokener_parse_ex(tok, line, (int)len);
	if (!req || !json_object_is_type(req, json_type_object) ||
	    json_tokener_get_parse_end(tok) != len)
		refuse(reply, "expected one JSON object on a line");
	else if (!json_object_object_get_ex(req, "command", &cmd) ||
		 !json_object_is_type(cmd, json_type_string))
		refuse(reply, "expected a string \"command\"");
	else
		c->handle(c->opaque, json_object_get_string(cmd), req, cl->pass,
			  cl->npass, reply);
	json_object_put(req);
	if (tok)
		json_tokener_free(tok);
}

static bool answer(struct control_client *cl, struct json_object *reply)
{
	const char *text =
		json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN);

	/* A reply fits any socket buffer; who does not read it is dropped. */
	return send_all(cl->fd, text, strlen(text), MSG_MORE) &&
	       send_all(cl->fd, "\n", 1, 0);
}

/* Handle the whole lines in the buffer; false: the client is to go. */
static bool handle_lines(struct control *c, struct control_client *cl)
{
	char *buf = c->line[cl - c->client];
	char *nl;

	while ((nl = memchr(buf, '\n', cl->len))) {
		struct json_object *reply = json_object_new_object();
		size_t used = (size_t)(nl - buf) + 1;
		bool ok;

		json_object_object_add(reply, "ok", json_object_new_boolean(1));
		handle_line(c, cl, buf, used - 1, reply);
		drop_fds(cl);
		ok = answer(cl, reply);
		json_object_put(reply);
		if (!ok)
			return false;
		memmove(buf, buf + used, cl->len - used);
		cl->len -= used;
	}
	return cl->len < CONTROL_LINE_MAX;
}

static void read_client(struct control *c, struct control_client *cl)
{
	int fds[CONTROL_FDS];
	int n = 0;
	ssize_t len = fd_recv_msg(cl->fd, c->line[cl - c->client] + cl->len,
				  CONTROL_LINE_MAX - cl->len, fds,
				  CONTROL_FDS - cl->npass, &n);

	for (int i = 0; i < n; i++)
		cl->pass[cl->npass++] = fds[i];
	if (len == -EAGAIN)
		return;
	if (len <= 0) {
		drop(cl);
		return;
	}
	cl->len += (size_t)len;
	cl->heard = ++c->turn;
	if (!handle_lines(c, cl))
		drop(cl);
}

void control_dispatch(struct control *c, const struct pollfd *fds, int n)
{
	for (int i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		if (fds[i].fd == c->listen_fd) {
			take_client(c);
			continue;
		}
		for (int k = 0; k < CONTROL_CLIENTS; k++)
			if (c->client[k].fd == fds[i].fd)
				read_client(c, &c->client[k]);
	}
}
