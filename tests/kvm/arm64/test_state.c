/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_state.c - the state of an arm64 vCPU and of its VM: complete, held
 * where it derives from a clock, refused by name where the host differs.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "kvm/arm64/state_edit.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "snapshot/stream.h"

#define PSCI_0_2  2u
#define TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)

static uint64_t get(const struct vmtest *t, uint64_t id)
{
	uint64_t v = 0;

	cr_assert_eq(kvm_get_one_reg(t->vm->vcpu[0]->fd, id, &v), 0);
	return v;
}

static void set(const struct vmtest *t, uint64_t id, uint64_t v)
{
	cr_assert_eq(kvm_set_one_reg(t->vm->vcpu[0]->fd, id, &v), 0);
}

static void build(struct vmtest *t)
{
	vmtest_init(t, "");
	vmtest_build(t, "hello");
}

Test(arm64_state, holds_every_register_of_the_list)
{
	struct kvm_reg_list head = {.n = 0};
	cleanup_free struct kvm_reg_list *list = NULL;
	struct state *st;
	struct vmtest t;
	int fd;

	build(&t);
	fd = t.vm->vcpu[0]->fd;
	cr_assert_eq(kvm_call(fd, KVM_GET_REG_LIST, &head), -E2BIG);
	list = calloc(1, sizeof(*list) + head.n * sizeof(list->reg[0]));
	list->n = head.n;
	cr_assert_eq(kvm_call(fd, KVM_GET_REG_LIST, list), 0);
	st = state_save(&t);
	cr_expect_eq(st->regs, list->n);
	cr_expect_geq(st->regs, 200);
	for (uint64_t i = 0; i < list->n; i++)
		state_value(st, list->reg[i]);
	state_release(st);
	vmtest_fini(&t);
}

Test(arm64_state, loads_what_it_saved)
{
	struct state *st, *again;
	struct vmtest a, b;

	build(&a);
	set(&a, TTBR0_EL1, 0x40203000);
	st = state_save(&a);
	build(&b);
	cr_assert_eq(state_load(&b, st), 0, "%s", b.err.msg);
	cr_expect_eq(get(&b, TTBR0_EL1), 0x40203000);
	again = state_save(&b);
	cr_assert_eq(again->w.len, st->w.len);
	cr_expect_arr_eq(again->w.buf, st->w.buf, st->w.len);
	state_release(again);
	state_release(st);
	vmtest_fini(&b);
	vmtest_fini(&a);
}

Test(arm64_state, timers_are_held_until_commit)
{
	const uint64_t enable = 1;
	struct state *st, *again;
	uint64_t cnt, cval;
	struct vmtest a, b;

	build(&a);
	set(&a, KVM_REG_ARM_TIMER_CNT, 1u << 30);
	set(&a, KVM_REG_ARM_TIMER_CTL, enable);
	cval = (1u << 30) + 1; /* over by now */
	set(&a, KVM_REG_ARM_TIMER_CVAL, cval);
	st = state_save(&a);
	cnt = state_value(st, KVM_REG_ARM_TIMER_CNT);

	build(&b);
	cr_assert_eq(state_load(&b, st), 0, "%s", b.err.msg);
	usleep(10000);
	cr_expect_eq(get(&b, KVM_REG_ARM_TIMER_CTL) & enable, 0,
		     "a parked vCPU's timer can fire");
	again = state_save(&b);
	cr_assert_eq(again->w.len, st->w.len);
	cr_expect_arr_eq(again->w.buf, st->w.buf, st->w.len);
	state_release(again);

	cr_assert_eq(arch_vcpu_commit(&b.vm->vcpu[0]->arch, &b.err), 0, "%s",
		     b.err.msg);
	cr_expect_eq(get(&b, KVM_REG_ARM_TIMER_CTL) & enable, enable);
	cr_expect_eq(get(&b, KVM_REG_ARM_TIMER_CVAL), cval);
	cr_expect_geq(get(&b, KVM_REG_ARM_TIMER_CNT), cnt);
	cr_expect_lt(get(&b, KVM_REG_ARM_TIMER_CNT) - cnt, 1u << 30);
	state_release(st);
	vmtest_fini(&b);
	vmtest_fini(&a);
}

Test(arm64_state, a_register_the_host_lacks_is_refused_by_name)
{
	struct state *st, *bad;
	struct vmtest t;

	build(&t);
	st = state_save(&t);
	bad = state_edit(st, NO_REG, KVM_REG_ARM_FW_REG(77), 1);
	cr_expect_eq(state_load(&t, bad), -ENOTSUP);
	cr_expect_not_null(strstr(t.err.msg, "firmware 77"), "%s", t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	state_release(bad);
	state_release(st);
	vmtest_fini(&t);
}

Test(arm64_state, a_value_the_host_refuses_is_named)
{
	struct state *st, *bad;
	struct vmtest t;

	build(&t);
	st = state_save(&t);
	bad = state_edit(st, KVM_REG_ARM_PSCI_VERSION, KVM_REG_ARM_PSCI_VERSION,
			 0x30007);
	cr_expect_lt(state_load(&t, bad), 0);
	cr_expect_not_null(strstr(t.err.msg, "PSCI_VERSION = 0x30007"), "%s",
			   t.err.msg);
	state_release(bad);
	state_release(st);
	vmtest_fini(&t);
}

Test(arm64_state, an_unknown_kind_of_register_is_an_error)
{
	const uint64_t id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | 0x0999ull << 16;
	struct state *st, *bad;
	struct vmtest t;

	build(&t);
	st = state_save(&t);
	bad = state_edit(st, NO_REG, id, 0);
	cr_expect_eq(state_load(&t, bad), -EBADMSG);
	cr_expect_not_null(strstr(t.err.msg, "0x6030000009990000"), "%s",
			   t.err.msg);
	state_release(bad);
	state_release(st);
	vmtest_fini(&t);
}

Test(arm64_state, without_a_psci_version_the_guest_keeps_0_2)
{
	struct state *st, *old;
	struct vmtest t;

	build(&t);
	st = state_save(&t);
	cr_expect_neq(get(&t, KVM_REG_ARM_PSCI_VERSION), PSCI_0_2);
	old = state_edit(st, KVM_REG_ARM_PSCI_VERSION, NO_REG, 0);
	cr_assert_eq(state_load(&t, old), 0, "%s", t.err.msg);
	cr_expect_eq(get(&t, KVM_REG_ARM_PSCI_VERSION), PSCI_0_2);
	state_release(old);
	state_release(st);
	vmtest_fini(&t);
}

/* Every cut is an error; none may crash or read beyond. */
Test(arm64_state, a_cut_section_is_an_error)
{
	struct state *st;
	struct vmtest t;

	build(&t);
	st = state_save(&t);
	for (size_t len = 0; len < st->s.len; len += 97) {
		struct state *cut = calloc(1, sizeof(*cut));

		cr_assert_not_null(cut);
		snap_writer_init(&cut->w);
		snap_section_begin(&cut->w, "arm64-vcpu", 0, 1, SNAP_REQUIRED);
		snap_put_bytes(&cut->w, st->s.data, len);
		snap_section_end(&cut->w);
		state_finish(cut);
		cr_expect_lt(state_load(&t, cut), 0, "%zu bytes", len);
		state_release(cut);
	}
	state_release(st);
	vmtest_fini(&t);
}

Test(arm64_state, a_waiting_vcpu_waits_after_restore)
{
	struct kvm_mp_state mp = {0};
	struct vmtest_snapshot s;
	struct vmtest a, b;

	vmtest_init(&a, "");
	a.cfg.vm.vcpus = 2;
	vmtest_build(&a, "hello");
	vmtest_save(&a, &s);
	vmtest_init(&b, "");
	b.cfg.vm.vcpus = 2;
	vmtest_load(&b, &s);
	cr_assert_eq(kvm_call(b.vm->vcpu[0]->fd, KVM_GET_MP_STATE, &mp), 0);
	cr_expect_eq(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	cr_assert_eq(kvm_call(b.vm->vcpu[1]->fd, KVM_GET_MP_STATE, &mp), 0);
	cr_expect_eq(mp.mp_state, KVM_MP_STATE_STOPPED);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

/* 32 bits reach to 4 GiB, and RAM begins at 1 GiB. */
Test(arm64_state, the_address_size_is_the_smallest_that_fits)
{
	static const struct {
		uint64_t memory;
		uint32_t bits;
	} want[] = {
		{32 * MIB, 32}, {3 * GIB, 32}, {3 * GIB + MIB, 33},
		{7 * GIB, 33},	{8 * GIB, 34},
	};
	struct vmtest t;

	vmtest_init(&t, "");
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		cleanup_fd int kvm = kvm_open(NULL, &t.err);
		cleanup_fd int vm = -1;
		struct arch_vm a;

		t.cfg.vm.memory = want[i].memory;
		cr_assert_eq(arch_vm_create(&a, kvm, &t.cfg, NULL, &vm, &t.err),
			     0, "%s", t.err.msg);
		cr_expect_eq(a.ipa_bits, want[i].bits);
		arch_vm_fini(&a);
	}
	vmtest_fini(&t);
}

Test(arm64_state, more_memory_than_the_host_can_address_is_refused)
{
	cleanup_fd int kvm = -1, vm = -1;
	struct arch_vm a;
	struct vmtest t;

	vmtest_init(&t, "");
	kvm = kvm_open(NULL, &t.err);
	t.cfg.vm.memory = UINT64_C(1) << 53;
	cr_expect_lt(arch_vm_create(&a, kvm, &t.cfg, NULL, &vm, &t.err), 0);
	cr_expect_not_null(strstr(t.err.msg, "vm.memory"), "%s", t.err.msg);
	arch_vm_fini(&a);
	vmtest_fini(&t);
}
