/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmproc.c - the VM process: jail, build, run, answer, report.
 *
 * Jailed, it opens nothing: what it needs was opened by the launcher, and
 * snapshots are made to appear by the launcher too (broker.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fdroom.h"
#include "base/num.h"
#include "base/timeline.h"
#include "launch/autosnap.h"
#include "launch/broker.h"
#include "launch/claim.h"
#include "launch/console.h"
#include "launch/control.h"
#include "launch/launch.h"
#include "launch/logline.h"
#include "launch/meter.h"
#include "launch/metrics.h"
#include "launch/record.h"

#define GUEST_ABORTED 255 /* status of solo5_abort */
#define KEEP_DEVICES                                                           \
	136 /* 63 disks, 63 networks, 8 devices of the host, /dev/vfio/vfio */
#define POLL_MAX                                                               \
	(MOTE_VM_POLL_MAX + CONTROL_CLIENTS + CONSOLE_POLL_MAX +               \
	 CLAIM_POLL_MAX + 3)

struct vmproc {
	const struct launch_options *opt;
	const struct launch_fds *fds;
	struct broker *broker;
	bool jailed;
	unsigned int layers;
	char *missing;
	enum mote_seccomp seccomp;
	struct mote_vm *vm;
	struct control *control;
	struct console console;
	struct claim claim;
	int pagemap; /* of this process, when one is restored; -1 */
	int uffd;    /* likewise, where [restore] wants one; -1 */
	struct launch_log log;
	struct meter meter;
	bool ran;	    /* an instruction of the guest may have run */
	bool stopping;	    /* the guest was asked to end */
	uint64_t asked_ns;  /* ... then */
	bool stop_came;	    /* ... by a message that came amid a request */
	bool stopped_by_us; /* and did not in time */
	uint64_t stop_at_ns;
	struct autosnap autosnap;
	struct record record;
};

/* A line of our own, where [log] level wants it; the library asks itself. */
static void log_above(void *opaque, int level, const char *line)
{
	struct vmproc *p = opaque;

	if (launch_log_level(p->opt->cfg) >= level)
		launch_log_line(&p->log, level, line);
}

/* --- jail ------------------------------------------------------------------
 */

static void log_jail(struct vmproc *p)
{
	char line[560];

	snprintf(line, sizeof(line), "jail: not applied: %s", p->missing);
	launch_log_warn(&p->log, line);
}

static int passed_through(const struct launch_fds *f)
{
	int n = 0;

	for (int i = 0; i < f->device_count; i++)
		n += !strncmp(f->devices[i].section, "passthrough.", 12);
	return n;
}

static bool has_virtio(const struct mote_config *cfg,
		       const struct launch_fds *f)
{
	return f->device_count > passed_through(f) ||
	       launch_is(cfg, "rng.enable", "yes");
}

/* What [memory] lock takes, and what devices pin: both count. */
static uint64_t lock_bytes(const struct mote_config *cfg,
			   const struct launch_fds *f)
{
	uint64_t memory = launch_number(cfg, "vm.memory", 0);

	return (launch_is(cfg, "memory.lock", "yes") ? memory : 0) +
	       (passed_through(f) ? memory : 0);
}

/*
 * Before the rights to do so are dropped; what can't be had shows when the
 * memory is locked.
 */
static void allow_lock(uint64_t bytes)
{
	struct rlimit now, want = {bytes, bytes};

	if (bytes == 0 || getrlimit(RLIMIT_MEMLOCK, &now) < 0 ||
	    now.rlim_cur >= bytes)
		return;
	if (now.rlim_max >= bytes)
		want.rlim_max = now.rlim_max;
	if (setrlimit(RLIMIT_MEMLOCK, &want) == 0)
		return;
	now.rlim_cur = now.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &now);
}

static int enter_jail(struct vmproc *p, struct mote_err *err)
{
	const struct mote_config *cfg = p->opt->cfg;
	const struct launch_fds *f = p->fds;
	const int keep[] = {f->log,	f->kvm,		 f->kernel,
			    f->initrd,	f->console_in,	 f->console_out,
			    f->control, f->console_pty,	 f->console_listen,
			    f->hotset,	p->broker->sock, p->opt->claim_fd};
	const struct mote_jail_options jail = {
		.size = sizeof(jail),
		.require = launch_is(cfg, "sandbox.require", "yes"),
		.new_root = launch_is(cfg, "sandbox.namespaces", "yes"),
		.no_landlock = launch_is(cfg, "sandbox.landlock", "no"),
		.timeline = p->opt->timeline,
		.uid = f->uid,
		.gid = f->gid,
		.keep_fds = keep,
		.keep_count = ARRAY_SIZE(keep),
		.lock_bytes = lock_bytes(cfg, f),
		.more_fds = (unsigned int)passed_through(f) * MOTE_DEVICE_FDS +
			    (has_virtio(cfg, f) ? MOTE_VIRTIO_FDS : 0),
	};
	int extra[ARRAY_SIZE(keep) + MOTE_SNAPSHOT_FDS_MAX + 2 + KEEP_DEVICES];
	struct mote_jail_options j = jail;
	int n = ARRAY_SIZE(keep);

	memcpy(extra, keep, sizeof(keep));
	/* The snapshot's files, where one is restored. */
	if (p->opt->snapshot) {
		n += mote_snapshot_fds(p->opt->snapshot, extra + n);
		extra[n++] = p->pagemap; /* without it diffs are refused */
		extra[n++] = p->uffd;
	}
	for (int i = 0; i < f->device_count && i < KEEP_DEVICES; i++)
		extra[n++] = f->devices[i].fd;
	j.keep_fds = extra;
	j.keep_count = n;
	n = mote_jail_enter(&j, &p->layers, &p->missing, err);
	p->layers |= (unsigned int)j.new_root << JAIL_NAMESPACES |
		     (unsigned int)(p->seccomp != MOTE_SECCOMP_OFF)
			     << JAIL_SECCOMP;
	/* Not applied is never silent. */
	if (n == 0 && p->missing)
		log_jail(p);
	return n;
}

/* A userfaultfd, where restoring may take one; only uffd can't do without. */
static int open_uffd(struct vmproc *p, struct mote_err *err)
{
	const struct mote_config *cfg = p->opt->cfg;
	bool must = launch_is(cfg, "restore.memory", "uffd");
	struct mote_err own = {0};

	if (!must && !(launch_is(cfg, "restore.memory", "auto") &&
		       (launch_is(cfg, "restore.verify", "lazy") ||
			launch_is(cfg, "restore.record", "yes"))))
		return 0;
	p->uffd = mote_uffd_open(&own);
	if (p->uffd >= 0)
		return 0;
	if (must) {
		*err = own;
		return err_wrap(err, p->uffd, "restore.memory");
	}
	p->uffd = -1;
	launch_log_warn(&p->log, own.msg);
	return 0;
}

/* --- snapshots --------------------------------------------------------------
 */

/* Of a diff: what it builds on, as snapdir.h wants it; NULL: nothing. */
static const char *snapshot_base(struct vmproc *p, char buf[256])
{
	uint8_t digest[16];
	const char *parent = mote_vm_parent(p->vm, digest);
	size_t n = 0;

	if (!parent)
		return NULL;
	for (; n < 32; n += 2)
		snprintf(buf + n, 3, "%02x", digest[n / 2]);
	snprintf(buf + n, 256 - n, " %s", parent);
	return buf;
}

/*
 * A guest that is held at the moment of its snapshot (when=ready) stands still
 * for all of it: while it ran, that moment would be over.
 */
static int save_held(struct vmproc *p, struct mote_snapshot_files *files,
		     const struct mote_snapshot_options *opt,
		     struct mote_err *err)
{
	struct mote_status st;
	int ret;

	mote_vm_status(p->vm, &st, NULL);
	ret = st.state == MOTE_ENDED ? 0 : mote_vm_pause(p->vm, err);
	if (ret < 0)
		return ret;
	ret = mote_vm_snapshot(p->vm, files, opt, err);
	if (st.state == MOTE_RUNNING && ret == 0)
		ret = mote_vm_resume(p->vm, err);
	else if (st.state == MOTE_RUNNING)
		mote_vm_resume(p->vm, NULL);
	return ret;
}

/* It counts once it has its name. */
static int write_snapshot(struct vmproc *p, int parent_fd, const char *name,
			  bool diff, bool held, struct mote_err *err)
{
	struct mote_snapshot_files files = {-1, -1, -1};
	const struct mote_snapshot_options opt = {
		.size = sizeof(opt), .name = name, .diff = diff};
	char base[256];
	int ret = broker_snap_begin(p->broker, parent_fd, name,
				    diff ? snapshot_base(p, base) : NULL,
				    &files, &p->stop_came, err);

	if (ret < 0)
		return ret;
	ret = held ? save_held(p, &files, &opt, err)
		   : mote_vm_snapshot_live(p->vm, &files, &opt, err);
	fd_clear(&files.manifest_fd);
	fd_clear(&files.state_fd);
	fd_clear(&files.memory_fd);
	if (ret < 0) {
		broker_snap_abort(p->broker, &p->stop_came);
		return ret;
	}
	ret = broker_snap_commit(p->broker, &p->stop_came, err);
	mote_vm_snapshot_end(p->vm, ret == 0);
	return ret;
}

static int snapshot(struct vmproc *p, int parent_fd, const char *name,
		    bool diff, bool held, struct mote_err *err)
{
	uint64_t began = timeline_now();
	struct mote_status st;
	int ret;

	mote_vm_status(p->vm, &st, NULL);
	ret = write_snapshot(p, parent_fd, name, diff, held, err);
	meter_snapshot(&p->meter, ret == 0, timeline_now() - began,
		       st.state == MOTE_RUNNING);
	return ret;
}

static int take_snapshot(void *opaque, const char *name, struct mote_err *err)
{
	struct vmproc *p = opaque;

	return snapshot(p, -1, name, false, p->autosnap.when == AUTOSNAP_READY,
			err);
}

/* --- control ----------------------------------------------------------------
 */

static const char *state_name(enum mote_state state)
{
	static const char *const name[] = {"built", "running", "paused",
					   "ended"};

	return name[state];
}

static void add_layers(const struct vmproc *p, struct json_object *reply)
{
	struct json_object *list = json_object_new_array();

	for (int i = 0; i < JAIL_LAYERS; i++)
		if (p->layers & 1u << i)
			json_object_array_add(
				list,
				json_object_new_string(jail_layer_name(i)));
	json_object_object_add(reply, "jail", list);
	if (p->missing)
		json_object_object_add(reply, "jail_missing",
				       json_object_new_string(p->missing));
}

static void do_status(struct vmproc *p, struct json_object *reply)
{
	static const char *const kind[] = {"io", "mmio", "hypercall", "kick",
					   "other"};
	struct json_object *exits = json_object_new_object();
	struct mote_status st;

	mote_vm_status(p->vm, &st, NULL);
	json_object_object_add(reply, "state",
			       json_object_new_string(state_name(st.state)));
	json_object_object_add(reply, "ready",
			       json_object_new_boolean(st.ready));
	json_object_object_add(reply, "vcpus",
			       json_object_new_int((int)st.vcpus));
	json_object_object_add(reply, "memory",
			       json_object_new_int64((int64_t)st.memory));
	for (int i = 0; i < 5; i++)
		json_object_object_add(
			exits, kind[i],
			json_object_new_int64((int64_t)st.exits[i]));
	json_object_object_add(reply, "exits", exits);
	json_object_object_add(
		reply, "console_dropped",
		json_object_new_int64((int64_t)st.console_dropped));
	json_object_object_add(reply, "console_attached",
			       json_object_new_boolean(st.console_attached));
	if (p->fds->console_name[0])
		json_object_object_add(
			reply, "console",
			json_object_new_string(p->fds->console_name));
	add_layers(p, reply);
}

/* As JSON, flat; or {"format":"prometheus"}: as "text". */
static int do_metrics(struct vmproc *p, struct json_object *request,
		      struct json_object *reply, struct mote_err *err)
{
	const char *vm = launch_name(p->opt->cfg);
	struct json_object *format = NULL;
	char text[METRICS_TEXT_MAX];
	const char *want = "json";
	struct metrics m;
	int ret;

	if (json_object_object_get_ex(request, "format", &format))
		want = json_object_get_string(format);
	meter_read(&p->meter, &m);
	if (want && !strcmp(want, "json")) {
		metrics_json(&m, vm, reply);
		return 0;
	}
	if (!want || strcmp(want, "prometheus") != 0)
		return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
				     "metrics: found format \"%.32s\", "
				     "expected json or prometheus",
				     want ? want : "null");
	ret = metrics_prometheus(&m, vm, text, sizeof(text));
	if (ret < 0)
		return err_set(err, -ret, "metrics: %s", strerror(-ret));
	json_object_object_add(reply, "text", json_object_new_string(text));
	return 0;
}

static void ask_stop(struct vmproc *p)
{
	uint64_t ms = launch_number(p->opt->cfg, "vm.stop_timeout", 5000);
	struct mote_status st;

	mote_vm_status(p->vm, &st, NULL);
	if (p->stopping) { /* the second time it is meant */
		if (timeline_now() - p->asked_ns < LAUNCH_SAME_STOP_NS)
			return;
		p->stopped_by_us = true;
		mote_vm_kill(p->vm);
		return;
	}
	p->stopping = true;
	if (!p->ran) { /* it must not start in order to be stopped */
		p->stopped_by_us = true;
		mote_vm_kill(p->vm);
		return;
	}
	p->asked_ns = timeline_now();
	p->stop_at_ns = timeline_now() + ms * 1000000;
	mote_vm_ask_stop(p->vm);
	/* A paused guest can't hear it. */
	if (st.state == MOTE_PAUSED)
		mote_vm_resume(p->vm, NULL);
}

static int do_resume(struct vmproc *p, struct mote_err *err)
{
	p->ran = true;
	return mote_vm_resume(p->vm, err);
}

static int do_snapshot(struct vmproc *p, struct json_object *request,
		       const int *fds, int nfds, struct mote_err *err)
{
	struct json_object *name, *diff = NULL;

	if (!json_object_object_get_ex(request, "name", &name) ||
	    !json_object_is_type(name, json_type_string))
		return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
				     "snapshot: expected a string \"name\"");
	if (json_object_object_get_ex(request, "diff", &diff) &&
	    !json_object_is_type(diff, json_type_boolean))
		return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
				     "snapshot: expected true or false as "
				     "\"diff\"");
	return snapshot(p, nfds > 0 ? fds[0] : -1, json_object_get_string(name),
			json_object_get_boolean(diff), false, err);
}

/* Children begin here: the client's three memfds hold where. */
static int do_fork(struct vmproc *p, const int *fds, int nfds,
		   struct mote_err *err)
{
	struct mote_snapshot_files files;

	if (nfds != 3)
		return err_set_class(err, EINVAL, ERR_CLASS_USAGE,
				     "fork: expected three files: manifest, "
				     "state, memory");
	files = (struct mote_snapshot_files){fds[0], fds[1], fds[2]};
	return mote_vm_fork_into(p->vm, &files, err);
}

static void handle(void *opaque, const char *command,
		   struct json_object *request, const int *fds, int nfds,
		   struct json_object *reply)
{
	struct vmproc *p = opaque;
	struct mote_err err = {0};
	int ret = 0;

	if (!strcmp(command, "status"))
		do_status(p, reply);
	else if (!strcmp(command, "metrics"))
		ret = do_metrics(p, request, reply, &err);
	else if (!strcmp(command, "pause"))
		ret = mote_vm_pause(p->vm, &err);
	else if (!strcmp(command, "resume"))
		ret = do_resume(p, &err);
	else if (!strcmp(command, "stop"))
		ask_stop(p);
	else if (!strcmp(command, "snapshot"))
		ret = do_snapshot(p, request, fds, nfds, &err);
	else if (!strcmp(command, "fork"))
		ret = do_fork(p, fds, nfds, &err);
	else
		ret = err_set_class(&err, EINVAL, ERR_CLASS_USAGE,
				    "control: unknown command \"%.32s\"",
				    command);
	if (ret < 0)
		control_error(reply, &err);
}

/* --- loop -------------------------------------------------------------------
 */

static void read_broker(struct vmproc *p)
{
	struct broker_msg msg;
	int fds[1], n;
	int ret = broker_recv(p->broker->sock, &msg, fds, 0, &n);

	if (ret == 0 && msg.op == BROKER_STOP)
		ask_stop(p);
	else if (ret == 0 && msg.op == BROKER_SNAPSHOT)
		p->broker->snap_asked = true;
	else if (ret < 0 && ret != -EAGAIN)
		mote_vm_kill(p->vm); /* no launcher, no VM */
}

static void read_signal(struct vmproc *p)
{
	struct signalfd_siginfo info;

	if (read(p->fds->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1)
		p->broker->snap_asked = true;
	else if (info.ssi_signo != SIGCHLD)
		ask_stop(p);
}

static int timeout_of(const struct vmproc *p, int timeout)
{
	uint64_t now, left;

	/* What came amid the last request waits for no further event. */
	if (p->stop_came || p->broker->snap_asked)
		return 0;
	if (!p->stopping)
		return timeout;
	now = timeline_now();
	left = p->stop_at_ns > now ? (p->stop_at_ns - now) / 1000000 + 1 : 0;
	if (timeout < 0 || left < (uint64_t)timeout)
		timeout = (int)num_min(left, 60000);
	return timeout;
}

static bool finished(const struct vmproc *p)
{
	struct mote_status st;

	mote_vm_status(p->vm, &st, NULL);
	return p->claim.session.hung ||
	       (st.state == MOTE_ENDED &&
		(st.console_pending == 0 || p->stopped_by_us));
}

/* A clone of a pool that is rewound waits for the next client. */
static bool again(struct vmproc *p)
{
	bool yes = !p->stopping && claim_again(&p->claim);

	p->ran &= !yes;
	return yes;
}

static int loop(struct vmproc *p, struct mote_err *err)
{
	int ret = 0;

	while (ret == 0 && (!finished(p) || again(p))) {
		struct pollfd fds[POLL_MAX];
		int timeout, vm, ctl, con, claim, n;

		vm = n = mote_vm_poll(p->vm, fds, &timeout);
		ctl = control_poll(p->control, fds + n);
		n += ctl;
		con = console_poll(&p->console, fds + n, &timeout);
		n += con;
		claim = claim_poll(&p->claim, fds + n, &timeout);
		n += claim;
		meter_poll(&p->meter, &timeout);
		record_poll(&p->record, &timeout);
		if (p->broker->sock >= 0)
			fds[n++] = (struct pollfd){.fd = p->broker->sock,
						   .events = POLLIN};
		if (p->fds->signals >= 0)
			fds[n++] = (struct pollfd){.fd = p->fds->signals,
						   .events = POLLIN};
		fd_room_shut(); /* of clients that have left */
		if (poll(fds, (nfds_t)n, timeout_of(p, timeout)) < 0 &&
		    errno != EINTR)
			return err_set(err, errno, "poll: %s", strerror(errno));
		mote_vm_dispatch(p->vm, fds, vm);
		console_dispatch(&p->console, fds + vm + ctl, con);
		p->ran |=
			claim_dispatch(&p->claim, fds + vm + ctl + con, claim);
		for (int i = vm + ctl + con + claim; i < n; i++) {
			if (!fds[i].revents)
				continue;
			if (fds[i].fd == p->broker->sock)
				read_broker(p);
			else
				read_signal(p);
		}
		control_dispatch(p->control, fds + vm, ctl);
		if (p->stop_came) {
			p->stop_came = false;
			ask_stop(p);
		}
		if (p->stopping && timeline_now() >= p->stop_at_ns) {
			p->stopped_by_us = true;
			mote_vm_kill(p->vm);
		}
		record_turn(&p->record, &p->stop_came);
		ret = autosnap_turn(&p->autosnap, err);
		meter_dispatch(&p->meter, false);
	}
	return ret;
}

static void take_result(struct vmproc *p, struct launch_result *res)
{
	struct mote_status st;

	mote_vm_status(p->vm, &st, &res->err);
	res->end = st.end;
	switch (st.end) {
	case MOTE_END_EXIT:
		res->exit_code = st.exit_code;
		break;
	case MOTE_END_CRASH:
		res->exit_code = ERR_CLASS_GUEST;
		break;
	case MOTE_END_KILLED:
		res->exit_code = 128 + SIGTERM;
		break;
	default:
		res->exit_code = 0;
	}
}

/* [vm] core: what an aborted hvt guest leaves for a debugger. */
static void write_core(struct vmproc *p)
{
	struct mote_err err = {0};
	struct mote_status st;
	char buf[8], line[MOTE_ERR_MAX + 64], name[64];
	const char *dir =
		mote_config_get(p->opt->cfg, "vm.core", buf, sizeof(buf));
	int fd = -1, ret;

	mote_vm_status(p->vm, &st, NULL);
	if (!dir || !*dir || st.end != MOTE_END_EXIT ||
	    st.exit_code != GUEST_ABORTED)
		return;
	ret = broker_core(p->broker, &fd, name, sizeof(name), &p->stop_came,
			  &err);
	if (ret == 0) {
		ret = mote_vm_core(p->vm, fd, &err);
		/* Half a core must not pass for one. */
		if (ret < 0 && ftruncate(fd, 0) == 0)
			err_wrap(&err, ret, "%s is empty", name);
		fd_close(fd);
	}
	if (ret < 0)
		snprintf(line, sizeof(line), "dumpcore: %s", err.msg);
	else
		snprintf(line, sizeof(line),
			 "dumpcore: dumping guest core to: %s/%s", dir, name);
	launch_log_line(&p->log, 4, line);
}

static int tell_created(const struct vmproc *p, struct mote_err *err)
{
	const struct broker_msg msg = {.op = BROKER_CREATED};
	int ret = 0;

	if (p->broker->sock >= 0)
		ret = broker_send(p->broker->sock, &msg, -1);
	else if (p->opt->created_fd >= 0)
		ret = fd_write_full(p->opt->created_fd, "\n", 1);
	return ret < 0 && p->opt->created_fd >= 0
		       ? err_set(err, -ret, "created: %s", strerror(-ret))
		       : 0;
}

static int create(struct vmproc *p, struct mote_err *err)
{
	const struct launch_options *opt = p->opt;
	const struct mote_vm_options vo = {
		.size = sizeof(vo),
		.config = opt->cfg,
		.snapshot = opt->snapshot,
		.kvm_fd = p->fds->kvm,
		.kernel_fd = p->fds->kernel,
		.initrd_fd = p->fds->initrd,
		.pagemap_fd = p->pagemap,
		.uffd_fd = p->uffd,
		.console_in_fd = p->fds->console_in,
		.console_out_fd = p->fds->console_out,
		.seccomp = p->seccomp,
		.rewind = opt->rewind,
		.log = launch_log_line,
		.log_opaque = &p->log,
		.log_level = launch_log_level(opt->cfg),
		.timeline = opt->timeline,
		.devices = p->fds->devices,
		.device_count = p->fds->device_count,
	};
	bool paused =
		opt->paused || opt->claim_fd >= 0 ||
		(opt->snapshot && launch_is(opt->cfg, "restore.resume", "no"));
	int ret = mote_vm_create(&vo, &p->vm, err);

	p->autosnap.vm = p->record.vm = p->vm;
	fd_clear(&p->pagemap);
	fd_clear(&p->uffd);
	p->ran = !paused;
	/* The machine has copies, where the vCPU's filter wants them. */
	for (int i = 0; p->jailed && i < p->fds->device_count; i++)
		fd_close(p->fds->devices[i].fd);
	console_init(&p->console, p->vm, p->fds->console_listen,
		     p->fds->console_pty);
	claim_init(&p->claim, opt->claim_fd, opt->rewind, p->vm);
	p->claim.log = log_above;
	p->claim.opaque = p;
	if (ret == 0)
		ret = mote_vm_start(p->vm, paused, err);
	if (ret == 0 && p->jailed)
		ret = mote_jail_lock(p->seccomp, err);
	return ret;
}

int vmproc_run(const struct launch_options *opt, const struct launch_fds *fds,
	       struct broker *broker, bool jailed, struct launch_result *res,
	       struct mote_err *err)
{
	struct control control; /* large: not zeroed as a whole */
	struct vmproc p = {
		.opt = opt,
		.control = &control,
		.pagemap = -1,
		.uffd = -1,
		.fds = fds,
		.broker = broker,
		.jailed = jailed,
		.log = {.cfg = opt->cfg, .fd = fds->log},
		.seccomp = launch_seccomp(opt->cfg),
	};
	int ret = 0;

	control_init(&control, fds->control, fds->owner_uid);
	console_init(&p.console, NULL, -1, -1);
	claim_init(&p.claim, -1, false, NULL);
	control.handle = handle;
	control.opaque = &p;
	autosnap_init(&p.autosnap, opt->cfg, broker, fds->snapshot_name);
	p.autosnap.take = take_snapshot;
	p.autosnap.log = log_above;
	p.autosnap.opaque = &p;
	p.record = (struct record){.broker = broker,
				   .fd = fds->hotset,
				   .log = log_above,
				   .opaque = &p};
	ret = place_limit(opt->cfg, err);
	allow_lock(lock_bytes(opt->cfg, fds));
	if (opt->snapshot) /* for diffs, and to count changed pages */
		p.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (p.pagemap < 0 && opt->snapshot && jailed)
		p.pagemap = -2; /* it can't be opened later */
	if (opt->snapshot)
		launch_watch_sigbus();
	if (ret == 0 && opt->snapshot)
		ret = open_uffd(&p, err);
	if (ret == 0 && jailed)
		ret = enter_jail(&p, err);
	mote_timeline_mark(opt->timeline, jailed ? "jail closed" : "no jail");
	if (ret == 0)
		ret = create(&p, err);
	if (ret == 0) {
		meter_init(&p.meter, opt->cfg, p.vm, broker, &p.log, p.layers);
		ret = tell_created(&p, err);
		claim_parked(&p.claim);
		if (ret == 0)
			ret = loop(&p, err);
		record_turn(&p.record, &p.stop_came);
		meter_dispatch(&p.meter, true);
	}
	if (ret == 0)
		ret = autosnap_end(&p.autosnap, err);
	if (ret == 0) {
		write_core(&p);
		take_result(&p, res);
		mote_timeline_mark(opt->timeline, "guest ended");
		if (jailed) { /* the result goes out before the teardown */
			struct broker_msg msg = {
				.op = BROKER_RESULT,
				.end = res->end,
				.exit_code = res->exit_code,
			};

			snprintf(msg.text, sizeof(msg.text), "%s",
				 res->err.msg);
			broker_send(broker->sock, &msg, -1);
		}
	}
	control_fini(&control);
	mote_vm_destroy(p.vm);
	console_fini(&p.console); /* the VM borrows its descriptor */
	claim_fini(&p.claim);	  /* likewise */
	free(p.missing);
	return ret;
}
