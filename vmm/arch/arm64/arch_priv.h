/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_priv.h - between the files of arch/arm64.
 */
#ifndef VMM_ARCH_ARM64_ARCH_PRIV_H
#define VMM_ARCH_ARM64_ARCH_PRIV_H

#include <stdbool.h>
#include <stdint.h>

struct arch_vcpu;
struct arch_vm;
struct mote_err;
struct snap_reader;
struct snap_section;
struct vm_config;

/* Create the interrupt controller, set its addresses (kvm_irq.c). */
int gic_create(struct arch_vm *a, uint32_t vcpus, struct mote_err *err);
void gic_fini(struct arch_vm *a); /* none: fine */

/* Before there is a VM: does KVM offer one at all? */
int gic_check_host(int kvm_fd, struct mote_err *err);

/* Has the saved guest one, and is it (or none) of the version that a has? */
bool gic_is_saved(const struct snap_reader *saved);
int gic_check_saved(const struct arch_vm *a, const struct snap_reader *saved,
		    struct mote_err *err);

/*
 * What the vCPUs are initialised with (kvm_features.c): the snapshot's, or
 * (saved NULL) what the configuration asks for.  A host that lacks some of it
 * is told by name.
 */
int features_choose(struct arch_vm *a, const struct vm_config *cfg,
		    const struct snap_reader *saved, struct mote_err *err);

/* Right after init: vector lengths, then the end of the vCPU's shaping. */
int features_finalize(struct arch_vcpu *v, struct mote_err *err);

/*
 * The PSCI version of a saved guest, MAJOR << 16 | MINOR (kvm_state.c): 0.2
 * where the state has no register for it.  A state that makes no sense is
 * told when it is loaded.
 */
uint32_t state_psci(const struct snap_reader *saved);

/* arch_host_check of a vCPU's section; of another: 0. */
int state_check_host(int kvm_fd, const struct snap_reader *saved,
		     const struct snap_section *s, bool values,
		     struct mote_err *err);

/* How wide the addresses of its guests can be (kvm_vcpu.c). */
uint32_t host_ipa_bits(int kvm_fd);

/* MIDR_EL1, 0: the kernel does not tell (kvm_vcpu.c). */
uint64_t host_midr(void);

/* Are the vector lengths of a vCPU's state those that it was made with? */
int features_check_lengths(struct arch_vcpu *v, const void *saved,
			   struct mote_err *err);

#endif
