/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_smp.c - guests that start their other vCPUs, and one that walks
 * through all of its memory.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <string.h>

#include "base/num.h"

static void expect_run(struct vmtest *t, const char *guest, const char *words)
{
	vmtest_start(t, guest);
	vmtest_wait_end(t);
	cr_expect_eq(t->vm->end, VM_END_EXIT, "%s", t->vm->err.msg);
	cr_expect_eq(t->vm->exit_code, 0, "%s", t->out);
	cr_expect_not_null(strstr(t->out, words), "%s", t->out);
	vmtest_fini(t);
}

static void ping_pong(uint32_t vcpus, const char *words)
{
	struct vmtest t;

	vmtest_init(&t, "rounds=50");
	t.cfg.vm.vcpus = vcpus;
	expect_run(&t, "smp", words);
}

Test(vm_smp, vcpus_play_ping_pong)
{
	ping_pong(1, "1 vCPUs, 50 turns");
	ping_pong(2, "2 vCPUs, 100 turns");
	ping_pong(4, "4 vCPUs, 200 turns");
}

/* Parked all together, again and again, while they play. */
Test(vm_smp, vcpus_that_play_are_paused, .timeout = 120)
{
	struct vmtest t;

	vmtest_init(&t, "rounds=100000000");
	t.cfg.vm.vcpus = 3;
	vmtest_start(&t, "smp");
	for (int i = 0; i < 50; i++) {
		cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
		for (uint32_t k = 0; k < 3; k++)
			cr_expect_eq(vcpu_state(t.vm->vcpu[k]), VCPU_PARKED);
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	}
	cr_expect_eq(t.vm->end, VM_END_NONE, "%s", t.vm->err.msg);
	vm_kill(t.vm);
	vmtest_fini(&t);
}

Test(vm_smp, a_guest_walks_all_its_memory)
{
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.vm.memory = 32 * MIB;
	expect_run(&t, "walk", " words, 0 bad");
}
