/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mote.c - the public API: handles, argument checks, the exported symbols.
 */
#include "mote.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/elf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/hvt_abi.h"
#include "base/num.h"
#include "base/ref.h"
#include "base/timeline.h"
#include "build.h"
#include "config/config.h"
#include "core.h"
#include "devices/hostdev.h"
#include "devices/vfio/open.h"
#include "doctor.h"
#include "memory/guestmem.h"
#include "memory/sigbus.h"
#include "sandbox/sandbox.h"
#include "snapshot/hot.h"
#include "snapshot/inspect.h"
#include "snapshot/rewind.h"
#include "snapshot/snapshot.h"
#include "vm.h"

/* The public mirrors of inner types must stay the same thing. */
_Static_assert(sizeof(struct mote_timeline) == sizeof(struct timeline),
	       "mote_timeline");
_Static_assert((int)MOTE_BUILT == VM_BUILT && (int)MOTE_ENDED == VM_ENDED,
	       "mote_state");
_Static_assert((int)MOTE_END_EXIT == VM_END_EXIT &&
		       (int)MOTE_END_KILLED == VM_END_KILLED,
	       "mote_end");
_Static_assert((int)MOTE_JAIL_FDS == JAIL_FDS &&
		       (int)MOTE_JAIL_USER == JAIL_USER,
	       "mote_jail_layer");
_Static_assert((int)MOTE_TRAP_ABSENT == DOCTOR_ABSENT &&
		       (int)MOTE_TRAP_DIFFERS == DOCTOR_DIFFERS,
	       "mote_trap_verdict");

struct mote_config {
	struct vm_config c;
};

struct mote_snapshot {
	struct ref ref; /* its opener's and its machines' */
	struct snapshot s;
};

struct mote_vm {
	struct vm *vm;
	uint64_t restore_ns; /* what mote_vm_create took, when restored */
	struct mote_config *cfg;
	struct mote_snapshot *from; /* a reference, or NULL */
	struct rewind *rewind;	    /* or NULL */
	enum mote_seccomp seccomp;
	bool input_ended;
};

const char *mote_version(void)
{
	return MOTE_VERSION;
}

int mote_err_exit_code(const struct mote_err *err)
{
	return err_exit_code(err);
}

void mote_timeline_mark(struct mote_timeline *t, const char *name)
{
	timeline_mark((struct timeline *)t, name);
}

/* --- configuration -----------------------------------------------------------
 */

struct mote_config *mote_config_new(void)
{
	struct mote_config *cfg = calloc(1, sizeof(*cfg));

	if (cfg && config_init(&cfg->c) < 0) {
		free(cfg);
		return NULL;
	}
	return cfg;
}

void mote_config_free(struct mote_config *cfg)
{
	if (!cfg)
		return;
	config_fini(&cfg->c);
	free(cfg);
}

/* The messages as one text, a line each; frees them. */
static int give_faults(int ret, struct config_errors *errs, char **faults)
{
	size_t len = 1;

	for (size_t i = 0; i < errs->count; i++)
		len += strlen(errs->msg[i]) + 1;
	if (faults) {
		*faults = ret < 0 ? calloc(1, len) : NULL;
		for (size_t i = 0; *faults && i < errs->count; i++) {
			strcat(*faults, errs->msg[i]);
			strcat(*faults, "\n");
		}
	}
	config_errors_fini(errs);
	return ret;
}

int mote_config_read(struct mote_config *cfg, const char *path, char **faults)
{
	struct config_errors errs = {0};
	int ret = config_parse_file(&cfg->c, path, arch_config_bit, &errs);

	return give_faults(ret, &errs, faults);
}

int mote_config_parse(struct mote_config *cfg, const char *name,
		      const char *text, size_t len, char **faults)
{
	struct config_errors errs = {0};
	int ret = config_parse_text(&cfg->c, name, text, len, arch_config_bit,
				    &errs);

	return give_faults(ret, &errs, faults);
}

int mote_config_set(struct mote_config *cfg, const char *origin,
		    const char *assign, char **faults)
{
	struct config_errors errs = {0};
	int ret = config_set(&cfg->c, origin, assign, arch_config_bit, &errs);

	return give_faults(ret, &errs, faults);
}

int mote_config_append_args(struct mote_config *cfg, char *const args[],
			    int count)
{
	return config_append_args(&cfg->c, args, count);
}

int mote_config_check(const struct mote_config *cfg, const char *name,
		      char **faults)
{
	struct config_errors errs = {0};
	int ret = config_check(&cfg->c, name, arch_config_bit, &errs);

	return give_faults(ret, &errs, faults);
}

char *mote_config_describe(const struct mote_config *cfg)
{
	return config_describe(&cfg->c);
}

const char *mote_config_get(const struct mote_config *cfg, const char *key,
			    char *buf, size_t size)
{
	return config_get(&cfg->c, key, buf, size);
}

bool mote_config_key(size_t i, struct mote_key_info *info)
{
	const struct config_key_info *k = config_key(i);

	if (!k)
		return false;
	*info = (struct mote_key_info){
		.section = k->section,
		.key = k->key,
		.type = k->type,
		.unit = k->unit,
		.range = k->range,
		.def = k->def,
		.since = k->since,
		.help = k->help,
		.here = k->arch & arch_config_bit,
	};
	return true;
}

/* --- snapshots ---------------------------------------------------------------
 */

int mote_snapshot_open(int dirfd, const char *path, struct mote_snapshot **out,
		       struct mote_err *err)
{
	struct mote_snapshot *snap = calloc(1, sizeof(*snap));
	int ret;

	*out = NULL;
	if (!snap)
		return err_set(err, ENOMEM, "snapshot");
	ref_init(&snap->ref);
	ret = snapshot_open(&snap->s, dirfd, path, err);
	if (ret < 0) {
		free(snap);
		return ret;
	}
	*out = snap;
	return 0;
}

int mote_snapshot_adopt(const struct mote_snapshot_files *files,
			struct mote_snapshot **out, struct mote_err *err)
{
	const struct snapshot_files f = {files->manifest_fd, files->state_fd,
					 files->memory_fd};
	struct mote_snapshot *snap = calloc(1, sizeof(*snap));
	int ret;

	*out = NULL;
	if (!snap) {
		fd_close(f.manifest_fd);
		fd_close(f.state_fd);
		fd_close(f.memory_fd);
		return err_set(err, ENOMEM, "snapshot");
	}
	ref_init(&snap->ref);
	ret = snapshot_adopt(&snap->s, &f, NULL, err);
	if (ret == 0 && snap->s.manifest.is_diff) {
		ret = err_set_class(err, EINVAL, ERR_CLASS_DATA,
				    "snapshot: a diff can't be opened without "
				    "its parents");
		snapshot_close(&snap->s);
	}
	if (ret < 0) {
		free(snap);
		return ret;
	}
	*out = snap;
	return 0;
}

void mote_snapshot_close(struct mote_snapshot *snap)
{
	if (!snap || !ref_put(&snap->ref))
		return;
	snapshot_close(&snap->s);
	free(snap);
}

_Static_assert(MOTE_SNAPSHOT_FDS_MAX == 2 * (SNAPSHOT_DEPTH_MAX + 1) + 1,
	       "MOTE_SNAPSHOT_FDS_MAX");

int mote_snapshot_fds(const struct mote_snapshot *snap,
		      int fd[MOTE_SNAPSHOT_FDS_MAX])
{
	int n = 0;

	if (snap->s.hotset_fd >= 0)
		fd[n++] = snap->s.hotset_fd;
	for (const struct snapshot *s = &snap->s; s; s = s->parent) {
		fd[n++] = s->fds.state_fd;
		fd[n++] = s->fds.memory_fd;
	}
	return n;
}

int mote_snapshot_dir(const struct mote_snapshot *snap)
{
	return snap->s.dir_fd;
}

int mote_snapshot_merge(struct mote_snapshot *snap,
			const struct mote_snapshot_files *files,
			struct mote_err *err)
{
	const struct snapshot_files f = {files->manifest_fd, files->state_fd,
					 files->memory_fd};

	return snapshot_merge(&snap->s, &f, err);
}

int mote_snapshot_verify(struct mote_snapshot *snap, struct mote_err *err)
{
	int ret = snapshot_verify(&snap->s, err);

	return ret < 0 ? ret : snapshot_verify_hotset(&snap->s, err);
}

int mote_snapshot_seal(struct mote_snapshot *snap, struct mote_err *err)
{
	return snapshot_seal(&snap->s, true, err);
}

int mote_uffd_open(struct mote_err *err)
{
	return pager_open(err);
}

/* Whether it takes the state, only the device itself can say. */
static int compat_devices(const struct snapshot *s, struct mote_err *err)
{
	struct inspect_device d;
	struct snap_section sec;
	uint32_t n = 0;

	while (inspect_device(s, &sec, &n, &d))
		if (d.state && !vfio_host_has(d.vendor, d.device))
			return err_set_class(err, ENODEV, ERR_CLASS_UNAVAILABLE,
					     "passthrough.%s: no PCI device "
					     "%04x:%04x on this host",
					     d.name, d.vendor, d.device);
	return 0;
}

int mote_snapshot_compat(struct mote_snapshot *snap, struct mote_err *err)
{
	int ret = snapshot_compat(&snap->s, err);

	if (ret == 0)
		ret = snapshot_read_state(&snap->s, err);
	if (ret == 0)
		ret = snapshot_host(&snap->s, -1, true, err);
	return ret < 0 ? ret : compat_devices(&snap->s, err);
}

char *mote_snapshot_describe(struct mote_snapshot *snap, bool json,
			     struct mote_err *err)
{
	char *text = NULL;
	size_t len;
	FILE *f;

	if (snapshot_read_state(&snap->s, err) < 0)
		return NULL;
	f = open_memstream(&text, &len);
	if (f) {
		if (json)
			inspect_json(f, &snap->s);
		else
			inspect_text(f, &snap->s);
		if (fclose(f) == 0)
			return text;
		free(text);
	}
	err_set(err, ENOMEM, "description");
	return NULL;
}

static int no_identity(struct mote_err *err)
{
	return err_set_class(err, EINVAL, ERR_CLASS_DATA,
			     "restore.allow_shared_identity: no: the guest's "
			     "contract does not tell clones that they are "
			     "clones (identities and random numbers may "
			     "repeat); expected yes, if that does no harm");
}

int mote_snapshot_may_clone(const struct mote_snapshot *snap,
			    const struct mote_config *cfg, struct mote_err *err)
{
	if (cfg->c.passthrough_count)
		return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
				     "passthrough.%s: a device can't be in two "
				     "machines: no pool",
				     cfg->c.passthrough[0].name);
	return mote_snapshot_has_identity(snap) ||
			       cfg->c.restore.allow_shared_identity
		       ? 0
		       : no_identity(err);
}

bool mote_snapshot_has_identity(const struct mote_snapshot *snap)
{
	return strcmp(snap->s.manifest.identity, "none") != 0;
}

int mote_snapshot_config(const struct mote_snapshot *snap,
			 struct mote_config *cfg, struct mote_err *err)
{
	cleanup_free char *faults = NULL;
	/* Keys of another architecture would be told instead. */
	int ret = snapshot_arch(&snap->s, err);

	if (ret < 0)
		return ret;
	ret = mote_config_parse(cfg, NULL, snap->s.manifest.config,
				snap->s.manifest.config_length, &faults);
	if (faults)
		faults[strcspn(faults, "\n")] = 0; /* one says it */
	if (ret < 0)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "saved configuration: %s",
				     faults ? faults : strerror(-ret));
	/*
	 * What belongs to the run that was saved is not its clones'; and a
	 * snapshot names no file that its restoring user is to open, nor
	 * decides how well he is jailed.
	 */
	if (config_forget_run(&cfg->c) < 0)
		return err_set(err, ENOMEM, "configuration");
	return 0;
}

/* --- the machine -------------------------------------------------------------
 */

static enum sandbox_mode filter_mode(const struct mote_vm *mv)
{
	return (enum sandbox_mode)(mv->seccomp - MOTE_SECCOMP_KILL);
}

static int enter_filter(void *opaque, int vcpu_fd)
{
	const struct mote_vm *mv = opaque;

	return build_vcpu_filter(mv->vm, vcpu_fd, filter_mode(mv));
}

static int enter_pager_filter(void *opaque, int uffd, int events_fd)
{
	return sandbox_filter_load(
		SANDBOX_PAGER, filter_mode(opaque),
		(int[SANDBOX_FDS]){-1, events_fd, -1, uffd, -1, -1});
}

static int enter_io_filter(void *opaque, int fds, int events_fd)
{
	return sandbox_filter_load(
		SANDBOX_IO, filter_mode(opaque),
		(int[SANDBOX_FDS]){-1, events_fd, fds, -1, -1, -1});
}

static int open_kernel(struct mote_vm *mv, int given, int *own,
		       struct mote_err *err)
{
	const char *path = mv->cfg->c.vm.kernel;

	if (given >= 0)
		return given;
	if (!path)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.kernel: not set");
	*own = fd_open_regular(AT_FDCWD, path, false, err);
	return *own < 0 ? err_wrap(err, *own, "vm.kernel") : *own;
}

/* The contract decides what RAM may be: in our own copy it is what it gets. */
static int fit_contract(struct mote_vm *mv, const struct log *log,
			struct mote_err *err)
{
	struct vm_config *c = &mv->cfg->c;
	uint64_t fit = c->vm.memory / HVT_MEMORY_GRAIN * HVT_MEMORY_GRAIN;

	if (c->vm.protocol != PROTOCOL_HVT)
		return 0;
	if (c->vm.vcpus != 1)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.vcpus: %u, protocol hvt has one",
				     c->vm.vcpus);
	if (fit == 0)
		fit = HVT_MEMORY_GRAIN;
	if (fit != c->vm.memory)
		log_warn(log, "vm.memory: adjusting memory to %llu bytes",
			 (unsigned long long)fit);
	c->vm.memory = fit;
	return 0;
}

/* b->initrd_fd: as given, or what *own holds; -1 where none is set. */
static int open_initrd(const struct vm_config *c, struct build_options *b,
		       int *own, struct mote_err *err)
{
	if (!c->vm.initrd) {
		b->initrd_fd = -1;
		return 0;
	}
	if (b->initrd_fd < 0)
		b->initrd_fd = *own =
			fd_open_regular(AT_FDCWD, c->vm.initrd, false, err);
	return b->initrd_fd < 0 ? err_wrap(err, b->initrd_fd, "vm.initrd") : 0;
}

static int boot(struct mote_vm *mv, struct build_options *b, int kernel_fd,
		struct mote_err *err)
{
	struct vm_config *c = &mv->cfg->c;
	cleanup_fd int own = -1, own_initrd = -1;
	struct elf_file kernel;
	int fd = open_kernel(mv, kernel_fd, &own, err);
	int ret = fd < 0 ? fd
			 : build_open_kernel(&kernel, fd, c->vm.kernel,
					     &c->vm.protocol, err);

	if (ret == 0)
		ret = fit_contract(mv, &b->log, err);
	if (ret == 0)
		ret = open_initrd(c, b, &own_initrd, err);
	if (ret == 0)
		ret = build_vm(&mv->vm, b, err);
	if (ret == 0)
		ret = build_boot(mv->vm, b, &kernel, err);
	return ret;
}

static int copy_config(struct mote_vm *mv, const struct mote_config *from,
		       struct mote_err *err)
{
	mv->cfg = calloc(1, sizeof(*mv->cfg));
	if (!mv->cfg || config_copy(&mv->cfg->c, &from->c) < 0)
		return err_set(err, ENOMEM, "configuration");
	return 0;
}

/* The descriptors of devices as build.h wants them; *fds owns the list. */
static int take_fds(struct build_options *b, const struct mote_vm_options *opt,
		    struct build_fd **fds, struct mote_err *err)
{
	int n = opt->device_count;

	if (n == 0)
		return 0;
	*fds = calloc((size_t)n, sizeof(**fds));
	if (!*fds)
		return err_set(err, ENOMEM, "devices");
	for (int i = 0; i < n; i++)
		(*fds)[i] = (struct build_fd){
			.section = opt->devices[i].section,
			.fd = opt->devices[i].fd,
			.mtu = opt->devices[i].mtu,
		};
	b->fds = *fds;
	b->fd_count = n;
	return 0;
}

static int create(struct mote_vm *mv, const struct mote_vm_options *opt,
		  struct mote_err *err)
{
	struct build_options b = {
		.log = {opt->log, opt->log_opaque, opt->log_level},
		.timeline = (struct timeline *)opt->timeline,
		.kvm_fd = opt->kvm_fd,
		.console_in_fd = opt->console_in_fd,
		.console_out_fd = opt->console_out_fd,
		.memory_fd = -1,
		.initrd_fd = opt->initrd_fd,
		.pagemap_fd = opt->pagemap_fd,
		.uffd_fd = opt->uffd_fd,
		.rewind = opt->rewind,
		.opaque = mv,
	};
	cleanup_free struct build_fd *fds = NULL;
	int ret = copy_config(mv, opt->config, err);

	if (ret == 0)
		ret = take_fds(&b, opt, &fds, err);
	if (ret < 0)
		return ret;
	b.cfg = &mv->cfg->c;
	mv->seccomp = opt->seccomp;
	if (opt->seccomp != MOTE_SECCOMP_OFF) {
		b.thread_enter = enter_filter;
		b.pager_enter = enter_pager_filter;
		b.io_enter = enter_io_filter;
	}
	if (opt->snapshot) {
		ref_get(&opt->snapshot->ref);
		mv->from = opt->snapshot;
		ret = snapshot_load(&mv->from->s, &b, &mv->vm, err);
		if (ret == 0 && opt->rewind)
			ret = rewind_init(&mv->rewind, mv->vm, &mv->from->s,
					  err);
		return ret;
	}
	if (opt->rewind)
		return err_set(err, EINVAL,
			       "mote_vm_options: rewind without a snapshot");
	return boot(mv, &b, opt->kernel_fd, err);
}

int mote_vm_create(const struct mote_vm_options *opt, struct mote_vm **out,
		   struct mote_err *err)
{
	struct mote_vm *mv;
	uint64_t began;
	int ret;

	*out = NULL;
	if (!opt || opt->size != sizeof(*opt) || !opt->config)
		return err_set(err, EINVAL,
			       "mote_vm_options: bad size or no "
			       "configuration");
	mv = calloc(1, sizeof(*mv));
	if (!mv)
		return err_set(err, ENOMEM, "virtual machine");
	began = opt->snapshot ? timeline_now() : 0;
	ret = create(mv, opt, err);
	if (ret < 0) {
		mote_vm_destroy(mv);
		return ret;
	}
	mv->restore_ns = opt->snapshot ? timeline_now() - began : 0;
	*out = mv;
	return 0;
}

int mote_vm_start(struct mote_vm *mv, bool paused, struct mote_err *err)
{
	int ret;

	if (mv->vm->state != VM_BUILT)
		return err_set(err, EINVAL, "the VM was started already");
	ret = vm_start(mv->vm, paused, err);
	if (ret == 0)
		hot_finish(mv->vm);
	return ret;
}

int mote_vm_poll(struct mote_vm *mv, struct pollfd *fds, int *timeout_ms)
{
	struct vm *vm = mv->vm;
	int n = 0;

	*timeout_ms = vm_timeout(vm);
	fds[n++] = (struct pollfd){.fd = vm->events.fd, .events = POLLIN};
	if (!mv->input_ended && vm->state == VM_RUNNING &&
	    chardev_wants_input(&vm->console))
		fds[n++] = (struct pollfd){.fd = vm->console.in_fd,
					   .events = POLLIN};
	/* A slow reader: nobody else would tell that it takes more. */
	if (vm->console_blocked)
		fds[n++] = (struct pollfd){.fd = vm->console.out_fd,
					   .events = POLLOUT};
	return n;
}

int mote_vm_dispatch(struct mote_vm *mv, const struct pollfd *fds, int n)
{
	struct vm *vm = mv->vm;

	for (int i = 0; i < n; i++) {
		if (fds[i].fd != vm->console.in_fd || !fds[i].revents ||
		    !(fds[i].events & POLLIN))
			continue;
		if (!chardev_fill(&vm->console))
			mv->input_ended = true;
		vm_nudge(vm); /* a guest that waits may look for it */
	}
	vm_dispatch(vm);
	return 0;
}

static void add_exits(struct vcpu *const vcpu[], uint32_t n, uint64_t *exits)
{
	for (uint32_t i = 0; i < n; i++)
		for (int k = 0; k < VCPU_EXIT_KINDS; k++)
			exits[k] += atomic_load_explicit(&vcpu[i]->exits[k],
							 memory_order_relaxed);
}

/* Of all vCPUs, also those that are out: a counter does not go down. */
static void sum_exits(const struct vm *vm, uint64_t *exits)
{
	add_exits(vm->vcpu, vm->vcpus, exits);
	add_exits(vm->unplugged, vm->unpluggeds, exits);
}

void mote_vm_status(struct mote_vm *mv, struct mote_status *st,
		    struct mote_err *err)
{
	struct vm *vm = mv->vm;

	*st = (struct mote_status){
		.size = sizeof(*st),
		.state = (enum mote_state)vm->state,
		.end = (enum mote_end)vm->end,
		.exit_code = vm->exit_code,
		.ready = vm->ready,
		.vcpus = vm->vcpus,
		.memory = memslot_total(&vm->slots),
		.console_attached = vm->console.out_fd >= 0,
	};
	chardev_counts(&vm->console, &st->console_dropped,
		       &st->console_pending);
	sum_exits(vm, st->exits);
	if (err && vm->err.code)
		*err = vm->err;
}

static enum mote_restore restore_mode(int restored)
{
	static const enum mote_restore mode[] = {
		[RESTORE_COW] = MOTE_RESTORE_COW,
		[RESTORE_COPY] = MOTE_RESTORE_COPY,
		[RESTORE_UFFD] = MOTE_RESTORE_UFFD,
	};

	return mode[restored];
}

int mote_vm_metrics(struct mote_vm *mv, struct mote_metrics *m)
{
	struct vm *vm = mv->vm;
	const struct vm_snapshots *s = &vm->snapshots;
	bool taken = s->taken > 0;
	struct mote_metrics now = {
		.size = num_min(m->size, sizeof(now)),
		.state = (enum mote_state)vm->state,
		.ready = vm->ready,
		.vcpus = vm->vcpus,
		.memory = memslot_total(&vm->slots),
		.snapshots = s->taken,
		.snapshots_failed = s->failed,
		.snapshot_ns = taken ? (int64_t)s->last.ns : -1,
		.snapshot_bytes = taken ? (int64_t)s->last.bytes : -1,
		.snapshot_pages = taken ? s->last.pages : -1,
		.snapshot_pause_ns = taken ? s->last.pause_ns : -1,
		.snapshot_predicted_ns = taken ? s->last.predicted_ns : -1,
		.restore_ns = vm->loaded ? (int64_t)mv->restore_ns : -1,
	};
	uint64_t pending;

	if (m->size < sizeof(m->size))
		return -EINVAL;
	if (vm->loaded)
		now.restore = restore_mode(vm->restored);
	now.dirty_pages = track_count(&vm->track);
	sum_exits(vm, now.exits);
	chardev_counts(&vm->console, &now.console_dropped, &pending);
	memcpy(m, &now, now.size);
	return 0;
}

int mote_vm_pause(struct mote_vm *mv, struct mote_err *err)
{
	if (mv->vm->state == VM_RUNNING)
		snapshot_prepare(mv->vm); /* most are paused to be saved */
	return vm_pause(mv->vm, err);
}

int mote_vm_resume(struct mote_vm *mv, struct mote_err *err)
{
	return vm_resume(mv->vm, err);
}

int mote_vm_rewind(struct mote_vm *mv, uint64_t *pages, struct mote_err *err)
{
	if (!mv->rewind)
		return err_set(err, EINVAL,
			       "rewind: the VM was not created for it");
	return rewind_vm(mv->rewind, pages, err);
}

int mote_vm_vcpu_unplug(struct mote_vm *mv, uint32_t id, struct mote_err *err)
{
	return vm_vcpu_unplug(mv->vm, id, err);
}

int mote_vm_vcpu_replug(struct mote_vm *mv, uint32_t id, struct mote_err *err)
{
	return vm_vcpu_replug(mv->vm, id, err);
}

int mote_vm_console_attach(struct mote_vm *mv, int in_fd, int out_fd)
{
	mv->input_ended = false;
	vm_console_attach(mv->vm, in_fd, out_fd);
	return 0;
}

void mote_vm_ask_stop(struct mote_vm *mv)
{
	vm_ask_stop(mv->vm);
}

void mote_vm_kill(struct mote_vm *mv)
{
	vm_kill(mv->vm);
}

bool mote_vm_snapshot_due(struct mote_vm *mv)
{
	bool due = mv->vm->due;

	mv->vm->due = false;
	return due;
}

static int take(struct mote_vm *mv, const struct mote_snapshot_files *files,
		const struct mote_snapshot_options *opt, bool live,
		struct mote_err *err)
{
	const struct snapshot_files f = {files->manifest_fd, files->state_fd,
					 files->memory_fd};
	struct snapshot_options o = {
		.from = mv->from ? &mv->from->s : NULL,
	};

	if (opt && opt->size != sizeof(*opt))
		return err_set(err, EINVAL, "mote_snapshot_options: bad size");
	if (opt) {
		o.name = opt->name;
		o.diff = opt->diff;
	}
	if (mv->vm->state == VM_ENDED) {
		int ret = vm_settle(mv->vm, err);

		if (ret < 0)
			return ret;
	}
	return live ? snapshot_save_live(mv->vm, &f, &o, err)
		    : snapshot_save(mv->vm, &f, &o, err);
}

int mote_vm_snapshot(struct mote_vm *mv,
		     const struct mote_snapshot_files *files,
		     const struct mote_snapshot_options *opt,
		     struct mote_err *err)
{
	return take(mv, files, opt, false, err);
}

int mote_vm_snapshot_live(struct mote_vm *mv,
			  const struct mote_snapshot_files *files,
			  const struct mote_snapshot_options *opt,
			  struct mote_err *err)
{
	return take(mv, files, opt, true, err);
}

void mote_vm_snapshot_end(struct mote_vm *mv, bool kept)
{
	snapshot_saved(mv->vm, kept);
}

int mote_hpt_read(struct mote_vm *mv, uint64_t first, bool bolted,
		  void **stream, size_t *len, struct mote_err *err)
{
	*stream = NULL;
	*len = 0;
	if (mv->vm->state == VM_RUNNING)
		return err_set(err, EBUSY, "the VM is running: pause it first");
	return arch_hpt_read(&mv->vm->arch, first, bolted, stream, len, err);
}

int mote_vm_hotset(struct mote_vm *mv, int fd, struct mote_err *err)
{
	if (!mv->from || !mv->cfg->c.restore.record)
		return err_set(err, EINVAL,
			       "hotset: the VM was not restored to record it");
	return hot_record(mv->vm, &mv->from->s, fd, err);
}

const char *mote_vm_parent(struct mote_vm *mv, uint8_t digest[16])
{
	const struct vm_reference *r = &mv->vm->reference;

	if (!r->name[0])
		return NULL;
	memcpy(digest, r->digest, sizeof(r->digest));
	return r->name;
}

int mote_vm_core(struct mote_vm *mv, int fd, struct mote_err *err)
{
	if (mv->vm->state == VM_RUNNING)
		return err_set(err, EBUSY, "the VM is running: pause it first");
	return core_write(mv->vm, fd, err);
}

int mote_vm_fork_into(struct mote_vm *mv,
		      const struct mote_snapshot_files *files,
		      struct mote_err *err)
{
	const struct snapshot_files f = {files->manifest_fd, files->state_fd,
					 files->memory_fd};

	if (!mv->vm->identity && !mv->cfg->c.restore.allow_shared_identity)
		return no_identity(err);
	return snapshot_fork_into(&f, mv->vm, mv->from ? &mv->from->s : NULL,
				  err);
}

int mote_vm_memory_read(struct mote_vm *mv, uint64_t gpa, void *buf, size_t len)
{
	return guest_read(&mv->vm->slots, gpa, buf, len);
}

int mote_vm_memory_write(struct mote_vm *mv, uint64_t gpa, const void *buf,
			 size_t len)
{
	return guest_write(&mv->vm->slots, gpa, buf, len);
}

int mote_vm_fork(struct mote_vm *mv, struct mote_snapshot **out,
		 struct mote_err *err)
{
	struct mote_snapshot *snap;
	bool rebased = false;
	int ret;

	*out = NULL;
	if (!mv->vm->identity && !mv->cfg->c.restore.allow_shared_identity)
		return no_identity(err);
	snap = calloc(1, sizeof(*snap));
	if (!snap)
		return err_set(err, ENOMEM, "fork");
	ref_init(&snap->ref);
	ret = snapshot_fork(&snap->s, mv->vm, mv->from ? &mv->from->s : NULL,
			    &rebased, err);
	if (ret < 0) {
		free(snap);
		return ret;
	}
	if (rebased) { /* only a VM that came from nowhere is */
		ref_get(&snap->ref);
		mv->from = snap;
	}
	*out = snap;
	return 0;
}

void mote_vm_destroy(struct mote_vm *mv)
{
	if (!mv)
		return;
	vm_destroy(mv->vm);
	rewind_fini(mv->rewind);
	mote_snapshot_close(mv->from);
	mote_config_free(mv->cfg);
	free(mv);
}

/* --- the host ----------------------------------------------------------------
 */

struct say {
	void (*say)(void *opaque, const struct mote_finding *f);
	void *opaque;
};

static void pass_on(void *opaque, const struct doctor_finding *f)
{
	const struct say *s = opaque;
	const struct mote_finding out = {
		.name = f->name,
		.ok = f->ok,
		.detail = f->detail,
		.cost = f->cost,
		.remedy = f->remedy,
	};

	s->say(s->opaque, &out);
}

bool mote_doctor(void (*say)(void *opaque, const struct mote_finding *f),
		 void *opaque)
{
	struct say s = {say, opaque};

	return doctor_run(pass_on, &s);
}

/* --- devices -----------------------------------------------------------------
 */

/* Devices of the host, then what all of them need. */
static int open_passthrough(const struct vm_config *c, size_t i,
			    struct mote_device_fd *out, struct mote_err *err)
{
	const char *more;

	if (i < c->passthrough_count) {
		snprintf(out->section, sizeof(out->section), "passthrough.%s",
			 c->passthrough[i].name);
		out->fd = vfio_open_device(&c->passthrough[i], err);
		return out->fd < 0 ? out->fd : 1;
	}
	more = vfio_open_more(c, (unsigned int)(i - c->passthrough_count));
	if (!more)
		return 0;
	snprintf(out->section, sizeof(out->section), "%s", more);
	out->fd = vfio_open_container(more, err);
	return out->fd < 0 ? out->fd : 1;
}

int mote_device_open(const struct mote_config *cfg, size_t i,
		     struct mote_device_fd *out, struct mote_err *err)
{
	const struct vm_config *c = &cfg->c;
	bool disk = i < c->disk_count;
	int ret;

	*out = (struct mote_device_fd){.fd = -1};
	if (!disk && i >= (size_t)c->disk_count + c->net_count)
		return open_passthrough(c, i - c->disk_count - c->net_count,
					out, err);
	snprintf(out->section, sizeof(out->section), "%s.%s",
		 disk ? "disk" : "net",
		 disk ? c->disk[i].name : c->net[i - c->disk_count].name);
	ret = disk ? hostdev_open_disk(&c->disk[i], &out->fd, err)
		   : hostdev_open_net(&c->net[i - c->disk_count],
				      c->vm.protocol != PROTOCOL_HVT &&
					      c->vm.protocol != PROTOCOL_AUTO,
				      &out->fd, &out->mtu, err);
	return ret < 0 ? ret : 1;
}

struct say_trap {
	void (*say)(void *opaque, const struct mote_trap *t);
	void *opaque;
};

static void pass_trap_on(void *opaque, const struct doctor_trap *t)
{
	const struct say_trap *s = opaque;
	const struct mote_trap out = {
		.name = t->name,
		.verdict = (enum mote_trap_verdict)t->verdict,
		.detail = t->detail,
	};

	s->say(s->opaque, &out);
}

bool mote_doctor_uapi(void (*say)(void *opaque, const struct mote_trap *t),
		      void *opaque)
{
	struct say_trap s = {say, opaque};

	return doctor_uapi(pass_trap_on, &s);
}

/* --- jail --------------------------------------------------------------------
 */

int mote_jail_enter(const struct mote_jail_options *opt, unsigned int *layers,
		    char **missing, struct mote_err *err)
{
	struct jail_report report = {0};
	const struct jail_options j = {
		.require = opt->require,
		.new_root = opt->new_root,
		.uid = opt->uid,
		.gid = opt->gid,
		.keep_fds = opt->keep_fds,
		.keep_count = opt->keep_count,
		.lock_bytes = opt->lock_bytes,
		.more_fds = opt->more_fds,
		.no_landlock = opt->no_landlock,
		.timeline = (struct timeline *)opt->timeline,
	};
	int ret = jail_enter(&j, &report, err);

	if (layers)
		*layers = report.layers;
	if (missing)
		*missing = report.missing[0] ? strdup(report.missing) : NULL;
	return ret;
}

int mote_jail_lock(enum mote_seccomp mode, struct mote_err *err)
{
	const int fd[SANDBOX_FDS] = {-1, -1, -1, -1, -1, -1};
	int ret;

	ret = jail_lock(err);
	if (ret < 0 || mode == MOTE_SECCOMP_OFF)
		return ret;
	ret = sandbox_filter_load(SANDBOX_CONTROL,
				  (enum sandbox_mode)(mode - MOTE_SECCOMP_KILL),
				  fd);
	if (ret < 0)
		return err_set(err, -ret, "seccomp filter \"control\": %s",
			       strerror(-ret));
	return 0;
}

bool mote_sigbus_handle(const siginfo_t *info)
{
	return sigbus_handle(info);
}
