/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/snapdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"

static const char *const file_name[3] = {"manifest", "state", "memory"};

static int io_error(struct mote_err *err, const char *what, const char *name)
{
	int code = errno;

	return err_set_class(err, code,
			     code == EACCES || code == EPERM ? ERR_CLASS_PERM
							     : ERR_CLASS_IO,
			     "%s %s: %s", what, name, strerror(code));
}

/*
 * What a killed launcher left of an earlier attempt at this name.  Who still
 * works in one holds its lock.
 */
static void remove_stale(int parent_fd, const char *name)
{
	size_t n = strlen(name);
	int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			fd_close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, name, n) != 0 ||
		    strncmp(e->d_name + n, ".tmp-", 5) != 0 ||
		    strspn(e->d_name + n + 5, "0123456789abcdef") != 8 ||
		    e->d_name[n + 13])
			continue;
		fd = openat(parent_fd, e->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			for (int i = 0; i < 3; i++)
				unlinkat(fd, file_name[i], 0);
			unlinkat(parent_fd, e->d_name, AT_REMOVEDIR);
		}
		fd_close(fd);
	}
	closedir(dir);
}

static int make(struct snapdir *d, struct mote_err *err)
{
	uint32_t tag;

	if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
		return io_error(err, "getrandom for", d->name);
	snprintf(d->tmp, sizeof(d->tmp), "%s.tmp-%08x", d->name, tag);
	if (mkdirat(d->parent_fd, d->tmp, 0700) < 0)
		return io_error(err, "mkdir", d->tmp);
	d->made = true;
	d->dir_fd = openat(d->parent_fd, d->tmp,
			   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (d->dir_fd < 0 || flock(d->dir_fd, LOCK_EX | LOCK_NB) < 0)
		return io_error(err, "open", d->tmp);
	for (int i = 0; i < 3; i++) {
		d->file_fd[i] = openat(d->dir_fd, file_name[i],
				       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
					       O_CLOEXEC,
				       0600);
		if (d->file_fd[i] < 0)
			return io_error(err, "create", file_name[i]);
	}
	return 0;
}

/*
 * The last line of a manifest is its digest: is the snapshot called
 * base + 33 here the one whose manifest has the digest in base?
 */
static int check_base(int parent_fd, const char *base, struct mote_err *err)
{
	char path[300], line[42] = "";
	int64_t size = -1;
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%.256s/manifest", base + 33);
	fd = openat(parent_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		return io_error(err, "open", path);
	if (fd >= 0) {
		size = fd_size(fd);
		if (size >= (int64_t)sizeof(line) - 1)
			ret = fd_pread_full(fd, line, sizeof(line) - 1,
					    (uint64_t)size - sizeof(line) + 1);
		fd_close(fd);
		if (size < 0 || ret < 0) {
			errno = size < 0 ? (int)-size : -ret;
			return io_error(err, "read", path);
		}
	}
	/* "digest: " stands before it, a newline after it. */
	if (size >= 0 && !strncmp(line, "digest: ", 8) &&
	    !strncmp(line + 8, base, 32))
		return 0;
	return err_set_class(err, ENOENT, ERR_CLASS_DATA,
			     "diff: its parent %s is not in the same folder, "
			     "where it must be",
			     base + 33);
}

bool snapdir_name_ok(const char *name)
{
	return *name && strlen(name) < SNAPDIR_NAME_MAX && !strchr(name, '/') &&
	       !strchr(name, '\n') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static int check_name(int parent_fd, const char *name, struct mote_err *err)
{
	struct stat st;

	if (!snapdir_name_ok(name))
		return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
				     "snapshot name \"%.64s\": expected a "
				     "plain file name",
				     name);
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set_class(err, EEXIST, ERR_CLASS_DATA,
				     "snapshot %s: it exists already", name);
	return 0;
}

int snapdir_begin(struct snapdir *d, int parent_fd, const char *name,
		  const char *base, struct mote_err *err)
{
	int ret;

	*d = (struct snapdir){
		.parent_fd = parent_fd, .dir_fd = -1, .file_fd = {-1, -1, -1}};
	ret = check_name(parent_fd, name, err);
	if (ret == 0 && base)
		ret = check_base(parent_fd, base, err);
	if (ret == 0) {
		strcpy(d->name, name);
		remove_stale(parent_fd, name);
		ret = make(d, err);
	}
	if (ret < 0)
		snapdir_abort(d);
	return ret;
}

static int sync_fd(int fd, const char *name, struct mote_err *err)
{
	/* A failed fsync is final: a second one would lie. */
	if (fsync(fd) < 0)
		return io_error(err, "fsync", name);
	return 0;
}

int snapdir_commit(struct snapdir *d, enum snapdir_sync sync,
		   struct mote_err *err)
{
	int ret = 0;

	/* The manifest last: a whole one vouches for the others. */
	for (int i = 2; i >= 0 && ret == 0 && sync != SNAPDIR_SYNC_NONE; i--)
		ret = sync_fd(d->file_fd[i], file_name[i], err);
	if (ret == 0 && sync == SNAPDIR_SYNC_FULL)
		ret = sync_fd(d->dir_fd, d->tmp, err);
	if (ret == 0 && renameat2(d->parent_fd, d->tmp, d->parent_fd, d->name,
				  RENAME_NOREPLACE) < 0)
		ret = io_error(err, "rename to", d->name);
	if (ret == 0)
		d->made = false;
	if (ret == 0 && sync == SNAPDIR_SYNC_FULL)
		ret = sync_fd(d->parent_fd, "the snapshot's parent", err);
	snapdir_abort(d);
	return ret;
}

void snapdir_abort(struct snapdir *d)
{
	for (int i = 0; i < 3; i++) {
		fd_clear(&d->file_fd[i]);
		if (d->made && d->dir_fd >= 0)
			unlinkat(d->dir_fd, file_name[i], 0);
	}
	if (d->made)
		unlinkat(d->parent_fd, d->tmp, AT_REMOVEDIR);
	fd_clear(&d->dir_fd);
	fd_clear(&d->parent_fd);
	d->made = false;
}
