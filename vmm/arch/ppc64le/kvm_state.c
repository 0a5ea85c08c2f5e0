/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_state.c - the state of a ppc64le vCPU and its VM's hashed page table.
 *
 * ppc64 has no KVM_GET_REG_LIST: the table below names every register of
 * linux/kvm.h that a PAPR guest can see.  One that the host does not have
 * gives an error on reading and is noted as absent; one that was saved and
 * that the host refuses is an error by name.  The timebase goes on from its
 * saved value: it is held and given to KVM just before the first run.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/hpt_section.h"
#include "arch/ppc64le/hpt.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define SECTION_MMU  "ppc64-mmu"
#define SECTION_VCPU "ppc64-vcpu"
#define VERSION	     1
#define REG_MAX	     16			 /* bytes */
#define TB_STEP	     (UINT64_C(1) << 24) /* KVM keeps a multiple of it */

#define R(name)                                                                \
	{                                                                      \
		KVM_REG_PPC_##name, #name                                      \
	}

static const struct reg {
	uint64_t id;
	const char *name;
} regs[] = {
	R(LPCR_64),   R(ARCH_COMPAT), R(DABR),	   R(DABRX),   R(DSCR),
	R(PURR),      R(SPURR),	      R(DAR),	   R(DSISR),   R(AMR),
	R(UAMOR),     R(MMCR0),	      R(MMCR1),	   R(MMCRA),   R(MMCR2),
	R(MMCRS),     R(PMC1),	      R(PMC2),	   R(PMC3),    R(PMC4),
	R(PMC5),      R(PMC6),	      R(PMC7),	   R(PMC8),    R(SIAR),
	R(SDAR),      R(SIER),	      R(FPSCR),	   R(VSCR),    R(VRSAVE),
	R(IAMR),      R(MMCR3),	      R(TFHAR),	   R(TFIAR),   R(TEXASR),
	R(FSCR),      R(PSPB),	      R(EBBHR),	   R(EBBRR),   R(BESCR),
	R(TAR),	      R(DPDES),	      R(DAWR),	   R(DAWRX),   R(CIABR),
	R(IC),	      R(VTB),	      R(CSIGR),	   R(TACR),    R(TCSCR),
	R(PID),	      R(ACOP),	      R(WORT),	   R(SPRG9),   R(PPR),
	R(TIDR),      R(PSSCR),	      R(VPA_ADDR), R(VPA_SLB), R(VPA_DTL),
	R(ICP_STATE),
};

/* Families of numbered registers. */
static const struct family {
	uint64_t first;
	uint32_t count;
	const char *name;
} families[] = {
	{KVM_REG_PPC_FPR0, 32, "FPR"},
	{KVM_REG_PPC_VR0, 32, "VR"},
	{KVM_REG_PPC_VSR0, 32, "VSR"},
};

static uint32_t reg_size(uint64_t id)
{
	return 1u << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

/* Is it derived from the host's clock?  Held, not written on load. */
static bool is_clock(uint64_t id)
{
	return id == KVM_REG_PPC_TB_OFFSET || id == KVM_REG_PPC_DEC_EXPIRY;
}

static uint64_t host_timebase(void)
{
	return __builtin_ppc_get_timebase();
}

/* --- save --------------------------------------------------------------------
 */

static void save_one(struct arch_vcpu *v, uint64_t id, struct snap_writer *w,
		     uint32_t *count)
{
	uint8_t val[REG_MAX] = {0};

	if (reg_size(id) > REG_MAX || kvm_get_one_reg(v->fd, id, val) < 0)
		return; /* this host has no such register */
	if (w) {
		snap_put_u64(w, id);
		snap_put_bytes(w, val, reg_size(id));
	}
	(*count)++;
}

static void save_all(struct arch_vcpu *v, struct snap_writer *w,
		     uint32_t *count)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		save_one(v, regs[i].id, w, count);
	for (size_t f = 0; f < ARRAY_SIZE(families); f++)
		for (uint32_t i = 0; i < families[f].count; i++)
			save_one(v, families[f].first + i, w, count);
}

static int save_regs(struct arch_vcpu *v, struct snap_writer *w,
		     struct mote_err *err)
{
	struct kvm_regs g;
	struct kvm_sregs s;
	int ret = kvm_call(v->fd, KVM_GET_REGS, &g);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_GET_REGS: %s", v->id,
			       strerror(-ret));
	ret = kvm_call(v->fd, KVM_GET_SREGS, &s);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_GET_SREGS: %s", v->id,
			       strerror(-ret));
	snap_put_u64(w, g.pc);
	snap_put_u64(w, g.cr);
	snap_put_u64(w, g.ctr);
	snap_put_u64(w, g.lr);
	snap_put_u64(w, g.xer);
	snap_put_u64(w, g.msr);
	snap_put_u64(w, g.srr0);
	snap_put_u64(w, g.srr1);
	snap_put_u64(w, g.pid);
	snap_put_u64(w, g.sprg0);
	snap_put_u64(w, g.sprg1);
	snap_put_u64(w, g.sprg2);
	snap_put_u64(w, g.sprg3);
	snap_put_u64(w, g.sprg4);
	snap_put_u64(w, g.sprg5);
	snap_put_u64(w, g.sprg6);
	snap_put_u64(w, g.sprg7);
	for (int i = 0; i < 32; i++)
		snap_put_u64(w, g.gpr[i]);
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
	uint32_t count = 0, again = 0;
	int ret;

	snap_section_begin(w, SECTION_VCPU, v->id, VERSION, SNAP_REQUIRED);
	ret = save_regs(v, w, err);
	if (ret < 0)
		return ret;
	save_clock(v, w);
	save_all(v, NULL, &count);
	snap_put_u32(w, count);
	save_all(v, w, &again);
	if (again != count)
		return err_set(err, EIO,
			       "vCPU %u: its registers changed while "
			       "they were read",
			       v->id);
	snap_section_end(w);
	return 0;
}

/* --- load --------------------------------------------------------------------
 */

static const char *reg_name(uint64_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		if (regs[i].id == id)
			return regs[i].name;
	for (size_t f = 0; f < ARRAY_SIZE(families); f++)
		if (id - families[f].first < families[f].count)
			return families[f].name;
	return NULL;
}

static int load_regs(struct arch_vcpu *v, struct snap_section *r,
		     struct mote_err *err)
{
	struct kvm_regs g;
	struct kvm_sregs s, host;
	int ret;

	memset(&g, 0, sizeof(g));
	memset(&s, 0, sizeof(s));
	g.pc = snap_get_u64(r);
	g.cr = snap_get_u64(r);
	g.ctr = snap_get_u64(r);
	g.lr = snap_get_u64(r);
	g.xer = snap_get_u64(r);
	g.msr = snap_get_u64(r);
	g.srr0 = snap_get_u64(r);
	g.srr1 = snap_get_u64(r);
	g.pid = snap_get_u64(r);
	g.sprg0 = snap_get_u64(r);
	g.sprg1 = snap_get_u64(r);
	g.sprg2 = snap_get_u64(r);
	g.sprg3 = snap_get_u64(r);
	g.sprg4 = snap_get_u64(r);
	g.sprg5 = snap_get_u64(r);
	g.sprg6 = snap_get_u64(r);
	g.sprg7 = snap_get_u64(r);
	for (int i = 0; i < 32; i++)
		g.gpr[i] = snap_get_u64(r);
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
	ret = kvm_call(v->fd, KVM_SET_REGS, &g);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_SET_REGS: %s", v->id,
			       strerror(-ret));
	return 0;
}

static int load_one(struct arch_vcpu *v, struct snap_section *r,
		    struct mote_err *err)
{
	uint64_t id = snap_get_u64(r);
	const char *name = reg_name(id);
	uint8_t val[REG_MAX], now[REG_MAX] = {0};
	int ret;

	if (r->error)
		return 0;
	if (!name || is_clock(id))
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "vCPU %u: unknown register 0x%" PRIx64,
				     v->id, id);
	snap_get_bytes(r, val, reg_size(id));
	if (r->error)
		return 0;
	/* Some can be read but not written; the same value needs no write. */
	if (kvm_get_one_reg(v->fd, id, now) == 0 &&
	    !memcmp(val, now, reg_size(id)))
		return 0;
	ret = kvm_set_one_reg(v->fd, id, val);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: this host refuses register %s: "
				     "%s",
				     v->id, name, strerror(-ret));
	return 0;
}

int arch_vcpu_load(struct arch_vcpu *v, struct snap_reader *r,
		   struct mote_err *err)
{
	struct snap_section s;
	uint32_t count;
	int ret = snap_section_open(r, SECTION_VCPU, v->id, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret == 0)
		ret = load_regs(v, &s, err);
	if (ret < 0)
		return ret;
	v->held_tb = snap_get_u64(&s);
	v->held_dec = snap_get_u64(&s);
	count = snap_get_u32(&s);
	for (uint32_t i = 0; ret == 0 && !s.error && i < count; i++)
		ret = load_one(v, &s, err);
	if (ret == 0)
		ret = snap_section_close(&s, err);
	v->held = ret == 0;
	return ret;
}

int arch_vcpu_commit(struct arch_vcpu *v, struct mote_err *err)
{
	uint64_t offset;
	int ret;

	if (!v->held)
		return 0;
	/* Rounded up by KVM: the guest's time never goes back. */
	offset = v->held_tb - host_timebase();
	offset = (offset + TB_STEP - 1) & ~(TB_STEP - 1);
	ret = kvm_set_one_reg(v->fd, KVM_REG_PPC_TB_OFFSET, &offset);
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

/* A radix guest has its tables in RAM; only that it is one is kept. */
static void save_radix(struct snap_writer *w)
{
	snap_section_begin(w, SECTION_MMU, 0, VERSION, SNAP_REQUIRED);
	snap_put_u32(w, CPU_MMU_RADIX);
	snap_put_u64(w, 0); /* no process table is registered */
	snap_section_end(w);
}

int arch_vm_save(struct arch_vm *a, bool diff, struct snap_writer *w,
		 struct mote_err *err)
{
	int ret;

	if (a->radix) {
		save_radix(w);
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

static int load_radix(struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	int ret = snap_section_open(r, SECTION_MMU, 0, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret < 0)
		return ret;
	if (snap_get_u32(&s) != CPU_MMU_RADIX || snap_get_u64(&s) != 0)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section " SECTION_MMU ": not that of a "
				     "radix guest without a process table");
	return snap_section_close(&s, err);
}

/* Slots exist, no register is set yet: the order that the kernel wants. */
int arch_vm_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	bool radix = snap_section_find(r, SECTION_MMU, 0, &s);
	int ret;

	if (radix != a->radix)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "cpu.mmu: %s, the snapshot is of a guest "
				     "with %s",
				     a->radix ? "radix" : "hash",
				     radix ? "radix" : "hash");
	if (radix)
		return load_radix(r, err);
	ret = snap_section_open(r, HPT_SECTION, 0, &s, err);
	if (ret == 0)
		ret = hpt_load(&a->hpt, &s, err);
	if (ret == 0)
		ret = snap_section_close(&s, err);
	return ret;
}

int arch_vm_commit(struct arch_vm *a, struct mote_err *err)
{
	(void)a;
	(void)err;
	return 0;
}

/* No interrupt controller in this version. */
int arch_irq_save(struct arch_vm *a, struct snap_writer *w,
		  struct mote_err *err)
{
	(void)a;
	(void)w;
	(void)err;
	return 0;
}

int arch_irq_load(struct arch_vm *a, struct snap_reader *r,
		  struct mote_err *err)
{
	(void)a;
	(void)r;
	(void)err;
	return 0;
}

/* Which registers there are, only a vCPU of this host tells. */
int arch_host_check(int kvm_fd, const struct snap_section *s,
		    struct mote_err *err)
{
	(void)kvm_fd;
	(void)s;
	(void)err;
	return 0;
}
