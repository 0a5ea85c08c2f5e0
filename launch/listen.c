/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/listen.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/*
 * Is it a socket that nobody listens on any more?  Only such a one may be
 * removed: connect says ECONNREFUSED for every other file, too.
 */
static bool is_stale(const struct sockaddr_un *addr)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	return fd >= 0 && lstat(addr->sun_path, &st) == 0 &&
	       S_ISSOCK(st.st_mode) &&
	       connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 &&
	       errno == ECONNREFUSED;
}

/* With its mode from the start: the name may be another file's later. */
static int bind_at(const char *key, int fd, const char *path, mode_t mode,
		   struct mote_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t old;
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set_class(err, ENAMETOOLONG, ERR_CLASS_DATA,
				     "%s: %s: longer than %zu bytes", key, path,
				     sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	old = umask(~mode & 0777);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	if (ret < 0 && errno == EADDRINUSE) {
		if (is_stale(&addr)) {
			unlink(path);
			ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
		} else {
			errno = EADDRINUSE;
		}
	}
	umask(old);
	if (ret < 0)
		return err_set_class(err, errno, err_path_class(errno),
				     "%s: bind %s: %s", key, path,
				     strerror(errno));
	return 0;
}

int listen_at(const char *key, const char *path, mode_t mode, int *fd,
	      char **bound, struct mote_err *err)
{
	cleanup_fd int sock =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	if (sock < 0)
		return err_set(err, errno, "%s: socket: %s", key,
			       strerror(errno));
	ret = bind_at(key, sock, path, mode, err);
	if (ret < 0)
		return ret;
	*bound = strdup(path);
	if (listen(sock, 8) < 0)
		return err_set(err, errno, "%s: %s: %s", key, path,
			       strerror(errno));
	*fd = fd_steal(&sock);
	return 0;
}
