/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.c - each call of the firmware once, with what it answers.
 *
 * The second vCPU runs without MMU and caches, on no stack: it writes the
 * context that it was started with into the mailbox and switches itself off.
 * Both sides keep the mailbox out of the caches.
 */
#include "guest_gic.h"
#include "psci.h"

#define PATIENCE   2000 /* ms for the other vCPU */
#define SECOND	   1u	/* its affinity */
#define VIRT_TIMER 27u
#define NOBODY	   7u

volatile uint64_t mailbox[8] __attribute__((aligned(64)));

__asm__(".pushsection .text\n"
	".globl second_entry\n"
	"second_entry:\n"
	"	adrp x1, mailbox\n"
	"	add x1, x1, :lo12:mailbox\n"
	"	str x0, [x1]\n"
	"	dsb sy\n"
	/* mailbox[1]: stay until told to go. */
	"1:	ldr x2, [x1, #8]\n"
	"	cbnz x2, 1b\n"
	"	movz w0, #0x0002\n"
	"	movk w0, #0x8400, lsl #16\n" /* CPU_OFF */
	"	hvc #0\n"
	"2:	wfi\n"
	"	b 2b\n"
	".popsection\n");

static uint64_t look(int i)
{
	__asm__ volatile("dc civac, %0\n\tdsb sy"
			 :
			 : "r"(&mailbox[i])
			 : "memory");
	return mailbox[i];
}

static void post(int i, uint64_t v)
{
	mailbox[i] = v;
	__asm__ volatile("dc civac, %0\n\tdsb sy"
			 :
			 : "r"(&mailbox[i])
			 : "memory");
}

static void say(const char *name, int64_t answer)
{
	print(name);
	print(answer < 0 ? " -" : " ");
	print_u64((uint64_t)(answer < 0 ? -answer : answer));
	print("\n");
}

static int64_t affinity(uint64_t target)
{
	return psci_call(PSCI_AFFINITY_INFO, target, 0, 0);
}

/* Until the second vCPU is on (0) or off (1), or patience ends. */
static int64_t wait_affinity(const struct mote_boot *boot, int64_t wanted)
{
	for (int ms = 0; ms < PATIENCE && affinity(SECOND) != wanted; ms++)
		reg_write(boot, MOTE_REG_WAIT, 1);
	return affinity(SECOND);
}

static int64_t on(uint64_t target, uint64_t context)
{
	return psci_call(PSCI_CPU_ON, target, (uint64_t)(uintptr_t)second_entry,
			 context);
}

/* Start it, see that it runs, switch it off again. */
static void start_and_stop(const struct mote_boot *boot, uint64_t context)
{
	post(0, 0);
	post(1, 1);
	say("on", on(SECOND, context));
	for (int ms = 0; ms < PATIENCE && look(0) != context; ms++)
		reg_write(boot, MOTE_REG_WAIT, 1);
	say("context", (int64_t)look(0));
	say("affinity", affinity(SECOND));
	say("on again", on(SECOND, context));
	post(1, 0);
	say("off", wait_affinity(boot, 1));
}

/*
 * Sleep until the virtual timer's interrupt is pending; DAIF, which is masked,
 * does not matter to that.
 */
static void suspend(void)
{
	uint64_t wait = MRS("cntfrq_el0") / 50, began = MRS("cntvct_el0");
	int64_t answer;

	gic_start();
	gic_enable(VIRT_TIMER, 0x80);
	MSR("cntv_tval_el0", wait);
	MSR("cntv_ctl_el0", 1);
	answer = psci_call(PSCI_CPU_SUSPEND, 0,
			   (uint64_t)(uintptr_t)second_entry, 0);
	MSR("cntv_ctl_el0", 0);
	say("suspend", answer);
	print(MRS("cntvct_el0") - began >= wait ? "slept\n" : "no sleep\n");
}

void psci_try_calls(const struct mote_boot *boot, uint32_t version)
{
	say("affinity", affinity(SECOND));
	start_and_stop(boot, 17);
	if (guest_arg_u64("clone", 0)) {
		wait_for_clone(boot);
		say("affinity", affinity(SECOND));
	}
	start_and_stop(boot, 23);
	say("on nobody", on(NOBODY, 0));
	say("affinity of nobody", affinity(NOBODY));
	suspend();
	say("migrate", psci_call(PSCI_MIGRATE_TYPE, 0, 0, 0));
	if (version >> 16 >= 1)
		say("feature cpu_on",
		    psci_call(PSCI_FEATURES, PSCI_CPU_ON, 0, 0));
	say("feature none", psci_call(PSCI_FEATURES, 0x840000ffu, 0, 0));
	say("unknown", psci_call(0x840000ffu, 0, 0, 0));
}
