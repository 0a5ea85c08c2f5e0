/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_snapshot.c - save and load of a whole machine; the same on every
 * architecture.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kvm/vmtest.h"

#define ID_LEN 32

/* Run the counter until text, pause it and save it. */
static void save_counter(struct vmtest *t, const char *args, const char *text,
			 struct vmtest_snapshot *s)
{
	vmtest_init(t, args);
	vmtest_start(t, "counter");
	vmtest_wait_for(t, text);
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vm_dispatch(t->vm);
	vmtest_save(t, s);
}

/*
 * The whole lines "count N" of text must rise by one from 1; the last N.
 * The end may be cut: a pause comes between two bytes.
 */
static long check_counts(const char *text)
{
	long n = 0;

	for (const char *p = text; (p = strstr(p, "count ")) != NULL; p++) {
		char *end;
		long v = strtol(p + 6, &end, 10);

		if (*end != '\n')
			break;
		cr_assert_eq(v, ++n, "%s", text);
	}
	return n;
}

/* The id in the n-th line "generation N id ID". */
static void get_id(const char *text, long n, char id[ID_LEN + 1])
{
	char line[32];
	const char *p;

	snprintf(line, sizeof(line), "generation %ld id ", n);
	p = strstr(text, line);
	cr_assert(p != NULL, "no \"%s\" in: %s", line, text);
	snprintf(id, ID_LEN + 1, "%.*s", ID_LEN, p + strlen(line));
}

Test(vm_snapshot, a_restored_guest_goes_on_from_where_it_was)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;
	static char both[2 * VMTEST_OUT_MAX];
	long saved;

	save_counter(&a, "step_ms=2", "count 5\n", &s);
	saved = check_counts(a.out);
	vmtest_fini(&a);

	vmtest_init(&b, "");
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_for(&b, "count 60\n");
	cr_expect_geq(saved, 5, "%s", a.out);
	cr_expect_null(strstr(b.out, "count 1\n"), "it began anew");
	snprintf(both, sizeof(both), "%s%s", a.out, b.out);
	cr_expect_geq(check_counts(both), 60);
	vm_ask_stop(b.vm);
	vmtest_wait_end(&b);
	cr_expect_eq(b.vm->exit_code, 0);
	vmtest_fini(&b);
	vmtest_remove(&s);
}

Test(vm_snapshot, twins_learn_that_they_are_new)
{
	char first[ID_LEN + 1], one[ID_LEN + 1], two[ID_LEN + 1];
	struct vmtest_snapshot s;
	struct vmtest a, b, c;

	save_counter(&a, "step_ms=2", "count 2\n", &s);
	get_id(a.out, 1, first);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	vmtest_init(&c, "");
	vmtest_load(&b, &s);
	vmtest_load(&c, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	cr_assert_eq(vm_start(c.vm, false, &c.err), 0, "%s", c.err.msg);
	vmtest_wait_for(&b, "count 20\n");
	vmtest_wait_for(&c, "count 20\n");
	get_id(b.out, 2, one);
	get_id(c.out, 2, two);
	cr_expect_str_neq(one, first);
	cr_expect_str_neq(two, first);
	cr_expect_str_neq(one, two);
	vmtest_fini(&c);
	vmtest_fini(&b);
	vmtest_remove(&s);
}

Test(vm_snapshot, load_then_save_gives_the_same_bytes)
{
	struct vmtest_snapshot s, again;
	struct vmtest a, b;

	save_counter(&a, "step_ms=2", "count 3\n", &s);
	vmtest_init(&b, "step_ms=2");
	vmtest_load(&b, &s);
	usleep(20000); /* clocks go on; what was saved does not */
	vmtest_save(&b, &again);
	vmtest_expect_same(&s, &again);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&again);
	vmtest_remove(&s);
}

/* Threads exist and wait, as in a pool of clones. */
Test(vm_snapshot, a_parked_clone_saves_the_same_bytes)
{
	struct vmtest_snapshot s, again;
	struct vmtest a, b;

	save_counter(&a, "step_ms=2", "count 3\n", &s);
	vmtest_init(&b, "step_ms=2");
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, true, &b.err), 0, "%s", b.err.msg);
	cr_assert_eq(vm_pause(b.vm, &b.err), 0, "%s", b.err.msg);
	usleep(20000);
	vmtest_save(&b, &again);
	vmtest_expect_same(&s, &again);
	cr_assert_eq(vm_resume(b.vm, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_for(&b, "count 9\n");
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&again);
	vmtest_remove(&s);
}

Test(vm_snapshot, the_saved_guest_goes_on_too)
{
	struct vmtest_snapshot s;
	struct vmtest a;

	save_counter(&a, "step_ms=2", "count 3\n", &s);
	cr_assert_eq(vm_resume(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_wait_for(&a, "count 30\n");
	cr_expect_geq(check_counts(a.out), 30);
	cr_expect_null(strstr(a.out, "generation 2"), "%s", a.out);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

Test(vm_snapshot, a_machine_that_never_ran_can_be_saved)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	vmtest_init(&a, "exit=9");
	vmtest_build(&a, "hello");
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	b.cfg.restore.verify = VERIFY_EAGER;
	b.cfg.restore.memory = RESTORE_COPY;
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_eq(b.vm->exit_code, 9);
	cr_expect_not_null(strstr(b.out, "arguments: exit=9\n"), "%s", b.out);
	vmtest_fini(&b);
	vmtest_remove(&s);
}

Test(vm_snapshot, two_vcpus_are_saved_and_loaded)
{
	struct vmtest_snapshot s, again;
	struct vmtest a, b;

	vmtest_init(&a, "step_ms=2");
	a.cfg.vm.vcpus = 2;
	vmtest_start(&a, "counter");
	vmtest_wait_for(&a, "count 2\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vm_dispatch(a.vm);
	vmtest_save(&a, &s);
	vmtest_init(&b, "step_ms=2");
	b.cfg.vm.vcpus = 2;
	vmtest_load(&b, &s);
	vmtest_save(&b, &again);
	vmtest_expect_same(&s, &again);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_for(&b, "count 20\n");
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&again);
	vmtest_remove(&s);
}

Test(vm_snapshot, another_shape_is_refused_by_name)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	vmtest_init(&a, "");
	vmtest_build(&a, "hello");
	vmtest_save(&a, &s);
	vmtest_init(&b, "");
	b.cfg.vm.vcpus = 2;
	cr_expect_lt(vmtest_try_load(&b, &s), 0);
	cr_expect_not_null(strstr(b.err.msg, "vm.vcpus"), "%s", b.err.msg);
	b.cfg.vm.vcpus = 1;
	b.cfg.vm.memory *= 2;
	cr_expect_lt(vmtest_try_load(&b, &s), 0);
	cr_expect_not_null(strstr(b.err.msg, "vm.memory"), "%s", b.err.msg);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}
