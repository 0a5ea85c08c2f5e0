/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_plug.c - a vCPU leaves the machine and comes back; its descriptor
 * stays, because KVM never frees an id (EEXIST).
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/stress.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"

#define CYCLES 1000

static void start_two(struct vmtest *t)
{
	vmtest_init(t, "step_ms=1");
	t->cfg.vm.vcpus = 2;
	t->cfg.vm.max_vcpus = 2;
	vmtest_start(t, "counter");
	vmtest_wait_for(t, "count 2\n");
}

Test(vm_plug, a_vcpu_leaves_and_comes_back_a_thousand_times, .timeout = 120)
{
	struct vmtest t;
	int before;

	start_two(&t);
	before = live_fds();
	for (int i = 0; i < CYCLES; i++) {
		struct vcpu *v;

		cr_assert_eq(vm_vcpu_unplug(t.vm, 1, &t.err), 0, "%s",
			     t.err.msg);
		cr_assert_null(vm_vcpu_get(t.vm, 1));
		cr_assert_eq(vm_vcpu_replug(t.vm, 1, &t.err), 0, "%s",
			     t.err.msg);
		v = vm_vcpu_get(t.vm, 1);
		cr_assert_not_null(v);
		cr_assert_eq(v->id, 1u, "identity is the KVM id");
		vcpu_put(&v);
	}
	cr_assert_eq(live_fds(), before);
	vmtest_drain(&t);
	vm_ask_stop(t.vm);
	vmtest_wait_end(&t);
	cr_assert_eq(t.vm->exit_code, 0);
	vmtest_fini(&t);
}

Test(vm_plug, the_id_is_not_free_while_it_is_unplugged)
{
	struct vmtest t;
	struct vcpu *v;
	int ret;

	start_two(&t);
	v = vm_vcpu_get(t.vm, 1);
	cr_assert_eq(vm_vcpu_unplug(t.vm, 1, &t.err), 0, "%s", t.err.msg);
	cr_assert_eq(vcpu_state(v), VCPU_PARKED_UNPLUGGED);
	/* arm64 says EBUSY once its interrupt controller exists. */
	ret = kvm_create_vcpu(t.vm->vm_fd, 1);
	cr_assert(ret == -EEXIST || ret == -EBUSY || ret == -EINVAL /* POWER */,
		  "%d", ret);
	cr_assert_eq(vm_vcpu_unplug(t.vm, 1, &t.err), -ENOENT);
	cr_assert_eq(vm_vcpu_replug(t.vm, 1, &t.err), 0, "%s", t.err.msg);
	cr_assert_eq(vm_vcpu_replug(t.vm, 1, &t.err), -ENOENT);
	vcpu_put(&v);
	vmtest_fini(&t);
}

Test(vm_plug, the_guest_stands_still_without_its_vcpu)
{
	struct vmtest t;
	size_t len;

	start_two(&t);
	cr_assert_eq(vm_vcpu_unplug(t.vm, 0, &t.err), 0, "%s", t.err.msg);
	vm_dispatch(t.vm);
	chardev_flush(&t.vm->console, false); /* a line without its end */
	vmtest_drain(&t);
	len = t.out_len;
	usleep(50000);
	vm_dispatch(t.vm);
	vmtest_drain(&t);
	cr_assert_eq(t.out_len, len);
	cr_assert_eq(vm_vcpu_unplug(t.vm, 1, &t.err), -EBUSY);
	cr_assert_not_null(strstr(t.err.msg, "last one"), "%s", t.err.msg);
	cr_assert_eq(vm_vcpu_replug(t.vm, 0, &t.err), 0, "%s", t.err.msg);
	vm_ask_stop(t.vm);
	vmtest_wait_end(&t);
	cr_assert_eq(t.vm->exit_code, 0);
	vmtest_fini(&t);
}

Test(vm_plug, a_borrowed_vcpu_outlives_the_machine)
{
	struct vmtest t;
	struct vcpu *v;

	start_two(&t);
	v = vm_vcpu_get(t.vm, 1);
	cr_assert_eq(vm_vcpu_unplug(t.vm, 1, &t.err), 0, "%s", t.err.msg);
	vmtest_fini(&t);
	cr_assert_eq(vcpu_state(v), VCPU_DEAD);
	vcpu_put(&v);
	cr_assert_null(v);
}
