/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_rewind.c - an x86_64 vCPU goes back to what was loaded, with few calls.
 *
 * Each call for a vCPU loads and puts it, which costs more than its work.  So
 * what KVM has after the load is noted once; a rewind only remembers that it
 * is to be set, and just before the next run it is, clocks included.  General
 * registers, segments and events go in through kvm_run (KVM_CAP_SYNC_REGS).
 *
 * A guest that is confined to ring 3 needs no more than its FPU and the TSC
 * beside them: it can't reach ring 0 (no IDT, no SYSCALL, no SYSENTER, no
 * descriptor table or page table that it can write), nor the local APIC, and
 * no counter runs, so debug registers, XCR0, MSRs and APIC are as they were.
 * That is proved from the state itself when it is noted.  Not so after a crash:
 * a triple fault resets a vCPU on some hosts and may leave traces in DR6.
 *
 * Sources: KVM API 4.x and 5 (kvm_run); Intel SDM vol. 3, 5 and 6.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/state_priv.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"
#include "snapshot/stream.h"

#define CR0_PG	   (UINT64_C(1) << 31)
#define CR4_PAE	   (UINT64_C(1) << 5)
#define CR4_LA57   (UINT64_C(1) << 12)
#define EFER_SCE   (UINT64_C(1) << 0)
#define EFER_LMA   (UINT64_C(1) << 10)
#define RPL	   3u
#define PTE_P	   (UINT64_C(1) << 0)
#define PTE_US	   (UINT64_C(1) << 2)
#define PTE_PS	   (UINT64_C(1) << 7)
#define PTE_ADDR   UINT64_C(0x000ffffffffff000)
#define DESC_S	   (UINT64_C(1) << 44) /* code or data */
#define DESC_P	   (UINT64_C(1) << 47)
#define PTES	   512
#define LEVELS	   4
#define TABLES_MAX 80

#define APIC_DEFAULT UINT64_C(0xfee00000)
#define EVNTSELS     8
#define EVNTSEL_ON   (UINT64_C(1) << 22)

#define MSR_EVNTSEL0	    0x186u
#define MSR_FIXED_CTRL	    0x38du
#define MSR_K7_EVNTSEL0	    0xc0010000u
#define MSR_F15H_CTL	    0xc0010200u /* control, counter, and so on */
#define MSR_SYSENTER_CS	    0x174u
#define MSR_KVM_SYSTEM_TIME 0x12u
#define MSR_KVM_TIME_NEW    0x4b564d01u

struct x86_image {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_debugregs debug;
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic; /* its timer stopped */
	struct kvm_msrs *msrs;	      /* without those that are held */
	uint8_t *xsave;
	uint64_t tsc, deadline;
	uint32_t apic_init, apic_count;
	bool sync;     /* kvm_run takes registers */
	bool confined; /* ring 3 for good */
};

void arch_vcpu_forget(struct arch_vcpu *v)
{
	if (!v->image)
		return;
	free(v->image->msrs);
	free(v->image->xsave);
	free(v->image);
	v->image = NULL;
}

/* --- confined? -------------------------------------------------------------
 */

/* Pages that the guest must not write: its tables. */
struct tables {
	const struct memslot_table *slots;
	uint64_t page[TABLES_MAX];
	int count;
};

static bool is_table(const struct tables *t, uint64_t from, uint64_t to)
{
	for (int i = 0; i < t->count; i++)
		if (t->page[i] + 4096 > from && t->page[i] < to)
			return true;
	return false;
}

/* Note the table at gpa and those below it; false: too many, or no RAM. */
static bool find_tables(struct tables *t, uint64_t gpa, int level)
{
	uint64_t pte[PTES];

	if (t->count == TABLES_MAX ||
	    guest_read(t->slots, gpa, pte, sizeof(pte)) < 0)
		return false;
	t->page[t->count++] = gpa;
	for (int i = 0; level > 1 && i < PTES; i++)
		if ((pte[i] & PTE_P) && !(pte[i] & PTE_PS) &&
		    !find_tables(t, pte[i] & PTE_ADDR, level - 1))
			return false;
	return true;
}

/* What ring 3 can reach through the table at gpa is RAM, and no table. */
static bool only_ram(const struct tables *t, uint64_t gpa, int level)
{
	uint64_t pte[PTES], size = UINT64_C(4096) << 9 * (level - 1);

	if (guest_read(t->slots, gpa, pte, sizeof(pte)) < 0)
		return false;
	for (int i = 0; i < PTES; i++) {
		uint64_t at = pte[i] & PTE_ADDR & ~(size - 1);

		if (!(pte[i] & PTE_P) || !(pte[i] & PTE_US))
			continue;
		if (level > 1 && !(pte[i] & PTE_PS)) {
			if (!only_ram(t, pte[i] & PTE_ADDR, level - 1))
				return false;
		} else if (is_table(t, at, at + size) ||
			   !guest_is_ram(t->slots, at, size)) {
			return false;
		}
	}
	return true;
}

/* Where the guest's linear address lies, or false. */
static bool translate(const struct memslot_table *slots, uint64_t cr3,
		      uint64_t linear, uint64_t *gpa)
{
	uint64_t table = cr3 & PTE_ADDR;

	for (int level = LEVELS; level > 0; level--) {
		int shift = 12 + 9 * (level - 1);
		uint64_t mask = (UINT64_C(1) << shift) - 1, pte;

		if (guest_read(slots, table + (linear >> shift) % PTES * 8,
			       &pte, sizeof(pte)) < 0 ||
		    !(pte & PTE_P))
			return false;
		table = pte & PTE_ADDR;
		*gpa = (table & ~mask) | (linear & mask);
		if (level == 1 || (level < LEVELS && pte & PTE_PS))
			return true;
	}
	return false;
}

/* A call gate or a task gate among the descriptors is a way to ring 0. */
static bool has_gates(const struct memslot_table *slots, uint64_t gdt,
		      uint16_t limit)
{
	uint64_t d;

	for (uint32_t i = 8; i + 7 <= limit; i += 8)
		if (guest_read(slots, gdt + i, &d, sizeof(d)) < 0 ||
		    (d & DESC_P && !(d & DESC_S)))
			return true;
	return false;
}

static bool no_table(const struct kvm_segment *s)
{
	return s->unusable || !s->present || s->limit == 0;
}

static bool apic_is_idle(const struct x86_image *m)
{
	for (size_t i = 0x100; i < 0x280; i += 4) { /* ISR, TMR, IRR */
		uint32_t bits;

		memcpy(&bits, m->lapic.regs + i, sizeof(bits));
		if (bits)
			return false;
	}
	return m->apic_init == 0 && m->deadline == 0;
}

static uint64_t msr_of(const struct x86_image *m, uint32_t index)
{
	for (uint32_t i = 0; i < m->msrs->nmsrs; i++)
		if (m->msrs->entries[i].index == index)
			return m->msrs->entries[i].data;
	return 0;
}

/* Intel's and AMD's counters of events; one that runs changes by itself. */
static bool counts_events(const struct x86_image *m)
{
	for (uint32_t i = 0; i < m->msrs->nmsrs; i++) {
		const struct kvm_msr_entry *e = &m->msrs->entries[i];
		bool select =
			(e->index >= MSR_EVNTSEL0 &&
			 e->index < MSR_EVNTSEL0 + EVNTSELS) ||
			(e->index >= MSR_K7_EVNTSEL0 &&
			 e->index < MSR_K7_EVNTSEL0 + 4) ||
			(e->index >= MSR_F15H_CTL &&
			 e->index < MSR_F15H_CTL + 12 && e->index % 2 == 0);

		if ((select && e->data & EVNTSEL_ON) ||
		    (e->index == MSR_FIXED_CTRL && e->data))
			return true;
	}
	return false;
}

static bool is_confined(const struct x86_image *m,
			const struct memslot_table *slots)
{
	const struct kvm_sregs *s = &m->sregs;
	struct tables t = {.slots = slots};
	uint64_t gdt;

	if ((s->cs.selector & RPL) != 3 || s->cs.dpl != 3 || s->idt.limit ||
	    s->efer & EFER_SCE || !(s->efer & EFER_LMA) || !(s->cr0 & CR0_PG) ||
	    !(s->cr4 & CR4_PAE) || s->cr4 & CR4_LA57 || !no_table(&s->ldt) ||
	    msr_of(m, MSR_SYSENTER_CS) || msr_of(m, MSR_KVM_TIME_NEW) ||
	    msr_of(m, MSR_KVM_SYSTEM_TIME) || m->events.exception.injected ||
	    m->events.exception.pending || m->events.nmi.injected ||
	    m->events.nmi.pending || m->events.interrupt.injected ||
	    m->mp.mp_state != KVM_MP_STATE_RUNNABLE || !apic_is_idle(m) ||
	    (s->apic_base & PTE_ADDR) != APIC_DEFAULT || counts_events(m))
		return false;
	if (!find_tables(&t, s->cr3 & PTE_ADDR, LEVELS) ||
	    t.count == TABLES_MAX || s->gdt.limit > 4095 ||
	    s->gdt.base % 4096 ||
	    !translate(slots, s->cr3, s->gdt.base, &gdt) ||
	    has_gates(slots, gdt, s->gdt.limit))
		return false;
	t.page[t.count++] = gdt;
	return only_ram(&t, s->cr3 & PTE_ADDR, LEVELS);
}

/* --- noting ----------------------------------------------------------------
 */

static int note(struct arch_vcpu *v, struct x86_image *m, struct mote_err *err)
{
	int ret = sync_settle(v, err);

	if (ret == 0)
		ret = CALL(v, KVM_GET_SREGS, &m->sregs, err);
	if (ret == 0 && kvm_check_extension(v->vm->vm_fd, KVM_CAP_XCRS) &&
	    kvm_call(v->fd, KVM_GET_XCRS, &m->xcrs) < 0)
		m->xcrs.nr_xcrs = 0;
	if (ret == 0)
		ret = CALL(v, KVM_GET_REGS, &m->regs, err);
	if (ret == 0)
		ret = CALL(v, KVM_GET_LAPIC, &m->lapic, err);
	if (ret == 0)
		ret = CALL(v, KVM_GET_MP_STATE, &m->mp, err);
	if (ret == 0)
		ret = CALL(v, KVM_GET_VCPU_EVENTS, &m->events, err);
	if (ret == 0)
		ret = CALL(v, KVM_GET_DEBUGREGS, &m->debug, err);
	if (ret == 0)
		ret = get_xsave(v, &m->xsave, err);
	if (ret == 0)
		ret = get_settable_msrs(v, &m->msrs, err);
	return ret;
}

int arch_vcpu_remember(struct arch_vcpu *v, const struct memslot_table *slots,
		       struct mote_err *err)
{
	struct x86_image *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return err_set(err, ENOMEM, "vCPU %u", v->id);
	v->image = m;
	ret = note(v, m, err);
	if (ret < 0) {
		arch_vcpu_forget(v);
		return ret;
	}
	m->tsc = v->held_tsc;
	m->deadline = v->held_deadline;
	m->apic_init = v->held_apic_init;
	m->apic_count = v->held_apic_count;
	m->sync = sync_works(v, m->mp.mp_state);
	m->confined = m->sync && is_confined(m, slots);
	return 0;
}

/* --- setting ---------------------------------------------------------------
 */

int arch_vcpu_rewind(struct arch_vcpu *v, struct snap_reader *r, bool whole,
		     struct mote_err *err)
{
	const struct x86_image *m = v->image;
	struct snap_section s;
	int ret = snap_section_open(r, SECTION_VCPU, v->id, &s, err);

	if (ret < 0)
		return ret;
	sync_drop(v);
	v->late = whole || !m->confined ? LATE_ALL : LATE_CONFINED;
	v->held = true;
	v->held_tsc = m->tsc;
	v->held_deadline = m->deadline;
	v->held_apic_init = m->apic_init;
	v->held_apic_count = m->apic_count;
	return 0;
}

/* What a guest that is not confined may have changed; the order is KVM's. */
static int set_system(struct arch_vcpu *v, struct x86_image *m,
		      struct mote_err *err)
{
	int ret = CALL(v, KVM_SET_SREGS, &m->sregs, err);

	if (ret == 0 && m->xcrs.nr_xcrs)
		ret = CALL(v, KVM_SET_XCRS, &m->xcrs, err);
	if (ret == 0)
		ret = CALL(v, KVM_SET_LAPIC, &m->lapic, err);
	if (ret == 0)
		ret = msrs_set(v, m->msrs, err);
	if (ret == 0)
		ret = CALL(v, KVM_SET_MP_STATE, &m->mp, err);
	if (ret == 0)
		ret = CALL(v, KVM_SET_DEBUGREGS, &m->debug, err);
	return ret;
}

int rewind_put(struct arch_vcpu *v, struct mote_err *err)
{
	struct x86_image *m = v->image;
	int ret = 0;

	if (v->late == LATE_NONE)
		return 0;
	if (v->late == LATE_ALL)
		ret = set_system(v, m, err);
	if (ret == 0)
		ret = CALL(v, KVM_SET_XSAVE, m->xsave, err);
	if (ret < 0)
		return ret;
	sync_regs(v, &m->regs);
	sync_events(v, &m->events);
	if (v->late == LATE_CONFINED)
		sync_sregs(v, &m->sregs);
	v->late = LATE_NONE;
	return m->sync ? 0 : sync_settle(v, err);
}

int rewind_settle(struct arch_vcpu *v, struct mote_err *err)
{
	int ret = rewind_put(v, err);

	return ret < 0 ? ret : sync_settle(v, err);
}
