/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_control.c - any bytes from a client of the control socket, in pieces
 * of any length: each line is answered by one line that is JSON, or the
 * client is dropped; nothing else.
 */
#include <json-c/json.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "fuzz/support/fuzz.h"
#include "launch/control.h"

static void handle(void *opaque, const char *command,
		   struct json_object *request, const int *fds, int nfds,
		   struct json_object *reply)
{
	struct mote_err err = {0};
	struct json_object *name;

	(void)opaque;
	(void)fds;
	require(nfds == 0, "descriptors out of nowhere");
	if (json_object_object_get_ex(request, "name", &name) &&
	    json_object_is_type(name, json_type_string))
		json_object_object_add(
			reply, "name",
			json_object_new_string(json_object_get_string(name)));
	err_set_class(&err, 22, ERR_CLASS_USAGE, "unknown \"%.32s\"", command);
	control_error(reply, &err);
}

/* Take the answers; how many lines. */
static size_t take_answers(int fd)
{
	static char buf[1 << 20];
	size_t lines = 0, len = 0;
	ssize_t n;

	while ((n = recv(fd, buf + len, sizeof(buf) - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	for (char *p = buf, *nl; (nl = memchr(p, '\n', len)); p = nl + 1) {
		struct json_object *o;

		len -= (size_t)(nl + 1 - p);
		*nl = 0;
		o = json_tokener_parse(p);
		require(o && json_object_is_type(o, json_type_object),
			"an answer that is not an object");
		json_object_put(o);
		lines++;
	}
	require(len == 0, "half an answer");
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t asked = 0, answered = 0, at = 0, step;
	struct control c;
	int sv[2];

	if (size < 2)
		return 0;
	step = (size_t)data[0] * 8 + 1;
	data++;
	size--;
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			   0, sv) == 0,
		"no sockets");
	control_init(&c, -1, 0);
	c.listen_fd = 1 << 20; /* never readable */
	c.handle = handle;
	c.client[0].fd = sv[0];
	while (at < size && c.client[0].fd >= 0) {
		size_t n = size - at < step ? size - at : step;
		struct pollfd p = {.fd = sv[0], .revents = POLLIN};

		require(send(sv[1], data + at, n, MSG_NOSIGNAL) == (ssize_t)n,
			"no send");
		for (size_t i = 0; i < n; i++)
			asked += data[at + i] == '\n';
		at += n;
		control_dispatch(&c, &p, 1);
		answered += take_answers(sv[1]);
	}
	require(c.client[0].fd < 0 || answered == asked, "a line unanswered");
	require(answered <= asked, "answers to nothing");
	control_fini(&c);
	close(sv[1]);
	return 0;
}
