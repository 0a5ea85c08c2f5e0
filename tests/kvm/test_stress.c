/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stress.c - vCPUs and machines under stress on a real KVM.
 *
 * A slice runs with all other tests; MOTE_LONG (make test-long) makes it the
 * whole, MOTE_SLOW (sanitizers, emulated machines) a tenth of the slice.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/stress.h"
#include "base/timeline.h"

#define LONG_TIMEOUT 3600

/* --- kicks -----------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* For the reader: what is slow is not what is wrong. */
static void print_times(const char *what, uint32_t *ns, long n)
{
	qsort(ns, (size_t)n, sizeof(*ns), by_value);
	fprintf(stderr,
		"%s: %ld pauses, p50 %.1f us, p99 %.1f us, max %.1f us\n", what,
		n, ns[n / 2] / 1e3, ns[n - 1 - n / 100] / 1e3, ns[n - 1] / 1e3);
}

/* It is in or near KVM_RUN again, so that the next kick has a target. */
static void wait_running(struct vcpu *v)
{
	while (vcpu_state(v) != VCPU_RUNNING)
		sched_yield();
}

static uint64_t kicks_taken(const struct vcpu *v)
{
	return atomic_load(&v->exits[VCPU_EXIT_KICK]);
}

/*
 * A lost kick leaves vm_pause waiting for ever.  immediate_exit may end a
 * KVM_RUN before the signal is sent, which then ends the next one too; more
 * than those two no kick may make.
 */
static void kick_often(struct vmtest *t, const char *what, long n)
{
	uint32_t *ns = calloc((size_t)n, sizeof(*ns));
	struct vcpu *v = vm_vcpu_get(t->vm, 0);
	uint64_t before, taken;

	cr_assert_not_null(ns);
	cr_assert_not_null(v);
	wait_running(v);
	before = kicks_taken(v);
	for (long i = 0; i < n; i++) {
		uint64_t began = timeline_now();

		cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s: %s", what,
			     t->err.msg);
		ns[i] = (uint32_t)num_min(timeline_now() - began, UINT32_MAX);
		cr_assert_eq(vcpu_state(v), VCPU_PARKED);
		cr_assert_eq(vm_resume(t->vm, &t->err), 0, "%s: %s", what,
			     t->err.msg);
		wait_running(v);
	}
	taken = kicks_taken(v) - before;
	cr_expect_geq(taken, (uint64_t)n, "%s: %" PRIu64 " kicks taken of %ld",
		      what, taken, n);
	cr_expect_leq(taken, 2 * (uint64_t)n + 1, "%s: %" PRIu64, what, taken);
	cr_expect_eq(t->vm->end, VM_END_NONE, "%s", t->vm->err.msg);
	print_times(what, ns, n);
	vcpu_put(&v);
	free(ns);
	vm_kill(t->vm);
	vmtest_fini(t);
}

Test(stress_kick, a_guest_that_exits_all_the_time, .timeout = LONG_TIMEOUT)
{
	struct vmtest t;

	vmtest_init(&t, "step_ms=0 quiet=1");
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "generation");
	kick_often(&t, "counter", stress_count(1000, 1000000));
}

#if !defined(__powerpc64__)

static void start_hvt(struct vmtest *t, const char *args)
{
	vmtest_init(t, args);
	t->cfg.vm.memory = 4 * MIB;
	t->cfg.vm.protocol = PROTOCOL_HVT;
	vmtest_start(t, "hvt-probe");
}

Test(stress_kick, a_guest_that_never_exits, .timeout = LONG_TIMEOUT)
{
	struct vmtest t;

	start_hvt(&t, "spin");
	vmtest_wait_for(&t, "spin\n");
	kick_often(&t, "spin", stress_count(1000, 1000000));
}

Test(stress_kick, a_guest_that_waits_in_a_call, .timeout = LONG_TIMEOUT)
{
	struct vmtest t;

	start_hvt(&t, "ticks=1 step_ms=3600000");
	vmtest_wait_for(&t, "tick 1\n");
	kick_often(&t, "poll", stress_count(1000, 1000000));
}

/* --- two contracts in one process ------------------------------------------
 */

static void both_turn(struct vmtest *a, struct vmtest *b)
{
	if (a->vm)
		vmtest_turn(a);
	if (b->vm)
		vmtest_turn(b);
}

static void says_more(struct vmtest *t, struct vmtest *other, const char *when)
{
	uint64_t began = timeline_now();
	size_t from;

	t->out_len = 0;
	vmtest_drain(t);
	t->out_len = from = 0;
	while (t->out_len == from && timeline_now() - began < 40000000000ull)
		both_turn(t, other);
	cr_expect_gt(t->out_len, from, "%s", when);
	cr_expect_eq(t->vm->state, VM_RUNNING, "%s: %s", when, t->vm->err.msg);
}

static void start_mote(struct vmtest *t)
{
	vmtest_init(t, "step_ms=1");
	vmtest_start(t, "counter");
}

/* Created, running and destroyed around each other, either way round. */
Test(stress_two, one_contract_goes_while_the_other_runs, .timeout = 600)
{
	for (int i = 0; i < 10; i++) {
		struct vmtest m, h;

		start_mote(&m);
		start_hvt(&h, "ticks=1000000 step_ms=1");
		says_more(&m, &h, "mote beside hvt");
		says_more(&h, &m, "hvt beside mote");
		if (i % 2) {
			vmtest_fini(&h);
			says_more(&m, &h, "mote after hvt");
			vmtest_fini(&m);
		} else {
			vmtest_fini(&m);
			says_more(&h, &m, "hvt after mote");
			vmtest_fini(&h);
		}
	}
}

struct life {
	struct vmtest t;
	pthread_t thread;
	long cycles;
};

/* Lives of hvt machines on a thread of their own: it is their VM thread. */
static void *live_beside(void *arg)
{
	struct life *l = arg;

	for (long i = 0; i < l->cycles; i++) {
		start_hvt(&l->t, "spin");
		vm_pause(l->t.vm, NULL);
		vmtest_fini(&l->t);
	}
	return NULL;
}

Test(stress_two, machines_come_and_go_beside_one_that_runs, .timeout = 600)
{
	static struct life l;
	static struct vmtest m, none;

	start_mote(&m);
	l.cycles = stress_count(100, 1000);
	cr_assert_eq(pthread_create(&l.thread, NULL, live_beside, &l), 0);
	for (int i = 0; i < 20; i++)
		says_more(&m, &none, "beside lives");
	pthread_join(l.thread, NULL);
	says_more(&m, &none, "after lives");
	vmtest_fini(&m);
}

#endif

/* --- references against a machine that ends ---------------------------------
 */

#define BORROWERS 8

struct borrower {
	pthread_t thread;
	struct vm *vm;
	atomic_bool *end;
	atomic_int *kept; /* how many borrowers hold theirs and look no more */
	uint64_t todo;
	uint32_t wrong; /* found under another id than asked for */
	uint64_t found;
};

/* vCPU 1 comes and goes; what is found under an id is that KVM vCPU. */
static void look_up(struct borrower *b, uint32_t id)
{
	struct vcpu *v = vm_vcpu_get(b->vm, id);

	if (!v)
		return; /* unplugged */
	b->wrong += v->id != id;
	vcpu_state(v);
	vcpu_put(&v);
	b->found++;
}

static void *borrow(void *arg)
{
	struct borrower *b = arg;
	struct vcpu *mine;

	for (uint32_t i = 0; b->found < b->todo; i++)
		look_up(b, i % 2);
	mine = vm_vcpu_get(b->vm, 0); /* vCPU 0 stays plugged in */
	atomic_fetch_add(b->kept, 1);
	while (mine && !atomic_load(b->end)) {
		/* The machine is stopped and destroyed behind it. */
		if (!vcpu_get(mine))
			return "a held vCPU could not be taken again";
		vcpu_state(mine);
		vcpu_put(&(struct vcpu *){mine});
	}
	if (!mine)
		return "vCPU 0 is gone";
	vcpu_put(&mine);
	return NULL;
}

static void plug_while(struct vmtest *t, atomic_int *kept)
{
	while (atomic_load(kept) < BORROWERS) {
		cr_assert_eq(vm_vcpu_unplug(t->vm, 1, &t->err), 0, "%s",
			     t->err.msg);
		sched_yield();
		cr_assert_eq(vm_vcpu_replug(t->vm, 1, &t->err), 0, "%s",
			     t->err.msg);
		sched_yield();
	}
}

/* One life of a machine with eight borrowers; how many references. */
static uint64_t one_life(uint64_t todo, bool kill)
{
	static struct borrower b[BORROWERS];
	atomic_bool end = false;
	atomic_int kept = 0;
	uint64_t refs = 0;
	struct vcpu *v;
	struct vmtest t;

	vmtest_init(&t, "step_ms=1 quiet=1");
	t.cfg.vm.vcpus = 2;
	vmtest_start(&t, "counter");
	for (int i = 0; i < BORROWERS; i++) {
		b[i] = (struct borrower){
			.vm = t.vm, .end = &end, .kept = &kept, .todo = todo};
		cr_assert_eq(pthread_create(&b[i].thread, NULL, borrow, &b[i]),
			     0);
	}
	plug_while(&t, &kept);
	v = vm_vcpu_get(t.vm, 0);
	if (kill)
		vm_kill(t.vm);
	vmtest_fini(&t); /* the machine is gone, its vCPU 0 is not */
	cr_expect_eq(vcpu_state(v), VCPU_DEAD);
	cr_expect_geq(v->fd, 0, "its descriptor is open while it is borrowed");
	atomic_store(&end, true);
	for (int i = 0; i < BORROWERS; i++) {
		void *complaint;

		pthread_join(b[i].thread, &complaint);
		cr_expect_null(complaint, "%s", (char *)complaint);
		cr_expect_eq(b[i].wrong, 0u);
		cr_expect_eq(b[i].found, todo);
		refs += b[i].found;
	}
	cr_expect_eq(ref_count(&v->ref), 1, "only ours is left");
	vcpu_put(&v);
	return refs;
}

Test(stress_ref, eight_borrowers_against_kill_destroy_and_unplug,
     .timeout = LONG_TIMEOUT)
{
	long all = stress_long() ? 1000000 : 10000;
	int lives = all >= 100000 ? 100 : 10;
	struct live before;
	uint64_t refs = 0;

	one_life(100, true); /* what libraries allocate once */
	before = live_now();
	for (int i = 0; i < lives; i++)
		refs += one_life((uint64_t)(all / lives / BORROWERS + 1),
				 i % 2);
	fprintf(stderr, "references: %" PRIu64 " taken and dropped\n", refs);
	expect_live(&before, "after the last put");
}
