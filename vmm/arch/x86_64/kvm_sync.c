/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_sync.c - registers that the next KVM_RUN takes from kvm_run
 * (KVM_CAP_SYNC_REGS): three calls less for each restore and rewind.
 *
 * Until then KVM does not know them: who reads registers settles them first.
 * Only for a vCPU that runs at once: one that waits for its start would have
 * them set over what the start gave it.  Source: KVM API 5 (kvm_run), 6.76.
 */
#include <linux/kvm.h>

#include "arch/arch.h"
#include "arch/x86_64/state_priv.h"
#include "kvm/kvm.h"

#define ALL (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

bool sync_works(struct arch_vcpu *v, uint32_t mp_state)
{
	return mp_state == KVM_MP_STATE_RUNNABLE &&
	       (kvm_check_extension(v->vm->vm_fd, KVM_CAP_SYNC_REGS) & ALL) ==
		       ALL;
}

void sync_regs(struct arch_vcpu *v, const struct kvm_regs *regs)
{
	v->run->s.regs.regs = *regs;
	v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

void sync_sregs(struct arch_vcpu *v, const struct kvm_sregs *sregs)
{
	v->run->s.regs.sregs = *sregs;
	v->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
}

void sync_events(struct arch_vcpu *v, const struct kvm_vcpu_events *events)
{
	v->run->s.regs.events = *events;
	v->run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
}

void sync_drop(struct arch_vcpu *v)
{
	v->run->kvm_dirty_regs = 0;
}

int sync_settle(struct arch_vcpu *v, struct mote_err *err)
{
	struct kvm_sync_regs *s = &v->run->s.regs;
	uint64_t dirty = v->run->kvm_dirty_regs;
	int ret = 0;

	if (dirty & KVM_SYNC_X86_SREGS)
		ret = CALL(v, KVM_SET_SREGS, &s->sregs, err);
	if (ret == 0 && dirty & KVM_SYNC_X86_REGS)
		ret = CALL(v, KVM_SET_REGS, &s->regs, err);
	if (ret == 0 && dirty & KVM_SYNC_X86_EVENTS)
		ret = CALL(v, KVM_SET_VCPU_EVENTS, &s->events, err);
	if (ret == 0)
		sync_drop(v);
	return ret;
}
