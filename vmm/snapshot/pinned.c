/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pinned.c - how a machine with devices of the host is saved while it runs.
 *
 * They write RAM by themselves, so memory goes in rounds of precopy.h, and
 * what they may write at any time goes in the pause, after they were stopped.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/timeline.h"
#include "config/config.h"
#include "devices/vfio/passthrough.h"
#include "snapshot/job.h"
#include "snapshot/precopy.h"

/* Where a pause that devices' pages are in is aimed at. */
#define PAUSE_NS UINT64_C(100000000)

/* In a full one a page of zeros is a hole until something else was there. */
static int pinned_send(void *opaque, uint64_t *bits, struct mote_err *err)
{
	struct job *j = opaque;
	const struct memslot_table *slots = &j->vm->slots;
	uint64_t pages = track_pages(&j->vm->track), left;

	if (j->diff) {
		bitmap_or(j->bits, bits, pages);
		return diff_add(j->diff, bits, err);
	}
	for (uint64_t i = 0; (i = bitmap_next(bits, i, pages)) < pages; i++)
		if (!bitmap_test(j->sent, i) &&
		    mem_is_zero(memslot_page(slots, i, &left),
				host_page_size()))
			bitmap_clear(bits, i);
	bitmap_or(j->sent, bits, pages);
	return ram_write_pages(slots, bits, j->files->memory_fd, &j->now.bytes,
			       err);
}

void pinned_thaw(struct vm *vm)
{
	struct mote_err err = {0};

	if (passthrough_thaw(vm->passthrough, &err) < 0)
		log_warn(&vm->log, "snapshot: %s", err.msg);
}

/* Of devices' states what there is; the rest counts in the estimate. */
static int pinned_pending(void *opaque, uint64_t *bytes, struct mote_err *err)
{
	struct job *j = opaque;

	return passthrough_pending(j->vm->passthrough, bytes, err);
}

static uint64_t pinned_now(void *opaque)
{
	(void)opaque;
	return timeline_now();
}

static int pinned_pause(void *opaque, struct mote_err *err)
{
	struct job *j = opaque;
	int ret = vm_pause(j->vm, err);

	if (ret < 0)
		return ret;
	chardev_flush(&j->vm->console, false);
	ret = passthrough_freeze(j->vm->passthrough, err);
	if (ret < 0)
		vm_resume(j->vm, NULL);
	return ret;
}

static int pinned_finish(void *opaque, struct mote_err *err)
{
	return job_save_state(opaque, err);
}

static void pinned_resume(void *opaque)
{
	struct job *j = opaque;

	pinned_thaw(j->vm);
	if (j->vm->state == VM_PAUSED)
		vm_resume(j->vm, NULL);
}

/* Rounds of what changed; what devices may write at any time, in the pause. */
static int save_rounds(struct job *j, struct mote_err *err)
{
	const struct precopy_target to = {.send_all = pinned_send,
					  .now_ns = pinned_now,
					  .pending = pinned_pending,
					  .pause = pinned_pause,
					  .finish = pinned_finish,
					  .resume = pinned_resume,
					  .opaque = j};
	struct precopy_limits limits = {
		.pause_ns = PAUSE_NS, .force = true, .running = true};
	struct precopy_result r;
	cleanup_free uint64_t *first = NULL;
	struct vm *vm = j->vm;
	uint64_t since;
	int ret;

	j->sent = track_bits(&vm->track);
	if (!j->sent)
		return err_set(err, ENOMEM, "changed pages");
	if (j->bits) {
		first = track_bits(&vm->track);
		j->diff = diff_begin(&vm->slots, j->files->memory_fd);
		if (!first || !j->diff)
			return err_set(err, ENOMEM, "changed pages");
		bitmap_or(first, j->bits, track_pages(&vm->track));
		limits.first = first;
	}
	ret = precopy_run(&vm->track.log, &to, &limits, &r, err);
	since = vm->snapshots.paused_at;
	pinned_thaw(vm); /* after a failure too: some may be at pre-copy */
	if (ret < 0)
		return ret;
	if (vm->state == VM_PAUSED && vm_resume(vm, err) < 0)
		return -EIO;
	j->now.pause_ns = (int64_t)(timeline_now() - since);
	if (r.bandwidth) /* or nothing was sent that one could go by */
		j->now.predicted_ns = (int64_t)r.predicted_ns;
	return job_finish_memory(j, err);
}

/* Nobody logs: devices write RAM, and all of it is read in the pause. */
static int save_at_once(struct job *j, struct mote_err *err)
{
	struct vm *vm = j->vm;
	uint64_t since;
	int ret = vm_pause(vm, err);

	if (ret == 0)
		ret = job_save_still(j, err);
	since = vm->snapshots.paused_at;
	if (vm->state == VM_PAUSED && vm_resume(vm, ret < 0 ? NULL : err) < 0)
		return ret < 0 ? ret : -EIO;
	j->now.pause_ns = (int64_t)(timeline_now() - since);
	return ret;
}

int pinned_save(struct job *j, struct mote_err *err)
{
	int ret;

	if (j->vm->track.how == DIRTY_PRIVATE)
		return save_at_once(j, err);
	ret = job_find_changed(j, err);
	if (ret < 0)
		return ret;
	if (j->vm->track.logging)
		return save_rounds(j, err);
	free(j->bits); /* it is found once more */
	j->bits = NULL;
	return save_at_once(j, err);
}

/*
 * May devices have written any page since the reference, as far as anybody
 * tells?  The log is asked, and keeps it: VFIO tells each write once.
 */
static bool all_sticky(struct vm *vm)
{
	struct dirty_tracker *log = &vm->track.log;

	return vm->reference.name[0] &&
	       (!vm->track.logging || dirty_harvest(log, NULL) < 0 ||
		dirty_count(log, DIRTY_STICKY) == log->pages);
}

int pinned_check(struct vm *vm, struct snapshot_options *opt,
		 struct mote_err *err)
{
	bool sticky;
	int ret;

	if (opt->fork)
		return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
				     "passthrough.%s: a device can't be in two "
				     "machines: no fork",
				     vm->cfg->passthrough[0].name);
	sticky = opt->diff && all_sticky(vm);
	ret = passthrough_check(vm->passthrough, vm->ready, sticky, err);
	if (ret == 0 && sticky) {
		log_warn(&vm->log, "snapshot: a full one instead of the diff: "
				   "devices may have written any page");
		opt->diff = false;
	}
	return ret;
}
