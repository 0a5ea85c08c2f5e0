/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_kvm.c - kvm/kvm.h without KVM.  KVM_RUN's page is a memfd that is
 * read and written with pread and pwrite, so that a vCPU that is closed
 * leaves nothing behind.  Only what follows exit_reason is ever written:
 * immediate_exit belongs to whoever kicks.
 */
#include "fake/fake_kvm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/kick.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "memory/ring.h"

#define FDS_MAX	   1024
#define SLOTS_MAX  32
#define RUN_SIZE   12288u
#define IO_DATA	   4096u
#define RING_AT	   (64 * host_page_size()) /* KVM_DIRTY_LOG_PAGE_OFFSET */
#define MSRS_MAX   8
#define CAPS_MAX   4
#define BLOB_MAX   4096u
#define IRQFDS_MAX 256

/* Registers are remembered by the pair of requests that moves them. */
static const struct pair {
	unsigned long get, set;
	size_t size;
} pairs[] = {
	{KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs)},
	{KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs)},
	{KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs)},
	{KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave)},
	{KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state)},
	{KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state)},
	{KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
	 sizeof(struct kvm_vcpu_events)},
	{KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs)},
	{KVM_GET_CLOCK, KVM_SET_CLOCK, sizeof(struct kvm_clock_data)},
};

/* The MSRs that the list names; the second can't be read. */
#define MSR_UNREADABLE 0x1234u
static const uint32_t msr_index[] = {0x10,  MSR_UNREADABLE, 0x174,
				     0x1a0, 0x40000000,	    0xc0000080};

struct object {
	uint8_t blob[ARRAY_SIZE(pairs)][BLOB_MAX];
	uint64_t msr[ARRAY_SIZE(msr_index)];
};

static struct {
	pthread_mutex_t lock;
	unsigned int calls, runs;
	unsigned long next_request, failed;
	int next_code, nth_code;
	unsigned int nth;
	struct {
		long cap; /* of fake_kvm_set_cap; 0: none */
		int value;
	} cap[CAPS_MAX];
	bool manual; /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 was enabled */
	const struct fake_exit *script, *repeat;
	size_t script_count, script_at;
	struct fake_slot slot[SLOTS_MAX];
	struct object *object[FDS_MAX]; /* by descriptor */
	uint32_t irqfd[IRQFDS_MAX];	/* eventfds, as KVM_IRQFD said */
	int irqfds;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

void fake_kvm_reset(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.calls = fake.runs = fake.nth = 0;
	fake.next_request = fake.failed = 0;
	memset(fake.cap, 0, sizeof(fake.cap));
	fake.manual = false;
	fake.script = fake.repeat = NULL;
	fake.script_count = fake.script_at = 0;
	memset(fake.slot, 0, sizeof(fake.slot));
	fake.irqfds = 0;
	pthread_mutex_unlock(&fake.lock);
}

void fake_kvm_fail_next(unsigned long request, int code)
{
	pthread_mutex_lock(&fake.lock);
	fake.next_request = request;
	fake.next_code = code;
	pthread_mutex_unlock(&fake.lock);
}

void fake_kvm_fail_nth(unsigned int n, int code)
{
	pthread_mutex_lock(&fake.lock);
	fake.nth = n ? fake.calls + n : 0;
	fake.nth_code = code;
	fake.failed = 0;
	pthread_mutex_unlock(&fake.lock);
}

unsigned int fake_kvm_calls(void)
{
	unsigned int n;

	pthread_mutex_lock(&fake.lock);
	n = fake.calls;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

unsigned int fake_kvm_runs(void)
{
	unsigned int n;

	pthread_mutex_lock(&fake.lock);
	n = fake.runs;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

unsigned long fake_kvm_failed(void)
{
	unsigned long request;

	pthread_mutex_lock(&fake.lock);
	request = fake.failed;
	pthread_mutex_unlock(&fake.lock);
	return request;
}

void fake_kvm_script(const struct fake_exit *exits, size_t count)
{
	pthread_mutex_lock(&fake.lock);
	fake.script = exits;
	fake.script_count = count;
	fake.script_at = 0;
	pthread_mutex_unlock(&fake.lock);
}

void fake_kvm_repeat(const struct fake_exit *e)
{
	pthread_mutex_lock(&fake.lock);
	fake.repeat = e;
	pthread_mutex_unlock(&fake.lock);
}

struct fake_slot *fake_kvm_slot(uint32_t slot)
{
	return &fake.slot[slot];
}

void fake_kvm_io_data(int vcpu_fd, void *buf, size_t len)
{
	if (pread(vcpu_fd, buf, len, IO_DATA) != (ssize_t)len)
		memset(buf, 0, len);
}

/* Every call comes through here: 0, or the failure that was asked for. */
static int gate(unsigned long request)
{
	int ret = 0;

	pthread_mutex_lock(&fake.lock);
	if (request == KVM_RUN)
		fake.runs++;
	else
		fake.calls++;
	if (fake.next_request == request) {
		fake.next_request = 0;
		ret = -fake.next_code;
	} else if (request != KVM_RUN && fake.calls == fake.nth) {
		fake.failed = request;
		ret = -fake.nth_code;
	}
	pthread_mutex_unlock(&fake.lock);
	return ret;
}

/* A new descriptor with nothing set. */
static int new_object(size_t size)
{
	int fd = memfd_create("fake-kvm", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fd >= FDS_MAX || ftruncate(fd, (off_t)size) < 0) {
		fd_close(fd);
		return -EMFILE;
	}
	pthread_mutex_lock(&fake.lock);
	free(fake.object[fd]);
	fake.object[fd] = calloc(1, sizeof(*fake.object[fd]));
	pthread_mutex_unlock(&fake.lock);
	return fd;
}

/* --- what kvm_call moves -----------------------------------------------------
 */

static struct object *object_of(int fd)
{
	return fd >= 0 && fd < FDS_MAX ? fake.object[fd] : NULL;
}

static bool move_registers(struct object *o, unsigned long request, void *arg)
{
	for (size_t i = 0; o && i < ARRAY_SIZE(pairs); i++) {
		if (request == pairs[i].get)
			memcpy(arg, o->blob[i], pairs[i].size);
		else if (request == pairs[i].set)
			memcpy(o->blob[i], arg, pairs[i].size);
		else
			continue;
		return true;
	}
	return false;
}

static int find_msr(uint32_t index)
{
	for (int i = 0; i < (int)ARRAY_SIZE(msr_index); i++)
		if (msr_index[i] == index && index != MSR_UNREADABLE)
			return i;
	return -1;
}

/* As KVM: how many were moved until one was refused. */
static int move_msrs(struct object *o, struct kvm_msrs *m, bool set)
{
	for (uint32_t i = 0; i < m->nmsrs; i++) {
		int at = find_msr(m->entries[i].index);

		if (at < 0)
			return (int)i;
		if (set)
			o->msr[at] = m->entries[i].data;
		else
			m->entries[i].data = o->msr[at];
	}
	return (int)m->nmsrs;
}

static int list_msrs(struct kvm_msr_list *list)
{
	if (list->nmsrs < ARRAY_SIZE(msr_index))
		return -E2BIG;
	list->nmsrs = ARRAY_SIZE(msr_index);
	memcpy(list->indices, msr_index, sizeof(msr_index));
	return 0;
}

static int list_cpuid(struct kvm_cpuid2 *c)
{
	if (c->nent < 2)
		return -E2BIG;
	memset(c->entries, 0, 2 * sizeof(c->entries[0]));
	c->nent = 2;
	c->entries[0].function = 1;
	c->entries[1].function = 0xb;
	return 0;
}

/* As KVM: an eventfd is one interrupt's, or nobody's. */
static int irqfd(const struct kvm_irqfd *f)
{
	for (int i = 0; i < fake.irqfds; i++) {
		if (fake.irqfd[i] != f->fd)
			continue;
		if (!(f->flags & KVM_IRQFD_FLAG_DEASSIGN))
			return -EBUSY;
		fake.irqfd[i] = fake.irqfd[--fake.irqfds];
		return 0;
	}
	if (f->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return 0;
	if (fake.irqfds == IRQFDS_MAX)
		return -ENOSPC;
	fake.irqfd[fake.irqfds++] = f->fd;
	return 0;
}

int fake_kvm_irqfds(void)
{
	return fake.irqfds;
}

int kvm_call(int fd, unsigned long request, void *arg)
{
	struct object *o = object_of(fd);
	int ret = gate(request);

	if (ret < 0)
		return ret;
	switch (request) {
	case KVM_GET_SUPPORTED_CPUID:
		return list_cpuid(arg);
	case KVM_GET_MSR_INDEX_LIST:
		return list_msrs(arg);
	case KVM_GET_MSRS:
		return o ? move_msrs(o, arg, false) : -EBADF;
	case KVM_SET_MSRS:
		return o ? move_msrs(o, arg, true) : -EBADF;
	case KVM_IRQFD:
		return irqfd(arg);
	default:
		move_registers(o, request, arg);
		return 0;
	}
}

int kvm_call_value(int fd, unsigned long request, unsigned long value)
{
	(void)fd;
	(void)value;
	return gate(request);
}

/* --- the typed calls ---------------------------------------------------------
 */

int kvm_open(const char *path, struct mote_err *err)
{
	int ret = gate(KVM_GET_API_VERSION);

	if (ret < 0)
		return err_set(err, -ret, "open %s: %s",
			       path ? path : "/dev/kvm", strerror(-ret));
	return new_object(0);
}

int kvm_check_extension(int fd, long cap)
{
	(void)fd;
	if (gate(KVM_CHECK_EXTENSION) < 0)
		return 0;
	for (int i = 0; i < CAPS_MAX; i++)
		if (cap && cap == fake.cap[i].cap)
			return fake.cap[i].value;
	return cap == KVM_CAP_XCRS;
}

void fake_kvm_set_cap(long cap, int value)
{
	int i = 0;

	while (i < CAPS_MAX - 1 && fake.cap[i].cap && fake.cap[i].cap != cap)
		i++;
	fake.cap[i].cap = cap;
	fake.cap[i].value = value;
}

int kvm_enable_cap(int fd, uint32_t cap, const uint64_t args[4])
{
	int ret = gate(KVM_ENABLE_CAP);

	(void)fd;
	(void)args;
	if (ret == 0 && cap == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
		fake.manual = true;
	return ret;
}

int kvm_create_vm(int kvm_fd, unsigned long type)
{
	int ret = gate(KVM_CREATE_VM);

	(void)kvm_fd;
	(void)type;
	return ret < 0 ? ret : new_object(0);
}

int kvm_create_vcpu(int vm_fd, uint32_t id)
{
	int ret = gate(KVM_CREATE_VCPU);

	(void)vm_fd;
	(void)id;
	return ret < 0 ? ret : new_object(RING_AT + RING_BYTES);
}

int kvm_vcpu_mmap_size(int kvm_fd)
{
	int ret = gate(KVM_GET_VCPU_MMAP_SIZE);

	(void)kvm_fd;
	return ret < 0 ? ret : (int)RUN_SIZE;
}

int kvm_set_memory(int vm_fd, uint32_t slot, uint32_t flags, uint64_t gpa,
		   uint64_t size, void *hva)
{
	int ret = gate(KVM_SET_USER_MEMORY_REGION);

	(void)vm_fd;
	(void)hva;
	if (ret < 0)
		return ret;
	if (slot >= SLOTS_MAX)
		return -EINVAL;
	fake.slot[slot].flags = size ? flags : 0;
	fake.slot[slot].gpa = gpa;
	fake.slot[slot].size = size;
	return 0;
}

int kvm_get_dirty_log(int vm_fd, uint32_t slot, uint64_t *bitmap)
{
	int ret = gate(KVM_GET_DIRTY_LOG);

	(void)vm_fd;
	if (ret < 0)
		return ret;
	if (!(fake.slot[slot].flags & KVM_MEM_LOG_DIRTY_PAGES))
		return -ENOENT;
	bitmap[0] |= fake.slot[slot].dirty;
	if (!fake.manual)
		fake.slot[slot].dirty = 0;
	return 0;
}

int kvm_clear_dirty_log(int vm_fd, uint32_t slot, uint64_t first,
			uint32_t pages, const uint64_t *bitmap)
{
	int ret = gate(KVM_CLEAR_DIRTY_LOG);

	(void)vm_fd;
	if (ret < 0)
		return ret;
	if (first % 64 != 0 ||
	    (pages % 64 != 0 &&
	     first + pages != fake.slot[slot].size / host_page_size()))
		return -EINVAL;
	if (first == 0)
		fake.slot[slot].dirty &= ~bitmap[0];
	fake.slot[slot].clears++;
	return 0;
}

int kvm_reset_dirty_rings(int vm_fd)
{
	(void)vm_fd;
	return gate(KVM_RESET_DIRTY_RINGS);
}

int kvm_unblock_in_run(int vcpu_fd, int sig)
{
	(void)vcpu_fd;
	(void)sig;
	return gate(KVM_SET_SIGNAL_MASK);
}

int kvm_get_one_reg(int vcpu_fd, uint64_t id, void *val)
{
	(void)vcpu_fd;
	(void)id;
	(void)val;
	return gate(KVM_GET_ONE_REG);
}

int kvm_set_one_reg(int vcpu_fd, uint64_t id, const void *val)
{
	(void)vcpu_fd;
	(void)id;
	(void)val;
	return gate(KVM_SET_ONE_REG);
}

int kvm_create_device(int vm_fd, uint32_t type, bool test)
{
	int ret = gate(KVM_CREATE_DEVICE);

	(void)vm_fd;
	(void)type;
	return ret < 0 || test ? ret : new_object(0);
}

int kvm_set_attr(int dev_fd, uint32_t group, uint64_t attr, const void *val)
{
	(void)dev_fd;
	(void)group;
	(void)attr;
	(void)val;
	return gate(KVM_SET_DEVICE_ATTR);
}

int kvm_get_attr(int dev_fd, uint32_t group, uint64_t attr, void *val)
{
	(void)dev_fd;
	(void)group;
	(void)attr;
	(void)val;
	return gate(KVM_GET_DEVICE_ATTR);
}

/* --- KVM_RUN -----------------------------------------------------------------
 */

static bool immediate_exit(int fd)
{
	uint8_t set = 0;

	return pread(fd, &set, 1, offsetof(struct kvm_run, immediate_exit)) ==
		       1 &&
	       set;
}

/*
 * Sleep until a kick signal is pending (ms 0: only look), and leave it
 * pending as KVM does.
 */
static bool kick_pending(bool wait)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	if (sigtimedwait(&set, NULL, wait ? NULL : &now) < 0)
		return false;
	pthread_kill(pthread_self(), VCPU_KICK_SIGNAL);
	return true;
}

static const struct fake_exit *next_exit(void)
{
	const struct fake_exit *e;

	pthread_mutex_lock(&fake.lock);
	e = fake.repeat;
	if (fake.script_at < fake.script_count)
		e = &fake.script[fake.script_at++];
	pthread_mutex_unlock(&fake.lock);
	return e;
}

static void show(int fd, const struct fake_exit *e)
{
	const size_t from = offsetof(struct kvm_run, exit_reason);
	struct kvm_run run = e->run;

	if (run.exit_reason == KVM_EXIT_IO)
		run.io.data_offset = IO_DATA;
	if (pwrite(fd, (char *)&run + from, sizeof(run) - from, (off_t)from) <
		    0 ||
	    pwrite(fd, e->data, sizeof(e->data), IO_DATA) < 0)
		abort(); /* a memfd can't fail: the fake itself is wrong */
}

int kvm_run(int vcpu_fd)
{
	const struct fake_exit *e;
	int ret = gate(KVM_RUN);

	if (ret < 0)
		return ret;
	if (immediate_exit(vcpu_fd) || kick_pending(false))
		return -EINTR;
	e = next_exit();
	if (!e) {
		while (!kick_pending(true))
			;
		return -EINTR;
	}
	if (e->ret == 0)
		show(vcpu_fd, e);
	return e->ret;
}
