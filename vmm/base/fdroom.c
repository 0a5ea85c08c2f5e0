/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdroom.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/err.h"
#include "base/fd.h"

static struct {
	int source; /* what placeholders are copies of, and one itself */
	int fd[FD_ROOM];
	int count, wanted;
} room;

int fd_room_fill(struct mote_err *err)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return err_set(err, errno, "placeholder: %s", strerror(errno));
	room.source = fd;
	while ((fd = fcntl(room.source, F_DUPFD_CLOEXEC, 3)) >= 0) {
		/* The last ones; those before are held for ever. */
		room.fd[room.count % FD_ROOM] = fd;
		room.count++;
	}
	if (errno != EMFILE)
		return err_set(err, errno, "placeholders: %s", strerror(errno));
	if (room.count > FD_ROOM)
		room.count = FD_ROOM;
	room.wanted = room.count;
	return 0;
}

void fd_room_open(int n)
{
	for (; n > 0 && room.count > 0; n--)
		fd_close(room.fd[--room.count]);
}

void fd_room_shut(void)
{
	while (room.count < room.wanted) {
		int fd = fcntl(room.source, F_DUPFD_CLOEXEC, 3);

		if (fd < 0)
			return; /* in use */
		room.fd[room.count++] = fd;
	}
}
