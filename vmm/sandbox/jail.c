/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail.c - the whole process gives up everything but its descriptors.
 *
 * The order matters: what needs /proc comes before the root goes, what needs
 * capabilities before they go, and what makes later steps impossible
 * (no-new-privs, MDWE, Landlock) at the end.  A step that fails ends it with
 * an error; only what a kernel does not have is let pass, and told.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/fdroom.h"
#include "base/num.h"
#include "base/timeline.h"
#include "sandbox/compat.h"
#include "sandbox/jail_priv.h"

#define KEEP_MAX 160 /* 63 disks, 63 networks, and what each VM has */
/* To come: the VM, 64 vCPUs, eventfds, interrupt controller, pagemap. */
#define FDS_TO_BUILD 96
/* ... and a second, aligned place for many devices (devices/hvt.c). */
#define FDS_OF_DEVICES 192
#define FEW_FDS	       24 /* to keep: with so many there is room */

void jail_missing(struct jail_report *report, const char *what, const char *why)
{
	size_t len = strlen(report->missing);

	snprintf(report->missing + len, sizeof(report->missing) - len,
		 "%s%s: %s", len ? "; " : "", what, why);
}

/* --- descriptors ------------------------------------------------------- */

/* Insert fd into the n sorted ones; true: it is not among them yet. */
static bool insert(int *sorted, int n, int fd)
{
	int at = n;

	for (int i = 0; i < n; i++)
		if (sorted[i] == fd)
			return false;
	for (; at > 0 && sorted[at - 1] > fd; at--)
		sorted[at] = sorted[at - 1];
	sorted[at] = fd;
	return true;
}

static int close_between(unsigned int first, unsigned int last)
{
	if (first > last)
		return 0;
	return syscall(SYS_close_range, first, last, 0) < 0 ? -errno : 0;
}

/* Close all from 3 on but those to keep; *top: one above the highest. */
static int close_rest(const struct jail_options *opt, unsigned int *top,
		      struct jail_report *report, struct mote_err *err)
{
	int keep[KEEP_MAX];
	int n = 0, ret = 0;

	*top = 3;
	for (int i = 0; i < opt->keep_count; i++) {
		if (opt->keep_fds[i] < 3)
			continue; /* absent, or stdio */
		if (n == KEEP_MAX)
			return err_set(err, E2BIG,
				       "more than %d descriptors to keep",
				       KEEP_MAX);
		n += insert(keep, n, opt->keep_fds[i]);
	}
	for (int i = 0; i < n && ret == 0; i++) {
		ret = close_between(*top, (unsigned int)keep[i] - 1);
		*top = (unsigned int)keep[i] + 1;
	}
	if (ret == 0)
		ret = close_between(*top, ~0u);
	if (ret < 0)
		return err_set(err, -ret, "close_range: %s", strerror(-ret));
	report->layers |= JAIL_FDS;
	return 0;
}

/* --- limits ------------------------------------------------------------ */

static int set_limit(int what, const char *name, rlim_t value,
		     struct mote_err *err)
{
	struct rlimit now, want = {value, value};

	/* Never up: that needs a capability and is not what a jail does. */
	if (getrlimit((__rlimit_resource_t)what, &now) == 0 &&
	    now.rlim_max < value)
		want.rlim_cur = want.rlim_max = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)what, &want) < 0 ||
	    getrlimit((__rlimit_resource_t)what, &now) < 0)
		return err_set(err, errno, "limit on %s: %s", name,
			       strerror(errno));
	if (now.rlim_max > value || now.rlim_cur > value)
		return err_set(err, EPERM, "limit on %s: it is not as set",
			       name);
	return 0;
}

static int set_limits(const struct jail_options *opt, unsigned int top,
		      struct jail_report *report, struct mote_err *err)
{
	int ret = set_limit(RLIMIT_CORE, "core files", 0, err);

	if (ret == 0)
		ret = set_limit(RLIMIT_NOFILE, "descriptors",
				top + FDS_TO_BUILD + opt->more_fds +
					(opt->keep_count > FEW_FDS
						 ? FDS_OF_DEVICES
						 : 0),
				err);
	if (ret == 0)
		ret = set_limit(RLIMIT_MEMLOCK, "locked memory",
				opt->lock_bytes, err);
	if (ret == 0)
		ret = set_limit(RLIMIT_MSGQUEUE, "message queues", 0, err);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (ret == 0)
		report->layers |= JAIL_LIMITS;
	return ret;
}

/* Is our user namespace one that maps a single user: made for this jail? */
static bool own_user_namespace(void)
{
	char map[64] = "";
	const char *p = map;
	unsigned long len = 0;
	int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, map, sizeof(map) - 1) < 0)
		map[0] = 0;
	fd_close(fd);
	for (int i = 0; i < 3; i++) { /* inside, outside, length */
		char *end;

		len = strtoul(p, &end, 10);
		if (end == p)
			return false;
		p = end;
	}
	return len == 1 && *p == '\n' && p[1] == 0;
}

/*
 * No namespaces inside ours.  Elsewhere the number is shared with others.
 * Best effort: seccomp refuses unshare as well.
 */
static void forbid_user_namespaces(void)
{
	int fd;

	/* Root has no user namespace of its own, as the launcher does it. */
	if (geteuid() == 0 || !own_user_namespace())
		return;
	fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		fd_write_full(fd, "0", 1);
		fd_close(fd);
	}
}

/* --- who we are -------------------------------------------------------- */

static int become(const struct jail_options *opt, struct mote_err *err)
{
	uint32_t uid = opt->uid, gid = opt->gid;

	if (geteuid() != 0)
		return 0;
	/*
	 * Plain calls: there is one thread, and no name is looked up.  Root of
	 * a user namespace that maps nobody else stays who he is, and may not
	 * be allowed to drop groups.
	 */
	if (syscall(SYS_setgroups, 0, NULL) < 0 &&
	    !(errno == EPERM && uid == 0 && gid == 0))
		return err_set(err, errno, "groups: %s", strerror(errno));
	if (syscall(SYS_setresgid, gid, gid, gid) < 0)
		return err_set(err, errno, "group %u: %s", gid,
			       strerror(errno));
	if (syscall(SYS_setresuid, uid, uid, uid) < 0)
		return err_set(err, errno, "user %u: %s", uid, strerror(errno));
	return 0;
}

static bool is_nobody_special(void)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	return getresuid(&r, &e, &s) == 0 && r && e && s &&
	       getresgid(&rg, &eg, &sg) == 0 && rg && eg && sg;
}

static int change_ids(const struct jail_options *opt,
		      struct jail_report *report, struct mote_err *err)
{
	int sig = 0, ret;

	if (prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0) < 0)
		return err_set(err, errno, "death signal: %s", strerror(errno));
	ret = caps_bound(err);
	if (ret == 0)
		ret = become(opt, err);
	if (ret == 0)
		ret = caps_drop(report, err);
	if (ret < 0)
		return ret;
	if (is_nobody_special())
		report->layers |= JAIL_USER;
	/* A change of ids or capabilities forgets the first and sets the
	 * second to what the system likes. */
	if (sig && prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0) < 0)
		return err_set(err, errno, "death signal: %s", strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(err, errno, "not dumpable: %s", strerror(errno));
	return 0;
}

/* --- one-way switches -------------------------------------------------- */

static int set_switches(struct jail_report *report, struct mote_err *err)
{
	int mdwe;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return err_set(err, errno, "no-new-privs: %s", strerror(errno));
	report->layers |= JAIL_NO_NEW_PRIVS;
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0) {
		jail_missing(report, "mdwe",
			     errno == EINVAL ? "not in this kernel"
					     : strerror(errno));
		return 0;
	}
	mdwe = prctl(PR_GET_MDWE, 0, 0, 0, 0);
	if (mdwe < 0 || !(mdwe & PR_MDWE_REFUSE_EXEC_GAIN))
		return err_set(err, EPERM, "mdwe: it is not as set");
	report->layers |= JAIL_MDWE;
	return 0;
}

/* --- all --------------------------------------------------------------- */

/* Ids and capabilities belong to threads; a second one would keep its own. */
static int check_single(struct mote_err *err)
{
#ifndef __SANITIZE_THREAD__ /* which has a thread of its own */
	if (unshare(CLONE_THREAD) < 0)
		return errno == EINVAL
			       ? err_set(err, EINVAL,
					 "the process has more than one thread")
			       : err_set(err, errno, "unshare: %s",
					 strerror(errno));
#endif
	return 0;
}

static int enter(const struct jail_options *opt, struct jail_report *report,
		 struct mote_err *err)
{
	unsigned int top = 3;
	int ret = check_single(err);

	if (ret < 0)
		return ret;
	clearenv();
	ret = fd_open_stdio(err);
	if (ret == 0)
		ret = close_rest(opt, &top, report, err);
	if (ret == 0)
		forbid_user_namespaces();
	timeline_mark(opt->timeline, "jail: descriptors");
	if (ret == 0 && opt->new_root)
		ret = jail_new_root(report, err);
	timeline_mark(opt->timeline, "jail: root");
	if (ret == 0)
		ret = set_limits(opt, top, report, err);
	if (ret == 0)
		ret = change_ids(opt, report, err);
	timeline_mark(opt->timeline, "jail: limits, user, capabilities");
	if (ret == 0)
		ret = set_switches(report, err);
	if (ret == 0 && !opt->no_landlock)
		ret = jail_landlock(report, err);
	timeline_mark(opt->timeline, "jail: switches, Landlock");
	return ret;
}

int jail_enter(const struct jail_options *opt, struct jail_report *report,
	       struct mote_err *err)
{
	int ret;

	*report = (struct jail_report){0};
	ret = enter(opt, report, err);
	if (ret < 0)
		return err_wrap(err, ret, "jail");
	if (opt->require && report->missing[0])
		return err_set_class(err, EOPNOTSUPP, ERR_CLASS_UNAVAILABLE,
				     "jail: sandbox.require is on and this is "
				     "missing: %s",
				     report->missing);
	return 0;
}

/*
 * Which descriptors there are below limit: *top is one above the highest,
 * *held how many from 3 on.  Asked by poll(2), many at a time.
 */
static void count_open(unsigned int limit, unsigned int *top,
		       unsigned int *held)
{
	struct pollfd p[128];

	*top = 3;
	*held = 0;
	for (unsigned int i = 3; i < limit; i += ARRAY_SIZE(p)) {
		unsigned int n =
			(unsigned int)num_min(limit - i, ARRAY_SIZE(p));

		for (unsigned int k = 0; k < n; k++)
			p[k] = (struct pollfd){.fd = (int)(i + k)};
		if (poll(p, n, 0) < 0)
			continue;
		for (unsigned int k = 0; k < n; k++) {
			if (p[k].revents & POLLNVAL)
				continue;
			*top = i + k + 1;
			++*held;
		}
	}
}

int jail_lock(struct mote_err *err)
{
	struct rlimit fds;
	unsigned int top, held, room;
	int ret;

	if (getrlimit(RLIMIT_NOFILE, &fds) < 0)
		return err_set(err, errno, "limit on descriptors: %s",
			       strerror(errno));
	count_open((unsigned int)fds.rlim_cur, &top, &held);
	/* Numbers that are free below do for what is to be received. */
	room = top - 3 - held;
	room = room < FD_ROOM + 1 ? FD_ROOM + 1 - room : 0;
	ret = set_limit(RLIMIT_NOFILE, "descriptors", top + room, err);
	if (ret == 0)
		ret = fd_room_fill(err);
	/*
	 * RLIMIT_NPROC stays: from Linux 6.14 the first KVM_RUN makes a
	 * thread (for huge pages) in this process and would give EAGAIN.
	 */
	return ret < 0 ? err_wrap(err, ret, "jail") : 0;
}
