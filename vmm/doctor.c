/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "config/config.h"
#include "kvm/kvm.h"

/* Newer than Debian 12's headers. */
#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#endif
#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#define LANDLOCK_VERSION_FLAG 1u
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

struct doctor {
	doctor_say say;
	void *opaque;
};

static void tell(const struct doctor *d, const char *name, bool ok,
		 const char *detail, const char *cost, const char *remedy)
{
	const struct doctor_finding f = {
		.name = name,
		.ok = ok,
		.detail = detail,
		.cost = ok ? "" : cost,
		.remedy = ok ? "" : remedy,
	};

	d->say(d->opaque, &f);
}

/* First line of a small file; false when it can't be read. */
static bool read_line(const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n <= 0)
		return false;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return true;
}

static void tell_arch(const void *opaque, const char *name, bool ok,
		      const char *detail, const char *cost)
{
	tell(opaque, name, ok, detail, cost, "another host");
}

/* A machine of the default shape, by the normal path. */
static bool try_vm(const struct doctor *d, int kvm_fd)
{
	struct mote_err err = {0};
	struct vm_config cfg;
	struct arch_vm vm = {0};
	int vm_fd = -1, vcpu = -1;
	char detail[MOTE_ERR_MAX] = "";

	if (config_init(&cfg) < 0)
		return false;
	if (arch_vm_create(&vm, kvm_fd, &cfg, NULL, &vm_fd, &err) == 0) {
		vcpu = kvm_create_vcpu(vm_fd, 0);
		if (vcpu < 0)
			err_set(&err, -vcpu, "KVM_CREATE_VCPU: %s",
				strerror(-vcpu));
	}
	snprintf(detail, sizeof(detail), "%s", err.msg);
	tell(d, "virtual machine", vcpu >= 0, detail, "no guest runs", "");
	if (vcpu >= 0)
		arch_doctor(&vm, vcpu, tell_arch, d);
	fd_clear(&vcpu);
	arch_vm_fini(&vm);
	fd_clear(&vm_fd);
	config_fini(&cfg);
	return detail[0] == 0;
}

static void tell_caps(const struct doctor *d, int kvm_fd)
{
	static const struct {
		long cap;
		const char *name, *cost;
	} caps[] = {
		{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT",
		 "guests can't be paused"},
		{KVM_CAP_SYNC_MMU, "KVM_CAP_SYNC_MMU",
		 "no copy-on-write restore"},
		{KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "no interrupts from devices"},
		{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD",
		 "each device kick is an exit"},
		{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		 "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2",
		 "dirty logs cost more to read"},
		{KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
		 "KVM_CAP_DIRTY_LOG_RING_ACQ_REL", "no dirty ring"},
		{KVM_CAP_PRE_FAULT_MEMORY, "KVM_CAP_PRE_FAULT_MEMORY",
		 "a restored guest's first touches fault one by one"},
		{KVM_CAP_BINARY_STATS_FD, "KVM_CAP_BINARY_STATS_FD",
		 "no statistics from KVM"},
	};
	char value[16];

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		int v = kvm_check_extension(kvm_fd, caps[i].cap);

		snprintf(value, sizeof(value), "%d", v);
		tell(d, caps[i].name, v > 0, v > 0 ? value : "", caps[i].cost,
		     "a newer kernel, or another KVM back end");
	}
}

static void tell_sandbox(const struct doctor *d)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_VERSION_FLAG);
	char text[64] = "";

	if (abi > 0)
		snprintf(text, sizeof(text), "ABI %ld", abi);
	tell(d, "Landlock", abi > 0, text,
	     "the jail has one layer less (files)",
	     "boot with lsm=...,landlock, Linux 5.13 or newer");
	tell(d, "MDWE", prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0, "",
	     "the jail has one layer less (memory that was writable can "
	     "become code)",
	     "Linux 6.3 or newer");
	tell(d, "seccomp", prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0, "",
	     "no system-call filters", "CONFIG_SECCOMP_FILTER");
	tell(d, "user namespaces",
	     read_line("/proc/sys/user/max_user_namespaces", text,
		       sizeof(text)) &&
		     strcmp(text, "0") != 0,
	     "", "ordinary users need sandbox.namespaces=no",
	     "sysctl user.max_user_namespaces");
}

static void tell_memory(const struct doctor *d)
{
	char text[64] = "";
	bool ok;

	ok = read_line("/sys/kernel/mm/transparent_hugepage/enabled", text,
		       sizeof(text)) &&
	     !strstr(text, "[never]");
	tell(d, "transparent huge pages", ok, text, "more page faults",
	     "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	ok = read_line("/proc/sys/vm/nr_hugepages", text, sizeof(text)) &&
	     strcmp(text, "0") != 0;
	tell(d, "reserved huge pages", ok, ok ? text : "",
	     "memory.hugepages=2M will not be possible",
	     "sysctl vm.nr_hugepages");
	ok = access("/dev/userfaultfd", R_OK | W_OK) == 0 || geteuid() == 0;
	tell(d, "userfaultfd", ok, "", "no lazy verification of a restore",
	     "access to /dev/userfaultfd, Linux 6.1 or newer");
}

static void tell_vfio(const struct doctor *d)
{
	bool ok = access("/dev/vfio/vfio", F_OK) == 0;

	tell(d, "VFIO", ok, "", "no passed-through devices",
	     "modprobe vfio-pci, with an IOMMU switched on");
}

bool doctor_run(doctor_say say, void *opaque)
{
	const struct doctor d = {say, opaque};
	struct mote_err err = {0};
	cleanup_fd int kvm_fd = kvm_open(NULL, &err);
	char cpu[64];
	bool ok = kvm_fd >= 0;

	arch_cpu_model(cpu, sizeof(cpu));
	tell(&d, "processor", true, cpu, "", "");
	tell(&d, "KVM", ok, ok ? "/dev/kvm" : err.msg, "no guest runs", "");
	if (ok)
		ok = try_vm(&d, kvm_fd);
	if (kvm_fd >= 0)
		tell_caps(&d, kvm_fd);
	tell_sandbox(&d);
	tell_memory(&d);
	tell_vfio(&d);
	return ok;
}
