/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metrics.c - mote_vm_metrics, by the public API alone.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mote.h"

#define TURNS 2000 /* of at most 50 ms: a lab is slow */

static char dir[64];
static const char *folder = ""; /* in dir, that a snapshot goes to */
static struct mote_err err;

static void setup(void)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		cr_skip_test("no usable /dev/kvm: %s", strerror(errno));
	strcpy(dir, "/tmp/mote-metrics-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (*dir)
		cr_expect_eq(system(command), 0);
}

static void set(struct mote_config *cfg, const char *key, const char *value)
{
	char *faults = NULL, text[512];

	snprintf(text, sizeof(text), "%s=%s", key, value);
	cr_assert_eq(mote_config_set(cfg, "test", text, &faults), 0, "%s",
		     faults);
}

static int pagemap_fd = -1;

static struct mote_vm *create(struct mote_snapshot *snap, const char *how,
			      const char *vcpus)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_config *cfg = mote_config_new();
	const char *guests = getenv("MOTE_GUESTS");
	struct mote_vm *vm;
	char path[256];

	snprintf(path, sizeof(path), "%s/counter.elf",
		 guests ? guests : "build/guests");
	if (access(path, R_OK) < 0)
		cr_skip_test("%s: %s", path, strerror(errno));
	if (snap)
		cr_assert_eq(mote_snapshot_config(snap, cfg, &err), 0, "%s",
			     err.msg);
	set(cfg, "vm.kernel", path);
	set(cfg, "vm.memory", "16M");
	set(cfg, "vm.vcpus", vcpus);
	set(cfg, "vm.cmdline", "step_ms=1");
	set(cfg, "restore.memory", how);
	opt.config = cfg;
	opt.snapshot = snap;
	opt.pagemap_fd = pagemap_fd;
	cr_assert_eq(mote_vm_create(&opt, &vm, &err), 0, "%s", err.msg);
	mote_config_free(cfg);
	return vm;
}

static struct mote_metrics get(struct mote_vm *vm)
{
	struct mote_metrics m = {.size = sizeof(m)};

	cr_assert_eq(mote_vm_metrics(vm, &m), 0);
	return m;
}

static uint64_t exits(const struct mote_metrics *m)
{
	uint64_t sum = 0;

	for (int i = 0; i < 5; i++)
		sum += m->exits[i];
	return sum;
}

static void turn(struct mote_vm *vm)
{
	struct pollfd fds[MOTE_VM_POLL_MAX];
	int timeout, n = mote_vm_poll(vm, fds, &timeout);

	poll(fds, (nfds_t)n, 50);
	mote_vm_dispatch(vm, fds, n);
}

static void run_until_ready(struct mote_vm *vm)
{
	for (int i = 0; i < TURNS && !get(vm).ready; i++)
		turn(vm);
	cr_assert(get(vm).ready);
}

/* Let it run until it has counted on, and stop it. */
static void run_a_bit(struct mote_vm *vm)
{
	struct mote_metrics m = get(vm);
	uint64_t until = exits(&m) + 100;

	cr_assert_eq(mote_vm_resume(vm, &err), 0, "%s", err.msg);
	for (int i = 0; i < TURNS && exits(&m) < until; i++) {
		turn(vm);
		m = get(vm);
	}
	cr_assert_geq(exits(&m), until);
	cr_assert_eq(mote_vm_pause(vm, &err), 0, "%s", err.msg);
}

static int in_dir(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s%s/%s", dir, folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	return fd;
}

enum what { FULL, DIFF, BAD_FILE, LIVE, LIVE_DIFF };

static int save(struct mote_vm *vm, enum what what)
{
	const struct mote_snapshot_options opt = {
		.size = sizeof(opt),
		.name = strrchr(dir, '/') + 1,
		.diff = what == DIFF || what == LIVE_DIFF,
	};
	struct mote_snapshot_files f = {in_dir("manifest"), in_dir("state"),
					what == BAD_FILE
						? open("/dev/null", O_RDONLY)
						: in_dir("memory")};
	int ret = what == LIVE || what == LIVE_DIFF
			  ? mote_vm_snapshot_live(vm, &f, &opt, &err)
			  : mote_vm_snapshot(vm, &f, &opt, &err);

	close(f.manifest_fd);
	close(f.state_fd);
	close(f.memory_fd);
	return ret;
}

static uint64_t memory_file_bytes(void)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/memory", dir);
	cr_assert_eq(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

Test(vm_metrics, what_did_not_happen_is_not_known, .init = setup,
     .fini = teardown)
{
	struct mote_vm *vm = create(NULL, "auto", "1");
	struct mote_metrics m = get(vm);

	cr_expect_eq(m.state, MOTE_BUILT);
	cr_expect_not(m.ready);
	cr_expect_eq(m.vcpus, 1);
	cr_expect_eq(m.memory, 16u << 20);
	cr_expect_eq(exits(&m), 0);
	cr_expect_eq(m.snapshots, 0);
	cr_expect_eq(m.snapshots_failed, 0);
	cr_expect_eq(m.snapshot_ns, -1);
	cr_expect_eq(m.snapshot_bytes, -1);
	cr_expect_eq(m.snapshot_pages, -1);
	cr_expect_eq(m.snapshot_pause_ns, -1);
	cr_expect_eq(m.dirty_pages, -1);
	cr_expect_eq(m.restore, MOTE_RESTORE_NONE);
	cr_expect_eq(m.restore_ns, -1);
	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	run_until_ready(vm);
	m = get(vm);
	cr_expect_eq(m.state, MOTE_RUNNING);
	cr_expect_gt(exits(&m), 0);
	mote_vm_destroy(vm);
}

Test(vm_metrics, a_snapshot_is_counted_and_timed, .init = setup,
     .fini = teardown)
{
	struct mote_vm *vm = create(NULL, "auto", "1");
	struct mote_metrics m;

	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	run_until_ready(vm);
	cr_expect_lt(save(vm, FULL), 0, "it runs");
	cr_assert_eq(mote_vm_pause(vm, &err), 0, "%s", err.msg);
	cr_expect_lt(save(vm, BAD_FILE), 0, "/dev/null is not writable");
	m = get(vm);
	cr_expect_eq(m.snapshots, 0);
	cr_expect_eq(m.snapshots_failed, 2);
	cr_expect_eq(m.snapshot_ns, -1);
	cr_assert_eq(save(vm, FULL), 0, "%s", err.msg);
	m = get(vm);
	cr_expect_eq(m.state, MOTE_PAUSED);
	cr_expect_eq(m.snapshots, 1);
	cr_expect_eq(m.snapshots_failed, 2);
	cr_expect_gt(m.snapshot_ns, 0);
	cr_expect_gt(m.snapshot_bytes, 0);
	cr_expect_eq((uint64_t)m.snapshot_bytes, memory_file_bytes());
	cr_expect_eq(m.snapshot_pages, -1, "a full one");
	cr_expect_eq(m.snapshot_pause_ns, -1, "it still stands");
	cr_assert_eq(mote_vm_resume(vm, &err), 0, "%s", err.msg);
	m = get(vm);
	cr_expect_geq(m.snapshot_pause_ns, m.snapshot_ns);
	mote_vm_snapshot_end(vm, true);
	cr_expect_eq(get(vm).snapshot_pause_ns, m.snapshot_pause_ns,
		     "it did not stand until the files had their name");
	/* A pause without a snapshot is none of its. */
	mote_vm_pause(vm, &err);
	mote_vm_resume(vm, &err);
	cr_expect_eq(get(vm).snapshot_pause_ns, m.snapshot_pause_ns);
	mote_vm_destroy(vm);
}

/* Its pause is within, and known when the call returns. */
Test(vm_metrics, a_snapshot_of_a_running_vm_is_counted_and_timed, .init = setup,
     .fini = teardown)
{
	struct mote_snapshot_options bad = {.size = 1};
	struct mote_vm *vm = create(NULL, "auto", "2");
	struct mote_metrics m;

	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	run_until_ready(vm);
	cr_expect_eq(mote_vm_snapshot_live(
			     vm, &(struct mote_snapshot_files){-1, -1, -1},
			     &bad, &err),
		     -EINVAL);
	for (int i = 1; i <= 2; i++) {
		cr_assert_eq(save(vm, i == 1 ? LIVE : LIVE_DIFF), 0, "%s",
			     err.msg);
		m = get(vm);
		cr_expect_eq(m.state, MOTE_RUNNING);
		cr_expect_eq(m.snapshots, (uint64_t)i);
		cr_expect_eq(m.snapshots_failed, 0);
		cr_expect_gt(m.snapshot_bytes, 0);
		cr_expect_gt(m.snapshot_pause_ns, 0);
		cr_expect_lt(m.snapshot_pause_ns, m.snapshot_ns);
		cr_expect(i == 1 ? m.snapshot_pages == -1
				 : m.snapshot_pages > 0);
		cr_expect_eq(m.dirty_pages, -1, "is it kept?");
		mote_vm_snapshot_end(vm, true);
	}
	mote_vm_pause(vm, &err);
	mote_vm_resume(vm, &err);
	cr_expect_eq(get(vm).snapshot_pause_ns, m.snapshot_pause_ns);
	mote_vm_destroy(vm);
}

Test(vm_metrics, a_restore_is_timed_and_says_how, .init = setup,
     .fini = teardown)
{
	static const struct {
		const char *how;
		enum mote_restore mode;
	} mode[] = {{"auto", MOTE_RESTORE_COW},
		    {"cow", MOTE_RESTORE_COW},
		    {"copy", MOTE_RESTORE_COPY}};
	struct mote_vm *vm = create(NULL, "auto", "1");

	cr_assert_eq(save(vm, FULL), 0, "%s", err.msg);
	mote_vm_destroy(vm);
	for (size_t i = 0; i < sizeof(mode) / sizeof(mode[0]); i++) {
		struct mote_snapshot *snap;
		struct mote_metrics m;

		cr_assert_eq(mote_snapshot_open(AT_FDCWD, dir, &snap, &err), 0,
			     "%s", err.msg);
		vm = create(snap, mode[i].how, "1");
		m = get(vm);
		cr_expect_gt(m.restore_ns, 0);
		cr_expect_eq(m.restore, mode[i].mode, "%s", mode[i].how);
		cr_expect_eq(m.snapshots, 0, "another instance's");
		mote_vm_destroy(vm);
		mote_snapshot_close(snap);
	}
}

Test(vm_metrics, changed_pages_are_counted_from_the_last_snapshot_kept,
     .init = setup, .fini = teardown)
{
	struct mote_vm *vm = create(NULL, "auto", "1");
	int64_t page = sysconf(_SC_PAGESIZE), changed;
	struct mote_metrics m;

	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	run_until_ready(vm);
	cr_expect_eq(get(vm).dirty_pages, -1, "there is no snapshot yet");
	cr_assert_eq(mote_vm_pause(vm, &err), 0, "%s", err.msg);
	cr_assert_eq(save(vm, FULL), 0, "%s", err.msg);
	mote_vm_snapshot_end(vm, true);
	cr_expect_eq(get(vm).dirty_pages, 0);
	run_a_bit(vm);
	changed = get(vm).dirty_pages;
	cr_expect_gt(changed, 0);

	cr_assert_eq(save(vm, DIFF), 0, "%s", err.msg);
	m = get(vm);
	cr_expect_eq(m.dirty_pages, -1, "is it kept?");
	cr_expect_eq(m.snapshot_pages, changed);
	cr_expect_gt(m.snapshot_bytes, 0);
	cr_expect_leq(m.snapshot_bytes, changed * page);
	mote_vm_snapshot_end(vm, false);
	cr_expect_eq(get(vm).dirty_pages, changed, "it was not kept");

	cr_assert_eq(save(vm, DIFF), 0, "%s", err.msg);
	cr_expect_eq(get(vm).snapshot_pages, changed);
	/* To look between the two calls takes nothing from the next diff. */
	run_a_bit(vm);
	mote_vm_snapshot_end(vm, true);
	changed = get(vm).dirty_pages;
	cr_expect_gt(changed, 0);
	cr_assert_eq(save(vm, DIFF), 0, "%s", err.msg);
	cr_expect_eq(get(vm).snapshot_pages, changed);
	mote_vm_destroy(vm);
}

Test(vm_metrics, changed_pages_of_a_mapped_restore_are_those_of_its_diff,
     .init = setup, .fini = teardown)
{
	struct mote_vm *vm = create(NULL, "auto", "1");
	struct mote_snapshot *snap;
	char path[128];
	int64_t changed;

	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	run_until_ready(vm);
	cr_assert_eq(mote_vm_pause(vm, &err), 0, "%s", err.msg);
	cr_assert_eq(save(vm, FULL), 0, "%s", err.msg);
	mote_vm_destroy(vm);
	cr_assert_eq(mote_snapshot_open(AT_FDCWD, dir, &snap, &err), 0, "%s",
		     err.msg);
	vm = create(snap, "auto", "1");
	cr_expect_eq(get(vm).dirty_pages, -1, "there is no page map");
	mote_vm_destroy(vm);
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(pagemap_fd, 0);
	vm = create(snap, "copy", "1");
	cr_expect_eq(get(vm).dirty_pages, -1, "RAM is all its own");
	mote_vm_destroy(vm);
	vm = create(snap, "auto", "1");
	cr_assert_eq(mote_vm_start(vm, true, &err), 0, "%s", err.msg);
	changed = get(vm).dirty_pages;
	cr_expect_geq(changed, 0);
	cr_expect_lt(changed, (16 << 20) / sysconf(_SC_PAGESIZE));
	run_a_bit(vm);
	cr_expect_gt(get(vm).dirty_pages, changed);
	changed = get(vm).dirty_pages;
	folder = "/diff"; /* not over the memory that is mapped */
	snprintf(path, sizeof(path), "%s%s", dir, folder);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert_eq(save(vm, DIFF), 0, "%s", err.msg);
	cr_expect_eq(get(vm).snapshot_pages, changed);
	mote_vm_destroy(vm);
	mote_snapshot_close(snap);
	close(pagemap_fd);
	pagemap_fd = -1;
}

Test(vm_metrics, an_unplugged_vcpu_takes_no_exits_away, .init = setup,
     .fini = teardown)
{
	struct mote_vm *vm = create(NULL, "auto", "2");
	struct mote_metrics m, after;

	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	run_until_ready(vm);
	mote_vm_pause(vm, &err);
	m = get(vm);
	cr_assert_eq(mote_vm_vcpu_unplug(vm, 0, &err), 0, "%s", err.msg);
	after = get(vm);
	cr_expect_eq(after.vcpus, 1);
	cr_expect_geq(exits(&after), exits(&m));
	mote_vm_destroy(vm);
}

Test(vm_metrics, an_older_callers_struct_is_not_overrun, .init = setup,
     .fini = teardown)
{
	struct mote_vm *vm = create(NULL, "auto", "1");
	struct mote_metrics m;

	memset(&m, 0x5a, sizeof(m));
	m.size = offsetof(struct mote_metrics, vcpus);
	cr_expect_eq(mote_vm_metrics(vm, &m), 0);
	cr_expect_eq(m.size, offsetof(struct mote_metrics, vcpus));
	cr_expect_eq(m.state, MOTE_BUILT);
	cr_expect_eq(m.vcpus, 0x5a5a5a5a);
	m.size = 0;
	cr_expect_eq(mote_vm_metrics(vm, &m), -EINVAL);
	mote_vm_destroy(vm);
}
