/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_snapshot.c - every KVM call of save, load and the first run of what
 * was loaded fails once; every byte of the state is flipped.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/guest_abi.h"
#include "base/num.h"
#include "fake/fake_kvm.h"
#include "fake/fakevm.h"
#include "kvm/kvm.h"
#include "memory/guestmem.h"
#include "snapshot/snapshot.h"

static char dir[64];

static int open_in_dir(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* A machine that runs does so again. */
static int save(struct vm *vm, struct mote_err *err)
{
	const struct snapshot_options opt = {.name = NULL};
	struct snapshot_files files = {
		.manifest_fd = open_in_dir("manifest"),
		.state_fd = open_in_dir("state"),
		.memory_fd = open_in_dir("memory"),
	};
	int ret;

	cr_assert_geq(files.memory_fd, 0);
	cr_assert_eq(ftruncate(files.manifest_fd, 0), 0);
	cr_assert_eq(ftruncate(files.state_fd, 0), 0);
	cr_assert_eq(ftruncate(files.memory_fd, 0), 0);
	ret = snapshot_save_live(vm, &files, &opt, err);
	if (ret == 0)
		snapshot_saved(vm, true);
	fd_close(files.manifest_fd);
	fd_close(files.state_fd);
	fd_close(files.memory_fd);
	return ret;
}

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/fakesnap-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
	static const char *const names[] = {"manifest", "state", "memory"};
	char path[96];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* A machine of two vCPUs that was built and saved. */
static void save_one(void)
{
	struct fakevm f;

	fakevm_init(&f, 2);
	fakevm_start(&f, true);
	cr_assert_eq(save(f.vm, &f.err), 0, "%s", f.err.msg);
	fakevm_fini(&f);
}

static int load(struct fakevm *f)
{
	struct snapshot *s = malloc(sizeof(*s));
	int ret;

	cr_assert_not_null(s);
	ret = snapshot_open(s, AT_FDCWD, dir, &f->err);
	if (ret == 0)
		ret = snapshot_load(s, &f->opt, &f->vm, &f->err);
	snapshot_close(s);
	free(s);
	return ret;
}

TestSuite(fake_snapshot, .init = make_dir, .fini = remove_dir);

Test(fake_snapshot, every_call_of_a_save_fails_once, .timeout = 60)
{
	struct live before;
	struct fakevm f;
	unsigned int calls;

	fakevm_init(&f, 2);
	fakevm_start(&f, true);
	/* The first one starts the log, which the others have. */
	cr_assert_eq(save(f.vm, &f.err), 0, "%s", f.err.msg);
	calls = fake_kvm_calls();
	cr_assert_eq(save(f.vm, &f.err), 0, "%s", f.err.msg);
	calls = fake_kvm_calls() - calls;
	cr_assert_gt(calls, 10u);
	before = live_now();
	for (unsigned int n = 1; n <= calls; n++) {
		struct mote_err err = {0};
		int ret;

		fake_kvm_fail_nth(n, EIO);
		ret = save(f.vm, &err);
		/* Asking is no failure: what can't be had is not saved. */
		if (fake_kvm_failed() == KVM_CHECK_EXTENSION)
			continue;
		/* A full snapshot can do without: the next diff can't. */
		if (fake_kvm_failed() == KVM_SET_USER_MEMORY_REGION ||
		    fake_kvm_failed() == KVM_GET_DIRTY_LOG) {
			cr_expect_eq(ret, 0, "call %u: %s", n, err.msg);
			cr_expect_eq(err.msg[0], 0, "%s", err.msg);
			continue;
		}
		cr_expect_eq(ret, -EIO, "call %u (0x%lx)", n,
			     fake_kvm_failed());
		cr_expect_gt(strlen(err.msg), 8u, "call %u: %s", n, err.msg);
		expect_live(&before, "after a save that failed");
	}
	fake_kvm_fail_nth(0, 0);
	cr_expect_eq(save(f.vm, &f.err), 0, "%s", f.err.msg);
	fakevm_fini(&f);
}

/*
 * The log is switched on by the first and read by the others; where KVM lets
 * go of it, a full one is written while the guest stands.
 */
Test(fake_snapshot, every_call_of_a_save_of_a_running_guest_fails_once,
     .timeout = 60)
{
	unsigned int calls, without = 0, looked = 0;
	struct live before;
	struct fakevm f;

	fakevm_init(&f, 2);
	fakevm_start(&f, false);
	calls = fake_kvm_calls();
	cr_assert_eq(save(f.vm, &f.err), 0, "%s", f.err.msg);
	calls = fake_kvm_calls() - calls;
	cr_assert_gt(calls, 10u);
	before = live_now();
	for (unsigned int n = 1; n <= calls; n++) {
		struct mote_err err = {0};
		int ret;

		/* As at the first time. */
		cr_assert_eq(vm_pause(f.vm, &f.err), 0, "%s", f.err.msg);
		track_fini(&f.vm->track);
		track_init(&f.vm->track, &f.vm->slots);
		cr_assert_eq(vm_resume(f.vm, &f.err), 0, "%s", f.err.msg);
		fake_kvm_fail_nth(n, EIO);
		ret = save(f.vm, &err);
		cr_expect_eq(f.vm->state, VM_RUNNING, "call %u", n);
		if (fake_kvm_failed() == KVM_CHECK_EXTENSION)
			continue;
		/* The first look at the log is part of its start. */
		if (fake_kvm_failed() == KVM_SET_USER_MEMORY_REGION ||
		    (fake_kvm_failed() == KVM_GET_DIRTY_LOG && !looked++)) {
			cr_expect_eq(ret, 0, "call %u: %s", n, err.msg);
			cr_expect_eq(f.vm->track.mode, TRACK_NONE);
			without++;
			continue;
		}
		cr_expect_eq(ret, -EIO, "call %u (0x%lx)", n,
			     fake_kvm_failed());
		cr_expect_gt(strlen(err.msg), 8u, "call %u: %s", n, err.msg);
		expect_live(&before, "after a save that failed");
	}
	cr_expect_gt(without, 0u, "the log never failed to start");
	fake_kvm_fail_nth(0, 0);
	cr_expect_eq(save(f.vm, &f.err), 0, "%s", f.err.msg);
	fakevm_fini(&f);
}

Test(fake_snapshot, every_call_of_a_load_fails_once, .timeout = 60)
{
	unsigned int calls;
	struct live before;
	struct fakevm f;

	save_one();
	before = live_now();
	fakevm_init(&f, 2);
	cr_assert_eq(load(&f), 0, "%s", f.err.msg);
	calls = fake_kvm_calls();
	fakevm_fini(&f);
	for (unsigned int n = 1; n <= calls; n++) {
		fakevm_init(&f, 2);
		fake_kvm_fail_nth(n, EIO);
		if (load(&f) == 0) {
			cr_expect_eq(fake_kvm_failed(), KVM_CHECK_EXTENSION,
				     "call %u", n);
		} else {
			cr_expect_eq(f.err.code, EIO, "call %u: %s", n,
				     f.err.msg);
			cr_expect_gt(strlen(f.err.msg), 8u, "call %u", n);
			cr_expect_null(f.vm);
		}
		fakevm_fini(&f);
		expect_live(&before, "after a load that failed");
	}
}

Test(fake_snapshot, a_first_run_that_fails_holds_the_clocks_for_the_next)
{
	/* The clock twice, the first TSC twice, the second one. */
	static const unsigned int nth[] = {1, 1, 2, 1, 2};
	struct kvm_clock_data clock = {0};
	struct mote_generation gen;
	unsigned int calls;
	struct fakevm f;

	fakevm_init(&f, 2);
	fakevm_start(&f, true);
	clock.clock = 123456789;
	kvm_call(f.vm->vm_fd, KVM_SET_CLOCK, &clock);
	cr_assert_eq(save(f.vm, &f.err), 0, "%s", f.err.msg);
	fakevm_fini(&f);

	fakevm_init(&f, 2);
	cr_assert_eq(load(&f), 0, "%s", f.err.msg);
	calls = fake_kvm_calls();
	cr_assert_eq(vm_start(f.vm, true, &f.err), 0);
	cr_expect_eq(fake_kvm_calls(), calls, "a parked guest commits nothing");
	for (size_t i = 0; i < ARRAY_SIZE(nth); i++) {
		fake_kvm_fail_nth(nth[i], EIO);
		cr_assert_eq(vm_resume(f.vm, &f.err), -EIO, "%zu", i);
		cr_expect_eq(f.vm->state, VM_PAUSED);
		cr_expect_eq(fake_kvm_runs(), 0u);
	}
	fake_kvm_fail_nth(0, 0);
	cr_expect_eq(vm_resume(f.vm, &f.err), 0, "%s", f.err.msg);
	memset(&clock, 0, sizeof(clock));
	kvm_call(f.vm->vm_fd, KVM_GET_CLOCK, &clock);
	cr_expect_eq(clock.clock, 123456789u);
	cr_assert_eq(guest_read(&f.vm->slots, arch_generation_page(), &gen,
				sizeof(gen)),
		     0);
	cr_expect_eq(gen.count, 1u, "a failure counted as a generation");
	fakevm_fini(&f);
}

/* --- hostile states ----------------------------------------------------------
 */

static uint8_t *read_state(size_t *len)
{
	cleanup_fd int fd = open_in_dir("state");
	uint8_t *buf;

	*len = (size_t)fd_size(fd);
	buf = malloc(*len);
	cr_assert_not_null(buf);
	cr_assert_eq(fd_pread_full(fd, buf, *len, 0), 0);
	return buf;
}

/*
 * Give the state to a loader as if its digests were right: sections are
 * written again around a changed payload.
 */
static void forge(struct snap_writer *w, const struct snap_reader *r, int at,
		  size_t byte, uint8_t flip, size_t cut)
{
	snap_writer_init(w);
	for (int i = 0; i < r->count; i++) {
		const struct snap_section *s = &r->section[i];
		size_t start, len = i == at ? s->len - cut : s->len;

		snap_section_begin(w, s->name, s->instance, s->version,
				   (enum snap_flags)s->flags);
		start = w->len;
		snap_put_bytes(w, s->data, len);
		if (i == at && byte < len)
			w->buf[start + byte] ^= flip;
		snap_section_end(w);
	}
	cr_assert_eq(snap_writer_finish(w, NULL), 0);
}

/* Load what w holds into a machine; any answer but a crash will do. */
static int load_forged(const struct snap_writer *w, const char *when)
{
	struct snap_reader *r = malloc(sizeof(*r));
	struct snap_section s;
	struct fakevm f;
	int ret;

	cr_assert_not_null(r);
	cr_assert_eq(snap_reader_init(r, w->buf, w->len, NULL), 0);
	fakevm_init(&f, 2);
	f.opt.saved = r;
	ret = build_vm(&f.vm, &f.opt, &f.err);
	if (ret == 0)
		ret = arch_vm_load(&f.vm->arch, r, &f.err);
	for (uint32_t i = 0; ret == 0 && i < f.vm->vcpus; i++)
		ret = arch_vcpu_load(&f.vm->vcpu[i]->arch, r, &f.err);
	for (uint32_t i = 0; ret == 0 && i < f.vm->devices; i++)
		ret = device_load(f.vm->device[i], r, &f.err);
	if (ret == 0)
		ret = snap_section_open(r, "console", 0, &s, &f.err);
	if (ret == 0 && chardev_load(&f.vm->console, &s) == 0)
		ret = snap_section_close(&s, &f.err);
	if (ret < 0)
		cr_expect_neq(f.err.msg[0], 0, "%s", when);
	fakevm_fini(&f);
	free(r);
	return ret;
}

Test(fake_snapshot, every_flipped_byte_of_the_machine_loads_or_is_refused,
     .timeout = 300)
{
	struct snap_reader *r = malloc(sizeof(*r));
	struct snap_writer w;
	char when[96];
	size_t len;
	uint8_t *state;

	save_one();
	state = read_state(&len);
	cr_assert_eq(snap_reader_init(r, state, len, NULL), 0);
	for (int i = 0; i < r->count; i++) {
		const struct snap_section *s = &r->section[i];
		/* XSAVE and LAPIC are opaque to us: a sample of them. */
		size_t step = s->len > 1000 ? 7 : 1;

		if (!strcmp(s->name, "ram"))
			continue;
		for (size_t at = 0; at < s->len; at += step) {
			snprintf(when, sizeof(when), "%s[%u] byte %zu", s->name,
				 s->instance, at);
			forge(&w, r, i, at, 0xff, 0);
			load_forged(&w, when);
			snap_writer_fini(&w);
		}
	}
	free(state);
	free(r);
}

Test(fake_snapshot, every_cut_of_a_section_is_refused, .timeout = 300)
{
	struct snap_reader *r = malloc(sizeof(*r));
	struct snap_writer w;
	char when[96];
	size_t len;
	uint8_t *state;

	save_one();
	state = read_state(&len);
	cr_assert_eq(snap_reader_init(r, state, len, NULL), 0);
	for (int i = 0; i < r->count; i++) {
		const struct snap_section *s = &r->section[i];
		size_t step = s->len > 1000 ? 7 : 1;

		if (!strcmp(s->name, "ram"))
			continue;
		for (size_t cut = 1; cut <= s->len; cut += step) {
			snprintf(when, sizeof(when), "%s[%u] cut by %zu",
				 s->name, s->instance, cut);
			forge(&w, r, i, SIZE_MAX, 0, cut);
			cr_expect_lt(load_forged(&w, when), 0, "%s", when);
			snap_writer_fini(&w);
		}
	}
	free(state);
	free(r);
}

Test(fake_snapshot, every_flipped_byte_of_the_ram_section_is_safe,
     .timeout = 60)
{
	struct snap_reader *r = malloc(sizeof(*r)), *q = malloc(sizeof(*q));
	struct ram_index ri;
	struct snap_digest d;
	struct snap_section s;
	struct snap_writer w;
	size_t len;
	uint8_t *state;

	save_one();
	state = read_state(&len);
	cr_assert_eq(snap_reader_init(r, state, len, NULL), 0);
	cr_assert_eq(snap_section_open(r, "ram", 0, &s, NULL), 0);
	d = snap_digest(s.data + s.len - 32, 32); /* 4 MiB: two chunks */
	cr_assert_eq(ram_index_load(&ri, r, &d, NULL), 0);
	for (int i = 0; i < r->count; i++) {
		if (strcmp(r->section[i].name, "ram") != 0)
			continue;
		for (size_t at = 0; at < s.len; at++) {
			struct mote_err err = {0};
			int ret;

			forge(&w, r, i, at, 0xff, 0);
			cr_assert_eq(snap_reader_init(q, w.buf, w.len, NULL),
				     0);
			ret = ram_index_load(&ri, q, &d, &err);
			if (ret < 0)
				cr_expect_eq(ret, -EBADMSG, "%zu", at);
			snap_writer_fini(&w);
		}
	}
	free(state);
	free(q);
	free(r);
}
