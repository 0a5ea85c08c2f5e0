/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdroom.h - no room for descriptors but when some are about to come.
 *
 * Behind its jail a process needs no descriptor that it was not handed.  All
 * free numbers below RLIMIT_NOFILE are held by placeholders; who is about to
 * receive descriptors makes room for so many and closes it again.  That stops
 * a call that makes one (io_uring, memfd, bpf, sockets) by a second layer
 * beside seccomp, for as long as nothing is closed first.
 *
 * Of the process, as the limit is; one thread (the VM thread).  Until
 * fd_room_fill has been called, the other two do nothing.
 */
#ifndef VMM_BASE_FDROOM_H
#define VMM_BASE_FDROOM_H

struct mote_err;

/* How many can come at a time. */
#define FD_ROOM 16

/* Hold all that is free below the limit, which is as it shall be.  0, -errno.
 */
int fd_room_fill(struct mote_err *err);

/* n more may be made now (at most FD_ROOM in all). */
void fd_room_open(int n);

/* Hold what is free again; also what was received before and closed since. */
void fd_room_shut(void);

#endif
