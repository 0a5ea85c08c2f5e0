/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_types.h - what x86_64 keeps for a VM and for a vCPU.
 */
#ifndef VMM_ARCH_X86_64_ARCH_TYPES_H
#define VMM_ARCH_X86_64_ARCH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_cpuid2;
struct kvm_run;
struct x86_image;

/* How much of the image is still to be set before the next run. */
enum x86_late {
	LATE_NONE,
	LATE_CONFINED, /* what ring 3 can change */
	LATE_ALL,
};

struct arch_vm {
	int kvm_fd, vm_fd;
	struct kvm_cpuid2 *cpuid; /* what every vCPU gets */
	/* As loaded, until the first run (arch_vm_commit). */
	bool clock_held;
	uint64_t clock_ns;
};

struct arch_vcpu {
	struct arch_vm *vm;
	int fd;
	struct kvm_run *run;
	uint32_t id;
	uint32_t mp_state; /* during a save */
	/*
	 * What runs with the clock, as loaded, until arch_vcpu_commit.  The
	 * deadline also during a save: as it was when the LAPIC was read.
	 */
	bool held;
	uint64_t held_tsc, held_deadline;
	uint32_t held_apic_init, held_apic_count;
	/* Of one that is rewound (kvm_rewind.c). */
	struct x86_image *image;
	enum x86_late late;
};

#endif
