/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/timeline.h"
#include "build.h"
#include "config/config.h"
#include "snapshot/hot.h"
#include "snapshot/paged.h"
#include "snapshot/plan.h"
#include "vm.h"

#define SECTION_CONSOLE "console"
#define CONSOLE_VERSION 1

/* --- save ------------------------------------------------------------------
 */

/* A page of a parent's diff that is still as it was there has not changed. */
static int drop_same(struct vm *vm, const struct snapshot *from, uint64_t *bits,
		     struct mote_err *err)
{
	uint64_t pages = track_pages(&vm->track), page = host_page_size(), n;
	cleanup_free uint8_t *was = NULL;

	if (!from || !from->parent || vm->track.mode != TRACK_FILE)
		return 0;
	was = malloc(page);
	if (!was)
		return err_set(err, ENOMEM, "changed pages");
	for (uint64_t i = 0; (i = bitmap_next(bits, i, pages)) < pages; i++) {
		int ret = snapshot_diff_page(from, i, was);

		if (ret < 0)
			return err_set_class(err, -ret, ERR_CLASS_IO,
					     "read of a parent's memory: %s",
					     strerror(-ret));
		if (ret > 0 &&
		    !memcmp(was, memslot_page(&vm->slots, i, &n), page))
			bitmap_clear(bits, i);
	}
	return 0;
}

/* The reference of a diff is the parent that its manifest names. */
static int find_changed(struct vm *vm, const struct snapshot_options *opt,
			uint64_t **bits, struct mote_err *err)
{
	struct mote_err own = {0};
	int ret;

	*bits = NULL;
	if (opt->fork && (!opt->from || !vm->track.mapped))
		return 0;
	if (opt->fork) {
		*bits = track_bits(&vm->track);
		return *bits ? track_diverged(&vm->track, *bits, err)
			     : err_set(err, ENOMEM, "changed pages");
	}
	if (opt->diff && !vm->reference.name[0])
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "diff: there is no snapshot that it could "
				     "be the difference to: take a full one "
				     "first");
	if (opt->diff) {
		*bits = track_bits(&vm->track);
		if (!*bits)
			return err_set(err, ENOMEM, "changed pages");
	}
	ret = track_mark(&vm->track, *bits, opt->diff ? err : &own);
	if (ret < 0 && opt->diff)
		return err_wrap(err, ret, "diff to %s", vm->reference.name);
	if (ret < 0) /* a full one does without; later diffs can't be had */
		log_warn(&vm->log, "snapshot: changes can't be tracked: %s",
			 own.msg);
	if (!*bits)
		return 0;
	ret = drop_same(vm, opt->from, *bits, err);
	if (ret == 0 && vm->track.mode == TRACK_FILE)
		ret = hot_drop_same(vm, opt->from, *bits, err);
	return ret;
}

/* What the manifest names as its parent. */
static void name_parent(const struct vm *vm, const struct snapshot_options *opt,
			struct manifest *m)
{
	if (opt->fork) { /* its folder, if it has one, is not looked for */
		strcpy(m->parent,
		       opt->from->name[0] ? opt->from->name : "parent");
		m->parent_digest = opt->from->manifest.digest;
		return;
	}
	memcpy(m->parent, vm->reference.name, sizeof(m->parent));
	memcpy(m->parent_digest.byte, vm->reference.digest,
	       sizeof(m->parent_digest.byte));
}

/* bits: of a diff the pages that changed, else NULL. */
static int save_memory(struct vm *vm, const struct snapshot_options *opt,
		       const uint64_t *bits, int fd, struct snap_writer *w,
		       struct manifest *m, struct vm_save *s,
		       struct mote_err *err)
{
	int ret;

	s->pages = -1;
	if (bits) {
		s->pages = (int64_t)bitmap_count(bits, track_pages(&vm->track));
		name_parent(vm, opt, m);
		ret = diff_save(&vm->slots, bits, fd, w, &m->memory_digest,
				&m->memory_length, err);
		s->bytes = m->memory_length;
		return ret;
	}
	m->memory_length = memslot_total(&vm->slots);
	if (opt->frozen)
		return ram_describe(&vm->slots, w, &m->memory_digest, err);
	return ram_save(&vm->slots, fd, w, &m->memory_digest, &s->bytes, err);
}

static int save_state(struct vm *vm, const struct snapshot_options *opt,
		      struct snap_writer *w, int memory_fd, struct manifest *m,
		      struct vm_save *s, struct mote_err *err)
{
	cleanup_free uint64_t *bits = NULL;
	int ret = arch_vm_save(&vm->arch, w, err);

	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = arch_vcpu_save(&vm->vcpu[i]->arch, w, err);
	if (ret == 0)
		ret = arch_irq_save(&vm->arch, w, err);
	for (uint32_t i = 0; ret == 0 && i < vm->devices; i++)
		ret = device_save(vm->device[i], w, err);
	if (ret < 0)
		return ret;
	snap_section_begin(w, SECTION_CONSOLE, 0, CONSOLE_VERSION,
			   SNAP_REQUIRED);
	chardev_save(&vm->console, w);
	snap_section_end(w);
	ret = find_changed(vm, opt, &bits, err);
	if (ret == 0)
		ret = save_memory(vm, opt, bits, memory_fd, w, m, s, err);
	if (ret == 0)
		ret = snap_writer_finish(w, err);
	return ret;
}

static int write_file(int fd, const void *buf, size_t len, const char *name,
		      struct mote_err *err)
{
	int ret = fd_write_full(fd, buf, len);

	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_IO,
				     "write of the %s file: %s", name,
				     strerror(-ret));
	return 0;
}

int snapshot_write(struct manifest *m, const struct snap_writer *w,
		   const struct snapshot_files *files, struct mote_err *err)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int ret;

	m->state_length = w->len;
	m->state_digest = snap_digest(w->buf, w->len);
	text = manifest_format(m, &len);
	if (!text)
		return err_set(err, ENOMEM, "manifest");
	ret = write_file(files->state_fd, w->buf, w->len, "state", err);
	if (ret == 0)
		ret = write_file(files->manifest_fd, text, len, "manifest",
				 err);
	return ret;
}

void snapshot_prepare(struct vm *vm)
{
	if (!vm->cpu_model[0])
		arch_cpu_model(vm->cpu_model, sizeof(vm->cpu_model));
}

/*
 * The configuration as the manifest holds it: the machine's, and nothing of
 * the run that it was saved in (paths of sockets, folders, disks).  A child has
 * its RAM for itself, whatever its parent began with.
 */
static char *describe_config(const struct vm_config *cfg, bool child)
{
	struct vm_config own;
	char *text = NULL;

	if (config_copy(&own, cfg) < 0)
		return NULL;
	if (child)
		own.memory.shared = false;
	if (config_forget_run(&own) == 0)
		text = config_describe(&own);
	config_fini(&own);
	return text;
}

/* What the manifest says of the machine. */
static int describe(struct vm *vm, bool child, struct manifest *m,
		    struct mote_err *err)
{
	snprintf(m->arch, sizeof(m->arch), "%s", arch_name);
	snprintf(m->identity, sizeof(m->identity), "%s",
		 vm->event_device ? "generation-page" : "none");
	snapshot_prepare(vm);
	memcpy(m->cpu, vm->cpu_model, sizeof(m->cpu));
	m->page_size = (uint32_t)host_page_size();
	m->vcpus = vm->vcpus;
	m->config = describe_config(vm->cfg, child);
	if (!m->config)
		return err_set(err, ENOMEM, "manifest");
	m->config_length = strlen(m->config);
	return 0;
}

static void note_saving(struct vm *vm, const char *name,
			const struct manifest *m)
{
	memset(&vm->saving, 0, sizeof(vm->saving));
	if (name && manifest_name_ok(name))
		strcpy(vm->saving.name, name);
	memcpy(vm->saving.digest, m->digest.byte, sizeof(vm->saving.digest));
}

static int save(struct vm *vm, const struct snapshot_files *files,
		const struct snapshot_options *opt, struct vm_save *s,
		struct mote_err *err)
{
	struct manifest m = {0};
	struct mote_err bad = {0};
	struct snap_writer w;
	int ret;

	if (vm->state == VM_RUNNING)
		return err_set(err, EBUSY, "the VM is running: pause it first");
	if (vm->unpluggeds)
		return err_set(err, EBUSY,
			       "a vCPU is unplugged: put it back "
			       "first");
	/* What the guest has said is out before the state is taken. */
	chardev_flush(&vm->console, false);
	snap_writer_init(&w);
	ret = describe(vm, opt->fork, &m, err);
	if (ret == 0)
		ret = save_state(vm, opt, &w, files->memory_fd, &m, s, err);
	if (ret == 0 && vm->pager && pager_failed(vm->pager, &bad)) {
		if (err)
			*err = bad;
		ret = -bad.code;
	}
	if (ret == 0)
		ret = snapshot_write(&m, &w, files, err);
	if (!opt->fork) {
		note_saving(vm, opt->name, &m);
		if (ret < 0)
			track_end(&vm->track, false);
	}
	snap_writer_fini(&w);
	manifest_fini(&m);
	return ret;
}

int snapshot_save(struct vm *vm, const struct snapshot_files *files,
		  const struct snapshot_options *opt, struct mote_err *err)
{
	struct vm_snapshots *s = &vm->snapshots;
	struct vm_save now = {.pause_ns = -1};
	uint64_t began = timeline_now();
	int ret = save(vm, files, opt, &now, err);

	if (ret < 0) {
		s->failed++;
		return ret;
	}
	now.ns = timeline_now() - began;
	s->taken++;
	s->last = now;
	s->in_this_pause = true;
	return 0;
}

void snapshot_saved(struct vm *vm, bool kept)
{
	if (kept)
		vm->reference = vm->saving;
	track_end(&vm->track, kept);
}

/* --- load ------------------------------------------------------------------
 */

/* Is the machine that cfg describes the one that was saved? */
static int check_shape(const struct snapshot *s, const struct vm_config *cfg,
		       struct mote_err *err)
{
	struct arch_ram ram[ARCH_RAM_MAX];
	int n = arch_ram_layout(cfg->vm.protocol, cfg->vm.memory, ram);

	if (cfg->vm.vcpus != s->manifest.vcpus)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.vcpus: %u, the snapshot has %u",
				     cfg->vm.vcpus, s->manifest.vcpus);
	if (n < 0 || (uint32_t)n != s->ram.regions ||
	    cfg->vm.memory != s->ram.ram)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.memory: %" PRIu64 " bytes, the "
				     "snapshot has %" PRIu64,
				     cfg->vm.memory, s->ram.ram);
	for (int i = 0; i < n; i++)
		if (ram[i].gpa != s->ram.region[i].gpa ||
		    ram[i].size != s->ram.region[i].size)
			return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
					     "section ram: region %d lies "
					     "elsewhere than in this version",
					     i);
	return 0;
}

static int load_vcpu(struct arch_vcpu *v, struct snap_reader *r,
		     enum snapshot_pass pass, struct mote_err *err)
{
	if (pass == SNAPSHOT_LOAD)
		return arch_vcpu_load(v, r, err);
	return arch_vcpu_rewind(v, r, pass == SNAPSHOT_REWIND_WHOLE, err);
}

static int load_sections(struct vm *vm, struct snap_reader *r,
			 enum snapshot_pass pass, struct mote_err *err)
{
	struct snap_section s;
	int ret = arch_vm_load(&vm->arch, r, err);

	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = load_vcpu(&vm->vcpu[i]->arch, r, pass, err);
	if (ret == 0)
		ret = arch_irq_load(&vm->arch, r, err);
	for (uint32_t i = 0; ret == 0 && i < vm->devices; i++)
		ret = device_load(vm->device[i], r, err);
	if (ret == 0)
		ret = snap_section_open(r, SECTION_CONSOLE, 0, &s, err);
	if (ret == 0)
		ret = snap_section_version(&s, CONSOLE_VERSION, err);
	if (ret < 0)
		return ret;
	if (chardev_load(&vm->console, &s) < 0)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section console: more than its buffers "
				     "hold");
	ret = snap_section_close(&s, err);
	if (ret == 0)
		ret = snap_reader_finish(r, err);
	return ret;
}

int snapshot_load_state(struct vm *vm, const struct snapshot *s,
			enum snapshot_pass pass, struct mote_err *err)
{
	struct snap_reader r = s->reader; /* it notes what was used */
	int ret = load_sections(vm, &r, pass, err);

	return ret < 0 ? err_wrap(err, ret, "state") : 0;
}

static int check(struct snapshot *s, const struct build_options *opt,
		 struct mote_err *err)
{
	const struct vm_config *cfg = opt->cfg;
	int ret = snapshot_compat(s, err);

	if (ret == 0)
		ret = snapshot_read_state(s, err);
	if (ret == 0)
		ret = check_shape(s, cfg, err);
	return ret < 0 ? ret : snapshot_host(s, opt->kvm_fd, err);
}

static int check_memory(struct snapshot *s, const struct restore_plan *plan,
			struct timeline *timeline, struct mote_err *err)
{
	int ret = 0;

	if (plan->verify == VERIFY_EAGER)
		ret = snapshot_verify(s, err);
	else if (plan->verify != VERIFY_OFF)
		ret = snapshot_seal(s, plan->verify == VERIFY_ONCE, err);
	else
		return 0;
	timeline_mark(timeline, "memory verified");
	return ret;
}

static void tell_plan(const struct log *log, const struct restore_plan *p)
{
	log_info(log, "restore: memory=%s: %s; verify=%s: %s",
		 restore_memory_name(p->memory), p->memory_why,
		 restore_verify_name(p->verify), p->verify_why);
}

void snapshot_note_reference(struct vm *vm, const struct snapshot *s)
{
	memcpy(vm->reference.name, s->name, sizeof(vm->reference.name));
	memcpy(vm->reference.digest, s->manifest.digest.byte,
	       sizeof(vm->reference.digest));
}

/* Its next diff is to the snapshot that it came from. */
static void note_origin(struct vm *vm, const struct snapshot *s,
			const struct build_options *opt)
{
	int pagemap = -1;

	snapshot_note_reference(vm, s);
	if (opt->pagemap_fd >= 0)
		pagemap = fcntl(opt->pagemap_fd, F_DUPFD_CLOEXEC, 3);
	if (vm->restored == RESTORE_COW)
		track_file(&vm->track, pagemap);
	else
		vm->track.pagemap_fd = pagemap; /* to record what is touched */
	vm->loaded = true;
}

/* A userfaultfd into opt, where one is wanted; one opened here is *own. */
static int get_uffd(struct build_options *opt, int *own, struct mote_err *err)
{
	if (!restore_wants_uffd(opt->cfg) || opt->uffd_fd >= 0)
		return 0;
	opt->uffd_fd = *own = pager_open(err);
	return *own < 0 ? *own : 0;
}

/* Where the machine's memory comes from. */
static void plan_build(struct snapshot *s, const struct restore_plan *plan,
		       struct build_options *opt)
{
	bool lazy = plan->verify == VERIFY_LAZY;

	opt->memory_fd = snapshot_root(s)->fds.memory_fd;
	opt->memory_copy = plan->memory == RESTORE_COPY;
	opt->pager_block = 0;
	if (plan->memory != RESTORE_UFFD)
		return;
	opt->pager.fill = lazy ? paged_fill_verified : paged_fill;
	opt->pager.source = s;
	opt->pager_block = lazy			      ? RAM_CHUNK
			   : opt->cfg->restore.record ? host_page_size()
						      : PAGED_RUN;
}

/* Build the machine that s was saved of, with its memory. */
static int load_machine(struct snapshot *s, const struct build_options *opt,
			const struct restore_plan *plan, struct vm **out,
			struct mote_err *err)
{
	int ret = build_vm(out, opt, err);

	if (ret == 0 && !(*out)->pager)
		ret = snapshot_apply_diffs(s, &(*out)->slots, err);
	if (ret == 0) /* before state that protects pages of it */
		ret = hot_apply(*out, s, plan->hotset,
				plan->verify == VERIFY_OFF, err);
	if (ret == 0)
		ret = snapshot_load_state(*out, s, SNAPSHOT_LOAD, err);
	if (ret == 0 && (*out)->hvt)
		ret = build_hvt_attach(*out, opt, err);
	if (ret < 0) {
		vm_destroy(*out);
		*out = NULL;
	}
	return ret;
}

int snapshot_load(struct snapshot *s, const struct build_options *options,
		  struct vm **out, struct mote_err *err)
{
	struct build_options opt = *options;
	struct mote_err refused = {0};
	cleanup_fd int uffd = -1;
	struct restore_plan plan;
	int ret = get_uffd(&opt, &uffd, &refused);

	ret = restore_plan(opt.cfg, ret < 0 ? &refused : NULL, opt.rewind,
			   &plan, err);
	if (ret == 0)
		ret = check(s, &opt, err);
	timeline_mark(opt.timeline, "snapshot checked");
	if (ret == 0)
		ret = check_memory(s, &plan, opt.timeline, err);
	if (ret < 0)
		return ret;
	tell_plan(&opt.log, &plan);
	plan_build(s, &plan, &opt);
	ret = load_machine(s, &opt, &plan, out, err);
	if (ret < 0)
		return ret;
	timeline_mark(opt.timeline, "state loaded");
	(*out)->restored = plan.memory;
	note_origin(*out, s, &opt);
	return 0;
}
