/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.c - mote ctl and mote snapshot: the client of the control socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/cli.h"

#define REPLY_MAX 16384

int ctl_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, ret = -1;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	do {
		if (fd >= 0)
			ret = connect(fd, (struct sockaddr *)&addr,
				      sizeof(addr));
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		fd_clear(&fd);
	return fd;
}

char *ctl_exchange(int sock, struct json_object *req, const int *fds, int nfds)
{
	const char *text =
		json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN);
	cleanup_free char *line = NULL;
	char *reply = calloc(1, REPLY_MAX);
	size_t len = 0;
	ssize_t n = 1;

	if (asprintf(&line, "%s\n", text) < 0)
		line = NULL; /* asprintf leaves it undefined */
	if (!line || !reply) {
		free(reply);
		return NULL;
	}
	/* Even if it fails: who is turned away has an answer waiting.  Who is
	   not hears that there is no question. */
	if (fd_send_msg(sock, line, strlen(line), fds, nfds) < 0)
		shutdown(sock, SHUT_WR);
	while (n > 0 && len < REPLY_MAX - 1 && !memchr(reply, '\n', len)) {
		n = read(sock, reply + len, REPLY_MAX - 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (!memchr(reply, '\n', len)) {
		int code = n < 0 ? errno : 0;

		free(reply);
		errno = code;
		return NULL;
	}
	return reply;
}

int ctl_no_answer(const char *socket)
{
	return errno ? fail(ERR_CLASS_OS, "%s: no answer: %m", socket)
		     : fail(ERR_CLASS_UNAVAILABLE,
			    "%s: the VM ended without an answer", socket);
}

static void print_human(struct json_object *reply)
{
	json_object_object_foreach(reply, key, val)
	{
		if (!strcmp(key, "ok"))
			continue;
		printf("%s: %s\n", key,
		       json_object_is_type(val, json_type_string)
			       ? json_object_get_string(val)
			       : json_object_to_json_string_ext(
					 val, JSON_C_TO_STRING_SPACED));
	}
}

enum form { HUMAN, JSON, PROMETHEUS };

static int print_reply(const char *line, enum form form)
{
	struct json_object *reply = json_tokener_parse(line);
	struct json_object *ok = NULL, *error = NULL, *code = NULL,
			   *text = NULL;
	int ret = 0;

	if (!reply || !json_object_object_get_ex(reply, "ok", &ok)) {
		json_object_put(reply);
		return fail(ERR_CLASS_INTERNAL, "ctl: the answer is not JSON");
	}
	json_object_object_get_ex(reply, "error", &error);
	json_object_object_get_ex(reply, "code", &code);
	json_object_object_get_ex(reply, "text", &text);
	if (!json_object_get_boolean(ok)) {
		ret = code ? json_object_get_int(code) : ERR_CLASS_INTERNAL;
		if (form != JSON)
			fail(ret, "%s",
			     error ? json_object_get_string(error) : "refused");
	}
	if (form == JSON)
		fputs(line, stdout);
	else if (ret == 0 && form == PROMETHEUS)
		fputs(text ? json_object_get_string(text) : "", stdout);
	else if (ret == 0)
		print_human(reply);
	json_object_put(reply);
	if (fflush(stdout) != 0)
		return fail(ERR_CLASS_IO, "standard output: %m");
	return ret;
}

int open_parent(char *path, const char **name, int *fd)
{
	char *slash;

	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = 0;
	slash = strrchr(path, '/');
	*name = slash ? slash + 1 : path;
	if (slash)
		*slash = 0;
	*fd = open(!slash  ? "."
		   : *path ? path
			   : "/",
		   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? fail(errno == EACCES ? ERR_CLASS_PERM : ERR_CLASS_IO,
			      "open %s: %m", slash ? path : ".")
		       : 0;
}

/* The snapshot's parent directory is opened here and passed. */
static int add_dir(char *dir, struct json_object *req, int *fd)
{
	const char *name;
	int ret = open_parent(dir, &name, fd);

	json_object_object_add(req, "name", json_object_new_string(name));
	return ret;
}

static int talk(const char *socket, const char *command, char *dir, bool diff,
		enum form form)
{
	struct json_object *req = json_object_new_object();
	cleanup_free char *reply = NULL;
	cleanup_fd int sock = -1;
	cleanup_fd int fd = -1;
	int ret = 0;

	json_object_object_add(req, "command", json_object_new_string(command));
	if (diff)
		json_object_object_add(req, "diff",
				       json_object_new_boolean(true));
	if (form == PROMETHEUS)
		json_object_object_add(req, "format",
				       json_object_new_string("prometheus"));
	if (dir)
		ret = add_dir(dir, req, &fd);
	if (ret == 0) {
		sock = ctl_connect(socket);
		if (sock < 0)
			ret = fail(errno == EACCES ? ERR_CLASS_PERM
						   : ERR_CLASS_UNAVAILABLE,
				   "connect to %s: %m", socket);
	}
	if (ret == 0) {
		reply = ctl_exchange(sock, req, &fd, fd >= 0);
		ret = reply ? print_reply(reply, form) : ctl_no_answer(socket);
	}
	json_object_put(req);
	return ret;
}

/* The words and options of either command. */
struct words {
	char *word[3];
	int n;
	enum form form;
	bool diff;
};

static int parse(struct words *w, int argc, char **argv)
{
	*w = (struct words){0};
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			w->form = JSON;
		else if (!strcmp(argv[i], "--prometheus"))
			w->form = PROMETHEUS;
		else if (!strcmp(argv[i], "--diff"))
			w->diff = true;
		else if (argv[i][0] == '-')
			return fail(ERR_CLASS_USAGE, "%s: unknown option %s",
				    argv[0], argv[i]);
		else if (w->n < 3)
			w->word[w->n++] = argv[i];
		else
			return fail(ERR_CLASS_USAGE, "%s: too many words at %s",
				    argv[0], argv[i]);
	}
	return 0;
}

int cmd_ctl(int argc, char **argv)
{
	struct words w;
	int ret = parse(&w, argc, argv);
	bool snapshot;

	if (ret)
		return ret;
	if (w.n < 2)
		return fail(ERR_CLASS_USAGE, "ctl: expected SOCKET COMMAND");
	snapshot = !strcmp(w.word[1], "snapshot");
	if (snapshot != (w.n == 3))
		return fail(ERR_CLASS_USAGE, "ctl: %s: expected %s", w.word[1],
			    w.n == 3 ? "nothing after it" : "a DIR after it");
	if (w.diff && !snapshot)
		return fail(ERR_CLASS_USAGE, "ctl: %s: no --diff", w.word[1]);
	if (w.form == PROMETHEUS && strcmp(w.word[1], "metrics") != 0)
		return fail(ERR_CLASS_USAGE, "ctl: %s: no --prometheus",
			    w.word[1]);
	return talk(w.word[0], w.word[1], w.word[2], w.diff, w.form);
}

int cmd_snapshot(int argc, char **argv)
{
	struct words w;
	int ret = parse(&w, argc, argv);

	if (ret)
		return ret;
	if (w.form == PROMETHEUS)
		return fail(ERR_CLASS_USAGE, "snapshot: no --prometheus");
	if (w.n != 2)
		return fail(ERR_CLASS_USAGE, "snapshot: expected SOCKET DIR");
	return talk(w.word[0], "snapshot", w.word[1], w.diff, w.form);
}
