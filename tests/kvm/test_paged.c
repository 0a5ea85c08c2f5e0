/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_paged.c - memory that comes by userfaultfd when it is touched, and is
 * verified then.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/map.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "memory/pager.h"
#include "snapshot/rewind.h"

#define FAR   (VMTEST_MEMORY - RAM_CHUNK) /* a chunk that no guest uses */
#define TOUCH (UINT64_C(16) << 20)	  /* where the guest touch begins */

static void need_uffd(void)
{
	struct mote_err err = {0};
	int fd = pager_open(&err);

	if (fd < 0)
		cr_skip_test("%s", err.msg);
	fd_close(fd);
}

static void poke(struct vmtest *t, uint64_t off, int value)
{
	uint64_t gpa = t->vm->slots.slot[0].gpa + off;
	uint8_t buf[64];

	memset(buf, value, sizeof(buf));
	cr_assert_eq(guest_write(&t->vm->slots, gpa, buf, sizeof(buf)), 0);
}

static int peek(struct vmtest *t, uint64_t off)
{
	uint64_t gpa = t->vm->slots.slot[0].gpa + off;
	uint8_t byte = 0;

	cr_assert_eq(guest_read(&t->vm->slots, gpa, &byte, 1), 0);
	return byte;
}

static void save_when(struct vmtest *t, const char *guest, const char *text,
		      struct vmtest_snapshot *s)
{
	vmtest_start(t, guest);
	if (text)
		vmtest_wait_for(t, text);
	while (!text && !t->vm->ready)
		vmtest_turn(t);
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vm_dispatch(t->vm);
	vmtest_drain(t);
	poke(t, FAR, 0x5a);
	vmtest_save(t, s);
}

static void save_counter(struct vmtest_snapshot *s, uint32_t vcpus)
{
	struct vmtest t;

	need_uffd();
	vmtest_init(&t, "step_ms=1");
	t.cfg.vm.vcpus = vcpus;
	save_when(&t, "counter", "count 3\n", s);
	vmtest_fini(&t);
}

static void init(struct vmtest *t, enum restore_verify verify)
{
	vmtest_init(t, "step_ms=1");
	t->cfg.restore.memory = RESTORE_UFFD;
	t->cfg.restore.verify = verify;
}

/* Flip one bit of the memory file. */
static void spoil(const struct vmtest_snapshot *s, uint64_t off)
{
	char path[96];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/memory", s->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fd_pread_full(fd, &byte, 1, off), 0);
	byte ^= 4;
	cr_assert_eq(fd_pwrite_full(fd, &byte, 1, off), 0);
	fd_close(fd);
}

static void run(struct vmtest *t)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

static const enum restore_verify modes[] = {VERIFY_OFF, VERIFY_LAZY,
					    VERIFY_ONCE, VERIFY_EAGER};

Test(vm_paged, a_guest_goes_on_in_memory_that_comes_when_touched)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	save_counter(&s, 1);
	for (size_t i = 0; i < 4; i++) {
		init(&t, modes[i]);
		vmtest_load(&t, &s);
		run(&t);
		vmtest_wait_for(&t, "count 40\n");
		cr_expect_null(strstr(t.out, "count 1\n"), "it began anew");
		vm_ask_stop(t.vm);
		vmtest_wait_end(&t);
		cr_expect_eq(t.vm->exit_code, 0);
		vmtest_fini(&t);
	}
	cr_expect_eq(map_live(), 0);
	vmtest_remove(&s);
}

Test(vm_paged, saved_again_it_has_the_same_bytes)
{
	struct vmtest_snapshot s, again;
	struct vmtest t;

	save_counter(&s, 1);
	for (size_t i = 0; i < 2; i++) {
		init(&t, modes[i]);
		vmtest_load(&t, &s);
		t.cfg.restore.memory = RESTORE_AUTO; /* as in the manifest */
		t.cfg.restore.verify = VERIFY_AUTO;
		vmtest_save(&t, &again);
		vmtest_expect_same(&s, &again);
		vmtest_remove(&again);
		vmtest_fini(&t);
	}
	vmtest_remove(&s);
}

/* What has not been touched has not been read: it takes no memory here. */
Test(vm_paged, memory_is_read_when_it_is_touched)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	save_counter(&s, 1);
	init(&t, VERIFY_LAZY);
	vmtest_load(&t, &s);
	spoil(&s, FAR + 4096);
	run(&t);
	vmtest_wait_for(&t, "count 20\n");
	cr_expect_eq(t.vm->state, VM_RUNNING, "%s", t.vm->err.msg);
	/* And now it is. */
	cr_expect_eq(peek(&t, FAR), 0, "a byte of a bad chunk was seen");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_CRASH);
	vmtest_fini(&t);
	vmtest_remove(&s);
}

static void expect_bad(const struct vmtest *t, const struct vmtest_snapshot *s,
		       uint64_t chunk)
{
	char want[160];

	cr_expect_eq(t->vm->end, VM_END_CRASH);
	snprintf(want, sizeof(want),
		 "snapshot %s: chunk %llu: memory: offset %llu to %llu: digest "
		 "does not match",
		 s->dir + strlen("/tmp/"), (unsigned long long)chunk,
		 (unsigned long long)(chunk * RAM_CHUNK),
		 (unsigned long long)((chunk + 1) * RAM_CHUNK));
	cr_expect_str_eq(t->vm->err.msg, want);
	cr_expect_eq(err_exit_code(&t->vm->err), 75);
}

Test(vm_paged, a_bad_chunk_ends_the_guest_before_it_sees_a_byte)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	save_counter(&s, 2);
	for (uint64_t chunk = 0; chunk < 3; chunk++)
		spoil(&s, chunk * RAM_CHUNK + 7777);
	for (int i = 0; i < 10; i++) {
		init(&t, VERIFY_LAZY);
		t.cfg.vm.vcpus = 2;
		vmtest_load(&t, &s);
		run(&t);
		vmtest_wait_end(&t);
		cr_expect_null(strstr(t.out, "count "), "%s", t.out);
		cr_expect_not_null(strstr(t.vm->err.msg, ": chunk "), "%s",
				   t.vm->err.msg);
		cr_expect_eq(t.vm->end, VM_END_CRASH);
		vmtest_fini(&t);
	}
	vmtest_remove(&s);
}

/* The guest runs for a while, then walks into it. */
Test(vm_paged, a_bad_chunk_is_named_when_the_guest_comes_to_it)
{
	struct vmtest_snapshot s;
	struct vmtest t, u;
	uint64_t chunk = TOUCH / RAM_CHUNK + 1;

	need_uffd();
	vmtest_init(&t, "fill=1 pages=1024");
	t.cfg.vm.memory = 2 * TOUCH;
	save_when(&t, "touch", NULL, &s);
	vmtest_fini(&t);
	for (int bad = 0; bad < 2; bad++) {
		if (bad)
			spoil(&s, chunk * RAM_CHUNK + RAM_CHUNK / 2);
		init(&u, VERIFY_LAZY);
		u.cfg.vm.memory = 2 * TOUCH;
		vmtest_load(&u, &s);
		run(&u);
		/* It is not this thread that keeps it from going on. */
		usleep(bad ? 100000 : 0);
		vmtest_wait_end(&u);
		vcpu_stop(u.vm->vcpu[0]);
		/* It raises a word of each page by one, in order. */
		cr_expect_eq(peek(&u, chunk * RAM_CHUNK - 4096 + 8), 1);
		cr_expect_eq(peek(&u, chunk * RAM_CHUNK + 8), !bad,
			     "the guest went on");
		if (bad)
			expect_bad(&u, &s, chunk);
		else
			cr_expect_eq(u.vm->end, VM_END_EXIT, "%s",
				     u.vm->err.msg);
		vmtest_fini(&u);
	}
	vmtest_remove(&s);
}

/* The VM thread meets it first: no vCPU ever runs, and nothing is saved. */
Test(vm_paged, a_machine_that_was_never_whole_does_not_run)
{
	struct vmtest_snapshot s;
	struct snapshot_files files;
	struct vmtest t;
	FILE *f;

	save_counter(&s, 1);
	spoil(&s, FAR + 1);
	init(&t, VERIFY_LAZY);
	vmtest_load(&t, &s);
	cr_expect_eq(peek(&t, FAR), 0);
	f = tmpfile();
	cr_assert_not_null(f);
	files = (struct snapshot_files){fileno(f), fileno(f), fileno(f)};
	cr_expect_lt(snapshot_save(t.vm, &files,
				   &(struct snapshot_options){.name = "a"},
				   &t.err),
		     0);
	cr_expect_not_null(strstr(t.err.msg, "chunk 7"), "%s", t.err.msg);
	fclose(f);
	run(&t);
	vmtest_wait_end(&t);
	cr_expect_null(strstr(t.out, "count "), "%s", t.out);
	expect_bad(&t, &s, FAR / RAM_CHUNK);
	vmtest_fini(&t);
	vmtest_remove(&s);
}

/* A chain gives the same memory whichever way it comes. */
Test(vm_paged, diffs_lie_over_it)
{
	struct vmtest_snapshot s, d1, d2;
	struct vmtest t, cow;
	uint64_t n;

	need_uffd();
	vmtest_init(&t, "step_ms=1");
	save_when(&t, "counter", "count 3\n", &s);
	poke(&t, FAR + 4096, 1);
	poke(&t, FAR, 0);
	vmtest_save_diff(&t, &d1, true);
	poke(&t, FAR + 4096, 2);
	poke(&t, FAR + 64 * 4096, 3);
	vmtest_save_diff(&t, &d2, true);
	vmtest_fini(&t);
	vmtest_init(&cow, "step_ms=1");
	vmtest_load(&cow, &d2);
	for (size_t i = 0; i < 4; i++) {
		struct vmtest u;

		init(&u, modes[i]);
		vmtest_load(&u, &d2);
		cr_expect_eq(memcmp(memslot_page(&u.vm->slots, 0, &n),
				    memslot_page(&cow.vm->slots, 0, &n),
				    VMTEST_MEMORY),
			     0);
		cr_expect_eq(peek(&u, FAR + 4096), 2);
		run(&u);
		vmtest_wait_for(&u, "count 30\n");
		vmtest_fini(&u);
	}
	spoil(&d1, 9);
	init(&t, VERIFY_LAZY);
	cr_expect_eq(vmtest_try_load(&t, &d2), -EBADMSG);
	cr_expect_not_null(strstr(t.err.msg, "parent"), "%s", t.err.msg);
	vmtest_fini(&t);
	vmtest_fini(&cow);
	vmtest_remove(&d2);
	vmtest_remove(&d1);
	vmtest_remove(&s);
}

Test(vm_paged, vcpus_that_touch_at_the_same_time_all_go_on)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	need_uffd();
	vmtest_init(&t, "fill=1 pages=2048 run=64 stride=128");
	t.cfg.vm.memory = 4 * TOUCH;
	save_when(&t, "touch", NULL, &s);
	vmtest_fini(&t);
	init(&t, VERIFY_OFF);
	t.cfg.vm.memory = 4 * TOUCH;
	vmtest_load(&t, &s);
	run(&t);
	/* This thread reads what the guest writes, block by block. */
	for (uint64_t at = 4 * TOUCH; at > TOUCH; at -= 65536)
		peek(&t, at - 65536);
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	vmtest_fini(&t);
	vmtest_remove(&s);
}

Test(vm_paged, its_first_snapshot_is_a_full_one_then_diffs_are)
{
	struct vmtest_snapshot s, full, diff;
	struct snapshot_files files;
	struct rewind *r = NULL;
	struct vmtest t;
	FILE *f;

	save_counter(&s, 1);
	init(&t, VERIFY_LAZY);
	t.cfg.memory.dirty_tracking = DIRTY_AUTO; /* others begin a log here */
	vmtest_load(&t, &s);
	f = tmpfile();
	cr_assert_not_null(f);
	files = (struct snapshot_files){fileno(f), fileno(f), fileno(f)};
	cr_expect_lt(snapshot_save(t.vm, &files,
				   &(struct snapshot_options){.name = "a",
							      .diff = true},
				   &t.err),
		     0);
	cr_expect_not_null(strstr(t.err.msg, "not tracked"), "%s", t.err.msg);
	fclose(f);
	cr_expect_lt(rewind_init(&r, t.vm, t.from, &t.err), 0);
	cr_expect_not_null(strstr(t.err.msg, "rewind: restore.memory"), "%s",
			   t.err.msg);
	vmtest_save(&t, &full);
	poke(&t, FAR, 9);
	vmtest_save_diff(&t, &diff, true);
	vmtest_fini(&t);
	init(&t, VERIFY_LAZY);
	vmtest_load(&t, &diff);
	cr_expect_eq(peek(&t, FAR), 9);
	vmtest_fini(&t);
	vmtest_remove(&diff);
	vmtest_remove(&full);
	vmtest_remove(&s);
}

/* --- the memory file becomes shorter meanwhile -----------------------------
 */

static void cut(const struct vmtest_snapshot *s, uint64_t size)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/memory", s->dir);
	cr_assert_eq(truncate(path, (off_t)size), 0, "%s", strerror(errno));
}

/* How a read behind the end of the file is told. */
static void expect_cut(const struct vmtest *t)
{
	const struct mote_err *e = &t->vm->err;

	cr_expect_eq(t->vm->end, VM_END_CRASH);
	cr_expect_eq(e->code, EIO);
	cr_expect(strstr(e->msg, "snapshot vmtest-") &&
			  strstr(e->msg, ": offset "),
		  "%s", e->msg);
	cr_expect_eq(err_exit_code(e), 75);
}

/* The guest runs until it comes to a page that the file has no more. */
Test(vm_paged, a_guest_whose_file_was_cut_ends_when_it_comes_to_it)
{
	uint64_t end = TOUCH + RAM_CHUNK;
	struct vmtest_snapshot s;
	struct vmtest t, u;

	need_uffd();
	for (size_t i = 0; i < 2; i++) {
		vmtest_init(&t, "fill=1 pages=1024");
		t.cfg.vm.memory = 2 * TOUCH;
		save_when(&t, "touch", NULL, &s);
		vmtest_fini(&t);
		init(&u, modes[i]);
		u.cfg.vm.memory = 2 * TOUCH;
		vmtest_load(&u, &s);
		cut(&s, end);
		run(&u);
		vmtest_wait_end(&u);
		expect_cut(&u);
		vcpu_stop(u.vm->vcpu[0]);
		/* It raises a word of each page by one, in order. */
		cr_expect_eq(peek(&u, end - 4096 + 8), 1);
		cr_expect_eq(peek(&u, end + 8), 0, "the guest went on");
		vmtest_fini(&u);
		vmtest_remove(&s);
	}
	cr_expect_eq(map_live(), 0);
}

/* In the middle of a page too; whoever reads first, here the VM thread. */
Test(vm_paged, a_read_behind_a_cut_is_a_crash_of_the_guest)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	for (size_t i = 0; i < 2; i++) {
		save_counter(&s, 1);
		init(&t, modes[i]);
		vmtest_load(&t, &s);
		run(&t);
		vmtest_wait_for(&t, "count 9\n");
		cut(&s, FAR + 100);
		cr_expect_eq(peek(&t, FAR), 0,
			     "a byte of a block that is not "
			     "whole was seen");
		vmtest_wait_end(&t);
		expect_cut(&t);
		vmtest_fini(&t);
		vmtest_remove(&s);
	}
}

/* A snapshot reads all of memory: of what is no more there, there is none. */
Test(vm_paged, a_machine_whose_file_was_cut_can_t_be_saved)
{
	static int (*const how[])(struct vm *, const struct snapshot_files *,
				  const struct snapshot_options *,
				  struct mote_err *) = {snapshot_save,
							snapshot_save_live};
	struct snapshot_options opt = {.name = "a"};
	struct vmtest_snapshot s;
	struct vmtest t;

	for (size_t i = 0; i < 2; i++) {
		FILE *f = tmpfile();
		struct snapshot_files files;

		cr_assert_not_null(f);
		files = (struct snapshot_files){fileno(f), fileno(f),
						fileno(f)};
		save_counter(&s, 1);
		init(&t, VERIFY_OFF);
		vmtest_load(&t, &s);
		run(&t);
		vmtest_wait_for(&t, "count 9\n");
		cut(&s, FAR);
		if (i == 0)
			cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s",
				     t.err.msg);
		cr_expect_eq(how[i](t.vm, &files, &opt, &t.err), -EIO);
		cr_expect_not_null(strstr(t.err.msg, "memory: offset"), "%s",
				   t.err.msg);
		snapshot_saved(t.vm, false);
		fclose(f);
		vmtest_wait_end(&t);
		expect_cut(&t);
		vmtest_fini(&t);
		vmtest_remove(&s);
	}
}

/* What the diffs of a chain have is read from their files. */
Test(vm_paged, a_diff_that_was_cut_is_one_too)
{
	struct vmtest_snapshot s, d;
	struct vmtest t;

	need_uffd();
	vmtest_init(&t, "step_ms=1");
	save_when(&t, "counter", "count 3\n", &s);
	poke(&t, FAR, 2);
	vmtest_save_diff(&t, &d, true);
	vmtest_fini(&t);
	init(&t, VERIFY_OFF);
	vmtest_load(&t, &d);
	cut(&d, 0);
	cr_expect_eq(peek(&t, FAR), 0);
	run(&t);
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_CRASH);
	cr_expect_not_null(strstr(t.vm->err.msg, "a diff's memory"), "%s",
			   t.vm->err.msg);
	cr_expect_null(strstr(t.out, "count "), "%s", t.out);
	vmtest_fini(&t);
	vmtest_remove(&d);
	vmtest_remove(&s);
}
