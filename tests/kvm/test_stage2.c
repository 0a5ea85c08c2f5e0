/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stage2.c - the host changes the memory behind a guest while that reads
 * and writes it: what the guest sees is never older than what is there.
 *
 * On every architecture: the second stage of arm64 and radix, nested paging,
 * entries of a hashed page table.  A tenth of this is what an emulated CPU
 * can show: QEMU's TCG flushes whole TLBs where hardware keeps entries, so it
 * finds KVM's bookkeeping at fault, not a missing invalidation of one address.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../guests/include/stale.h"
#include "base/map.h"
#include "base/num.h"
#include "base/stress.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define ALIAS_SLOT 7
#define BLOCK	   (2 * MIB)
#define KSM	   "/sys/kernel/mm/ksm/"

struct under {
	struct vmtest t;
	struct stale_box *box;
	char *a, *b;	/* the regions */
	uint64_t pages; /* of each, as the guest uses it; len: bytes */
	size_t len;
	uint64_t epoch;
	long done[8];
};

static char *ram(struct under *u, uint64_t off)
{
	return (char *)u->t.vm->slots.slot[0].ram.addr + off;
}

static void fill(struct under *u, char *to)
{
	for (uint64_t i = 0; i < u->pages; i++)
		*(volatile uint64_t *)(to + i * host_page_size()) = u->epoch;
}

static void under_build_with(struct under *u, uint64_t memory)
{
	memset(u, 0, sizeof(*u));
	vmtest_init(&u->t, "");
	u->t.cfg.vm.memory = memory;
#ifdef __powerpc64__
	/* Real mode reaches the first slot alone through a hashed table. */
	if (memory != VMTEST_MEMORY)
		u->t.cfg.cpu.mmu = CPU_MMU_RADIX;
#endif
	vmtest_build(&u->t, "stale");
	u->box = (struct stale_box *)ram(u, STALE_BOX);
	u->a = ram(u, STALE_A);
	u->b = ram(u, STALE_B);
	u->pages = num_min(STALE_PAGES, BLOCK / host_page_size());
	u->len = u->pages * host_page_size();
	u->epoch = 1;
	fill(u, u->a);
	*u->box = (struct stale_box){
		.epoch = 1, .page = host_page_size(), .pages = u->pages};
}

static void under_build(struct under *u)
{
	under_build_with(u, VMTEST_MEMORY);
}

/* The guest has gone through all of it since. */
static void wait_round(struct under *u)
{
	uint64_t since = u->box->rounds + 2;

	for (long i = 0; u->box->rounds < since; i++) {
		if (u->t.vm->end != VM_END_NONE || i > 200000)
			cr_assert_fail("the guest stands in epoch %lu: %s",
				       (unsigned long)u->epoch,
				       u->t.vm->err.msg);
		if (i % 64 == 63)
			usleep(50);
		else
			sched_yield();
		if (i % 4096 == 4095)
			vmtest_turn(&u->t);
	}
	cr_assert_eq(u->box->stale + u->box->lost, 0u,
		     "page %lu: %lu, expected %lu", (unsigned long)u->box->at,
		     (unsigned long)u->box->saw, (unsigned long)u->box->wanted);
}

/* --- what may be done to A: new content comes with it ------------------- */

static void publish(struct under *u)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	u->box->epoch = u->epoch;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* From here to publish, A may hold anything. */
static void suspend(struct under *u)
{
	u->box->epoch = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	u->epoch++;
}

static bool drop(struct under *u)
{
	suspend(u);
	cr_assert_eq(madvise(u->a, u->len, MADV_DONTNEED), 0);
	fill(u, u->a);
	publish(u);
	return true;
}

static bool replace(struct under *u)
{
	suspend(u);
	cr_assert_neq(mmap(u->a, u->len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		      MAP_FAILED);
	fill(u, u->a);
	publish(u);
	return true;
}

/* Other pages take its place at once, with the guest looking on. */
static bool move_in(struct under *u)
{
	char *p = mmap(NULL, u->len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	u->epoch++;
	fill(u, p);
	cr_assert_neq(
		mremap(p, u->len, u->len, MREMAP_MAYMOVE | MREMAP_FIXED, u->a),
		MAP_FAILED);
	publish(u);
	return true;
}

static bool protect(struct under *u)
{
	cr_assert_eq(mprotect(u->a, u->len, PROT_READ), 0);
	cr_assert_eq(mprotect(u->a, u->len, PROT_READ | PROT_WRITE), 0);
	u->epoch++;
	fill(u, u->a);
	publish(u);
	return true;
}

/* --- what may be done to B: its content stays --------------------------------
 */

/* 4 KiB pages become a huge one, which is cut again behind the region. */
static bool collapse(struct under *u)
{
	size_t page = host_page_size();

	if (u->len > BLOCK - page || madvise(u->b, BLOCK, MADV_COLLAPSE) != 0)
		return false;
	cr_assert_eq(madvise(u->b + BLOCK - page, page, MADV_DONTNEED), 0);
	return true;
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool compact(struct under *u)
{
	static long calls;

	(void)u;
	if (calls++ % 16) /* all memory of the host is walked */
		return false;
	return write_text("/proc/sys/vm/compact_memory", "1");
}

static bool page_out(struct under *u)
{
	return madvise(u->b, u->len, MADV_PAGEOUT) == 0;
}

static const struct {
	const char *name;
	bool (*f)(struct under *u);
} acts[] = {
	{"dropped", drop},	 {"replaced", replace},
	{"moved in", move_in},	 {"protected", protect},
	{"collapsed", collapse}, {"compacted", compact},
	{"paged out", page_out},
};

static void end(struct under *u)
{
	u->box->stop = 1;
	vmtest_wait_end(&u->t);
	cr_expect_eq(u->t.vm->exit_code, 0, "%s: page %lu: %lu, expected %lu",
		     u->t.out, (unsigned long)u->box->at,
		     (unsigned long)u->box->saw, (unsigned long)u->box->wanted);
	vmtest_fini(&u->t);
}

static void begin(struct under *u)
{
	cr_assert_eq(vm_start(u->t.vm, false, &u->t.err), 0, "%s",
		     u->t.err.msg);
	wait_round(u);
}

static void change_often(struct under *u, long rounds)
{
	begin(u);
	for (long i = 0; i < rounds; i++) {
		size_t k = (size_t)i % ARRAY_SIZE(acts);

		u->done[k] += acts[k].f(u);
		wait_round(u);
	}
	for (size_t k = 0; k < ARRAY_SIZE(acts); k++)
		fprintf(stderr, "%s%ld %s", k ? ", " : "stage 2: ", u->done[k],
			acts[k].name);
	fprintf(stderr, "; %lu rounds of the guest\n",
		(unsigned long)u->box->rounds);
	for (size_t k = 0; k < 4; k++)
		cr_expect_gt(u->done[k], 0, "%s", acts[k].name);
}

Test(stage2, memory_that_changes_under_a_guest_is_never_stale, .timeout = 900)
{
	struct under u;

	under_build(&u);
	change_often(&u, stress_count(210, 10000));
	end(&u);
}

static void set_slot(struct under *u, uint32_t slot, uint64_t off, size_t size)
{
	const struct memslot *m = &u->t.vm->slots.slot[0];
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = m->gpa + off,
		.memory_size = size,
		.userspace_addr = (uintptr_t)m->ram.addr,
	};

	cr_assert_eq(kvm_call(u->t.vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &r),
		     0);
}

/* One range of the host at two guest addresses: what changes is seen at both.
 */
Test(stage2, two_addresses_of_one_range_change_together, .timeout = 900)
{
	struct under u;

	under_build_with(&u, 2 * VMTEST_MEMORY);
	set_slot(&u, 0, 0, 0);
	set_slot(&u, 0, 0, VMTEST_MEMORY);
	set_slot(&u, ALIAS_SLOT, VMTEST_MEMORY, VMTEST_MEMORY);
	u.box->alias = VMTEST_MEMORY;
	change_often(&u, stress_count(70, 3000));
	u.box->stop = 1;
	vmtest_wait_end(&u.t);
	set_slot(&u, ALIAS_SLOT, VMTEST_MEMORY, 0);
	end(&u);
}

/* --- pages of equal content
 * ---------------------------------------------------- */

static long read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atol(text);
}

/* The kernel has merged pages of A; false: not within its time. */
static bool wait_merged(struct under *u, long before)
{
	for (int i = 0; i < 400; i++) {
		wait_round(u);
		if (read_number(KSM "pages_sharing") >= before + 8)
			return true;
		usleep(5000);
	}
	return false;
}

/* KSM's own settings are the host's: they are as they were afterwards. */
static const char *const ksm_keys[] = {KSM "pages_to_scan",
				       KSM "sleep_millisecs", KSM "run"};
static char ksm_was[ARRAY_SIZE(ksm_keys)][32];

static void ksm_restore(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ksm_keys); i++)
		if (ksm_was[i][0])
			write_text(ksm_keys[i], ksm_was[i]);
}

static bool ksm_start(void)
{
	static const char *const fast[] = {"5000", "1", "1"};
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(ksm_keys); i++) {
		snprintf(ksm_was[i], sizeof(ksm_was[i]), "%ld",
			 read_number(ksm_keys[i]));
		ok &= write_text(ksm_keys[i], fast[i]);
	}
	return ok;
}

Test(stage2, pages_that_the_kernel_merges_and_parts_are_never_stale,
     .timeout = 900, .fini = ksm_restore)
{
	long before, merged = 0, rounds = stress_count(3, 40);
	struct under u;

	if (!ksm_start())
		cr_skip_test("KSM can't be switched on: %s", strerror(errno));
	under_build(&u);
	begin(&u);
	for (long i = 0; i < rounds; i++) {
		before = read_number(KSM "pages_sharing");
		replace(&u); /* each page the same but for one word: also that
			      */
		cr_assert_eq(madvise(u.a, u.len, MADV_MERGEABLE), 0);
		merged += wait_merged(&u, before);
		u.epoch++;
		fill(&u, u.a); /* parts them */
		publish(&u);
		wait_round(&u);
	}
	fprintf(stderr, "stage 2: merged in %ld of %ld rounds\n", merged,
		rounds);
	cr_expect_gt(merged, 0);
	end(&u);
}

/* --- memory that runs out ---------------------------------------------------
 */

/* A file system with room for one page stands behind region A. */
Test(stage2, memory_that_runs_out_in_a_fault_ends_the_guest)
{
	char dir[] = "/tmp/mote-small-XXXXXX", path[64], opt[64];
	size_t page = host_page_size();
	struct under u;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(opt, sizeof(opt), "size=%zu", page);
	if (mount("none", dir, "tmpfs", 0, opt) < 0) {
		int code = errno;

		rmdir(dir);
		cr_skip_test("a small tmpfs: %s", strerror(code));
	}
	snprintf(path, sizeof(path), "%s/memory", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	umount2(dir, MNT_DETACH); /* it lives as long as the file is open */
	rmdir(dir);
	under_build(&u);
	cr_assert_eq(ftruncate(fd, (off_t)u.len), 0);
	cr_assert_neq(mmap(u.a, u.len, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, 0),
		      MAP_FAILED);
	u.box->epoch = 0; /* any content is fine */
	cr_assert_eq(vm_start(u.t.vm, false, &u.t.err), 0);
	vmtest_wait_end(&u.t);
	cr_expect_eq(u.t.vm->end, VM_END_CRASH);
	cr_expect_eq(err_exit_code(&u.t.vm->err), ERR_CLASS_GUEST);
	cr_expect_not_null(strstr(u.t.vm->err.msg, "memory that the host"),
			   "%s", u.t.vm->err.msg);
	vmtest_fini(&u.t);
	close(fd);
}

/* --- many machines ----------------------------------------------------------
 */

#define MACHINES_SLICE 40
#define MACHINES_WHOLE 320 /* more than 8 bits of VMID */

/* How many VMs a CPU tells apart without a flush; ARM DDI 0487, D19.2.65. */
static void tell_vmids(const struct vm *vm, long machines)
{
#ifdef __aarch64__
	uint64_t mmfr1 = 0;

	cr_assert_eq(kvm_get_one_reg(vm->vcpu[0]->fd,
				     ARM64_SYS_REG(3, 0, 0, 7, 1), &mmfr1),
		     0);
	fprintf(stderr, "stage 2: %ld machines, VMIDs of %d bits\n", machines,
		(mmfr1 >> 4 & 15) == 2 ? 16 : 8);
#else
	(void)vm;
	(void)machines;
#endif
}

/* A machine has up to eight descriptors. */
static void allow_descriptors(void)
{
	struct rlimit l;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = l.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
}

/* Each has its own content at the same addresses and sees no other's. */
Test(stage2, hundreds_of_machines_take_turns_and_see_their_own, .timeout = 900)
{
	long n = stress_count(MACHINES_SLICE, MACHINES_WHOLE);
	struct under *u = calloc((size_t)n, sizeof(*u));

	allow_descriptors();
	for (long i = 0; i < n; i++) {
		under_build(&u[i]);
		u[i].epoch = (uint64_t)i + 1; /* older: another machine's */
		fill(&u[i], u[i].a);
		publish(&u[i]);
	}
	for (int turn = 0; turn < 3; turn++)
		for (long i = n - 1; i >= 0; i--) {
			struct vm *vm = u[i].t.vm;
			struct mote_err *err = &u[i].t.err;

			cr_assert_eq(turn ? vm_resume(vm, err)
					  : vm_start(vm, false, err),
				     0, "%s", err->msg);
			wait_round(&u[i]);
			/* From above: another machine's would be too new. */
			for (uint64_t k = 0; k < u[i].pages; k++)
				cr_assert_eq(*(volatile uint64_t
						       *)(u[i].a +
							  k * host_page_size()),
					     (uint64_t)i + 1);
			cr_assert_eq(vm_pause(vm, err), 0, "%s", err->msg);
		}
	tell_vmids(u[0].t.vm, n);
	for (long i = 0; i < n; i++) {
		cr_assert_eq(vm_resume(u[i].t.vm, &u[i].t.err), 0);
		end(&u[i]);
	}
	free(u);
}

/* KiB of page tables that KVM keeps for guests; -1: the kernel does not say. */
static long second_tables(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long kib = -1;

	/* What each CPU counts for itself, too: small numbers stay there. */
	write_text("/proc/sys/vm/stat_refresh", "1");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SecPageTables: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* No other machine of this host has tables. */
static bool is_alone(void)
{
	DIR *d = opendir("/sys/kernel/debug/kvm");
	struct dirent *e;
	bool alone = d;

	while (d && (e = readdir(d)))
		alone = alone && !strchr(e->d_name, '-');
	if (d)
		closedir(d);
	return alone;
}

Test(stage2, tables_are_given_back_with_the_last_descriptor)
{
	struct under *u = calloc(8, sizeof(*u));
	long before = second_tables(), most;

	if (before < 0)
		cr_skip_test("/proc/meminfo has no SecPageTables");
	if (!is_alone())
		cr_skip_test("machines of others may run beside, or "
			     "/sys/kernel/debug/kvm can't be read");
	for (int i = 0; i < 8; i++) {
		under_build(&u[i]);
		begin(&u[i]);
	}
	most = second_tables();
	if (most <= before) {
		for (int i = 0; i < 8; i++)
			end(&u[i]);
		free(u);
		cr_skip_test("this KVM does not count its tables there");
	}
	for (int i = 0; i < 8; i++)
		end(&u[i]);
	for (int i = 0; i < 100 && second_tables() > before; i++)
		usleep(20000);
	fprintf(stderr, "stage 2: tables %ld, %ld, %ld KiB\n", before, most,
		second_tables());
	cr_expect_leq(second_tables(), before);
	free(u);
}

/* So that a huge page of the host is one of the guest. */
Test(stage2, guest_and_host_addresses_are_alike_below_2_mib)
{
	struct under u;

	under_build(&u);
	for (int i = 0; i < memslot_count(&u.t.vm->slots); i++)
		cr_expect_eq((u.t.vm->slots.slot[i].gpa ^
			      (uintptr_t)u.t.vm->slots.slot[i].ram.addr) %
				     BLOCK,
			     0u, "slot %d", i);
	vmtest_fini(&u.t);
}
