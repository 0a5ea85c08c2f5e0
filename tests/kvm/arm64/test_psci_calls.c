/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_psci_calls.c - the firmware's calls as a guest makes them, and vCPUs
 * that are switched off over a snapshot.
 */
#include <criterion/criterion.h>

#include <linux/kvm.h>
#include <stdio.h>

#include "kvm/arm64/clone.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"

#define PSCI_0_2 2u
#define PSCI_1_3 0x10003u

/* What each call answers: guests/psci/calls.c. */
#define FIRST                                                                  \
	"affinity 1\n"                                                         \
	"on 0\ncontext 17\naffinity 0\non again -4\noff 1\n"
#define SECOND                                                                 \
	"on 0\ncontext 23\naffinity 0\non again -4\noff 1\n"                   \
	"on nobody -2\naffinity of nobody -2\n"                                \
	"suspend 0\nslept\nmigrate 2\n"
#define FEATURES_1 "feature cpu_on 0\nfeature none -1\nunknown -1\n"
#define FEATURES_0 "feature none -1\nunknown -1\n"

static void calls(uint32_t psci, const char *expected)
{
	struct vmtest t;

	vmtest_init(&t, "calls=1");
	t.cfg.vm.vcpus = 2;
	t.cfg.cpu.psci = psci;
	vmtest_start(&t, "psci");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_str_eq(t.out, expected);
	vmtest_fini(&t);
}

Test(arm64_psci_calls, each_answers_as_the_specification_says)
{
	calls(PSCI_DEFAULT, "psci 1.0\n" FIRST SECOND FEATURES_1);
}

Test(arm64_psci_calls, version_0_2_has_no_features)
{
	calls(PSCI_0_2, "psci 0.2\n" FIRST SECOND FEATURES_0);
}

static uint32_t mp_state(const struct vmtest *t, int i)
{
	struct kvm_mp_state mp = {0};

	cr_assert_eq(kvm_call(t->vm->vcpu[i]->fd, KVM_GET_MP_STATE, &mp), 0);
	return mp.mp_state;
}

/* It was on, is off at the moment of the snapshot, and is started again. */
Test(arm64_psci_calls, a_vcpu_that_is_off_stays_so_and_can_be_started)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	vmtest_init(&a, "calls=1 clone=1");
	a.cfg.vm.vcpus = 2;
	clone_save(&a, "psci", &s);
	cr_expect_str_eq(a.out, "psci 1.0\n" FIRST "ready\n");
	cr_expect_eq(mp_state(&a, 1), KVM_MP_STATE_STOPPED);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	b.cfg.vm.vcpus = 2;
	vmtest_load(&b, &s);
	cr_expect_eq(mp_state(&b, 0), KVM_MP_STATE_RUNNABLE);
	cr_expect_eq(mp_state(&b, 1), KVM_MP_STATE_STOPPED);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_eq(b.vm->end, VM_END_EXIT, "%s", b.vm->err.msg);
	cr_expect_str_eq(b.out, "affinity 1\n" SECOND FEATURES_1);
	vmtest_fini(&b);
	vmtest_remove(&s);
}

/* One that was never started: the snapshot is of before the first run. */
Test(arm64_psci_calls, a_vcpu_that_never_ran_can_be_started_after_a_restore)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	vmtest_init(&a, "calls=1");
	a.cfg.vm.vcpus = 2;
	vmtest_build(&a, "psci");
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	b.cfg.vm.vcpus = 2;
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_str_eq(b.out, "psci 1.0\n" FIRST SECOND FEATURES_1);
	vmtest_fini(&b);
	vmtest_remove(&s);
}

Test(arm64_psci_calls, system_off_ends_the_guest_with_0)
{
	struct vmtest t;

	vmtest_init(&t, "off=1 exit=9");
	vmtest_start(&t, "psci");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_eq(t.vm->exit_code, 0);
	vmtest_fini(&t);
}

Test(arm64_psci_calls, system_reset_is_the_reset_of_the_machine)
{
	struct vmtest t;

	vmtest_init(&t, "reset=1 exit=9");
	vmtest_start(&t, "psci");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_RESET, "%s", t.vm->err.msg);
	vmtest_fini(&t);
}

/* PSCI 1.3 has it; a kernel that lacks it says so to the guest. */
Test(arm64_psci_calls, system_off2_ends_the_guest_where_the_kernel_has_it)
{
	struct vmtest t;

	vmtest_init(&t, "off2=1 exit=9");
	t.cfg.cpu.psci = PSCI_HOST;
	vmtest_start(&t, "psci");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	if (t.vm->arch.psci >= PSCI_1_3) {
		cr_expect_eq(t.vm->exit_code, 0);
	} else {
		cr_expect_not_null(strstr(t.out, "off2: not supported\n"), "%s",
				   t.out);
		cr_expect_eq(t.vm->exit_code, 9);
	}
	vmtest_fini(&t);
}
