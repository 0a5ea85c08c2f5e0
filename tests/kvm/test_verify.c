/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_verify.c - when the memory of a snapshot is checked, and that what was
 * checked is what the guest gets.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/map.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "snapshot/plan.h"
#include "snapshot/rewind.h"

/* Far from what the counter uses. */
#define SPARE (VMTEST_MEMORY / 2)

struct saved {
	struct vmtest_snapshot full, diff;
	char next[32]; /* what is counted first after a restore of diff */
};

static void pause_at(struct vmtest *t, const char *text)
{
	vmtest_wait_for(t, text);
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vm_dispatch(t->vm);
	vmtest_drain(t);
}

static void poke(struct vmtest *t, uint64_t off, int value)
{
	uint64_t gpa = t->vm->slots.slot[0].gpa + SPARE + off;
	uint8_t buf[64];

	memset(buf, value, sizeof(buf));
	cr_assert_eq(guest_write(&t->vm->slots, gpa, buf, sizeof(buf)), 0);
}

static int peek(struct vmtest *t, uint64_t off)
{
	uint64_t gpa = t->vm->slots.slot[0].gpa + SPARE + off;
	uint8_t byte = 0;

	cr_assert_eq(guest_read(&t->vm->slots, gpa, &byte, 1), 0);
	return byte;
}

/* A counter with marks in spare memory: 1 of the full one, 2 of its diff. */
static void setup(struct saved *s)
{
	struct vmtest t;
	const char *last = NULL;

	vmtest_init(&t, "step_ms=1");
	vmtest_start(&t, "counter");
	pause_at(&t, "count 3\n");
	poke(&t, 0, 1);
	poke(&t, RAM_CHUNK, 1);
	vmtest_save(&t, &s->full);
	cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	pause_at(&t, "count 9\n");
	poke(&t, RAM_CHUNK, 2);
	vmtest_save_diff(&t, &s->diff, true);
	for (const char *p = t.out; (p = strstr(p, "count ")); p++)
		last = p;
	cr_assert_not_null(last);
	snprintf(s->next, sizeof(s->next), "count %d\n", atoi(last + 6) + 1);
	vmtest_fini(&t);
}

static void teardown(struct saved *s)
{
	vmtest_remove(&s->diff);
	vmtest_remove(&s->full);
}

static int open_memory(const struct vmtest_snapshot *s)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/memory", s->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

/* Flip one bit of the memory file. */
static void spoil(const struct vmtest_snapshot *s, uint64_t off)
{
	cleanup_fd int fd = open_memory(s);
	uint8_t byte;

	cr_assert_eq(fd_pread_full(fd, &byte, 1, off), 0);
	byte ^= 4;
	cr_assert_eq(fd_pwrite_full(fd, &byte, 1, off), 0);
}

/* Nothing of it is left as it was. */
static void wipe(const struct vmtest_snapshot *s)
{
	cleanup_fd int fd = open_memory(s);
	int64_t size = fd_size(fd);
	cleanup_free char *buf = malloc((size_t)size);

	cr_assert_not_null(buf);
	memset(buf, 0xee, (size_t)size);
	cr_assert_eq(fd_pwrite_full(fd, buf, (size_t)size, 0), 0);
}

static void expect_goes_on(struct vmtest *t, const char *next)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
	vmtest_wait_for(t, next);
	cr_expect_eq(strstr(t->out, "count "), strstr(t->out, next), "%s",
		     t->out);
}

static int try_verify(struct vmtest *t, const struct vmtest_snapshot *s,
		      enum restore_verify verify)
{
	vmtest_init(t, "step_ms=1");
	t->cfg.restore.verify = verify;
	return vmtest_try_load(t, s);
}

static void expect_sealed(const struct snapshot *s)
{
	const int want =
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

	for (; s; s = s->parent) {
		int fd = s->fds.memory_fd;
		int flags = fcntl(fd, F_GETFD);

		cr_expect(s->sealed);
		cr_expect_eq(fcntl(fd, F_GET_SEALS) & want, want);
		cr_expect(flags >= 0 && (flags & FD_CLOEXEC));
		cr_expect_eq(pwrite(fd, "x", 1, 0), -1);
		cr_expect_eq(fd_size(fd), (int64_t)s->manifest.memory_length);
	}
}

Test(vm_verify, once_outlives_what_happens_to_the_files)
{
	struct saved s;
	struct vmtest t;

	setup(&s);
	cr_assert_eq(try_verify(&t, &s.diff, VERIFY_ONCE), 0, "%s", t.err.msg);
	expect_sealed(t.from);
	wipe(&s.full);
	wipe(&s.diff);
	cr_expect_eq(peek(&t, 0), 1);
	cr_expect_eq(peek(&t, RAM_CHUNK), 2);
	expect_goes_on(&t, s.next);
	vmtest_fini(&t);
	teardown(&s);
}

/* The second load finds the copy, and maps the same one. */
Test(vm_verify, once_serves_every_machine_of_that_snapshot)
{
	struct saved s;
	struct vmtest t, u;
	struct stat first, second;

	setup(&s);
	cr_assert_eq(try_verify(&t, &s.diff, VERIFY_ONCE), 0, "%s", t.err.msg);
	cr_assert_eq(fstat(t.from->fds.memory_fd, &first), 0);
	wipe(&s.full);
	wipe(&s.diff);
	vmtest_init(&u, "step_ms=1");
	u.cfg.restore.verify = VERIFY_ONCE;
	cr_assert_eq(snapshot_load(t.from, &u.opt, &u.vm, &u.err), 0, "%s",
		     u.err.msg);
	cr_assert_eq(fstat(t.from->fds.memory_fd, &second), 0);
	cr_expect_eq(first.st_ino, second.st_ino);
	expect_goes_on(&t, s.next);
	expect_goes_on(&u, s.next);
	vmtest_fini(&u);
	vmtest_fini(&t);
	teardown(&s);
}

Test(vm_verify, a_rewind_reads_the_sealed_copy)
{
	struct rewind *r = NULL;
	struct saved s;
	struct vmtest t;

	setup(&s);
	cr_assert_eq(try_verify(&t, &s.diff, VERIFY_ONCE), 0, "%s", t.err.msg);
	cr_assert_eq(rewind_init(&r, t.vm, t.from, &t.err), 0, "%s", t.err.msg);
	wipe(&s.full);
	wipe(&s.diff);
	expect_goes_on(&t, s.next);
	poke(&t, 0, 7);
	poke(&t, RAM_CHUNK, 7);
	cr_assert_eq(rewind_vm(r, NULL, &t.err), 0, "%s", t.err.msg);
	cr_expect_eq(peek(&t, 0), 1);
	cr_expect_eq(peek(&t, RAM_CHUNK), 2);
	vmtest_drain(&t);
	t.out_len = 0;
	t.out[0] = 0;
	cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	vmtest_wait_for(&t, s.next);
	vmtest_fini(&t);
	rewind_fini(r);
	teardown(&s);
}

Test(vm_verify, a_flipped_bit_is_refused_before_there_is_a_machine)
{
	static const enum restore_verify mode[] = {VERIFY_EAGER, VERIFY_ONCE};
	struct saved s;
	struct vmtest t;
	char want[64];

	setup(&s);
	spoil(&s.full, SPARE + RAM_CHUNK + 5);
	snprintf(want, sizeof(want), "memory: offset %llu to",
		 (unsigned long long)(SPARE + RAM_CHUNK));
	for (size_t i = 0; i < 2; i++) {
		cr_expect_eq(try_verify(&t, &s.full, mode[i]), -EBADMSG);
		cr_expect_not_null(strstr(t.err.msg, want), "%s", t.err.msg);
		cr_expect_eq(err_exit_code(&t.err), 65);
		cr_expect_null(t.vm);
		vmtest_fini(&t);
		/* Of a diff: every layer. */
		cr_expect_eq(try_verify(&t, &s.diff, mode[i]), -EBADMSG);
		cr_expect_not_null(strstr(t.err.msg, "parent"), "%s",
				   t.err.msg);
		vmtest_fini(&t);
	}
	spoil(&s.full, SPARE + RAM_CHUNK + 5); /* back */
	spoil(&s.diff, 1);
	for (size_t i = 0; i < 2; i++) {
		cr_expect_eq(try_verify(&t, &s.diff, mode[i]), -EBADMSG);
		cr_expect_not_null(strstr(t.err.msg, "memory: offset 0 to"),
				   "%s", t.err.msg);
		vmtest_fini(&t);
		cr_expect_eq(try_verify(&t, &s.full, mode[i]), 0, "%s",
			     t.err.msg);
		vmtest_fini(&t);
	}
	cr_expect_eq(map_live(), 0);
	teardown(&s);
}

/* A hole where the digest is of something else is no hole to trust. */
Test(vm_verify, a_hole_is_compared_with_the_digest_too)
{
	struct saved s;
	struct vmtest t;
	int fd, ret;

	setup(&s);
	fd = open_memory(&s.full);
	ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SPARE,
			RAM_CHUNK);
	fd_close(fd);
	if (ret < 0)
		cr_skip_test("/tmp: holes can't be made: %s", strerror(errno));
	cr_expect_eq(try_verify(&t, &s.full, VERIFY_ONCE), -EBADMSG);
	cr_expect_not_null(strstr(t.err.msg, "digest does not match"), "%s",
			   t.err.msg);
	vmtest_fini(&t);
	teardown(&s);
}

Test(vm_verify, holes_stay_holes_in_the_copy)
{
	struct saved s;
	struct vmtest t;
	struct stat st;

	setup(&s);
	cr_assert_eq(try_verify(&t, &s.full, VERIFY_ONCE), 0, "%s", t.err.msg);
	cr_assert_eq(fstat(t.from->fds.memory_fd, &st), 0);
	cr_expect_eq(st.st_size, (off_t)VMTEST_MEMORY);
	cr_expect_gt(st.st_blocks, 0);
	cr_expect_lt(st.st_blocks * 512, (off_t)VMTEST_MEMORY / 4,
		     "%lld blocks", (long long)st.st_blocks);
	vmtest_fini(&t);
	teardown(&s);
}

struct heard {
	char line[256];
};

static void hear(void *opaque, int level, const char *line)
{
	struct heard *h = opaque;

	(void)level;
	if (!strncmp(line, "restore: ", 9))
		snprintf(h->line, sizeof(h->line), "%s", line);
}

Test(vm_verify, a_restore_says_what_it_chose_and_why)
{
	struct heard h = {0};
	struct saved s;
	struct vmtest t;

	setup(&s);
	vmtest_init(&t, "");
	t.opt.log = (struct log){hear, &h, LOG_LEVEL_INFO};
	vmtest_load(&t, &s.full);
	cr_expect_str_eq(h.line,
			 "restore: memory=cow: mapping is the fastest way; "
			 "verify=off: one machine, which trusts the file "
			 "system");
	vmtest_fini(&t);
	vmtest_init(&t, "");
	t.opt.log = (struct log){hear, &h, LOG_LEVEL_INFO};
	t.cfg.restore.memory = RESTORE_COPY;
	t.cfg.restore.verify = VERIFY_ONCE;
	vmtest_load(&t, &s.full);
	cr_expect_str_eq(h.line, "restore: memory=copy: the configuration says "
				 "so; verify=once: the configuration says so");
	vmtest_fini(&t);
	teardown(&s);
}
