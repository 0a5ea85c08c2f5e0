/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.c - children of a running machine: a snapshot of it in memory.
 *
 * RAM that is mapped from a snapshot needs only the pages that left it: the
 * children map the same file and put those over it.  Shared RAM is a memfd,
 * which children map as it is from then on, while the machine goes on in
 * pages of its own (copy on write for all of them).  Other RAM is copied, while
 * the machine runs: save.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/num.h"
#include "snapshot/paged.h"
#include "snapshot/snapshot.h"
#include "vm.h"

static int make_files(struct snapshot_files *f, struct mote_err *err)
{
	*f = (struct snapshot_files){memfd_create("mote-manifest", MFD_CLOEXEC),
				     memfd_create("mote-state", MFD_CLOEXEC),
				     memfd_create("mote-memory", MFD_CLOEXEC)};
	return f->memory_fd < 0
		       ? err_set(err, errno, "memfd: %s", strerror(errno))
		       : 0;
}

static void close_files(struct snapshot_files *f)
{
	fd_clear(&f->manifest_fd);
	fd_clear(&f->state_fd);
	fd_clear(&f->memory_fd);
}

/* Can RAM itself become what the children map? */
static bool can_freeze(const struct vm *vm)
{
	return vm->slots.shared && !vm->track.mapped &&
	       memslot_count(&vm->slots) == 1;
}

/* Replace the empty memory file by the machine's own RAM, which is paused. */
static int freeze(struct vm *vm, struct snapshot_files *f, struct mote_err *err)
{
	int fd = memslot_freeze(&vm->slots, err);

	if (fd < 0)
		return fd;
	fd = dup3(fd, f->memory_fd, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "dup: %s", strerror(errno));
	vm->reference.name[0] = 0; /* no diff on disk can be to it */
	track_rebase(&vm->track);
	return 0;
}

/* The state, and RAM as it is then. */
static int save_frozen(struct vm *vm, struct snapshot_files *f,
		       struct mote_err *err)
{
	const struct snapshot_options opt = {.fork = true, .frozen = true};
	bool running = vm->state == VM_RUNNING;
	int ret = running ? vm_pause(vm, err) : 0;

	if (ret < 0)
		return ret;
	ret = snapshot_save(vm, f, &opt, err);
	if (ret == 0)
		ret = freeze(vm, f, err);
	if (running && vm_resume(vm, ret < 0 ? NULL : err) < 0 && ret == 0)
		ret = -EIO;
	return ret;
}

int snapshot_fork(struct snapshot *s, struct vm *vm,
		  const struct snapshot *from, bool *rebased,
		  struct mote_err *err)
{
	const struct snapshot_options opt = {
		.fork = true, .from = vm->track.mapped ? from : NULL};
	struct snapshot *parent = NULL;
	struct snapshot_files f;
	int ret = make_files(&f, err);

	*rebased = can_freeze(vm);
	/* Before the pause: what needs none. */
	snapshot_prepare(vm);
	if (ret == 0 && opt.from)
		ret = snapshot_dup(from, &parent, err);
	if (ret == 0)
		ret = *rebased ? save_frozen(vm, &f, err)
			       : snapshot_save_live(vm, &f, &opt, err);
	if (ret < 0) {
		*rebased = false;
		close_files(&f);
		if (parent)
			snapshot_close(parent);
		free(parent);
		return ret;
	}
	ret = snapshot_adopt(s, &f, parent, err);
	s->host_ok = ret == 0; /* it is of this one */
	return ret < 0 ? err_wrap(err, ret, "fork") : 0;
}

/* --- into files that were given ------------------------------------------ */

static int write_failed(int code, struct mote_err *err)
{
	return err_set_class(err, code, ERR_CLASS_IO, "memory file: %s",
			     strerror(code));
}

/* What a restore from s would find; pages of zeros stay holes. */
static int copy_base(const struct snapshot *s, uint64_t size, int fd,
		     struct mote_err *err)
{
	uint64_t page = host_page_size();
	cleanup_free char *buf = malloc(PAGED_RUN);
	int ret = buf ? 0 : err_set(err, ENOMEM, "fork");

	for (uint64_t off = 0, n; ret == 0 && off < size; off += n) {
		n = num_min(PAGED_RUN, size - off);
		ret = paged_fill((void *)s, off, n, buf, err);
		for (uint64_t at = 0; ret == 0 && at < n; at += page) {
			if (mem_is_zero(buf + at, page))
				continue;
			ret = fd_pwrite_full(fd, buf + at, page, off + at);
			if (ret < 0)
				write_failed(-ret, err);
		}
	}
	if (ret == 0 && ftruncate(fd, (off_t)size) < 0)
		ret = write_failed(errno, err);
	return ret;
}

/* Parked: put the pages that left the snapshot over it. */
static int copy_changed(struct vm *vm, int fd, struct mote_err *err)
{
	uint64_t pages = track_pages(&vm->track), page = host_page_size(), n;
	cleanup_free uint64_t *bits = track_bits(&vm->track);
	int ret;

	if (!bits)
		return err_set(err, ENOMEM, "fork");
	ret = track_diverged(&vm->track, bits, err);
	if (ret < 0)
		return ret;
	for (uint64_t i = 0; (i = bitmap_next(bits, i, pages)) < pages; i++) {
		ret = fd_pwrite_full(fd, memslot_page(&vm->slots, i, &n), page,
				     i * page);
		if (ret < 0)
			return write_failed(-ret, err);
	}
	return 0;
}

int snapshot_fork_into(const struct snapshot_files *f, struct vm *vm,
		       const struct snapshot *from, struct mote_err *err)
{
	bool running = vm->state == VM_RUNNING;
	bool mapped = from && vm->track.mapped;
	const struct snapshot_options opt = {.fork = true, .frozen = mapped};
	int ret = 0;

	if (running && !mapped) /* most of it while it runs */
		return snapshot_save_live(vm, f, &opt, err);
	snapshot_prepare(vm);
	if (mapped)
		ret = copy_base(from, memslot_total(&vm->slots), f->memory_fd,
				err);
	if (ret == 0 && running)
		ret = vm_pause(vm, err);
	if (ret < 0)
		return ret;
	ret = snapshot_save(vm, f, &opt, err);
	if (ret == 0 && mapped)
		ret = copy_changed(vm, f->memory_fd, err);
	if (running && vm_resume(vm, ret < 0 ? NULL : err) < 0 && ret == 0)
		ret = -EIO;
	return ret;
}
