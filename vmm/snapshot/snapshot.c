/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/timeline.h"
#include "build.h"
#include "config/config.h"
#include "devices/vfio/passthrough.h"
#include "snapshot/hot.h"
#include "snapshot/paged.h"
#include "snapshot/plan.h"
#include "snapshot/snapshot_priv.h"
#include "vm.h"

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
	if (ret == 0 && vm->passthrough)
		passthrough_loaded(vm->passthrough);
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
	int ret;

	layers_patch(s, &r);
	ret = load_sections(vm, &r, pass, err);
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
	if (ret == 0)
		ret = snapshot_host(s, opt->kvm_fd, false, err);
	return ret;
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
static int note_origin(struct vm *vm, const struct snapshot *s,
		       const struct build_options *opt, struct mote_err *err)
{
	int pagemap = opt->pagemap_fd;

	snapshot_note_reference(vm, s);
	if (pagemap >= 0) {
		pagemap = fcntl(pagemap, F_DUPFD_CLOEXEC, 3);
		if (pagemap < 0)
			return err_set(err, errno, "pagemap: dup: %s",
				       strerror(errno));
	}
	if (vm->restored == RESTORE_COW) {
		track_file(&vm->track, pagemap);
		vm_add_file(vm, snapshot_root(s)->fds.memory_fd,
			    snapshot_root(s)->manifest.memory_length);
	} else {
		vm->track.pagemap_fd = pagemap; /* to record what is touched */
	}
	vm->loaded = true;
	return track_loaded(&vm->track, err);
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
	opt.saved = &s->reader;
	ret = load_machine(s, &opt, &plan, out, err);
	if (ret < 0)
		return ret;
	timeline_mark(opt.timeline, "state loaded");
	(*out)->restored = plan.memory;
	ret = note_origin(*out, s, &opt, err);
	if (ret < 0) {
		vm_destroy(*out);
		*out = NULL;
	}
	return ret;
}
