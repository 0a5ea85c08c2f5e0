/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdroom.h"

#define LINKS_MAX 8

void fd_close(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

void fd_clear(int *fd)
{
	if (*fd >= 0)
		fd_close(*fd);
	*fd = -1;
}

int fd_read_full(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

bool fd_takes(int fd, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int n = poll(&p, 1, wait_ms);

	return n != 0; /* of an error the write tells */
}

int fd_write_full(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwritev_full(int fd, struct iovec *iov, int n, uint64_t off)
{
	while (n > 0) {
		ssize_t done = pwritev(fd, iov, n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			return -EIO;
		off += (uint64_t)done;
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

const char *fd_file_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a fifo";
	case S_IFSOCK:
		return "a socket";
	case S_IFBLK:
		return "a block device";
	case S_IFCHR:
		return "a character device";
	case S_IFLNK:
		return "a symbolic link";
	default:
		return "not a regular file";
	}
}

/* Where the link at path leads, if it is root's own; else -errno. */
static int own_link(int dirfd, const char *path, char to[PATH_MAX])
{
	int fd = openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	const char *slash = strrchr(path, '/');
	size_t dir = slash ? (size_t)(slash + 1 - path) : 0;
	struct stat st;
	ssize_t n = -1;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode)) {
		fd_close(fd);
		return -ENOTDIR; /* what O_DIRECTORY says of links too */
	}
	if (st.st_uid == 0)
		n = readlinkat(fd, "", to, PATH_MAX - 1);
	fd_close(fd);
	if (n <= 0)
		return -ELOOP;
	to[n] = 0;
	if (to[0] == '/')
		return 0;
	if (dir + (size_t)n >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(to + dir, to, (size_t)n + 1);
	memcpy(to, path, dir);
	return 0;
}

int fd_open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	bool wary = geteuid() == 0;
	char link[2][PATH_MAX];
	struct stat st;
	int fd, ret;

	flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (wary ? O_NOFOLLOW : 0);
	for (int i = 0; i < LINKS_MAX; i++) {
		fd = openat(dirfd, path, flags, mode);
		if (fd >= 0 || !wary ||
		    !(errno == ELOOP ||
		      (errno == ENOTDIR && (flags & O_DIRECTORY))))
			break;
		ret = own_link(dirfd, path, link[i % 2]);
		if (ret < 0)
			return ret;
		path = link[i % 2];
	}
	if (fd < 0)
		return -errno;
	if (wary && (flags & O_ACCMODE) != O_RDONLY && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode) && st.st_nlink > 1) {
		fd_close(fd);
		return -EMLINK;
	}
	return fd;
}

const char *fd_open_why(int code)
{
	switch (code) {
	case ELOOP:
		return "a symbolic link that is not root's own";
	case EMLINK:
		return "the file has another name (a hard link)";
	default:
		return strerror(code);
	}
}

int fd_open_regular(int dirfd, const char *path, bool writable,
		    struct mote_err *err)
{
	struct stat st;
	int fd = fd_open_at(dirfd, path, writable ? O_RDWR : O_RDONLY, 0);

	if (fd < 0)
		return err_set_class(err, -fd, err_path_class(-fd),
				     "open %s: %s", path, fd_open_why(-fd));
	if (fstat(fd, &st) < 0) {
		int code = errno;

		fd_close(fd);
		return err_set(err, code, "fstat %s: %s", path, strerror(code));
	}
	if (!S_ISREG(st.st_mode)) {
		fd_close(fd);
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "open %s: it is %s, expected a regular "
				     "file",
				     path, fd_file_kind(st.st_mode));
	}
	return fd;
}

int fd_open_stdio(struct mote_err *err)
{
	for (int i = 0; i < 3; i++) {
		if (fcntl(i, F_GETFD) >= 0)
			continue;
		/* The lowest free number, so i. */
		if (open("/dev/null", O_RDWR) != i)
			return err_set(err, errno, "/dev/null: %s",
				       strerror(errno));
	}
	return 0;
}

int64_t fd_size(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_size;
}

int fd_send_msg(int sock, const void *buf, size_t len, const int *fds, int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
	} ctl;
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nfds < 0 || nfds > FD_PASS_MAX)
		return -EINVAL;
	if (nfds > 0) {
		struct cmsghdr *c;

		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = ctl.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EMSGSIZE;
}

static void take_fds(struct msghdr *msg, int *fds, int max_fds, int *nfds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
			if (*nfds < max_fds)
				fds[(*nfds)++] = fd;
			else
				fd_close(fd);
		}
	}
}

ssize_t fd_recv_msg(int sock, void *buf, size_t len, int *fds, int max_fds,
		    int *nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
	} ctl;
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.space,
		.msg_controllen = sizeof(ctl.space),
	};
	ssize_t n;

	*nfds = 0;
	fd_room_open(max_fds);
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	else
		take_fds(&msg, fds, max_fds, nfds);
	fd_room_shut();
	return n;
}

/* Copies of *fd[0..n) at base, base + 1, ...; false: not all are free. */
static bool place(int **fd, int *to, int n, int base)
{
	for (int i = 0; i < n; i++) {
		to[i] = fcntl(*fd[i], F_DUPFD_CLOEXEC, base + i);
		if (to[i] == base + i)
			continue;
		if (to[i] >= 0)
			fd_close(to[i]);
		while (i-- > 0)
			fd_close(to[i]);
		return false;
	}
	return true;
}

int fd_gather(int **fd, int n, int *base, struct mote_err *err)
{
	long limit = sysconf(_SC_OPEN_MAX);
	int to[FD_BLOCK];

	for (*base = FD_BLOCK; n > FD_BLOCK || !place(fd, to, n, *base);
	     *base += FD_BLOCK)
		if (n > FD_BLOCK || *base + FD_BLOCK + n > limit)
			return err_set_class(err, EMFILE, ERR_CLASS_UNAVAILABLE,
					     "descriptors: the limit of %ld "
					     "leaves no block of %d for the "
					     "guest's devices",
					     limit, n);
	for (int i = 0; i < n; i++) {
		fd_close(*fd[i]);
		*fd[i] = to[i];
	}
	return 0;
}

int fd_gather_more(int *fd, int *base, int *used, struct mote_err *err)
{
	int to, ret;

	if (*base < 0) {
		ret = fd_gather(&fd, 1, base, err);
		if (ret < 0)
			*base = -1;
		else
			*used = 1;
		return ret;
	}
	if (*used >= FD_BLOCK || !place(&fd, &to, 1, *base + *used))
		return err_set_class(err, EMFILE, ERR_CLASS_UNAVAILABLE,
				     "descriptors: no room for one more of the "
				     "guest's devices beside %d",
				     *used);
	fd_close(*fd);
	*fd = to;
	(*used)++;
	return 0;
}

int fd_accept(int listen_fd)
{
	int fd;

	fd_room_open(1);
	do {
		fd = accept4(listen_fd, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		fd = -errno;
	fd_room_shut();
	return fd;
}
