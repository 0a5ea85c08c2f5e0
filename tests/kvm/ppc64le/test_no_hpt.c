/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_no_hpt.c - a KVM-HV that runs in a hypervisor itself offers VMs and has
 * no hashed page table for them: everybody says so by name.  For a lab's
 * pseries; a host that has a table to give is skipped.
 */
#include <criterion/criterion.h>

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "arch/ppc64le/hpt.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/stress.h"
#include "cli/command.h"
#include "doctor.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"

#define CALL "KVM_PPC_ALLOCATE_HTAB"

/* KVM-HV is there: else the tests would show something else. */
static void need_nested(void)
{
	struct mote_err err = {0};
	struct hpt hpt;
	int kvm, vm, ret;

	command_need_kvm();
	kvm = kvm_open(NULL, &err);
	cr_assert_geq(kvm, 0, "%s", err.msg);
	vm = kvm_create_vm(kvm, KVM_VM_PPC_HV);
	cr_assert_geq(vm, 0, "no VM of KVM-HV: %s", strerror(-vm));
	ret = hpt_init(&hpt, vm, 18, &err);
	hpt_fini(&hpt);
	fd_close(vm);
	fd_close(kvm);
	if (ret == 0)
		cr_skip_test("this host has a hashed page table to give");
}

Test(ppc64_no_hpt, a_machine_is_refused_and_nothing_is_left)
{
	struct vmtest t;
	int maps, fds;

	need_nested();
	vmtest_init(&t, "");
	maps = map_live();
	fds = live_fds();
	cr_assert_lt(build_vm(&t.vm, &t.opt, &t.err), 0);
	cr_expect_eq(t.err.exit_class, ERR_CLASS_UNAVAILABLE);
	cr_expect_not_null(strstr(t.err.msg, CALL), "%s", t.err.msg);
	cr_expect_not_null(strstr(t.err.msg, "hashed page table"), "%s",
			   t.err.msg);
	cr_expect_eq(map_live(), maps);
	cr_expect_eq(live_fds(), fds);
	vmtest_fini(&t);
}

Test(ppc64_no_hpt, run_ends_with_the_code_of_a_lack, .init = command_setup,
     .fini = command_teardown)
{
	char *out = command_path("out");

	need_nested();
	cr_assert_eq(command_run(out, WORDS("run", "--kernel",
					    command_guest("hello"), "--memory",
					    "32M")),
		     69, "%s", command_text(out));
	cr_assert_not_null(strstr(command_text(out), CALL), "%s",
			   command_text(out));
	free(out);
}

Test(ppc64_no_hpt, doctor_says_so, .init = command_setup,
     .fini = command_teardown)
{
	char *out = command_path("out");

	need_nested();
	cr_assert_eq(command_run(out, WORDS("doctor")), 69, "%s",
		     command_text(out));
	cr_assert_not_null(strstr(command_text(out), CALL), "%s",
			   command_text(out));
	free(out);
}

static void note(void *opaque, const struct doctor_trap *t)
{
	int *n = opaque;

	if (!strstr(t->detail, CALL))
		return;
	cr_expect_eq(t->verdict, DOCTOR_ABSENT, "%s", t->name);
	++*n;
}

Test(ppc64_no_hpt, doctor_calls_its_traps_absent_and_not_different)
{
	int n = 0;

	need_nested();
	cr_expect(doctor_uapi(note, &n));
	cr_expect_gt(n, 0);
}
