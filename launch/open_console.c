/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open_console.c - the launcher's part of [console]: open what it names,
 * and leave nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "launch/launcher_priv.h"
#include "launch/listen.h"

#define DRAIN_MS      500
#define DRAIN_STEP_MS 5

static int open_file(struct launcher *l, const char *path, struct mote_err *err)
{
	int fd =
		fd_open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (fd < 0)
		return err_set_class(err, -fd, err_path_class(-fd),
				     "console.path: open %s: %s", path,
				     fd_open_why(-fd));
	l->fds.console_out = l->fds.console_file = fd;
	return 0;
}

/* --- a pseudo-terminal ------------------------------------------------- */

static int no_terminal(const char *what, struct mote_err *err)
{
	return err_set_class(err, errno, ERR_CLASS_UNAVAILABLE,
			     "console.type: pty: %s: %s", what,
			     strerror(errno));
}

/* Bytes pass as they are: the guest has its own idea of a terminal. */
static int make_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return -1;
	cfmakeraw(&t);
	return tcsetattr(fd, TCSANOW, &t);
}

/*
 * A link that a dead launcher left: to a terminal that is not there, or to
 * the one that is ours now.
 */
static bool is_stale_link(const char *path, const char *ours)
{
	static const char pts[] = "/dev/pts/";
	char target[64];
	struct stat st;
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = 0;
	return strncmp(target, pts, strlen(pts)) == 0 &&
	       (!strcmp(target, ours) ||
		(lstat(target, &st) < 0 && errno == ENOENT));
}

static int link_terminal(struct launcher *l, const char *path,
			 struct mote_err *err)
{
	const char *name = l->fds.console_name;
	int code = symlink(name, path) < 0 ? errno : 0;

	if (code == EEXIST && is_stale_link(path, name)) {
		unlink(path);
		code = symlink(name, path) < 0 ? errno : 0;
	}
	if (code)
		return err_set_class(err, code,
				     code == EEXIST ? ERR_CLASS_DATA
						    : err_path_class(code),
				     "console.path: link %s to %s: %s", path,
				     name, strerror(code));
	l->console_path = strdup(path);
	return 0;
}

static int open_terminal(struct launcher *l, const char *path,
			 struct mote_err *err)
{
	cleanup_fd int fd =
		posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	char *name = l->fds.console_name;
	int other, ret;

	if (fd < 0)
		return no_terminal("open /dev/ptmx", err);
	if (grantpt(fd) < 0 || unlockpt(fd) < 0 ||
	    ptsname_r(fd, name, sizeof(l->fds.console_name)) != 0)
		return no_terminal("its other end", err);
	/* Of the user alone, as a console's socket is. */
	if (chmod(name, 0600) < 0 || make_raw(fd) < 0)
		return no_terminal(name, err);
	/* A master tells of "nobody has it open" only after somebody had. */
	other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (other < 0)
		return no_terminal(name, err);
	fd_close(other);
	l->fds.console_pty = fd_steal(&fd);
	ret = path ? link_terminal(l, path, err) : 0;
	if (ret == 0 && l->opt->console)
		l->opt->console(l->opt->opaque, name);
	return ret;
}

/* A hang-up throws away what the reader has not taken: give him a moment. */
static void drain_terminal(const struct launcher *l)
{
	struct pollfd p = {.fd = l->fds.console_pty};
	cleanup_fd int fd = -1;
	int left = 0, quiet = 0;

	if (poll(&p, 1, 0) != 0 && (p.revents & POLLHUP))
		return;
	fd = open(l->fds.console_name,
		  O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	for (int ms = 0; fd >= 0 && quiet < 2 && ms < DRAIN_MS;
	     ms += DRAIN_STEP_MS) {
		if (ioctl(fd, FIONREAD, &left) < 0)
			return;
		/* Twice: what was written last may be under way. */
		quiet = left == 0 ? quiet + 1 : 0;
		poll(NULL, 0, DRAIN_STEP_MS);
	}
}

static void remove_link(const struct launcher *l)
{
	char target[64];
	ssize_t n = readlink(l->console_path, target, sizeof(target) - 1);

	if (n <= 0)
		return;
	target[n] = 0;
	if (!strcmp(target, l->fds.console_name))
		unlink(l->console_path);
}

/* --- any kind ---------------------------------------------------------- */

int launcher_open_console(struct launcher *l, struct mote_err *err)
{
	const struct mote_config *cfg = l->opt->cfg;
	char buf[8];
	const char *path =
		mote_config_get(cfg, "console.path", buf, sizeof(buf));

	if (launch_is(cfg, "console.type", "stdio")) {
		l->fds.console_in = l->opt->no_stdin ? -1 : STDIN_FILENO;
		l->fds.console_out = STDOUT_FILENO;
	} else if (launch_is(cfg, "console.type", "file")) {
		return open_file(l, path, err);
	} else if (launch_is(cfg, "console.type", "pty")) {
		return open_terminal(l, path, err);
	} else if (launch_is(cfg, "console.type", "socket")) {
		return listen_at("console.path", path, 0600,
				 &l->fds.console_listen, &l->console_path, err);
	}
	return 0;
}

void launcher_close_console(struct launcher *l)
{
	if (l->fds.console_pty >= 0)
		drain_terminal(l);
	if (l->console_path && l->fds.console_name[0])
		remove_link(l);
	else if (l->console_path)
		unlink(l->console_path);
	free(l->console_path);
	l->console_path = NULL;
	fd_clear(&l->fds.console_file);
	fd_clear(&l->fds.console_listen);
	fd_clear(&l->fds.console_pty);
}
