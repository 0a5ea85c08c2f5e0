/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_priv.h - the parts of an x86_64 vCPU's state that have files of
 * their own.
 */
#ifndef VMM_ARCH_X86_64_STATE_PRIV_H
#define VMM_ARCH_X86_64_STATE_PRIV_H

#include <stdint.h>

struct arch_vcpu;
struct mote_err;
struct snap_section;
struct snap_writer;

#define MSR_TSC		 0x10u
#define MSR_TSC_DEADLINE 0x6e0u

/* A vCPU's ioctl; a failure is told by the request's name. */
int state_call(struct arch_vcpu *v, unsigned long request, void *arg,
	       const char *name, struct mote_err *err);
#define CALL(v, request, arg, err) state_call(v, request, arg, #request, err)

/* kvm_msrs.c */
struct kvm_msrs;
/* 0 for one that this vCPU does not have. */
int msr_get(struct arch_vcpu *v, uint32_t index, uint64_t *value,
	    struct mote_err *err);
int msrs_set(struct arch_vcpu *v, struct kvm_msrs *m, struct mote_err *err);
int save_msrs(struct arch_vcpu *v, struct snap_writer *w, struct mote_err *err);
int load_msrs(struct arch_vcpu *v, struct snap_section *r,
	      struct mote_err *err);

/* kvm_timer.c */
int save_lapic(struct arch_vcpu *v, struct snap_writer *w,
	       struct mote_err *err);
int load_lapic(struct arch_vcpu *v, struct snap_section *r,
	       struct mote_err *err);

#endif
