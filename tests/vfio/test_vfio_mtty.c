/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_mtty.c - the state of a real device out of one and into another.
 *
 * mtty, the kernel's sample, is a serial card of one or two ports that can do
 * all of migration v2.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/stress.h"
#include "devices/fake_vfio.h"
#include "devices/vfio/migration.h"
#include "vfio/labdev.h"

#define SCRATCH 7 /* register of the first port, BAR 0 */
#define DATA	0

#define BLOB_MAX 65536

/* A card in a container of its own. */
struct card {
	struct vfio_space space;
	struct vfio_dev dev;
	struct vfio_mig mig;
	char name[64];
};

static struct card a, b;
static struct mote_err err;

static void open_card(struct card *c, const char *parent, const char *type)
{
	int group = lab_mdev_group(parent, type, c->name);

	if (group < 0)
		cr_skip_test("this kernel has no mtty");
	cr_assert_eq(
		vfio_space_open_type1(&c->space, lab_container(), group, &err),
		0, "%s", err.msg);
	cr_assert_eq(vfio_dev_open(&c->dev, group, c->name, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(vfio_space_add(&c->space, &c->dev, &err), 0);
	cr_assert_eq(vfio_mig_init(&c->mig, &c->dev, BLOB_MAX, &err), 0, "%s",
		     err.msg);
}

static void close_card(struct card *c)
{
	vfio_mig_fini(&c->mig);
	vfio_space_close(&c->space);
	lab_mdev_remove(c->name);
}

static void write_reg(struct card *c, int reg, uint8_t val)
{
	cr_assert_eq(pwrite(c->dev.fd, &val, 1, reg), 1);
}

static uint8_t read_reg(struct card *c, int reg)
{
	uint8_t val = 0;

	cr_assert_eq(pread(c->dev.fd, &val, 1, reg), 1);
	return val;
}

/* Loopback: what is sent is to be received. */
static void give_state(struct card *c)
{
	write_reg(c, 2, 1); /* FIFO on */
	write_reg(c, SCRATCH, 0x5a);
	write_reg(c, DATA, 'h');
	write_reg(c, DATA, 'i');
}

static void save(struct card *c)
{
	cr_assert_eq(vfio_mig_stop(&c->mig, 1, &err), 0, "%s", err.msg);
	cr_expect_eq(vfio_mig_state(&c->mig), MIG_STOP_COPY);
	cr_assert_eq(vfio_mig_take(&c->mig, 1, &err), 0, "%s", err.msg);
	cr_expect_eq(vfio_mig_state(&c->mig), MIG_STOP);
}

Test(vfio_mtty, state_saved_while_it_runs_and_at_the_stop_is_restored)
{
	uint64_t left, early;

	open_card(&a, MTTY_TYPE2);
	open_card(&b, MTTY_TYPE2);
	cr_expect_eq(a.dev.states, VFIO_MIGRATION_STOP_COPY |
					   VFIO_MIGRATION_P2P |
					   VFIO_MIGRATION_PRE_COPY);
	give_state(&a);
	cr_assert_eq(vfio_mig_precopy(&a.mig, &left, &err), 0, "%s", err.msg);
	early = a.mig.len;
	cr_expect_gt(early, 0);
	cr_expect_eq(left, 0);
	cr_expect_eq(vfio_mig_state(&a.mig), MIG_PRE_COPY);
	/* It runs: what it does now is for the stop. */
	write_reg(&a, SCRATCH, 0x5b);
	write_reg(&a, DATA, '!');
	cr_assert_eq(vfio_mig_precopy(&a.mig, &left, &err), 0, "%s", err.msg);
	save(&a);
	cr_expect_gt(a.mig.len, early);
	cr_expect_eq(early, 24);
	cr_expect_eq(a.mig.len, 24 + 72);

	cr_assert_eq(vfio_mig_load(&b.mig, a.mig.blob, a.mig.len, &err), 0,
		     "%s", err.msg);
	cr_expect_eq(vfio_mig_state(&b.mig), MIG_STOP);
	cr_assert_eq(vfio_mig_run(&b.mig, &err), 0);
	cr_expect_eq(read_reg(&b, SCRATCH), 0x5b);
	cr_expect_eq(read_reg(&b, DATA), 'h');
	cr_expect_eq(read_reg(&b, DATA), 'i');
	cr_expect_eq(read_reg(&b, DATA), '!');
	/* The source goes on where it was, if the save is given up. */
	cr_assert_eq(vfio_mig_run(&a.mig, &err), 0);
	cr_expect_eq(read_reg(&a, SCRATCH), 0x5b);
	cr_expect_eq(vfio_mig_state(&a.mig), MIG_RUNNING);
	close_card(&a);
	close_card(&b);
}

Test(vfio_mtty, a_restored_card_saves_the_same_bytes)
{
	open_card(&a, MTTY_TYPE2);
	open_card(&b, MTTY_TYPE2);
	give_state(&a);
	save(&a);
	cr_assert_eq(vfio_mig_load(&b.mig, a.mig.blob, a.mig.len, &err), 0,
		     "%s", err.msg);
	cr_assert_eq(vfio_mig_run(&b.mig, &err), 0);
	save(&b);
	cr_assert_eq(b.mig.len, a.mig.len);
	cr_expect_arr_eq(b.mig.blob, a.mig.blob, a.mig.len);
	close_card(&a);
	close_card(&b);
}

/* Two devices: both in P2P before the first of them stops. */
Test(vfio_mtty, two_cards_stop_together)
{
	struct vfio_mig both[2];

	open_card(&a, MTTY_TYPE2);
	open_card(&b, MTTY_TYPE1);
	both[0] = a.mig;
	both[1] = b.mig;
	cr_assert_eq(vfio_mig_stop(both, 2, &err), 0, "%s", err.msg);
	cr_assert_eq(vfio_mig_take(both, 2, &err), 0, "%s", err.msg);
	cr_expect_gt(both[0].len, both[1].len, "two ports and one");
	cr_expect_eq(vfio_mig_run(&both[0], &err), 0);
	cr_expect_eq(vfio_mig_run(&both[1], &err), 0);
	vfio_mig_fini(&both[0]);
	vfio_mig_fini(&both[1]);
	close_card(&a);
	close_card(&b);
}

/* A load that fails: named, and the card works with no state of anybody's. */
static void refused(struct card *c, const void *blob, size_t len, int code,
		    const char *words)
{
	write_reg(c, SCRATCH, 0x11);
	cr_expect_eq(vfio_mig_load(&c->mig, blob, len, &err), -code, "%s",
		     err.msg);
	cr_expect(strstr(err.msg, words), "%s", err.msg);
	cr_expect_eq(vfio_mig_state(&c->mig), MIG_RUNNING);
	cr_expect_neq(read_reg(c, SCRATCH), 0x5a, "half a state");
	cr_expect_eq(c->mig.data_fd, -1);
}

Test(vfio_mtty, what_is_not_its_state_is_refused_and_the_card_runs)
{
	struct card one;
	uint8_t bad[BLOB_MAX];

	open_card(&a, MTTY_TYPE2);
	open_card(&b, MTTY_TYPE2);
	open_card(&one, MTTY_TYPE1);
	give_state(&a);
	save(&a);
	refused(&one, a.mig.blob, a.mig.len, ENOMEM, "write its state at");
	refused(&b, a.mig.blob, a.mig.len / 2, EINVAL, "to state STOP");
	refused(&b, a.mig.blob, 0, EINVAL, "to state STOP");
	/*
	 * The kernel takes a STOP after this one, as if all were well: it is
	 * the write that tells.
	 */
	memcpy(bad, a.mig.blob, a.mig.len);
	memset(bad, 0xee, 8);
	refused(&b, bad, a.mig.len, EFAULT, "write its state at 0");
	/* And the right one still fits. */
	cr_expect_eq(vfio_mig_load(&b.mig, a.mig.blob, a.mig.len, &err), 0);
	cr_expect_eq(vfio_mig_run(&b.mig, &err), 0);
	cr_expect_eq(read_reg(&b, SCRATCH), 0x5a);
	close_card(&a);
	close_card(&b);
	close_card(&one);
}

Test(vfio_mtty, each_ioctl_that_fails_leaves_a_card_that_runs)
{
	int n = 1, fds;

	open_card(&a, MTTY_TYPE2);
	fds = live_fds();
	for (bool more = true; more; n++) {
		uint64_t left;
		int ret;

		fake_vfio.calls = 0;
		fake_vfio.failed = 0;
		fake_vfio.fail_at = n;
		fake_vfio.fail_with = EIO;
		ret = vfio_mig_precopy(&a.mig, &left, &err);
		if (ret == 0)
			ret = vfio_mig_stop(&a.mig, 1, &err);
		if (ret == 0)
			ret = vfio_mig_take(&a.mig, 1, &err);
		more = fake_vfio.failed != 0;
		cr_expect_eq(ret, more ? -EIO : 0, "call %d", n);
		if (more)
			cr_expect_eq(vfio_mig_state(&a.mig), MIG_RUNNING,
				     "call %d", n);
		cr_expect_eq(live_fds(), fds, "call %d leaked", n);
	}
	cr_expect_geq(n, 6);
	fake_vfio.fail_at = 0;
	close_card(&a);
}
