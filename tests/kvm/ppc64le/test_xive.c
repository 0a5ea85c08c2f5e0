/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_xive.c - XIVE's native mode: the H_INT_ calls, events that the host's
 * hardware queues in the guest's RAM, and both in a snapshot.  A guest that
 * lives by it: test_linux.c.
 */
#include <criterion/criterion.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/ppc64le/layout.h"
#include "arch/ppc64le/papr.h"
#include "arch/ppc64le/xive.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "snapshot/rewind.h"
#include "snapshot/stream.h"

#define QUEUE UINT64_C(0x800000) /* in the guest's RAM */

enum {
	SOURCE_INFO = 0x3a8,
	SET_SOURCE = 0x3ac,
	GET_SOURCE = 0x3b0,
	QUEUE_INFO = 0x3b4,
	SET_QUEUE = 0x3b8,
	GET_QUEUE = 0x3bc,
	SET_LINE = 0x3c0,
	ESB = 0x3c8,
	SYNC = 0x3cc,
	RESET = 0x3d0,
};

/* Two vCPUs, where the host offers it. */
static void init(struct vmtest *t)
{
	struct mote_err err = {0};
	int kvm = kvm_open(NULL, NULL);
	int vm = kvm < 0 ? -1 : kvm_create_vm(kvm, 1);
	int ret = vm < 0 ? -ENODEV : xive_offered(vm, &err);

	if (vm >= 0)
		close(vm);
	if (kvm >= 0)
		close(kvm);
	if (ret < 0)
		cr_skip_test("%s", err.msg);
	vmtest_init(t, "");
	t->cfg.vm.vcpus = 2;
	t->cfg.cpu.irq = CPU_IRQ_XIVE;
}

struct call {
	uint64_t nr, args[5];
	int64_t status;
	uint64_t out[4]; /* of those that succeed and answer */
};

static void make(struct vmtest *t, const struct call *c, size_t i)
{
	uint64_t args[BUS_HCALL_ARGS] = {0};
	int64_t status = 1;

	memcpy(args, c->args, sizeof(c->args));
	cr_assert(xive_hcall(&t->vm->arch, c->nr, args, &status));
	cr_expect_eq(status, c->status, "call %zu: %lld", i, (long long)status);
	for (int k = 0; k < 4 && status == 0 && c->nr != SET_SOURCE &&
			c->nr != SET_QUEUE && c->nr != SYNC && c->nr != RESET;
	     k++)
		if (c->out[k] || args[k] != c->args[k])
			cr_expect_eq(args[k], c->out[k], "call %zu, %d: %llx",
				     i, k, (unsigned long long)args[k]);
}

/* Both vCPUs' queues; source 1 sends 0x123 to vCPU 0. */
static const struct call setup[] = {
	{SET_QUEUE, {1, 0, 6, QUEUE, 16}, 0, {0}},
	{SET_QUEUE, {1, 1, 6, QUEUE + 0x10000, 16}, 0, {0}},
	{SET_SOURCE, {2, 1, 0, 6, 0x123}, 0, {0}},
	{SET_SOURCE, {2, 0, 1, 6, 0x122}, 0, {0}},
};

static const struct call calls[] = {
	{SOURCE_INFO,
	 {0, 1},
	 0,
	 {0, LAYOUT_XIVE_ESB + 0x30000, LAYOUT_XIVE_ESB + 0x20000, 16}},
	{SOURCE_INFO, {1, 1}, H_PARAMETER, {0}},
	{SOURCE_INFO, {0, 2}, H_P2, {0}},
	{GET_SOURCE, {0, 1}, 0, {0, 6, 0x123}},
	{GET_SOURCE, {1, 1}, H_PARAMETER, {0}},
	{GET_SOURCE, {0, UINT64_C(1) << 32}, H_P2, {0}},
	{SET_SOURCE, {4, 1, 0, 6, 0}, H_PARAMETER, {0}},
	{SET_SOURCE, {2, 2, 0, 6, 0}, H_P2, {0}},
	{SET_SOURCE, {2, 1, 2, 6, 0}, H_P3, {0}},
	{SET_SOURCE, {2, 1, 0, 7, 0}, H_P4, {0}},
	{SET_SOURCE, {2, 1, 0, 6, UINT64_C(1) << 31}, H_P5, {0}},
	/* No queue is there. */
	{SET_SOURCE, {2, 1, 0, 5, 1}, H_HARDWARE, {0}},
	{GET_SOURCE, {0, 1}, 0, {0, 6, 0x123}},
	{QUEUE_INFO, {0, 1, 6}, 0, {0, 0, 6}},
	{QUEUE_INFO, {1, 1, 6}, H_PARAMETER, {0}},
	{QUEUE_INFO, {0, 2, 6}, H_P2, {0}},
	{QUEUE_INFO, {0, 1, 0xff}, H_P3, {0}},
	{SET_QUEUE, {2, 0, 6, QUEUE, 16}, H_PARAMETER, {0}},
	{SET_QUEUE, {0, 0, 6, QUEUE, 16}, H_PARAMETER, {0}},
	{SET_QUEUE, {1, 2, 6, QUEUE, 16}, H_P2, {0}},
	{SET_QUEUE, {1, 0, 7, QUEUE, 16}, H_P3, {0}},
	{SET_QUEUE, {1, 0, 6, QUEUE + 8, 16}, H_P4, {0}},
	{SET_QUEUE, {1, 0, 6, VMTEST_MEMORY, 16}, H_P4, {0}},
	{SET_QUEUE, {1, 0, 6, LAYOUT_XIVE_ESB, 16}, H_P4, {0}},
	{SET_QUEUE, {1, 0, 6, UINT64_C(0xffffffffffff0000), 16}, H_P4, {0}},
	{SET_QUEUE, {1, 0, 6, QUEUE, 12}, H_P5, {0}},
	{GET_QUEUE, {1, 0, 6}, 0, {1, QUEUE, 16, UINT64_C(1) << 62}},
	{GET_QUEUE, {0, 0, 5}, 0, {0, 0, 0, 0}},
	{GET_QUEUE, {2, 0, 6}, H_PARAMETER, {0}},
	{GET_QUEUE, {0, 2, 6}, H_P2, {0}},
	{GET_QUEUE, {0, 0, 7}, H_P3, {0}},
	{SET_LINE, {0}, H_FUNCTION, {0}},
	/* It is off; on; what it was. */
	{ESB, {0, 1, 0x800}, 0, {1, 1, 0x800}},
	{ESB, {0, 1, 0xc00}, 0, {1, 1, 0xc00}},
	{ESB, {0, 1, 0x800}, 0, {0, 1, 0x800}},
	{ESB, {0, 1, 0xd00}, 0, {0, 1, 0xd00}},
	{ESB, {2, 1, 0x800}, H_PARAMETER, {0}},
	{ESB, {0, 2, 0x800}, H_P2, {0}},
	{ESB, {0, 1, 0x804}, H_P3, {0}},
	{ESB, {0, 1, 0x10000}, H_P3, {0}},
	{SYNC, {0, 1}, 0, {0}},
	{SYNC, {1, 1}, H_PARAMETER, {0}},
	{SYNC, {0, 2}, H_P2, {0}},
	{SET_SOURCE, {1, 1, 0, 0, 0}, 0, {0}},
	{GET_SOURCE, {0, 1}, 0, {0, 0xff, 0x123}},
	{SET_QUEUE, {1, 1, 6, 0, 0}, 0, {0}},
	{GET_QUEUE, {0, 1, 6}, 0, {0, 0, 0, 0}},
	{RESET, {1}, H_PARAMETER, {0}},
	{RESET, {0}, 0, {0}},
	{GET_SOURCE, {0, 0}, 0, {0, 0xff, 0}},
	{GET_QUEUE, {0, 0, 6}, 0, {0, 0, 0, 0}},
};

Test(ppc64_xive, every_call_gives_what_papr_says)
{
	struct vmtest t;

	init(&t);
	vmtest_build(&t, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
		make(&t, &setup[i], i);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		make(&t, &calls[i], i);
	vmtest_fini(&t);
}

Test(ppc64_xive, a_host_has_it_or_says_why_not)
{
	struct vmtest t;
	int ret;

	vmtest_init(&t, "");
	t.cfg.cpu.irq = CPU_IRQ_XIVE;
	ret = vmtest_try_start(&t, "hello");
	if (ret == 0) {
		vmtest_wait_end(&t);
		cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
		cr_expect_not_null(t.vm->arch.xive);
		cr_expect_lt(t.vm->arch.xics_fd, 0);
	} else {
		cr_expect_eq(ret, -ENOTSUP);
		cr_expect_not_null(strstr(t.err.msg, "cpu.irq: xive: "), "%s",
				   t.err.msg);
	}
	printf("  [info] XIVE: %s\n", ret == 0 ? "yes" : t.err.msg);
	vmtest_fini(&t);
}

Test(ppc64_xive, a_machine_with_xics_has_none_of_its_calls)
{
	uint64_t args[BUS_HCALL_ARGS] = {0};
	struct vmtest t;
	int64_t status;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	cr_expect(!xive_hcall(&t.vm->arch, SOURCE_INFO, args, &status));
	vmtest_fini(&t);
}

/* Raise source 1 and take it, as its vCPU would. */
static void raise_it(struct vmtest *t)
{
	volatile uint64_t *trigger =
		(volatile uint64_t *)(void *)((char *)t->vm->arch.xive->esb
						      .addr +
					      2 * host_page_size());

	*trigger = 0;
	cr_expect_eq(xive_get_pq(t->vm->arch.xive, 1), 2, "pending");
	xive_set_pq(t->vm->arch.xive, 1, 0);
	cr_expect_eq(xive_sync(t->vm->arch.xive, 1), 0);
}

static uint32_t entry(struct vmtest *t, uint32_t i)
{
	uint32_t val = 0;

	cr_assert_eq(guest_read(&t->vm->slots, QUEUE + i * sizeof(val), &val,
				sizeof(val)),
		     0);
	return be32toh(val);
}

/* No guest runs: the hardware alone writes into its RAM. */
Test(ppc64_xive, events_go_on_where_the_snapshot_left_them)
{
	struct vmtest_snapshot first, second;
	struct vmtest a, b;

	init(&a);
	vmtest_build(&a, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
		make(&a, &setup[i], i);
	xive_set_pq(a.vm->arch.xive, 1, 0);
	raise_it(&a);
	raise_it(&a);
	cr_expect_eq(entry(&a, 0), 0x80000123);
	cr_expect_eq(entry(&a, 1), 0x80000123);
	vmtest_save(&a, &first);
	/* It goes on after a save. */
	raise_it(&a);
	cr_expect_eq(entry(&a, 2), 0x80000123);
	vmtest_fini(&a);

	init(&b);
	b.cfg.cpu.irq = CPU_IRQ_XICS; /* the snapshot's counts */
	vmtest_load(&b, &first);
	cr_assert_not_null(b.vm->arch.xive);
	b.cfg.cpu.irq = CPU_IRQ_XIVE;
	cr_expect_eq(entry(&b, 1), 0x80000123);
	cr_expect_eq(entry(&b, 2), 0);
	vmtest_save(&b, &second);
	vmtest_expect_same(&first, &second);
	raise_it(&b);
	cr_expect_eq(entry(&b, 2), 0x80000123);
	vmtest_fini(&b);
	vmtest_remove(&first);
	vmtest_remove(&second);
}

/*
 * KVM's log, switched on by the first save, knows nothing of what hardware
 * writes but what a save has marked.
 */
Test(ppc64_xive, a_diff_has_the_events_since)
{
	struct vmtest_snapshot whole, diff;
	struct vmtest a, b;

	init(&a);
	a.cfg.memory.dirty_tracking = DIRTY_BITMAP;
	vmtest_build(&a, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
		make(&a, &setup[i], i);
	xive_set_pq(a.vm->arch.xive, 1, 0);
	raise_it(&a);
	vmtest_save(&a, &whole);
	raise_it(&a);
	vmtest_save_diff(&a, &diff, true);
	vmtest_fini(&a);

	init(&b);
	vmtest_load(&b, &diff);
	cr_expect_eq(entry(&b, 0), 0x80000123);
	cr_expect_eq(entry(&b, 1), 0x80000123);
	raise_it(&b);
	cr_expect_eq(entry(&b, 2), 0x80000123);
	vmtest_fini(&b);
	vmtest_remove(&diff);
	vmtest_remove(&whole);
}

/* KVM takes hold of the queues' pages: they must be the guest's already. */
Test(ppc64_xive, it_is_restored_into_memory_of_every_kind_and_rewound)
{
	static const enum restore_memory kinds[] = {RESTORE_COW, RESTORE_COPY,
						    RESTORE_UFFD};
	struct vmtest_snapshot snap;
	struct rewind *r = NULL;
	struct vmtest a, b;

	init(&a);
	vmtest_build(&a, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
		make(&a, &setup[i], i);
	xive_set_pq(a.vm->arch.xive, 1, 0);
	raise_it(&a);
	vmtest_save(&a, &snap);
	vmtest_fini(&a);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		init(&b);
		b.cfg.restore.memory = kinds[i];
		vmtest_load(&b, &snap);
		cr_expect_eq(entry(&b, 0), 0x80000123, "kind %zu", i);
		raise_it(&b);
		cr_expect_eq(entry(&b, 1), 0x80000123, "kind %zu", i);
		vmtest_fini(&b);
	}

	init(&b);
	b.cfg.restore.memory = RESTORE_COW;
	vmtest_load(&b, &snap);
	cr_assert_eq(rewind_init(&r, b.vm, b.from, &b.err), 0, "%s", b.err.msg);
	cr_assert_eq(vm_start(b.vm, true, &b.err), 0, "%s", b.err.msg);
	for (int i = 0; i < 3; i++) {
		raise_it(&b);
		raise_it(&b);
		cr_expect_eq(entry(&b, 2), 0x80000123);
		cr_assert_eq(rewind_vm(r, NULL, &b.err), 0, "%s", b.err.msg);
		cr_expect_eq(entry(&b, 0), 0x80000123);
		cr_expect_eq(entry(&b, 1), 0, "it is as it was");
	}
	vmtest_fini(&b);
	rewind_fini(r);
	vmtest_remove(&snap);
}

/* A damaged byte anywhere: refused, or another sound state; no crash. */
Test(ppc64_xive, what_cannot_be_loaded_is_refused_by_name)
{
	struct arch_vm none = {.vm_fd = -1, .xics_fd = -1};
	struct snap_reader r;
	struct snap_writer w;
	struct vmtest t;
	size_t refused = 0, body;
	struct snap_section s;

	cr_expect_eq(xive_create(&none, 2, &t.err), -ENOTSUP);
	cr_expect_not_null(strstr(t.err.msg, "cpu.irq: xive"), "%s", t.err.msg);
	cr_expect_null(none.xive);

	init(&t);
	vmtest_build(&t, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
		make(&t, &setup[i], i);
	snap_writer_init(&w);
	cr_assert_eq(xive_save(&t.vm->arch, &w, &t.err), 0, "%s", t.err.msg);
	cr_assert_eq(snap_writer_finish(&w, NULL), 0);
	cr_assert_eq(snap_reader_init(&r, w.buf, w.len, NULL), 0);
	cr_expect_eq(xive_load(&t.vm->arch, &r, &t.err), 0, "%s", t.err.msg);
	cr_assert(snap_section_find(&r, XIVE_SECTION, 0, &s));
	body = 4 + 2 * 10 + 2 * (8 + 7 + 16);
	cr_expect_geq(w.len, body);
	/* Sources, servers, queues: each field of it, one at a time. */
	for (size_t i = 0; i < body; i++) {
		uint8_t *at = (uint8_t *)s.data + i;

		*at ^= 0xff;
		t.err.msg[0] = 0;
		if (xive_load(&t.vm->arch, &r, &t.err) < 0) {
			refused++;
			cr_expect_not_null(strstr(t.err.msg, XIVE_SECTION),
					   "byte %zu: %s", i, t.err.msg);
		}
		*at ^= 0xff;
	}
	printf("  [info] %zu of %zu damaged bytes refused\n", refused, body);
	cr_expect_gt(refused, 40);
	cr_expect_eq(xive_load(&t.vm->arch, &r, &t.err), 0, "%s", t.err.msg);
	snap_writer_fini(&w);
	vmtest_fini(&t);
}
