/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/kick.h"
#include "kvm/kvm.h"
#include "memory/guestmem.h"
#include "memory/ring.h"

#define RUN_MAX_S 20 /* emulated hosts are slow */

void machine_fini(struct machine *m)
{
	arch_vcpu_fini(&m->vcpu);
	map_fini(&m->run_map);
	fd_clear(&m->vcpu_fd);
	arch_vm_fini(&m->arch);
	fd_clear(&m->vm_fd);
	m->slots.vm_fd = -1; /* the slots went with the VM */
	memslot_fini(&m->slots);
	config_fini(&m->cfg);
	pthread_sigmask(SIG_SETMASK, &m->old_mask, NULL);
}

static void block_kick(struct machine *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &set, &m->old_mask);
}

static int machine_ram(struct machine *m, struct mote_err *err)
{
	struct arch_ram ram[ARCH_RAM_MAX];
	int ret = arch_ram_layout(PROTOCOL_MOTE, MACHINE_RAM, ram);

	if (ret < 0)
		return ret;
	memslot_init(&m->slots, m->vm_fd);
	ret = memslot_add(&m->slots, ram[0].gpa, ram[0].size, err);
	return ret < 0 ? ret : 0;
}

static int machine_vcpu(struct machine *m, struct mote_err *err)
{
	int ret = kvm_create_vcpu(m->vm_fd, 0);

	if (ret < 0)
		return err_set(err, -ret, "KVM_CREATE_VCPU");
	m->vcpu_fd = ret;
	ret = kvm_vcpu_mmap_size(m->kvm_fd);
	if (ret < 0)
		return err_set(err, -ret, "KVM_GET_VCPU_MMAP_SIZE");
	ret = map_shared(&m->run_map, m->vcpu_fd, 0, (size_t)ret,
			 PROT_READ | PROT_WRITE, err);
	if (ret < 0)
		return ret;
	m->run = m->run_map.addr;
	ret = kvm_unblock_in_run(m->vcpu_fd, VCPU_KICK_SIGNAL);
	if (ret == 0)
		ret = arch_vcpu_init(&m->vcpu, &m->arch, m->vcpu_fd, m->run, 0,
				     err);
	if (ret == 0)
		ret = arch_vm_ready(&m->arch, &m->slots, err);
	return ret;
}

/* Registers at entry: the guest begins (again). */
static int machine_enter(struct machine *m, struct mote_err *err)
{
	const struct arch_boot boot = {.entry = arch_image_base(),
				       .boot_page = arch_boot_page(),
				       .user_mode = true};

	return arch_vcpu_boot(&m->vcpu, &boot, err);
}

/* No machine could be made: that is the answer. */
static void machine_none(struct machine *m, int code,
			 const struct mote_err *err, struct uapi_answer *a)
{
	machine_fini(m);
	uapi_answer(a, UAPI_ABSENT, "no machine to try it on: %.150s",
		    err->msg[0] ? err->msg : strerror(-code));
}

static int machine_vm(struct machine *m, int kvm_fd, struct mote_err *err)
{
	int ret;

	*m = (struct machine){.kvm_fd = kvm_fd, .vm_fd = -1, .vcpu_fd = -1};
	memslot_init(&m->slots, -1);
	block_kick(m);
	ret = config_init(&m->cfg);
	m->cfg.vm.memory = MACHINE_RAM;
	if (ret == 0)
		ret = arch_vm_create(&m->arch, kvm_fd, &m->cfg, NULL, &m->vm_fd,
				     err);
	return ret;
}

bool machine_shell(struct machine *m, int kvm_fd, struct uapi_answer *a)
{
	struct mote_err err = {0};
	int ret = machine_vm(m, kvm_fd, &err);

	if (ret < 0)
		machine_none(m, ret, &err, a);
	return ret == 0;
}

static int machine_ring(const struct machine *m, uint64_t size)
{
	const uint64_t args[4] = {size};
	int ret =
		kvm_enable_cap(m->vm_fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, args);

	/* Where it exists the ring alone is not exact (arm64). */
	if (ret == 0 &&
	    kvm_check_extension(m->vm_fd, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP))
		ret = kvm_enable_cap(m->vm_fd,
				     KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, NULL);
	return ret;
}

bool machine_init(struct machine *m, int kvm_fd, uint64_t ring,
		  struct uapi_answer *a)
{
	struct mote_err err = {0};
	uint64_t fdt;
	size_t size;
	const void *guest = arch_uapi_guest(&size);
	int ret = machine_vm(m, kvm_fd, &err);

	if (ret == 0 && ring)
		ret = machine_ring(m, ring);
	if (ret == 0)
		ret = machine_ram(m, &err);
	if (ret == 0)
		ret = machine_vcpu(m, &err);
	if (ret == 0)
		ret = arch_boot_tables(&m->arch, &m->slots, &m->cfg, false,
				       &fdt, &err);
	if (ret == 0)
		ret = guest_write(&m->slots, arch_image_base(), guest, size);
	if (ret == 0)
		ret = machine_enter(m, &err);
	if (ret < 0)
		machine_none(m, ret, &err, a);
	return ret == 0;
}

void machine_take_kick(void)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
}

int machine_run(struct machine *m)
{
	const struct itimerspec limit = {.it_value = {.tv_sec = RUN_MAX_S}};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID,
			      .sigev_signo = VCPU_KICK_SIGNAL};
	timer_t timer;
	int ret;

	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) < 0)
		return -errno;
	timer_settime(timer, 0, &limit, NULL);
	do {
		ret = kvm_run(m->vcpu_fd);
	} while (ret == -EAGAIN);
	timer_delete(timer);
	return ret;
}

int machine_finish_exit(struct machine *m)
{
	int ret;

	m->run->immediate_exit = 1;
	ret = kvm_run(m->vcpu_fd);
	m->run->immediate_exit = 0;
	return ret;
}

int machine_run_guest(struct machine *m)
{
	int ret = machine_enter(m, NULL);

	if (ret == 0)
		ret = machine_run(m);
	if (ret == 0)
		machine_finish_exit(m);
	machine_take_kick();
	return ret;
}
