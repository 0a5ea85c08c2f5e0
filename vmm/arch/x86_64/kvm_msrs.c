/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_msrs.c - the model-specific registers of a vCPU in a snapshot.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/state_priv.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define MSR_MAX	   768u
#define MCG_CAP	   0x179u
#define MC0_CTL	   0x400u /* then status, address, misc; 4 a bank */
#define BANKS_MAX  32u
#define BANK_COUNT 0xffu

struct msr_list {
	struct kvm_msr_list head;
	uint32_t index[MSR_MAX];
};

struct msr_values {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[MSR_MAX];
};

/* Synthetic MSRs of an interface that we do not offer; some are clocks. */
static bool is_hyperv(uint32_t index)
{
	return index >= 0x40000000u && index < 0x40000200u;
}

static void add(struct msr_list *list, uint32_t index)
{
	for (uint32_t i = 0; i < list->head.nmsrs; i++)
		if (list->index[i] == index)
			return;
	if (list->head.nmsrs < MSR_MAX)
		list->index[list->head.nmsrs++] = index;
}

static int get(struct arch_vcpu *v, struct kvm_msrs *m, struct mote_err *err)
{
	int ret = kvm_call(v->fd, KVM_GET_MSRS, m);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_GET_MSRS: %s", v->id,
			       strerror(-ret));
	return ret;
}

int msr_get(struct arch_vcpu *v, uint32_t index, uint64_t *value,
	    struct mote_err *err)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = {.head.nmsrs = 1, .entry.index = index};
	int ret = get(v, &m.head, err);

	*value = ret == 1 ? m.entry.data : 0;
	return ret < 0 ? ret : 0;
}

static const struct {
	uint32_t first, last;
} mtrr[] = {{0x200, 0x20f},
	    {0x250, 0x250},
	    {0x258, 0x259},
	    {0x268, 0x26f},
	    {0x2ff, 0x2ff}};

/* What a guest can write, and KVM keeps and leaves out of its list. */
static int add_unlisted(struct arch_vcpu *v, struct msr_list *list,
			struct mote_err *err)
{
	uint64_t cap, banks;
	int ret = msr_get(v, MCG_CAP, &cap, err);

	banks = num_min(cap & BANK_COUNT, BANKS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(mtrr); i++)
		for (uint32_t m = mtrr[i].first; m <= mtrr[i].last; m++)
			add(list, m);
	for (uint32_t i = 0; i < 4 * banks; i++)
		add(list, MC0_CTL + i);
	return ret;
}

static int list_msrs(struct arch_vcpu *v, struct msr_list *list,
		     struct mote_err *err)
{
	uint32_t n = 0;
	int ret;

	list->head.nmsrs = MSR_MAX;
	ret = kvm_call(v->vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, list);
	if (ret < 0)
		return err_set(err, -ret, "KVM_GET_MSR_INDEX_LIST: %s",
			       strerror(-ret));
	for (uint32_t i = 0; i < list->head.nmsrs; i++)
		if (!is_hyperv(list->index[i]))
			list->index[n++] = list->index[i];
	list->head.nmsrs = n;
	return add_unlisted(v, list, err);
}

/*
 * The list names what KVM knows, not what this vCPU has: an MSR that can't
 * be read does not exist for the guest, and KVM stops at it.
 */
static int get_msrs(struct arch_vcpu *v, const struct msr_list *list,
		    struct msr_values *got, struct mote_err *err)
{
	uint32_t at = 0, all = list->head.nmsrs;

	while (at < all) {
		struct msr_values part = {.head.nmsrs = all - at};
		int ret;

		for (uint32_t i = at; i < all; i++)
			part.entry[i - at].index = list->index[i];
		ret = get(v, &part.head, err);
		if (ret < 0)
			return ret;
		memcpy(got->entry + got->head.nmsrs, part.entry,
		       (size_t)ret * sizeof(part.entry[0]));
		got->head.nmsrs += (uint32_t)ret;
		at += (uint32_t)ret + 1;
	}
	return 0;
}

int save_msrs(struct arch_vcpu *v, struct snap_writer *w, struct mote_err *err)
{
	cleanup_free struct msr_list *list = calloc(1, sizeof(*list));
	cleanup_free struct msr_values *got = calloc(1, sizeof(*got));
	int ret;

	if (!list || !got)
		return err_set(err, ENOMEM, "MSR list");
	ret = list_msrs(v, list, err);
	if (ret == 0)
		ret = get_msrs(v, list, got, err);
	if (ret < 0)
		return ret;
	snap_put_u32(w, got->head.nmsrs);
	for (uint32_t i = 0; i < got->head.nmsrs; i++) {
		struct kvm_msr_entry *e = &got->entry[i];

		if (v->held && e->index == MSR_TSC)
			e->data = v->held_tsc;
		if (e->index == MSR_TSC_DEADLINE)
			e->data = v->held_deadline;
		snap_put_u32(w, e->index);
		snap_put_u64(w, e->data);
	}
	return 0;
}

int get_settable_msrs(struct arch_vcpu *v, struct kvm_msrs **out,
		      struct mote_err *err)
{
	cleanup_free struct msr_list *list = calloc(1, sizeof(*list));
	struct msr_values *got = calloc(1, sizeof(*got));
	uint32_t n = 0;
	int ret;

	*out = got ? &got->head : NULL;
	if (!list || !got)
		return err_set(err, ENOMEM, "MSR list");
	ret = list_msrs(v, list, err);
	if (ret == 0)
		ret = get_msrs(v, list, got, err);
	for (uint32_t i = 0; ret == 0 && i < got->head.nmsrs; i++)
		if (got->entry[i].index != MSR_TSC &&
		    got->entry[i].index != MSR_TSC_DEADLINE)
			got->entry[n++] = got->entry[i];
	got->head.nmsrs = n;
	return ret;
}

/* How many of them were set: KVM stops at one that it refuses. */
static int set_first(struct arch_vcpu *v, struct kvm_msrs *m,
		     struct mote_err *err)
{
	int ret = kvm_call(v->fd, KVM_SET_MSRS, m);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_SET_MSRS: %s", v->id,
			       strerror(-ret));
	return ret;
}

static int refused(const struct arch_vcpu *v, const struct kvm_msr_entry *e,
		   struct mote_err *err)
{
	return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
			     "vCPU %u: this host refuses MSR 0x%x = "
			     "0x%" PRIx64,
			     v->id, e->index, (uint64_t)e->data);
}

int msrs_set(struct arch_vcpu *v, struct kvm_msrs *m, struct mote_err *err)
{
	int done = set_first(v, m, err);

	if (done < 0)
		return done;
	return (uint32_t)done == m->nmsrs ? 0
					  : refused(v, &m->entries[done], err);
}

/* The same, which uses *m up: what was off is as good where it is not there. */
static int set_where_there(struct arch_vcpu *v, struct kvm_msrs *m,
			   struct mote_err *err)
{
	while (m->nmsrs > 0) {
		int done = set_first(v, m, err);

		if (done < 0)
			return done;
		if ((uint32_t)done == m->nmsrs)
			return 0;
		if (m->entries[done].data != 0)
			return refused(v, &m->entries[done], err);
		m->nmsrs -= (uint32_t)done + 1;
		memmove(m->entries, m->entries + done + 1,
			m->nmsrs * sizeof(m->entries[0]));
	}
	return 0;
}

/* Is it one that arch_vcpu_commit sets? */
static bool hold(struct arch_vcpu *v, const struct kvm_msr_entry *e)
{
	if (e->index == MSR_TSC)
		v->held_tsc = e->data;
	else if (e->index == MSR_TSC_DEADLINE)
		v->held_deadline = e->data;
	else
		return false;
	return true;
}

/*
 * What is as in a vCPU that has not run need not be set: of the some 200
 * these are most, and nearly always so (SDM vol. 3, table 10-1: memory types
 * off; KVM makes the banks empty).
 */
static bool is_reset(const struct kvm_msr_entry *e)
{
	bool zero = e->index >= MC0_CTL && e->index < MC0_CTL + 4 * BANKS_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(mtrr) && !zero; i++)
		zero = e->index >= mtrr[i].first && e->index <= mtrr[i].last;
	return zero && e->data == 0;
}

int load_msrs(struct arch_vcpu *v, struct snap_section *r, struct mote_err *err)
{
	cleanup_free struct kvm_msrs *m = NULL;
	uint32_t n = snap_get_u32(r);

	if (n > MSR_MAX)
		r->error = -EBADMSG;
	if (r->error)
		return 0;
	m = calloc(1, sizeof(*m) + (n + 1) * sizeof(m->entries[0]));
	if (!m)
		return err_set(err, ENOMEM, "MSR list");
	for (uint32_t i = 0; !r->error && i < n; i++) {
		struct kvm_msr_entry *e = &m->entries[m->nmsrs];

		e->index = snap_get_u32(r);
		e->data = snap_get_u64(r);
		if (!hold(v, e) && !is_reset(e))
			m->nmsrs++;
	}
	return r->error ? 0 : set_where_there(v, m, err);
}
