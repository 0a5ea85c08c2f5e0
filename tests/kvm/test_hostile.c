/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hostile.c - a guest ends only itself: whatever one machine's guest
 * does, a second machine in the same process goes on counting.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/timeline.h"

#define WAIT_NS (UINT64_C(40) * 1000000000)
#define MORE	5 /* counts of the other machine after each attack */

#if !defined(__powerpc64__) /* the guest is not written for it yet */

struct pair {
	struct vmtest bad, good;
	uint64_t counted; /* by the good one: its last number */
};

static void look(struct vmtest *t)
{
	if (!t->vm)
		return; /* torn down */
	vm_dispatch(t->vm);
	vmtest_drain(t);
}

/* The last whole line "count N" of the good machine; its output is dropped. */
static void read_count(struct pair *p)
{
	struct vmtest *t = &p->good;
	char *at = t->out, *end;

	while ((end = strchr(at, '\n'))) {
		if (!strncmp(at, "count ", 6)) {
			uint64_t n = strtoull(at + 6, NULL, 10);

			cr_expect_eq(n, p->counted + 1);
			p->counted = n;
		}
		at = end + 1;
	}
	t->out_len = strlen(at);
	memmove(t->out, at, t->out_len + 1);
}

static void turn(struct pair *p)
{
	struct pollfd fds[] = {
		{.fd = p->bad.vm ? p->bad.vm->events.fd : -1, .events = POLLIN},
		{.fd = p->good.vm->events.fd, .events = POLLIN},
	};

	poll(fds, 2, 5);
	look(&p->bad);
	look(&p->good);
	read_count(p);
}

static void begin(struct pair *p, const char *guest, const char *args)
{
	memset(p, 0, sizeof(*p));
	vmtest_init(&p->good, "step_ms=1");
	vmtest_start(&p->good, "counter");
	vmtest_init(&p->bad, args);
	if (!strncmp(guest, "hvt-", 4)) {
		p->bad.cfg.vm.memory = 4 * MIB;
		p->bad.cfg.vm.protocol = PROTOCOL_HVT;
	}
	vmtest_start(&p->bad, guest);
}

static void good_goes_on(struct pair *p, const char *when)
{
	uint64_t began = timeline_now(), from = p->counted;

	while (p->counted < from + MORE && timeline_now() - began < WAIT_NS) {
		p->bad.out_len = 0; /* there may be no end of it */
		turn(p);
	}
	cr_expect_geq(p->counted, from + MORE, "%s: the other stands still",
		      when);
	cr_expect_eq(p->good.vm->state, VM_RUNNING, "%s: %s", when,
		     p->good.vm->err.msg);
}

/* It ends by itself, as told. */
static void ends(const char *guest, const char *args, enum vm_end end, int code,
		 const char *words)
{
	uint64_t began = timeline_now();
	const struct vm *vm;
	struct pair p;

	begin(&p, guest, args);
	vm = p.bad.vm;
	while (vm->state != VM_ENDED && timeline_now() - began < WAIT_NS)
		turn(&p);
	look(&p.bad);
	cr_expect_eq(vm->state, VM_ENDED, "%s: %s", args, p.bad.out);
	cr_expect_eq(vm->end, end, "%s: %s (%s)", args, vm->err.msg, p.bad.out);
	if (end == VM_END_EXIT)
		cr_expect_eq(vm->exit_code, code, "%s: %d: %s", args,
			     vm->exit_code, p.bad.out);
	words = words ? words : "";
	cr_expect_not_null(
		strstr(end == VM_END_CRASH ? vm->err.msg : p.bad.out, words),
		"%s: %s (%s)", args, p.bad.out, vm->err.msg);
	good_goes_on(&p, args);
	vmtest_fini(&p.bad);
	good_goes_on(&p, "after its teardown");
	vmtest_fini(&p.good);
}

/* It does not: it is paused and resumed like any other, and killed. */
static void endures(const char *guest, const char *args)
{
	struct pair p;

	begin(&p, guest, args);
	good_goes_on(&p, args);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(vm_pause(p.bad.vm, &p.bad.err), 0, "%s: %s", args,
			     p.bad.err.msg);
		cr_expect_eq(vcpu_state(p.bad.vm->vcpu[0]), VCPU_PARKED);
		cr_assert_eq(vm_resume(p.bad.vm, &p.bad.err), 0, "%s", args);
	}
	good_goes_on(&p, args);
	cr_expect_eq(p.bad.vm->state, VM_RUNNING, "%s: %s", args,
		     p.bad.vm->err.msg);
	vm_kill(p.bad.vm);
	cr_expect_eq(p.bad.vm->end, VM_END_KILLED);
	good_goes_on(&p, "after the kill");
	vmtest_fini(&p.bad);
	good_goes_on(&p, "after its teardown");
	vmtest_fini(&p.good);
}

Test(hostile, wild_accesses_change_nothing, .timeout = 120)
{
	ends("hostile", "wild=1", VM_END_EXIT, 7, "wild=1\nsurvived\n");
}

Test(hostile, reads_of_nothing_are_all_ones, .timeout = 120)
{
	ends("hostile", "nothing=1", VM_END_EXIT, 7, "nothing=1\nsurvived\n");
}

Test(hostile, its_boot_page_is_its_own, .timeout = 120)
{
	ends("hostile", "page=1", VM_END_EXIT, 7, "survived");
}

Test(hostile, the_first_exit_counts, .timeout = 120)
{
	ends("hostile", "exit2=1", VM_END_EXIT, 5, NULL);
}

Test(hostile, faults_without_vectors_end_it, .timeout = 120)
{
#ifdef __x86_64__ /* KVM-AMD has reset the vCPU by then: rip is no place */
	ends("hostile", "trap=1", VM_END_CRASH, 0, "triple fault: rip=0x");
	ends("hostile", "run=1", VM_END_CRASH, 0, "triple fault: rip=0x");
	ends("hostile", "tables=1", VM_END_CRASH, 0, "triple fault: rip=0x");
#else
	ends("hostile", "trap=1", VM_END_CRASH, 0, "pc=0x");
	ends("hostile", "run=1", VM_END_CRASH, 0, "pc=0x");
	ends("hostile", "run=2", VM_END_CRASH, 0, "pc=0x");
#endif
}

#ifdef __x86_64__
Test(hostile, code_where_nothing_is_can_not_run, .timeout = 120)
{
	ends("hostile", "run=2", VM_END_CRASH, 0, "rip=0x20000000");
}

Test(hostile, string_input_to_where_nothing_is, .timeout = 120)
{
	ends("hostile", "ins=1", VM_END_EXIT, 7, "survived");
}
#endif

Test(hostile, a_sleep_of_49_days_is_paused_and_killed, .timeout = 120)
{
	endures("hostile", "wait=1");
}

Test(hostile, endless_output_is_paused_and_killed, .timeout = 120)
{
	endures("hostile", "flood=1");
	endures("hvt-probe", "flood=1000000000");
}

Test(hostile, halts_are_paused_and_killed, .timeout = 120)
{
	endures("hostile", "halt=1");
#ifdef __x86_64__
	endures("hostile", "apic=1");
#endif
}

/* KVM answers them, or goes round in circles where it is nested. */
#ifdef __x86_64__
Test(hostile, the_hypercalls_of_kvm_are_not_ours, .timeout = 120)
{
	struct pair p;

	begin(&p, "hostile", "calls=1");
	good_goes_on(&p, "calls");
	vm_kill(p.bad.vm);
	cr_expect_neq(p.bad.vm->end, VM_END_CRASH, "%s", p.bad.vm->err.msg);
	good_goes_on(&p, "after the kill");
	vmtest_fini(&p.bad);
	vmtest_fini(&p.good);
}
#endif

Test(hostile, a_solo5_guest_ends_only_itself, .timeout = 120)
{
	ends("hvt-probe", "trap", VM_END_EXIT, 255, "ABORT");
	ends("hvt-probe", "xnow", VM_END_CRASH, 0, "translation fault");
	ends("hvt-probe", "wrap nr=2", VM_END_CRASH, 0, "gpa=0xfffffff");
	ends("hvt-probe", "badcall nr=0", VM_END_CRASH, 0, "invalid hypercall");
	endures("hvt-probe", "spin");
	endures("hvt-probe", "ticks=1 step_ms=3600000");
}

#endif
