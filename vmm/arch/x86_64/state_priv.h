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

#define SECTION_VCPU "x86-vcpu"

#define MSR_TSC		 0x10u
#define MSR_TSC_DEADLINE 0x6e0u

/* A vCPU's ioctl; a failure is told by the request's name. */
int state_call(struct arch_vcpu *v, unsigned long request, void *arg,
	       const char *name, struct mote_err *err);
#define CALL(v, request, arg, err) state_call(v, request, arg, #request, err)

/* All of KVM_GET_XSAVE's or KVM_GET_XSAVE2's state, malloc'd; see kvm_state.c.
 */
int get_xsave(struct arch_vcpu *v, uint8_t **buf, struct mote_err *err);

/* kvm_rewind.c: set what a rewind left to do; settle: also in KVM_RUN's area,
 * so that KVM's calls read it. */
int rewind_put(struct arch_vcpu *v, struct mote_err *err);
int rewind_settle(struct arch_vcpu *v, struct mote_err *err);

/* kvm_msrs.c */
struct kvm_msrs;
/* Those that a snapshot has but the clock's, as they are; malloc'd. */
int get_settable_msrs(struct arch_vcpu *v, struct kvm_msrs **out,
		      struct mote_err *err);
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
