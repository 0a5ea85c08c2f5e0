/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rewind.c - the same machine, put back to its snapshot again and again.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "snapshot/rewind.h"

struct rewound {
	struct vmtest t;
	struct vmtest_snapshot s;
	struct rewind *r;
	char next[32]; /* what it counts first after a restore */
};

/* The line after the last count that t said. */
static void next_count(const struct vmtest *t, char next[32])
{
	const char *last = NULL, *p = t->out;

	while ((p = strstr(p, "count ")))
		last = p++;
	cr_assert_not_null(last, "%s", t->out);
	snprintf(next, 32, "count %d\n", atoi(last + strlen("count ")) + 1);
}

/*
 * A counter that was saved after its third count or a later one; loaded with
 * [snapshot] when, ready at the text "count 59".
 */
static void setup_when(struct rewound *w, const char *args,
		       enum snapshot_when when)
{
	struct vmtest t;

	vmtest_init(&t, args);
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "count 3\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vm_dispatch(t.vm);
	vmtest_drain(&t);
	next_count(&t, w->next);
	vmtest_save(&t, &w->s);
	vmtest_init(&w->t, args);
	vmtest_fini(&t);
	if (when != SNAPSHOT_NEVER) {
		w->t.cfg.snapshot.when = when;
		free(w->t.cfg.snapshot.ready);
		w->t.cfg.snapshot.ready = strdup("console:count 59");
	}
	vmtest_load(&w->t, &w->s);
	cr_assert_eq(rewind_init(&w->r, w->t.vm, w->t.from, &w->t.err), 0, "%s",
		     w->t.err.msg);
}

static void setup(struct rewound *w, const char *args)
{
	setup_when(w, args, SNAPSHOT_NEVER);
}

static void teardown(struct rewound *w)
{
	struct rewind *r = w->r;

	vmtest_fini(&w->t);
	rewind_fini(r);
	vmtest_remove(&w->s);
}

static uint64_t go_back(struct rewound *w)
{
	uint64_t pages = 0;

	cr_assert_eq(rewind_vm(w->r, &pages, &w->t.err), 0, "%s", w->t.err.msg);
	cr_assert_eq(w->t.vm->state, VM_PAUSED);
	vmtest_drain(&w->t);
	w->t.out_len = 0;
	w->t.out[0] = 0;
	return pages;
}

static void resume(struct rewound *w)
{
	cr_assert_eq(vm_resume(w->t.vm, &w->t.err), 0, "%s", w->t.err.msg);
}

static void expect_same_as_saved(struct rewound *w)
{
	struct vmtest_snapshot again;

	vmtest_save(&w->t, &again);
	vmtest_expect_same(&w->s, &again);
	vmtest_remove(&again);
}

Test(vm_rewind, an_ended_guest_runs_again)
{
	struct rewound w;

	setup(&w, "until=60 step_ms=1");
	cr_assert_eq(vm_start(w.t.vm, false, &w.t.err), 0, "%s", w.t.err.msg);
	for (int i = 0; i < 20; i++) {
		vmtest_wait_end(&w.t);
		cr_assert_eq(w.t.vm->end, VM_END_EXIT);
		cr_assert_not_null(strstr(w.t.out, "done at 60\n"), "%d: %s", i,
				   w.t.out);
		cr_assert_eq(strstr(w.t.out, "count "), strstr(w.t.out, w.next),
			     "%d: %s", i, w.t.out);
		cr_assert_gt(go_back(&w), 0);
		cr_assert_eq(w.t.vm->end, VM_END_NONE);
		resume(&w);
	}
	teardown(&w);
}

Test(vm_rewind, an_ended_guest_runs_again_after_it_was_saved)
{
	struct vmtest_snapshot end;
	struct rewound w;

	setup_when(&w, "until=60 step_ms=1", SNAPSHOT_EXIT);
	cr_assert_eq(vm_start(w.t.vm, false, &w.t.err), 0, "%s", w.t.err.msg);
	for (int i = 0; i < 3; i++) {
		vmtest_wait_end(&w.t);
		cr_assert_not_null(strstr(w.t.out, "done at 60\n"), "%d: %s", i,
				   w.t.out);
		cr_assert_eq(vm_settle(w.t.vm, &w.t.err), 0, "%s", w.t.err.msg);
		vmtest_save(&w.t, &end);
		vmtest_remove(&end);
		go_back(&w);
		resume(&w);
	}
	teardown(&w);
}

Test(vm_rewind, the_moment_of_ready_comes_again)
{
	struct rewound w;

	setup_when(&w, "step_ms=1", SNAPSHOT_READY);
	cr_assert_eq(vm_start(w.t.vm, false, &w.t.err), 0, "%s", w.t.err.msg);
	for (int i = 0; i < 3; i++) {
		vmtest_wait_for(&w.t, "count 60\n");
		cr_expect(w.t.vm->due, "%d", i);
		go_back(&w);
		cr_expect_not(w.t.vm->due, "%d", i);
		resume(&w);
	}
	teardown(&w);
}

Test(vm_rewind, a_running_guest_goes_back_byte_by_byte)
{
	struct rewound w;

	setup(&w, "step_ms=1");
	cr_assert_eq(vm_start(w.t.vm, false, &w.t.err), 0, "%s", w.t.err.msg);
	for (int i = 0; i < 5; i++) {
		vmtest_wait_for(&w.t, w.next);
		go_back(&w);
		expect_same_as_saved(&w);
		resume(&w);
	}
	teardown(&w);
}

Test(vm_rewind, each_run_is_a_generation_of_its_own)
{
	char first[64] = "", *line;
	struct rewound w;

	setup(&w, "until=60 step_ms=1");
	cr_assert_eq(vm_start(w.t.vm, false, &w.t.err), 0, "%s", w.t.err.msg);
	for (int i = 0; i < 3; i++) {
		vmtest_wait_end(&w.t);
		line = strstr(w.t.out, "generation 2 id ");
		cr_assert_not_null(line, "%d: %s", i, w.t.out);
		cr_assert_neq(strncmp(line, first, 48), 0, "twins: %s", line);
		snprintf(first, sizeof(first), "%.48s", line);
		go_back(&w);
		resume(&w);
	}
	teardown(&w);
}

/* What was pending for the run before is not there for the next. */
Test(vm_rewind, input_and_stop_of_the_run_before_are_gone)
{
	struct rewound w;

	setup(&w, "until=60 step_ms=1");
	cr_assert_eq(vm_start(w.t.vm, true, &w.t.err), 0, "%s", w.t.err.msg);
	w.t.vm->console.in[0] = 's';
	w.t.vm->console.in_len = 1;
	vm_ask_stop(w.t.vm);
	go_back(&w);
	cr_assert_eq(w.t.vm->console.in_len, 0);
	expect_same_as_saved(&w);
	resume(&w);
	vmtest_wait_end(&w.t);
	cr_assert_not_null(strstr(w.t.out, "done at 60\n"), "%s", w.t.out);
	teardown(&w);
}

/* Pages that nobody had touched, in the middle and at the end of RAM. */
Test(vm_rewind, only_what_left_the_file_is_copied)
{
	const uint64_t page = host_page_size();
	uint8_t buf[65536] = {1};
	uint64_t base, few, more;
	struct rewound w;

	setup(&w, "step_ms=1");
	cr_assert_eq(vm_start(w.t.vm, true, &w.t.err), 0, "%s", w.t.err.msg);
	few = go_back(&w);
	base = w.t.vm->slots.slot[0].gpa;
	for (int i = 0; i < 40; i++)
		cr_assert_eq(guest_write(&w.t.vm->slots,
					 base + VMTEST_MEMORY / 2 +
						 (uint64_t)i * 3 * page,
					 buf, page),
			     0);
	cr_assert_eq(guest_write(&w.t.vm->slots, base + VMTEST_MEMORY - page,
				 buf, page),
		     0);
	more = go_back(&w);
	cr_assert_geq(more, few + 41);
	cr_assert_lt(more, VMTEST_MEMORY / page / 2);
	expect_same_as_saved(&w);
	teardown(&w);
}

/* Its diffs are to the snapshot again, whatever was saved in between. */
Test(vm_rewind, diffs_after_it_are_to_its_snapshot)
{
	struct vmtest_snapshot own, diff;
	struct rewound w;

	setup(&w, "step_ms=1");
	cr_assert_eq(vm_start(w.t.vm, true, &w.t.err), 0, "%s", w.t.err.msg);
	vmtest_save(&w.t, &own);
	go_back(&w);
	cr_assert_str_eq(w.t.vm->reference.name, strrchr(w.s.dir, '/') + 1);
	resume(&w);
	vmtest_wait_for(&w.t, w.next);
	cr_assert_eq(vm_pause(w.t.vm, &w.t.err), 0, "%s", w.t.err.msg);
	vmtest_save_diff(&w.t, &diff, true);
	vmtest_remove(&own);
	vmtest_remove(&diff);
	teardown(&w);
}

Test(vm_rewind, of_a_diff_the_parents_pages_come_back)
{
	struct vmtest_snapshot diff;
	struct rewound w, d;

	setup(&w, "step_ms=1");
	cr_assert_eq(vm_start(w.t.vm, false, &w.t.err), 0, "%s", w.t.err.msg);
	vmtest_wait_for(&w.t, w.next);
	cr_assert_eq(vm_pause(w.t.vm, &w.t.err), 0, "%s", w.t.err.msg);
	vm_dispatch(w.t.vm);
	vmtest_drain(&w.t);
	next_count(&w.t, d.next);
	vmtest_save_diff(&w.t, &diff, true);

	vmtest_init(&d.t, "step_ms=1");
	vmtest_load(&d.t, &diff);
	cr_assert_eq(rewind_init(&d.r, d.t.vm, d.t.from, &d.t.err), 0, "%s",
		     d.t.err.msg);
	cr_assert_eq(vm_start(d.t.vm, false, &d.t.err), 0, "%s", d.t.err.msg);
	vmtest_wait_for(&d.t, d.next);
	go_back(&d);
	resume(&d);
	vmtest_wait_for(&d.t, d.next);
	cr_assert_eq(strstr(d.t.out, "count "), strstr(d.t.out, d.next), "%s",
		     d.t.out);
	go_back(&d);
	d.s = diff;
	teardown(&d);
	teardown(&w);
}

Test(vm_rewind, refused_by_name)
{
	struct mote_err err = {0};
	struct rewound w;
	struct rewind *r;

	setup(&w, "until=60 step_ms=1");
	cr_assert_eq(rewind_vm(w.r, NULL, &err), -ESRCH);
	cr_assert_not_null(strstr(err.msg, "has not run"), "%s", err.msg);
	cr_assert_eq(vm_start(w.t.vm, true, &w.t.err), 0, "%s", w.t.err.msg);
	vm_kill(w.t.vm);
	cr_assert_eq(rewind_vm(w.r, NULL, &err), -ESRCH);
	cr_assert_not_null(strstr(err.msg, "killed"), "%s", err.msg);
	vmtest_fini(&w.t);
	rewind_fini(w.r);

	vmtest_init(&w.t, "until=60");
	w.t.cfg.restore.memory = RESTORE_COPY;
	vmtest_load(&w.t, &w.s);
	cr_assert_eq(rewind_init(&r, w.t.vm, w.t.from, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "restore.memory"), "%s", err.msg);
	vmtest_fini(&w.t);
	vmtest_remove(&w.s);
}
