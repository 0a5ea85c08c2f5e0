/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "launch/launch.h"
#include "mote.h"

/* ip-netns(8) and container runtimes leave links; those may be followed. */
static int open_netns(struct host_place *p, const struct mote_config *cfg,
		      struct mote_err *err)
{
	char buf[8];
	const char *path =
		mote_config_get(cfg, "sandbox.netns", buf, sizeof(buf));

	if (!path)
		return 0;
	p->netns = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (p->netns < 0)
		return err_set_class(err, errno, err_path_class(errno),
				     "sandbox.netns: open %s: %s", path,
				     strerror(errno));
	if (ioctl(p->netns, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "sandbox.netns: %s: expected a network "
				     "namespace, as ip netns add makes them",
				     path);
	return 0;
}

static int open_cgroup(struct host_place *p, const char *path,
		       struct mote_err *err)
{
	struct statfs fs;
	int dir, fd, ret = 0;

	if (path[0] != '/')
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "limits.cgroup: \"%s\": expected an "
				     "absolute path",
				     path);
	if (p->cgroup_count == PLACE_CGROUPS_MAX)
		return err_set_class(err, E2BIG, ERR_CLASS_DATA,
				     "limits.cgroup: more than %d directories",
				     PLACE_CGROUPS_MAX);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set_class(err, errno, err_path_class(errno),
				     "limits.cgroup: open %s: %s", path,
				     strerror(errno));
	if (fstatfs(dir, &fs) < 0 || (fs.f_type != CGROUP_SUPER_MAGIC &&
				      fs.f_type != CGROUP2_SUPER_MAGIC)) {
		fd_close(dir);
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "limits.cgroup: %s: expected a directory "
				     "of a cgroup file system",
				     path);
	}
	fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		ret = err_set_class(err, errno, err_path_class(errno),
				    "limits.cgroup: open %s/cgroup.procs: %s",
				    path, strerror(errno));
	else
		p->cgroup[p->cgroup_count++] = fd;
	fd_close(dir);
	return ret;
}

static int open_cgroups(struct host_place *p, const struct mote_config *cfg,
			struct mote_err *err)
{
	char buf[8];
	const char *paths =
		mote_config_get(cfg, "limits.cgroup", buf, sizeof(buf));
	cleanup_free char *copy = NULL;
	char *next;
	int ret = 0;

	if (!paths)
		return 0;
	next = copy = strdup(paths);
	if (!copy)
		return err_set(err, ENOMEM, "limits.cgroup");
	while (ret == 0 && next)
		ret = open_cgroup(p, strsep(&next, ":"), err);
	return ret;
}

int place_open(struct host_place *p, const struct mote_config *cfg,
	       struct mote_err *err)
{
	int ret = open_netns(p, cfg, err);

	return ret < 0 ? ret : open_cgroups(p, cfg, err);
}

void place_close(struct host_place *p)
{
	fd_clear(&p->netns);
	while (p->cgroup_count > 0)
		fd_close(p->cgroup[--p->cgroup_count]);
}

int place_join_cgroups(const struct host_place *p, struct mote_err *err)
{
	for (int i = 0; i < p->cgroup_count; i++)
		if (write(p->cgroup[i], "0", 1) < 0) /* who writes it */
			return err_set_class(
				err, errno, err_path_class(errno),
				"limits.cgroup: directory %d of the list: the "
				"process can't join: %s%s",
				i + 1, strerror(errno),
				errno == EBUSY || errno == EOPNOTSUPP
					? " (version 2: processes belong into "
					  "cgroups without controllers for "
					  "children)"
					: "");
	return 0;
}

int place_limit(const struct mote_config *cfg, struct mote_err *err)
{
	static const struct {
		const char *key;
		int resource;
	} limit[] = {
		{"limits.open_files", RLIMIT_NOFILE},
		{"limits.file_size", RLIMIT_FSIZE},
		{"limits.threads", RLIMIT_NPROC},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limit); i++) {
		rlim_t most = launch_number(cfg, limit[i].key, 0);
		struct rlimit r;

		if (most == 0)
			continue;
		if (getrlimit(limit[i].resource, &r) == 0) {
			r.rlim_max = num_min(most, r.rlim_max);
			r.rlim_cur = num_min(most, r.rlim_cur);
			if (setrlimit(limit[i].resource, &r) == 0)
				continue;
		}
		return err_set(err, errno, "%s: %s", limit[i].key,
			       strerror(errno));
	}
	return 0;
}
