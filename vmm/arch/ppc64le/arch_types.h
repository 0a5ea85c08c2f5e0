/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_types.h - what ppc64le keeps for a VM and for a vCPU.
 */
#ifndef VMM_ARCH_PPC64LE_ARCH_TYPES_H
#define VMM_ARCH_PPC64LE_ARCH_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/ppc64le/hpt.h"

#define PPC_VCPUS_MAX 64

struct arch_vcpu;
struct memslot_table;
struct xive;

struct arch_vm {
	int kvm_fd, vm_fd;
	bool radix;		     /* else hpt is its table */
	atomic_ullong process_table; /* of a radix guest: kvm_radix.c */
	struct hpt hpt;
	/* One of the two, or none. */
	int xics_fd;	   /* -1: the machine has no XICS */
	struct xive *xive; /* NULL: it is not in XIVE's native mode */
	struct memslot_table *slots;
	/* By id; filled before the first run, and constant from then on. */
	struct arch_vcpu *vcpu[PPC_VCPUS_MAX];
	atomic_ullong mode; /* LPCR bits that H_SET_MODE chose for all vCPUs */
	uint64_t tb_offset; /* of loaded vCPUs: the guest's timebase, less ours
			     */
};

/* Where a vCPU is between RTAS stop-self and start-cpu. */
enum ppc_run {
	PPC_RUNNING,
	PPC_STOPPED,
	PPC_CLAIMED,  /* start-cpu writes entry and arg */
	PPC_STARTING, /* its own thread has to set its registers */
};

struct arch_vcpu {
	struct arch_vm *vm;
	int fd;
	uint32_t id;
	atomic_uint run;     /* enum ppc_run */
	uint64_t entry, arg; /* of start-cpu: while PPC_STARTING */
	uint64_t lpcr;	     /* as KVM has it; its own thread's */
	atomic_ullong mode;  /* the bits of arch_vm.mode as they are in lpcr */
	/* Time-derived registers as loaded, until arch_vcpu_commit. */
	bool held;
	uint64_t held_tb;  /* the guest's timebase */
	uint64_t held_dec; /* when the decrementer fires, guest timebase */
};

#endif
