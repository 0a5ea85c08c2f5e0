/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_irq.c - the in-kernel interrupt controller: GICv3, or GICv2 where the
 * host has no v3; created, and its state saved and loaded.
 *
 * Sources: Linux Documentation/virt/kvm/devices/arm-vgic-v3.rst and
 * arm-vgic.rst; register names of ARM IHI 0069 (v3) and IHI 0048 (v2).
 * One walk over all registers serves save and load, so that their order
 * can't differ: group, target and trigger mode before pending bits, and the
 * distributor's enable bit first of all, or KVM would not queue what is
 * pending.  The first load is into a new machine: most values are zeros there
 * and here, and are not set.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/arch_priv.h"
#include "arch/arm64/layout.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define SECTION_GIC   "arm64-gic"
#define VERSION	      1
#define GICV2_VCPUS   8u
#define PRIVATE_IRQS  32u
#define SGI_MASK      0xffffu
#define GROUP_DIST    KVM_DEV_ARM_VGIC_GRP_DIST_REGS
#define GROUP_CPU     KVM_DEV_ARM_VGIC_GRP_CPU_REGS
#define GROUP_REDIST  KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
#define GROUP_SYSREGS KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
#define GROUP_LEVEL   KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO

enum {
	GICD_CTLR = 0x0,
	GICD_IIDR = 0x8,
	GICD_IGROUPR = 0x80,
	GICD_ISENABLER = 0x100,
	GICD_ISPENDR = 0x200,
	GICD_ISACTIVER = 0x300,
	GICD_IPRIORITYR = 0x400,
	GICD_ITARGETSR = 0x800,
	GICD_ICFGR = 0xc00,
	GICD_CPENDSGIR = 0xf10,
	GICD_SPENDSGIR = 0xf20,
	GICD_IROUTER = 0x6000,
	GICR_SGI_FRAME = 0x10000,
	SET_TO_CLEAR = 0x80, /* from ISENABLER to ICENABLER, and so on */
};

#define ICC(op1, crm, op2)                                                     \
	(uint32_t)(ARM64_SYS_REG_SHIFT_MASK(3, OP0) |                          \
		   ARM64_SYS_REG_SHIFT_MASK(0, OP1) |                          \
		   ARM64_SYS_REG_SHIFT_MASK(op1, CRN) |                        \
		   ARM64_SYS_REG_SHIFT_MASK(crm, CRM) |                        \
		   ARM64_SYS_REG_SHIFT_MASK(op2, OP2))
#define ICC_PMR_EL1	ICC(4, 6, 0)
#define ICC_BPR0_EL1	ICC(12, 8, 3)
#define ICC_AP0R_EL1(n) ICC(12, 8, 4 + (n))
#define ICC_AP1R_EL1(n) ICC(12, 9, (n))
#define ICC_BPR1_EL1	ICC(12, 12, 3)
#define ICC_CTLR_EL1	ICC(12, 12, 4)
#define ICC_SRE_EL1	ICC(12, 12, 5)
#define ICC_IGRPEN0_EL1 ICC(12, 12, 6)
#define ICC_IGRPEN1_EL1 ICC(12, 12, 7)

/*
 * Lines of the timers.  KVM computes them from clock and compare value
 * whenever a vCPU is entered: saved as low, so that the state does not
 * depend on when it was taken.
 */
#define TIMER_PPIS                                                             \
	(1u << LAYOUT_PPI_HYP_TIMER | 1u << LAYOUT_PPI_VIRT_TIMER |            \
	 1u << LAYOUT_PPI_HV_TIMER | 1u << LAYOUT_PPI_PHYS_TIMER)

/* --- create ----------------------------------------------------------------
 */

static int set_address(struct arch_vm *a, uint64_t type, uint64_t gpa,
		       struct mote_err *err)
{
	int ret =
		kvm_set_attr(a->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &gpa);

	if (ret < 0)
		return err_set(err, -ret, "GICv%u: address 0x%" PRIx64 ": %s",
			       a->gic_version, gpa, strerror(-ret));
	return 0;
}

static int set_layout(struct arch_vm *a, struct mote_err *err)
{
	const uint32_t irqs = LAYOUT_IRQS;
	bool v3 = a->gic_version == 3;
	int ret = set_address(
		a, v3 ? KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST,
		LAYOUT_GIC_DIST, err);

	if (ret == 0)
		ret = set_address(a,
				  v3 ? KVM_VGIC_V3_ADDR_TYPE_REDIST
				     : KVM_VGIC_V2_ADDR_TYPE_CPU,
				  v3 ? LAYOUT_GIC_REDIST : LAYOUT_GIC_CPU, err);
	if (ret < 0)
		return ret;
	ret = kvm_set_attr(a->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs);
	if (ret < 0)
		return err_set(err, -ret, "GICv%u: %u interrupts: %s",
			       a->gic_version, irqs, strerror(-ret));
	return 0;
}

static int no_gic(struct mote_err *err)
{
	return err_set_class(err, ENODEV, ERR_CLASS_UNAVAILABLE,
			     "KVM on this host offers neither GICv3 nor GICv2");
}

int gic_check_host(int kvm_fd, struct mote_err *err)
{
	return kvm_check_extension(kvm_fd, KVM_CAP_IRQCHIP) > 0 ? 0
								: no_gic(err);
}

int gic_create(struct arch_vm *a, uint32_t vcpus, struct mote_err *err)
{
	uint32_t version = 3;
	int ret = kvm_create_device(a->vm_fd, KVM_DEV_TYPE_ARM_VGIC_V3, false);

	if (ret == -ENODEV) {
		version = 2;
		ret = kvm_create_device(a->vm_fd, KVM_DEV_TYPE_ARM_VGIC_V2,
					false);
	}
	if (ret == -ENODEV)
		return no_gic(err);
	if (ret < 0)
		return err_set(err, -ret, "KVM_CREATE_DEVICE GICv%u: %s",
			       version, strerror(-ret));
	a->gic_fd = ret;
	a->gic_version = version;
	if (version == 2 && vcpus > GICV2_VCPUS)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vm.vcpus: %u, this host's GICv2 takes "
				     "at most %u",
				     vcpus, GICV2_VCPUS);
	return set_layout(a, err);
}

void gic_fini(struct arch_vm *a)
{
	if (a->gic_version)
		fd_clear(&a->gic_fd);
	a->gic_version = 0;
}

int arch_vm_ready(struct arch_vm *a, struct memslot_table *slots,
		  struct mote_err *err)
{
	int ret;

	if (a->gic_version == 0)
		return 0; /* the hvt contract has none */
	ret = kvm_set_attr(a->gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	if (ret < 0)
		return err_set(err, -ret, "GICv%u: init: %s", a->gic_version,
			       strerror(-ret));
	return 0;
}

/* --- state -----------------------------------------------------------------
 */

/* The walk: each register goes from KVM to w, or from r to KVM. */
struct gic_walk {
	const struct arch_vm *a;
	uint32_t irqs;
	struct snap_writer *w; /* save, or NULL */
	struct snap_section *r;
	bool zeroed;   /* a load: these registers hold 0 */
	uint64_t last; /* the value that moved */
	int ret;
	struct mote_err *err;
};

static uint64_t attr_of(const struct gic_walk *g, uint32_t vcpu, uint32_t reg)
{
	uint64_t affinity, mpidr = g->a->mpidr[vcpu];

	/* v2 counts CPUs; v3 takes Aff3 to Aff0 in 32 bits. */
	affinity = g->a->gic_version == 2
			   ? vcpu
			   : (mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff);
	return affinity << 32 | reg;
}

static void refuse(struct gic_walk *g, int ret, const char *what,
		   uint32_t group, uint64_t attr, uint64_t val)
{
	g->ret = err_set_class(g->err, -ret, ERR_CLASS_UNAVAILABLE,
			       "GICv%u: this host %s register 0x%" PRIx64
			       " of group %u (0x%" PRIx64 "): %s",
			       g->a->gic_version, what, attr, group, val,
			       strerror(-ret));
}

/* KVM moves 64 bits for system registers and 32 for all others. */
static void set(struct gic_walk *g, uint32_t group, uint64_t attr, uint64_t val)
{
	uint32_t low = (uint32_t)val;
	int ret;

	if (g->ret < 0)
		return;
	ret = kvm_set_attr(g->a->gic_fd, group, attr,
			   group == GROUP_SYSREGS ? (const void *)&val : &low);
	if (ret < 0)
		refuse(g, ret, "refuses", group, attr, val);
}

static uint64_t get(struct gic_walk *g, uint32_t group, uint64_t attr)
{
	uint64_t val = 0;
	uint32_t low = 0;
	int ret;

	if (g->ret < 0)
		return 0;
	ret = kvm_get_attr(g->a->gic_fd, group, attr,
			   group == GROUP_SYSREGS ? (void *)&val : &low);
	if (ret < 0)
		refuse(g, ret, "does not give", group, attr, 0);
	return group == GROUP_SYSREGS ? val : low;
}

/* One register; the bits of drop are left out on both ways. */
static void move(struct gic_walk *g, uint32_t group, uint64_t attr,
		 uint64_t drop)
{
	bool wide = group == GROUP_SYSREGS;

	if (g->ret < 0)
		return;
	if (g->w) {
		g->last = get(g, group, attr) & ~drop;
		if (wide)
			snap_put_u64(g->w, g->last);
		else
			snap_put_u32(g->w, (uint32_t)g->last);
		return;
	}
	g->last = wide ? snap_get_u64(g->r) : snap_get_u32(g->r);
	if (g->r->error)
		g->ret = -EBADMSG; /* told when the section is closed */
	else if (g->last & ~drop || !g->zeroed)
		set(g, group, attr, g->last & ~drop);
}

/* A "set bits" register: what is set in the fresh VM is cleared first. */
static void move_bits(struct gic_walk *g, uint32_t group, uint64_t attr,
		      bool clear, uint64_t drop)
{
	if (!g->w && clear && !g->zeroed)
		set(g, group, attr + SET_TO_CLEAR, UINT32_MAX);
	move(g, group, attr, drop);
}

/* A register with bits for each interrupt: how KVM wants it moved. */
struct irq_reg {
	uint32_t offset;
	uint32_t bits;
	bool clear;	  /* see move_bits */
	bool zero;	  /* it is 0 in a new machine, for all interrupts */
	uint32_t drop[2]; /* of the private interrupts, v2 and v3 */
};

static const struct irq_reg before_level[] = {
	{GICD_IGROUPR, 1, false, false, {0, 0}},
	{GICD_ICFGR, 2, false, false, {0, 0}},
	{GICD_IPRIORITYR, 8, false, true, {0, 0}},
	{GICD_ISENABLER, 1, true, false, {0, 0}},
};

/* v2 keeps SGIs elsewhere, and shows lines as pending. */
static const struct irq_reg after_level[] = {
	{GICD_ISPENDR, 1, false, true, {SGI_MASK | TIMER_PPIS, 0}},
	{GICD_ISACTIVER, 1, true, true, {0, 0}},
};

static void move_irq_reg(struct gic_walk *g, const struct irq_reg *reg)
{
	bool v3 = g->a->gic_version == 3;
	uint32_t words = reg->bits; /* of 32 interrupts */
	/* In a v3 what is written there also clears. */
	bool clear = reg->clear || (reg->offset == GICD_ISPENDR && !v3);

	g->zeroed = reg->zero && !g->a->gic_used;
	for (uint32_t cpu = 0; cpu < g->a->vcpus; cpu++)
		for (uint32_t i = 0; i < words; i++)
			move_bits(g, v3 ? GROUP_REDIST : GROUP_DIST,
				  attr_of(g, cpu,
					  (v3 ? GICR_SGI_FRAME : 0) +
						  reg->offset + 4 * i),
				  clear, reg->drop[v3]);
	for (uint32_t i = words; i < g->irqs / PRIVATE_IRQS * words; i++)
		move_bits(g, GROUP_DIST, reg->offset + 4 * i, clear, 0);
	g->zeroed = false;
}

static void move_irq_regs(struct gic_walk *g, const struct irq_reg *reg,
			  size_t n)
{
	for (size_t i = 0; i < n; i++)
		move_irq_reg(g, &reg[i]);
}

/* Where shared interrupts go. */
static void move_targets(struct gic_walk *g)
{
	g->zeroed = g->a->gic_version == 3 && !g->a->gic_used;
	for (uint32_t i = PRIVATE_IRQS; i < g->irqs; i++)
		if (g->a->gic_version == 3) /* the upper half is Aff3: zero */
			move(g, GROUP_DIST, GICD_IROUTER + 8 * i, 0);
		else if (i % 4 == 0)
			move(g, GROUP_DIST, GICD_ITARGETSR + i, 0);
	g->zeroed = false;
}

/* Input lines; v2 has no way to ask. */
static void move_levels(struct gic_walk *g)
{
	const uint32_t level = VGIC_LEVEL_INFO_LINE_LEVEL
			       << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT;

	if (g->a->gic_version != 3)
		return;
	for (uint32_t cpu = 0; cpu < g->a->vcpus; cpu++)
		move(g, GROUP_LEVEL, attr_of(g, cpu, level), TIMER_PPIS);
	for (uint32_t i = PRIVATE_IRQS; i < g->irqs; i += PRIVATE_IRQS)
		move(g, GROUP_LEVEL, attr_of(g, 0, level | i), 0);
}

static void move_redist(struct gic_walk *g, uint32_t cpu)
{
	/*
	 * CTLR, STATUSR.  PROPBASER and PENDBASER belong to LPIs, which come
	 * with an ITS alone; KVM does not even keep their reset value.
	 */
	static const uint32_t reg[] = {0x0, 0x10};

	for (size_t i = 0; i < ARRAY_SIZE(reg); i++)
		move(g, GROUP_REDIST, attr_of(g, cpu, reg[i]), 0);
}

static void move_cpu_v3(struct gic_walk *g, uint32_t cpu)
{
	static const uint32_t reg[] = {
		ICC_SRE_EL1, ICC_CTLR_EL1, ICC_IGRPEN0_EL1, ICC_IGRPEN1_EL1,
		ICC_PMR_EL1, ICC_BPR0_EL1, ICC_BPR1_EL1};
	uint32_t bits = 0, active;

	for (size_t i = 0; i < ARRAY_SIZE(reg); i++) {
		move(g, GROUP_SYSREGS, attr_of(g, cpu, reg[i]), 0);
		if (reg[i] == ICC_CTLR_EL1) /* PRIbits */
			bits = (uint32_t)(g->last >> 8 & 7) + 1;
	}
	active = bits > 6 ? 4 : bits > 5 ? 2 : 1;
	for (uint32_t i = 0; i < active; i++) {
		move(g, GROUP_SYSREGS, attr_of(g, cpu, ICC_AP0R_EL1(i)), 0);
		move(g, GROUP_SYSREGS, attr_of(g, cpu, ICC_AP1R_EL1(i)), 0);
	}
}

static void move_cpu_v2(struct gic_walk *g, uint32_t cpu)
{
	/* CTLR, PMR, BPR, ABPR, APR0. */
	static const uint32_t reg[] = {0x0, 0x4, 0x8, 0x1c, 0xd0};

	for (size_t i = 0; i < ARRAY_SIZE(reg); i++)
		move(g, GROUP_CPU, attr_of(g, cpu, reg[i]), 0);
	for (uint32_t i = 0; i < 16; i += 4) {
		if (!g->w)
			set(g, GROUP_DIST, attr_of(g, cpu, GICD_CPENDSGIR + i),
			    UINT32_MAX);
		move(g, GROUP_DIST, attr_of(g, cpu, GICD_SPENDSGIR + i), 0);
	}
}

static int walk(struct gic_walk *g)
{
	/*
	 * The revision comes first: writing it tells KVM which behaviour the
	 * guest knows (and, v2, that interrupt groups may be written).
	 */
	move(g, GROUP_DIST, GICD_IIDR, 0);
	move(g, GROUP_DIST, GICD_CTLR, 0);
	for (uint32_t i = 0; g->a->gic_version == 3 && i < g->a->vcpus; i++)
		move_redist(g, i);
	move_irq_regs(g, before_level, ARRAY_SIZE(before_level));
	move_targets(g);
	move_levels(g);
	move_irq_regs(g, after_level, ARRAY_SIZE(after_level));
	for (uint32_t i = 0; i < g->a->vcpus; i++)
		if (g->a->gic_version == 3)
			move_cpu_v3(g, i);
		else
			move_cpu_v2(g, i);
	return g->ret;
}

int arch_irq_save(struct arch_vm *a, struct snap_writer *w,
		  struct mote_err *err)
{
	struct gic_walk g = {.a = a, .irqs = LAYOUT_IRQS, .w = w, .err = err};
	int ret;

	if (a->gic_version == 0)
		return 0;
	snap_section_begin(w, SECTION_GIC, 0, VERSION, SNAP_REQUIRED);
	snap_put_u32(w, a->gic_version);
	snap_put_u32(w, a->vcpus);
	snap_put_u32(w, g.irqs);
	ret = walk(&g);
	if (ret < 0)
		return ret;
	snap_section_end(w);
	return 0;
}

static int check_version(const struct arch_vm *a, uint32_t version,
			 struct mote_err *err)
{
	if (version == a->gic_version)
		return 0;
	return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
			     "the snapshot's guest has a GICv%u, this host "
			     "offers GICv%u",
			     version, a->gic_version);
}

bool gic_is_saved(const struct snap_reader *saved)
{
	struct snap_section s;

	return snap_section_find(saved, SECTION_GIC, 0, &s);
}

int gic_check_saved(const struct arch_vm *a, const struct snap_reader *saved,
		    struct mote_err *err)
{
	struct snap_section s;
	uint32_t version;

	if (!snap_section_find(saved, SECTION_GIC, 0, &s))
		return 0;
	version = snap_get_u32(&s);
	return s.error ? 0 : check_version(a, version, err);
}

static int check_shape(const struct arch_vm *a, uint32_t version,
		       uint32_t vcpus, uint32_t irqs, struct mote_err *err)
{
	int ret = check_version(a, version, err);

	if (ret < 0)
		return ret;
	/* Older versions may have had fewer interrupts, in groups of 32. */
	if (vcpus != a->vcpus || irqs > LAYOUT_IRQS || irqs < PRIVATE_IRQS ||
	    irqs % PRIVATE_IRQS)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section " SECTION_GIC ": %u vCPUs and "
				     "%u interrupts, expected %u and at most "
				     "%u",
				     vcpus, irqs, a->vcpus, LAYOUT_IRQS);
	return 0;
}

int arch_irq_load(struct arch_vm *a, struct snap_reader *r,
		  struct mote_err *err)
{
	struct gic_walk g = {.a = a, .err = err};
	struct snap_section s;
	uint32_t version, vcpus;
	int ret;

	if (a->gic_version == 0)
		return 0;
	ret = snap_section_open(r, SECTION_GIC, 0, &s, err);
	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret < 0)
		return ret;
	g.r = &s;
	version = snap_get_u32(&s);
	vcpus = snap_get_u32(&s);
	g.irqs = snap_get_u32(&s);
	if (!s.error) {
		ret = check_shape(a, version, vcpus, g.irqs, err);
		if (ret == 0)
			ret = walk(&g);
		a->gic_used = true;
	}
	return ret < 0 && !s.error ? ret : snap_section_close(&s, err);
}
