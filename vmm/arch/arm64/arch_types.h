/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_types.h - what arm64 keeps for a VM and for a vCPU.
 */
#ifndef VMM_ARCH_ARM64_ARCH_TYPES_H
#define VMM_ARCH_ARM64_ARCH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define ARM64_VCPUS_MAX	 64
#define ARM64_TIMERS_MAX 6 /* registers of the virtual and physical timer */
#define ARM64_INIT_WORDS 7 /* of struct kvm_vcpu_init */
#define ARM64_SVE_WORDS	 8 /* of the register of vector lengths */

struct arch_vm {
	int kvm_fd, vm_fd;
	bool hvt;	      /* the Solo5 contract: no interrupt controller */
	uint32_t ipa_bits;    /* of the VM, or of the snapshot it came from */
	uint32_t ipa_limit;   /* what the host offers */
	uint32_t psci_wanted; /* cpu.psci of the configuration */
	uint32_t psci;	      /* what the vCPUs have, MAJOR << 16 | MINOR */
	uint32_t target, features[ARM64_INIT_WORDS]; /* for vCPU init */
	/* With SVE: bit n is a length of (n + 1) * 128 bits; 0: not known. */
	uint64_t sve_lengths[ARM64_SVE_WORDS];
	uint32_t gic_version; /* 3, 2, or 0: none (and no descriptor) */
	int gic_fd;
	bool gic_used; /* it was loaded: its registers may hold anything */
	uint32_t vcpus;
	uint64_t mpidr[ARM64_VCPUS_MAX]; /* affinity bits, by id */
};

struct arch_vcpu {
	struct arch_vm *vm;
	int fd;
	uint32_t id;
	/* Timer registers as loaded, until arch_vcpu_commit (kvm_state.c). */
	uint32_t held; /* one bit for each that was loaded */
	uint64_t held_timer[ARM64_TIMERS_MAX];
};

#endif
