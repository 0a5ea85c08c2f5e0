/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_park.c - no kick is lost: pause, resume and stop against a KVM_RUN
 * that sleeps until it is kicked, and against one that exits all the time.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fake/fake_kvm.h"
#include "fake/fakevm.h"

static const struct fake_exit spin = {
	.run = {.exit_reason = KVM_EXIT_MMIO,
		.mmio = {.phys_addr = 0xd0000000, .len = 4}}};

/* Under a sanitizer on a small host a cycle takes long. */
static int cycles(int n)
{
	const char *slow = getenv("MOTE_SLOW");

	return slow && slow[0] ? n / 10 : n;
}

static void expect_states(struct fakevm *f, enum vcpu_state state)
{
	for (uint32_t i = 0; i < f->vm->vcpus; i++)
		cr_assert_eq(vcpu_state(f->vm->vcpu[i]), state);
}

static void pause_and_resume(struct fakevm *f, int n)
{
	for (int i = 0; i < n; i++) {
		cr_assert_eq(vm_pause(f->vm, &f->err), 0, "%s", f->err.msg);
		expect_states(f, VCPU_PARKED);
		cr_assert_eq(vm_resume(f->vm, &f->err), 0, "%s", f->err.msg);
	}
}

Test(park, ten_thousand_pauses_of_a_sleeping_guest, .timeout = 120)
{
	struct fakevm f;

	fakevm_init(&f, 2);
	fakevm_start(&f, false);
	pause_and_resume(&f, cycles(10000));
	fakevm_fini(&f);
}

Test(park, ten_thousand_pauses_of_a_busy_guest, .timeout = 120)
{
	struct fakevm f;

	fakevm_init(&f, 2);
	fake_kvm_repeat(&spin);
	fakevm_start(&f, false);
	pause_and_resume(&f, cycles(10000));
	fakevm_fini(&f);
}

Test(park, a_parked_vcpu_does_not_run)
{
	struct fakevm f;
	unsigned int runs;

	fakevm_init(&f, 2);
	fake_kvm_repeat(&spin);
	fakevm_start(&f, false);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(vm_pause(f.vm, NULL), 0);
		runs = fake_kvm_runs();
		sched_yield();
		cr_expect_eq(fake_kvm_runs(), runs);
		cr_assert_eq(vm_resume(f.vm, NULL), 0);
	}
	fakevm_fini(&f);
}

Test(park, a_thousand_lives_leave_nothing, .timeout = 120)
{
	struct live before;
	struct fakevm f;

	fakevm_init(&f, 2);
	fakevm_start(&f, false);
	fakevm_fini(&f);
	before = live_now();
	for (int i = 0; i < cycles(1000); i++) {
		fakevm_init(&f, 2);
		fakevm_start(&f, i % 2);
		if (i % 3 == 0)
			vm_pause(f.vm, NULL);
		if (i % 5 == 0)
			vm_resume(f.vm, NULL);
		if (i % 7 == 0)
			vm_kill(f.vm);
		fakevm_fini(&f);
	}
	expect_live(&before, "after a thousand machines");
}

Test(park, a_machine_that_was_killed_stays_ended)
{
	struct fakevm f;

	fakevm_init(&f, 2);
	fakevm_start(&f, false);
	vm_kill(f.vm);
	expect_states(&f, VCPU_DEAD);
	vm_kill(f.vm);
	vm_ask_stop(f.vm);
	vm_dispatch(f.vm);
	cr_expect_eq(vm_pause(f.vm, NULL), -ESRCH);
	cr_expect_eq(f.vm->end, VM_END_KILLED);
	fakevm_fini(&f);
}

/* --- references --------------------------------------------------------------
 */

Test(vcpu_ref, a_vcpu_is_found_by_its_kvm_id)
{
	struct vcpu *v;
	struct fakevm f;

	fakevm_init(&f, 3);
	fakevm_start(&f, false);
	for (uint32_t id = 0; id < 3; id++) {
		v = vm_vcpu_get(f.vm, id);
		cr_assert_not_null(v);
		cr_expect_eq(v->id, id);
		cr_expect_eq(ref_count(&v->ref), 2);
		vcpu_put(&v);
		cr_expect_null(v, "a put clears what it was given");
	}
	cr_expect_null(vm_vcpu_get(f.vm, 3));
	cr_expect_null(vm_vcpu_get(f.vm, UINT32_MAX));
	vcpu_put(&v);
	fakevm_fini(&f);
}

Test(vcpu_ref, a_borrowed_vcpu_outlives_its_machine)
{
	struct live before;
	struct vcpu *v;
	struct fakevm f;

	fakevm_init(&f, 2);
	fakevm_start(&f, false);
	fakevm_fini(&f);
	before = live_now();

	fakevm_init(&f, 2);
	fakevm_start(&f, false);
	v = vm_vcpu_get(f.vm, 1);
	cr_assert_not_null(v);
	fakevm_fini(&f);
	cr_expect_eq(vcpu_state(v), VCPU_DEAD);
	cr_expect_not(vcpu_ended(v, NULL));
	cr_expect_eq(ref_count(&v->ref), 1);
	vcpu_put(&v);
	expect_live(&before, "after the last reference");
}

static atomic_bool enough;

static void *borrow(void *arg)
{
	struct vm *vm = arg;

	while (!atomic_load(&enough)) {
		struct vcpu *v = vm_vcpu_get(vm, 1);

		if (!v)
			return "no vCPU";
		vcpu_state(v);
		vcpu_nudge(v);
		vcpu_put(&v);
	}
	return NULL;
}

Test(vcpu_ref, borrowers_and_pauses_do_not_meet, .timeout = 120)
{
	pthread_t t[3];
	struct fakevm f;
	void *complaint;

	fakevm_init(&f, 2);
	fake_kvm_repeat(&spin);
	fakevm_start(&f, false);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, borrow, f.vm), 0);
	pause_and_resume(&f, cycles(500));
	atomic_store(&enough, true);
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &complaint);
		cr_expect_null(complaint, "%s", (char *)complaint);
	}
	cr_expect_eq(ref_count(&f.vm->vcpu[1]->ref), 1);
	fakevm_fini(&f);
}
