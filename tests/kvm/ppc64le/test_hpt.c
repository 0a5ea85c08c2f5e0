/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hpt.c - the hashed page table of a running guest in a snapshot.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/common/hpt_codec.h"
#include "arch/ppc64le/hpt.h"
#include "base/fd.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "snapshot/stream.h"

#define PAGES 64u

/* A state of its own with just the table of this VM. */
static void read_table(struct vm *vm, struct snap_writer *w)
{
	struct mote_err err = {0};

	snap_writer_init(w);
	cr_assert_eq(arch_vm_save(&vm->arch, w, &err), 0, "%s", err.msg);
	cr_assert_eq(snap_writer_finish(w, &err), 0);
}

/* Valid entries of a state's section; bolted ones are the VRMA's. */
static uint64_t count_valid(const struct snap_writer *w)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct snap_section s;
	struct mote_err err = {0};
	uint64_t valid;
	uint32_t order;
	size_t len;

	cr_assert_eq(snap_reader_init(r, w->buf, w->len, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(snap_section_open(r, "ppc64-hpt", 0, &s, &err), 0, "%s",
		     err.msg);
	order = snap_get_u32(&s);
	len = snap_left(&s);
	cr_assert_eq(hpt_stream_check(snap_get_raw(&s, len), len,
				      hpt_entries(order), &valid, &err),
		     0, "%s", err.msg);
	free(r);
	return valid;
}

Test(ppc64_hpt, a_guests_entries_are_saved_restored_and_read_again_identical)
{
	struct vmtest_snapshot snap;
	struct snap_writer before, after;
	struct vmtest a, b;
	char line[32];
	const char *last;
	int round;

	vmtest_init(&a, "order=18 pages=64 step_ms=5");
	a.cfg.cpu.hpt_order = 18;
	vmtest_start(&a, "hpt");
	vmtest_wait_for(&a, "round 3\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vm_dispatch(a.vm);
	read_table(a.vm, &before);
	cr_assert_geq(count_valid(&before), PAGES, "the guest's are missing");
	vmtest_save(&a, &snap);
	vmtest_drain(&a);
	vmtest_fini(&a);

	vmtest_init(&b, "");
	b.cfg.cpu.hpt_order = 18;
	vmtest_load(&b, &snap);
	read_table(b.vm, &after);
	cr_assert_eq(before.len, after.len);
	cr_assert_arr_eq(before.buf, after.buf, before.len);
	snap_writer_fini(&before);
	snap_writer_fini(&after);

	/* It goes on through its own entries; each round checks them all. */
	last = strrchr(a.out, 'r');
	while (last > a.out && strncmp(last, "round ", 6) != 0)
		last--;
	round = atoi(last + 6);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	snprintf(line, sizeof(line), "round %d\n", round + 5);
	vmtest_wait_for(&b, line);
	cr_assert_null(strstr(b.out, "wrong"), "%s", b.out);
	cr_assert_null(strstr(b.out, "round 1\n"), "it began anew");
	vm_ask_stop(b.vm);
	vmtest_wait_end(&b);
	cr_assert_eq(b.vm->exit_code, 0);
	vmtest_fini(&b);
	vmtest_remove(&snap);
}

Test(ppc64_hpt, another_order_is_refused_by_name)
{
	struct vmtest_snapshot snap;
	struct vmtest a, b;

	vmtest_init(&a, "order=18");
	a.cfg.cpu.hpt_order = 18;
	vmtest_start(&a, "hpt");
	vmtest_wait_for(&a, "round 1\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &snap);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	b.cfg.cpu.hpt_order = 19;
	cr_assert_lt(vmtest_try_load(&b, &snap), 0);
	cr_assert_not_null(strstr(b.err.msg, "order 18"), "%s", b.err.msg);
	vmtest_fini(&b);
	vmtest_remove(&snap);
}

Test(ppc64_hpt, a_running_guest_makes_the_write_fail)
{
	const struct hpt_record rec = {.index = 100, .invalid = 1};
	uint8_t head[HPT_HEADER_SIZE];
	struct kvm_get_htab_fd req = {.flags = 2};
	struct vmtest a;
	int fd, busy = 0;

	vmtest_init(&a, "order=18 spin=1");
	a.cfg.cpu.hpt_order = 18;
	vmtest_start(&a, "hpt");
	vmtest_wait_for(&a, "round 1\n");
	fd = kvm_call(a.vm->vm_fd, KVM_PPC_GET_HTAB_FD, &req);
	cr_assert_geq(fd, 0);
	hpt_header_put(head, &rec, false);
	for (int i = 0; i < 50 && !busy; i++) {
		usleep(10000); /* one CPU: let the vCPU's thread in */
		busy += write(fd, head, sizeof(head)) < 0 && errno == EBUSY;
	}
	cr_assert_gt(busy, 0, "no EBUSY while a vCPU runs");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	cr_assert_eq(write(fd, head, sizeof(head)), (ssize_t)sizeof(head));
	fd_close(fd);
	vmtest_fini(&a);
}
