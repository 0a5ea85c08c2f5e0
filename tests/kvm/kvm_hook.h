/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_hook.h - a real KVM that answers otherwise where a test says so.
 *
 * The test programs are linked with --wrap: calls of kvm/kvm.h from other
 * files come through here.  A hook that is NULL changes nothing.  It answers
 * KVM_HOOK_PASS (ask KVM), 0 or -errno (the answer, KVM is not asked).
 * Threads: set before the machine has any.  Each test is a process.
 */
#ifndef TESTS_KVM_KVM_HOOK_H
#define TESTS_KVM_KVM_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#define KVM_HOOK_PASS 1

struct kvm_hook {
	/* KVM_SET_ONE_REG (set) and KVM_GET_ONE_REG. */
	int (*one_reg)(int vcpu_fd, bool set, uint64_t id, void *val);
	int (*create_device)(uint32_t type);
	int (*check_extension)(long cap);
	void (*run)(int vcpu_fd);
};
extern struct kvm_hook kvm_hook;

#endif
