/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save.c - the order in which a machine is saved.
 *
 * One that stands still is saved from front to back.  Of one that runs memory
 * comes first: the log of what it writes is on before a page is read, then
 * what the log has is copied over the first copy, in rounds that become short;
 * the last round, vCPUs and devices are done while it stands.  Nothing of RAM
 * is looked at after that: digests are made of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/timeline.h"
#include "config/config.h"
#include "devices/vfio/passthrough.h"
#include "snapshot/hot.h"
#include "snapshot/job.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_priv.h"
#include "vm.h"

/* Of a guest that runs: copies of what changed, but no more than.. */
#define ROUNDS_MAX 4
#define FEW_PAGES  64 /* ... which are left to the pause */
#define FOLLOW_NS  10000000

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

int job_find_changed(struct job *j, struct mote_err *err)
{
	return find_changed(j->vm, j->opt, &j->bits, err);
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

static void job_fini(struct job *j)
{
	diff_end(j->diff);
	free(j->bits);
	free(j->sent);
	snap_writer_fini(&j->w);
	manifest_fini(&j->m);
}

/* Write what changed so far, of a full one all there is. */
static int begin_memory(struct job *j, struct mote_err *err)
{
	const struct memslot_table *slots = &j->vm->slots;

	if (!j->bits)
		return ram_write_all(slots, j->files->memory_fd, &j->now.bytes,
				     err);
	j->diff = diff_begin(slots, j->files->memory_fd);
	return j->diff ? diff_add(j->diff, j->bits, err)
		       : err_set(err, ENOMEM, "changed pages");
}

/* Write what changed since; *pages of it. */
static int again_memory(struct job *j, uint64_t *pages, struct mote_err *err)
{
	struct track *track = &j->vm->track;
	cleanup_free uint64_t *bits = track_bits(track);
	int ret;

	if (!bits)
		return err_set(err, ENOMEM, "changed pages");
	ret = track_again(track, bits, err);
	if (ret < 0)
		return err_wrap(err, ret, "snapshot");
	*pages = bitmap_count(bits, track_pages(track));
	if (!j->diff)
		return ram_write_pages(&j->vm->slots, bits, j->files->memory_fd,
				       &j->now.bytes, err);
	bitmap_or(j->bits, bits, track_pages(track));
	return diff_add(j->diff, bits, err);
}

/* The section, of what was written. */
int job_finish_memory(struct job *j, struct mote_err *err)
{
	struct manifest *m = &j->m;

	if (!j->diff) {
		m->memory_length = memslot_total(&j->vm->slots);
		return ram_finish(&j->vm->slots, j->files->memory_fd, &j->w,
				  &m->memory_digest, err);
	}
	j->now.pages =
		(int64_t)bitmap_count(j->bits, track_pages(&j->vm->track));
	j->now.bytes = diff_written(j->diff);
	name_parent(j->vm, j->opt, m);
	return diff_finish(j->diff, j->bits, &j->w, &m->memory_digest,
			   &m->memory_length, err);
}

/* All of it at once, of a machine that stands still. */
static int save_memory(struct job *j, struct mote_err *err)
{
	struct manifest *m = &j->m;
	int ret = job_find_changed(j, err);

	if (ret == 0 && j->bits) {
		ret = begin_memory(j, err);
		return ret < 0 ? ret : job_finish_memory(j, err);
	}
	m->memory_length = memslot_total(&j->vm->slots);
	if (ret == 0 && j->opt->frozen)
		return ram_describe(&j->vm->slots, &j->w, &m->memory_digest,
				    err);
	return ret < 0 ? ret
		       : ram_save(&j->vm->slots, j->files->memory_fd, &j->w,
				  &m->memory_digest, &j->now.bytes, err);
}

/* Everything but memory. */
int job_save_state(struct job *j, struct mote_err *err)
{
	struct snap_writer *w = &j->w;
	struct vm *vm = j->vm;
	int ret = arch_vm_save(&vm->arch, j->opt->diff, w, err);

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
	return 0;
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
		 vm->event_device ? "generation-page"
		 : vm->identity	  ? "vmgenid"
				  : "none");
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

static int job_init(struct job *j, struct vm *vm,
		    const struct snapshot_files *files,
		    const struct snapshot_options *opt, struct mote_err *err)
{
	*j = (struct job){.vm = vm, .files = files, .opt = opt};
	j->now = (struct vm_save){
		.pause_ns = -1, .predicted_ns = -1, .pages = -1};
	snap_writer_init(&j->w);
	if (vm->unpluggeds)
		return err_set(err, EBUSY,
			       "a vCPU is unplugged: put it back "
			       "first");
	return describe(vm, opt->fork, &j->m, err);
}

/* Of a machine that stands still. */
int job_save_still(struct job *j, struct mote_err *err)
{
	int ret;

	/* What the guest has said is out before the state is taken. */
	chardev_flush(&j->vm->console, false);
	ret = j->vm->passthrough ? passthrough_freeze(j->vm->passthrough, err)
				 : 0;
	if (ret < 0)
		return ret;
	ret = job_save_state(j, err);
	if (ret == 0)
		ret = save_memory(j, err);
	if (j->vm->passthrough)
		pinned_thaw(j->vm);
	return ret;
}

/*
 * Copy what changed while the last copy was made, until that is little or does
 * not become less: a guest that writes faster than we do ends it as well.
 */
static int follow(struct job *j, struct mote_err *err)
{
	uint64_t last = UINT64_MAX;

	for (int i = 0; i < ROUNDS_MAX && last > FEW_PAGES; i++) {
		uint64_t pages = 0;
		int ret = again_memory(j, &pages, err);

		if (ret < 0)
			return ret;
		if (pages >= last)
			break;
		last = pages;
	}
	return 0;
}

/* Once through what the VM itself has, in pieces. */
static int follow_vm(struct vm *vm, struct mote_err *err)
{
	int ret;

	do {
		ret = arch_vm_follow(&vm->arch, FOLLOW_NS, err);
	} while (ret == 0);
	return ret < 0 ? ret : 0;
}

/* Do children map the file that this machine's RAM is mapped from? */
static bool shares_file(const struct job *j)
{
	return j->opt->fork && j->opt->from && j->vm->track.mapped;
}

/*
 * Is memory copied while the guest runs?  Children that share a file get what
 * left it, which is known at once and is theirs alone to count.
 */
static bool follows(const struct job *j)
{
	return j->vm->track.logging && !shares_file(j);
}

/* What must be of one moment; the guest stands still meanwhile. */
static int save_moment(struct job *j, struct mote_err *err)
{
	struct vm *vm = j->vm;
	uint64_t pages, since;
	int ret = vm_pause(vm, err);

	if (ret == 0)
		ret = job_save_state(j, err);
	/* Without a log that could be followed all of it is found now. */
	if (ret == 0 && (shares_file(j) || (j->bits && !follows(j)))) {
		free(j->bits);
		ret = job_find_changed(j, err);
	}
	if (ret == 0)
		ret = follows(j) ? again_memory(j, &pages, err)
				 : begin_memory(j, err);
	since = vm->snapshots.paused_at;
	if (vm->state == VM_PAUSED && vm_resume(vm, ret < 0 ? NULL : err) < 0)
		return ret < 0 ? ret : -EIO;
	j->now.pause_ns = (int64_t)(timeline_now() - since);
	return ret;
}

/*
 * Room for a child's pages, so that the pause only copies: as many as have
 * left the file so far.  Without it all of it is done in the pause.
 */
static void make_room(const struct job *j)
{
	struct vm *vm = j->vm;
	uint64_t *bits = NULL, n = 0;

	if (find_changed(vm, j->opt, &bits, NULL) == 0 && bits)
		n = bitmap_count(bits, track_pages(&vm->track));
	free(bits);
	if (n > 0)
		(void)!fallocate(j->files->memory_fd, FALLOC_FL_KEEP_SIZE, 0,
				 (off_t)(n * host_page_size()));
}

/*
 * Of a machine that runs, and does so again.  Where nobody tells what it
 * changes (KVM has no log) a full one is written while it stands; of a fork
 * the pages too, but not their digests.
 */
static int save_live(struct job *j, struct mote_err *err)
{
	int ret = 0;

	if (shares_file(j))
		make_room(j);
	else if (j->opt->fork) /* a copy of all; without the log in the pause */
		track_mark(&j->vm->track, NULL, NULL);
	else
		ret = job_find_changed(j, err);
	if (ret == 0)
		ret = follow_vm(j->vm, err);
	if (ret == 0 && follows(j))
		ret = begin_memory(j, err);
	if (ret == 0 && follows(j))
		ret = follow(j, err);
	if (ret == 0) /* what is left to the pause is short */
		ret = follow_vm(j->vm, err);
	if (ret == 0)
		ret = save_moment(j, err);
	if (ret == 0)
		ret = job_finish_memory(j, err);
	/* Pages of zeros took no room. */
	if (ret == 0 && j->diff && j->opt->fork &&
	    ftruncate(j->files->memory_fd, (off_t)j->m.memory_length) < 0)
		ret = err_set_class(err, errno, ERR_CLASS_IO, "memory: %s",
				    strerror(errno));
	return ret;
}

static int save(struct job *j, struct mote_err *err)
{
	bool live = j->vm->state == VM_RUNNING;
	int ret = vm_memory_lost(j->vm, err), bad;

	if (ret == 0)
		ret = !live		   ? job_save_still(j, err)
		      : j->vm->passthrough ? pinned_save(j, err)
					   : save_live(j, err);
	bad = vm_memory_lost(j->vm, err);
	if (bad < 0) /* it also ends the guest, which ends this */
		ret = bad;
	if (ret == 0)
		ret = snap_writer_finish(&j->w, err);
	if (ret == 0)
		ret = snapshot_write(&j->m, &j->w, j->files, err);
	if (j->opt->fork)
		arch_vm_saved(&j->vm->arch, false);
	else
		note_saving(j->vm, j->opt->name, &j->m);
	/* A child is no reference: what changed is for the next diff too. */
	if (j->opt->fork ? live && !shares_file(j) : ret < 0)
		track_end(&j->vm->track, false);
	return ret;
}

int snapshot_save_live(struct vm *vm, const struct snapshot_files *files,
		       const struct snapshot_options *opt, struct mote_err *err)
{
	struct vm_snapshots *s = &vm->snapshots;
	uint64_t began = timeline_now();
	struct snapshot_options own = *opt;
	struct job j;
	int ret = job_init(&j, vm, files, &own, err);

	if (ret == 0 && vm->passthrough)
		ret = pinned_check(vm, &own, err);
	if (ret == 0)
		ret = save(&j, err);
	if (ret == 0) {
		j.now.ns = timeline_now() - began;
		s->taken++;
		s->last = j.now;
		s->in_this_pause = vm->state == VM_PAUSED;
	} else {
		s->failed++;
	}
	job_fini(&j);
	return ret;
}

int snapshot_save(struct vm *vm, const struct snapshot_files *files,
		  const struct snapshot_options *opt, struct mote_err *err)
{
	if (vm->state != VM_RUNNING)
		return snapshot_save_live(vm, files, opt, err);
	vm->snapshots.failed++;
	return err_set(err, EBUSY, "the VM is running: pause it first");
}

void snapshot_saved(struct vm *vm, bool kept)
{
	arch_vm_saved(&vm->arch, kept);
	if (kept)
		vm->reference = vm->saving;
	track_end(&vm->track, kept);
}
