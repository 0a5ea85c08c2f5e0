/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_psci_hosts.c - the PSCI version between hosts that have the register
 * for it ("new") and kernels before 4.16 that do not ("old", by kvm_hook.h):
 * a guest never sees another version than before, or does not run.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvm/arm64/state_edit.h"
#include "kvm/kvm.h"
#include "kvm/kvm_hook.h"

#define PSCI_0_2 2u
#define PSCI_1_0 0x10000u
#define PSCI_1_1 0x10001u
#define VERSION	 KVM_REG_ARM_PSCI_VERSION

static int old_kernel(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)set;
	(void)val;
	return id == VERSION ? -ENOENT : KVM_HOOK_PASS;
}

static void save(uint32_t psci, struct vmtest_snapshot *s)
{
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.cpu.psci = psci;
	vmtest_build(&t, "psci");
	vmtest_save(&t, s);
	vmtest_fini(&t);
}

static void expect_runs(struct vmtest *t, const char *expected)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
	vmtest_wait_end(t);
	cr_expect_str_eq(t->out, expected);
}

Test(arm64_psci_hosts, new_to_new_keeps_the_version)
{
	static const struct {
		uint32_t psci;
		const char *says;
	} of[] = {
		{PSCI_0_2, "psci 0.2\n"},
		{PSCI_1_0, "psci 1.0\n"},
		{PSCI_1_1, "psci 1.1\n"},
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		struct vmtest_snapshot s;
		struct vmtest t;

		save(of[i].psci, &s);
		vmtest_init(&t, "");
		vmtest_load(&t, &s);
		expect_runs(&t, of[i].says);
		vmtest_fini(&t);
		vmtest_remove(&s);
	}
}

/* A snapshot of an old host lacks the register: its guest knew 0.2. */
Test(arm64_psci_hosts, old_to_new_gives_the_guest_0_2)
{
	struct state *st, *old;
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_build(&t, "psci");
	st = state_save(&t);
	cr_expect_eq(state_value(st, VERSION), PSCI_1_0);
	old = state_edit(st, VERSION, NO_REG, 0);
	cr_assert_eq(state_load(&t, old), 0, "%s", t.err.msg);
	expect_runs(&t, "psci 0.2\n");
	state_release(old);
	state_release(st);
	vmtest_fini(&t);
}

static void expect_refused(const struct vmtest_snapshot *s, const char *words)
{
	struct vmtest t;

	vmtest_init(&t, "");
	cr_assert_lt(vmtest_try_load(&t, s), 0);
	cr_expect_null(t.vm);
	cr_expect_not_null(strstr(t.err.msg, words), "%s", t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	vmtest_fini(&t);
}

Test(arm64_psci_hosts, new_to_old_is_refused_by_name)
{
	struct vmtest_snapshot pinned, host;

	save(PSCI_1_0, &pinned);
	save(PSCI_HOST, &host);
	kvm_hook.one_reg = old_kernel;
	expect_refused(&pinned, "lacks register PSCI_VERSION");
	expect_refused(&host, "lacks register PSCI_VERSION");
	vmtest_remove(&host);
	vmtest_remove(&pinned);
}

/* What the register would say is what an old host has anyway. */
Test(arm64_psci_hosts, a_guest_pinned_to_0_2_moves_to_an_old_host)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	save(PSCI_0_2, &s);
	vmtest_init(&t, "");
	kvm_hook.one_reg = old_kernel;
	vmtest_load(&t, &s);
	cr_expect_eq(t.vm->arch.psci, PSCI_0_2);
	vmtest_fini(&t);
	vmtest_remove(&s);
}

Test(arm64_psci_hosts, an_old_host_has_0_2_and_nothing_else)
{
	struct vmtest t;

	kvm_hook.one_reg = old_kernel;
	vmtest_init(&t, "");
	cr_expect_eq(build_vm(&t.vm, &t.opt, &t.err), -ENOENT);
	cr_expect_not_null(strstr(t.err.msg, "only 0.2, not PSCI 1.0"), "%s",
			   t.err.msg);
	vmtest_fini(&t);
	vmtest_init(&t, "");
	t.cfg.cpu.psci = PSCI_HOST;
	vmtest_build(&t, "psci");
	cr_expect_eq(t.vm->arch.psci, PSCI_0_2);
	vmtest_fini(&t);
}

/* --- the register itself ----------------------------------------------------
 */

/* A vCPU of its own, made with these features. */
struct bare {
	int kvm, vm, vcpu;
	struct arch_vm a;
	struct arch_vcpu v;
	struct vmtest t; /* its configuration */
};

static int bare_init(struct bare *b, bool psci)
{
	vmtest_init(&b->t, "");
	b->kvm = kvm_open(NULL, &b->t.err);
	cr_assert_eq(arch_vm_create(&b->a, b->kvm, &b->t.cfg, NULL, &b->vm,
				    &b->t.err),
		     0, "%s", b->t.err.msg);
	b->vcpu = kvm_create_vcpu(b->vm, 0);
	cr_assert_geq(b->vcpu, 0);
	if (!psci)
		b->a.features[0] &= ~(1u << KVM_ARM_VCPU_PSCI_0_2);
	return arch_vcpu_init(&b->v, &b->a, b->vcpu, NULL, 0, &b->t.err);
}

static void bare_fini(struct bare *b)
{
	arch_vm_fini(&b->a);
	fd_clear(&b->vcpu);
	fd_clear(&b->vm);
	fd_clear(&b->kvm);
	vmtest_fini(&b->t);
}

Test(arm64_psci_hosts, a_vcpu_without_the_feature_is_refused_by_name)
{
	struct bare b;

	cr_expect_eq(bare_init(&b, false), -EINVAL);
	cr_expect_not_null(strstr(b.t.err.msg, "does not offer PSCI 1.0"), "%s",
			   b.t.err.msg);
	cr_expect_eq(err_exit_code(&b.t.err), ERR_CLASS_UNAVAILABLE);
	bare_fini(&b);
}

static int no_get(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)val;
	return id == VERSION && !set ? -EINVAL : KVM_HOOK_PASS;
}

static int forgets(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	if (id != VERSION || set)
		return KVM_HOOK_PASS;
	*(uint64_t *)val = PSCI_1_1;
	return 0;
}

Test(arm64_psci_hosts, what_was_set_is_read_back)
{
	struct bare b;

	kvm_hook.one_reg = no_get;
	cr_expect_eq(bare_init(&b, true), -EINVAL);
	cr_expect_not_null(strstr(b.t.err.msg, "PSCI 1.0"), "%s", b.t.err.msg);
	bare_fini(&b);
	kvm_hook.one_reg = forgets;
	cr_expect_eq(bare_init(&b, true), -ENOTSUP);
	cr_expect_not_null(strstr(b.t.err.msg, "did not keep PSCI 1.0"), "%s",
			   b.t.err.msg);
	bare_fini(&b);
}

static unsigned int sets, gets, runs;

static int count(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)val;
	if (id == VERSION && set) {
		cr_assert_eq(runs, 0, "set after the first run");
		sets++;
	} else if (id == VERSION) {
		cr_assert_geq(sets, 1, "read before it was set");
		gets++;
	}
	return KVM_HOOK_PASS;
}

static void count_run(int fd)
{
	(void)fd;
	runs++;
}

Test(arm64_psci_hosts, it_is_set_before_the_first_run)
{
	struct vmtest t;

	kvm_hook.one_reg = count;
	kvm_hook.run = count_run;
	vmtest_init(&t, "");
	vmtest_start(&t, "psci");
	vmtest_wait_end(&t);
	cr_expect_eq(sets, 1);
	cr_expect_eq(gets, 1);
	cr_expect_gt(runs, 0);
	vmtest_fini(&t);
}

Test(arm64_psci_hosts, what_one_vcpu_sets_all_have)
{
	const uint64_t value = PSCI_0_2;
	uint64_t v = 0;
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.vm.vcpus = 2;
	vmtest_build(&t, "psci");
	cr_assert_eq(kvm_get_one_reg(t.vm->vcpu[1]->fd, VERSION, &v), 0);
	cr_expect_eq(v, PSCI_1_0);
	cr_assert_eq(kvm_set_one_reg(t.vm->vcpu[0]->fd, VERSION, &value), 0);
	cr_assert_eq(kvm_get_one_reg(t.vm->vcpu[1]->fd, VERSION, &v), 0);
	cr_expect_eq(v, PSCI_0_2);
	vmtest_fini(&t);
}
