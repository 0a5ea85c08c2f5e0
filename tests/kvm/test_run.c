/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_run.c - a guest runs: console, exit code, pause, stop, teardown; the
 * same on every architecture.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/map.h"
#include "kvm/vmtest.h"

Test(vm_run, hello_prints_and_gives_its_exit_code)
{
	struct vmtest t;
	char expected[160];

	vmtest_init(&t, "exit=7 and more");
	vmtest_start(&t, "hello");
	vmtest_wait_end(&t);
	snprintf(expected, sizeof(expected),
		 "hello from a mote guest on %s, 16 MiB, arguments: exit=7 and "
		 "more\n",
		 arch_name);
	cr_expect_str_eq(t.out, expected);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_eq(t.vm->exit_code, 7);
	cr_expect(t.vm->ready);
	vmtest_fini(&t);
}

Test(vm_run, nothing_stays_mapped_after_teardown)
{
	int before = map_live();
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_start(&t, "hello");
	cr_expect_gt(map_live(), before);
	vmtest_wait_end(&t);
	vmtest_fini(&t);
	cr_expect_eq(map_live(), before);
}

Test(vm_run, a_guest_that_never_ran_is_destroyed)
{
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	cr_expect_eq(t.vm->state, VM_BUILT);
	vmtest_fini(&t);
}

Test(vm_run, two_machines_run_in_one_process)
{
	struct vmtest a, b;

	vmtest_init(&a, "exit=3");
	vmtest_init(&b, "exit=4");
	vmtest_start(&a, "hello");
	vmtest_start(&b, "hello");
	vmtest_wait_end(&a);
	vmtest_wait_end(&b);
	cr_expect_eq(a.vm->exit_code, 3);
	cr_expect_eq(b.vm->exit_code, 4);
	vmtest_fini(&b);
	vmtest_fini(&a);
}

Test(vm_run, a_stop_request_reaches_the_guest)
{
	struct vmtest t;

	vmtest_init(&t, "step_ms=60000");
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "count 1\n");
	vm_ask_stop(t.vm);
	vmtest_wait_end(&t);
	cr_expect_not_null(strstr(t.out, "stopped at 1\n"), "%s", t.out);
	cr_expect_eq(t.vm->exit_code, 0);
	vmtest_fini(&t);
}

Test(vm_run, a_paused_guest_stands_still_and_goes_on)
{
	struct vmtest t;
	size_t len;

	vmtest_init(&t, "step_ms=2");
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "count 3\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vm_dispatch(t.vm);
	vmtest_drain(&t);
	len = t.out_len;
	usleep(30000);
	vm_dispatch(t.vm);
	vmtest_drain(&t);
	cr_expect_eq(t.out_len, len);
	cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	vmtest_wait_for(&t, "count 40\n");
	vm_kill(t.vm);
	cr_expect_eq(t.vm->end, VM_END_KILLED);
	vmtest_fini(&t);
}

Test(vm_run, the_second_vcpu_waits_for_the_first)
{
	struct vmtest t;

	vmtest_init(&t, "exit=5");
	t.cfg.vm.vcpus = 2;
	vmtest_start(&t, "hello");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_eq(t.vm->exit_code, 5);
	vmtest_fini(&t);
}
