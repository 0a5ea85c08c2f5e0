/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_track.c - memory.dirty_tracking: each way names the pages that were
 * written and no other, while the guest runs and when it stands.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "memory/ring.h"
#include "snapshot/rewind.h"

#define STEP	4096u /* guests/touch */
#define FROM	(UINT64_C(8) << 20)
#define MEMORY	(UINT64_C(24) << 20)
#define STEPS	((MEMORY - FROM) / STEP)
#define ORDERS	100
#define FEWER	40  /* where instructions are emulated */
#define AT_ONCE 400 /* pages of one order: the box is a page */
#define TIMEOUT 300

static const enum dirty_tracking both[] = {DIRTY_BITMAP, DIRTY_RING};

static bool has_ring(void)
{
	cleanup_fd int fd = kvm_open(NULL, NULL);

	return fd >= 0 &&
	       kvm_check_extension(fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL) > 0;
}

static void need_ring(void)
{
	if (!has_ring())
		cr_skip_test("no KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
}

/* Are the two tests' worth of it there?  The bitmap is everywhere. */
static bool have(enum dirty_tracking how)
{
	return how != DIRTY_RING || has_ring();
}

static void init(struct vmtest *t, const char *args, enum dirty_tracking how)
{
	vmtest_init(t, args);
	t->cfg.vm.memory = MEMORY;
	t->cfg.memory.dirty_tracking = how;
}

/* A guest that waits to be a new generation. */
static void make_base(struct vmtest_snapshot *s, const char *args,
		      uint64_t memory)
{
	struct vmtest t;

	init(&t, args, DIRTY_AUTO);
	t.cfg.vm.memory = memory;
	vmtest_start(&t, "touch");
	while (!t.vm->ready)
		vmtest_turn(&t);
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vmtest_save(&t, s);
	vmtest_fini(&t);
}

static void go(struct vmtest *t)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

static void stand(struct vmtest *t)
{
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
}

static void resume(struct vmtest *t)
{
	cr_assert_eq(vm_resume(t->vm, &t->err), 0, "%s", t->err.msg);
}

static char *ram_at(const struct vmtest *t, uint64_t step)
{
	return (char *)t->vm->slots.slot[0].ram.addr + FROM + step * STEP;
}

/* --- orders, each of which names pages -------------------------------------
 */

static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* Bits of what an order is to write, as host pages of all RAM. */
static void order(struct vmtest *t, uint64_t n, uint64_t *want)
{
	volatile uint64_t *box = (void *)ram_at(t, 0);
	uint64_t page = host_page_size(), first = draw(STEPS - AT_ONCE);
	bool run = draw(4) == 0;

	bitmap_set(want, FROM / page);
	box[1] = draw(AT_ONCE);
	for (uint64_t i = 0; i < box[1]; i++) {
		uint64_t step = run ? first + i : draw(STEPS);

		step = step ? step : 1;
		box[3 + i] = step;
		bitmap_set(want, (FROM + step * STEP) / page);
	}
	__atomic_store_n(&box[0], n, __ATOMIC_SEQ_CST);
}

static bool done(const struct vmtest *t, uint64_t n)
{
	volatile uint64_t *box = (void *)ram_at(t, 0);

	return __atomic_load_n(&box[2], __ATOMIC_SEQ_CST) == n;
}

/* What lies before FROM is the guest's stack and tables: not asked. */
static void expect_pages(const uint64_t *got, const uint64_t *want,
			 uint64_t from, const char *how)
{
	uint64_t page = host_page_size();

	for (uint64_t i = from / page; i < MEMORY / page; i++)
		cr_assert_eq(bitmap_test(got, i), bitmap_test(want, i),
			     "%s: page 0x%llx is %stold", how,
			     (unsigned long long)(i * page),
			     bitmap_test(got, i) ? "" : "not ");
}

/* One order: harvests while it is carried out, and one when all stand. */
static void one_order(struct vmtest *t, uint64_t n, const char *how)
{
	struct track *track = &t->vm->track;
	cleanup_free uint64_t *got = track_bits(track);
	cleanup_free uint64_t *want = track_bits(track);
	uint64_t own = draw(STEPS - 1) + 1, gpa;
	bool busy = draw(2);

	gpa = t->vm->slots.slot[0].gpa + FROM + own * STEP;
	order(t, n, want);
	resume(t);
	while (!done(t, n)) {
		vm_dispatch(t->vm);
		if (busy)
			cr_assert_eq(track_again(track, got, &t->err), 0, "%s",
				     t->err.msg);
	}
	/* KVM sees nothing of that. */
	cr_assert_eq(guest_write(&t->vm->slots, gpa, "mote", 4), 0);
	bitmap_set(want, (FROM + own * STEP) / host_page_size());
	stand(t);
	cr_assert_eq(track_again(track, got, &t->err), 0, "%s", t->err.msg);
	expect_pages(got, want, FROM, how);
	memset(got, 0, bitmap_words(track_pages(track)) * sizeof(*got));
	cr_assert_eq(track_again(track, got, &t->err), 0, "%s", t->err.msg);
	cr_assert_eq(bitmap_count(got, track_pages(track)), 0, "%s: %d again",
		     how, (int)bitmap_count(got, track_pages(track)));
}

static void take_orders(const struct vmtest_snapshot *base,
			enum dirty_tracking how, enum restore_memory memory)
{
	const char *name = how == DIRTY_RING ? "ring" : "bitmap";
	bool few = getenv("MOTE_LAB") && !getenv("MOTE_LONG");
	uint64_t orders = few ? FEWER : ORDERS;
	struct vmtest t;

	seed = 88172645463325252u;
	init(&t, "", how);
	t.cfg.restore.memory = memory;
	vmtest_load(&t, base);
	cr_assert_eq(t.vm->track.mode, TRACK_LOG, "it begins with the load");
	go(&t);
	stand(&t);
	for (uint64_t n = 1; n <= orders; n++)
		one_order(&t, n, name);
	vmtest_fini(&t);
}

Test(vm_track, bitmap_and_ring_name_what_was_written_and_no_more,
     .timeout = TIMEOUT)
{
	struct vmtest_snapshot base;

	make_base(&base, "from=8 box=1", MEMORY);
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		if (!have(both[i]))
			continue;
		take_orders(&base, both[i], RESTORE_COW);
		take_orders(&base, both[i], RESTORE_COPY);
	}
	vmtest_remove(&base);
}

/* --- a ring that is full ----------------------------------------------------
 */

#define MANY	    9000u /* pages of 4 KiB: twice what a ring holds */
#define MANY_MEMORY (UINT64_C(48) << 20)

static void start_many(struct vmtest *t, const struct vmtest_snapshot *base)
{
	init(t, "", DIRTY_RING);
	t->cfg.vm.memory = MANY_MEMORY;
	vmtest_load(t, base);
	go(t);
}

static void expect_many(struct vmtest *t)
{
	cleanup_free uint64_t *got = track_bits(&t->vm->track);
	uint64_t page = host_page_size();

	cr_assert_eq(track_mark(&t->vm->track, got, &t->err), 0, "%s",
		     t->err.msg);
	for (uint64_t i = 0; i < MANY; i++)
		cr_assert(bitmap_test(got, (FROM + i * STEP) / page),
			  "page %d is lost", (int)i);
	for (uint64_t i = (FROM + MANY * STEP) / page + 1;
	     i < MANY_MEMORY / page; i++)
		cr_assert_not(bitmap_test(got, i));
	track_end(&t->vm->track, true);
}

static bool waits(const struct vmtest *t)
{
	return atomic_load(&t->vm->vcpu[0]->exits[VCPU_EXIT_OTHER]) > 0;
}

Test(vm_ring, a_full_ring_is_emptied_and_loses_nothing, .timeout = TIMEOUT)
{
	bool fills = MANY * STEP / host_page_size() > RING_BYTES / 16;
	struct vmtest_snapshot base;
	struct vmtest t;

	need_ring();
	make_base(&base, "from=8 pages=9000", MANY_MEMORY);
	start_many(&t, &base);
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_eq(waits(&t), fills);
	expect_many(&t);
	vmtest_fini(&t);

	/* A pause does not wait for who would empty it; a save does that. */
	start_many(&t, &base);
	while (fills && !waits(&t))
		usleep(100);
	if (fills) {
		stand(&t);
		cr_expect_gt(track_count(&t.vm->track), 0);
		resume(&t);
	}
	vmtest_wait_end(&t);
	expect_many(&t);
	vmtest_fini(&t);
	vmtest_remove(&base);
}

/* Nobody empties it, and the machine is taken down all the same. */
Test(vm_ring, a_vcpu_that_waits_for_its_ring_can_be_ended, .timeout = TIMEOUT)
{
	struct vmtest_snapshot base;
	struct vmtest t;

	need_ring();
	make_base(&base, "from=8 pages=9000", MANY_MEMORY);
	start_many(&t, &base);
	usleep(50000);
	vm_kill(t.vm);
	vmtest_fini(&t);
	vmtest_remove(&base);
}

/* --- private
 * ------------------------------------------------------------------
 */

static int try_diff(struct vmtest *t)
{
	cleanup_free uint64_t *bits = track_bits(&t->vm->track);
	int ret = track_mark(&t->vm->track, bits, &t->err);

	track_end(&t->vm->track, false);
	return ret;
}

Test(vm_track, private_knows_one_reference_and_says_so, .timeout = TIMEOUT)
{
	struct vmtest_snapshot base, diff;
	struct mote_err err = {0};
	struct rewind *r;
	struct vmtest t;

	make_base(&base, "from=8 box=1", MEMORY);
	init(&t, "", DIRTY_PRIVATE);
	vmtest_load(&t, &base);
	cr_assert_eq(rewind_init(&r, t.vm, t.from, &err), 0, "%s", err.msg);
	go(&t);
	vmtest_save_live(&t, &diff, true, false); /* in the pause, no log */
	cr_expect_not(t.vm->track.logging);
	vmtest_remove(&diff);
	vmtest_save_live(&t, &diff, true, true);
	cr_expect_gt(t.vm->snapshots.last.pages, 0);
	stand(&t);
	cr_expect_eq(track_count(&t.vm->track), -1);
	cr_expect_eq(try_diff(&t), -EINVAL);
	cr_expect_not_null(strstr(t.err.msg, "dirty_tracking=private"), "%s",
			   t.err.msg);
	cr_assert_eq(rewind_vm(r, NULL, &err), 0, "%s", err.msg);
	cr_expect_eq(try_diff(&t), 0, "%s", t.err.msg);
	vmtest_fini(&t);
	rewind_fini(r);
	vmtest_remove(&diff);
	vmtest_remove(&base);
}

static uint64_t word(const struct vmtest *t, uint64_t step)
{
	return __atomic_load_n((uint64_t *)(ram_at(t, step) + 8),
			       __ATOMIC_RELAXED);
}

/*
 * Without a log nothing follows what the guest writes while it is saved: all
 * of it is found in the pause.  Page after page, so before some page they are
 * one ahead of those from there on.
 */
Test(vm_track, private_is_of_one_moment_too, .timeout = TIMEOUT)
{
	struct vmtest_snapshot base, diff;
	int steps, rounds = 10;
	struct vmtest t;

	make_base(&base, "from=8 pages=4000 rounds=1000000000", MEMORY);
	for (int i = 0; i < rounds; i++) {
		init(&t, "", DIRTY_PRIVATE);
		vmtest_load(&t, &base);
		go(&t);
		while (!word(&t, 100 + (uint64_t)i * 300))
			;
		vmtest_save_live(&t, &diff, true, true);
		vmtest_fini(&t);
		init(&t, "", DIRTY_PRIVATE);
		vmtest_load(&t, &diff);
		go(&t); /* from where its registers say, past the last page */
		while (word(&t, 0) < 3)
			;
		stand(&t);
		steps = 0;
		for (uint64_t k = 1; k < 4000; k++)
			steps += word(&t, k) != word(&t, k - 1);
		cr_expect_leq(steps, 1, "round %d: %d steps", i, steps);
		vmtest_fini(&t);
		vmtest_remove(&diff);
	}
	vmtest_remove(&base);
}

/* --- what the rest relies on ------------------------------------------------
 */

struct bare {
	int kvm_fd;
	struct memslot_table slots;
};

static void bare_init(struct bare *b)
{
	b->kvm_fd = kvm_open(NULL, NULL);
	if (b->kvm_fd < 0)
		cr_skip_test("no KVM here");
	memslot_init(&b->slots, kvm_create_vm(b->kvm_fd, 0));
	cr_assert_geq(b->slots.vm_fd, 0);
}

static void bare_fini(struct bare *b)
{
	ring_fini(&b->slots);
	memslot_fini(&b->slots);
	fd_close(b->slots.vm_fd);
	fd_close(b->kvm_fd);
}

Test(vm_track, a_log_is_cleared_by_whole_words_and_no_others)
{
	const uint64_t args[4] = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE};
	uint64_t bits[32] = {0}, page = host_page_size();
	struct bare b;

	bare_init(&b);
	if (kvm_enable_cap(b.slots.vm_fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			   args) < 0) {
		cr_expect_eq(
			kvm_check_extension(b.kvm_fd,
					    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
			0);
		bare_fini(&b);
		return; /* ppc64le: reading clears */
	}
	cr_assert_eq(memslot_add(&b.slots, GIB, 199 * page, NULL), 0);
	cr_expect_eq(kvm_clear_dirty_log(b.slots.vm_fd, 0, 0, 64, bits),
		     -ENOENT, "it is not on");
	cr_assert_eq(memslot_log_dirty(&b.slots, true, NULL), 0);
	/* KVM_DIRTY_LOG_INITIALLY_SET is what we do not ask for. */
	cr_expect_eq(kvm_get_dirty_log(b.slots.vm_fd, 0, bits), 0);
	cr_expect_eq(bitmap_count(bits, 199), 0);
	cr_expect_eq(kvm_clear_dirty_log(b.slots.vm_fd, 0, 0, 64, bits), 0);
	cr_expect_eq(kvm_clear_dirty_log(b.slots.vm_fd, 0, 0, 65, bits),
		     -EINVAL);
	cr_expect_eq(kvm_clear_dirty_log(b.slots.vm_fd, 0, 1, 64, bits),
		     -EINVAL);
	cr_expect_eq(kvm_clear_dirty_log(b.slots.vm_fd, 0, 64, 135, bits), 0,
		     "the slot's end");
	cr_expect_eq(kvm_clear_dirty_log(b.slots.vm_fd, 0, 64, 192, bits),
		     -EINVAL, "past it");
	bare_fini(&b);
}

Test(vm_ring, rings_come_before_slots_and_vcpus)
{
	const uint64_t args[4] = {RING_BYTES};
	uint64_t bits[32] = {0}, page = host_page_size();
	struct mote_err err = {0};
	bool with_bitmap;
	struct bare b;
	int fd;

	need_ring();
	bare_init(&b);
	cr_assert_eq(ring_enable(&b.slots, &err), 0, "%s", err.msg);
	cr_expect_eq(b.slots.rings->entries, RING_BYTES / 16);
	cr_expect_eq(kvm_enable_cap(b.slots.vm_fd,
				    KVM_CAP_DIRTY_LOG_RING_ACQ_REL, args),
		     -EINVAL, "it is enabled once");
	with_bitmap = b.slots.rings->bitmap;
	cr_assert_eq(memslot_add(&b.slots, GIB, 199 * page, NULL), 0);
	cr_assert_eq(memslot_log_dirty(&b.slots, true, NULL), 0);
	/* Without the bitmap there is no log beside the rings. */
	cr_expect_eq(kvm_get_dirty_log(b.slots.vm_fd, 0, bits),
		     with_bitmap ? 0 : -ENXIO);
	cr_expect_eq(kvm_enable_cap(b.slots.vm_fd,
				    KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, NULL),
		     -EINVAL, "after a slot, or not there at all");
	cr_expect_eq(kvm_reset_dirty_rings(b.slots.vm_fd), 0);
	bare_fini(&b);

	bare_init(&b);
	cr_expect_eq(kvm_reset_dirty_rings(b.slots.vm_fd), -EINVAL);
	fd = kvm_create_vcpu(b.slots.vm_fd, 0);
	cr_assert_geq(fd, 0);
	cr_expect_eq(ring_enable(&b.slots, &err), -EINVAL, "after a vCPU");
	cr_expect_not_null(strstr(err.msg, "memory.dirty_tracking: ring: "),
			   "%s", err.msg);
	cr_expect_null(b.slots.rings);
	fd_close(fd);
	bare_fini(&b);
}

Test(vm_track, a_host_without_rings_is_told_by_name)
{
	struct mote_err err = {0};
	struct bare b;

	if (has_ring())
		return;
	bare_init(&b);
	cr_expect_eq(ring_enable(&b.slots, &err), -ENOTSUP);
	cr_expect_not_null(strstr(err.msg, "no dirty ring"), "%s", err.msg);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_UNAVAILABLE);
	bare_fini(&b);
}
