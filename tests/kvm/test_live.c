/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_live.c - snapshots of a guest that writes while its memory is copied.
 *
 * The guest adds one to a word of each of PAGES pages, page after page, round
 * after round: at any one moment those before some page are one ahead of
 * those from there on.  A page of another moment breaks that.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "kvm/vmtest.h"

#define PAGES	1024
#define STEP	4096 /* guests/touch */
#define START	(UINT64_C(16) << 20)
#define MEMORY	(UINT64_C(24) << 20)
#define ARGS	"pages=1024 rounds=1000000000"
#define ROUNDS	10
#define TRIES	500
#define TIMEOUT 600

static void init(struct vmtest *t)
{
	vmtest_init(t, ARGS);
	t->cfg.vm.memory = MEMORY;
}

/* The machine before the first round. */
static void make_base(struct vmtest_snapshot *s)
{
	struct vmtest t;

	init(&t);
	vmtest_start(&t, "touch");
	while (!t.vm->ready)
		vmtest_turn(&t);
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vmtest_save(&t, s);
	vmtest_fini(&t);
}

static void run(struct vmtest *t, const struct vmtest_snapshot *s)
{
	init(t);
	vmtest_load(t, s);
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

static volatile uint64_t *live_word(const struct vmtest *t, uint64_t page)
{
	return (void *)((char *)t->vm->slots.slot[0].ram.addr + START +
			page * STEP + 8);
}

/* Until the guest has written it. */
static void wait_for_word(const struct vmtest *t, uint64_t page)
{
	while (!*live_word(t, page))
		usleep(100);
}

/* Is RAM of one moment?  How many words the guest had written by then. */
static uint64_t expect_steps(const struct vmtest *t, const char *when)
{
	uint64_t last = *live_word(t, 0), sum = last;
	int steps = 0;

	for (uint64_t i = 1; i < PAGES; i++) {
		uint64_t word = *live_word(t, i);

		sum += word;
		if (word == last)
			continue;
		cr_expect_eq(word + 1, last, "page %d: %d after %d, %s", (int)i,
			     (int)word, (int)last, when);
		last = word;
		steps++;
	}
	cr_expect_leq(steps, 1, "%d steps, %s", steps, when);
	return sum;
}

/*
 * Memory, and memory and registers, which where the guest goes on show; as in
 * expect_steps.
 */
static uint64_t expect_one_moment(const struct vmtest_snapshot *s)
{
	struct vmtest t;
	uint64_t sum, first;

	init(&t);
	vmtest_load(&t, s);
	sum = expect_steps(&t, "as it was saved");
	first = *live_word(&t, 0);
	cr_assert_eq(vm_start(t.vm, false, &t.err), 0, "%s", t.err.msg);
	while (*live_word(&t, 0) < first + 2) /* past the last page */
		usleep(100);
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	expect_steps(&t, "as it went on");
	vmtest_fini(&t);
	return sum;
}

/*
 * Diffs of which some are not kept, and a full one after each ten; until some
 * of them had pages to write more than once.
 */
Test(vm_live, each_is_of_one_moment, .timeout = TIMEOUT)
{
	struct vmtest_snapshot base, s[ROUNDS], full;
	uint64_t again = 0, last = 0, now;
	struct vmtest t;

	make_base(&base);
	for (int n = 0; n < TRIES && again < 3; n++) {
		run(&t, &base);
		for (int i = 0; i < ROUNDS; i++) {
			const struct vm_save *save = &t.vm->snapshots.last;
			bool kept = i % 3 != 1;

			vmtest_save_live(&t, &s[i], true, kept);
			cr_expect_eq(t.vm->state, VM_RUNNING);
			again += save->bytes >
				 (uint64_t)save->pages * host_page_size();
			now = expect_one_moment(&s[i]);
			cr_expect_geq(now, last);
			last = now;
		}
		vmtest_save_live(&t, &full, false, true);
		expect_one_moment(&full);
		vmtest_fini(&t);
		cr_expect_gt(last, 0);
		last = 0;
		vmtest_remove(&full);
		for (int i = 0; i < ROUNDS; i++)
			vmtest_remove(&s[i]);
	}
	cr_expect_geq(again, 3, "no page was written while it was copied");
	vmtest_remove(&base);
}

/*
 * Children of a machine with memory of its own, which it is copied from while
 * it runs; what it changes then is in its next diff all the same.
 */
Test(vm_live, a_fork_is_of_one_moment_and_takes_no_pages, .timeout = TIMEOUT)
{
	struct vmtest_snapshot base, child, full, diff;
	enum track_mode was;
	struct vmtest t;

	make_base(&base);
	for (int i = 0; i < ROUNDS; i++) {
		init(&t);
		t.cfg.restore.memory = RESTORE_COPY;
		vmtest_load(&t, &base);
		was = t.vm->track.mode;
		cr_assert_eq(vm_start(t.vm, false, &t.err), 0);
		wait_for_word(&t, (uint64_t)i * PAGES / ROUNDS);
		vmtest_fork(&t, &child);
		cr_expect_eq(t.vm->state, VM_RUNNING);
		cr_expect_eq(t.vm->track.mode, was);
		cr_expect_gt(expect_one_moment(&child), 0);
		vmtest_remove(&child);

		vmtest_save_live(&t, &full, false, true);
		vmtest_fork(&t, &child);
		vmtest_save_live(&t, &diff, true, true);
		cr_expect_leq(expect_one_moment(&child),
			      expect_one_moment(&diff));
		vmtest_remove(&child);
		vmtest_remove(&diff);
		vmtest_remove(&full);
		vmtest_fini(&t);
	}
	vmtest_remove(&base);
}

/* Each diff alone, to the full one: what it lacks is nowhere else. */
Test(vm_live, the_first_diff_of_a_restored_machine, .timeout = TIMEOUT)
{
	struct vmtest_snapshot base, s;
	struct vmtest t;

	make_base(&base);
	for (int i = 0; i < ROUNDS; i++) {
		run(&t, &base);
		wait_for_word(&t, (uint64_t)i * PAGES / ROUNDS);
		vmtest_save_live(&t, &s, true, true);
		cr_expect_gt(expect_one_moment(&s), 0);
		vmtest_remove(&s);
		vmtest_fini(&t);
	}
	vmtest_remove(&base);
}

Test(vm_live, one_that_stands_is_saved_and_stands, .timeout = TIMEOUT)
{
	struct vmtest_snapshot base, a, b;
	uint64_t sum;
	struct vmtest t;

	make_base(&base);
	run(&t, &base);
	wait_for_word(&t, 0);
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vmtest_save_live(&t, &a, true, true);
	cr_expect_eq(t.vm->state, VM_PAUSED);
	vmtest_save_live(&t, &b, false, true);
	sum = expect_one_moment(&a);
	cr_expect_gt(sum, 0);
	cr_expect_eq(expect_one_moment(&b), sum);
	vmtest_fini(&t);
	vmtest_remove(&b);
	vmtest_remove(&a);
	vmtest_remove(&base);
}

/* A file that can't be written, and one that can't be read again. */
Test(vm_live, one_that_fails_leaves_the_guest_running, .timeout = TIMEOUT)
{
	const struct snapshot_options opt = {.name = "lost", .diff = true};
	const int flags[] = {O_RDONLY, O_WRONLY};
	struct vmtest_snapshot base, s;
	struct snapshot_files files;
	struct vmtest t;

	make_base(&base);
	run(&t, &base);
	for (size_t i = 0; i < 2; i++) {
		char name[] = "/tmp/vmtest-XXXXXX";
		int fd = mkstemp(name);

		cr_assert_geq(fd, 0);
		close(fd);
		wait_for_word(&t, 0);
		files = (struct snapshot_files){-1, -1, open(name, flags[i])};
		cr_expect_eq(snapshot_save_live(t.vm, &files, &opt, &t.err),
			     -EBADF);
		cr_expect_not_null(strstr(t.err.msg, i ? "read of the memory"
						       : "write of the mem"),
				   "%s", t.err.msg);
		cr_expect_eq(t.vm->state, VM_RUNNING);
		cr_expect_eq(t.vm->snapshots.failed, i + 1);
		cr_expect_eq(t.vm->snapshots.taken, 0);
		close(files.memory_fd);
		unlink(name);
	}
	vmtest_save_live(&t, &s, true, true);
	cr_expect_gt(expect_one_moment(&s), 0, "a lost diff took its pages");
	vmtest_remove(&s);
	vmtest_fini(&t);
	vmtest_remove(&base);
}

Test(vm_live, a_guest_that_ends_meanwhile_is_no_snapshot)
{
	const struct snapshot_options opt = {.name = "late"};
	char name[] = "/tmp/vmtest-XXXXXX";
	struct snapshot_files files = {-1, -1, mkstemp(name)};
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_start(&t, "hello");
	while (!atomic_load(&t.vm->events.over))
		usleep(100);
	cr_expect_eq(t.vm->state, VM_RUNNING, "nobody has looked yet");
	cr_expect_eq(snapshot_save_live(t.vm, &files, &opt, &t.err), -ESRCH);
	cr_expect_str_eq(t.err.msg, "the guest has ended");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT);
	vmtest_fini(&t);
	close(files.memory_fd);
	unlink(name);
}
