/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_uapi.c - the known traps of the kernel's interfaces, each tried.
 *
 * What stands here is what the rest of the code relies on.  A trap that
 * "differs" is news: either this kernel has a bug, or our notes have.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/kick.h"
#include "base/num.h"
#include "base/scan.h"
#include "doctor.h"
#include "doctor_machine.h"
#include "kvm/kvm.h"
#include "memory/guestmem.h"
#include "memory/ring.h"

#define BLOCK 0x10000u /* what the guest counts in */

/* Which of its blocks the guest writes. */
static const unsigned int written[] = {1, 3, 6};

/* --- vCPUs -----------------------------------------------------------------
 */

/*
 * Without an interrupt controller, whose presence arm64 answers for first.
 * POWER says EINVAL: the core is full before the id is looked at.
 */
static void ask_id_twice(int kvm_fd, struct uapi_answer *a)
{
	struct machine m;
	int first, again = -EEXIST;

	if (!machine_shell(&m, kvm_fd, a))
		return;
	first = kvm_create_vcpu(m.vm_fd, 0);
	if (first >= 0) {
		fd_close(first);
		again = kvm_create_vcpu(m.vm_fd, 0);
	}
	if (first < 0)
		uapi_expect(a, "id 0", first, 0);
	else
		uapi_expect(a, "id 0 again after a close", again,
			    again == -EINVAL ? -EINVAL : -EEXIST);
	if (again >= 0)
		fd_close(again);
	machine_fini(&m);
}

static void ask_vcpu_outlives(int kvm_fd, struct uapi_answer *a)
{
	struct machine m;

	if (!machine_init(&m, kvm_fd, 0, a))
		return;
	arch_vm_fini(&m.arch); /* may hold descriptors of the VM */
	fd_clear(&m.vm_fd);
	uapi_expect(a, "KVM_RUN after the VM's close", machine_run(&m), 0);
	machine_fini(&m);
}

static void ask_immediate_exit(int kvm_fd, struct uapi_answer *a)
{
	struct machine m;

	if (!kvm_check_extension(kvm_fd, KVM_CAP_IMMEDIATE_EXIT)) {
		uapi_answer(a, UAPI_ABSENT, "no KVM_CAP_IMMEDIATE_EXIT");
		return;
	}
	if (!machine_init(&m, kvm_fd, 0, a))
		return;
	uapi_expect(a, "KVM_RUN", machine_finish_exit(&m), -EINTR);
	machine_fini(&m);
}

static void ask_kick(int kvm_fd, struct uapi_answer *a)
{
	struct machine m;
	const struct timespec now = {0};
	sigset_t set;
	int ret;

	if (!machine_init(&m, kvm_fd, 0, a))
		return;
	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	pthread_kill(pthread_self(), VCPU_KICK_SIGNAL);
	ret = kvm_run(m.vcpu_fd);
	if (ret == -EINTR && sigtimedwait(&set, NULL, &now) < 0)
		uapi_answer(a, UAPI_DIFFERS,
			    "KVM_RUN ended, but took the signal with it");
	else
		uapi_expect(a, "KVM_RUN with a blocked signal waiting", ret,
			    -EINTR);
	machine_take_kick();
	machine_fini(&m);
}

/* --- memory ----------------------------------------------------------------
 */

static bool is_written(uint64_t gpa)
{
	for (size_t i = 0; i < ARRAY_SIZE(written); i++)
		if (gpa / BLOCK == arch_image_base() / BLOCK + written[i])
			return true;
	return false;
}

/*
 * What a log says: pages that the guest wrote, others, and others below the
 * image.  The last are the guest's page tables: with nested paging the
 * processor's walk counts as a write to them.
 */
struct told {
	int right, wrong, tables;
};

static void tell_page(struct told *t, uint64_t gpa)
{
	if (is_written(gpa))
		t->right++;
	else if (gpa < arch_image_base())
		t->tables++;
	else
		t->wrong++;
}

static struct told count_bits(const struct machine *m, const uint64_t *bitmap)
{
	uint64_t page = host_page_size();
	struct told t = {0};

	for (uint64_t i = 0; i < MACHINE_RAM / page; i++) {
		if (bitmap[i / 64] >> (i % 64) & 1)
			tell_page(&t, m->slots.slot[0].gpa + i * page);
	}
	return t;
}

static void answer_pages(struct uapi_answer *a, struct told t)
{
	int want = (int)ARRAY_SIZE(written);

	uapi_answer(a,
		    t.right == want && t.wrong == 0 ? UAPI_AS_EXPECTED
						    : UAPI_DIFFERS,
		    "of %d pages written %d are told, %d others, %d of page "
		    "tables",
		    want, t.right, t.wrong, t.tables);
}

/*
 * The log of one run of the guest.  It has run once before: what the
 * hardware marks in page tables at the first time is not the guest's.
 */
static int log_one_run(struct machine *m, uint64_t *bitmap)
{
	int ret = machine_run_guest(m);

	if (ret == 0)
		ret = memslot_log_dirty(&m->slots, true, NULL);
	if (ret == 0)
		ret = machine_run_guest(m);
	if (ret == 0)
		ret = kvm_get_dirty_log(m->vm_fd, 0, bitmap);
	return ret;
}

static void ask_dirty_log(int kvm_fd, struct uapi_answer *a)
{
	uint64_t bitmap[MACHINE_RAM / 4096 / 64] = {0};
	struct machine m;
	int ret;

	if (!machine_init(&m, kvm_fd, 0, a))
		return;
	ret = log_one_run(&m, bitmap);
	if (ret < 0)
		uapi_expect(a, "a logged run", ret, 0);
	else
		answer_pages(a, count_bits(&m, bitmap));
	machine_fini(&m);
}

static int clear_log(const struct machine *m, uint64_t *bitmap)
{
	struct kvm_clear_dirty_log clear = {
		.num_pages = (uint32_t)(MACHINE_RAM / host_page_size()),
		.dirty_bitmap = bitmap,
	};

	return kvm_call(m->vm_fd, KVM_CLEAR_DIRTY_LOG, &clear);
}

/* Reading keeps the log; KVM_CLEAR_DIRTY_LOG empties it. */
static void ask_manual_protect(int kvm_fd, struct uapi_answer *a)
{
	uint64_t one[MACHINE_RAM / 4096 / 64] = {0};
	uint64_t two[MACHINE_RAM / 4096 / 64] = {0};
	const uint64_t args[4] = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE};
	struct machine m;
	struct told left;
	int ret;

	if (!kvm_check_extension(kvm_fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)) {
		uapi_answer(a, UAPI_ABSENT,
			    "no KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
		return;
	}
	if (!machine_init(&m, kvm_fd, 0, a))
		return;
	ret = kvm_enable_cap(m.vm_fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, args);
	if (ret == 0)
		ret = log_one_run(&m, one);
	if (ret == 0)
		ret = kvm_get_dirty_log(m.vm_fd, 0, two);
	if (ret == 0 && memcmp(one, two, sizeof(one)) != 0) {
		uapi_answer(a, UAPI_DIFFERS, "reading cleared the log");
		goto out;
	}
	if (ret == 0)
		ret = clear_log(&m, one);
	if (ret == 0)
		ret = kvm_get_dirty_log(m.vm_fd, 0, two);
	if (ret < 0) {
		uapi_expect(a, "a logged run", ret, 0);
		goto out;
	}
	left = count_bits(&m, two);
	if (left.right + left.wrong + left.tables)
		uapi_answer(a, UAPI_DIFFERS, "%d pages left after the clear",
			    left.right + left.wrong + left.tables);
	else
		answer_pages(a, count_bits(&m, one));
out:
	machine_fini(&m);
}

/* Entries that the ring holds: what is dirty and not yet harvested. */
static struct told count_ring(const struct machine *m,
			      const struct kvm_dirty_gfn *ring, size_t n)
{
	struct told t = {0};

	for (size_t i = 0; i < n; i++) {
		uint64_t gpa = m->slots.slot[0].gpa +
			       ring[i].offset * host_page_size();

		if (__atomic_load_n(&ring[i].flags, __ATOMIC_ACQUIRE) &
		    KVM_DIRTY_GFN_F_DIRTY)
			tell_page(&t, gpa);
	}
	return t;
}

static void ask_dirty_ring(int kvm_fd, struct uapi_answer *a)
{
	uint64_t size = 65536;
	cleanup_map struct map map = {0};
	struct machine m;
	int max, ret;

	max = kvm_check_extension(kvm_fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
	if (max <= 0) {
		uapi_answer(a, UAPI_ABSENT,
			    "no KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
		return;
	}
	size = num_min(size, (uint64_t)max);
	if (!machine_init(&m, kvm_fd, size, a))
		return;
	ret = map_shared(&map, m.vcpu_fd, RING_PAGE * host_page_size(), size,
			 PROT_READ | PROT_WRITE, NULL);
	if (ret == 0)
		ret = machine_run_guest(&m);
	if (ret == 0)
		ret = memslot_log_dirty(&m.slots, true, NULL);
	if (ret == 0)
		ret = machine_run_guest(&m);
	if (ret < 0) {
		uapi_expect(a, "a logged run", ret, 0);
	} else {
		size_t n = size / sizeof(struct kvm_dirty_gfn);

		answer_pages(a, count_ring(&m, map.addr, n));
	}
	map_fini(&map);
	machine_fini(&m);
}

static void ask_two_slots(int kvm_fd, struct uapi_answer *a)
{
	struct machine m;
	int ret;

	if (!machine_init(&m, kvm_fd, 0, a))
		return;
	ret = kvm_set_memory(m.vm_fd, 1, 0, m.slots.slot[0].gpa + 64 * MIB,
			     2 * MIB, m.slots.slot[0].ram.addr);
	uapi_expect(a, "a second slot over the same host range", ret, 0);
	machine_fini(&m);
}

static void ask_overlap(int kvm_fd, struct uapi_answer *a)
{
	struct machine m;
	int ret;

	if (!machine_init(&m, kvm_fd, 0, a))
		return;
	ret = kvm_set_memory(m.vm_fd, 1, 0, m.slots.slot[0].gpa, 2 * MIB,
			     m.slots.slot[0].ram.addr);
	uapi_expect(a, "a second slot at the same guest address", ret, -EEXIST);
	machine_fini(&m);
}

/* --- userfaultfd ------------------------------------------------------------
 */

struct pager {
	int fd, stop_fd;
	uint64_t at; /* of the last fault */
	atomic_int faults;
};

/* Give a page of zeroes for each fault until told to stop. */
static void *pager_main(void *arg)
{
	struct pager *p = arg;

	for (;;) {
		struct pollfd f[2] = {{.fd = p->fd, .events = POLLIN},
				      {.fd = p->stop_fd, .events = POLLIN}};
		struct uffdio_zeropage zero = {0};
		struct uffd_msg msg;

		if (poll(f, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (f[1].revents)
			return NULL;
		if (read(p->fd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		p->at = msg.arg.pagefault.address & ~(host_page_size() - 1);
		atomic_fetch_add(&p->faults, 1);
		zero.range.start = p->at;
		zero.range.len = host_page_size();
		ioctl(p->fd, UFFDIO_ZEROPAGE, &zero);
	}
}

static int open_uffd(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) < 0)
		fd_clear(&fd);
	return fd;
}

/* Take a page away from the guest and see who is asked for it. */
static void fault_one(struct machine *m, struct pager *p, void *page,
		      struct uapi_answer *a)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)page, .len = host_page_size()},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	pthread_t thread;
	int stop[2], ret;

	if (madvise(page, host_page_size(), MADV_DONTNEED) < 0 ||
	    ioctl(p->fd, UFFDIO_REGISTER, &reg) < 0 ||
	    pipe2(stop, O_CLOEXEC) < 0) {
		uapi_answer(a, UAPI_DIFFERS, "guest RAM: %s", strerror(errno));
		return;
	}
	p->stop_fd = stop[0];
	ret = pthread_create(&thread, NULL, pager_main, p);
	if (ret == 0) {
		ret = machine_run_guest(m);
		close(stop[1]);
		pthread_join(thread, NULL);
	} else {
		ret = -ret;
		close(stop[1]);
	}
	close(stop[0]);
	if (ret < 0)
		uapi_expect(a, "a run", ret, 0);
	else if (atomic_load(&p->faults) == 1 && p->at == (uintptr_t)page)
		uapi_answer(a, UAPI_AS_EXPECTED, "one fault, at the page");
	else
		uapi_answer(a, UAPI_DIFFERS, "%d faults",
			    atomic_load(&p->faults));
}

static void ask_uffd(int kvm_fd, struct uapi_answer *a)
{
	struct pager p = {.fd = open_uffd()};
	struct machine m;
	uint8_t *page;
	int ret;

	if (p.fd < 0) {
		uapi_answer(a, UAPI_ABSENT, "userfaultfd: %s", strerror(errno));
		return;
	}
	if (machine_init(&m, kvm_fd, 0, a)) {
		page = guest_map_write(&m.slots,
				       arch_image_base() + written[1] * BLOCK,
				       host_page_size());
		ret = machine_run_guest(&m); /* once with all of it there */
		if (ret < 0 || !page)
			uapi_expect(a, "a run", ret < 0 ? ret : -EFAULT, 0);
		else
			fault_one(&m, &p, page, a);
		machine_fini(&m);
	}
	close(p.fd);
}

/* --- PAGEMAP_SCAN -----------------------------------------------------------
 */

#define SCAN_PAGES 16u

/* Pages of a private file mapping that are not the file's any more. */
static int scan(const void *addr, size_t len)
{
	struct scan_region out[SCAN_PAGES];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + len,
		.vec = (uintptr_t)out,
		.vec_len = SCAN_PAGES,
		.category_inverted = SCAN_FILE,
		.category_mask = SCAN_FILE,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT | SCAN_SWAPPED,
	};
	cleanup_fd int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int n, pages = 0;

	if (fd < 0)
		return -errno;
	n = ioctl(fd, SCAN, &arg);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		pages += (int)((out[i].end - out[i].start) / host_page_size());
	return pages;
}

static void ask_pagemap_scan(int kvm_fd, struct uapi_answer *a)
{
	size_t page = host_page_size(), len = SCAN_PAGES * page;
	cleanup_fd int fd = memfd_create("mote-doctor", MFD_CLOEXEC);
	cleanup_map struct map map = {0};
	volatile uint8_t *p;
	int got;

	(void)kvm_fd;
	if (fd < 0 || ftruncate(fd, (off_t)len) < 0 ||
	    map_file_private(&map, fd, 0, len, page, NULL) < 0) {
		uapi_answer(a, UAPI_ABSENT, "no memory file: %s",
			    strerror(errno));
		return;
	}
	p = map.addr;
	for (size_t i = 0; i < SCAN_PAGES; i++)
		(void)p[i * page]; /* there, and the file's */
	p[2 * page] = 1;
	p[9 * page] = 1;
	got = scan(map.addr, len);
	if (got == -ENOTTY || got == -ENOENT || got == -EACCES)
		uapi_answer(a, UAPI_ABSENT, "%s",
			    got == -ENOTTY ? "Linux 6.7 has it"
					   : strerror(-got));
	else if (got == 2)
		uapi_answer(a, UAPI_AS_EXPECTED, "2 pages written, 2 found");
	else if (got < 0)
		uapi_expect(a, "PAGEMAP_SCAN", got, 0);
	else
		uapi_answer(a, UAPI_DIFFERS, "2 pages written, %d found", got);
}

/* --- VFIO -------------------------------------------------------------------
 */

static void ask_vfio(int kvm_fd, struct uapi_answer *a)
{
	cleanup_fd int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	int ret;

	(void)kvm_fd;
	if (fd < 0) {
		uapi_answer(a, UAPI_ABSENT, "/dev/vfio/vfio: %s",
			    strerror(errno));
		return;
	}
	if (ioctl(fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) {
		uapi_answer(a, UAPI_ABSENT, "no type1 v2 IOMMU here");
		return;
	}
	ret = ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0 ? -errno : 0;
	uapi_expect(a, "VFIO_SET_IOMMU of an empty container", ret, -EINVAL);
}

/* --- all --------------------------------------------------------------------
 */

static const struct uapi_trap traps[] = {
	{"a vCPU id is used up when its descriptor is closed", ask_id_twice, 1},
	{"a vCPU works after the VM's descriptor is closed", ask_vcpu_outlives,
	 1},
	{"immediate_exit ends KVM_RUN", ask_immediate_exit, 1},
	{"KVM_SET_SIGNAL_MASK: a blocked signal ends KVM_RUN and stays",
	 ask_kick, 1},
	{"the dirty log is exact", ask_dirty_log, 1},
	{"MANUAL_PROTECT: reading keeps the dirty log, CLEAR empties it",
	 ask_manual_protect, 1},
	{"the dirty ring is exact", ask_dirty_ring, 1},
	{"two slots may show one host range", ask_two_slots, 1},
	{"two slots may not share a guest address", ask_overlap, 1},
	{"userfaultfd serves a guest's fault", ask_uffd, 1},
	{"PAGEMAP_SCAN finds what a private mapping has changed",
	 ask_pagemap_scan, 0},
	{"VFIO: a container without a group takes no IOMMU", ask_vfio, 0},
};

static bool ask(const struct uapi_trap *t, int kvm_fd, const char *no_kvm,
		doctor_say_trap say, void *opaque)
{
	struct uapi_answer a = {0};
	struct doctor_trap out = {.name = t->name, .detail = a.detail};

	if (t->needs_kvm && kvm_fd < 0)
		uapi_answer(&a, UAPI_ABSENT, "%.190s", no_kvm);
	else
		t->ask(kvm_fd, &a);
	out.verdict = (enum doctor_verdict)a.verdict;
	say(opaque, &out);
	return a.verdict != UAPI_DIFFERS;
}

bool doctor_uapi(doctor_say_trap say, void *opaque)
{
	struct mote_err err = {0};
	cleanup_fd int kvm_fd = kvm_open(NULL, &err);
	const struct uapi_trap *own;
	bool ok = true;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(traps); i++)
		ok = ask(&traps[i], kvm_fd, err.msg, say, opaque) && ok;
	own = arch_uapi_traps(&n);
	for (size_t i = 0; i < n; i++)
		ok = ask(&own[i], kvm_fd, err.msg, say, opaque) && ok;
	return ok;
}
