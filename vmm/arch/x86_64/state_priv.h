/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_priv.h - the parts of an x86_64 vCPU's state that have files of
 * their own.
 */
#ifndef VMM_ARCH_X86_64_STATE_PRIV_H
#define VMM_ARCH_X86_64_STATE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

struct arch_vcpu;
struct arch_vm;
struct cpu_features;
struct kvm_cpuid2;
struct mote_err;
struct snap_reader;
struct snap_section;
struct snap_writer;
struct vm_config;

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

/*
 * kvm_sync.c: give the next KVM_RUN registers, take that back, or set them
 * now (which is what happens where KVM can't: sync_works).
 */
struct kvm_regs;
struct kvm_sregs;
struct kvm_vcpu_events;
bool sync_works(struct arch_vcpu *v, uint32_t mp_state);
void sync_regs(struct arch_vcpu *v, const struct kvm_regs *regs);
void sync_sregs(struct arch_vcpu *v, const struct kvm_sregs *sregs);
void sync_events(struct arch_vcpu *v, const struct kvm_vcpu_events *events);
void sync_drop(struct arch_vcpu *v);
int sync_settle(struct arch_vcpu *v, struct mote_err *err);

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

/*
 * kvm_cpuid.c: a->cpuid of a new machine, or of one that was saved; the
 * comparison that comes before: -ENOTSUP names what this host lacks (sections
 * of other names are as they should be).
 */
int cpuid_create(struct arch_vm *a, const struct vm_config *cfg,
		 const struct snap_reader *saved, struct mote_err *err);
int cpuid_host_check(int kvm_fd, const struct snap_section *s,
		     struct mote_err *err);
void cpuid_save(const struct kvm_cpuid2 *c, struct snap_writer *w);
/* *out: malloc'd, also after a failure. */
int cpuid_load(const struct snap_section *s, struct kvm_cpuid2 **out,
	       struct mote_err *err);
void cpuid_set_apic(struct kvm_cpuid2 *c, uint32_t id);
void cpuid_mask(struct kvm_cpuid2 *c, const struct cpu_features *f);
int cpuid_compare(struct kvm_cpuid2 *shown, struct kvm_cpuid2 *host,
		  struct mote_err *err);

/* kvm_timer.c */
int save_lapic(struct arch_vcpu *v, struct snap_writer *w,
	       struct mote_err *err);
int load_lapic(struct arch_vcpu *v, struct snap_section *r,
	       struct mote_err *err);

#endif
