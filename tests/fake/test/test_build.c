/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_build.c - every KVM call of build, boot and start fails once.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "fake/fake_kvm.h"
#include "fake/fake_thread.h"
#include "fake/fakevm.h"
#include "kvm/kvm.h"

/* How many calls a machine with that many vCPUs takes to start. */
static unsigned int calls_to_start(uint32_t vcpus)
{
	struct fakevm f;
	unsigned int n;

	fakevm_init(&f, vcpus);
	fakevm_start(&f, true);
	n = fake_kvm_calls();
	fakevm_fini(&f);
	return n;
}

static void every_call_fails_once(uint32_t vcpus, int code)
{
	unsigned int calls = calls_to_start(vcpus);
	struct live before = live_now();
	char when[64];

	cr_assert_gt(calls, 10u);
	for (unsigned int n = 1; n <= calls; n++) {
		struct fakevm f;
		int ret;

		fakevm_init(&f, vcpus);
		fake_kvm_fail_nth(n, code);
		ret = fakevm_up(&f, true);
		snprintf(when, sizeof(when), "call %u, request 0x%lx", n,
			 fake_kvm_failed());
		cr_expect_neq(fake_kvm_failed(), 0ul, "%s", when);
		cr_expect_eq(ret, -code, "%s", when);
		cr_expect_eq(f.err.code, code, "%s", when);
		cr_expect_gt(strlen(f.err.msg), 8u, "%s: %s", when, f.err.msg);
		fakevm_fini(&f);
		expect_live(&before, when);
	}
}

Test(build, every_kvm_call_fails_once_and_nothing_is_left)
{
	every_call_fails_once(1, EIO);
}

Test(build, every_kvm_call_fails_once_with_three_vcpus)
{
	every_call_fails_once(3, ENOMEM);
}

Test(build, a_machine_that_ran_leaves_nothing)
{
	struct live before;
	struct fakevm f;

	calls_to_start(1); /* what libc allocates the first time */
	before = live_now();
	for (int i = 0; i < 20; i++) {
		fakevm_init(&f, 4);
		fakevm_start(&f, i % 2);
		fakevm_fini(&f);
	}
	expect_live(&before, "after 20 machines");
}

Test(build, a_thread_that_is_refused_ends_the_others)
{
	struct live before;
	struct fakevm f;

	calls_to_start(1);
	before = live_now();
	for (unsigned int n = 1; n <= 3; n++) {
		fakevm_init(&f, 3);
		fake_thread_fail_nth(n, EAGAIN);
		cr_expect_eq(fakevm_up(&f, false), -EAGAIN);
		cr_expect_not_null(strstr(f.err.msg, "thread"), "%s",
				   f.err.msg);
		cr_expect_eq(fake_kvm_runs(), 0u, "a part of the guest ran");
		fakevm_fini(&f);
		expect_live(&before, "thread refused");
	}
}

Test(build, a_start_that_failed_may_be_tried_again)
{
	struct fakevm f;

	fakevm_init(&f, 3);
	fake_thread_fail_nth(3, EAGAIN);
	cr_assert_eq(fakevm_up(&f, false), -EAGAIN);
	cr_expect_eq(f.vm->state, VM_BUILT);
	cr_assert_eq(vm_start(f.vm, false, &f.err), 0, "%s", f.err.msg);
	cr_expect_eq(f.vm->state, VM_RUNNING);
	cr_expect_eq(vm_pause(f.vm, &f.err), 0);
	fakevm_fini(&f);
}

static int refuse_thread(void *opaque, int vcpu_fd)
{
	(void)opaque;
	(void)vcpu_fd;
	return -EACCES;
}

Test(build, a_filter_that_does_not_load_ends_the_machine, .timeout = 30)
{
	struct fakevm f;

	fakevm_init(&f, 2);
	f.opt.thread_enter = refuse_thread;
	fakevm_start(&f, false);
	cr_expect(fakevm_wait_end(&f), "it hangs");
	cr_expect_eq(f.vm->end, VM_END_CRASH);
	cr_expect_not_null(strstr(f.vm->err.msg, "seccomp filter"), "%s",
			   f.vm->err.msg);
	cr_expect_eq(fake_kvm_runs(), 0u);
	fakevm_fini(&f);
}

Test(build, a_bad_number_of_vcpus_is_refused)
{
	struct fakevm f;

	fakevm_init(&f, 65);
	cr_expect_eq(fakevm_up(&f, true), -EINVAL);
	cr_expect_not_null(strstr(f.err.msg, "vm.vcpus"), "%s", f.err.msg);
	fakevm_fini(&f);
}

Test(build, descriptors_that_were_lent_stay_open)
{
	struct live before;
	struct fakevm f;
	int fd;

	fakevm_init(&f, 1);
	fd = kvm_open(NULL, NULL);
	before = live_now();
	f.opt.kvm_fd = fd;
	cr_assert_eq(build_vm(&f.vm, &f.opt, &f.err), 0, "%s", f.err.msg);
	cr_expect_neq(f.vm->kvm_fd, fd);
	vm_destroy(f.vm);
	f.vm = NULL;
	expect_live(&before, "after the machine");
	fakevm_fini(&f);
}

/* --- virtio devices ----------------------------------------------------------
 */

Test(build, more_virtio_devices_than_interrupts_are_refused)
{
	struct disk_config disk[20] = {{.name = (char *)"x"}};
	struct live before;
	struct fakevm f;

	fakevm_init(&f, 1);
	f.cfg.disk = disk;
	f.cfg.disk_count = 20;
	before = live_now();
	fake_kvm_reset();
	cr_expect_eq(fakevm_up(&f, true), -EINVAL);
	cr_expect_eq(f.err.exit_class, ERR_CLASS_DATA);
	cr_expect_str_eq(f.err.msg, "disk.x: 20 virtio devices, this version "
				    "has room for fewer");
	cr_expect_eq(fake_kvm_calls(), 0u, "before KVM is asked for anything");
	expect_live(&before, "too many");
	f.cfg.disk = NULL;
	f.cfg.disk_count = 0;
	fakevm_fini(&f);
}

/* A kick that KVM does not take is an exit; all else is an error. */
Test(build, every_kvm_call_fails_once_with_a_virtio_device)
{
	struct live before = live_now();
	unsigned int calls, kicks = 0;
	struct fakevm f;

	fakevm_init(&f, 1);
	f.cfg.rng.enable = true;
	fakevm_start(&f, true);
	calls = fake_kvm_calls();
	fakevm_fini(&f);
	for (unsigned int n = 1; n <= calls; n++) {
		bool kick;
		int ret;

		fakevm_init(&f, 1);
		f.cfg.rng.enable = true;
		fake_kvm_fail_nth(n, EIO);
		ret = fakevm_up(&f, true);
		kick = fake_kvm_failed() == KVM_IOEVENTFD;
		kicks += kick;
		cr_expect_eq(ret, kick ? 0 : -EIO, "call %u, request 0x%lx", n,
			     fake_kvm_failed());
		fakevm_fini(&f);
		expect_live(&before, "with a virtio device");
	}
	cr_expect_eq(kicks, 1);
}
