/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_priv.h - between the files of arch/arm64.
 */
#ifndef VMM_ARCH_ARM64_ARCH_PRIV_H
#define VMM_ARCH_ARM64_ARCH_PRIV_H

struct arch_vm;
struct mote_err;

/* Create the interrupt controller, set its addresses (kvm_irq.c). */
int gic_create(struct arch_vm *a, struct mote_err *err);
void gic_fini(struct arch_vm *a); /* none: fine */

#endif
