/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apic.c - interrupts that wait while a snapshot is taken (x86_64, ring 0).
 *
 * Sends itself one interrupt that TPR holds back and one that RFLAGS.IF
 * holds back, and arms the local APIC's timer: oneshot=NS, periodic=NS or
 * deadline=TICKS.  Once it is a new generation it lets them come and says
 * how often each came: of a periodic timer 3, as soon as it came so often.
 */
#include "apic.h"
#include "guest.h"

#define VECTOR_TPR   0x31
#define VECTOR_CLI   0x41
#define VECTOR_TIMER 0x51

#define ICR_SELF       (1u << 18)
#define LVTT_PERIODIC  (1u << 17)
#define LVTT_DEADLINE  (2u << 17)
#define DIVIDE_BY_1    0xb
#define CPUID_DEADLINE (1u << 24)

#define PERIODS	   3
#define STEP_MS	   2
#define PATIENCE   5000 /* steps for the timer to fire */
#define AFTERWARDS 20	/* steps in which nothing more may come */

APIC_ENTRY(tpr);
APIC_ENTRY(cli);
APIC_ENTRY(timer);

static void init(void)
{
	set_gate(VECTOR_TPR, tpr_entry);
	set_gate(VECTOR_CLI, cli_entry);
	set_gate(VECTOR_TIMER, timer_entry);
	apic_on();
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
