/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/hotfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define TMP "hotset.tmp"

static int io_error(struct mote_err *err, const char *what)
{
	int code = errno;

	return err_set_class(
		err, code,
		code == EACCES || code == EPERM ? ERR_CLASS_PERM : ERR_CLASS_IO,
		"restore.record: %s " TMP ": %s", what, strerror(code));
}

/* The file of that name is still this one: nobody renamed it meanwhile. */
static bool still_there(int dir, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(dir, TMP, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int hotfile_begin(int dir, struct mote_err *err)
{
	for (;;) {
		cleanup_fd int fd =
			openat(dir, TMP,
			       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd < 0)
			return io_error(err, "create");
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return err_set_class(err, EBUSY, ERR_CLASS_DATA,
					     "restore.record: another run is "
					     "recording there (" TMP ")");
		if (!still_there(dir, fd))
			continue;
		if (ftruncate(fd, 0) < 0) {
			int ret = io_error(err, "truncate");

			unlinkat(dir, TMP, 0);
			return ret;
		}
		return fd_steal(&fd);
	}
}

int hotfile_commit(int dir, int fd, enum snapdir_sync sync,
		   struct mote_err *err)
{
	if (sync != SNAPDIR_SYNC_NONE && fsync(fd) < 0)
		return io_error(err, "fsync");
	if (renameat(dir, TMP, dir, "hotset") < 0)
		return io_error(err, "rename");
	if (sync == SNAPDIR_SYNC_FULL && fsync(dir) < 0)
		return io_error(err, "fsync of the folder of");
	return 0;
}

void hotfile_abort(int dir, int fd)
{
	if (still_there(dir, fd))
		unlinkat(dir, TMP, 0);
}
