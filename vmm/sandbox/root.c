/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root.c - what a jailed process could still reach by name: nothing.
 *
 * An empty root for the whole process, and Landlock without a rule, which
 * also holds where there is no mount namespace of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "sandbox/compat.h"
#include "sandbox/jail_priv.h"

/* --- root ------------------------------------------------------------------
 */

#define EMPTY_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/*
 * Two inodes, its root and a directory there that becomes ours: nothing can
 * be made, whoever asks.  Who has changed his root can make no user namespace.
 */
static int mount_empty(void)
{
	/* Some directory that is there; it is gone a moment later. */
	static const char *const dir[] = {"/proc", "/sys", "/dev", "/tmp"};
	int ret = -ENOENT;

	for (size_t i = 0; i < sizeof(dir) / sizeof(dir[0]); i++) {
		if (mount("none", dir[i], "tmpfs", EMPTY_FLAGS,
			  "size=64k,nr_inodes=2,mode=555") < 0) {
			ret = -errno;
			continue;
		}
		if (chdir(dir[i]) < 0 || mkdir("empty", 0555) < 0 ||
		    mount(NULL, ".", NULL,
			  MS_REMOUNT | MS_BIND | MS_RDONLY | EMPTY_FLAGS,
			  NULL) < 0)
			return -errno;
		return 0;
	}
	return ret;
}

static int switch_root(void)
{
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		/* The old root now lies on top of the new one. */
		if (umount2(".", MNT_DETACH) < 0 || chroot("/empty") < 0)
			return -errno;
		return 0;
	}
	if (errno != EINVAL)
		return -errno;
	/*
	 * An initramfs can't be pivoted away from.  Covering it is as good
	 * once CAP_SYS_CHROOT is gone and no descriptor leads outside.
	 */
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot("empty") < 0)
		return -errno;
	return 0;
}

static bool root_is_empty(void)
{
	struct statfs fs;

	return statfs("/", &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
	       (fs.f_flags & ST_RDONLY) && fs.f_files == 2 && fs.f_ffree == 0 &&
	       access("/proc", F_OK) < 0 && errno == ENOENT;
}

int jail_new_root(struct jail_report *report, struct mote_err *err)
{
	const char *what = "private mounts";
	int ret = 0;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		ret = -errno;
	if (ret == 0) {
		what = "empty file system";
		ret = mount_empty();
	}
	if (ret == 0) {
		what = "new root";
		ret = switch_root();
	}
	if (ret == 0 && chdir("/") < 0)
		ret = -errno;
	if (ret < 0)
		return err_set(err, -ret, "root: %s: %s", what, strerror(-ret));
	if (!root_is_empty())
		return err_set(err, EPERM, "root: it is not the empty one");
	report->layers |= JAIL_ROOT;
	return 0;
}

/* --- Landlock ----------------------------------------------------------------
 */

/* All bits below n. */
static uint64_t below(int n)
{
	return (UINT64_C(1) << n) - 1;
}

/* What the kernel of that ABI knows; returns how much of the struct it does. */
static size_t all_rights(long abi, struct compat_landlock *l)
{
	*l = (struct compat_landlock){0};
	l->handled_access_fs = below(abi >= 5	? COMPAT_LANDLOCK_FS_5
				     : abi >= 3 ? COMPAT_LANDLOCK_FS_3
				     : abi == 2 ? COMPAT_LANDLOCK_FS_2
						: COMPAT_LANDLOCK_FS_1);
	if (abi >= 4)
		l->handled_access_net = below(COMPAT_LANDLOCK_NET);
	if (abi >= 6)
		l->scoped = below(COMPAT_LANDLOCK_SCOPE);
	if (abi >= 6)
		return sizeof(*l);
	return abi >= 4 ? offsetof(struct compat_landlock, scoped)
			: offsetof(struct compat_landlock, handled_access_net);
}

/* With every right refused even our own root can't be listed. */
static bool root_is_locked(void)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fd_close(fd);
	return fd < 0 && errno == EACCES;
}

int jail_landlock(struct jail_report *report, struct mote_err *err)
{
	struct compat_landlock rights;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   COMPAT_LANDLOCK_VERSION);
	long fd, ret;

	if (abi < 0) {
		jail_missing(report, "landlock",
			     errno == EOPNOTSUPP ? "off in this kernel"
						 : "not in this kernel");
		return 0;
	}
	fd = syscall(SYS_landlock_create_ruleset, &rights,
		     all_rights(abi, &rights), 0);
	if (fd < 0)
		return err_set(err, errno, "landlock: rules: %s",
			       strerror(errno));
	ret = syscall(SYS_landlock_restrict_self, fd, 0);
	if (ret < 0)
		ret = -errno;
	fd_close((int)fd);
	if (ret < 0)
		return err_set(err, (int)-ret, "landlock: %s",
			       strerror((int)-ret));
	if (!root_is_locked())
		return err_set(err, EPERM,
			       "landlock: the root directory can "
			       "still be read");
	report->layers |= JAIL_LANDLOCK;
	return 0;
}
