/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_state.c - the state of a ppc64le vCPU and its VM's page tables.
 *
 * A vCPU is its registers and whether the guest has stopped it.  The timebase
 * goes on from its saved value: it is held and given to KVM just before the
 * first run.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/hpt_section.h"
#include "arch/ppc64le/hpt.h"
#include "arch/ppc64le/papr.h"
#include "arch/ppc64le/radix.h"
#include "arch/ppc64le/xive.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define SECTION_VCPU "ppc64-vcpu"
#define VERSION_VCPU 2			 /* 2: stopped vCPUs */
#define TB_STEP	     (UINT64_C(1) << 24) /* KVM keeps a multiple of it */

static uint64_t host_timebase(void)
{
	return __builtin_ppc_get_timebase();
}

/* --- save --------------------------------------------------------------------
 */

/*
 * pc, cr, ctr, lr, xer, msr, srr0, srr1, pid, sprg0 to 7, gpr 0 to 31: the
 * order of the section, too.
 */
union general {
	struct kvm_regs regs;
	uint64_t word[49];
};
_Static_assert(sizeof(struct kvm_regs) == sizeof(uint64_t[49]) &&
		       offsetof(struct kvm_regs, msr) == 40 &&
		       offsetof(struct kvm_regs, gpr) == 136,
	       "as it is saved");

static int save_regs(struct arch_vcpu *v, struct snap_writer *w, uint64_t *msr,
		     struct mote_err *err)
{
	union general g;
	struct kvm_sregs s;
	int ret = kvm_call(v->fd, KVM_GET_REGS, &g.regs);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_GET_REGS: %s", v->id,
			       strerror(-ret));
	ret = kvm_call(v->fd, KVM_GET_SREGS, &s);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_GET_SREGS: %s", v->id,
			       strerror(-ret));
	*msr = g.regs.msr;
	for (size_t i = 0; i < ARRAY_SIZE(g.word); i++)
		snap_put_u64(w, g.word[i]);
	snap_put_u32(w, s.pvr);
	for (int i = 0; i < 64; i++) {
		snap_put_u64(w, s.u.s.ppc64.slb[i].slbe);
		snap_put_u64(w, s.u.s.ppc64.slb[i].slbv);
	}
	return 0;
}

static void save_clock(struct arch_vcpu *v, struct snap_writer *w)
{
	uint64_t offset = 0, dec = 0;

	if (!v->held) {
		kvm_get_one_reg(v->fd, KVM_REG_PPC_TB_OFFSET, &offset);
		kvm_get_one_reg(v->fd, KVM_REG_PPC_DEC_EXPIRY, &dec);
	}
	snap_put_u64(w, v->held ? v->held_tb : host_timebase() + offset);
	snap_put_u64(w, v->held ? v->held_dec : dec);
}

int arch_vcpu_save(struct arch_vcpu *v, struct snap_writer *w,
		   struct mote_err *err)
{
	uint64_t msr = 0;
	int ret = papr_settle(v);

	if (ret < 0)
		return err_set(err, -ret,
			       "vCPU %u: its registers can't be "
			       "set: %s",
			       v->id, strerror(-ret));
	snap_section_begin(w, SECTION_VCPU, v->id, VERSION_VCPU, SNAP_REQUIRED);
	ret = save_regs(v, w, &msr, err);
	if (ret < 0)
		return ret;
	save_clock(v, w);
	ret = regs_save(v, msr, w, err);
	if (ret < 0)
		return ret;
	snap_put_u8(w, arch_vcpu_stopped(v));
	snap_section_end(w);
	return 0;
}

/* --- load --------------------------------------------------------------------
 */

static int load_regs(struct arch_vcpu *v, struct snap_section *r,
		     struct mote_err *err)
{
	union general g;
	struct kvm_sregs s, host;
	int ret;

	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < ARRAY_SIZE(g.word); i++)
		g.word[i] = snap_get_u64(r);
	s.pvr = snap_get_u32(r);
	for (int i = 0; i < 64; i++) {
		s.u.s.ppc64.slb[i].slbe = snap_get_u64(r);
		s.u.s.ppc64.slb[i].slbv = snap_get_u64(r);
	}
	if (r->error)
		return 0; /* told when the section is closed */
	ret = kvm_call(v->fd, KVM_GET_SREGS, &host);
	if (ret == 0 && s.pvr != host.pvr)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: processor version 0x%x, this "
				     "host is 0x%x",
				     v->id, s.pvr, host.pvr);
	if (ret == 0)
		ret = kvm_call(v->fd, KVM_SET_SREGS, &s);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_SET_SREGS: %s", v->id,
			       strerror(-ret));
	ret = kvm_call(v->fd, KVM_SET_REGS, &g.regs);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_SET_REGS: %s", v->id,
			       strerror(-ret));
	return 0;
}

/* Before version 2 there was one vCPU, and it ran. */
static int load_stopped(struct arch_vcpu *v, struct snap_section *s,
			struct mote_err *err)
{
	uint8_t stopped = s->version < 2 ? 0 : snap_get_u8(s);

	if (stopped > 1)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "vCPU %u: stopped is %u", v->id, stopped);
	atomic_store(&v->run, stopped ? PPC_STOPPED : PPC_RUNNING);
	return 0;
}

int arch_vcpu_load(struct arch_vcpu *v, struct snap_reader *r,
		   struct mote_err *err)
{
	struct snap_section s;
	int ret = snap_section_open(r, SECTION_VCPU, v->id, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION_VCPU, err);
	if (ret == 0)
		ret = load_regs(v, &s, err);
	if (ret < 0)
		return ret;
	v->held_tb = snap_get_u64(&s);
	v->held_dec = snap_get_u64(&s);
	ret = regs_load(v, &s, err);
	if (ret == 0)
		ret = load_stopped(v, &s, err);
	if (ret == 0)
		ret = snap_section_close(&s, err);
	v->held = ret == 0;
	return ret;
}

int arch_vcpu_commit(struct arch_vcpu *v, struct mote_err *err)
{
	int ret = papr_commit(v);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: LPCR: %s", v->id,
			       strerror(-ret));
	if (!v->held)
		return 0;
	ret = kvm_set_one_reg(v->fd, KVM_REG_PPC_TB_OFFSET, &v->vm->tb_offset);
	if (ret == 0)
		ret = kvm_set_one_reg(v->fd, KVM_REG_PPC_DEC_EXPIRY,
				      &v->held_dec);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: timebase: %s", v->id,
			       strerror(-ret));
	v->held = false;
	return 0;
}

/* --- the VM ------------------------------------------------------------ */

int arch_vm_save(struct arch_vm *a, bool diff, struct snap_writer *w,
		 struct mote_err *err)
{
	int ret;

	if (a->radix) {
		radix_save(a, w);
		return 0;
	}
	snap_section_begin(w, HPT_SECTION, 0, HPT_SECTION_VERSION,
			   SNAP_REQUIRED);
	ret = hpt_save(&a->hpt, diff, w, err);
	if (ret < 0)
		return ret;
	snap_section_end(w);
	return 0;
}

void arch_vm_saved(struct arch_vm *a, bool kept)
{
	if (!a->radix)
		hpt_saved(&a->hpt, kept);
}

int arch_vm_follow(struct arch_vm *a, uint64_t budget_ns, struct mote_err *err)
{
	return a->radix ? 1 : hpt_pass(&a->hpt, budget_ns, err);
}

int arch_hpt_read(struct arch_vm *a, uint64_t first, bool bolted, void **out,
		  size_t *len, struct mote_err *err)
{
	struct hpt_stream s = {0};
	int ret = hpt_settle(&a->hpt, err);

	*out = NULL;
	*len = 0;
	if (ret == 0)
		ret = hpt_stream_select(&s, hpt_view(&a->hpt.now), first,
					bolted, hpt_entries(a->hpt.order), err);
	if (ret < 0) {
		hpt_stream_fini(&s);
		return ret;
	}
	*out = s.buf;
	*len = s.len;
	return 0;
}

/* Slots exist, no register is set yet: the order that the kernel wants. */
int arch_vm_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	bool radix = snap_section_find(r, RADIX_SECTION, 0, &s);
	int ret;

	if (radix != a->radix)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "cpu.mmu: %s, the snapshot is of a guest "
				     "with %s",
				     a->radix ? "radix" : "hash",
				     radix ? "radix" : "hash");
	if (radix)
		return radix_load(a, r, err);
	ret = snap_section_open(r, HPT_SECTION, 0, &s, err);
	if (ret == 0)
		ret = hpt_load(&a->hpt, &s, err);
	if (ret == 0)
		ret = snap_section_close(&s, err);
	return ret;
}

/*
 * One offset for all: of offsets made one by one two may be rounded to
 * different steps, and a guest whose timebase differs from vCPU to vCPU sees
 * time go back.
 */
int arch_vm_commit(struct arch_vm *a, struct mote_err *err)
{
	uint64_t latest = 0;

	(void)err;
	for (int i = 0; i < PPC_VCPUS_MAX; i++)
		if (a->vcpu[i] && a->vcpu[i]->held &&
		    a->vcpu[i]->held_tb > latest)
			latest = a->vcpu[i]->held_tb;
	/* Rounded up, as KVM would do: the guest's time never goes back. */
	a->tb_offset =
		(latest - host_timebase() + TB_STEP - 1) & ~(TB_STEP - 1);
	return 0;
}

/* The kernel answers for programs, too. */
static uint32_t host_pvr(void)
{
	unsigned long pvr;

	__asm__("mfspr %0, 287" : "=r"(pvr));
	return (uint32_t)pvr;
}

/* Guests that not every host has: a section, and the capability for it. */
static int check_kind(int kvm_fd, const char *section, struct mote_err *err)
{
	static const struct {
		const char *section;
		long cap;
		const char *what;
	} kinds[] = {
		{RADIX_SECTION, KVM_CAP_PPC_MMU_RADIX, "radix guests"},
		{XIVE_SECTION, KVM_CAP_PPC_IRQ_XIVE, "XIVE for guests"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(section, kinds[i].section) &&
		    !kvm_check_extension(kvm_fd, kinds[i].cap))
			return err_set_class(err, ENOTSUP,
					     ERR_CLASS_UNAVAILABLE,
					     "section %s: this host has no %s",
					     section, kinds[i].what);
	return 0;
}

/* KVM-HV has no other processor to offer; the rest only a vCPU tells. */
int arch_host_check(int kvm_fd, const struct snap_reader *saved,
		    const struct snap_section *of, bool values,
		    struct mote_err *err)
{
	struct snap_section s = *of;
	uint32_t pvr;

	(void)saved;
	(void)values;
	if (strcmp(s.name, SECTION_VCPU) != 0)
		return check_kind(kvm_fd, s.name, err);
	snap_get_raw(&s, sizeof(((union general *)0)->word));
	pvr = snap_get_u32(&s);
	if (s.error || pvr == host_pvr())
		return 0; /* what makes no sense is told when it is loaded */
	return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
			     "processor version: 0x%x in the snapshot, this "
			     "host is 0x%x",
			     pvr, host_pvr());
}
