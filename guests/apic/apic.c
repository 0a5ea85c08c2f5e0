/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apic.c - interrupts that wait while a snapshot is taken (x86_64, ring 0).
 *
 * Sends itself one interrupt that TPR holds back and one that RFLAGS.IF
 * holds back, and arms the local APIC's timer: oneshot=NS, periodic=NS or
 * deadline=TICKS.  Once it is a new generation it lets them come and says
 * how often each came: of a periodic timer 3, as soon as it came so often.
 */
#include "guest.h"

#define VECTOR_TPR   0x31
#define VECTOR_CLI   0x41
#define VECTOR_TIMER 0x51

#define MSR_APIC_BASE	 0x1b
#define MSR_X2APIC	 0x800 /* and the register's offset / 16 */
#define MSR_TSC_DEADLINE 0x6e0
#define APIC_TPR	 0x08
#define APIC_EOI	 0x0b
#define APIC_SVR	 0x0f
#define APIC_ICR	 0x30
#define APIC_LVTT	 0x32
#define APIC_TMICT	 0x38
#define APIC_TDCR	 0x3e
#define X2APIC_ON	 0xc00
#define SVR_ON		 0x1ff
#define ICR_SELF	 (1u << 18)
#define LVTT_PERIODIC	 (1u << 17)
#define LVTT_DEADLINE	 (2u << 17)
#define DIVIDE_BY_1	 0xb
#define CPUID_DEADLINE	 (1u << 24)

#define PERIODS	   3
#define STEP_MS	   2
#define PATIENCE   5000 /* steps for the timer to fire */
#define AFTERWARDS 20	/* steps in which nothing more may come */

struct gate {
	uint16_t low, selector, flags, mid;
	uint32_t high, zero;
};

struct __attribute__((packed)) table {
	uint16_t limit;
	uint64_t base;
};

volatile uint64_t tpr_count, cli_count, timer_count;
void tpr_entry(void), cli_entry(void), timer_entry(void);

/* clang-format off */
#define ENTRY(name)                                                            \
	__asm__(#name "_entry:\n"                                              \
		"push %rax\n push %rcx\n push %rdx\n"                          \
		"incq " #name "_count(%rip)\n"                                 \
		"mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n" \
		"pop %rdx\n pop %rcx\n pop %rax\n"                             \
		"iretq\n")
/* clang-format on */
ENTRY(tpr);
ENTRY(cli);
ENTRY(timer);

static struct gate idt[256];

static void set_gate(int vector, void (*entry)(void))
{
	uint64_t at = (uint64_t)(uintptr_t)entry;

	idt[vector] = (struct gate){.low = (uint16_t)at,
				    .selector = 0x08,
				    .flags = 0x8e00,
				    .mid = (uint16_t)(at >> 16),
				    .high = (uint32_t)(at >> 32)};
}

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void apic_write(uint32_t reg, uint32_t v)
{
	wrmsr(MSR_X2APIC + reg, v);
}

static void init(void)
{
	const struct table t = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

	set_gate(VECTOR_TPR, tpr_entry);
	set_gate(VECTOR_CLI, cli_entry);
	set_gate(VECTOR_TIMER, timer_entry);
	__asm__ volatile("lidt %0" : : "m"(t));
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | X2APIC_ON);
	apic_write(APIC_SVR, SVR_ON);
}

static int has_deadline(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (c & CPUID_DEADLINE) != 0;
}

/* Returns how often it shall fire. */
static uint64_t arm_timer(void)
{
	uint64_t oneshot = guest_arg_u64("oneshot", 0);
	uint64_t periodic = guest_arg_u64("periodic", 0);
	uint64_t deadline = guest_arg_u64("deadline", 0);

	apic_write(APIC_TDCR, DIVIDE_BY_1);
	if (deadline) {
		apic_write(APIC_LVTT, VECTOR_TIMER | LVTT_DEADLINE);
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + deadline);
	} else if (periodic) {
		apic_write(APIC_LVTT, VECTOR_TIMER | LVTT_PERIODIC);
		apic_write(APIC_TMICT, (uint32_t)periodic);
	} else {
		apic_write(APIC_LVTT, VECTOR_TIMER);
		apic_write(APIC_TMICT, (uint32_t)oneshot);
	}
	return periodic ? PERIODS : oneshot || deadline;
}

static void say(const char *what, uint64_t n)
{
	print(what);
	print_u64(n);
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t want;

	init();
	if (guest_arg_u64("deadline", 0) && !has_deadline()) {
		print("no deadline\n");
		return 2;
	}
	apic_write(APIC_TPR, VECTOR_TPR);
	apic_write(APIC_ICR, ICR_SELF | VECTOR_TPR);
	apic_write(APIC_ICR, ICR_SELF | VECTOR_CLI);
	want = arm_timer();
	reg_write(boot, MOTE_REG_READY, 1);
	while (!(reg_read(boot, MOTE_REG_EVENTS) & MOTE_EVENT_NEWGEN))
		reg_write(boot, MOTE_REG_WAIT, STEP_MS);
	reg_write(boot, MOTE_REG_EVENTS, MOTE_EVENT_NEWGEN);

	say("before ", cli_count + tpr_count + timer_count);
	__asm__ volatile("sti; nop" ::: "memory");
	for (int i = 0; !cli_count && i < PATIENCE; i++)
		reg_write(boot, MOTE_REG_WAIT, STEP_MS);
	say(" cli ", cli_count);
	say(" held ", tpr_count == 0);
	apic_write(APIC_TPR, 0);
	for (int i = 0; timer_count < want && i < PATIENCE; i++)
		reg_write(boot, MOTE_REG_WAIT, STEP_MS);
	for (int i = 0; want != PERIODS && i < AFTERWARDS; i++)
		reg_write(boot, MOTE_REG_WAIT, STEP_MS);
	__asm__ volatile("cli" ::: "memory");
	say(" tpr ", tpr_count);
	say(" cli ", cli_count);
	say(" timer ",
	    want == PERIODS && timer_count > PERIODS ? PERIODS : timer_count);
	print("\n");
	return 0;
}
