/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vcpu.c - vCPU references and lives on a real KVM: nothing stays
 * open, mapped or running.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "base/stress.h"
#include "kvm/vmtest.h"

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	cr_assert_not_null(d, "%s", path);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A joined thread may still be on its way out of the kernel. */
static void expect_threads(int before)
{
	for (int i = 0; i < 1000; i++) {
		if (entries("/proc/self/task") <= before)
			return;
		usleep(1000);
	}
	cr_expect_eq(entries("/proc/self/task"), before);
}

Test(vcpu, a_borrowed_vcpu_outlives_its_machine)
{
	int maps = map_live(), fds = live_fds();
	struct vcpu *v;
	struct vmtest t;

	vmtest_init(&t, "step_ms=2");
	t.cfg.vm.vcpus = 2;
	vmtest_start(&t, "counter");
	v = vm_vcpu_get(t.vm, 1);
	cr_assert_not_null(v);
	cr_expect_eq(v->id, 1u);
	cr_expect_eq(ref_count(&v->ref), 2);
	cr_expect_null(vm_vcpu_get(t.vm, 2));
	vmtest_fini(&t);
	cr_expect_eq(map_live(), maps + 1, "only its run page is left");
	cr_expect_eq(vcpu_state(v), VCPU_DEAD);
	vcpu_put(&v);
	cr_expect_null(v);
	cr_expect_eq(map_live(), maps);
	cr_expect_eq(live_fds(), fds);
}

Test(vcpu, a_thousand_lives_leave_nothing, .timeout = 300)
{
	const char *slow = getenv("MOTE_SLOW");
	int cycles = slow && slow[0] ? 50 : 1000;
	int maps = map_live(), fds = live_fds(), threads = 0;

	for (int i = 0; i < cycles; i++) {
		struct vmtest t;

		vmtest_init(&t, "step_ms=1000 quiet=1");
		t.cfg.vm.vcpus = 2;
		vmtest_build(&t, "counter");
		cr_assert_eq(vm_start(t.vm, i % 2, &t.err), 0, "%s", t.err.msg);
		cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
		if (i % 3 == 0)
			vm_kill(t.vm);
		vmtest_fini(&t);
		/* A sanitizer starts a thread of its own with the first. */
		if (i == 0) {
			usleep(10000);
			threads = entries("/proc/self/task");
		}
	}
	cr_expect_eq(map_live(), maps);
	cr_expect_eq(live_fds(), fds);
	expect_threads(threads);
}

Test(vcpu, a_thousand_pauses_of_a_running_guest, .timeout = 300)
{
	struct vmtest t;

	vmtest_init(&t, "step_ms=0 quiet=1");
	vmtest_start(&t, "counter");
	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
		cr_assert_eq(vcpu_state(t.vm->vcpu[0]), VCPU_PARKED);
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	}
	cr_expect_eq(t.vm->end, VM_END_NONE, "%s", t.vm->err.msg);
	vmtest_fini(&t);
}
