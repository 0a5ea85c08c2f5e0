/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm.h - the KVM uAPI (linux/kvm.h), one typed function a call.
 *
 * Every function returns 0 (or what it names) or -errno, restarts on EINTR
 * except kvm_run, and says nothing.  Threads: as KVM asks: vCPU calls from
 * the vCPU's thread, or from the VM thread while the vCPU is parked.
 * Calls that carry a per-architecture struct go through kvm_call and stand
 * in arch/ARCH/kvm_*.c.
 */
#ifndef VMM_KVM_KVM_H
#define VMM_KVM_KVM_H

#include <stdbool.h>
#include <stdint.h>

struct mote_err;

/* ioctl(fd, request, arg), restarted on EINTR: a count or -errno. */
int kvm_call(int fd, unsigned long request, void *arg);
int kvm_call_value(int fd, unsigned long request, unsigned long value);

/*
 * Open the KVM device (NULL: /dev/kvm) and check the API version.  Returns
 * the descriptor; the message says what to do where it is missing (class
 * 69) or not permitted (class 77).
 */
int kvm_open(const char *path, struct mote_err *err);

/* KVM_CHECK_EXTENSION on the device or the VM: 0 when absent, else > 0. */
int kvm_check_extension(int fd, long cap);
int kvm_enable_cap(int fd, uint32_t cap, const uint64_t args[4]);

int kvm_create_vm(int kvm_fd, unsigned long type); /* VM descriptor */
int kvm_create_vcpu(int vm_fd, uint32_t id);	   /* vCPU descriptor */
int kvm_vcpu_mmap_size(int kvm_fd);

/* Flags of a slot: KVM_MEM_*. size 0 removes the slot. */
int kvm_set_memory(int vm_fd, uint32_t slot, uint32_t flags, uint64_t gpa,
		   uint64_t size, void *hva);

/*
 * One bit a page, in 64-bit words; reading clears KVM's log, unless
 * KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 leaves that to clear: of pages from first
 * on, a multiple of 64 of them or up to the slot's end, those with a bit.
 */
int kvm_get_dirty_log(int vm_fd, uint32_t slot, uint64_t *bitmap);
int kvm_clear_dirty_log(int vm_fd, uint32_t slot, uint64_t first,
			uint32_t pages, const uint64_t *bitmap);

/* Entries of dirty rings that were taken are KVM's again; how many. */
int kvm_reset_dirty_rings(int vm_fd);

/* Not restarted: -EINTR is the answer to a kick. */
int kvm_run(int vcpu_fd);

/* While in KVM_RUN only sig is unblocked (KVM_SET_SIGNAL_MASK). */
int kvm_unblock_in_run(int vcpu_fd, int sig);

/* KVM_GET_ONE_REG and KVM_SET_ONE_REG; val holds the size that id says. */
int kvm_get_one_reg(int vcpu_fd, uint64_t id, void *val);
int kvm_set_one_reg(int vcpu_fd, uint64_t id, const void *val);

/*
 * KVM_CREATE_DEVICE (test: only ask) and its attributes.  create returns
 * the device's descriptor (0 for a test).
 */
int kvm_create_device(int vm_fd, uint32_t type, bool test);
int kvm_set_attr(int dev_fd, uint32_t group, uint64_t attr, const void *val);
int kvm_get_attr(int dev_fd, uint32_t group, uint64_t attr, void *val);

#endif
