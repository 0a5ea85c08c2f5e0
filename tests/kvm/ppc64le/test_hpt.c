/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hpt.c - the hashed page table of a running guest in a snapshot.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/common/hpt_section.h"
#include "arch/ppc64le/hpt.h"
#include "base/fd.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "snapshot/stream.h"

#define PAGES 64u

/* Real mode takes a group of 128 bytes for each page of the host. */
static uint32_t order(void)
{
	return host_page_size() == 4096 ? 19 : 18;
}

static const char *with_order(const char *args)
{
	static char text[128];

	snprintf(text, sizeof(text), "order=%u %s", order(), args);
	return text;
}

/* A state of its own with just the table of this VM. */
static void read_table(struct vm *vm, struct snap_writer *w)
{
	struct mote_err err = {0};

	snap_writer_init(w);
	cr_assert_eq(arch_vm_save(&vm->arch, false, w, &err), 0, "%s", err.msg);
	cr_assert_eq(snap_writer_finish(w, &err), 0);
}

static struct hpt_counts count(const struct snap_writer *w)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct snap_section s;
	struct mote_err err = {0};
	struct hpt_section h;

	cr_assert_eq(snap_reader_init(r, w->buf, w->len, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(snap_section_open(r, HPT_SECTION, 0, &s, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(hpt_section_read(&s, &h, &err), 0, "%s", err.msg);
	free(r);
	return h.counts;
}

/* The last round that a guest told of. */
static int last_round(const struct vmtest *t)
{
	const char *p, *last = NULL;

	for (p = t->out; (p = strstr(p, "round ")); p++)
		if (strchr(p, '\n')) /* one that is told to its end */
			last = p;
	return last ? atoi(last + 6) : 0;
}

static void wait_rounds(struct vmtest *t, int after, int more)
{
	char line[32];

	snprintf(line, sizeof(line), "round %d\n", after + more);
	vmtest_wait_for(t, line);
	cr_assert_null(strstr(t->out, "wrong"), "%s", t->out);
	cr_assert_null(strstr(t->out, "failed"), "%s", t->out);
}

/* Run on from where it stands, through all its entries, and end. */
static void expect_goes_on(struct vmtest *t, int after, int more)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
	wait_rounds(t, after, more);
	cr_assert_null(strstr(t->out, "round 1\n"), "it began anew");
	vm_ask_stop(t->vm);
	vmtest_wait_end(t);
	cr_assert_eq(t->vm->exit_code, 0);
}

static void begin(struct vmtest *t, const char *args)
{
	vmtest_init(t, with_order(args));
	t->cfg.cpu.hpt_order = order();
	vmtest_start(t, "hpt");
	vmtest_wait_for(t, "round 2\n");
}

static void pause_now(struct vmtest *t)
{
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vm_dispatch(t->vm);
}

/*
 * A first pass of the kernel's, by a reader of its own: it takes the changes
 * from the machine's, which is not used afterwards.
 */
static void read_by_kernel(int vm_fd, uint64_t flags, uint64_t first,
			   struct hpt_stream *s)
{
	struct kvm_get_htab_fd req = {.flags = flags, .start_index = first};
	int fd = kvm_call(vm_fd, KVM_PPC_GET_HTAB_FD, &req);
	uint8_t *buf = malloc(65536);
	struct mote_err err = {0};
	uint64_t next = 0;
	ssize_t n;

	cr_assert_geq(fd, 0);
	do {
		n = read(fd, buf, 65536);
		cr_assert_geq(n, 0);
		cr_assert_eq(hpt_stream_add(s, buf, (size_t)n, false,
					    hpt_entries(order()), &next, &err),
			     0, "%s", err.msg);
	} while (n + 24 >= 65536);
	free(buf);
	fd_close(fd);
}

static void expect_stream(const struct hpt_stream *s, const void *buf,
			  size_t len)
{
	cr_assert_eq(s->len, len);
	cr_assert_arr_eq(s->buf, buf, len);
}

Test(ppc64_hpt, a_guests_entries_are_saved_restored_and_read_again_identical)
{
	struct vmtest_snapshot snap;
	struct snap_writer before, after;
	struct vmtest a, b;

	vmtest_init(&a, with_order("pages=64 step_ms=5"));
	a.cfg.cpu.hpt_order = order();
	vmtest_start(&a, "hpt");
	vmtest_wait_for(&a, "round 3\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vm_dispatch(a.vm);
	read_table(a.vm, &before);
	cr_assert_geq(count(&before).valid, PAGES, "the guest's are missing");
	vmtest_save(&a, &snap);
	vmtest_drain(&a);
	vmtest_fini(&a);

	vmtest_init(&b, "");
	b.cfg.cpu.hpt_order = order();
	vmtest_load(&b, &snap);
	read_table(b.vm, &after);
	cr_assert_eq(before.len, after.len);
	cr_assert_arr_eq(before.buf, after.buf, before.len);
	snap_writer_fini(&before);
	snap_writer_fini(&after);

	/* It goes on through its own entries; each round checks them all. */
	expect_goes_on(&b, last_round(&a), 5);
	vmtest_fini(&b);
	vmtest_remove(&snap);
}

Test(ppc64_hpt, another_order_is_refused_by_name)
{
	struct vmtest_snapshot snap;
	struct vmtest a, b;
	char words[32];

	vmtest_init(&a, with_order(""));
	a.cfg.cpu.hpt_order = order();
	vmtest_start(&a, "hpt");
	vmtest_wait_for(&a, "round 1\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &snap);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	b.cfg.cpu.hpt_order = order() + 1;
	snprintf(words, sizeof(words), "order %u", order());
	cr_assert_lt(vmtest_try_load(&b, &snap), 0);
	cr_assert_not_null(strstr(b.err.msg, words), "%s", b.err.msg);
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

	vmtest_init(&a, with_order("spin=1"));
	a.cfg.cpu.hpt_order = order();
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

Test(ppc64_hpt, diffs_hold_what_changed_and_are_put_together)
{
	struct vmtest_snapshot full, one, two;
	struct snap_writer before, after;
	struct vmtest a, b;

	begin(&a, "pages=64 step_ms=2 churn=5");
	pause_now(&a);
	vmtest_save(&a, &full);
	cr_assert_eq(vm_resume(a.vm, &a.err), 0);
	wait_rounds(&a, last_round(&a), 3);
	/* A running one: passes while it runs, then one of its moment. */
	vmtest_save_live(&a, &one, true, true);
	cr_assert_gt(a.vm->arch.hpt.passes, 2u);
	/* The one in the pause told what the guest did last, no more. */
	cr_assert_lt(a.vm->arch.hpt.pass.len * 4, a.vm->arch.hpt.now.len);
	wait_rounds(&a, last_round(&a), 3);
	pause_now(&a);
	vmtest_save_diff(&a, &two, true);
	read_table(a.vm, &before);
	vmtest_drain(&a);

	vmtest_init(&b, "");
	b.cfg.cpu.hpt_order = order();
	vmtest_load(&b, &two);
	cr_assert(b.from->layers.hpt_changes);
	cr_assert_gt(b.from->layers.hpt_changed, 0u);
	cr_assert_lt(b.from->layers.hpt_changed, 200u,
		     "a diff of 5 entries a round holds too many");
	read_table(b.vm, &after);
	cr_assert_eq(before.len, after.len);
	cr_assert_arr_eq(before.buf, after.buf, before.len);
	expect_goes_on(&b, last_round(&a), 5);
	snap_writer_fini(&before);
	snap_writer_fini(&after);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&full);
	vmtest_remove(&one);
	vmtest_remove(&two);
}

Test(ppc64_hpt, a_diff_that_was_not_kept_is_in_the_next_one)
{
	struct vmtest_snapshot full, lost, next;
	struct vmtest a, b;

	begin(&a, "pages=64 step_ms=2 churn=5");
	pause_now(&a);
	vmtest_save(&a, &full);
	cr_assert_eq(vm_resume(a.vm, &a.err), 0);
	wait_rounds(&a, last_round(&a), 2);
	pause_now(&a);
	vmtest_save_diff(&a, &lost, false);
	vmtest_save_diff(&a, &next, true);
	vmtest_drain(&a);
	vmtest_init(&b, "");
	b.cfg.cpu.hpt_order = order();
	vmtest_load(&b, &next);
	expect_goes_on(&b, last_round(&a), 3);
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&full);
	vmtest_remove(&lost);
	vmtest_remove(&next);
}

Test(ppc64_hpt, a_pass_goes_in_pieces_while_the_guest_changes_its_table)
{
	struct hpt_stream kernel = {0};
	struct mote_err err = {0};
	struct vmtest a;
	struct hpt *h;
	int ret;

	begin(&a, "pages=256 step_ms=1 churn=50");
	h = &a.vm->arch.hpt;
	for (int pass = 0; pass < 20; pass++) {
		/* One piece: a first pass of this table is more than that
		 * only where its valid entries fill 64 KiB. */
		while ((ret = hpt_pass(h, 1, &err)) == 0)
			vmtest_turn(&a);
		cr_assert_eq(ret, 1, "%s", err.msg);
		vmtest_turn(&a);
	}
	cr_assert_eq(h->passes, 20u);
	pause_now(&a);
	cr_assert_eq(hpt_settle(h, &err), 0, "%s", err.msg);
	read_by_kernel(a.vm->vm_fd, 0, 0, &kernel);
	expect_stream(&kernel, h->now.buf, h->now.len);
	hpt_stream_fini(&kernel);
	vmtest_fini(&a);
}

/* An order whose table does not fit one read: 16,384 entries, all valid. */
Test(ppc64_hpt, a_budget_ends_a_pass_after_one_read_and_the_next_goes_on)
{
	struct hpt_stream full = {0}, kernel = {0};
	struct mote_err err = {0};
	uint8_t *e = calloc(4096, HPT_ENTRY_SIZE);
	struct snap_section sec = {.name = HPT_SECTION, .version = 2};
	struct snap_writer w;
	struct vmtest a;
	struct hpt *h;
	int pieces = 0, ret;

	for (int i = 0; i < 4096; i++) {
		e[i * 16 + 7] = HPT_VALID_BIT;
		e[i * 16 + 5] = (uint8_t)(i >> 4); /* AVPN */
		e[i * 16 + 14] = 1;
		e[i * 16 + 15] = 0x90;
	}
	for (int k = 0; k < 4; k++)
		hpt_put_valid(&full, (uint64_t)k * 4096, 4096, e);
	vmtest_init(&a, "order=18");
	a.cfg.cpu.hpt_order = 18;
	vmtest_build(&a, "hpt");
	h = &a.vm->arch.hpt;
	snap_writer_init(&w);
	w.len = 0;
	hpt_section_write(&w, 18, HPT_WHOLE, hpt_view(&full));
	sec.data = w.buf;
	sec.len = w.len;
	cr_assert_eq(hpt_load(h, &sec, &err), 0, "%s", err.msg);
	do {
		ret = hpt_pass(h, 1, &err);
		pieces++;
	} while (ret == 0);
	cr_assert_eq(ret, 1, "%s", err.msg);
	/* 16,384 entries of 16 bytes in reads of 64 KiB. */
	cr_assert_eq(pieces, 5, "%d", pieces);
	expect_stream(&full, h->now.buf, h->now.len);
	read_by_kernel(a.vm->vm_fd, 0, 0, &kernel);
	expect_stream(&kernel, h->now.buf, h->now.len);
	snap_writer_fini(&w);
	hpt_stream_fini(&full);
	hpt_stream_fini(&kernel);
	free(e);
	vmtest_fini(&a);
}

Test(ppc64_hpt, what_the_library_selects_is_what_the_kernel_would)
{
	struct hpt_stream kernel = {0};
	struct mote_err err = {0};
	struct vmtest a;
	size_t len;
	void *buf;

	begin(&a, "pages=64 step_ms=2");
	pause_now(&a);
	cr_assert_eq(arch_hpt_read(&a.vm->arch, 0, true, &buf, &len, &err), 0,
		     "%s", err.msg);
	read_by_kernel(a.vm->vm_fd, 1, 0, &kernel); /* bolted only */
	expect_stream(&kernel, buf, len);
	free(buf);
	hpt_stream_clear(&kernel);
	cr_assert_eq(arch_hpt_read(&a.vm->arch, 8192, false, &buf, &len, &err),
		     0, "%s", err.msg);
	read_by_kernel(a.vm->vm_fd, 0, 8192, &kernel);
	expect_stream(&kernel, buf, len);
	free(buf);
	hpt_stream_fini(&kernel);
	vmtest_fini(&a);
}

Test(ppc64_hpt, a_machine_goes_back_to_its_table_by_what_changed)
{
	struct vmtest_snapshot snap;
	struct snap_writer before, after;
	struct vmtest a, b;
	struct mote_err err = {0};
	int round;

	begin(&a, "pages=64 step_ms=2 churn=5");
	pause_now(&a);
	vmtest_save(&a, &snap);
	vmtest_drain(&a);
	round = last_round(&a);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	b.cfg.cpu.hpt_order = order();
	vmtest_load(&b, &snap);
	read_table(b.vm, &before);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	wait_rounds(&b, round, 3);
	pause_now(&b);
	/* Memory goes back by rewind.c; here it is about the table. */
	cr_assert_eq(snapshot_load_state(b.vm, b.from, SNAPSHOT_REWIND, &err),
		     0, "%s", err.msg);
	read_table(b.vm, &after);
	cr_assert_eq(before.len, after.len);
	cr_assert_arr_eq(before.buf, after.buf, before.len);
	snap_writer_fini(&before);
	snap_writer_fini(&after);
	vmtest_fini(&b);
	vmtest_remove(&snap);
}

/* ROUNDS=N of the environment: 100 in the long set. */
Test(ppc64_hpt, a_guest_that_hammers_its_table_is_restored_each_time)
{
	const char *env = getenv("MOTE_HPT_ROUNDS");
	int rounds = env ? atoi(env) : 10;
	struct vmtest a;

	begin(&a, "pages=128 step_ms=1 churn=40");
	for (int i = 0; i < rounds; i++) {
		struct vmtest_snapshot snap;
		struct vmtest b;
		int round;

		/* Room for what it says, and one round of it at least. */
		a.out_len = 0;
		a.out[0] = 0;
		while (last_round(&a) == 0)
			vmtest_turn(&a);
		vmtest_save_live(&a, &snap, false, true);
		vmtest_drain(&a);
		round = last_round(&a);
		vmtest_init(&b, "");
		b.cfg.cpu.hpt_order = order();
		vmtest_load(&b, &snap);
		expect_goes_on(&b, round, 3);
		vmtest_fini(&b);
		vmtest_remove(&snap);
	}
	vmtest_fini(&a);
}

/* Does the host itself use radix?  /proc/cpuinfo says so. */
static bool host_is_radix(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[128];
	bool radix = false;

	while (f && fgets(line, sizeof(line), f))
		radix |= strncmp(line, "MMU", 3) == 0 && strstr(line, "Radix");
	if (f)
		fclose(f);
	return radix;
}

Test(ppc64_hpt, a_radix_guest_has_no_table_and_is_told_so)
{
	struct kvm_ppc_rmmu_info info;
	struct vmtest_snapshot snap;
	struct mote_err err = {0};
	struct vmtest a, b;
	size_t len;
	void *buf;
	int ret;

	vmtest_init(&a, "");
	a.cfg.cpu.mmu = CPU_MMU_RADIX;
	ret = vmtest_try_start(&a, "counter");
	if (ret < 0) { /* a host with hash only says so by name */
		cr_assert_not(host_is_radix(), "%s", a.err.msg);
		cr_assert_not_null(strstr(a.err.msg, "cpu.mmu: radix"), "%s",
				   a.err.msg);
		cr_assert_eq(a.err.exit_class, ERR_CLASS_UNAVAILABLE);
		vmtest_fini(&a);
		return;
	}
	cr_assert_eq(kvm_call(a.vm->vm_fd, KVM_PPC_GET_RMMU_INFO, &info), 0);
	vmtest_wait_for(&a, "2\n");
	pause_now(&a);
	cr_assert_eq(arch_hpt_read(&a.vm->arch, 0, false, &buf, &len, &err),
		     -ENOTSUP);
	cr_assert_not_null(strstr(err.msg, "no hashed page table"), "%s",
			   err.msg);
	vmtest_save(&a, &snap);
	vmtest_fini(&a);

	vmtest_init(&b, "");
	b.cfg.cpu.mmu = CPU_MMU_HASH;
	cr_assert_lt(vmtest_try_load(&b, &snap), 0);
	cr_assert_not_null(strstr(b.err.msg, "the snapshot is of a guest with "
					     "radix"),
			   "%s", b.err.msg);
	vmtest_fini(&b);
	vmtest_init(&b, "");
	b.cfg.cpu.mmu = CPU_MMU_RADIX;
	vmtest_load(&b, &snap);
	cr_assert_not(b.from->layers.hpt);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_for(&b, "5\n");
	vmtest_fini(&b);
	vmtest_remove(&snap);
}

/* VMs of this process that KVM has, by its own list. */
static int kvm_count(void)
{
	DIR *d = opendir("/sys/kernel/debug/kvm");
	char mine[32];
	struct dirent *e;
	int n = 0;

	cr_assert_not_null(d, "/sys/kernel/debug/kvm: %s", strerror(errno));
	snprintf(mine, sizeof(mine), "%d-", (int)getpid());
	while ((e = readdir(d)))
		n += strncmp(e->d_name, mine, strlen(mine)) == 0;
	closedir(d);
	return n;
}

/* The reader holds a reference on the VM. */
Test(ppc64_hpt, a_machine_that_was_read_goes_whole)
{
	struct vmtest a;

	begin(&a, "");
	pause_now(&a);
	cr_assert_eq(hpt_settle(&a.vm->arch.hpt, NULL), 0);
	cr_assert_eq(kvm_count(), 1);
	vmtest_fini(&a);
	cr_assert_eq(kvm_count(), 0);
}
