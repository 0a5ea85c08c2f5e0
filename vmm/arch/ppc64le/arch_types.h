/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_types.h - what ppc64le keeps for a VM and for a vCPU.
 */
#ifndef VMM_ARCH_PPC64LE_ARCH_TYPES_H
#define VMM_ARCH_PPC64LE_ARCH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/ppc64le/hpt.h"

struct arch_vm {
	int kvm_fd, vm_fd;
	bool radix; /* else hpt is its table */
	struct hpt hpt;
};

struct arch_vcpu {
	struct arch_vm *vm;
	int fd;
	uint32_t id;
	/* Time-derived registers as loaded, until arch_vcpu_commit. */
	bool held;
	uint64_t held_tb;  /* the guest's timebase */
	uint64_t held_dec; /* when the decrementer fires, guest timebase */
};

#endif
