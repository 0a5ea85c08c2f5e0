/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_regs.c - every single register of a ppc64le vCPU into a snapshot.
 *
 * ppc64 has no KVM_GET_REG_LIST: the table below names every register of
 * linux/kvm.h that a PAPR guest can see.  One that the host does not have
 * gives an error on reading and is noted as absent; one that was saved and
 * that the host refuses is an error by name.  Left out: TB_OFFSET and
 * DEC_EXPIRY (of the clock: kvm_state.c), PTCR (nested guests), VP_STATE
 * (XIVE's native mode: xive_state.c), and Book3E's.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/ppc64le/papr.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define REG_MAX 16 /* bytes */

/* A transaction is suspended or active: then KVM holds what it began with. */
#define MSR_TS (UINT64_C(3) << 33)

#define N(name, first, n)                                                      \
	{                                                                      \
		KVM_REG_PPC_##first, n, name                                   \
	}
#define R(name) N(#name, name, 1)

/* One register, or a family of numbered ones. */
struct reg {
	uint64_t first;
	uint32_t count;
	const char *name;
};

/* clang-format off */

/* In the order of loading: the VPA before what hangs on it. */
static const struct reg regs[] = {
	R(LPCR_64), R(ARCH_COMPAT), R(DABR), R(DABRX), R(DSCR), R(PURR),
	R(SPURR), R(DAR), R(DSISR), R(AMR), R(UAMOR), R(MMCR0), R(MMCR1),
	R(MMCRA), R(MMCR2), R(MMCRS), R(PMC1), R(PMC2), R(PMC3), R(PMC4),
	R(PMC5), R(PMC6), R(PMC7), R(PMC8), R(SPMC1), R(SPMC2), R(SIAR),
	R(SDAR), R(SIER), R(SIER2), R(SIER3), R(FPSCR), R(VSCR), R(VRSAVE),
	R(IAMR), R(MMCR3), R(TFHAR), R(TFIAR), R(TEXASR), R(FSCR), R(PSPB),
	R(EBBHR), R(EBBRR), R(BESCR), R(TAR), R(DPDES), R(DAWR), R(DAWRX),
	R(DAWR1), R(DAWRX1), R(CIABR), R(IC), R(VTB), R(CSIGR), R(TACR),
	R(TCSCR), R(PID), R(ACOP), R(WORT), R(SPRG9), R(PPR), R(TIDR),
	R(PSSCR), R(ONLINE), R(VPA_ADDR), R(VPA_SLB), R(VPA_DTL), R(ICP_STATE),
	N("FPR", FPR0, 32), N("VR", VR0, 32), N("VSR", VSR0, 32),
	/* From here on a transaction's, where there is one. */
	R(TM_CR), R(TM_LR), R(TM_CTR), R(TM_FPSCR), R(TM_AMR), R(TM_PPR),
	R(TM_XER), R(TM_VRSAVE), R(TM_VSCR), R(TM_DSCR), R(TM_TAR),
	N("TM_GPR", TM_GPR0, 32), N("TM_VSR", TM_VSR0, 64),
};

/* clang-format on */

#define FIRST_TM KVM_REG_PPC_TM_CR

static uint32_t reg_size(uint64_t id)
{
	return 1u << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

/* --- save -------------------------------------------------------------------
 */

static void save_one(struct arch_vcpu *v, uint64_t id, struct snap_writer *w,
		     uint32_t *count)
{
	uint8_t val[REG_MAX] = {0};

	/* XICS's; KVM would give and take it in XIVE's native mode, too. */
	if (id == KVM_REG_PPC_ICP_STATE && v->vm->xive)
		return;
	if (reg_size(id) > REG_MAX || kvm_get_one_reg(v->fd, id, val) < 0)
		return; /* this host has no such register */
	if (w) {
		snap_put_u64(w, id);
		snap_put_bytes(w, val, reg_size(id));
	}
	(*count)++;
}

/* w NULL: only count. */
static void save_all(struct arch_vcpu *v, bool tm, struct snap_writer *w,
		     uint32_t *count)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		if (regs[i].first == FIRST_TM && !tm)
			return;
		for (uint32_t k = 0; k < regs[i].count; k++)
			save_one(v, regs[i].first + k, w, count);
	}
}

int regs_save(struct arch_vcpu *v, uint64_t msr, struct snap_writer *w,
	      struct mote_err *err)
{
	uint32_t count = 0, again = 0;

	save_all(v, msr & MSR_TS, NULL, &count);
	snap_put_u32(w, count);
	save_all(v, msr & MSR_TS, w, &again);
	if (again != count)
		return err_set(err, EIO,
			       "vCPU %u: its registers changed while "
			       "they were read",
			       v->id);
	return 0;
}

/* --- load -------------------------------------------------------------------
 */

static const char *reg_name(uint64_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		if (id - regs[i].first < regs[i].count)
			return regs[i].name;
	return NULL;
}

static int load_one(struct arch_vcpu *v, struct snap_section *s,
		    struct mote_err *err)
{
	uint64_t id = snap_get_u64(s);
	const char *name = reg_name(id);
	uint8_t val[REG_MAX], now[REG_MAX] = {0};
	int ret;

	if (s->error)
		return 0;
	if (!name || (id == KVM_REG_PPC_ICP_STATE && v->vm->xive))
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "vCPU %u: unknown register 0x%" PRIx64,
				     v->id, id);
	snap_get_bytes(s, val, reg_size(id));
	if (s->error)
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

int regs_load(struct arch_vcpu *v, struct snap_section *s, struct mote_err *err)
{
	uint32_t count = snap_get_u32(s);
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && !s->error && i < count; i++)
		ret = load_one(v, s, err);
	return ret;
}
