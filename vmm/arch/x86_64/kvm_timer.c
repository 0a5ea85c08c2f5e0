/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_timer.c - the local APIC in a snapshot, and what runs with the host's
 * clock: its timer and the TSC.
 *
 * A loaded vCPU has its timer stopped until arch_vcpu_commit, however long
 * it waits: a timer that ran out meanwhile would be an interrupt that was
 * not in the snapshot.  Source: Intel SDM vol. 3, 11.5.4; KVM's lapic.c.
 */
#include <linux/kvm.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/state_priv.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define APIC_ISR	0x100
#define APIC_IRR	0x200
#define APIC_LVTT	0x320
#define APIC_INIT_COUNT 0x380
#define APIC_CUR_COUNT	0x390
#define LVTT_VECTOR	0xffu
#define LVTT_MODE	(3u << 17)
#define LVTT_ONESHOT	0u

#define TSC_ELSEWHERE (UINT64_C(1) << 62)

/* Room for two writes of the TSC and one of the deadline. */
struct clock_msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[3];
};

static uint32_t apic_get(const struct kvm_lapic_state *a, size_t reg)
{
	uint32_t v;

	memcpy(&v, a->regs + reg, sizeof(v));
	return v;
}

static void apic_put(struct kvm_lapic_state *a, size_t reg, uint32_t v)
{
	memcpy(a->regs + reg, &v, sizeof(v));
}

/* Is the vector's bit set in the ISR or IRR? */
static bool apic_bit(const struct kvm_lapic_state *a, size_t reg,
		     uint32_t vector)
{
	return apic_get(a, reg + vector / 32 * 16) & 1u << vector % 32;
}

/*
 * Where the host delivers a timer's interrupt by itself, it may come between
 * our two reads: the deadline is 0 then, and an interrupt page from before
 * lacks it.  Nobody arms it anew, so the second look at the latest is good.
 */
static int get_lapic(struct arch_vcpu *v, struct kvm_lapic_state *apic,
		     struct mote_err *err)
{
	uint64_t before, after;
	int ret = msr_get(v, MSR_TSC_DEADLINE, &after, err);

	do {
		before = after;
		if (ret == 0)
			ret = CALL(v, KVM_GET_LAPIC, apic, err);
		if (ret == 0)
			ret = msr_get(v, MSR_TSC_DEADLINE, &after, err);
	} while (ret == 0 && before != after);
	if (ret == 0 && !v->held)
		v->held_deadline = after;
	return ret;
}

int save_lapic(struct arch_vcpu *v, struct snap_writer *w, struct mote_err *err)
{
	struct kvm_lapic_state apic;
	int ret = get_lapic(v, &apic, err);

	if (ret < 0)
		return ret;
	if (v->held) {
		apic_put(&apic, APIC_INIT_COUNT, v->held_apic_init);
		apic_put(&apic, APIC_CUR_COUNT, v->held_apic_count);
	}
	snap_put_bytes(w, apic.regs, sizeof(apic.regs));
	return 0;
}

int load_lapic(struct arch_vcpu *v, struct snap_section *r,
	       struct mote_err *err)
{
	struct kvm_lapic_state apic = {0};

	snap_get_bytes(r, apic.regs, sizeof(apic.regs));
	if (r->error)
		return 0;
	v->held_apic_init = apic_get(&apic, APIC_INIT_COUNT);
	v->held_apic_count = apic_get(&apic, APIC_CUR_COUNT);
	apic_put(&apic, APIC_INIT_COUNT, 0);
	apic_put(&apic, APIC_CUR_COUNT, 0);
	return CALL(v, KVM_SET_LAPIC, &apic, err);
}

/*
 * A one-shot timer that ran out and whose interrupt waits or is being
 * handled.  KVM would start it anew and let it run out at once.
 */
static bool has_fired(const struct arch_vcpu *v,
		      const struct kvm_lapic_state *apic)
{
	uint32_t lvtt = apic_get(apic, APIC_LVTT);
	uint32_t vector = lvtt & LVTT_VECTOR;

	return (lvtt & LVTT_MODE) == LVTT_ONESHOT && v->held_apic_count == 0 &&
	       (apic_bit(apic, APIC_IRR, vector) ||
		apic_bit(apic, APIC_ISR, vector));
}

/* KVM goes on with the current count. */
static int start_timer(struct arch_vcpu *v, struct mote_err *err)
{
	struct kvm_lapic_state apic;
	int ret = CALL(v, KVM_GET_LAPIC, &apic, err);

	if (ret < 0 || has_fired(v, &apic))
		return ret;
	apic_put(&apic, APIC_INIT_COUNT, v->held_apic_init);
	apic_put(&apic, APIC_CUR_COUNT, v->held_apic_count);
	return CALL(v, KVM_SET_LAPIC, &apic, err);
}

static void add_msr(struct clock_msrs *m, uint32_t index, uint64_t value)
{
	m->entry[m->head.nmsrs++] =
		(struct kvm_msr_entry){.index = index, .data = value};
}

/*
 * KVM takes a TSC that is less than a second from what it expects for an
 * attempt to synchronise vCPUs, and sets what it expects: that is meant for
 * all vCPUs but the first.  Before Linux 6.8 a guest that was saved in its
 * first second would find its clock set back to the start of the new VM.
 */
static int start_tsc(struct arch_vcpu *v, struct mote_err *err)
{
	struct clock_msrs m = {.head.nmsrs = 0};

	if (v->id == 0)
		add_msr(&m, MSR_TSC, v->held_tsc ^ TSC_ELSEWHERE);
	add_msr(&m, MSR_TSC, v->held_tsc);
	/* Zero is no deadline; any other is in terms of that TSC. */
	if (v->held_deadline)
		add_msr(&m, MSR_TSC_DEADLINE, v->held_deadline);
	return msrs_set(v, &m.head, err);
}

int arch_vcpu_commit(struct arch_vcpu *v, struct mote_err *err)
{
	int ret = 0;

	if (!v->held)
		return 0;
	ret = rewind_put(v, err);
	if (ret == 0 && v->held_apic_init)
		ret = start_timer(v, err);
	if (ret == 0)
		ret = start_tsc(v, err);
	v->held = ret < 0;
	return ret;
}
