/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.h - file descriptors: full reads and writes, closing, passing.
 *
 * Threads: any.  A descriptor is valid from 0 and -1 when absent.  All
 * calls restart on EINTR and return 0 (or a count) or -errno.
 */
#ifndef VMM_BASE_FD_H
#define VMM_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct mote_err;

/* Close; errors are ignored because nothing can be done about them. */
void fd_close(int fd);

/* Close *fd unless it is -1, and set it to -1. */
void fd_clear(int *fd);

/* Move len bytes or fail: -EIO at end of file, else -errno. */
int fd_read_full(int fd, void *buf, size_t len);
int fd_write_full(int fd, const void *buf, size_t len);
int fd_pread_full(int fd, void *buf, size_t len, uint64_t off);
int fd_pwrite_full(int fd, const void *buf, size_t len, uint64_t off);

/*
 * Would a write of a line block for longer than that?  False: a full pipe, a
 * stopped terminal.
 */
#define FD_SAY_MS 1000 /* for the last words of a program */
bool fd_takes(int fd, int wait_ms);

/* The same of n pieces; iov is used up. */
int fd_pwritev_full(int fd, struct iovec *iov, int n, uint64_t off);

/*
 * Move n descriptors (at most FD_BLOCK) to the first numbers of a block of
 * FD_BLOCK aligned ones that none of them is in, so that a filter can tell
 * them from others by a mask.  *base: the first.  -EMFILE: nothing moved.
 */
#define FD_BLOCK 64
int fd_gather(int **fd, int n, int *base, struct mote_err *err);

/* One more in the block at *base, which holds *used; *base -1: none yet. */
int fd_gather_more(int *fd, int *base, int *used, struct mote_err *err);

/*
 * openat(2) for a path that may lie in a folder of somebody else's.  Root
 * follows no link there but his own (-ELOOP), and writes to no regular file
 * that has another name (-EMLINK): either may lead to a file that is not that
 * one's to choose, whatever is swapped when.  O_CLOEXEC, O_NOCTTY, O_NONBLOCK.
 */
int fd_open_at(int dirfd, const char *path, int flags, mode_t mode);

/* strerror for its errors, which the kernel's words do not fit. */
const char *fd_open_why(int code);

/*
 * Open path for reading (or writing too) and insist on a regular file:
 * a directory, fifo, device or socket is refused by name.  O_CLOEXEC.
 * dirfd as in openat(2).  Returns the descriptor or -errno.
 */
int fd_open_regular(int dirfd, const char *path, bool writable,
		    struct mote_err *err);

/* "a directory", "a fifo" and so on, of what is no regular file. */
const char *fd_file_kind(mode_t mode);

/*
 * Descriptors 0, 1 and 2 are open afterwards (/dev/null where they were
 * not), or some file of ours would become them.
 */
int fd_open_stdio(struct mote_err *err);

/* Size in bytes of a regular file, or -errno. */
int64_t fd_size(int fd);

/* A client of a listening socket, O_CLOEXEC, O_NONBLOCK; or -errno. */
int fd_accept(int listen_fd);

/*
 * One message with up to FD_PASS_MAX descriptors over a unix socket.
 * fd_recv_msg sets O_CLOEXEC on what it takes, and closes what is more
 * than max_fds.  It returns the byte count, 0 at end of file, or -errno;
 * *nfds says how many descriptors came.
 */
#define FD_PASS_MAX 8
int fd_send_msg(int sock, const void *buf, size_t len, const int *fds,
		int nfds);
ssize_t fd_recv_msg(int sock, void *buf, size_t len, int *fds, int max_fds,
		    int *nfds);

#endif
