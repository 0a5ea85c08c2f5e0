/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_gic.h - the interrupt controller, for our arm64 guests: a GICv3 or
 * GICv2 where docs/GUEST-ABI.md says, of one vCPU.  Interrupts are asked for,
 * not taken: DAIF stays masked.
 *
 * Sources: ARM IHI 0048 (GICv2) and IHI 0069 (v3).
 */
#ifndef GUESTS_INCLUDE_GUEST_GIC_H
#define GUESTS_INCLUDE_GUEST_GIC_H

#include "guest_arm64.h"

#define GIC_DIST     0x08000000ull
#define GIC_CPU_V2   0x08010000ull
#define GIC_SGI_REGS 0x080b0000ull /* of the first redistributor */
#define GIC_NONE     1023u

enum {
	GIC_CTLR = 0x0,
	GIC_IGROUPR = 0x80,
	GIC_ISENABLER = 0x100,
	GIC_ISPENDR = 0x200,
	GIC_IPRIORITYR = 0x400,
	GIC_ITARGETSR = 0x800,
	GIC_ICFGR = 0xc00,
	GIC_SGIR = 0xf00,
	GICC_PMR = 0x4,
	GICC_IAR = 0xc,
	GICC_EOIR = 0x10,
};

static inline void gic_put(uint64_t at, uint32_t v)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static inline void gic_put8(uint64_t at, uint8_t v)
{
	__asm__ volatile("strb %w0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static inline uint32_t gic_get(uint64_t at)
{
	uint32_t v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static inline int gic_is_v3(void)
{
	return (MRS("id_aa64pfr0_el1") >> 24 & 0xf) != 0;
}

/* Switch it on, every priority let through. */
static inline void gic_start(void)
{
	gic_put(GIC_DIST + GIC_CTLR, gic_is_v3() ? 2 : 1);
	if (gic_is_v3()) {
		MSR("s3_0_c12_c12_5", 1);  /* ICC_SRE_EL1 */
		MSR("s3_0_c4_c6_0", 0xff); /* ICC_PMR_EL1 */
		MSR("s3_0_c12_c12_7", 1);  /* ICC_IGRPEN1_EL1 */
	} else {
		gic_put(GIC_CPU_V2 + GICC_PMR, 0xff);
		gic_put(GIC_CPU_V2 + GIC_CTLR, 1);
	}
}

/* Shared ones are edge-triggered. */
static inline void gic_enable(uint32_t irq, uint8_t priority)
{
	int v3 = gic_is_v3();
	uint64_t at = v3 && irq < 32 ? GIC_SGI_REGS : GIC_DIST;

	if (v3)
		gic_put(at + GIC_IGROUPR + irq / 32 * 4, UINT32_MAX);
	else if (irq >= 32)
		gic_put8(at + GIC_ITARGETSR + irq, 1);
	gic_put8(at + GIC_IPRIORITYR + irq, priority);
	if (irq >= 32)
		gic_put(at + GIC_ICFGR + irq / 16 * 4, 2u << irq % 16 * 2);
	gic_put(at + GIC_ISENABLER + irq / 32 * 4, 1u << irq % 32);
}

/* To the vCPU that asks for it. */
static inline void gic_raise_sgi(uint32_t sgi)
{
	if (gic_is_v3())
		MSR("s3_0_c12_c11_5", (uint64_t)sgi << 24 | 1);
	else
		gic_put(GIC_DIST + GIC_SGIR, 2u << 24 | sgi);
}

static inline void gic_raise_spi(uint32_t irq)
{
	gic_put(GIC_DIST + GIC_ISPENDR + irq / 32 * 4, 1u << irq % 32);
}

/* What is pending, taken and ended; GIC_NONE: nothing. */
static inline uint32_t gic_take(void)
{
	uint32_t irq;

	if (!gic_is_v3()) {
		irq = gic_get(GIC_CPU_V2 + GICC_IAR);
		if ((irq & 0x3ff) != GIC_NONE)
			gic_put(GIC_CPU_V2 + GICC_EOIR, irq);
		return irq & 0x3ff;
	}
	irq = (uint32_t)MRS("s3_0_c12_c12_0"); /* ICC_IAR1_EL1 */
	if (irq != GIC_NONE)
		MSR("s3_0_c12_c12_1", irq); /* ICC_EOIR1_EL1 */
	return irq;
}

#endif
