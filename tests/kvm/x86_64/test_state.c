/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_state.c - the whole state of an x86_64 vCPU goes through snapshots:
 * vectors, x87, waiting interrupts, the local APIC's timer, the TSC.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "guests/include/simd.h"
#include "guests/include/simd_code.h"
#include "kvm/kvm.h"
#include "snapshot/rewind.h"

#define ROUNDS 6
#define RUN_US 3000 /* of computing between two snapshots */

#define APIC_INIT_COUNT 0x380
#define CPUID_1_AVX	(1u << 28)
#define MSR_TSC		0x10u
#define TSC_FAR		(INT64_C(1) << 40)
#define TSC_UNIT	(INT64_C(1) << 20)
#define MS		UINT64_C(1000000)
#define MSR_MTRR_BASE	0x200u
#define MSR_MC0_ADDR	0x402u

typedef uint64_t simd_fn(struct simd_state *s, const volatile uint32_t *stop,
			 uint64_t max);

struct msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static void wait_ready(struct vmtest *t)
{
	while (!t->vm->ready && t->vm->state != VM_ENDED)
		vmtest_turn(t);
	cr_assert(t->vm->ready, "%s: %s", t->out, t->vm->err.msg);
}

/* Wherever it is: save it, and go on in a new machine. */
static void move(struct vmtest *t)
{
	static struct vmtest to;
	struct vmtest_snapshot s;

	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s: %s", t->err.msg, t->out);
	vm_dispatch(t->vm);
	vmtest_save(t, &s);
	vmtest_fini(t);
	vmtest_init(&to, "");
	vmtest_load(&to, &s);
	vmtest_remove(&s);
	*t = to;
	/* What points into the struct that it was built in. */
	t->opt.cfg = &t->cfg;
	t->vm->cfg = &t->cfg;
}

static void start(struct vmtest *t)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

/* --- vectors and x87 ------------------------------------------------------ */

/* Let the guest tell its sum: is it what its steps give natively? */
static bool sum_is_right(struct vmtest *t, simd_fn *fn)
{
	static struct simd_state s;
	const uint32_t go_on = 0;
	uint64_t steps, sum;
	char *end;

	vm_ask_stop(t->vm);
	vmtest_wait_end(t);
	cr_assert_eq(t->vm->end, VM_END_EXIT, "%s", t->vm->err.msg);
	cr_assert_eq(strncmp(t->out, "steps ", 6), 0, "%s", t->out);
	steps = strtoull(t->out + 6, &end, 10);
	cr_assert_eq(strncmp(end, " sum ", 5), 0, "%s", t->out);
	sum = strtoull(end + 5, NULL, 16);
	simd_init(&s);
	cr_assert_eq(fn(&s, &go_on, steps), steps);
	return simd_sum(&s) == sum;
}

static void start_simd(struct vmtest *t, const char *guest)
{
	vmtest_init(t, "");
	vmtest_start(t, guest);
	wait_ready(t);
	usleep(RUN_US);
}

static void expect_sum_survives(struct vmtest *t, simd_fn *fn)
{
	for (int i = 0; i < ROUNDS; i++) {
		move(t);
		start(t);
		usleep(RUN_US);
	}
	cr_expect(sum_is_right(t, fn), "another sum: %s", t->out);
	vmtest_fini(t);
}

Test(x86_state, sse_and_x87_go_through_many_snapshots, .timeout = 120)
{
	static struct vmtest t;

	start_simd(&t, "simd");
	expect_sum_survives(&t, simd_sse);
}

/* KVM's word counts: one that interprets ring 0 shows the host's CPUID. */
static void start_avx(struct vmtest *t)
{
	const struct kvm_cpuid2 *c;
	bool has = false;

	vmtest_init(t, "");
	vmtest_build(t, "simdavx");
	c = t->vm->arch.cpuid;
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == 1)
			has = c->entries[i].ecx & CPUID_1_AVX;
	vmtest_fini(t);
	if (!has)
		cr_skip_test("this KVM offers no AVX to guests");
	start_simd(t, "simdavx");
}

Test(x86_state, avx_goes_through_many_snapshots, .timeout = 120)
{
	static struct vmtest t;

	start_avx(&t);
	expect_sum_survives(&t, simd_avx);
}

/* Bits of the XSAVE area of a loaded machine. */
static void damage(struct vmtest *t, size_t byte, uint8_t bits)
{
	struct kvm_xsave area = {0};
	int fd = t->vm->vcpu[0]->arch.fd;

	cr_assert_eq(kvm_call(fd, KVM_GET_XSAVE, &area), 0);
	((uint8_t *)&area)[byte] ^= bits;
	cr_assert_eq(kvm_call(fd, KVM_SET_XSAVE, &area), 0);
}

/* Does a damaged bit show?  Not where a step is about to write it anew. */
static bool shows(struct vmtest *t, const char *guest, simd_fn *fn, size_t byte,
		  uint8_t bits)
{
	for (int i = 0; i < 5; i++) {
		bool right;

		start_simd(t, guest);
		move(t);
		damage(t, byte, bits);
		start(t);
		right = sum_is_right(t, fn);
		vmtest_fini(t);
		if (!right)
			return true;
	}
	return false;
}

/* The check above can fail: a bit of any register that is lost shows. */
Test(x86_state, a_damaged_register_gives_another_sum, .timeout = 240)
{
	static const struct {
		size_t byte;
		uint8_t bits;
	} hit[] = {
		{1, 0x0c},   /* x87: rounding */
		{25, 0x20},  /* MXCSR: rounding */
		{33, 0x10},  /* st0 */
		{160, 0x10}, /* xmm0 */
		{277, 0x10}, /* xmm7 */
		{336, 0x10}, /* xmm11 */
		{405, 0x10}, /* xmm15 */
	};
	static struct vmtest t;

	for (size_t i = 0; i < ARRAY_SIZE(hit); i++)
		cr_expect(shows(&t, "simd", simd_sse, hit[i].byte, hit[i].bits),
			  "byte %zu", hit[i].byte);
}

Test(x86_state, a_damaged_upper_half_gives_another_sum, .timeout = 120)
{
	static struct vmtest t;

	start_avx(&t);
	vmtest_fini(&t);
	/* ymm3's */
	cr_expect(shows(&t, "simdavx", simd_avx, 576 + 16 * 3 + 2, 0x10));
}

/* --- interrupts ----------------------------------------------------------- */

static void start_apic(struct vmtest *t, const char *timer)
{
	vmtest_init(t, timer);
	vmtest_start(t, "apic");
	if (strstr(timer, "deadline") && (vmtest_turn(t), t->out_len > 0)) {
		vmtest_wait_end(t);
		cr_skip_test("%s", t->out);
	}
	wait_ready(t);
}

static void expect_interrupts(struct vmtest *t, const char *words)
{
	start(t);
	vmtest_wait_end(t);
	cr_expect_eq(t->vm->end, VM_END_EXIT, "%s", t->vm->err.msg);
	cr_expect_str_eq(t->out, words, "%s", t->out);
	vmtest_fini(t);
}

#define ALL_ONCE "before 0 cli 1 held 1 tpr 1 cli 1 timer "

Test(x86_state, waiting_interrupts_come_once_after_a_restore)
{
	static struct vmtest t;

	start_apic(&t, "");
	move(&t);
	move(&t);
	expect_interrupts(&t, ALL_ONCE "0\n");
}

Test(x86_state, a_oneshot_timer_fires_once_after_a_restore)
{
	static struct vmtest t;

	start_apic(&t, "oneshot=400000000");
	move(&t);
	move(&t);
	expect_interrupts(&t, ALL_ONCE "1\n");
}

/* It ran out while interrupts were off, before the snapshot. */
Test(x86_state, a_oneshot_timer_that_ran_out_fires_once)
{
	static struct vmtest t;

	start_apic(&t, "oneshot=1000000");
	usleep(50000);
	move(&t);
	move(&t);
	expect_interrupts(&t, ALL_ONCE "1\n");
}

Test(x86_state, a_periodic_timer_goes_on_after_a_restore)
{
	static struct vmtest t;

	start_apic(&t, "periodic=30000000");
	move(&t);
	move(&t);
	expect_interrupts(&t, ALL_ONCE "3\n");
}

Test(x86_state, a_tsc_deadline_fires_once_after_a_restore)
{
	static struct vmtest t;

	start_apic(&t, "deadline=600000000");
	move(&t);
	move(&t);
	expect_interrupts(&t, ALL_ONCE "1\n");
}

Test(x86_state, a_tsc_deadline_that_passed_fires_once)
{
	static struct vmtest t;

	start_apic(&t, "deadline=1000000");
	usleep(50000);
	move(&t);
	move(&t);
	expect_interrupts(&t, ALL_ONCE "1\n");
}

static uint32_t apic_init_count(struct vmtest *t)
{
	struct kvm_lapic_state apic;
	uint32_t n;

	cr_assert_eq(kvm_call(t->vm->vcpu[0]->arch.fd, KVM_GET_LAPIC, &apic),
		     0);
	memcpy(&n, apic.regs + APIC_INIT_COUNT, sizeof(n));
	return n;
}

/* Parked beyond the timer's end, a clone is still what was saved. */
static void expect_parked_timer(const char *timer)
{
	static struct vmtest a, b;
	struct vmtest_snapshot s, again;

	start_apic(&a, timer);
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_init(&b, timer);
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, true, &b.err), 0, "%s", b.err.msg);
	usleep(400000);
	cr_expect_eq(apic_init_count(&b), 0, "KVM's timer runs");
	vmtest_save(&b, &again);
	vmtest_expect_same(&s, &again);
	cr_assert_eq(vm_resume(b.vm, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_str_eq(b.out, ALL_ONCE "1\n", "%s", b.out);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&again);
	vmtest_remove(&s);
}

Test(x86_state, a_parked_clone_holds_its_oneshot_timer)
{
	expect_parked_timer("oneshot=200000000");
}

Test(x86_state, a_parked_clone_holds_its_tsc_deadline)
{
	expect_parked_timer("deadline=400000000");
}

/* --- clocks and MSRs ------------------------------------------------------ */

static uint64_t get_msr(struct vmtest *t, uint32_t index)
{
	struct msr m = {.head.nmsrs = 1, .entry.index = index};

	cr_assert_eq(kvm_call(t->vm->vcpu[0]->arch.fd, KVM_GET_MSRS, &m), 1,
		     "MSR 0x%x", index);
	return m.entry.data;
}

static void set_msr(struct vmtest *t, uint32_t index, uint64_t data)
{
	struct msr m = {.head.nmsrs = 1, .entry = {index, 0, data}};

	cr_assert_eq(kvm_call(t->vm->vcpu[0]->arch.fd, KVM_SET_MSRS, &m), 1,
		     "MSR 0x%x", index);
}

static void skip_without_tsc(struct vmtest *t)
{
	int64_t want = (int64_t)get_msr(t, MSR_TSC) + TSC_FAR;
	int64_t off;

	set_msr(t, MSR_TSC, (uint64_t)want);
	off = (int64_t)get_msr(t, MSR_TSC) - want;
	vmtest_fini(t);
	if (off < 0 || off > TSC_FAR / 2)
		cr_skip_test("this KVM does not keep a TSC that is set");
}

/*
 * A guest's clock goes on from where it stood, no sooner and no later; also
 * one that is as young as the machine that it comes back in.
 */
static void expect_tsc_goes_on(uint64_t age)
{
	static struct vmtest t;
	uint64_t was, now, host;

	vmtest_init(&t, "");
	vmtest_build(&t, "counter");
	skip_without_tsc(&t);
	vmtest_init(&t, "step_ms=2");
	vmtest_build(&t, "counter");
	set_msr(&t, MSR_TSC, UINT64_C(1) << 50); /* or KVM ignores the next */
	set_msr(&t, MSR_TSC, age);
	start(&t);
	vmtest_wait_for(&t, "count 3\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	was = get_msr(&t, MSR_TSC);
	move(&t);
	usleep(100000); /* loaded and held: this does not count */
	host = __builtin_ia32_rdtsc();
	start(&t);
	vmtest_wait_for(&t, "count 8\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	now = get_msr(&t, MSR_TSC);
	host = __builtin_ia32_rdtsc() - host;
	cr_expect_geq(now, was, "it was set back");
	/* From reading it here to the save a moment passed too. */
	cr_expect_leq(now - was, host + host / 8 + 64 * (uint64_t)TSC_UNIT,
		      "it jumped by %llu, the host's went on by %llu",
		      (unsigned long long)(now - was),
		      (unsigned long long)host);
	vmtest_fini(&t);
}

Test(x86_state, the_tsc_of_a_young_guest_goes_on)
{
	expect_tsc_goes_on(0x1000);
}

Test(x86_state, the_tsc_of_an_old_guest_goes_on)
{
	expect_tsc_goes_on(UINT64_C(1) << 45);
}

/* KVM's list does not name these. */
Test(x86_state, memory_types_and_machine_checks_are_saved)
{
	static struct vmtest t;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	set_msr(&t, MSR_MTRR_BASE, 0x80000006);
	set_msr(&t, MSR_MC0_ADDR, 0x1234567890);
	move(&t);
	cr_expect_eq(get_msr(&t, MSR_MTRR_BASE), 0x80000006);
	cr_expect_eq(get_msr(&t, MSR_MC0_ADDR), 0x1234567890);
	vmtest_fini(&t);
}

/* --- rewound --------------------------------------------------------------
 */

/* Save t where it is and load it into a machine that can be rewound. */
static void move_to_rewind(struct vmtest *t, const char *args,
			   struct vmtest_snapshot *s, struct rewind **r)
{
	static struct vmtest to;

	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s: %s", t->err.msg, t->out);
	vm_dispatch(t->vm);
	vmtest_save(t, s);
	vmtest_fini(t);
	vmtest_init(&to, args);
	vmtest_load(&to, s);
	*t = to;
	t->opt.cfg = &t->cfg;
	t->vm->cfg = &t->cfg;
	cr_assert_eq(rewind_init(r, t->vm, t->from, &t->err), 0, "%s",
		     t->err.msg);
}

/* Back, and how much of the vCPU is set before it runs again. */
static enum x86_late go_back(struct vmtest *t, struct rewind *r)
{
	cr_assert_eq(rewind_vm(r, NULL, &t->err), 0, "%s", t->err.msg);
	vmtest_drain(t);
	t->out_len = 0;
	t->out[0] = 0;
	return t->vm->vcpu[0]->arch.late;
}

static void resume(struct vmtest *t)
{
	cr_assert_eq(vm_resume(t->vm, &t->err), 0, "%s", t->err.msg);
}

static void finish(struct vmtest *t, struct rewind *r,
		   struct vmtest_snapshot *s)
{
	vmtest_fini(t);
	rewind_fini(r);
	vmtest_remove(s);
}

Test(x86_state, vectors_are_rewound, .timeout = 120)
{
	struct vmtest_snapshot s;
	static struct vmtest t;
	struct rewind *r;

	start_simd(&t, "simd");
	move_to_rewind(&t, "", &s, &r);
	start(&t);
	for (int i = 0; i < ROUNDS; i++) {
		usleep(RUN_US);
		/* Ring 3 can't change more. */
		cr_expect_eq(go_back(&t, r), LATE_CONFINED);
		resume(&t);
	}
	usleep(RUN_US);
	cr_expect(sum_is_right(&t, simd_sse), "another sum: %s", t.out);
	finish(&t, r, &s);
}

/* The guest says how often each interrupt came; every run says the same. */
Test(x86_state, interrupts_and_timers_are_rewound, .timeout = 120)
{
	static const char args[] = "oneshot=500000000";
	static char first[VMTEST_OUT_MAX];
	struct vmtest_snapshot s, again;
	static struct vmtest t;
	struct rewind *r;

	vmtest_init(&t, args);
	vmtest_start(&t, "apic");
	wait_ready(&t);
	move_to_rewind(&t, args, &s, &r);
	start(&t);
	for (int i = 0; i < 4; i++) {
		vmtest_wait_end(&t);
		cr_assert_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
		cr_assert_gt(t.out_len, 0);
		if (i == 0)
			strcpy(first, t.out);
		cr_expect_str_eq(t.out, first);
		cr_expect_eq(go_back(&t, r), LATE_ALL);
		vmtest_save(&t, &again);
		vmtest_expect_same(&s, &again);
		vmtest_remove(&again);
		resume(&t);
	}
	finish(&t, r, &s);
}

/* A guest in ring 3 that writes to address; does it live? */
static bool poke_lives(const char *args, enum x86_late *late)
{
	struct vmtest_snapshot s;
	static struct vmtest t;
	struct rewind *r;
	bool lives;

	vmtest_init(&t, args);
	vmtest_start(&t, "touch");
	wait_ready(&t);
	move_to_rewind(&t, args, &s, &r);
	start(&t);
	vmtest_wait_end(&t);
	lives = t.vm->end == VM_END_EXIT;
	cr_assert(lives || t.vm->end == VM_END_CRASH);
	*late = go_back(&t, r);
	resume(&t);
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, lives ? VM_END_EXIT : VM_END_CRASH);
	finish(&t, r, &s);
	return lives;
}

Test(x86_state, ring_3_does_not_reach_its_tables, .timeout = 120)
{
	enum x86_late late;

	cr_expect(poke_lives("poke=28672", &late), "the boot page");
	cr_expect_eq(late, LATE_CONFINED);
	cr_expect_not(poke_lives("poke=4096", &late), "the GDT");
	cr_expect_eq(late, LATE_ALL, "after a crash all of it is set");
	cr_expect_not(poke_lives("poke=36864", &late), "the PML4");
	cr_expect_not(poke_lives("poke=307200", &late), "the page table");
}

/* The vCPU has stopped for good, and nobody has taken its event yet. */
Test(x86_state, a_crash_that_nobody_saw_is_rewound_whole, .timeout = 120)
{
	struct vmtest_snapshot s;
	static struct vmtest t;
	struct rewind *r;

	vmtest_init(&t, "poke=4096");
	vmtest_start(&t, "touch");
	wait_ready(&t);
	move_to_rewind(&t, "poke=4096", &s, &r);
	start(&t);
	while (!vcpu_ended(t.vm->vcpu[0], NULL))
		usleep(1000);
	cr_assert_eq(t.vm->state, VM_RUNNING);
	cr_expect_eq(go_back(&t, r), LATE_ALL);
	cr_assert_eq(t.vm->state, VM_PAUSED);
	resume(&t);
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_CRASH);
	finish(&t, r, &s);
}
