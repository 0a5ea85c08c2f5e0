/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_features.c - what vCPUs are made with and can't change later: the
 * features of KVM_ARM_VCPU_INIT and the lengths of scalable vectors; and the
 * section of the VM, which says it to the restoring side.
 *
 * Scalable vectors (SVE) and pointer authentication are the configuration's
 * choice (cpu.sve, cpu.pauth) and off unless it asks: a guest that saw them
 * can only go on where they are.  A performance monitor is never offered.
 *
 * The order is KVM's (Documentation/virt/kvm/api.rst, KVM_REG_ARM64_SVE_VLS):
 * init, vector lengths, finalize; before that no register list can be had,
 * after it the lengths stand.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/arch_priv.h"
#include "base/err.h"
#include "base/num.h"
#include "config/config.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define SECTION	     "arm64-vm"
#define VERSION	     2
#define BIT(n)	     (1u << KVM_ARM_VCPU_##n)
#define F_PSCI	     BIT(PSCI_0_2)
#define F_SVE	     BIT(SVE)
#define F_PAUTH	     (BIT(PTRAUTH_ADDRESS) | BIT(PTRAUTH_GENERIC))
#define LENGTHS_TEXT 96

_Static_assert(ARM64_SVE_WORDS == KVM_ARM64_SVE_VLS_WORDS,
	       "register of vector lengths");

static const struct {
	uint32_t bits;
	long cap[2]; /* both are needed */
	const char *key, *name;
} known[] = {
	{F_SVE,
	 {KVM_CAP_ARM_SVE, KVM_CAP_ARM_SVE},
	 "cpu.sve",
	 "scalable vectors (SVE)"},
	{F_PAUTH,
	 {KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC},
	 "cpu.pauth",
	 "pointer authentication"},
};

/* The state of the VM as its section says it. */
struct vm_state {
	uint32_t ipa_bits;
	uint64_t counter_hz;
	uint32_t features;
	uint64_t lengths[ARM64_SVE_WORDS];
};

/* How fast CNTVCT_EL0 counts, on every CPU of this host. */
static uint64_t counter_hz(void)
{
	uint64_t hz;

	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	return hz;
}

/* Errors stick to the section; version 1 knew PSCI 0.2 alone. */
static void get_state(struct snap_section *s, struct vm_state *st)
{
	*st = (struct vm_state){.features = F_PSCI};
	st->ipa_bits = snap_get_u32(s);
	st->counter_hz = snap_get_u64(s);
	if (s->version < 2)
		return;
	st->features = snap_get_u32(s);
	for (size_t i = 0; st->features & F_SVE && i < ARM64_SVE_WORDS; i++)
		st->lengths[i] = snap_get_u64(s);
	/* Every implementation has 128 bits. */
	if (st->features & F_SVE && !(st->lengths[0] & 1))
		s->error = -EBADMSG;
}

/* Does this KVM (the device or a VM) have what init would be asked for? */
static int check_caps(int fd, uint32_t features, const char *who,
		      struct mote_err *err)
{
	uint32_t rest = features & ~F_PSCI;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		uint32_t asked = features & known[i].bits;

		rest &= ~known[i].bits;
		if (!asked || (asked == known[i].bits &&
			       kvm_check_extension(fd, known[i].cap[0]) > 0 &&
			       kvm_check_extension(fd, known[i].cap[1]) > 0))
			continue;
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "%s: %s %s, which KVM on this host lacks",
				     known[i].key, who, known[i].name);
	}
	if (rest)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "%s features 0x%x of KVM_ARM_VCPU_INIT, "
				     "which this version does not know",
				     who, rest);
	if (!(features & F_PSCI))
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "%s vCPUs without PSCI 0.2", who);
	return 0;
}

static int check_state(int fd, const struct vm_state *st, struct mote_err *err)
{
	return check_caps(fd, st->features, "the snapshot's guest has", err);
}

static int check_machine(const struct vm_state *st, uint32_t ipa_bits,
			 struct mote_err *err)
{
	if (st->ipa_bits > ipa_bits)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "address size: %u bits in the snapshot, "
				     "KVM on this host has %u",
				     st->ipa_bits, ipa_bits);
	if (st->counter_hz != counter_hz())
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "counter frequency (CNTFRQ_EL0): %" PRIu64
				     " Hz in the snapshot, this host has "
				     "%" PRIu64 ": the guest's clock would go "
				     "wrong",
				     st->counter_hz, counter_hz());
	return 0;
}

int arch_host_check(int kvm_fd, const struct snap_reader *saved,
		    const struct snap_section *of, bool values,
		    struct mote_err *err)
{
	struct snap_section s = *of;
	struct vm_state st;
	int ret;

	if (strcmp(s.name, SECTION) != 0)
		return state_check_host(kvm_fd, saved, of, values, err);
	if (s.version > VERSION)
		return 0; /* it is refused when it is loaded */
	get_state(&s, &st);
	if (s.error)
		return 0;
	ret = check_state(kvm_fd, &st, err);
	return ret < 0 ? ret : check_machine(&st, host_ipa_bits(kvm_fd), err);
}

int features_choose(struct arch_vm *a, const struct vm_config *cfg,
		    const struct snap_reader *saved, struct mote_err *err)
{
	struct snap_section s;
	struct vm_state st;
	uint32_t wanted = F_PSCI;
	int ret;

	if (saved && snap_section_find(saved, SECTION, 0, &s)) {
		ret = snap_section_version(&s, VERSION, err);
		if (ret < 0)
			return ret;
		get_state(&s, &st);
		if (s.error)
			return snap_section_close(&s, err);
		ret = check_state(a->vm_fd, &st, err);
		wanted = st.features;
		memcpy(a->sve_lengths, st.lengths, sizeof(st.lengths));
	} else {
		wanted |= (cfg->cpu.sve ? F_SVE : 0) |
			  (cfg->cpu.pauth ? F_PAUTH : 0);
		ret = check_caps(a->vm_fd, wanted, "the guest is to have", err);
	}
	a->features[0] |= wanted;
	return ret;
}

/* "128 256 512" bits. */
static const char *lengths_text(const uint64_t *lengths,
				char text[LENGTHS_TEXT])
{
	size_t len = 0;

	text[0] = 0;
	for (unsigned int i = 0; i < ARM64_SVE_WORDS * 64; i++)
		if (lengths[i / 64] >> i % 64 & 1 && len < LENGTHS_TEXT)
			len += (size_t)snprintf(text + len, LENGTHS_TEXT - len,
						"%s%u", len ? " " : "",
						(i + 1) * 128);
	return text;
}

/* The first vCPU of a new machine says what there is; all get the same. */
static int set_lengths(struct arch_vcpu *v, struct mote_err *err)
{
	uint64_t host[ARM64_SVE_WORDS] = {0}, *wanted = v->vm->sve_lengths;
	char theirs[LENGTHS_TEXT], ours[LENGTHS_TEXT];
	int ret = kvm_get_one_reg(v->fd, KVM_REG_ARM64_SVE_VLS, host);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: SVE_VLS: %s", v->id,
			       strerror(-ret));
	if (wanted[0] == 0)
		memcpy(wanted, host, sizeof(host));
	ret = kvm_set_one_reg(v->fd, KVM_REG_ARM64_SVE_VLS, wanted);
	if (ret < 0)
		return err_set_class(
			err, -ret, ERR_CLASS_UNAVAILABLE,
			"vCPU %u: cpu.sve: the guest has vectors of %s bits, "
			"this host has %s (SVE_VLS: %s)",
			v->id, lengths_text(wanted, theirs),
			lengths_text(host, ours), strerror(-ret));
	return 0;
}

int features_finalize(struct arch_vcpu *v, struct mote_err *err)
{
	int feature = KVM_ARM_VCPU_SVE;
	int ret;

	if (!(v->vm->features[0] & F_SVE))
		return 0;
	ret = set_lengths(v, err);
	if (ret < 0)
		return ret;
	ret = kvm_call(v->fd, KVM_ARM_VCPU_FINALIZE, &feature);
	if (ret < 0)
		return err_set(err, -ret,
			       "vCPU %u: KVM_ARM_VCPU_FINALIZE (SVE): %s",
			       v->id, strerror(-ret));
	return 0;
}

int features_check_lengths(struct arch_vcpu *v, const void *saved,
			   struct mote_err *err)
{
	char theirs[LENGTHS_TEXT], ours[LENGTHS_TEXT];
	uint64_t lengths[ARM64_SVE_WORDS];

	memcpy(lengths, saved, sizeof(lengths));
	if (!memcmp(lengths, v->vm->sve_lengths, sizeof(lengths)))
		return 0;
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "vCPU %u: vectors of %s bits, section " SECTION
			     " says %s",
			     v->id, lengths_text(lengths, theirs),
			     lengths_text(v->vm->sve_lengths, ours));
}

int arch_vm_save(struct arch_vm *a, bool diff, struct snap_writer *w,
		 struct mote_err *err)
{
	(void)diff;
	(void)err;
	snap_section_begin(w, SECTION, 0, VERSION, SNAP_REQUIRED);
	snap_put_u32(w, a->ipa_bits);
	snap_put_u64(w, counter_hz());
	snap_put_u32(w, a->features[0]);
	for (size_t i = 0; a->features[0] & F_SVE && i < ARM64_SVE_WORDS; i++)
		snap_put_u64(w, a->sve_lengths[i]);
	snap_section_end(w);
	return 0;
}

int arch_vm_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	struct vm_state st;
	int ret = snap_section_open(r, SECTION, 0, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret < 0)
		return ret;
	get_state(&s, &st);
	ret = snap_section_close(&s, err);
	if (ret < 0)
		return ret;
	ret = check_machine(&st, a->ipa_limit, err);
	if (ret < 0)
		return ret;
	/* arch_vm_create took both from this very section. */
	if (st.features != a->features[0] ||
	    memcmp(st.lengths, a->sve_lengths, sizeof(st.lengths)) != 0)
		return err_set(err, EINVAL,
			       "section " SECTION ": features 0x%x, the vCPUs "
			       "were made with 0x%x",
			       st.features, a->features[0]);
	/* This VM's own is what its RAM needs; kept for a save without run. */
	a->ipa_bits = st.ipa_bits;
	return 0;
}

/* The offset of the VM's counter goes with its vCPUs. */
int arch_vm_commit(struct arch_vm *a, struct mote_err *err)
{
	(void)a;
	(void)err;
	return 0;
}
