/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/hotfile.h"
#include "launch/metrics_file.h"
#include "launch/snapdir.h"

int broker_send(int sock, const struct broker_msg *msg, int fd)
{
	return fd_send_msg(sock, msg, sizeof(*msg), &fd, fd >= 0 ? 1 : 0);
}

_Static_assert(sizeof(struct metrics) < MOTE_ERR_MAX,
	       "broker_recv ends the text");

int broker_recv(int sock, struct broker_msg *msg, int *fds, int max, int *n)
{
	ssize_t len = fd_recv_msg(sock, msg, sizeof(*msg), fds, max, n);

	if (len == sizeof(*msg)) {
		msg->text[sizeof(msg->text) - 1] = 0;
		return 0;
	}
	for (int i = 0; fds && i < *n; i++)
		fd_close(fds[i]);
	*n = 0;
	return len < 0 ? (int)len : -EPIPE;
}

/* Send a request, wait for its reply; a stop that comes between is noted. */
static int ask(struct broker *b, struct broker_msg *msg, int fd, int *fds,
	       int *nfds, bool *stop, struct mote_err *err)
{
	int none = 0;
	int ret = broker_send(b->sock, msg, fd);

	while (ret == 0) {
		ret = broker_recv(b->sock, msg, fds, fds ? 3 : 0,
				  nfds ? nfds : &none);
		if (ret == 0 && msg->op == BROKER_REPLY)
			break;
		if (ret == 0 && msg->op == BROKER_STOP)
			*stop = true;
		if (ret == 0 && msg->op == BROKER_SNAPSHOT)
			b->snap_asked = true;
	}
	if (ret < 0)
		return err_set(err, -ret, "launcher: %s", strerror(-ret));
	if (msg->status < 0)
		return err_set_class(err, -msg->status,
				     (enum err_class)msg->exit_class, "%s",
				     msg->text);
	return 0;
}

static int begin_here(struct broker *b, int parent_fd, const char *name,
		      const char *base, struct mote_snapshot_files *files,
		      struct mote_err *err)
{
	int fd = parent_fd >= 0 ? parent_fd : b->dir_fd;
	int copy[3] = {-1, -1, -1};
	int ret;

	if (fd < 0)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "snapshot.dir is not set");
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_set(err, errno, "snapshot.dir: dup: %s",
			       strerror(errno));
	ret = snapdir_begin(b->here, fd, name, base, err);
	for (int i = 0; i < 3 && ret == 0; i++) {
		copy[i] = fcntl(b->here->file_fd[i], F_DUPFD_CLOEXEC, 3);
		if (copy[i] < 0)
			ret = err_set(err, errno, "snapshot file: dup: %s",
				      strerror(errno));
	}
	if (ret == 0) {
		*files =
			(struct mote_snapshot_files){copy[0], copy[1], copy[2]};
		return 0;
	}
	for (int i = 0; i < 3; i++)
		fd_clear(&copy[i]);
	snapdir_abort(b->here);
	return ret;
}

int broker_snap_begin(struct broker *b, int parent_fd, const char *name,
		      const char *base, struct mote_snapshot_files *files,
		      bool *stop, struct mote_err *err)
{
	struct broker_msg msg = {.op = BROKER_SNAP_BEGIN};
	int fds[3] = {-1, -1, -1};
	int n = 0, ret;

	if (b->sock < 0)
		return begin_here(b, parent_fd, name, base, files, err);
	snprintf(msg.text, sizeof(msg.text), "%s%s%s", name, base ? "\n" : "",
		 base ? base : "");
	ret = ask(b, &msg, parent_fd, fds, &n, stop, err);
	if (ret == 0 && n != 3) {
		for (int i = 0; i < n; i++)
			fd_close(fds[i]);
		return err_set(err, EPROTO, "launcher: %d files, expected 3",
			       n);
	}
	*files = (struct mote_snapshot_files){fds[0], fds[1], fds[2]};
	return ret;
}

int broker_snap_commit(struct broker *b, bool *stop, struct mote_err *err)
{
	struct broker_msg msg = {.op = BROKER_SNAP_COMMIT};

	if (b->sock < 0)
		return snapdir_commit(b->here, (enum snapdir_sync)b->sync, err);
	return ask(b, &msg, -1, NULL, NULL, stop, err);
}

void broker_snap_abort(struct broker *b, bool *stop)
{
	struct broker_msg msg = {.op = BROKER_SNAP_ABORT};

	if (b->sock < 0)
		snapdir_abort(b->here);
	else
		ask(b, &msg, -1, NULL, NULL, stop, NULL);
}

int broker_hotset(struct broker *b, bool *stop, struct mote_err *err)
{
	struct broker_msg msg = {.op = BROKER_HOTSET};

	if (b->sock < 0)
		return hotfile_commit(b->hotset_dir, b->hotset_fd,
				      (enum snapdir_sync)b->sync, err);
	return ask(b, &msg, -1, NULL, NULL, stop, err);
}

void broker_metrics(struct broker *b, const struct metrics *m, bool last)
{
	const struct broker_msg msg = {.op = BROKER_METRICS, .metrics = *m};
	struct pollfd p = {.fd = b->sock, .events = POLLOUT};

	if (b->sock < 0)
		metrics_file_write(b->metrics, m);
	else if (last || poll(&p, 1, 0) > 0)
		broker_send(b->sock, &msg, -1);
}

int core_open(int dir, int *fd, char *name, size_t size, struct mote_err *err)
{
	if (dir < 0)
		return err_set(err, EINVAL, "vm.core is not set");
	snprintf(name, size, "core.solo5-hvt.%d", (int)getpid());
	*fd = openat(dir, name,
		     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		     0600);
	if (*fd < 0)
		return err_set_class(err, errno, ERR_CLASS_IO,
				     "vm.core: %s: %s", name, strerror(errno));
	return 0;
}

int broker_core(struct broker *b, int *fd, char *name, size_t size, bool *stop,
		struct mote_err *err)
{
	struct broker_msg msg = {.op = BROKER_CORE};
	int fds[3] = {-1, -1, -1};
	int n = 0, ret;

	if (b->sock < 0)
		return core_open(b->core_dir, fd, name, size, err);
	ret = ask(b, &msg, -1, fds, &n, stop, err);
	if (ret == 0 && n != 1) {
		for (int i = 0; i < n; i++)
			fd_close(fds[i]);
		return err_set(err, EPROTO, "launcher: %d files, expected 1",
			       n);
	}
	*fd = fds[0];
	snprintf(name, size, "%s", msg.text);
	return ret;
}
