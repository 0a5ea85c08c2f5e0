/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - everything that a VM needs from the host is opened here, with
 * the user's rights and before the jail: the VM process opens nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "launch/account.h"
#include "launch/hotfile.h"
#include "launch/launcher_priv.h"
#include "launch/listen.h"

bool launch_is(const struct mote_config *cfg, const char *key,
	       const char *value)
{
	char buf[64];
	const char *got = mote_config_get(cfg, key, buf, sizeof(buf));

	return got && !strcmp(got, value);
}

unsigned long long launch_number(const struct mote_config *cfg, const char *key,
				 unsigned long long def)
{
	static const char units[] = "KMGT";
	unsigned long long v;
	char buf[64];
	char *end;
	const char *got = mote_config_get(cfg, key, buf, sizeof(buf));

	if (!got)
		return def;
	v = strtoull(got, &end, !strcmp(key, "control.mode") ? 8 : 10);
	if (end == got)
		return def;
	if (!strcmp(end, "s"))
		v *= 1000;
	else if (!strcmp(end, "m"))
		v *= 60000;
	else if (*end && strchr(units, *end))
		v <<= 10 * (strchr(units, *end) - units + 1);
	return v;
}

/* What is not the library's kills; a seccomp filter may refuse the usual way.
 */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (mote_sigbus_handle(info))
		return;
	signal(sig, SIG_DFL);
	raise(sig);
	_exit(128 + sig);
}

void launch_watch_sigbus(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus,
			       .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigset_t set;

	sigaction(SIGBUS, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

enum mote_seccomp launch_seccomp(const struct mote_config *cfg)
{
	if (launch_is(cfg, "sandbox.enable", "no") ||
	    launch_is(cfg, "sandbox.seccomp", "off"))
		return MOTE_SECCOMP_OFF;
	if (launch_is(cfg, "sandbox.seccomp", "log"))
		return MOTE_SECCOMP_LOG;
	if (launch_is(cfg, "sandbox.seccomp", "errno"))
		return MOTE_SECCOMP_ERRNO;
	return MOTE_SECCOMP_KILL;
}

const char *launch_name(const struct mote_config *cfg)
{
	char buf[8]; /* the name is a string of cfg */
	const char *name = mote_config_get(cfg, "vm.name", buf, sizeof(buf));

	return name && name != buf ? name : "";
}

/* --- open -------------------------------------------------------------------
 */

static int open_kvm(struct launcher *l, struct mote_err *err)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		bool perm = errno == EACCES || errno == EPERM;

		return err_set_class(err, errno,
				     perm ? ERR_CLASS_PERM
					  : ERR_CLASS_UNAVAILABLE,
				     "open /dev/kvm: %s: %s", strerror(errno),
				     perm ? "the user needs access to it "
					    "(often: group kvm)"
					  : "this host offers no KVM (kernel "
					    "module missing, or "
					    "virtualisation is off)");
	}
	l->fds.kvm = fd;
	return 0;
}

static int open_kernel(struct launcher *l, struct mote_err *err)
{
	char buf[8];
	const char *path =
		mote_config_get(l->opt->cfg, "vm.kernel", buf, sizeof(buf));

	if (l->opt->snapshot)
		return 0;
	if (l->opt->kernel_fd >= 0) {
		l->fds.kernel = fcntl(l->opt->kernel_fd, F_DUPFD_CLOEXEC, 3);
		return l->fds.kernel < 0
			       ? err_set(err, errno, "dup: %s", strerror(errno))
			       : 0;
	}
	l->fds.kernel = fd_open_regular(AT_FDCWD, path, false, err);
	if (l->fds.kernel < 0)
		return err_wrap(err, l->fds.kernel, "vm.kernel");
	return 0;
}

static int open_initrd(struct launcher *l, struct mote_err *err)
{
	char buf[8];
	const char *path =
		mote_config_get(l->opt->cfg, "vm.initrd", buf, sizeof(buf));

	if (l->opt->snapshot || !path || !*path)
		return 0;
	l->fds.initrd = fd_open_regular(AT_FDCWD, path, false, err);
	if (l->fds.initrd < 0)
		return err_wrap(err, l->fds.initrd, "vm.initrd");
	return 0;
}

static int open_control(struct launcher *l, struct mote_err *err)
{
	const struct mote_config *cfg = l->opt->cfg;
	char buf[8];
	const char *path =
		mote_config_get(cfg, "control.socket", buf, sizeof(buf));

	if (!path || !*path)
		return 0;
	return listen_at("control.socket", path,
			 (mode_t)launch_number(cfg, "control.mode", 0600),
			 &l->fds.control, &l->socket_path, err);
}

/* Open the directory that path lies in; its last part goes into name. */
static int open_parent(const char *key, const char *path, int *dir, char *name,
		       size_t size, struct mote_err *err)
{
	cleanup_free char *copy = strdup(path);
	char *slash;
	int ret;

	if (!copy)
		return err_set(err, ENOMEM, "%s", key);
	for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = 0;
	slash = strrchr(copy, '/');
	snprintf(name, size, "%s", slash ? slash + 1 : copy);
	if (slash)
		slash[slash == copy ? 1 : 0] = 0;
	*dir = fd_open_at(AT_FDCWD, slash ? copy : ".", O_RDONLY | O_DIRECTORY,
			  0);
	if (*dir >= 0)
		return 0;
	ret = err_set_class(err, -*dir, err_path_class(-*dir),
			    "%s: open %s: %s", key, slash ? copy : ".",
			    fd_open_why(-*dir));
	*dir = -1;
	return ret;
}

/* The parent directory of [snapshot] dir, for when=. */
static int open_snapshot_dir(struct launcher *l, struct mote_err *err)
{
	char buf[8];
	const char *dir =
		mote_config_get(l->opt->cfg, "snapshot.dir", buf, sizeof(buf));
	int ret;

	if (!dir || !*dir)
		return 0;
	ret = open_parent("snapshot.dir", dir, &l->fds.snapshot_dir,
			  l->fds.snapshot_name, sizeof(l->fds.snapshot_name),
			  err);
	if (ret < 0)
		return ret;
	if (launch_is(l->opt->cfg, "snapshot.when", "never"))
		return 0;
	/* Better now than when the guest has run. */
	if (!snapdir_name_ok(l->fds.snapshot_name))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "snapshot.dir: %s: expected the path of "
				     "a directory to be made, its name of up "
				     "to %d bytes",
				     dir, SNAPDIR_NAME_MAX - 1);
	if (faccessat(l->fds.snapshot_dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return err_set_class(err, errno, err_path_class(errno),
				     "snapshot.dir: no place for %s: %s", dir,
				     strerror(errno));
	if ((launch_is(l->opt->cfg, "snapshot.when", "ready") ||
	     launch_is(l->opt->cfg, "snapshot.when", "exit")) &&
	    faccessat(l->fds.snapshot_dir, l->fds.snapshot_name, F_OK,
		      AT_SYMLINK_NOFOLLOW) == 0)
		return err_set_class(err, EEXIST, ERR_CLASS_DATA,
				     "snapshot.dir: %s: it exists already",
				     dir);
	return 0;
}

static int open_log(struct launcher *l, struct mote_err *err)
{
	char buf[8];
	const char *path =
		mote_config_get(l->opt->cfg, "log.file", buf, sizeof(buf));
	int fd;

	l->fds.log = STDERR_FILENO;
	if (!path)
		return 0;
	fd = fd_open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0)
		return err_set_class(err, -fd, err_path_class(-fd),
				     "log.file: open %s: %s", path,
				     fd_open_why(-fd));
	l->fds.log = l->log_file = fd;
	return 0;
}

/* The directory of [metrics] file; what is replaced there must be a file. */
static int open_metrics(struct launcher *l, struct mote_err *err)
{
	struct metrics_file *f = &l->metrics;
	char buf[8];
	const char *path =
		mote_config_get(l->opt->cfg, "metrics.file", buf, sizeof(buf));
	struct stat st = {.st_mode = S_IFREG};
	int ret;

	if (!path)
		return 0;
	ret = open_parent("metrics.file", path, &f->dir_fd, f->name,
			  sizeof(f->name), err);
	if (ret < 0)
		return ret;
	if (strlen(f->name) + METRICS_TMP_MAX >= sizeof(f->name))
		ret = ENAMETOOLONG;
	else if (path[strlen(path) - 1] == '/')
		st.st_mode = S_IFDIR;
	else if (fstatat(f->dir_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
		 errno != ENOENT)
		ret = errno;
	if (ret == 0 && !S_ISREG(st.st_mode))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "metrics.file: %s: it is %s, expected a "
				     "regular file or nothing",
				     path, fd_file_kind(st.st_mode));
	if (ret == 0 && faccessat(f->dir_fd, ".", W_OK, AT_EACCESS) < 0)
		ret = errno;
	if (ret)
		return err_set_class(err, ret, err_path_class(ret),
				     "metrics.file: %s: %s", path,
				     strerror(ret));
	f->prometheus = launch_is(l->opt->cfg, "metrics.format", "prometheus");
	f->log = (struct launch_log){.cfg = l->opt->cfg, .fd = l->fds.log};
	return 0;
}

/* Disks and taps, by their sections. */
static int open_devices(struct launcher *l, struct mote_err *err)
{
	struct launch_fds *f = &l->fds;
	struct mote_device_fd d;
	int ret;

	while ((ret = mote_device_open(l->opt->cfg, (size_t)f->device_count, &d,
				       err)) > 0) {
		struct mote_device_fd *more =
			realloc(f->devices,
				((size_t)f->device_count + 1) * sizeof(*more));

		if (!more) {
			fd_close(d.fd);
			return err_set(err, ENOMEM, "devices");
		}
		f->devices = more;
		f->devices[f->device_count++] = d;
	}
	return ret;
}

/* Where the core file of an aborted guest goes. */
static int open_core_dir(struct launcher *l, struct mote_err *err)
{
	char buf[8];
	const char *dir =
		mote_config_get(l->opt->cfg, "vm.core", buf, sizeof(buf));
	int fd;

	if (!dir || !*dir)
		return 0;
	fd = fd_open_at(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_set_class(err, -fd, err_path_class(-fd),
				     "vm.core: %s: %s", dir, fd_open_why(-fd));
	l->fds.core_dir = fd;
	if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
		return err_set_class(err, errno, err_path_class(errno),
				     "vm.core: %s: %s", dir, strerror(errno));
	return 0;
}

static int take_signals(struct launcher *l, struct mote_err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (launch_is(l->opt->cfg, "snapshot.when", "signal"))
		sigaddset(&set, SIGUSR1);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	l->fds.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->fds.signals < 0)
		return err_set(err, errno, "signalfd: %s", strerror(errno));
	return 0;
}

/* [restore] record: what can't be made is told before the guest runs. */
static int open_hotset(struct launcher *l, struct mote_err *err)
{
	const struct launch_options *opt = l->opt;
	int ret;

	if (!opt->snapshot || !launch_is(opt->cfg, "restore.record", "yes"))
		return 0;
	ret = hotfile_begin(mote_snapshot_dir(opt->snapshot), err);
	if (ret < 0)
		return ret;
	l->fds.hotset = ret;
	return 0;
}

int launcher_open(struct launcher *l, struct mote_err *err)
{
	int ret = open_kvm(l, err);

	if (ret == 0)
		ret = open_kernel(l, err);
	if (ret == 0)
		ret = open_initrd(l, err);
	if (ret == 0)
		ret = open_devices(l, err);
	if (ret == 0)
		ret = open_core_dir(l, err);
	if (ret == 0)
		ret = place_open(&l->fds.place, l->opt->cfg, err);
	/* Before the sockets: from there on there is something to remove. */
	if (ret == 0)
		ret = take_signals(l, err);
	if (ret == 0)
		ret = launcher_open_console(l, err);
	if (ret == 0)
		ret = open_control(l, err);
	if (ret == 0)
		ret = open_snapshot_dir(l, err);
	if (ret == 0)
		ret = open_hotset(l, err);
	if (ret == 0)
		ret = open_log(l, err);
	if (ret == 0)
		ret = open_metrics(l, err);
	if (ret == 0)
		ret = account_resolve(l->opt->cfg, &l->fds.uid, &l->fds.gid,
				      err);
	l->fds.owner_uid = getuid();
	return ret;
}

static void close_hotset(struct launcher *l)
{
	if (l->fds.hotset >= 0)
		hotfile_abort(mote_snapshot_dir(l->opt->snapshot),
			      l->fds.hotset);
	fd_clear(&l->fds.hotset);
}

void launcher_close(struct launcher *l)
{
	snapdir_abort(&l->snap);
	if (l->socket_path)
		unlink(l->socket_path);
	free(l->socket_path);
	fd_clear(&l->fds.kvm);
	fd_clear(&l->fds.kernel);
	fd_clear(&l->fds.initrd);
	for (int i = 0; i < l->fds.device_count; i++)
		fd_close(l->fds.devices[i].fd);
	free(l->fds.devices);
	fd_clear(&l->fds.core_dir);
	place_close(&l->fds.place);
	close_hotset(l);
	launcher_close_console(l);
	fd_clear(&l->log_file);
	fd_clear(&l->fds.control);
	fd_clear(&l->fds.snapshot_dir);
	fd_clear(&l->metrics.dir_fd);
	fd_clear(&l->fds.signals);
	fd_clear(&l->broker.sock);
}
