/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ring.c - dirty rings and the log that is cleared by hand, with a KVM
 * that fails, and rings that hold what KVM would never write.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/num.h"
#include "fake/fake_kvm.h"
#include "fake/fakevm.h"
#include "memory/guestmem.h"
#include "memory/ring.h"

#define ENTRIES (RING_BYTES / sizeof(struct kvm_dirty_gfn))
#define WORDS	(FAKEVM_MEMORY / 4096 / 64 + 1)

static void init(struct fakevm *f, uint32_t vcpus, enum dirty_tracking how)
{
	fakevm_init(f, vcpus);
	f->cfg.memory.dirty_tracking = how;
	if (how == DIRTY_RING) {
		fake_kvm_set_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20);
		fake_kvm_set_cap(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 1);
	} else {
		fake_kvm_set_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				 KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
					 KVM_DIRTY_LOG_INITIALLY_SET);
	}
}

/* A machine that stands, whose reference is this moment. */
static void up(struct fakevm *f, uint32_t vcpus, enum dirty_tracking how)
{
	init(f, vcpus, how);
	fakevm_start(f, true);
	cr_assert_eq(track_mark(&f->vm->track, NULL, &f->err), 0, "%s",
		     f->err.msg);
	track_end(&f->vm->track, true);
}

/* As KVM does: what it is of, then the flag. */
static void push(struct fakevm *f, int vcpu, uint64_t i, uint32_t slot,
		 uint64_t page)
{
	struct kvm_dirty_gfn g = {
		.flags = KVM_DIRTY_GFN_F_DIRTY,
		.slot = slot,
		.offset = page,
	};

	cr_assert_eq(pwrite(f->vm->vcpu[vcpu]->fd, &g, sizeof(g),
			    (off_t)(64 * host_page_size() +
				    i % ENTRIES * sizeof(g))),
		     sizeof(g));
}

/* Pages that are told, or -errno. */
static int told(struct fakevm *f, uint64_t *bits)
{
	int ret;

	memset(bits, 0, WORDS * sizeof(*bits));
	ret = track_again(&f->vm->track, bits, &f->err);
	return ret < 0 ? ret : (int)bitmap_count(bits, WORDS * 64);
}

Test(ring, entries_of_every_vcpu_and_the_log_are_told_once)
{
	uint64_t bits[WORDS];
	struct fakevm f;

	up(&f, 3, DIRTY_RING);
	push(&f, 0, 0, 0, 5);
	push(&f, 0, 1, 0, 1023);
	push(&f, 2, 0, 0, 5);
	push(&f, 2, 1, 0, 77);
	push(&f, 2, 3, 0, 78);	       /* behind one that is not there yet */
	fake_kvm_slot(0)->dirty = 0x2; /* KVM wrote it without a vCPU */
	cr_expect_eq(told(&f, bits), 4, "%s", f.err.msg);
	cr_expect(bitmap_test(bits, 1) && bitmap_test(bits, 5) &&
		  bitmap_test(bits, 77) && bitmap_test(bits, 1023));
	cr_expect_eq(told(&f, bits), 0);
	push(&f, 2, 2, 0, 9);
	cr_expect_eq(told(&f, bits), 2);
	cr_expect(bitmap_test(bits, 9) && bitmap_test(bits, 78));
	fakevm_fini(&f);
}

Test(ring, of_an_unplugged_vcpu_what_it_wrote_is_told)
{
	uint64_t bits[WORDS];
	struct fakevm f;

	up(&f, 2, DIRTY_RING);
	push(&f, 1, 0, 0, 6);
	cr_assert_eq(vm_vcpu_unplug(f.vm, 1, &f.err), 0, "%s", f.err.msg);
	cr_expect_eq(told(&f, bits), 1);
	cr_expect(bitmap_test(bits, 6));
	fakevm_fini(&f);
}

/* One that is full all over is emptied once, not for ever. */
Test(ring, a_full_one_goes_round)
{
	uint64_t bits[WORDS];
	struct fakevm f;

	up(&f, 1, DIRTY_RING);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < ENTRIES; i++)
			push(&f, 0, i, 0, i % 1000);
		cr_expect_eq(told(&f, bits), 1000, "round %d", round);
		cr_expect_eq(told(&f, bits), 0);
	}
	fakevm_fini(&f);
}

Test(ring, a_page_that_is_no_ram_marks_nothing_and_ends_the_tracking)
{
	static const struct {
		uint32_t slot;
		uint64_t page;
	} bad[] = {
		{0, FAKEVM_MEMORY / 4096},
		{0, UINT64_MAX},
		{0, UINT64_C(1) << 52},
		{1, 0},
		{MEMSLOT_MAX, 0},
		{UINT32_MAX, 0},
		{1 << 16, 3}, /* another address space */
	};
	uint64_t bits[WORDS];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fakevm f;

		up(&f, 1, DIRTY_RING);
		push(&f, 0, 0, bad[i].slot, bad[i].page);
		cr_expect_eq(told(&f, bits), -EIO, "%zu", i);
		cr_expect_not_null(strstr(f.err.msg, "no RAM"), "%s",
				   f.err.msg);
		cr_expect_eq(told(&f, bits), -EIO, "for good");
		cr_expect_eq(track_count(&f.vm->track), -1);
		fakevm_fini(&f);
	}
}

Test(ring, a_reset_that_fails_is_told_and_loses_nothing)
{
	uint64_t bits[WORDS];
	struct fakevm f;

	up(&f, 1, DIRTY_RING);
	push(&f, 0, 0, 0, 5);
	fake_kvm_fail_next(KVM_RESET_DIRTY_RINGS, EIO);
	cr_expect_eq(told(&f, bits), -EIO);
	cr_expect_not_null(strstr(f.err.msg, "KVM_RESET_DIRTY_RINGS"), "%s",
			   f.err.msg);
	fake_kvm_fail_next(KVM_RESET_DIRTY_RINGS, EIO);
	cr_expect_eq(told(&f, bits), -EIO, "it is still to be done");
	cr_expect_eq(told(&f, bits), 1);
	cr_expect(bitmap_test(bits, 5));
	fakevm_fini(&f);
}

/* The vCPU would wait for ever. */
Test(ring, a_full_one_that_can_not_be_emptied_ends_the_guest)
{
	struct fake_exit e = {.run.exit_reason = KVM_EXIT_DIRTY_RING_FULL};
	struct fakevm f;

	init(&f, 1, DIRTY_RING);
	fake_kvm_repeat(&e);
	fakevm_start(&f, true);
	push(&f, 0, 0, 0, 5);
	fake_kvm_fail_next(KVM_RESET_DIRTY_RINGS, EIO);
	cr_assert_eq(vm_resume(f.vm, &f.err), 0, "%s", f.err.msg);
	cr_assert(fakevm_wait_end(&f));
	cr_expect_eq(f.vm->end, VM_END_CRASH);
	cr_expect_not_null(strstr(f.vm->err.msg, "KVM_RESET_DIRTY_RINGS"), "%s",
			   f.vm->err.msg);
	fakevm_fini(&f);
}

Test(ring, a_vcpu_that_waits_for_it_parks_and_ends, .timeout = 30)
{
	struct fake_exit e = {.run.exit_reason = KVM_EXIT_DIRTY_RING_FULL};
	struct fakevm f;

	init(&f, 2, DIRTY_RING);
	fake_kvm_repeat(&e);
	fakevm_start(&f, false);
	for (int i = 0; i < 200; i++) {
		cr_assert_eq(vm_pause(f.vm, &f.err), 0, "%s", f.err.msg);
		cr_assert_eq(vm_resume(f.vm, &f.err), 0, "%s", f.err.msg);
	}
	vm_kill(f.vm);
	fakevm_fini(&f);
}

Test(ring, a_kvm_without_one_is_told_by_name)
{
	struct fakevm f;

	init(&f, 1, DIRTY_RING);
	fake_kvm_set_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0);
	cr_expect_eq(fakevm_up(&f, true), -ENOTSUP);
	cr_expect_not_null(strstr(f.err.msg, "no dirty ring"), "%s", f.err.msg);
	cr_expect_eq(err_exit_code(&f.err), ERR_CLASS_UNAVAILABLE);
	fakevm_fini(&f);
	init(&f, 1, DIRTY_RING);
	fake_kvm_set_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0);
	fake_kvm_set_cap(KVM_CAP_DIRTY_LOG_RING, 4096);
	cr_assert_eq(fakevm_up(&f, true), 0, "%s", f.err.msg);
	cr_expect_eq(f.vm->slots.rings->entries, 256, "what KVM has at most");
	fakevm_fini(&f);
}

static void every_call_fails_once(enum dirty_tracking how)
{
	struct live before;
	unsigned int calls;
	struct fakevm f;

	init(&f, 2, how);
	fakevm_start(&f, true);
	calls = fake_kvm_calls();
	fakevm_fini(&f);
	before = live_now();
	for (unsigned int n = 1; n <= calls; n++) {
		char when[64];
		int ret;

		init(&f, 2, how);
		fake_kvm_fail_nth(n, EIO);
		ret = fakevm_up(&f, true);
		snprintf(when, sizeof(when), "call %u, request 0x%lx", n,
			 fake_kvm_failed());
		/* The absence of a capability may be fine. */
		if (fake_kvm_failed() != KVM_CHECK_EXTENSION)
			cr_expect_eq(ret, -EIO, "%s", when);
		fakevm_fini(&f);
		expect_live(&before, when);
	}
}

Test(ring, every_kvm_call_of_a_start_fails_once_and_nothing_is_left)
{
	every_call_fails_once(DIRTY_RING);
	every_call_fails_once(DIRTY_BITMAP);
}

Test(ring, a_log_is_cleared_of_what_was_read)
{
	uint64_t bits[WORDS];
	struct fakevm f;
	unsigned int n;

	up(&f, 1, DIRTY_BITMAP);
	n = fake_kvm_slot(0)->clears;
	cr_expect_eq(told(&f, bits), 0);
	cr_expect_eq(fake_kvm_slot(0)->clears, n, "there was nothing to clear");
	fake_kvm_slot(0)->dirty = 0x11;
	cr_expect_eq(told(&f, bits), 2);
	cr_expect_eq(fake_kvm_slot(0)->clears, n + 1);
	cr_expect_eq(told(&f, bits), 0);
	fake_kvm_slot(0)->dirty = 0x22;
	fake_kvm_fail_next(KVM_CLEAR_DIRTY_LOG, EIO);
	cr_expect_eq(told(&f, bits), -EIO);
	cr_expect_not_null(strstr(f.err.msg, "slot 0: KVM_CLEAR_DIRTY_LOG"),
			   "%s", f.err.msg);
	cr_expect_eq(told(&f, bits), 2);
	fakevm_fini(&f);
}
