/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sve.c - scalable vectors and pointer authentication over a snapshot.
 * The lab has them on one of its machines (lab/arm64/machine.sh, max).
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "cli/command.h"
#include "kvm/arm64/clone.h"
#include "kvm/arm64/state_edit.h"
#include "kvm/kvm.h"
#include "kvm/kvm_hook.h"

#define CORE_V0                                                                \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE |                \
	 KVM_REG_ARM_CORE_REG(fp_regs.vregs[0]))

#define REG_APIAKEYLO ARM64_SYS_REG(3, 0, 2, 1, 0)

static void init(struct vmtest *t, const char *args, bool sve)
{
	cleanup_fd int kvm = -1;

	vmtest_init(t, args);
	t->cfg.cpu.sve = sve;
	t->cfg.cpu.pauth = !sve;
	kvm = kvm_open(NULL, &t->err);
	if (!kvm_check_extension(kvm, sve ? KVM_CAP_ARM_SVE
					  : KVM_CAP_ARM_PTRAUTH_ADDRESS))
		cr_skip_test("this host lacks it");
}

Test(arm64_sve, a_guest_keeps_its_vectors_over_a_snapshot)
{
	struct vmtest a, b;

	init(&a, "", true);
	init(&b, "", true);
	clone_run(&a, &b, "sve");
	cr_expect_str_eq(b.out, "0 registers changed\n");
	cr_expect_eq(b.vm->exit_code, 0);
	vmtest_fini(&b);
}

static bool in_state(const struct state *st, uint64_t wanted)
{
	struct snap_section s = st->s;

	for (uint32_t i = 0; i < st->regs; i++) {
		uint64_t id = snap_get_u64(&s);

		snap_get_raw(&s, (size_t)1 << (id >> KVM_REG_SIZE_SHIFT & 0xf));
		if (id == wanted)
			return true;
	}
	return false;
}

/* Nothing of KVM's list is left out; pointer authentication's keys are there.
 */
static void expect_whole_list(bool sve)
{
	struct kvm_reg_list head = {.n = 0};
	cleanup_free struct kvm_reg_list *list = NULL;
	struct state *st;
	struct vmtest t;
	int fd;

	init(&t, "", sve);
	vmtest_build(&t, "sve");
	fd = t.vm->vcpu[0]->fd;
	cr_assert_eq(kvm_call(fd, KVM_GET_REG_LIST, &head), -E2BIG);
	list = calloc(1, sizeof(*list) + head.n * sizeof(list->reg[0]));
	cr_assert_not_null(list);
	list->n = head.n;
	cr_assert_eq(kvm_call(fd, KVM_GET_REG_LIST, list), 0);
	st = state_save(&t);
	cr_expect_eq(st->regs, list->n);
	for (uint64_t i = 0; i < list->n; i++)
		cr_expect(in_state(st, list->reg[i]), "0x%llx",
			  (unsigned long long)list->reg[i]);
	cr_expect_eq(in_state(st, REG_APIAKEYLO), !sve);
	state_release(st);
	vmtest_fini(&t);
}

Test(arm64_sve, every_register_of_the_list_is_saved)
{
	expect_whole_list(true);
}

Test(arm64_pauth, every_register_of_the_list_is_saved)
{
	expect_whole_list(false);
}

Test(arm64_sve, the_state_has_the_slices_and_no_plain_vectors)
{
	struct state *st;
	struct vmtest t;

	init(&t, "", true);
	vmtest_build(&t, "sve");
	st = state_save(&t);
	for (unsigned int i = 0; i < 32; i++)
		cr_expect(in_state(st, KVM_REG_ARM64_SVE_ZREG(i, 0)), "z%u", i);
	for (unsigned int i = 0; i < 16; i++)
		cr_expect(in_state(st, KVM_REG_ARM64_SVE_PREG(i, 0)), "p%u", i);
	cr_expect(in_state(st, KVM_REG_ARM64_SVE_FFR(0)));
	cr_expect(in_state(st, KVM_REG_ARM64_SVE_VLS));
	cr_expect(!in_state(st, CORE_V0));
	state_release(st);
	vmtest_fini(&t);
}

Test(arm64_sve, all_vcpus_have_the_same_lengths)
{
	uint64_t a[8] = {0}, b[8] = {0};
	struct vmtest t;

	init(&t, "", true);
	t.cfg.vm.vcpus = 2;
	vmtest_build(&t, "sve");
	cr_assert_eq(
		kvm_get_one_reg(t.vm->vcpu[0]->fd, KVM_REG_ARM64_SVE_VLS, a),
		0);
	cr_assert_eq(
		kvm_get_one_reg(t.vm->vcpu[1]->fd, KVM_REG_ARM64_SVE_VLS, b),
		0);
	cr_expect(a[0] & 1);
	cr_expect_arr_eq(a, b, sizeof(a));
	cr_expect_arr_eq(a, t.vm->arch.sve_lengths, sizeof(a));
	vmtest_fini(&t);
}

static unsigned int steps, lengths;
static bool in_order = true;

/* 0: nothing, 1: lengths set, 2: other registers of that vCPU. */
static int watch(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)val;
	if (set && id == KVM_REG_ARM64_SVE_VLS) {
		in_order = in_order && steps != 1;
		steps = 1;
		lengths++;
	} else if (set) {
		in_order = in_order && steps >= 1;
		steps = 2;
	}
	return KVM_HOOK_PASS;
}

Test(arm64_sve, lengths_are_set_first_and_once)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	init(&a, "", true);
	vmtest_build(&a, "sve");
	vmtest_save(&a, &s);
	init(&b, "", true);
	kvm_hook.one_reg = watch;
	vmtest_load(&b, &s);
	cr_expect_eq(steps, 2);
	cr_expect(in_order);
	cr_expect_eq(lengths, 2); /* where KVM is asked, and in the guest */
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

/* The host's answer where the snapshot wants a length that it lacks. */
static int other_lengths(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	if (id != KVM_REG_ARM64_SVE_VLS)
		return KVM_HOOK_PASS;
	if (set)
		return -EINVAL;
	memset(val, 0, 64);
	*(uint64_t *)val = 3; /* 128 and 256 bits */
	return 0;
}

Test(arm64_sve, lengths_that_the_host_lacks_are_named)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	init(&a, "", true);
	vmtest_build(&a, "sve");
	vmtest_save(&a, &s);
	init(&b, "", true);
	kvm_hook.one_reg = other_lengths;
	cr_assert_lt(vmtest_try_load(&b, &s), 0);
	kvm_hook.one_reg = NULL;
	cr_expect_not_null(strstr(b.err.msg, "cpu.sve"), "%s", b.err.msg);
	cr_expect_not_null(strstr(b.err.msg, "this host has 128 256 ("), "%s",
			   b.err.msg);
	cr_expect_eq(err_exit_code(&b.err), ERR_CLASS_UNAVAILABLE);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

/* KVM's own word: a set with a gap that the CPU does not have. */
Test(arm64_sve, kvm_takes_no_lengths_that_it_lacks)
{
	struct vmtest a, b;
	int ret;

	init(&a, "", true);
	vmtest_build(&a, "sve");
	if (!(a.vm->arch.sve_lengths[0] & 2) ||
	    !(a.vm->arch.sve_lengths[0] >> 2))
		cr_skip_test("this host has too few lengths");
	vmtest_init(&b, "");
	b.cfg.cpu.sve = true;
	{
		cleanup_fd int kvm = kvm_open(NULL, &b.err);
		cleanup_fd int vm = -1, vcpu = -1;
		struct arch_vcpu v;
		struct arch_vm arch;

		cr_assert_eq(
			arch_vm_create(&arch, kvm, &b.cfg, NULL, &vm, &b.err),
			0, "%s", b.err.msg);
		vcpu = kvm_create_vcpu(vm, 0);
		cr_assert_geq(vcpu, 0);
		memcpy(arch.sve_lengths, a.vm->arch.sve_lengths,
		       sizeof(arch.sve_lengths));
		arch.sve_lengths[0] &= ~UINT64_C(2);
		ret = arch_vcpu_init(&v, &arch, vcpu, NULL, 0, &b.err);
		arch_vm_fini(&arch);
	}
	cr_expect_lt(ret, 0);
	cr_expect_not_null(strstr(b.err.msg, "vectors of 128 384"), "%s",
			   b.err.msg);
	vmtest_fini(&b);
	vmtest_fini(&a);
}

static int lacking(long cap)
{
	return cap == KVM_CAP_ARM_SVE || cap == KVM_CAP_ARM_PTRAUTH_GENERIC
		       ? 0
		       : KVM_HOOK_PASS;
}

static void expect_refused(bool sve, const char *guest, const char *words)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	init(&a, "", sve);
	vmtest_build(&a, guest);
	vmtest_save(&a, &s);
	vmtest_init(&b, "");
	kvm_hook.check_extension = lacking;
	cr_assert_eq(vmtest_try_load(&b, &s), -ENOTSUP);
	kvm_hook.check_extension = NULL;
	cr_expect_not_null(strstr(b.err.msg, words), "%s", b.err.msg);
	cr_expect_eq(err_exit_code(&b.err), ERR_CLASS_UNAVAILABLE);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

Test(arm64_sve, a_host_without_refuses_the_snapshot_by_name)
{
	expect_refused(true, "sve", "cpu.sve");
}

Test(arm64_pauth, a_signed_pointer_is_good_after_a_snapshot)
{
	struct vmtest a, b;

	init(&a, "", false);
	init(&b, "", false);
	clone_run(&a, &b, "pauth");
	cr_expect_str_eq(b.out, "0 signs wrong\n");
	cr_expect_eq(b.vm->exit_code, 0);
	vmtest_fini(&b);
}

Test(arm64_pauth, pointers_are_signed_at_all)
{
	struct vmtest t;

	init(&t, "", false);
	vmtest_start(&t, "pauth");
	vmtest_wait_for(&t, "ready\n");
	cr_expect_str_eq(t.out, "signed\nready\n");
	vmtest_fini(&t);
}

Test(arm64_pauth, a_host_without_refuses_the_snapshot_by_name)
{
	expect_refused(false, "pauth", "cpu.pauth");
}

/* As a user does it: in the jail, and the restore is told nothing of it. */
static void by_command(const char *guest, const char *key, bool sve,
		       const char *expected)
{
	cleanup_free char *out = command_path("out");
	cleanup_free char *snap = command_path("snap");
	cleanup_free char *elf = command_guest(guest);
	char dir[160];
	struct vmtest t;
	pid_t pid;

	init(&t, "", sve); /* skips where there is none */
	vmtest_fini(&t);
	snprintf(dir, sizeof(dir), "snapshot.dir=%s", snap);
	pid = command_start(out, WORDS("run", "--kernel", elf, "--memory", "8M",
				       "--set", key, "--set", dir, "--set",
				       "snapshot.when=ready", "--set",
				       "vm.stop_timeout=0"));
	command_wait_for(out, "ready\n");
	kill(pid, SIGTERM);
	command_finish(pid);
	cr_expect_eq(command_run(out, WORDS("compat", snap)), 0, "%s",
		     command_text(out));
	cr_expect_eq(command_run(out, WORDS("restore", snap)), 0, "%s",
		     command_text(out));
	cr_expect_not_null(strstr(command_text(out), expected), "%s",
			   command_text(out));
}

Test(arm64_sve, mote_saves_and_restores_it, .init = command_setup,
     .fini = command_teardown)
{
	by_command("sve", "cpu.sve=yes", true, "\n0 registers changed\n");
}

Test(arm64_pauth, mote_saves_and_restores_it, .init = command_setup,
     .fini = command_teardown)
{
	by_command("pauth", "cpu.pauth=yes", false, "\n0 signs wrong\n");
}
