/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gic.c - the in-kernel interrupt controller of arm64: there, and its
 * state survives a snapshot.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>

#include "kvm/arm64/clone.h"
#include "kvm/kvm.h"
#include "kvm/kvm_hook.h"
#include "kvm/vmtest.h"

#define DIST	   KVM_DEV_ARM_VGIC_GRP_DIST_REGS
#define GICD_CTLR  0x0u
#define GICD_TYPER 0x4u

static uint32_t get(const struct vmtest *t, uint32_t group, uint64_t attr)
{
	uint32_t v = 0;

	cr_assert_eq(kvm_get_attr(t->vm->arch.gic_fd, group, attr, &v), 0,
		     "group %u register 0x%llx", group,
		     (unsigned long long)attr);
	return v;
}

static void set(const struct vmtest *t, uint32_t group, uint64_t attr,
		uint32_t v)
{
	cr_assert_eq(kvm_set_attr(t->vm->arch.gic_fd, group, attr, &v), 0,
		     "group %u register 0x%llx", group,
		     (unsigned long long)attr);
}

Test(arm64_gic, every_machine_has_one)
{
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	cr_expect(t.vm->arch.gic_version == 3 || t.vm->arch.gic_version == 2);
	/* ITLinesNumber: 32 * (N + 1) interrupts. */
	cr_expect_eq(get(&t, DIST, GICD_TYPER) & 0x1f, 2);
	vmtest_fini(&t);
}

/* One register of each kind, with a value that a reset does not give. */
static const struct {
	uint32_t offset, value;
} shared[] = {
	{0x084, 0x0000ffff}, /* IGROUPR1 */
	{0x104, 0x000000f0}, /* ISENABLER1 */
	{0x204, 0x00000050}, /* ISPENDR1 */
	{0x304, 0x00000020}, /* ISACTIVER1 */
	{0x424, 0xa0302010}, /* IPRIORITYR9 */
	{0xc0c, 0x0000000a}, /* ICFGR3: edge */
};

Test(arm64_gic, what_the_guest_configured_survives)
{
	struct vmtest_snapshot s, again;
	struct vmtest a, b;

	vmtest_init(&a, "");
	vmtest_build(&a, "hello");
	if (a.vm->arch.gic_version == 2) /* unlocks IGROUPR */
		set(&a, DIST, 0x8, get(&a, DIST, 0x8));
	set(&a, DIST, GICD_CTLR, 2);
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		set(&a, DIST, shared[i].offset, shared[i].value);
		cr_expect_eq(get(&a, DIST, shared[i].offset), shared[i].value,
			     "0x%x", shared[i].offset);
	}
	vmtest_save(&a, &s);

	vmtest_init(&b, "");
	vmtest_load(&b, &s);
	cr_expect_eq(get(&b, DIST, GICD_CTLR), get(&a, DIST, GICD_CTLR));
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		cr_expect_eq(get(&b, DIST, shared[i].offset), shared[i].value,
			     "0x%x", shared[i].offset);
	vmtest_save(&b, &again);
	vmtest_expect_same(&s, &again);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&again);
	vmtest_remove(&s);
}

/* What a first load need not set, a second one must. */
Test(arm64_gic, a_second_load_takes_back_what_was_configured_since)
{
	static struct snap_reader r;
	struct vmtest_snapshot s, again;
	struct vmtest a, b;

	vmtest_init(&a, "");
	vmtest_build(&a, "hello");
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	vmtest_load(&b, &s);
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		set(&b, DIST, shared[i].offset, shared[i].value);
	r = b.from->reader;
	cr_assert_eq(arch_irq_load(&b.vm->arch, &r, &b.err), 0, "%s",
		     b.err.msg);
	vmtest_save(&b, &again);
	vmtest_expect_same(&s, &again);
	vmtest_fini(&b);
	vmtest_remove(&again);
	vmtest_remove(&s);
}

/* Private interrupts of the second vCPU, and its priority mask. */
Test(arm64_gic, each_vcpu_has_its_own_part)
{
	const uint32_t enabled = 0x0400ffff, sgi_enable = 0x10100;
	struct vmtest_snapshot s;
	struct vmtest a, b;
	uint64_t second;

	vmtest_init(&a, "");
	a.cfg.vm.vcpus = 2;
	vmtest_build(&a, "hello");
	if (a.vm->arch.gic_version != 3)
		cr_skip_test("the host has no GICv3");
	second = (a.vm->arch.mpidr[1] & 0xffffff) << 32 | sgi_enable;
	cr_expect_neq(a.vm->arch.mpidr[1], a.vm->arch.mpidr[0]);
	set(&a, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, second, enabled);
	vmtest_save(&a, &s);
	vmtest_init(&b, "");
	b.cfg.vm.vcpus = 2;
	vmtest_load(&b, &s);
	cr_expect_eq(get(&b, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, second),
		     get(&a, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, second));
	cr_expect_eq(get(&b, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, second) >> 26,
		     1);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

/* An SGI and an SPI that the guest held off until after the snapshot. */
Test(arm64_gic, what_is_pending_and_not_taken_survives)
{
	struct vmtest a, b;

	vmtest_init(&a, "");
	vmtest_init(&b, "");
	clone_run(&a, &b, "gic");
	cr_expect_str_eq(b.out, "pending: 3 40\n");
	vmtest_fini(&b);
}

static int no_gic(uint32_t type)
{
	return type == KVM_DEV_TYPE_ARM_VGIC_V3 ||
			       type == KVM_DEV_TYPE_ARM_VGIC_V2
		       ? -ENODEV
		       : KVM_HOOK_PASS;
}

Test(arm64_gic, a_host_without_one_is_refused_by_name)
{
	struct vmtest t;

	vmtest_init(&t, "");
	kvm_hook.create_device = no_gic;
	cr_assert_eq(build_vm(&t.vm, &t.opt, &t.err), -ENODEV);
	cr_expect_not_null(strstr(t.err.msg, "neither GICv3 nor GICv2"), "%s",
			   t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	vmtest_fini(&t);
}

/* KVM creates one there, which need not answer for this. */
static int gicv2_alone(uint32_t type)
{
	return type == KVM_DEV_TYPE_ARM_VGIC_V2
		       ? open("/dev/null", O_RDWR | O_CLOEXEC)
		       : -ENODEV;
}

Test(arm64_gic, more_vcpus_than_a_gicv2_takes_are_refused_by_name)
{
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.vm.vcpus = 9;
	kvm_hook.create_device = gicv2_alone;
	cr_expect_eq(build_vm(&t.vm, &t.opt, &t.err), -ENOTSUP);
	cr_expect_not_null(strstr(t.err.msg, "vm.vcpus: 9, this host's GICv2 "
					     "takes at most 8"),
			   "%s", t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	vmtest_fini(&t);
}
