/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_diff.c - diffs, their chains, and what they become when merged.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/map.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

/* Far from what the counter and we use: half of VMTEST_MEMORY and up. */
#define FREE_PAGES (VMTEST_MEMORY / 2)

static void pause_counter(struct vmtest *t, int n)
{
	char text[32];

	snprintf(text, sizeof(text), "count %d\n", n);
	vmtest_wait_for(t, text);
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vm_dispatch(t->vm);
}

static void resume(struct vmtest *t)
{
	cr_assert_eq(vm_resume(t->vm, &t->err), 0, "%s", t->err.msg);
}

static uint64_t ram_base(const struct vmtest *t)
{
	return t->vm->slots.slot[0].gpa;
}

/* Let the VMM write n bytes of value into free page number page. */
static void poke(struct vmtest *t, uint64_t page, int value)
{
	static uint8_t buf[65536];
	uint64_t gpa = ram_base(t) + FREE_PAGES + page * host_page_size();

	memset(buf, value, host_page_size());
	cr_assert_eq(guest_write(&t->vm->slots, gpa, buf, host_page_size()), 0);
}

static int64_t memory_size(const struct vmtest_snapshot *s)
{
	struct stat st;
	char path[96];

	snprintf(path, sizeof(path), "%s/memory", s->dir);
	cr_assert_eq(stat(path, &st), 0);
	return st.st_size;
}

static int create(const char *dir, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static int try_merge(const struct vmtest_snapshot *s,
		     struct vmtest_snapshot *out, struct mote_err *err)
{
	struct snapshot *snap = calloc(1, sizeof(*snap));
	struct snapshot_files files;
	int ret;

	cr_assert_not_null(snap);
	snprintf(out->dir, sizeof(out->dir), "/tmp/vmtest-XXXXXX");
	cr_assert_not_null(mkdtemp(out->dir));
	files.manifest_fd = create(out->dir, "manifest");
	files.state_fd = create(out->dir, "state");
	files.memory_fd = create(out->dir, "memory");
	ret = snapshot_open(snap, AT_FDCWD, s->dir, err);
	if (ret == 0) {
		ret = snapshot_merge(snap, &files, err);
		snapshot_close(snap);
	}
	free(snap);
	fd_close(files.manifest_fd);
	fd_close(files.state_fd);
	fd_close(files.memory_fd);
	return ret;
}

static void expect_same_memory(const struct vmtest_snapshot *a,
			       const struct vmtest_snapshot *b)
{
	char cmd[192];

	snprintf(cmd, sizeof(cmd), "cmp %s/memory %s/memory", a->dir, b->dir);
	cr_expect_eq(system(cmd), 0, "%s", cmd);
}

/* The guest and the VMM write between diffs; the chain is what is there. */
static void run_chain(struct vmtest *t, int rounds)
{
	struct vmtest_snapshot s[12], full, merged;
	int n = 3;

	pause_counter(t, n);
	vmtest_save(t, &s[0]);
	for (int i = 1; i <= rounds; i++) {
		poke(t, (uint64_t)i * 3, i);
		poke(t, 5, i % 2 ? 0 : i); /* a page of zeros, and not */
		resume(t);
		pause_counter(t, n += 2);
		vmtest_save_diff(t, &s[i], true);
		cr_expect_lt(memory_size(&s[i]), (int64_t)VMTEST_MEMORY / 8);
		cr_expect_gt(memory_size(&s[i]), 0);
	}
	vmtest_save(t, &full);
	cr_assert_eq(try_merge(&s[rounds], &merged, &t->err), 0, "%s",
		     t->err.msg);
	expect_same_memory(&merged, &full);
	vmtest_remove(&merged);
	vmtest_remove(&full);
	for (int i = 0; i <= rounds; i++)
		vmtest_remove(&s[i]);
}

Test(vm_diff, a_chain_of_diffs_is_the_full_snapshot)
{
	struct vmtest a;

	vmtest_init(&a, "step_ms=1");
	vmtest_start(&a, "counter");
	run_chain(&a, 10);
	vmtest_fini(&a);
}

/* Its first diff comes from the page map, the others from KVM's log. */
Test(vm_diff, a_restored_machine_starts_a_chain_of_its_own)
{
	struct vmtest_snapshot s, one, two, full, merged;
	struct vmtest a, b;
	int64_t page = (int64_t)host_page_size();

	vmtest_init(&a, "step_ms=1");
	vmtest_start(&a, "counter");
	pause_counter(&a, 3);
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	vmtest_init(&b, "step_ms=1");
	vmtest_load(&b, &s);
	vmtest_save_diff(&b, &one, false);
	cr_expect_eq(memory_size(&one), 0, "nothing has changed yet");
	vmtest_remove(&one);
	poke(&b, 1, 7);
	vmtest_save_diff(&b, &one, true);
	cr_expect_eq(memory_size(&one), page);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	pause_counter(&b, 12);
	vmtest_save_diff(&b, &two, true);
	vmtest_save(&b, &full);
	cr_assert_eq(try_merge(&two, &merged, &b.err), 0, "%s", b.err.msg);
	expect_same_memory(&merged, &full);
	vmtest_fini(&b);
	vmtest_remove(&merged);
	vmtest_remove(&full);
	vmtest_remove(&two);
	vmtest_remove(&one);
	vmtest_remove(&s);
}

static void restore_chain(enum restore_memory how)
{
	struct vmtest_snapshot s, one, again, merged;
	struct vmtest a, b;

	vmtest_init(&a, "step_ms=1");
	vmtest_start(&a, "counter");
	pause_counter(&a, 3);
	vmtest_save(&a, &s);
	poke(&a, 2, 9);
	resume(&a);
	pause_counter(&a, 8);
	vmtest_save_diff(&a, &one, true);
	vmtest_fini(&a);

	vmtest_init(&b, "step_ms=1");
	b.cfg.restore.memory = how;
	vmtest_load(&b, &one);
	cr_assert_eq(try_merge(&one, &merged, &b.err), 0, "%s", b.err.msg);
	vmtest_save(&b, &again);
	expect_same_memory(&merged, &again);
	vmtest_remove(&again);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_for(&b, "count 20\n");
	cr_expect_null(strstr(b.out, "count 8\n"), "it began at the parent");
	vmtest_fini(&b);
	vmtest_remove(&merged);
	vmtest_remove(&one);
	vmtest_remove(&s);
}

Test(vm_diff, a_diff_is_restored_over_its_parents)
{
	restore_chain(RESTORE_COW);
	restore_chain(RESTORE_COPY);
}

/* What a parent's diff brought is not a change. */
Test(vm_diff, pages_of_a_parent_are_not_saved_again)
{
	struct vmtest_snapshot s, one, two;
	struct vmtest a, b;

	vmtest_init(&a, "step_ms=1");
	vmtest_start(&a, "counter");
	pause_counter(&a, 3);
	vmtest_save(&a, &s);
	for (uint64_t i = 0; i < 40; i++)
		poke(&a, i * 2, 1);
	vmtest_save_diff(&a, &one, true);
	vmtest_fini(&a);
	vmtest_init(&b, "step_ms=1");
	vmtest_load(&b, &one);
	poke(&b, 4, 2);
	vmtest_save_diff(&b, &two, true);
	cr_expect_eq(memory_size(&one), 40 * (int64_t)host_page_size(),
		     "%lld bytes", (long long)memory_size(&one));
	cr_expect_eq(memory_size(&two), (int64_t)host_page_size());
	vmtest_fini(&b);
	vmtest_remove(&two);
	vmtest_remove(&one);
	vmtest_remove(&s);
}

Test(vm_diff, a_diff_that_was_not_kept_is_in_the_next)
{
	struct vmtest_snapshot s, lost, next;
	struct vmtest a;
	int64_t page = (int64_t)host_page_size();

	vmtest_init(&a, "step_ms=1");
	vmtest_start(&a, "counter");
	pause_counter(&a, 3);
	vmtest_save(&a, &s);
	poke(&a, 1, 1);
	vmtest_save_diff(&a, &lost, false);
	poke(&a, 3, 1);
	vmtest_save_diff(&a, &next, true);
	cr_expect_eq(memory_size(&lost), page, "%lld bytes",
		     (long long)memory_size(&lost));
	cr_expect_eq(memory_size(&next), 2 * page);
	vmtest_fini(&a);
	vmtest_remove(&next);
	vmtest_remove(&lost);
	vmtest_remove(&s);
}

static void expect_refusal(const struct vmtest_snapshot *s, const char *word)
{
	struct vmtest b;

	vmtest_init(&b, "");
	cr_expect_lt(vmtest_try_load(&b, s), 0);
	cr_expect_not_null(strstr(b.err.msg, word), "%s", b.err.msg);
	cr_expect_eq(err_exit_code(&b.err), ERR_CLASS_DATA);
	vmtest_fini(&b);
}

/* The parent is gone, is another one, or has a bit that is not its own. */
Test(vm_diff, a_parent_that_is_not_the_one_is_refused_by_name)
{
	struct vmtest_snapshot s, other, one, none;
	struct mote_err err = {0};
	char cmd[256];
	struct vmtest a;

	vmtest_init(&a, "step_ms=1");
	vmtest_start(&a, "counter");
	pause_counter(&a, 3);
	vmtest_save(&a, &other);
	resume(&a);
	pause_counter(&a, 6);
	vmtest_save(&a, &s);
	poke(&a, 1, 1);
	vmtest_save_diff(&a, &one, true);
	vmtest_fini(&a);
	snprintf(cmd, sizeof(cmd),
		 "printf x | dd of=%s/memory bs=1 seek=123456 conv=notrunc "
		 "2>/dev/null",
		 s.dir);
	cr_assert_eq(system(cmd), 0);
	cr_expect_lt(try_merge(&one, &none, &err), 0);
	cr_expect_not_null(strstr(err.msg, "parent vmtest-"), "%s", err.msg);
	cr_expect_not_null(strstr(err.msg, "memory: offset 0"), "%s", err.msg);
	vmtest_remove(&none);
	snprintf(cmd, sizeof(cmd), "cp %s/* %s", other.dir, s.dir);
	cr_assert_eq(system(cmd), 0);
	expect_refusal(&one, "it is not the one");
	vmtest_remove(&s);
	expect_refusal(&one, "parent: snapshot vmtest-");
	vmtest_remove(&one);
	vmtest_remove(&other);
}

Test(vm_diff, a_diff_to_nothing_is_refused)
{
	const struct snapshot_options opt = {.name = "x", .diff = true};
	const struct snapshot_files files = {-1, -1, -1};
	struct vmtest a;

	vmtest_init(&a, "");
	vmtest_build(&a, "hello");
	cr_expect_eq(snapshot_save(a.vm, &files, &opt, &a.err), -EINVAL);
	cr_expect_not_null(strstr(a.err.msg, "take a full one first"), "%s",
			   a.err.msg);
	vmtest_fini(&a);
}
