/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_refuse.c - what a host lacks is told by name before there is a VM of
 * the guest's: at a launch, at a restore, and by compat, which uses the same
 * words.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/timeline.h"
#include "kvm/arm64/state_edit.h"
#include "kvm/kvm.h"
#include "kvm/kvm_hook.h"
#include "mote.h"

/* KVM_REG_ARM_FW_FEAT_BMAP_REG(0), Linux 5.19: standard hypercalls. */
#define FEATURES_0 (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | 0x16ull << 16)
#define CTR_EL0	   ARM64_SYS_REG(3, 3, 0, 0, 1)
#define WORKAROUND KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1
#define NOBODYS	   ARM64_SYS_REG(3, 0, 15, 15, 7)
#define OTHER_KIND (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | 0x0999ull << 16)
#define PSCI_3_7   0x30007u

/* --- hosts that lack something, by kvm_hook.h -------------------------------
 */

static int no_workaround(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)set;
	(void)val;
	return id == WORKAROUND ? -ENOENT : KVM_HOOK_PASS;
}

static int no_features(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)val;
	return set && id == FEATURES_0 ? -EINVAL : KVM_HOOK_PASS;
}

static int no_psci(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)set;
	(void)val;
	return id == KVM_REG_ARM_PSCI_VERSION ? -ENOENT : KVM_HOOK_PASS;
}

static int no_gic(long cap)
{
	return cap == KVM_CAP_IRQCHIP ? 0 : KVM_HOOK_PASS;
}

/* Linux 4.15 had neither the register nor a choice of the address size. */
static int before_4_16(long cap)
{
	return cap == KVM_CAP_ARM_VM_IPA_SIZE ? 0 : KVM_HOOK_PASS;
}

static int narrow(long cap)
{
	return cap == KVM_CAP_ARM_VM_IPA_SIZE ? 31 : KVM_HOOK_PASS;
}

/* --- a restore, and compat ---------------------------------------------------
 */

static bool has_mark(const struct timeline *t, const char *name)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (!strcmp(t->mark[i].name, name))
			return true;
	return false;
}

static void expect_restore(const struct vmtest_snapshot *s, const char *words)
{
	struct timeline line = {0};
	struct mote_err err = {0};
	struct mote_snapshot *snap;
	struct vmtest t;

	vmtest_init(&t, "");
	t.opt.timeline = &line;
	cr_assert_lt(vmtest_try_load(&t, s), 0, "%s", words);
	cr_expect_not_null(strstr(t.err.msg, words), "%s", t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	cr_expect(has_mark(&line, "snapshot checked"));
	cr_expect(!has_mark(&line, "VM created"), "%s", words);

	cr_assert_eq(mote_snapshot_open(AT_FDCWD, s->dir, &snap, &err), 0);
	cr_expect_lt(mote_snapshot_compat(snap, &err), 0, "%s", words);
	cr_expect_str_eq(err.msg, t.err.msg);
	mote_snapshot_close(snap);
	vmtest_fini(&t);
}

Test(arm64_refuse, a_restore_and_compat_name_it_before_there_is_a_vm)
{
	static const struct {
		int (*one_reg)(int fd, bool set, uint64_t id, void *val);
		int (*check_extension)(long cap);
		const char *words;
	} host[] = {
		{no_workaround, NULL,
		 "vCPU 0: the snapshot holds register SMCCC_ARCH_WORKAROUND_1, "
		 "which KVM on this host lacks"},
		{no_features, NULL,
		 "vCPU 0: KVM on this host refuses register firmware features "
		 "0 = 0x1"},
		{no_psci, NULL, "lacks register PSCI_VERSION"},
		{NULL, no_gic, "neither GICv3 nor GICv2"},
		{NULL, narrow, "address size: 32 bits in the snapshot"},
	};
	struct vmtest_snapshot s;
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	vmtest_save(&t, &s);
	vmtest_fini(&t);
	for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++) {
		kvm_hook.one_reg = host[i].one_reg;
		kvm_hook.check_extension = host[i].check_extension;
		expect_restore(&s, host[i].words);
	}
	memset(&kvm_hook, 0, sizeof(kvm_hook));
	vmtest_init(&t, "");
	vmtest_load(&t, &s);
	vmtest_fini(&t);
	vmtest_remove(&s);
}

/* --- states as no host has saved them ----------------------------------------
 */

static void expect_check_as(struct snap_reader *r, bool values, int code,
			    const char *words)
{
	struct mote_err err = {0};
	cleanup_fd int kvm = kvm_open(NULL, &err);
	int ret = 0;

	for (int i = 0; ret == 0 && i < r->count; i++)
		ret = arch_host_check(kvm, r, &r->section[i], values, &err);
	cr_expect_eq(ret, code, "%s: %d", words, ret);
	cr_expect_not_null(strstr(err.msg, words), "%s", err.msg);
}

static void expect_check(struct snap_reader *r, int code, const char *words)
{
	expect_check_as(r, false, code, words);
	expect_check_as(r, true, code, words);
}

static struct state *saved(void)
{
	struct state *st;
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	st = state_save(&t);
	vmtest_fini(&t);
	return st;
}

Test(arm64_refuse, registers_and_values_that_no_host_has_are_named)
{
	static const struct {
		uint64_t without, with, value;
		int code;
		const char *words;
	} edit[] = {
		{NO_REG, KVM_REG_ARM_FW_REG(77), 1, -ENOTSUP,
		 "register firmware 77, which KVM"},
		{NO_REG, NOBODYS, 0, -ENOTSUP,
		 "register S3_0_C15_C15_7, which KVM"},
		{FEATURES_0, FEATURES_0, 0x8001, -EINVAL,
		 "refuses register firmware features 0 = 0x8001"},
		{NO_REG, OTHER_KIND, 0, -EBADMSG, "0x6030000009990000"},
		{KVM_REG_ARM_PSCI_VERSION, KVM_REG_ARM_PSCI_VERSION, PSCI_3_7,
		 -EINVAL, "does not offer PSCI 3.7"},
	};
	struct state *st = saved();

	for (size_t i = 0; i < sizeof(edit) / sizeof(edit[0]); i++) {
		struct state *bad = state_edit(st, edit[i].without,
					       edit[i].with, edit[i].value);

		expect_check(&bad->r, edit[i].code, edit[i].words);
		state_release(bad);
	}
	state_release(st);
}

static void add(struct snap_writer *w, const char *name, uint32_t instance,
		const struct snap_section *s)
{
	snap_section_begin(w, name, instance, 1, SNAP_REQUIRED);
	snap_put_bytes(w, s->data, s->len);
	snap_section_end(w);
}

static void expect_both(const struct snap_section *first, const char *name,
			uint32_t instance, const struct snap_section *second,
			const char *words)
{
	struct mote_err err = {0};
	struct snap_writer w;
	struct snap_reader r;

	snap_writer_init(&w);
	add(&w, "arm64-vcpu", 0, first);
	add(&w, name, instance, second);
	cr_assert_eq(snap_writer_finish(&w, &err), 0);
	cr_assert_eq(snap_reader_init(&r, w.buf, w.len, &err), 0, "%s",
		     err.msg);
	expect_check(&r, -ENOTSUP, words);
	snap_writer_fini(&w);
}

Test(arm64_refuse, each_vcpus_registers_count)
{
	struct state *st = saved();
	struct state *bad = state_edit(st, NO_REG, KVM_REG_ARM_FW_REG(77), 1);

	expect_both(&st->r.section[0], "arm64-vcpu", 1, &bad->r.section[0],
		    "vCPU 1: the snapshot holds register firmware 77");
	state_release(bad);
	state_release(st);
}

Test(arm64_refuse, a_gic_of_another_version_is_named)
{
	struct state *st = saved();
	uint8_t data[4] = {0};
	struct snap_section gic = {.data = data, .len = sizeof(data)};
	struct vmtest t;
	char words[64];

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	data[0] = (uint8_t)(5 - t.vm->arch.gic_version);
	snprintf(words, sizeof(words), "guest has a GICv%u, this host offers",
		 data[0]);
	vmtest_fini(&t);
	expect_both(&st->r.section[0], "arm64-gic", 0, &gic, words);
	state_release(st);
}

/* A guest's ID registers say what its processor can; KVM holds it to that. */
Test(arm64_refuse, compat_knows_what_other_values_kvm_will_not_take)
{
	struct state *st = saved();
	struct state *bad = state_edit(st, CTR_EL0, CTR_EL0, 0x1234);

	expect_check_as(&bad->r, false, 0, "");
	expect_check_as(&bad->r, true, -EINVAL,
			"refuses register S3_3_C0_C0_1 = 0x1234");
	state_release(bad);
	state_release(st);
}

/* --- a launch ----------------------------------------------------------------
 */

static void expect_launch(uint64_t memory, uint32_t psci, const char *words)
{
	cleanup_fd int kvm = -1;
	struct arch_vm a;
	struct vmtest t;
	int vm = -1;

	vmtest_init(&t, "");
	t.cfg.cpu.psci = psci;
	t.cfg.vm.memory = memory;
	kvm = kvm_open(NULL, &t.err);
	cr_expect_lt(arch_vm_create(&a, kvm, &t.cfg, NULL, &vm, &t.err), 0);
	cr_expect_eq(vm, -1, "%s", words);
	cr_expect_not_null(strstr(t.err.msg, words), "%s", t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	arch_vm_fini(&a);
	vmtest_fini(&t);
}

Test(arm64_refuse, a_launch_names_it_before_there_is_a_vm)
{
	expect_launch(UINT64_C(1) << 53, PSCI_DEFAULT, "address bits");
	expect_launch(VMTEST_MEMORY, PSCI_3_7, "does not offer PSCI 3.7");
	kvm_hook.check_extension = no_gic;
	expect_launch(VMTEST_MEMORY, PSCI_DEFAULT, "neither GICv3 nor GICv2");
	kvm_hook.check_extension = before_4_16;
	kvm_hook.one_reg = no_psci;
	expect_launch(VMTEST_MEMORY, PSCI_DEFAULT,
		      "lacks register PSCI_VERSION and so has only 0.2, not "
		      "PSCI 1.0");
}

/* What every kernel has, or what was seen, costs no machine to try it on. */
static unsigned int tried;

static int count(int fd, bool set, uint64_t id, void *val)
{
	(void)fd;
	(void)val;
	tried += set && id == KVM_REG_ARM_PSCI_VERSION;
	return KVM_HOOK_PASS;
}

Test(arm64_refuse, nothing_is_tried_twice)
{
	struct vmtest_snapshot s;
	struct mote_err err = {0};
	struct vmtest a, b;

	vmtest_init(&a, "");
	vmtest_build(&a, "hello");
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	kvm_hook.one_reg = count;
	vmtest_init(&a, "");
	a.cfg.cpu.psci = 2; /* 0.2 */
	vmtest_build(&a, "hello");
	cr_expect_eq(tried, 1);
	vmtest_fini(&a);

	vmtest_init(&b, "");
	vmtest_load(&b, &s);
	tried = 0;
	cr_expect_eq(snapshot_host(b.from, -1, false, &err), 0, "%s", err.msg);
	cr_expect_eq(tried, 0);
	vmtest_fini(&b);
	vmtest_remove(&s);
}
