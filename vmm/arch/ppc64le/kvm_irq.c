/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_irq.c - the in-kernel interrupt controller (XICS), and its state.
 *
 * Sources: Linux Documentation/virt/kvm/devices/xics.rst; LoPAR 7.3.10.
 * KVM answers the hypercalls of presentation controllers (H_XIRR, H_EOI,
 * H_CPPR, H_IPI, H_IPOLL) and those RTAS calls whose tokens it is told.  The
 * presentation controllers' state is a register of the vCPUs.  A host whose
 * KVM has none gives a machine without; its device tree has no such node.
 * A guest sees XICS on any host, unless it asked for XIVE (xive.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/rtas.h"
#include "arch/ppc64le/layout.h"
#include "arch/ppc64le/papr.h"
#include "arch/ppc64le/xive.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/guest_abi.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define SECTION_XICS "ppc64-xics"
#define VERSION	     1

#define PRIORITY_BITS                                                          \
	((uint64_t)KVM_XICS_PRIORITY_MASK << KVM_XICS_PRIORITY_SHIFT)
#define SOURCE_RESET (KVM_XICS_MASKED | PRIORITY_BITS)
#define SOURCE_BITS                                                            \
	(KVM_XICS_DESTINATION_MASK | PRIORITY_BITS |                           \
	 KVM_XICS_LEVEL_SENSITIVE | KVM_XICS_MASKED | KVM_XICS_PENDING |       \
	 KVM_XICS_PRESENTED | KVM_XICS_QUEUED)

static int set_source(const struct arch_vm *a, uint32_t i, uint64_t val)
{
	return kvm_set_attr(a->xics_fd, KVM_DEV_XICS_GRP_SOURCES,
			    LAYOUT_IRQ_FIRST + i, &val);
}

static int define_tokens(const struct arch_vm *a, struct mote_err *err)
{
	for (uint32_t token = MOTE_RTAS_SET_XIVE; token <= MOTE_RTAS_INT_OFF;
	     token++) {
		struct kvm_rtas_token_args args = {.token = token};
		int ret;

		snprintf(args.name, sizeof(args.name), "%s", rtas_name(token));
		ret = kvm_call(a->vm_fd, KVM_PPC_RTAS_DEFINE_TOKEN, &args);
		if (ret < 0)
			return err_set(err, -ret,
				       "KVM_PPC_RTAS_DEFINE_TOKEN %s: %s",
				       args.name, strerror(-ret));
	}
	return 0;
}

/* None here: fine, unless what will be loaded has one. */
static int none(int ret, bool needed, struct mote_err *err)
{
	if (!needed)
		return 0;
	return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
			     "section %s: KVM on this host has no XICS: %s",
			     SECTION_XICS, strerror(-ret));
}

int xics_create(struct arch_vm *a, const struct snap_reader *saved,
		struct mote_err *err)
{
	struct snap_section s;
	bool needed = saved && snap_section_find(saved, SECTION_XICS, 0, &s);
	int ret;

	if (saved && !needed)
		return 0; /* it was saved without one */
	if (!kvm_check_extension(a->vm_fd, KVM_CAP_IRQ_XICS))
		return none(-ENODEV, needed, err);
	ret = kvm_create_device(a->vm_fd, KVM_DEV_TYPE_XICS, false);
	if (ret == -ENODEV || ret == -EPERM || ret == -EINVAL)
		return none(ret, needed, err);
	if (ret < 0)
		return err_set(err, -ret, "KVM_CREATE_DEVICE XICS: %s",
			       strerror(-ret));
	a->xics_fd = ret;
	for (uint32_t i = 0; i < LAYOUT_IRQS; i++) {
		ret = set_source(a, i, SOURCE_RESET);
		if (ret < 0)
			return err_set(err, -ret, "XICS: source 0x%x: %s",
				       LAYOUT_IRQ_FIRST + i, strerror(-ret));
	}
	return define_tokens(a, err);
}

int irq_create(struct arch_vm *a, const struct vm_config *cfg,
	       const struct snap_reader *saved, struct mote_err *err)
{
	struct snap_section s;
	bool xive = saved ? snap_section_find(saved, XIVE_SECTION, 0, &s)
			  : cfg->cpu.irq == CPU_IRQ_XIVE;

	return xive ? xive_create(a, cfg->vm.vcpus, err)
		    : xics_create(a, saved, err);
}

void irq_fini(struct arch_vm *a)
{
	xive_destroy(a);
	/* One that was never created (all zero) has no descriptor either. */
	if (a->xics_fd > 0)
		fd_clear(&a->xics_fd);
	a->xics_fd = -1;
}

int irq_connect(struct arch_vcpu *v, struct mote_err *err)
{
	const uint64_t args[4] = {(uint64_t)v->vm->xics_fd, v->id};
	int ret;

	if (v->vm->xive)
		return xive_connect(v, err);
	if (v->vm->xics_fd < 0)
		return 0;
	ret = kvm_enable_cap(v->fd, KVM_CAP_IRQ_XICS, args);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_CAP_IRQ_XICS: %s",
			       v->id, strerror(-ret));
	return 0;
}

int arch_irq_fd(const struct arch_vm *a)
{
	return a->xive ? a->xive->fd : -1;
}

/* --- state ------------------------------------------------------------------
 */

/* All of them in one go: KVM scans its queues with the first. */
int arch_irq_save(struct arch_vm *a, struct snap_writer *w,
		  struct mote_err *err)
{
	if (a->xive)
		return xive_save(a, w, err);
	if (a->xics_fd < 0)
		return 0;
	snap_section_begin(w, SECTION_XICS, 0, VERSION, SNAP_REQUIRED);
	snap_put_u32(w, LAYOUT_IRQS);
	for (uint32_t i = 0; i < LAYOUT_IRQS; i++) {
		uint64_t val = 0;
		int ret = kvm_get_attr(a->xics_fd, KVM_DEV_XICS_GRP_SOURCES,
				       LAYOUT_IRQ_FIRST + i, &val);

		if (ret < 0)
			return err_set(err, -ret,
				       "XICS: this host does not give source "
				       "0x%x: %s",
				       LAYOUT_IRQ_FIRST + i, strerror(-ret));
		snap_put_u64(w, val);
	}
	snap_section_end(w);
	return 0;
}

static int load_source(struct arch_vm *a, struct snap_section *s, uint32_t i,
		       struct mote_err *err)
{
	uint64_t val = snap_get_u64(s);
	int ret;

	if (s->error)
		return 0; /* told when the section is closed */
	if (val & ~SOURCE_BITS)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section %s: source 0x%x has unknown "
				     "bits: 0x%" PRIx64,
				     SECTION_XICS, LAYOUT_IRQ_FIRST + i, val);
	ret = set_source(a, i, val);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "section %s: this host refuses source "
				     "0x%x (0x%" PRIx64 "): %s",
				     SECTION_XICS, LAYOUT_IRQ_FIRST + i, val,
				     strerror(-ret));
	return 0;
}

int arch_irq_load(struct arch_vm *a, struct snap_reader *r,
		  struct mote_err *err)
{
	struct snap_section s;
	uint32_t count;
	int ret;

	if (a->xive)
		return xive_load(a, r, err);
	if (a->xics_fd < 0)
		return 0; /* xics_create has refused what it could not take */
	ret = snap_section_open(r, SECTION_XICS, 0, &s, err);
	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret < 0)
		return ret;
	count = snap_get_u32(&s);
	if (!s.error && count != LAYOUT_IRQS)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section %s: %u sources, expected %u",
				     SECTION_XICS, count, LAYOUT_IRQS);
	for (uint32_t i = 0; ret == 0 && i < LAYOUT_IRQS; i++)
		ret = load_source(a, &s, i, err);
	return ret < 0 ? ret : snap_section_close(&s, err);
}
