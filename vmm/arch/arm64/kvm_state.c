/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_state.c - the complete state of an arm64 vCPU as a snapshot section.
 *
 * Every register that KVM lists is saved with id, size and bytes, in the
 * order of the ids.  At load the firmware's go first: what PSCI and SMCCC
 * offer must stand before the first run.  A register that the snapshot has
 * and the host lacks is refused by name; the one exception is a PSCI version
 * of 0.2, which is what a host without that register has.
 *
 * The timers derive from the host's clock.  They are held as loaded and
 * reach KVM just before the first run: until then they are off in KVM, so
 * that none of them can fire while a clone is parked.
 *
 * With scalable vectors KVM lists Z, P and FFR and no more the plain vector
 * registers; the lengths are among them, and were set before there was a list
 * (kvm_features.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/arch_priv.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "config/config.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define SECTION_VCPU "arm64-vcpu"
#define VERSION	     1
#define REGS_MAX     8192u
#define REGS_USUAL   512u /* as many as a list holds at first */
#define REG_SIZE_MAX 256u
#define REG_NAME_MAX 48
#define PSCI_0_2     2u
#define REG_MIDR     ARM64_SYS_REG(3, 0, 0, 0, 0)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "register bytes go into the file as KVM gives them");

/* In the order in which they go live; their index is the bit in held. */
static const struct {
	uint64_t id;
	const char *name;
} timer[] = {
	{KVM_REG_ARM_TIMER_CNT, "CNTVCT_EL0"},
	{KVM_REG_ARM_TIMER_CVAL, "CNTV_CVAL_EL0"},
	{KVM_REG_ARM_TIMER_CTL, "CNTV_CTL_EL0"},
	{KVM_REG_ARM_PTIMER_CNT, "CNTPCT_EL0"},
	{KVM_REG_ARM_PTIMER_CVAL, "CNTP_CVAL_EL0"},
	{KVM_REG_ARM_PTIMER_CTL, "CNTP_CTL_EL0"},
};

_Static_assert(ARRAY_SIZE(timer) == ARM64_TIMERS_MAX, "arch_types.h");

static int timer_index(uint64_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(timer); i++)
		if (timer[i].id == id)
			return (int)i;
	return -1;
}

static uint64_t family(uint64_t id)
{
	return id & KVM_REG_ARM_COPROC_MASK;
}

static bool is_firmware(uint64_t id)
{
	return family(id) == KVM_REG_ARM_FW ||
	       family(id) == KVM_REG_ARM_FW_FEAT_BMAP;
}

static bool is_known(uint64_t id)
{
	static const uint64_t known[] = {
		KVM_REG_ARM_CORE, KVM_REG_ARM_DEMUX, KVM_REG_ARM64_SYSREG,
		KVM_REG_ARM_FW,	  KVM_REG_ARM64_SVE, KVM_REG_ARM_FW_FEAT_BMAP,
	};

	if ((id & KVM_REG_ARCH_MASK) != KVM_REG_ARM64)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (family(id) == known[i])
			return true;
	return false;
}

/* In bytes: a power of two, 256 at most; 0: no valid size. */
static uint32_t reg_size(uint64_t id)
{
	uint64_t shift = (id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT;

	return shift > 8 ? 0 : 1u << shift;
}

static uint32_t field(uint64_t id, uint64_t mask, int shift)
{
	return (uint32_t)((id & mask) >> shift);
}

#define SYSREG_FIELD(id, name)                                                 \
	field(id, KVM_REG_ARM64_SYSREG_##name##_MASK,                          \
	      KVM_REG_ARM64_SYSREG_##name##_SHIFT)

/* What a person would look up. */
static const char *reg_name(uint64_t id, char name[REG_NAME_MAX])
{
	unsigned int low = (unsigned int)(id & 0xffff);
	int i = timer_index(id);

	if (i >= 0)
		snprintf(name, REG_NAME_MAX, "%s", timer[i].name);
	else if (id == KVM_REG_ARM_PSCI_VERSION)
		snprintf(name, REG_NAME_MAX, "PSCI_VERSION");
	else if (family(id) == KVM_REG_ARM_FW && low <= 3)
		snprintf(name, REG_NAME_MAX, "SMCCC_ARCH_WORKAROUND_%u", low);
	else if (family(id) == KVM_REG_ARM_FW)
		snprintf(name, REG_NAME_MAX, "firmware %u", low);
	else if (family(id) == KVM_REG_ARM_FW_FEAT_BMAP)
		snprintf(name, REG_NAME_MAX, "firmware features %u", low);
	else if (id == KVM_REG_ARM64_SVE_VLS)
		snprintf(name, REG_NAME_MAX, "SVE_VLS");
	else if (family(id) == KVM_REG_ARM64_SVE)
		snprintf(name, REG_NAME_MAX, "SVE %s%u slice %u",
			 low < KVM_REG_ARM64_SVE_PREG_BASE  ? "Z"
			 : low < KVM_REG_ARM64_SVE_FFR_BASE ? "P"
							    : "FFR ",
			 low >> 5 & 0x1f, low & 0x1f);
	else if (family(id) == KVM_REG_ARM_DEMUX)
		snprintf(name, REG_NAME_MAX, "CCSIDR_EL1 of CSSELR %u",
			 low & 0xff);
	else if (id == REG_MIDR)
		snprintf(name, REG_NAME_MAX, "MIDR_EL1");
	else if (family(id) == KVM_REG_ARM64_SYSREG)
		snprintf(name, REG_NAME_MAX, "S%u_%u_C%u_C%u_%u",
			 SYSREG_FIELD(id, OP0), SYSREG_FIELD(id, OP1),
			 SYSREG_FIELD(id, CRN), SYSREG_FIELD(id, CRM),
			 SYSREG_FIELD(id, OP2));
	else
		snprintf(name, REG_NAME_MAX, "0x%" PRIx64, id);
	return name;
}

/* --- save ------------------------------------------------------------------
 */

/*
 * By insertion: a few hundred ids in a few ascending runs.  glibc's qsort
 * asks for the machine's memory (sysinfo), which the jail forbids.
 */
static void sort_ids(__u64 *id, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		__u64 v = id[i];
		size_t k = i;

		for (; k > 0 && id[k - 1] > v; k--)
			id[k] = id[k - 1];
		id[k] = v;
	}
}

/* KVM's list, malloc'd, sorted. */
static int list_regs(struct arch_vcpu *v, struct kvm_reg_list **out,
		     struct mote_err *err)
{
	struct kvm_reg_list *list = NULL;
	uint64_t n = REGS_USUAL;
	int ret = -E2BIG;

	/* Too small: KVM says how many there are. */
	for (int i = 0; i < 2 && ret == -E2BIG && n <= REGS_MAX; i++) {
		free(list);
		list = calloc(1, sizeof(*list) + n * sizeof(list->reg[0]));
		if (!list)
			return err_set(err, ENOMEM, "register list");
		list->n = n;
		ret = kvm_call(v->fd, KVM_GET_REG_LIST, list);
		n = list->n;
	}
	if (ret < 0) {
		free(list);
		return err_set(err, -ret, "vCPU %u: KVM_GET_REG_LIST: %s",
			       v->id, strerror(-ret));
	}
	sort_ids(list->reg, list->n);
	*out = list;
	return 0;
}

static int save_reg(struct arch_vcpu *v, struct snap_writer *w, uint64_t id,
		    struct mote_err *err)
{
	_Alignas(16) uint8_t value[REG_SIZE_MAX];
	char name[REG_NAME_MAX];
	int i = timer_index(id), ret;

	if (!is_known(id) || reg_size(id) == 0)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: this host's KVM has a register "
				     "of a kind that this version does not "
				     "know: 0x%" PRIx64,
				     v->id, id);
	ret = kvm_get_one_reg(v->fd, id, value);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: register %s: %s", v->id,
			       reg_name(id, name), strerror(-ret));
	if (i >= 0 && v->held & 1u << i)
		memcpy(value, &v->held_timer[i], sizeof(v->held_timer[i]));
	snap_put_u64(w, id);
	snap_put_bytes(w, value, reg_size(id));
	return 0;
}

static int save_events(struct arch_vcpu *v, struct snap_writer *w,
		       struct mote_err *err)
{
	struct kvm_vcpu_events e = {0};
	struct kvm_mp_state mp = {0};
	int ret = kvm_call(v->fd, KVM_GET_MP_STATE, &mp);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_GET_MP_STATE: %s",
			       v->id, strerror(-ret));
	if (kvm_check_extension(v->vm->vm_fd, KVM_CAP_VCPU_EVENTS))
		ret = kvm_call(v->fd, KVM_GET_VCPU_EVENTS, &e);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_GET_VCPU_EVENTS: %s",
			       v->id, strerror(-ret));
	snap_put_u32(w, mp.mp_state);
	snap_put_u8(w, e.exception.serror_pending);
	snap_put_u8(w, e.exception.serror_has_esr);
	snap_put_u8(w, e.exception.ext_dabt_pending);
	snap_put_u64(w, e.exception.serror_esr);
	return 0;
}

int arch_vcpu_save(struct arch_vcpu *v, struct snap_writer *w,
		   struct mote_err *err)
{
	cleanup_free struct kvm_reg_list *list = NULL;
	int ret = list_regs(v, &list, err);
	uint32_t n = ret == 0 ? (uint32_t)list->n : 0;

	snap_section_begin(w, SECTION_VCPU, v->id, VERSION, SNAP_REQUIRED);
	snap_put_u32(w, n);
	for (uint32_t i = 0; ret == 0 && i < n; i++)
		ret = save_reg(v, w, list->reg[i], err);
	if (ret == 0)
		ret = save_events(v, w, err);
	if (ret < 0)
		return ret;
	snap_section_end(w);
	return 0;
}

/* --- load ------------------------------------------------------------------
 */

/* One register of the section; the bytes stay there. */
struct saved_reg {
	uint64_t id;
	const uint8_t *value;
};

static int parse_regs(struct arch_vcpu *v, struct snap_section *s,
		      struct saved_reg **out, uint32_t *count,
		      struct mote_err *err)
{
	cleanup_free struct saved_reg *reg = NULL;
	uint32_t n = snap_get_u32(s);

	if (n > REGS_MAX)
		s->error = -EBADMSG;
	if (s->error)
		return 0; /* told when the section is closed */
	reg = calloc(n + 1, sizeof(*reg));
	if (!reg)
		return err_set(err, ENOMEM, "register list");
	for (uint32_t i = 0; i < n; i++) {
		reg[i].id = snap_get_u64(s);
		if (s->error)
			return 0;
		if (!is_known(reg[i].id) || reg_size(reg[i].id) == 0 ||
		    (i > 0 && reg[i].id <= reg[i - 1].id))
			return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
					     "vCPU %u: the snapshot holds a "
					     "register that this version does "
					     "not know: 0x%" PRIx64,
					     v->id, reg[i].id);
		reg[i].value = snap_get_raw(s, reg_size(reg[i].id));
	}
	*count = n;
	*out = ptr_steal(&reg);
	return 0;
}

/* A register of 64 bits of a vCPU's section from its start, or other. */
static uint64_t find_reg(struct snap_section s, uint64_t wanted, uint64_t other)
{
	for (uint32_t n = snap_get_u32(&s); n > 0 && !s.error; n--) {
		uint64_t id = snap_get_u64(&s);

		if (id == wanted)
			return snap_get_u64(&s);
		snap_get_raw(&s, reg_size(id));
	}
	return other;
}

uint32_t state_psci(const struct snap_reader *saved)
{
	struct snap_section s;

	if (!snap_section_find(saved, SECTION_VCPU, 0, &s))
		return PSCI_0_2;
	return (uint32_t)find_reg(s, KVM_REG_ARM_PSCI_VERSION, PSCI_0_2);
}

/* KVM has no other processor to offer; this asks no vCPU. */
static int check_cpu(const struct snap_section *s, struct mote_err *err)
{
	uint64_t host = host_midr(), saved;

	if (host == 0)
		return 0;
	saved = find_reg(*s, REG_MIDR, host);
	if (saved == host)
		return 0;
	return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
			     "processor: the snapshot is of MIDR_EL1 "
			     "0x%" PRIx64 ", this host is 0x%" PRIx64,
			     saved, host);
}

static uint64_t low_bytes(const struct saved_reg *reg)
{
	uint64_t v = 0;

	memcpy(&v, reg->value, num_min(reg_size(reg->id), sizeof(v)));
	return v;
}

static int refuse(const struct arch_vcpu *v, const struct saved_reg *reg,
		  int ret, struct mote_err *err)
{
	char name[REG_NAME_MAX];

	if (ret == -ENOENT)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: the snapshot holds register %s, "
				     "which KVM on this host lacks",
				     v->id, reg_name(reg->id, name));
	return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
			     "vCPU %u: KVM on this host refuses register %s = "
			     "0x%" PRIx64 ": %s",
			     v->id, reg_name(reg->id, name), low_bytes(reg),
			     strerror(-ret));
}

static int load_timer(struct arch_vcpu *v, const struct saved_reg *reg, int i,
		      struct mote_err *err)
{
	uint64_t now;
	int ret = kvm_get_one_reg(v->fd, reg->id, &now);

	if (ret < 0)
		return refuse(v, reg, ret, err);
	v->held_timer[i] = low_bytes(reg);
	v->held |= 1u << i;
	return 0;
}

static int load_reg(struct arch_vcpu *v, const struct saved_reg *reg,
		    struct mote_err *err)
{
	_Alignas(16) uint8_t value[REG_SIZE_MAX];
	int i = timer_index(reg->id), ret;

	if (i >= 0)
		return load_timer(v, reg, i, err);
	if (reg->id == KVM_REG_ARM64_SVE_VLS &&
	    v->vm->features[0] & 1u << KVM_ARM_VCPU_SVE)
		return features_check_lengths(v, reg->value, err);
	memcpy(value, reg->value, reg_size(reg->id));
	ret = kvm_set_one_reg(v->fd, reg->id, value);
	if (ret == -ENOENT && reg->id == KVM_REG_ARM_PSCI_VERSION &&
	    low_bytes(reg) == PSCI_0_2)
		return 0;
	return ret < 0 ? refuse(v, reg, ret, err) : 0;
}

/* A guest saved without the register had 0.2: it keeps that here. */
static int load_old_psci(struct arch_vcpu *v, const struct saved_reg *reg,
			 uint32_t n, struct mote_err *err)
{
	const uint64_t value = PSCI_0_2;
	int ret;

	for (uint32_t i = 0; i < n; i++)
		if (reg[i].id == KVM_REG_ARM_PSCI_VERSION)
			return 0;
	ret = kvm_set_one_reg(v->fd, KVM_REG_ARM_PSCI_VERSION, &value);
	if (ret < 0 && ret != -ENOENT)
		return err_set(err, -ret, "vCPU %u: PSCI version 0.2: %s",
			       v->id, strerror(-ret));
	return 0;
}

static int load_events(struct arch_vcpu *v, struct snap_section *s,
		       struct mote_err *err)
{
	struct kvm_mp_state mp = {.mp_state = snap_get_u32(s)};
	struct kvm_vcpu_events e = {0};
	int ret;

	e.exception.serror_pending = snap_get_u8(s);
	e.exception.serror_has_esr = snap_get_u8(s);
	e.exception.ext_dabt_pending = snap_get_u8(s);
	e.exception.serror_esr = snap_get_u64(s);
	if (e.exception.serror_pending > 1 || e.exception.serror_has_esr > 1 ||
	    e.exception.ext_dabt_pending > 1)
		s->error = -EBADMSG;
	if (s->error)
		return 0;
	ret = kvm_call(v->fd, KVM_SET_MP_STATE, &mp);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: KVM_SET_MP_STATE %u: %s", v->id,
				     mp.mp_state, strerror(-ret));
	/* A fresh vCPU has none pending. */
	if (!e.exception.serror_pending && !e.exception.ext_dabt_pending)
		return 0;
	ret = kvm_call(v->fd, KVM_SET_VCPU_EVENTS, &e);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: KVM_SET_VCPU_EVENTS: %s", v->id,
				     strerror(-ret));
	return 0;
}

int arch_vcpu_load(struct arch_vcpu *v, struct snap_reader *r,
		   struct mote_err *err)
{
	cleanup_free struct saved_reg *reg = NULL;
	struct snap_section s;
	uint32_t n = 0;
	int ret = snap_section_open(r, SECTION_VCPU, v->id, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret == 0)
		ret = parse_regs(v, &s, &reg, &n, err);
	if (ret == 0 && s.error)
		return snap_section_close(&s, err);
	if (ret == 0)
		ret = load_old_psci(v, reg, n, err);
	for (uint32_t i = 0; ret == 0 && i < n; i++)
		if (is_firmware(reg[i].id))
			ret = load_reg(v, &reg[i], err);
	for (uint32_t i = 0; ret == 0 && i < n; i++)
		if (!is_firmware(reg[i].id))
			ret = load_reg(v, &reg[i], err);
	if (ret == 0)
		ret = load_events(v, &s, err);
	if (ret == 0)
		ret = snap_section_close(&s, err);
	return ret;
}

/* --- before there is the guest's VM ------------------------------------------
 */

/* Are the registers of both the same ones, whatever their values? */
static bool same_ids(struct snap_section a, struct snap_section b)
{
	uint32_t n = snap_get_u32(&a);

	if (snap_get_u32(&b) != n)
		return false;
	for (; n > 0 && !a.error && !b.error; n--) {
		uint64_t id = snap_get_u64(&a);

		if (snap_get_u64(&b) != id)
			return false;
		snap_get_raw(&a, reg_size(id));
		snap_get_raw(&b, reg_size(id));
	}
	return !a.error && !b.error;
}

/* Which registers there are, and what the firmware's may hold. */
static int check_regs(struct arch_vcpu *v, struct snap_section s,
		      struct mote_err *err)
{
	cleanup_free struct saved_reg *reg = NULL;
	cleanup_free struct kvm_reg_list *list = NULL;
	uint32_t n = 0;
	uint64_t k = 0;
	int ret = parse_regs(v, &s, &reg, &n, err);

	if (ret == 0)
		ret = list_regs(v, &list, err);
	for (uint32_t i = 0; ret == 0 && i < n; i++) {
		while (k < list->n && list->reg[k] < reg[i].id)
			k++;
		if (is_firmware(reg[i].id))
			ret = load_reg(v, &reg[i], err);
		else if (k == list->n || list->reg[k] != reg[i].id)
			ret = refuse(v, &reg[i], -ENOENT, err);
	}
	return ret;
}

/* A vCPU made as the guest's would be says it. */
static int try_vcpu(struct arch_vm *a, const struct snap_reader *saved,
		    const struct snap_section *s, bool values,
		    struct mote_err *err)
{
	struct snap_reader r = *saved; /* it notes what was used */
	cleanup_fd int fd = kvm_create_vcpu(a->vm_fd, 0);
	struct arch_vcpu v;
	int ret;

	if (fd < 0)
		return err_set(err, -fd, "a vCPU to try the registers on: %s",
			       strerror(-fd));
	ret = arch_vcpu_init(&v, a, fd, NULL, 0, err);
	v.id = s->instance;
	if (ret == 0 && s->version <= VERSION)
		ret = check_regs(&v, *s, err);
	return ret == 0 && values ? arch_vcpu_load(&v, &r, err) : ret;
}

/*
 * Only a vCPU says which registers KVM has and which values it takes: one of
 * a bare VM without memory, gone again at the end.  Other values than the
 * firmware's cost as much as a load: a restore leaves them to that, and takes
 * the first vCPU for all that have the same registers.
 */
int state_check_host(int kvm_fd, const struct snap_reader *saved,
		     const struct snap_section *s, bool values,
		     struct mote_err *err)
{
	struct vm_config cfg = {.vm = {.memory = 1}};
	struct snap_section first;
	cleanup_fd int vm_fd = -1;
	struct arch_vm a;
	int ret;

	if (strcmp(s->name, SECTION_VCPU) != 0)
		return 0;
	ret = check_cpu(s, err);
	if (ret < 0 || (s->instance > 0 && !values &&
			snap_section_find(saved, SECTION_VCPU, 0, &first) &&
			same_ids(first, *s)))
		return ret;
	cfg.vm.protocol = gic_is_saved(saved) ? PROTOCOL_MOTE : PROTOCOL_HVT;
	ret = arch_vm_create(&a, kvm_fd, &cfg, saved, &vm_fd, err);
	if (ret == 0)
		ret = gic_check_saved(&a, saved, err);
	if (ret == 0)
		ret = try_vcpu(&a, saved, s, values, err);
	arch_vm_fini(&a);
	return ret;
}

int arch_vcpu_commit(struct arch_vcpu *v, struct mote_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(timer); i++) {
		int ret;

		if (!(v->held & 1u << i))
			continue;
		ret = kvm_set_one_reg(v->fd, timer[i].id, &v->held_timer[i]);
		if (ret < 0)
			return err_set(err, -ret, "vCPU %u: %s: %s", v->id,
				       timer[i].name, strerror(-ret));
	}
	v->held = 0;
	return 0;
}
