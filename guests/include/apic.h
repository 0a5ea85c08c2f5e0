/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apic.h - interrupts of an x86_64 guest in ring 0: gates, the local APIC in
 * its x2APIC mode.  Source: AMD64 APM vol. 2, 8 and 16; Intel SDM vol. 3, 11.
 */
#ifndef GUESTS_INCLUDE_APIC_H
#define GUESTS_INCLUDE_APIC_H

#include <stdint.h>

#define MSR_APIC_BASE	 0x1b
#define MSR_X2APIC	 0x800 /* and the register's offset / 16 */
#define MSR_TSC_DEADLINE 0x6e0
#define APIC_ID		 0x02
#define APIC_TPR	 0x08
#define APIC_EOI	 0x0b
#define APIC_SVR	 0x0f
#define APIC_ICR	 0x30
#define APIC_LVTT	 0x32
#define APIC_TMICT	 0x38
#define APIC_TDCR	 0x3e
#define X2APIC_ON	 0xc00
#define SVR_ON		 0x1ff

struct gate {
	uint16_t low, selector, flags, mid;
	uint32_t high, zero;
};

struct __attribute__((packed)) gate_table {
	uint16_t limit;
	uint64_t base;
};

/* NAME_entry: counts in NAME_count and acknowledges. */
/* clang-format off */
#define APIC_ENTRY(name)                                                       \
	volatile uint64_t name##_count;                                        \
	void name##_entry(void);                                               \
	__asm__(#name "_entry:\n"                                              \
		"push %rax\n push %rcx\n push %rdx\n"                          \
		"incq " #name "_count(%rip)\n"                                 \
		"mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n" \
		"pop %rdx\n pop %rcx\n pop %rax\n"                             \
		"iretq\n")
/* clang-format on */

static struct gate idt[256];

static inline void set_gate(int vector, void (*entry)(void))
{
	uint64_t at = (uint64_t)(uintptr_t)entry;

	idt[vector] = (struct gate){.low = (uint16_t)at,
				    .selector = 0x08,
				    .flags = 0x8e00,
				    .mid = (uint16_t)(at >> 16),
				    .high = (uint32_t)(at >> 32)};
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void apic_write(uint32_t reg, uint32_t v)
{
	wrmsr(MSR_X2APIC + reg, v);
}

/* After set_gate. */
static inline void apic_on(void)
{
	const struct gate_table t = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

	__asm__ volatile("lidt %0" : : "m"(t));
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | X2APIC_ON);
	apic_write(APIC_SVR, SVR_ON);
}

#endif
