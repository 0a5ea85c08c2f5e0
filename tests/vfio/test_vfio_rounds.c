/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_rounds.c - a guest, the VMM and a device write the same RAM, and
 * each diff holds what all of them wrote: restored, memory is the same.
 *
 * The device is lab/vfio/pin, which type1 logs page by page: what it wrote by
 * the way, what it holds and writes without a word, what it let go.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/stress.h"
#include "devices/vfio/dirty.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "vfio/labdev.h"

#define FIRST	 (UINT64_C(8) << 20) /* what the guest leaves alone */
#define PAGES	 2048
#define PAGE	 UINT64_C(4096)
#define EACH	 24 /* writes between two snapshots */
#define HELD	 16 /* held pages that it goes on to write */
#define PER_FULL 8  /* diffs to a full one */

static struct vmtest t;
static struct vfio_space space;
static struct vfio_dev pin;
static uint64_t seed = 88172645463325252u;
static uint64_t held[HELD];
static long writes, holds, drops;

static uint64_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return FIRST + seed % PAGES * PAGE;
}

static int add_pin(void *opaque, struct dirty_tracker *log,
		   struct mote_err *err)
{
	return vfio_dirty_add(opaque, log, err);
}

static void begin(char name[64])
{
	int group = lab_mdev_group(PIN_TYPE, name);

	if (group < 0)
		cr_skip_test("no mediated device that pins");
	vmtest_init(&t, "step_ms=1");
	t.cfg.memory.dirty_tracking = DIRTY_BITMAP;
	vmtest_build(&t, "counter");
	cr_assert_eq(
		vfio_space_open_type1(&space, lab_container(), group, &t.err),
		0, "%s", t.err.msg);
	cr_assert_eq(vfio_dev_open(&pin, group, name, &t.err), 0);
	cr_assert_eq(vfio_space_add(&space, &pin, &t.err), 0);
	cr_assert_eq(vfio_space_map(&space, &t.vm->slots, &t.err), 0, "%s",
		     t.err.msg);
	t.vm->track.more = add_pin;
	t.vm->track.more_opaque = &space;
	cr_assert_eq(vm_start(t.vm, false, &t.err), 0, "%s", t.err.msg);
}

/* One write of the device's or of ours, to a page of any. */
static void write_one(void)
{
	uint64_t at = any(), val = seed;

	switch (seed % 6) {
	case 0:
		cr_assert_eq(guest_write(&t.vm->slots, at + 64, &val, 8), 0);
		break;
	case 1:
	case 2:
		writes += pin_do(&pin, PIN_WRITE, at, 1);
		break;
	case 3:
		writes += pin_do(&pin, PIN_TOUCH, at, 1);
		break;
	case 4: /* what it holds already it can't hold again */
		if (pin_do(&pin, PIN_HOLD, at, 1) == 1)
			held[holds++ % HELD] = at;
		for (int i = 0; i < HELD; i++)
			if (held[i])
				pin_do(&pin, PIN_STORE, held[i], 1);
		break;
	default:
		at = held[seed / 8 % HELD];
		drops += at && pin_do(&pin, PIN_DROP, at, 1) == 1;
		break;
	}
}

static void expect_same_memory(const struct vmtest_snapshot *s, long round)
{
	struct vmtest b;
	size_t size = t.vm->slots.slot[0].ram.size;

	vmtest_init(&b, "");
	vmtest_load(&b, s);
	cr_assert_eq(memcmp(b.vm->slots.slot[0].ram.addr,
			    t.vm->slots.slot[0].ram.addr, size),
		     0, "round %ld: restored memory differs", round);
	vmtest_fini(&b);
}

Test(vfio_rounds, a_diff_holds_what_guest_vmm_and_device_wrote, .timeout = 900)
{
	struct vmtest_snapshot s[PER_FULL + 1];
	long rounds = stress_count(24, 100);
	char name[64];
	int n = 0;

	begin(name);
	for (long i = 0; i < rounds; i++) {
		for (int k = 0; k < EACH; k++) {
			write_one();
			vmtest_turn(&t);
		}
		cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
		if (n == 0)
			vmtest_save(&t, &s[n]);
		else
			vmtest_save_diff(&t, &s[n], true);
		expect_same_memory(&s[n], i);
		for (n++; n > PER_FULL; n = 0)
			for (int k = 0; k < n; k++)
				vmtest_remove(&s[k]);
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	}
	printf("[info] %ld rounds: %ld written, %ld held, %ld dropped\n",
	       rounds, writes, holds, drops);
	cr_expect_gt(writes, 0);
	cr_expect_gt(holds, 0);
	cr_expect_gt(drops, 0);
	while (n-- > 0)
		vmtest_remove(&s[n]);
	vmtest_fini(&t); /* stops the log */
	vfio_space_close(&space);
	lab_mdev_remove(name);
}
