/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launcher.c - what stays outside the jail.
 *
 * The fork comes before anything that binds to an address space exists:
 * KVM VMs, threads and userfaultfd belong to the process that made them.
 * The pid namespace is made by the launcher (it holds for children only),
 * the others by the child itself.
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
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/timeline.h"
#include "launch/hotfile.h"
#include "launch/launcher_priv.h"

#define GRACE_MS     1000 /* after stop_timeout, before SIGKILL */
#define TEARDOWN_MS  10000
#define REAP_STEP_MS 50

static int sync_mode(const struct mote_config *cfg)
{
	if (launch_is(cfg, "snapshot.durability", "none"))
		return SNAPDIR_SYNC_NONE;
	if (launch_is(cfg, "snapshot.durability", "file"))
		return SNAPDIR_SYNC_FILE;
	return SNAPDIR_SYNC_FULL;
}

/* --- the jailed child -------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));

	if (fd >= 0)
		fd_close(fd);
	return ret;
}

/* An ordinary user gets the namespaces through a user namespace. */
static int enter_user_namespace(void)
{
	unsigned int uid = getuid(), gid = getgid();
	char map[64];
	int ret;

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	ret = write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (ret == 0)
		ret = write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	if (ret == 0)
		ret = write_file("/proc/self/gid_map", map);
	return ret;
}

/* In the child: the namespaces that hold for the process itself. */
static int enter_namespaces(const struct launcher *l, struct mote_err *err)
{
	int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	int net = l->opt->netns_fd < 0 ? l->fds.place.netns : l->opt->netns_fd;

	if (net < 0)
		flags |= CLONE_NEWNET;
	else if (setns(net, CLONE_NEWNET) < 0)
		return err_set(err, errno, "network namespace: %s%s",
			       strerror(errno),
			       errno == EPERM ? " (sandbox.netns: only root "
						"may join one)"
					      : "");
	if (unshare(flags) < 0)
		return err_set(err, errno, "namespaces: %s", strerror(errno));
	return 0;
}

static int __attribute__((noreturn)) child_main(struct launcher *l, int sock)
{
	struct launch_result res = {0};
	struct mote_err err = {0};
	struct broker broker = {.sock = sock, .dir_fd = -1};
	struct launch_fds fds = l->fds;
	sigset_t all;
	int ret;

	/* Signals are the launcher's to relay; its death is ours. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	fds.signals = -1;
	ret = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0
		      ? err_set(&err, errno, "death signal: %s",
				strerror(errno))
		      : place_join_cgroups(&fds.place, &err);
	if (ret == 0 && launch_is(l->opt->cfg, "sandbox.namespaces", "yes"))
		ret = enter_namespaces(l, &err);
	mote_timeline_mark(l->opt->timeline, "namespaces");
	if (ret == 0)
		ret = vmproc_run(l->opt, &fds, &broker, true, &res, &err);
	if (ret < 0) {
		struct broker_msg msg = {.op = BROKER_RESULT,
					 .status = ret,
					 .exit_class = err_exit_code(&err)};

		snprintf(msg.text, sizeof(msg.text), "%s", err.msg);
		broker_send(sock, &msg, -1);
	}
	_exit(ret < 0 ? 1 : 0);
}

static int fork_child(struct launcher *l, struct mote_err *err)
{
	bool spaces = launch_is(l->opt->cfg, "sandbox.namespaces", "yes");
	int pair[2];
	int ret = 0;

	if (spaces && geteuid() != 0) {
		ret = enter_user_namespace();
		if (ret < 0)
			return err_set(err, -ret,
				       "user namespace: %s: set "
				       "sandbox.namespaces=no to do without",
				       strerror(-ret));
	}
	if (spaces && unshare(CLONE_NEWPID) < 0)
		return err_set(err, errno,
			       "pid namespace: %s: set sandbox.namespaces=no "
			       "to do without",
			       strerror(errno));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socketpair: %s", strerror(errno));
	l->child = fork();
	if (l->child < 0) {
		ret = err_set(err, errno, "fork: %s", strerror(errno));
		fd_close(pair[0]);
		fd_close(pair[1]);
		return ret;
	}
	if (l->child == 0) {
		fd_close(pair[0]);
		child_main(l, pair[1]);
	}
	fd_close(pair[1]);
	l->broker.sock = pair[0];
	return 0;
}

/* --- serving the child ------------------------------------------------- */

static void serve_begin(struct launcher *l, const struct broker_msg *req,
			int fd, struct broker_msg *rep, int *out_fds,
			struct mote_err *err)
{
	char name[sizeof(req->text)];
	char *base;

	memcpy(name, req->text, sizeof(name));
	base = strchr(name, '\n');
	if (base)
		*base++ = 0;
	/* One that is passed is taken over, also by a failure. */
	if (fd < 0 && l->fds.snapshot_dir >= 0) {
		fd = fcntl(l->fds.snapshot_dir, F_DUPFD_CLOEXEC, 3);
		if (fd < 0) {
			rep->status =
				err_set(err, errno, "snapshot.dir: dup: %s",
					strerror(errno));
			return;
		}
	}
	if (fd < 0) {
		rep->status = err_set_class(err, EINVAL, ERR_CLASS_DATA,
					    "snapshot.dir is not set");
		return;
	}
	snapdir_abort(&l->snap); /* one at a time */
	if (base && (strlen(base) < 34 || strchr(base + 33, '/'))) {
		fd_close(fd);
		rep->status = err_set(err, EPROTO, "bad name of a parent");
		return;
	}
	rep->status = snapdir_begin(&l->snap, fd, name, base, err);
	if (rep->status == 0)
		memcpy(out_fds, l->snap.file_fd, sizeof(l->snap.file_fd));
}

/* Once: then it is no more ours to remove. */
static int commit_hotset(struct launcher *l, struct mote_err *err)
{
	int ret = l->fds.hotset < 0
			  ? err_set(err, EPROTO, "nothing is recorded")
			  : hotfile_commit(mote_snapshot_dir(l->opt->snapshot),
					   l->fds.hotset,
					   (enum snapdir_sync)l->broker.sync,
					   err);

	if (ret == 0)
		fd_clear(&l->fds.hotset);
	return ret;
}

/* False: the answer could not be sent, so the child would wait for ever. */
static bool serve(struct launcher *l, const struct broker_msg *req, int fd)
{
	struct broker_msg rep = {.op = BROKER_REPLY};
	struct mote_err err = {0};
	int out[3] = {-1, -1, -1};
	int ret;

	switch (req->op) {
	case BROKER_SNAP_BEGIN:
		serve_begin(l, req, fd, &rep, out, &err);
		break;
	case BROKER_CORE:
		rep.status = core_open(l->fds.core_dir, &out[0], rep.text,
				       sizeof(rep.text), &err);
		break;
	case BROKER_SNAP_COMMIT:
		rep.status =
			l->snap.made
				? snapdir_commit(
					  &l->snap,
					  (enum snapdir_sync)l->broker.sync,
					  &err)
				: err_set(&err, EPROTO, "no snapshot");
		break;
	case BROKER_HOTSET:
		rep.status = commit_hotset(l, &err);
		break;
	default:
		snapdir_abort(&l->snap);
	}
	if (rep.status < 0) {
		rep.exit_class = err_exit_code(&err);
		snprintf(rep.text, sizeof(rep.text), "%s", err.msg);
	}
	ret = fd_send_msg(l->broker.sock, &rep, sizeof(rep), out,
			  out[0] < 0   ? 0
			  : out[1] < 0 ? 1
				       : 3);
	if (req->op == BROKER_CORE)
		fd_clear(&out[0]);
	if (ret < 0)
		l->deaf = -ret;
	return ret == 0;
}

static void tell_created(struct launcher *l, const char *text)
{
	if (l->opt->created_fd < 0 || l->created)
		return;
	l->created = true;
	fd_write_full(l->opt->created_fd, text, strlen(text));
	fd_close(l->opt->created_fd);
}

/* One message of the child.  False: its end of the socket is gone. */
static bool serve_child(struct launcher *l, struct launch_result *res, int *ret,
			struct mote_err *err)
{
	struct broker_msg msg;
	int fd = -1, n = 0;
	bool open = true;
	int got = broker_recv(l->broker.sock, &msg, &fd, 1, &n);

	if (got < 0) {
		l->deaf = got == -EPIPE ? 0 : -got;
		return false;
	}
	if (n == 0)
		fd = -1;
	if (msg.op == BROKER_CREATED) {
		tell_created(l, "\n");
	} else if (msg.op == BROKER_RESULT) {
		l->have_result = true;
		res->end = (enum mote_end)msg.end;
		res->exit_code = msg.exit_code;
		*ret = msg.status;
		if (msg.status < 0)
			err_set_class(err, -msg.status,
				      (enum err_class)msg.exit_class, "%s",
				      msg.text);
		else if (msg.text[0])
			err_set_class(&res->err, EIO, ERR_CLASS_GUEST, "%s",
				      msg.text);
	} else if (msg.op == BROKER_METRICS) {
		metrics_file_write(&l->metrics, &msg.metrics);
	} else if (msg.op == BROKER_SNAP_BEGIN) {
		return serve(l, &msg, fd); /* fd goes to the snapshot */
	} else {
		open = serve(l, &msg, -1);
	}
	if (fd >= 0)
		fd_close(fd);
	return open;
}

/* A signal of ours: pass it on; the second to stop ends the child. */
static void relay_signal(struct launcher *l, int *asked)
{
	const struct broker_msg stop = {.op = BROKER_STOP};
	const struct broker_msg snapshot = {.op = BROKER_SNAPSHOT};
	struct pollfd room = {.fd = l->broker.sock, .events = POLLOUT};
	struct signalfd_siginfo info;

	while (read(l->fds.signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		if (info.ssi_signo == SIGUSR1) {
			/* One that does not listen has enough of them. */
			if (poll(&room, 1, 0) > 0 && (room.revents & POLLOUT))
				broker_send(l->broker.sock, &snapshot, -1);
			continue;
		}
		if ((*asked)++ == 0) {
			l->asked_ns = timeline_now();
			broker_send(l->broker.sock, &stop, -1);
		} else if (timeline_now() - l->asked_ns >=
			   LAUNCH_SAME_STOP_NS) {
			kill(l->child, SIGKILL);
		}
	}
}

/* The child is gone without a word: say what ended it. */
static int explain_death(int status, int deaf, struct launch_result *res,
			 int asked, struct mote_err *err)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (deaf)
		return err_set(err, deaf, "socket of the VM process: %s",
			       strerror(deaf));
	if (asked && sig == SIGKILL) {
		res->end = MOTE_END_KILLED;
		res->exit_code = 128 + SIGTERM;
		return 0;
	}
	if (sig == SIGSYS)
		return err_set_class(err, EPERM, ERR_CLASS_INTERNAL,
				     "the VM process made a system call that "
				     "its seccomp filter does not allow "
				     "(sandbox.seccomp=log tells which)");
	if (sig) {
		res->end = MOTE_END_KILLED;
		res->exit_code = 128 + sig;
		return 0;
	}
	return err_set_class(err, EPROTO, ERR_CLASS_INTERNAL,
			     "the VM process ended with status %d and no "
			     "result",
			     WEXITSTATUS(status));
}

/*
 * The child has said its last word (or closed its socket): wait for its
 * teardown, but not for ever.  A further signal to us ends the wait too.
 */
static int reap_child(struct launcher *l)
{
	int status = 0;

	for (int ms = 0;; ms += REAP_STEP_MS) {
		struct pollfd p = {.fd = l->fds.signals, .events = POLLIN};
		struct signalfd_siginfo info;
		pid_t pid = waitpid(l->child, &status, WNOHANG);

		if (pid == l->child || (pid < 0 && errno != EINTR))
			return status;
		if (ms >= TEARDOWN_MS)
			kill(l->child, SIGKILL);
		if (poll(&p, 1, REAP_STEP_MS) <= 0)
			continue;
		if (read(l->fds.signals, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGCHLD && info.ssi_signo != SIGUSR1)
			kill(l->child, SIGKILL);
	}
}

static int watch_child(struct launcher *l, struct launch_result *res,
		       struct mote_err *err)
{
	uint64_t limit = launch_number(l->opt->cfg, "vm.stop_timeout", 5000);
	int asked = 0, ret = 0, status = 0;
	bool open = true;

	while (open) {
		struct pollfd p[2] = {
			{.fd = l->broker.sock, .events = POLLIN},
			{.fd = l->fds.signals, .events = POLLIN},
		};
		/* A snapshot takes as long as its disk; then it must talk. */
		bool hurry = asked && !l->snap.made;
		int n = poll(p, 2, hurry ? (int)(limit + GRACE_MS) : -1);

		if (n == 0)
			kill(l->child, SIGKILL); /* it does not even hear us */
		if (n > 0 && p[1].revents)
			relay_signal(l, &asked);
		if (n > 0 && p[0].revents)
			open = serve_child(l, res, &ret, err);
		if (l->have_result)
			break;
	}
	/* One that waits for an answer hears that there will be none. */
	fd_clear(&l->broker.sock);
	status = reap_child(l);
	if (!l->have_result)
		ret = explain_death(status, l->deaf, res, asked, err);
	return ret;
}

static int run_jailed(struct launcher *l, struct launch_result *res,
		      struct mote_err *err)
{
	int ret = fork_child(l, err);

	if (ret < 0)
		return ret;
	/* Not ours any more; a leak here would keep the VM alive. */
	fd_clear(&l->fds.kvm);
	fd_clear(&l->fds.control);
	fd_clear(&l->fds.console_listen);
	return watch_child(l, res, err);
}

static int run_here(struct launcher *l, struct launch_result *res,
		    struct mote_err *err)
{
	int ret;

	l->broker.here = &l->snap;
	l->broker.dir_fd = l->fds.snapshot_dir;
	l->broker.core_dir = l->fds.core_dir;
	l->broker.metrics = &l->metrics;
	l->broker.hotset_fd = l->fds.hotset;
	if (l->fds.hotset >= 0)
		l->broker.hotset_dir = mote_snapshot_dir(l->opt->snapshot);
	ret = place_join_cgroups(&l->fds.place, err);
	return ret < 0 ? ret
		       : vmproc_run(l->opt, &l->fds, &l->broker, false, res,
				    err);
}

int launch_run(const struct launch_options *opt, struct launch_result *res,
	       struct mote_err *err)
{
	struct launcher l = {
		.opt = opt,
		.fds = {.kvm = -1,
			.kernel = -1,
			.initrd = -1,
			.console_in = -1,
			.console_out = -1,
			.console_file = -1,
			.console_listen = -1,
			.console_pty = -1,
			.control = -1,
			.snapshot_dir = -1,
			.signals = -1,
			.core_dir = -1,
			.hotset = -1,
			.place = {.netns = -1},
			.log = STDERR_FILENO},
		.log_file = -1,
		.broker = {.sock = -1,
			   .dir_fd = -1,
			   .hotset_dir = -1,
			   .hotset_fd = -1},
		.snap = {.parent_fd = -1,
			 .dir_fd = -1,
			 .file_fd = {-1, -1, -1}},
		.metrics = {.dir_fd = -1},
	};
	int ret;

	l.broker.sync = sync_mode(opt->cfg);
	ret = launcher_open(&l, err);
	mote_timeline_mark(opt->timeline, "files opened");
	if (ret == 0 && launch_is(opt->cfg, "sandbox.enable", "yes"))
		ret = run_jailed(&l, res, err);
	else if (ret == 0)
		ret = run_here(&l, res, err);
	if (ret < 0)
		tell_created(&l, err && err->msg[0] ? err->msg : "failed");
	launcher_close(&l);
	return ret;
}
