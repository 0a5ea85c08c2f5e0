/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hvt.c - Solo5 hvt guests on real KVM: what they see, what they may
 * do, and what ends them.  On architectures without the contract there is
 * nothing to test.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hvt_abi.h"
#include "base/num.h"
#include "base/timeline.h"

#if !defined(__powerpc64__) /* there is no such target there */

static void start(struct vmtest *t, const char *guest, const char *args)
{
	vmtest_init(t, args);
	t->cfg.vm.memory = 4 * MIB;
	t->cfg.vm.protocol = PROTOCOL_HVT;
	vmtest_start(t, guest);
}

static void expect_end(struct vmtest *t, enum vm_end end, const char *words)
{
	vmtest_wait_end(t);
	cr_expect_eq(t->vm->end, end, "%d, %s (%s)", t->vm->end, t->out,
		     t->vm->err.msg);
	if (words)
		cr_expect_not_null(
			strstr(end == VM_END_CRASH ? t->vm->err.msg : t->out,
			       words),
			"no \"%s\" in: %s (%s)", words, t->out, t->vm->err.msg);
}

static void run(const char *args, enum vm_end end, int code, const char *words)
{
	struct vmtest t;

	start(&t, "hvt-probe", args);
	expect_end(&t, end, words);
	if (end == VM_END_EXIT)
		cr_expect_eq(t.vm->exit_code, code, "%s: %d", args,
			     t.vm->exit_code);
	vmtest_fini(&t);
}

Test(hvt, a_guest_gets_its_arguments_and_gives_its_code)
{
	run("exit=7 and=more", VM_END_EXIT, 7,
	    "arguments: exit=7 and=more\nSUCCESS");
	run("exit=255", VM_END_EXIT, 255, "SUCCESS");
}

Test(hvt, clocks_agree_and_waits_are_exact)
{
	run("clock", VM_END_EXIT, 0, "SUCCESS");
}

Test(hvt, an_abort_is_status_255)
{
	run("abort", VM_END_EXIT, HVT_STATUS_ABORT, "ABORT: as asked");
}

Test(hvt, exceptions_are_the_guests_own)
{
	run("trap", VM_END_EXIT, HVT_STATUS_ABORT, "ABORT");
	run("zero", VM_END_EXIT, HVT_STATUS_ABORT, "ABORT");
	run("zero=4096", VM_END_EXIT, HVT_STATUS_ABORT, "ABORT");
	run("low", VM_END_EXIT, HVT_STATUS_ABORT, "ABORT");
}

Test(hvt, data_does_not_run)
{
	run("wnox", VM_END_EXIT, HVT_STATUS_ABORT, "ABORT");
	run("heapnox", VM_END_EXIT, HVT_STATUS_ABORT, "ABORT");
}

Test(hvt, code_and_constants_are_not_written)
{
	run("xnow", VM_END_CRASH, 0, "host/guest translation fault");
	run("rnow", VM_END_CRASH, 0, "host/guest translation fault");
}

Test(hvt, a_bad_address_in_any_call_ends_the_guest)
{
	for (int nr = HVT_WALLTIME; nr < HVT_CALLS; nr++) {
		char args[32];

		snprintf(args, sizeof(args), "badptr nr=%d", nr);
		run(args, VM_END_CRASH, 0,
		    "invalid guest access: gpa=0x3ffffc");
	}
	run("text nr=1", VM_END_CRASH, 0, "invalid guest access");
	run("wrap nr=2", VM_END_CRASH, 0, "gpa=0xfffffffffffffff8");
	run("wrap nr=8", VM_END_CRASH, 0, "gpa=0xfffffffffffffff8");
}

Test(hvt, handles_that_are_none_are_refused)
{
	for (int nr = HVT_BLOCK_WRITE; nr <= HVT_NET_READ; nr++) {
		char args[32];

		snprintf(args, sizeof(args), "wrap nr=%d", nr);
		run(args, VM_END_EXIT, 0, "SUCCESS");
	}
}

Test(hvt, calls_that_are_none_end_the_guest)
{
	run("badcall nr=0", VM_END_CRASH, 0, "invalid hypercall: number 0");
#ifdef __x86_64__
	run("badcall nr=9", VM_END_CRASH, 0, "port=0x509");
	run("in", VM_END_CRASH, 0, "invalid port access: port=0x501");
	run("port", VM_END_CRASH, 0, "port=0x80");
	run("byte", VM_END_CRASH, 0, "number 2, 1 bytes");
#else
	run("badcall nr=9", VM_END_CRASH, 0, "address 0x100000048");
#endif
}

/* Far more than the console's ring, to a reader that is slow. */
Test(hvt, endless_output_waits_for_its_reader)
{
	struct vmtest t;
	size_t bytes = 0;
	int turns = 0;

	start(&t, "hvt-probe", "flood=2000");
	while (t.vm->state != VM_ENDED || t.out_len) {
		vmtest_turn(&t);
		bytes += t.out_len;
		t.out_len = 0;
		cr_assert_lt(turns++, 1000000);
	}
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_eq(t.vm->console.dropped, 0u);
	/* 2000 lines of at least 50 bytes. */
	cr_expect_gt(bytes, 100000u);
	vmtest_fini(&t);
}

/* --- pause and snapshot amid a call ----------------------------------------
 */

Test(hvt, a_guest_that_waits_is_paused_at_once)
{
	struct vmtest t;
	uint64_t began;

	start(&t, "hvt-probe", "ticks=2 step_ms=3600000");
	vmtest_wait_for(&t, "tick 1\n");
	for (int i = 0; i < 100; i++) {
		began = timeline_now();
		cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
		cr_assert_lt(timeline_now() - began, 3600 * 1000000000ull);
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	}
	for (began = timeline_now();
	     !t.vm->ready && timeline_now() - began < 20 * 1000000000ull;)
		vmtest_turn(&t);
	cr_expect(t.vm->ready, "the first wait is the ready mark");
	vm_kill(t.vm);
	vmtest_fini(&t);
}

static long last_tick(const char *out)
{
	const char *p = out;
	long n = 0;

	while ((p = strstr(p, "tick "))) {
		long next = strtol(p + 5, NULL, 10);

		cr_assert_eq(next, n + 1, "%s", out);
		n = next;
		p += 5;
	}
	return n;
}

Test(hvt, a_snapshot_amid_a_wait_goes_on_with_it)
{
	struct vmtest_snapshot s, again;
	static char both[2 * VMTEST_OUT_MAX];
	struct vmtest a, b;

	start(&a, "hvt-probe", "ticks=8 step_ms=50");
	vmtest_wait_for(&a, "tick 3\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);

	vmtest_init(&b, "ticks=8 step_ms=50");
	b.cfg.vm.memory = 4 * MIB;
	b.cfg.vm.protocol = PROTOCOL_HVT;
	vmtest_load(&b, &s);
	/* Not run yet: the same bytes. */
	vmtest_save(&b, &again);
	vmtest_expect_same(&s, &again);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	expect_end(&b, VM_END_EXIT, "SUCCESS");
	snprintf(both, sizeof(both), "%s%s", a.out, b.out);
	cr_expect_eq(last_tick(both), 8, "%s", both);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&again);
	vmtest_remove(&s);
}

Test(hvt, a_restored_guest_still_can_not_write_its_code)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	start(&a, "hvt-probe", "ticks=1 step_ms=300 xnow");
	vmtest_wait_for(&a, "tick 1\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_init(&b, "");
	b.cfg.vm.memory = 4 * MIB;
	b.cfg.vm.protocol = PROTOCOL_HVT;
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	expect_end(&b, VM_END_CRASH, "host/guest translation fault");
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

/* --- disks -----------------------------------------------------------------
 */

#define DISK_SIZE (128 * 1024)

static int make_disk(bool fill)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, DISK_SIZE), 0);
	for (uint32_t i = 0; fill && i < DISK_SIZE / 4; i++) {
		uint32_t v = i * 2654435761u;

		cr_assert_eq(fd_pwrite_full(fd, &v, 4, 4ull * i), 0);
	}
	return fd;
}

static void add_disk(struct vmtest *t, const char *name, uint32_t sector)
{
	struct vm_config *c = &t->cfg;

	c->disk = realloc(c->disk, (c->disk_count + 1) * sizeof(*c->disk));
	cr_assert_not_null(c->disk);
	c->disk[c->disk_count++] = (struct disk_config){.name = strdup(name),
							.sector_size = sector};
}

static void copy_disk(uint32_t sector)
{
	int from = make_disk(true), to = make_disk(false);
	const struct build_fd fds[] = {{"disk.from", from, 0},
				       {"disk.to", to, 0}};
	static uint8_t a[DISK_SIZE], b[DISK_SIZE];
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.vm.memory = 4 * MIB;
	t.cfg.vm.protocol = PROTOCOL_HVT;
	add_disk(&t, "from", sector);
	add_disk(&t, "to", sector);
	t.opt.fds = fds;
	t.opt.fd_count = 2;
	vmtest_start(&t, "hvt-disk");
	expect_end(&t, VM_END_EXIT, "SUCCESS");
	cr_expect_eq(t.vm->exit_code, 0, "%s", t.out);
	cr_assert_eq(fd_pread_full(from, a, DISK_SIZE, 0), 0);
	cr_assert_eq(fd_pread_full(to, b, DISK_SIZE, 0), 0);
	cr_expect_eq(memcmp(a, b, DISK_SIZE), 0, "sector size %u", sector);
	vmtest_fini(&t);
	fd_close(from);
	fd_close(to);
}

Test(hvt, disks_are_copied_with_every_sector_size)
{
	for (uint32_t sector = 512; sector <= 32768; sector *= 2)
		copy_disk(sector);
}

static void expect_refused(uint32_t disks, uint32_t sector, off_t size,
			   const char *words)
{
	static const char *const names[] = {"from", "to", "extra"};
	int fd = make_disk(false);
	const struct build_fd fds[] = {{"disk.from", fd, 0},
				       {"disk.to", fd, 0},
				       {"disk.extra", fd, 0}};
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.vm.memory = 4 * MIB;
	t.cfg.vm.protocol = PROTOCOL_HVT;
	cr_assert_eq(ftruncate(fd, size), 0);
	for (uint32_t i = 0; i < disks; i++)
		add_disk(&t, names[i], sector);
	t.opt.fds = fds;
	t.opt.fd_count = 3;
	cr_expect_lt(vmtest_try_start(&t, "hvt-disk"), 0);
	cr_expect_not_null(strstr(t.err.msg, words), "%s, not %s", t.err.msg,
			   words);
	vmtest_fini(&t);
	fd_close(fd);
}

Test(hvt, devices_that_do_not_fit_the_manifest_are_refused_by_name)
{
	expect_refused(0, 512, DISK_SIZE, "disk.from: the guest's manifest");
	expect_refused(1, 512, DISK_SIZE, "disk.to: the guest's manifest");
	expect_refused(3, 512, DISK_SIZE, "disk.extra: resource not declared");
	expect_refused(2, 512, 511,
		       "disk.from: 511 bytes, expected a multiple");
	expect_refused(2, 4096, 4096 + 512, "disk.from: 4608 bytes");
	expect_refused(2, 512, 0, "disk.from: 0 bytes");
}

#endif
