/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/stress.h"
#include "devices/fake_vfio.h"
#include "devices/vfio/device.h"
#include "devices/vfio/migration.h"

#define ALL                                                                    \
	(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P |                       \
	 VFIO_MIGRATION_PRE_COPY)

static struct vfio_dev dev;
static struct vfio_mig mig;
static struct mote_err err;
static int fds;

static void setup(void)
{
	fake_vfio_start();
	fake_vfio.mig_flags = ALL;
	fake_vfio.data_fd = memfd_create("state", MFD_CLOEXEC);
	fds = live_fds();
	cr_assert_eq(
		vfio_dev_init(&dev, eventfd(0, EFD_CLOEXEC), true, "dev", &err),
		0, "%s", err.msg);
}

static void teardown(void)
{
	vfio_mig_fini(&mig);
	vfio_dev_close(&dev);
	cr_expect_eq(live_fds(), fds, "a descriptor leaked");
}

TestSuite(vfio_migration, .init = setup, .fini = teardown);

/* What the device's state is; the descriptor stands at its begin. */
static void has_state(size_t len)
{
	cr_assert_eq(ftruncate(fake_vfio.data_fd, 0), 0);
	cr_assert_eq(lseek(fake_vfio.data_fd, 0, SEEK_SET), 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t b = (uint8_t)(i * 7 + i / 256);

		cr_assert_eq(write(fake_vfio.data_fd, &b, 1), 1);
	}
	cr_assert_eq(lseek(fake_vfio.data_fd, 0, SEEK_SET), 0);
}

static void init(size_t max)
{
	cr_assert_eq(vfio_mig_init(&mig, &dev, max, &err), 0, "%s", err.msg);
}

static int save(void)
{
	int ret = vfio_mig_stop(&mig, 1, &err);

	return ret < 0 ? ret : vfio_mig_take(&mig, 1, &err);
}

Test(vfio_migration, a_device_without_it_is_refused_by_name)
{
	dev.states = 0;
	cr_expect_eq(vfio_mig_init(&mig, &dev, 1, &err), -ENOTSUP);
	cr_expect_str_eq(err.msg,
			 "VFIO device dev: its driver cannot save its state");
}

Test(vfio_migration, a_blob_larger_than_the_first_buffer_is_whole)
{
	size_t len = 300001;

	has_state(len);
	init(1 << 20);
	cr_assert_eq(save(), 0, "%s", err.msg);
	cr_assert_eq(mig.len, len);
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(mig.blob[i], (uint8_t)(i * 7 + i / 256));
	cr_expect_eq(fake_vfio.state, MIG_STOP);
	cr_expect_eq(mig.data_fd, -1);
	cr_expect_eq(vfio_mig_run(&mig, &err), 0);
	cr_expect_eq(fake_vfio.state, MIG_RUNNING);
	cr_expect_eq(fake_vfio.resets, 0);
}

Test(vfio_migration, a_blob_of_the_cap_fits_and_a_byte_more_does_not)
{
	has_state(1000);
	init(1000);
	cr_assert_eq(save(), 0, "%s", err.msg);
	cr_expect_eq(mig.len, 1000);
	vfio_mig_fini(&mig);
	fake_vfio.state = MIG_RUNNING;
	has_state(1001);
	init(1000);
	cr_expect_eq(save(), -EFBIG);
	cr_expect(strstr(err.msg, "larger than 1000 bytes"), "%s", err.msg);
	cr_expect_eq(fake_vfio.state, MIG_RUNNING, "it goes on");
}

Test(vfio_migration, pre_copy_and_the_stop_are_one_blob)
{
	uint64_t left;

	has_state(100);
	fake_vfio.initial_bytes = 60;
	init(1000);
	cr_assert_eq(vfio_mig_precopy(&mig, &left, &err), 0, "%s", err.msg);
	cr_expect_eq(left, 60);
	cr_expect_eq(mig.len, 60, "no more than was said, it may never end");
	cr_expect_eq(fake_vfio.state, MIG_PRE_COPY);
	cr_assert_eq(save(), 0, "%s", err.msg);
	cr_expect_eq(mig.len, 100);
}

Test(vfio_migration, without_pre_copy_there_is_nothing_to_do_early)
{
	uint64_t left = 1;

	dev.states = VFIO_MIGRATION_STOP_COPY;
	init(1000);
	cr_assert_eq(vfio_mig_precopy(&mig, &left, &err), 0);
	cr_expect_eq(left, 0);
	fake_vfio.state_bytes = 4711;
	cr_assert_eq(vfio_mig_precopy(&mig, &left, &err), 0);
	cr_expect_eq(left, 4711, "it says how much there is");
	cr_expect_eq(fake_vfio.state, MIG_RUNNING);
}

Test(vfio_migration, several_devices_need_p2p)
{
	struct vfio_mig two[2];

	init(1000);
	two[0] = two[1] = mig;
	cr_expect_eq(vfio_mig_stop(two, 2, &err), 0, "%s", err.msg);
	vfio_mig_run(&two[0], NULL);
	vfio_mig_run(&two[1], NULL);
	dev.states = VFIO_MIGRATION_STOP_COPY;
	cr_expect_eq(vfio_mig_stop(two, 2, &err), -ENOTSUP);
	cr_expect(strstr(err.msg, "no P2P"), "%s", err.msg);
	cr_expect_eq(fake_vfio.state, MIG_RUNNING);
}

Test(vfio_migration, a_device_in_error_comes_back_by_reset)
{
	init(1000);
	fake_vfio.mig_error = true;
	cr_expect_eq(vfio_mig_stop(&mig, 1, &err), -EIO);
	cr_expect_str_eq(err.msg, "a device lost what it was doing: VFIO "
				  "device dev: to state STOP_COPY: "
				  "Input/output error");
	cr_expect_eq(fake_vfio.resets, 1);
	cr_expect_eq(vfio_mig_state(&mig), MIG_RUNNING);
	fake_vfio.mig_error = true;
	cr_expect_eq(vfio_mig_run(&mig, &err), 1, "and it is told");
}

Test(vfio_migration, what_is_loaded_is_what_was_saved)
{
	uint8_t blob[5000], got[5000];

	for (size_t i = 0; i < sizeof(blob); i++)
		blob[i] = (uint8_t)(i * 3);
	has_state(0);
	init(1 << 20);
	cr_assert_eq(vfio_mig_load(&mig, blob, sizeof(blob), &err), 0, "%s",
		     err.msg);
	cr_expect_eq(fake_vfio.state, MIG_STOP);
	cr_assert_eq(pread(fake_vfio.data_fd, got, sizeof(got), 0),
		     (ssize_t)sizeof(got));
	cr_expect_arr_eq(got, blob, sizeof(blob));
}

/* The kernel would take a STOP after it: half a state, and no complaint. */
Test(vfio_migration, a_write_that_fails_is_followed_by_a_reset_not_a_stop)
{
	uint8_t blob[100] = {0};

	cr_assert_eq(ftruncate(fake_vfio.data_fd, 10), 0);
	close(fake_vfio.data_fd);
	fake_vfio.data_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	init(1000);
	cr_expect_eq(vfio_mig_load(&mig, blob, sizeof(blob), &err), -ENOSPC);
	cr_expect(strstr(err.msg, "at 0 of 100"), "%s", err.msg);
	cr_expect_eq(fake_vfio.resets, 1);
	cr_expect_eq(fake_vfio.state, MIG_RUNNING);
}

/* A pipe takes what fits: the rest is written too, or it is an error. */
Test(vfio_migration, a_short_write_goes_on_or_is_an_error)
{
	uint8_t *blob = calloc(1, 1 << 20);
	int p[2];

	cr_assert_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	close(fake_vfio.data_fd);
	fake_vfio.data_fd = p[1];
	init(1 << 20);
	cr_expect_eq(vfio_mig_load(&mig, blob, 1 << 20, &err), -EAGAIN);
	cr_expect(strstr(err.msg, "at 65536 of 1048576"), "%s", err.msg);
	cr_expect_eq(fake_vfio.resets, 1);
	close(p[0]);
	free(blob);
}

/* Each call in turn: the device runs again and nothing is open. */
Test(vfio_migration, each_call_that_fails_leaves_a_device_that_runs)
{
	for (int n = 1, more = 1; more; n++) {
		uint64_t left;
		int ret;

		fake_vfio.calls = 0;
		fake_vfio.failed = 0;
		fake_vfio.fail_at = n;
		fake_vfio.fail_with = EIO;
		has_state(64);
		fake_vfio.initial_bytes = 16;
		init(1000);
		ret = vfio_mig_precopy(&mig, &left, &err);
		if (ret == 0)
			ret = save();
		more = fake_vfio.failed != 0;
		cr_expect_eq(ret, more ? -EIO : 0, "call %d: %d", n, ret);
		if (more)
			cr_expect_eq(fake_vfio.state, MIG_RUNNING, "call %d",
				     n);
		vfio_mig_fini(&mig);
		fake_vfio.state = MIG_RUNNING;
	}
}
