/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "fake/fake_kvm.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

static struct memslot_table t;

static void start(void)
{
	fake_kvm_reset();
	memslot_init(&t, 3);
}

static void end(void)
{
	memslot_fini(&t);
	cr_expect_eq(map_live(), 0);
}

TestSuite(memslot, .init = start, .fini = end);

Test(memslot, kvm_failure_leaves_nothing_behind)
{
	struct mote_err err = {0};

	fake_kvm_fail_next(KVM_SET_USER_MEMORY_REGION, ENOMEM);
	cr_expect_eq(memslot_add(&t, 0, MIB, &err), -ENOMEM);
	cr_expect_str_eq(err.msg, "KVM refused slot 0: Cannot allocate memory");
	cr_expect_eq(map_live(), 0, "the RAM mapping leaked");
	cr_expect_eq(memslot_add(&t, 0, MIB, NULL), 0);
	cr_expect_eq(map_live(), 1);
}

Test(memslot, a_refused_mapping_stays_the_callers)
{
	struct map ram = {0};
	void *addr;

	cr_assert_eq(map_anon(&ram, MIB, 0, NULL), 0);
	addr = ram.addr;
	fake_kvm_fail_next(KVM_SET_USER_MEMORY_REGION, EINVAL);
	cr_expect_eq(memslot_add_map(&t, 0, &ram, NULL), -EINVAL);
	cr_expect_eq(ram.addr, addr);
	cr_expect_eq(memslot_add_map(&t, 0, &ram, NULL), 0);
	cr_expect_null(ram.addr, "taken over");
}

Test(memslot, bad_ranges_never_reach_kvm)
{
	uint64_t page = host_page_size();

	cr_expect_eq(memslot_add(&t, 0, 0, NULL), -EINVAL);
	cr_expect_eq(memslot_add(&t, 1, page, NULL), -EINVAL);
	cr_expect_eq(memslot_add(&t, 0, page + 1, NULL), -EINVAL);
	cr_expect_eq(memslot_add(&t, -page, 2 * page, NULL), -EINVAL);
	cr_expect_eq(fake_kvm_calls(), 0u);
	cr_assert_eq(memslot_add(&t, MIB, MIB, NULL), 0);
	cr_expect_eq(memslot_add(&t, MIB - page, 2 * page, NULL), -EEXIST);
	cr_expect_eq(memslot_add(&t, 2 * MIB - page, MIB, NULL), -EEXIST);
	cr_expect_eq(memslot_add(&t, MIB + page, page, NULL), -EEXIST);
	cr_expect_eq(fake_kvm_calls(), 1u);
}

Test(memslot, the_seventeenth_slot_is_refused)
{
	struct mote_err err = {0};

	for (uint64_t i = 0; i < MEMSLOT_MAX; i++)
		cr_assert_eq(memslot_add(&t, i * 2 * MIB, MIB, NULL), (int)i);
	cr_expect_eq(memslot_add(&t, 64 * MIB, MIB, &err), -ENOSPC);
	cr_expect_str_eq(err.msg, "all 16 slots used");
	cr_expect_eq(memslot_total(&t), 16 * MIB);
	cr_assert_eq(memslot_remove(&t, 7, NULL), 0);
	cr_expect_eq(fake_kvm_slot(7)->size, 0u);
	cr_expect_eq(memslot_add(&t, 64 * MIB, MIB, NULL), 7);
}

Test(memslot, memory_that_kvm_keeps_stays_mapped)
{
	struct mote_err err = {0};

	cr_assert_eq(memslot_add(&t, 0, MIB, NULL), 0);
	fake_kvm_fail_next(KVM_SET_USER_MEMORY_REGION, EBUSY);
	cr_expect_eq(memslot_remove(&t, 0, &err), -EBUSY);
	cr_expect_str_eq(err.msg, "KVM kept slot 0");
	cr_expect_eq(map_live(), 1, "a stale address in KVM");
	cr_expect_eq(guest_zero(&t, 0, MIB), 0);
}

Test(memslot, after_the_vm_is_closed_nothing_is_asked)
{
	unsigned int calls;

	cr_assert_eq(memslot_add(&t, 0, MIB, NULL), 0);
	calls = fake_kvm_calls();
	t.vm_fd = -1;
	memslot_fini(&t);
	cr_expect_eq(fake_kvm_calls(), calls);
	cr_expect_eq(map_live(), 0);
}

Test(memslot, a_log_that_starts_for_some_slots_starts_for_none)
{
	struct mote_err err = {0};

	for (uint64_t i = 0; i < 3; i++)
		cr_assert_eq(memslot_add(&t, i * MIB, MIB, NULL), (int)i);
	fake_kvm_fail_nth(3, ENOMEM);
	cr_expect_eq(memslot_log_dirty(&t, true, &err), -ENOMEM);
	cr_expect_str_eq(err.msg, "slot 2: KVM refused dirty logging: "
				  "Cannot allocate memory");
	for (uint32_t i = 0; i < 3; i++)
		cr_expect_eq(fake_kvm_slot(i)->flags, 0u, "slot %u logs", i);
	cr_expect_eq(t.flags, 0u);
}

Test(memslot, a_log_that_one_slot_keeps_ends_for_the_others)
{
	for (uint64_t i = 0; i < 3; i++)
		cr_assert_eq(memslot_add(&t, i * MIB, MIB, NULL), (int)i);
	cr_assert_eq(memslot_log_dirty(&t, true, NULL), 0);
	fake_kvm_fail_nth(1, EIO);
	cr_expect_eq(memslot_log_dirty(&t, false, NULL), -EIO);
	cr_expect_neq(fake_kvm_slot(0)->flags, 0u);
	cr_expect_eq(fake_kvm_slot(1)->flags, 0u);
	cr_expect_eq(fake_kvm_slot(2)->flags, 0u);
	cr_expect_eq(memslot_log_dirty(&t, false, NULL), 0);
	cr_expect_eq(fake_kvm_slot(0)->flags, 0u);
}

Test(memslot, shared_memory_is_a_memfd_of_one_size)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	char *other;
	int fd;

	t.shared = true;
	cr_assert_eq(memslot_add(&t, 0, MIB, NULL), 0);
	fd = t.slot[0].fd;
	cr_assert_geq(fd, 0);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_expect_eq(fcntl(fd, F_GET_SEALS), seals);
	cr_expect_eq(ftruncate(fd, 0), -1, "who has it could end the VM");
	cr_expect_eq(ftruncate(fd, 2 * MIB), -1);
	cr_expect_eq(fd_size(fd), (int64_t)MIB);
	other = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	cr_assert_neq(other, MAP_FAILED);
	cr_expect_eq(guest_write(&t, 0x1234, "shared", 7), 0);
	cr_expect_str_eq(other + 0x1234, "shared", "not the same memory");
	munmap(other, MIB);
	cr_assert_eq(memslot_remove(&t, 0, NULL), 0);
	cr_expect_eq(fcntl(fd, F_GETFD), -1, "the memfd leaked");
}

Test(memslot, private_memory_has_no_memfd)
{
	cr_assert_eq(memslot_add(&t, 0, MIB, NULL), 0);
	cr_expect_eq(t.slot[0].fd, -1);
	cr_assert_eq(memslot_remove(&t, 0, NULL), 0);
	cr_expect_eq(fcntl(0, F_GETFD), 0, "a descriptor that is not ours");
}

Test(memslot, shared_memory_that_kvm_refuses_leaves_nothing)
{
	int next = dup(0);

	fd_close(next);
	t.shared = true;
	fake_kvm_fail_next(KVM_SET_USER_MEMORY_REGION, ENOMEM);
	cr_expect_eq(memslot_add(&t, 0, MIB, NULL), -ENOMEM);
	cr_expect_eq(map_live(), 0);
	cr_expect_eq(dup(0), next, "the memfd leaked");
	cr_expect_eq(t.slot[0].fd, 0, "a free slot is all zero");
	fd_close(next);
}

/* Is the mapping locked, by its line in smaps? */
static bool is_locked(const void *addr)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512], want[32];
	bool here = false, locked = false;

	cr_assert_not_null(f);
	snprintf(want, sizeof(want), "%lx-", (unsigned long)addr);
	while (fgets(line, sizeof(line), f)) {
		if (strchr(line, '-') && !strchr(line, ':'))
			here = false;
		if (!strncmp(line, want, strlen(want)))
			here = true;
		if (here && !strncmp(line, "VmFlags:", 8)) {
			locked = strstr(line, " lo") != NULL;
			here = false;
		}
	}
	fclose(f);
	return locked;
}

Test(memslot, locked_memory_is_locked)
{
	struct rlimit limit;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (geteuid() != 0 && limit.rlim_cur < MIB)
		cr_skip_test("reason %s", "RLIMIT_MEMLOCK is below 1 MiB");
	cr_assert_eq(memslot_add(&t, 0, 64 * host_page_size(), NULL), 0);
	cr_expect_not(is_locked(t.slot[0].ram.addr));
	t.lock = true;
	cr_assert_eq(memslot_add(&t, MIB, 64 * host_page_size(), NULL), 1);
	cr_expect(is_locked(t.slot[1].ram.addr));
	t.shared = true;
	cr_assert_eq(memslot_add(&t, 2 * MIB, 64 * host_page_size(), NULL), 2);
	cr_expect(is_locked(t.slot[2].ram.addr));
}

Test(memslot, a_lock_over_the_limit_names_it)
{
	struct rlimit limit = {2 * host_page_size(), 2 * host_page_size()};
	struct mote_err err = {0};

	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	/* Not as root, who may lock without a limit. */
	if (geteuid() == 0)
		cr_assert_eq(syscall(SYS_setresuid, 65534, 65534, 65534), 0);
	t.lock = true;
	cr_expect_eq(memslot_add(&t, 0, MIB, &err), -ENOMEM);
	cr_expect_eq(err_exit_code(&err), 77);
	cr_expect_not_null(strstr(err.msg, "memory.lock: lock of 1048576 "
					   "bytes: "),
			   "%s", err.msg);
	cr_expect_not_null(strstr(err.msg, "RLIMIT_MEMLOCK is"), "%s", err.msg);
	cr_expect_eq(map_live(), 0, "the RAM mapping leaked");
	cr_expect_eq(fake_kvm_calls(), 0u, "KVM was told of it");
}
