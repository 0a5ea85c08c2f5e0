/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_trigger.c - [snapshot] when and ready in the machine: the guest
 * stands where the moment was, and goes on after it.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/timeline.h"

#define WAIT_NS (UINT64_C(10) * 1000000000)

static void start_ready(struct vmtest *t, const char *ready, const char *args)
{
	vmtest_init(t, args);
	t->cfg.snapshot.when = SNAPSHOT_READY;
	free(t->cfg.snapshot.ready);
	t->cfg.snapshot.ready = strdup(ready);
}

static void pause_when_due(struct vmtest *t)
{
	uint64_t began = timeline_now();

	while (!t->vm->due && t->vm->state != VM_ENDED &&
	       timeline_now() - began < WAIT_NS)
		vmtest_turn(t);
	cr_assert(t->vm->due, "%s: %s", t->out, t->vm->err.msg);
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vmtest_drain(t);
}

/* The guest has said what ends with last, nothing after it; then it goes on. */
static void expect_stood_at(struct vmtest *t, const char *last)
{
	size_t n = strlen(last);

	pause_when_due(t);
	cr_expect(t->out_len >= n && !strcmp(t->out + t->out_len - n, last),
		  "no end \"%s\": %s", last, t->out);
	t->vm->due = false;
	cr_assert_eq(vm_resume(t->vm, &t->err), 0, "%s", t->err.msg);
	vmtest_wait_for(t, "count 9\n");
	cr_expect_not(t->vm->due, "a second time");
	vmtest_fini(t);
}

Test(vm_trigger, at_the_mark_nothing_was_counted)
{
	struct vmtest t;

	start_ready(&t, "mark", "step_ms=1");
	vmtest_start(&t, "counter");
	pause_when_due(&t);
	cr_expect_null(strstr(t.out, "count"), "%s", t.out);
	vmtest_fini(&t);
}

Test(vm_trigger, idle_is_the_first_wait)
{
	struct vmtest t;

	start_ready(&t, "idle", "step_ms=1");
	vmtest_start(&t, "counter");
	expect_stood_at(&t, "count 1\n");
}

Test(vm_trigger, a_wait_that_takes_no_time_is_not_idle)
{
	struct vmtest t;

	start_ready(&t, "idle", "step_ms=0 until=50");
	vmtest_start(&t, "counter");
	vmtest_wait_end(&t);
	cr_expect_not(t.vm->due);
	vmtest_fini(&t);
}

Test(vm_trigger, the_guest_stands_where_its_text_ended)
{
	struct vmtest t;

	start_ready(&t, "console:count 3", "step_ms=1");
	vmtest_start(&t, "counter");
	expect_stood_at(&t, "count 3");
}

Test(vm_trigger, a_text_is_found_that_nobody_reads)
{
	struct vmtest t;

	start_ready(&t, "console:count 5", "step_ms=1");
	t.opt.console_out_fd = -1;
	vmtest_start(&t, "counter");
	pause_when_due(&t);
	vmtest_fini(&t);
}

Test(vm_trigger, a_time_after_the_start_comes_by_itself)
{
	struct vmtest t;

	start_ready(&t, "after:30ms", "quiet=1 step_ms=60000");
	vmtest_build(&t, "counter");
	cr_assert_eq(vm_start(t.vm, true, &t.err), 0, "%s", t.err.msg);
	cr_expect_eq(vm_timeout(t.vm), -1, "paused, it has not begun");
	cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	cr_expect_geq(vm_timeout(t.vm), 0);
	pause_when_due(&t);
	cr_expect_eq(t.vm->due_at_ns, 0);
	vmtest_fini(&t);
}

Test(vm_trigger, without_when_ready_there_is_no_moment)
{
	struct vmtest t;

	start_ready(&t, "console:count 3", "step_ms=1");
	t.cfg.snapshot.when = SNAPSHOT_SIGNAL;
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "count 9\n");
	cr_expect_not(t.vm->due);
	vmtest_fini(&t);
}

/* Run to the end, save what is left, and start that. */
static void save_the_end(struct vmtest *b, const char *guest, const char *args,
			 uint32_t vcpus, int code)
{
	struct vmtest_snapshot s;
	struct vmtest a;

	vmtest_init(&a, args);
	a.cfg.snapshot.when = SNAPSHOT_EXIT;
	a.cfg.vm.vcpus = vcpus;
	vmtest_start(&a, guest);
	vmtest_wait_end(&a);
	cr_assert_eq(a.vm->end, VM_END_EXIT, "%s", a.vm->err.msg);
	cr_expect_eq(a.vm->exit_code, code);
	cr_assert_eq(vm_settle(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	vmtest_init(b, "");
	b->cfg.vm.vcpus = vcpus;
	vmtest_load(b, &s);
	vmtest_remove(&s);
	cr_assert_eq(vm_start(b->vm, false, &b->err), 0, "%s", b->err.msg);
	vmtest_wait_end(b);
}

Test(vm_trigger, a_guest_saved_at_its_exit_goes_on_behind_it)
{
	struct vmtest b;

	save_the_end(&b, "counter", "step_ms=1 nap=4 until=6", 1, 7);
	cr_expect_eq(b.vm->exit_code, 0, "%s", b.out);
	cr_expect_null(strstr(b.out, "count 4\n"), "%s", b.out);
	cr_expect_not_null(strstr(b.out, "count 5\n"), "%s", b.out);
	cr_expect_not_null(strstr(b.out, "done at 6\n"), "%s", b.out);
	vmtest_fini(&b);
}

Test(vm_trigger, only_a_guest_that_ended_by_itself_is_saved_ended)
{
	struct vmtest t;

	vmtest_init(&t, "exit=3");
	vmtest_start(&t, "hello");
	vmtest_wait_end(&t);
	cr_expect_eq(vm_settle(t.vm, &t.err), -ESRCH, "without when=exit");
	vmtest_fini(&t);
	vmtest_init(&t, "step_ms=5");
	t.cfg.snapshot.when = SNAPSHOT_EXIT;
	vmtest_start(&t, "counter");
	vm_kill(t.vm);
	cr_expect_eq(vm_settle(t.vm, &t.err), -ESRCH, "killed");
	cr_expect_str_eq(t.err.msg, "the guest has ended");
	vmtest_fini(&t);
}

Test(vm_trigger, a_guest_with_nothing_behind_its_exit_ends_again)
{
	struct vmtest b;

	save_the_end(&b, "hello", "exit=9", 1, 9);
	cr_expect_eq(b.vm->end, VM_END_EXIT, "%s", b.vm->err.msg);
	cr_expect_eq(b.vm->exit_code, 9);
	cr_expect_str_empty(b.out, "%s", b.out);
	vmtest_fini(&b);
}

#if !defined(__powerpc64__) /* one vCPU, and no hvt there */
Test(vm_trigger, the_other_vcpus_are_saved_at_the_exit_too)
{
	struct vmtest b;

	save_the_end(&b, "smp", "rounds=50", 3, 0);
	cr_expect_eq(b.vm->end, VM_END_EXIT, "%s", b.vm->err.msg);
	cr_expect_eq(b.vm->exit_code, 0);
	vmtest_fini(&b);
}

static void init_hvt(struct vmtest *t, const char *args)
{
	vmtest_init(t, args);
	t->cfg.vm.memory = UINT64_C(4) << 20;
	t->cfg.vm.protocol = PROTOCOL_HVT;
}

static void expect_first_poll(const char *ready)
{
	struct vmtest t;

	start_ready(&t, ready, "ticks=20 step_ms=5");
	t.cfg.vm.memory = UINT64_C(4) << 20;
	t.cfg.vm.protocol = PROTOCOL_HVT;
	vmtest_start(&t, "hvt-probe");
	pause_when_due(&t);
	cr_expect_null(strstr(t.out, "tick 2"), "%s", t.out);
	cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	vmtest_fini(&t);
}

Test(vm_trigger, of_an_hvt_guest_it_is_the_first_poll)
{
	expect_first_poll("mark");
	expect_first_poll("idle");
}

Test(vm_trigger, an_hvt_guest_stands_where_its_text_ended)
{
	struct vmtest t;

	start_ready(&t, "console:tick 3", "ticks=20 step_ms=1");
	t.cfg.vm.memory = UINT64_C(4) << 20;
	t.cfg.vm.protocol = PROTOCOL_HVT;
	vmtest_start(&t, "hvt-probe");
	pause_when_due(&t);
	cr_expect_not_null(strstr(t.out, "tick 3"), "%s", t.out);
	cr_expect_null(strstr(t.out, "tick 4"), "%s", t.out);
	vmtest_fini(&t);
}

/* Its halt does not return, so it ends again at once. */
Test(vm_trigger, an_hvt_guest_saved_at_its_halt_halts_again)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	init_hvt(&a, "exit=5");
	a.cfg.snapshot.when = SNAPSHOT_EXIT;
	vmtest_start(&a, "hvt-probe");
	vmtest_wait_end(&a);
	cr_assert_eq(vm_settle(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	init_hvt(&b, "");
	vmtest_load(&b, &s);
	vmtest_remove(&s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_eq(b.vm->end, VM_END_EXIT, "%s", b.vm->err.msg);
	cr_expect_eq(b.vm->exit_code, 5);
	cr_expect_eq(b.vm->vcpu[0]->exits[VCPU_EXIT_IO], 0, "the guest ran");
	cr_expect_eq(b.vm->vcpu[0]->exits[VCPU_EXIT_MMIO], 0, "the guest ran");
	vmtest_fini(&b);
}
#endif
