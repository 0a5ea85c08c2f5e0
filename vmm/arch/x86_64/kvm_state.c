/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_state.c - the complete state of an x86_64 vCPU as snapshot sections.
 *
 * Load order is KVM's: sregs, xcrs, xsave, regs, lapic, msrs, mp state,
 * events, debug registers (KVM API 4.x; CPUID was set at init).  It is of a
 * vCPU that has not run, so what is as after a reset needs no call, and
 * registers wait in kvm_run where nothing before needs them (kvm_sync.c).  What
 * runs with the host's clock (TSC, the LAPIC's timer, kvmclock) is held as
 * loaded and reaches KVM just before the first run: kvm_timer.c.
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

#define SECTION_VM "x86-vm"
#define VERSION	   1
#define XSAVE_MAX  65536u

/* Intel SDM vol. 3, 10.1.4 and 11.4.4: the APIC is on, in xAPIC mode. */
#define APIC_BASE_RESET 0xfee00900u
#define DR6_RESET	0xffff0ff0u
#define DR7_RESET	0x400u

int state_call(struct arch_vcpu *v, unsigned long request, void *arg,
	       const char *name, struct mote_err *err)
{
	int ret = kvm_call(v->fd, request, arg);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: %s: %s", v->id, name,
			       strerror(-ret));
	return 0;
}

static void put_segment(struct snap_writer *w, const struct kvm_segment *s)
{
	snap_put_u64(w, s->base);
	snap_put_u32(w, s->limit);
	snap_put_u16(w, s->selector);
	snap_put_u8(w, s->type);
	snap_put_u8(w, s->present);
	snap_put_u8(w, s->dpl);
	snap_put_u8(w, s->db);
	snap_put_u8(w, s->s);
	snap_put_u8(w, s->l);
	snap_put_u8(w, s->g);
	snap_put_u8(w, s->avl);
	snap_put_u8(w, s->unusable);
}

static void get_segment(struct snap_section *r, struct kvm_segment *s)
{
	s->base = snap_get_u64(r);
	s->limit = snap_get_u32(r);
	s->selector = snap_get_u16(r);
	s->type = snap_get_u8(r);
	s->present = snap_get_u8(r);
	s->dpl = snap_get_u8(r);
	s->db = snap_get_u8(r);
	s->s = snap_get_u8(r);
	s->l = snap_get_u8(r);
	s->g = snap_get_u8(r);
	s->avl = snap_get_u8(r);
	s->unusable = snap_get_u8(r);
}

static struct kvm_segment *segment(struct kvm_sregs *s, int i)
{
	struct kvm_segment *const all[] = {&s->cs, &s->ds, &s->es, &s->fs,
					   &s->gs, &s->ss, &s->tr, &s->ldt};

	return all[i];
}

static int save_sregs(struct arch_vcpu *v, struct snap_writer *w,
		      struct mote_err *err)
{
	struct kvm_sregs s;
	int ret = CALL(v, KVM_GET_SREGS, &s, err);

	if (ret < 0)
		return ret;
	for (int i = 0; i < 8; i++)
		put_segment(w, segment(&s, i));
	snap_put_u64(w, s.gdt.base);
	snap_put_u16(w, s.gdt.limit);
	snap_put_u64(w, s.idt.base);
	snap_put_u16(w, s.idt.limit);
	snap_put_u64(w, s.cr0);
	snap_put_u64(w, s.cr2);
	snap_put_u64(w, s.cr3);
	snap_put_u64(w, s.cr4);
	snap_put_u64(w, s.cr8);
	snap_put_u64(w, s.efer);
	snap_put_u64(w, s.apic_base);
	for (size_t i = 0; i < ARRAY_SIZE(s.interrupt_bitmap); i++)
		snap_put_u64(w, s.interrupt_bitmap[i]);
	return 0;
}

static void get_sregs(struct snap_section *r, struct kvm_sregs *s)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < 8; i++)
		get_segment(r, segment(s, i));
	s->gdt.base = snap_get_u64(r);
	s->gdt.limit = snap_get_u16(r);
	s->idt.base = snap_get_u64(r);
	s->idt.limit = snap_get_u16(r);
	s->cr0 = snap_get_u64(r);
	s->cr2 = snap_get_u64(r);
	s->cr3 = snap_get_u64(r);
	s->cr4 = snap_get_u64(r);
	s->cr8 = snap_get_u64(r);
	s->efer = snap_get_u64(r);
	s->apic_base = snap_get_u64(r);
	for (size_t i = 0; i < ARRAY_SIZE(s->interrupt_bitmap); i++)
		s->interrupt_bitmap[i] = snap_get_u64(r);
}

static int load_sregs(struct arch_vcpu *v, struct snap_section *r,
		      struct mote_err *err)
{
	struct kvm_sregs s;

	get_sregs(r, &s);
	if (r->error)
		return 0; /* told when the section is closed */
	sync_sregs(v, &s);
	/* The LAPIC's registers are read as this says. */
	return s.apic_base == APIC_BASE_RESET ? 0 : sync_settle(v, err);
}

static int save_xcrs(struct arch_vcpu *v, struct snap_writer *w,
		     struct mote_err *err)
{
	struct kvm_xcrs x = {0};
	int ret = 0;

	if (kvm_check_extension(v->vm->vm_fd, KVM_CAP_XCRS))
		ret = CALL(v, KVM_GET_XCRS, &x, err);
	if (ret < 0)
		return ret;
	snap_put_u32(w, x.nr_xcrs);
	for (uint32_t i = 0; i < x.nr_xcrs && i < KVM_MAX_XCRS; i++) {
		snap_put_u32(w, x.xcrs[i].xcr);
		snap_put_u64(w, x.xcrs[i].value);
	}
	return 0;
}

static void get_xcrs(struct snap_section *r, struct kvm_xcrs *x)
{
	memset(x, 0, sizeof(*x));
	x->nr_xcrs = snap_get_u32(r);
	if (x->nr_xcrs > KVM_MAX_XCRS)
		r->error = -EBADMSG;
	for (uint32_t i = 0; !r->error && i < x->nr_xcrs; i++) {
		x->xcrs[i].xcr = snap_get_u32(r);
		x->xcrs[i].value = snap_get_u64(r);
	}
}

/* As a vCPU that has not run has it. */
static bool is_reset_xcr(const struct kvm_xcrs *x)
{
	return x->nr_xcrs == 1 && x->xcrs[0].xcr == 0 && x->xcrs[0].value == 1;
}

static int load_xcrs(struct arch_vcpu *v, struct snap_section *r,
		     struct mote_err *err)
{
	struct kvm_xcrs x;

	get_xcrs(r, &x);
	if (r->error || x.nr_xcrs == 0 || is_reset_xcr(&x))
		return 0;
	return CALL(v, KVM_SET_XCRS, &x, err);
}

/* How many bytes of XSAVE state this KVM (the device or a VM) moves. */
static uint32_t xsave_size(int fd)
{
	int size = kvm_check_extension(fd, KVM_CAP_XSAVE2);

	return size > (int)sizeof(struct kvm_xsave) ? (uint32_t)size
						    : sizeof(struct kvm_xsave);
}

int get_xsave(struct arch_vcpu *v, uint8_t **buf, struct mote_err *err)
{
	uint32_t size = xsave_size(v->vm->vm_fd);

	*buf = calloc(1, size);
	if (!*buf)
		return err_set(err, ENOMEM, "XSAVE area");
	if (size > sizeof(struct kvm_xsave))
		return CALL(v, KVM_GET_XSAVE2, *buf, err);
	return CALL(v, KVM_GET_XSAVE, *buf, err);
}

static int save_xsave(struct arch_vcpu *v, struct snap_writer *w,
		      struct mote_err *err)
{
	uint32_t size = xsave_size(v->vm->vm_fd);
	cleanup_free uint8_t *buf = NULL;
	int ret = get_xsave(v, &buf, err);

	if (ret < 0)
		return ret;
	snap_put_u32(w, size);
	snap_put_bytes(w, buf, size);
	return 0;
}

static int load_xsave(struct arch_vcpu *v, struct snap_section *r,
		      struct mote_err *err)
{
	uint32_t size = snap_get_u32(r);
	uint32_t host = xsave_size(v->vm->vm_fd);
	cleanup_free uint8_t *buf = NULL;
	const void *area;

	if (size > XSAVE_MAX)
		r->error = -EBADMSG;
	if (r->error)
		return 0;
	if (size > host)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: XSAVE state of %u bytes, this "
				     "host has %u",
				     v->id, size, host);
	area = snap_get_raw(r, size);
	if (area && size < host) {
		buf = calloc(1, host);
		if (!buf)
			return err_set(err, ENOMEM, "XSAVE area");
		memcpy(buf, area, size);
		area = buf;
	}
	/* KVM reads it, whatever the type of the ioctl says. */
	return area ? CALL(v, KVM_SET_XSAVE, (void *)area, err) : 0;
}

static uint64_t *reg(struct kvm_regs *g, int i)
{
	uint64_t *const all[] = {(uint64_t *)&g->rax, (uint64_t *)&g->rbx,
				 (uint64_t *)&g->rcx, (uint64_t *)&g->rdx,
				 (uint64_t *)&g->rsi, (uint64_t *)&g->rdi,
				 (uint64_t *)&g->rsp, (uint64_t *)&g->rbp,
				 (uint64_t *)&g->r8,  (uint64_t *)&g->r9,
				 (uint64_t *)&g->r10, (uint64_t *)&g->r11,
				 (uint64_t *)&g->r12, (uint64_t *)&g->r13,
				 (uint64_t *)&g->r14, (uint64_t *)&g->r15,
				 (uint64_t *)&g->rip, (uint64_t *)&g->rflags};

	return all[i];
}

static int save_regs(struct arch_vcpu *v, struct snap_writer *w,
		     struct mote_err *err)
{
	struct kvm_regs g;
	int ret = CALL(v, KVM_GET_REGS, &g, err);

	for (int i = 0; ret == 0 && i < 18; i++)
		snap_put_u64(w, *reg(&g, i));
	return ret;
}

static int load_regs(struct arch_vcpu *v, struct snap_section *r,
		     struct mote_err *err)
{
	struct kvm_regs g;

	for (int i = 0; i < 18; i++)
		*reg(&g, i) = snap_get_u64(r);
	if (!r->error)
		sync_regs(v, &g);
	return 0;
}

static int save_events(struct arch_vcpu *v, struct snap_writer *w,
		       struct mote_err *err)
{
	struct kvm_vcpu_events e = {0};
	int ret = CALL(v, KVM_GET_VCPU_EVENTS, &e, err);

	if (ret < 0)
		return ret;
	snap_put_u32(w, v->mp_state);
	snap_put_u32(w, e.flags);
	snap_put_u8(w, e.exception.injected);
	snap_put_u8(w, e.exception.nr);
	snap_put_u8(w, e.exception.has_error_code);
	snap_put_u8(w, e.exception.pending);
	snap_put_u32(w, e.exception.error_code);
	snap_put_u8(w, e.interrupt.injected);
	snap_put_u8(w, e.interrupt.nr);
	snap_put_u8(w, e.interrupt.soft);
	snap_put_u8(w, e.interrupt.shadow);
	snap_put_u8(w, e.nmi.injected);
	snap_put_u8(w, e.nmi.pending);
	snap_put_u8(w, e.nmi.masked);
	snap_put_u32(w, e.sipi_vector);
	snap_put_u8(w, e.smi.smm);
	snap_put_u8(w, e.smi.pending);
	snap_put_u8(w, e.smi.smm_inside_nmi);
	snap_put_u8(w, e.smi.latched_init);
	snap_put_u8(w, e.exception_has_payload);
	snap_put_u64(w, e.exception_payload);
	return 0;
}

static int load_events(struct arch_vcpu *v, struct snap_section *r,
		       struct mote_err *err)
{
	struct kvm_mp_state mp = {.mp_state = snap_get_u32(r)};
	struct kvm_vcpu_events e = {.flags = snap_get_u32(r)};
	int ret = 0;

	e.exception.injected = snap_get_u8(r);
	e.exception.nr = snap_get_u8(r);
	e.exception.has_error_code = snap_get_u8(r);
	e.exception.pending = snap_get_u8(r);
	e.exception.error_code = snap_get_u32(r);
	e.interrupt.injected = snap_get_u8(r);
	e.interrupt.nr = snap_get_u8(r);
	e.interrupt.soft = snap_get_u8(r);
	e.interrupt.shadow = snap_get_u8(r);
	e.nmi.injected = snap_get_u8(r);
	e.nmi.pending = snap_get_u8(r);
	e.nmi.masked = snap_get_u8(r);
	e.sipi_vector = snap_get_u32(r);
	e.smi.smm = snap_get_u8(r);
	e.smi.pending = snap_get_u8(r);
	e.smi.smm_inside_nmi = snap_get_u8(r);
	e.smi.latched_init = snap_get_u8(r);
	e.exception_has_payload = snap_get_u8(r);
	e.exception_payload = snap_get_u64(r);
	if (r->error)
		return 0;
	sync_events(v, &e);
	/* The first vCPU begins runnable, the others wait for their start. */
	if (mp.mp_state != KVM_MP_STATE_RUNNABLE || v->id != 0)
		ret = CALL(v, KVM_SET_MP_STATE, &mp, err);
	if (ret == 0 && !sync_works(v, mp.mp_state))
		ret = sync_settle(v, err);
	return ret;
}

static int save_debug(struct arch_vcpu *v, struct snap_writer *w,
		      struct mote_err *err)
{
	struct kvm_debugregs d = {0};
	int ret = CALL(v, KVM_GET_DEBUGREGS, &d, err);

	if (ret < 0)
		return ret;
	for (int i = 0; i < 4; i++)
		snap_put_u64(w, d.db[i]);
	snap_put_u64(w, d.dr6);
	snap_put_u64(w, d.dr7);
	return 0;
}

/* As a vCPU that has not run has them. */
static bool is_reset_debug(const struct kvm_debugregs *d)
{
	return !d->db[0] && !d->db[1] && !d->db[2] && !d->db[3] &&
	       d->dr6 == DR6_RESET && d->dr7 == DR7_RESET;
}

static int load_debug(struct arch_vcpu *v, struct snap_section *r,
		      struct mote_err *err)
{
	struct kvm_debugregs d = {0};

	for (int i = 0; i < 4; i++)
		d.db[i] = snap_get_u64(r);
	d.dr6 = snap_get_u64(r);
	d.dr7 = snap_get_u64(r);
	if (r->error || is_reset_debug(&d))
		return 0;
	return CALL(v, KVM_SET_DEBUGREGS, &d, err);
}

int arch_vcpu_save(struct arch_vcpu *v, struct snap_writer *w,
		   struct mote_err *err)
{
	int (*const part[])(struct arch_vcpu *, struct snap_writer *,
			    struct mote_err *) = {
		save_sregs, save_xcrs, save_xsave,  save_regs,
		save_lapic, save_msrs, save_events, save_debug,
	};
	struct kvm_mp_state mp = {0};
	int ret = rewind_settle(v, err);

	/* First: it takes a pending INIT or SIPI, which changes the rest. */
	if (ret == 0)
		ret = CALL(v, KVM_GET_MP_STATE, &mp, err);
	if (ret < 0)
		return ret;
	v->mp_state = mp.mp_state;
	snap_section_begin(w, SECTION_VCPU, v->id, VERSION, SNAP_REQUIRED);
	for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
		ret = part[i](v, w, err);
		if (ret < 0)
			return ret;
	}
	snap_section_end(w);
	return 0;
}

int arch_vcpu_load(struct arch_vcpu *v, struct snap_reader *r,
		   struct mote_err *err)
{
	int (*const part[])(struct arch_vcpu *, struct snap_section *,
			    struct mote_err *) = {
		load_sregs, load_xcrs, load_xsave,  load_regs,
		load_lapic, load_msrs, load_events, load_debug,
	};
	struct snap_section s;
	int ret = snap_section_open(r, SECTION_VCPU, v->id, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(part); i++)
		ret = part[i](v, &s, err);
	if (ret == 0)
		ret = snap_section_close(&s, err);
	v->held = ret == 0;
	return ret;
}

int arch_host_check(int kvm_fd, const struct snap_reader *saved,
		    const struct snap_section *of, bool values,
		    struct mote_err *err)
{
	struct snap_section s = *of;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	uint32_t size, host;

	(void)saved;
	(void)values;
	if (strcmp(s.name, SECTION_VCPU) != 0)
		return cpuid_host_check(kvm_fd, of, err);
	if (s.version > VERSION)
		return 0; /* it is refused when it is loaded */
	get_sregs(&s, &sregs);
	get_xcrs(&s, &xcrs);
	size = snap_get_u32(&s);
	if (s.error)
		return 0;
	if (xcrs.nr_xcrs && !kvm_check_extension(kvm_fd, KVM_CAP_XCRS))
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: the snapshot has extended "
				     "control registers, this KVM lacks "
				     "KVM_CAP_XCRS",
				     s.instance);
	host = xsave_size(kvm_fd);
	if (size > host)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vCPU %u: XSAVE state of %u bytes, this "
				     "host has %u",
				     s.instance, size, host);
	return 0;
}

int arch_vm_save(struct arch_vm *a, bool diff, struct snap_writer *w,
		 struct mote_err *err)
{
	struct kvm_clock_data clock = {0};
	int ret = kvm_call(a->vm_fd, KVM_GET_CLOCK, &clock);

	(void)diff;
	if (ret < 0)
		return err_set(err, -ret, "KVM_GET_CLOCK: %s", strerror(-ret));
	snap_section_begin(w, SECTION_VM, 0, VERSION, SNAP_REQUIRED);
	snap_put_u64(w, a->clock_held ? a->clock_ns : clock.clock);
	snap_section_end(w);
	cpuid_save(a->cpuid, w);
	return 0;
}

int arch_vm_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	int ret = snap_section_open(r, SECTION_VM, 0, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret < 0)
		return ret;
	a->clock_ns = snap_get_u64(&s);
	a->clock_held = true;
	return snap_section_close(&s, err);
}

int arch_vm_commit(struct arch_vm *a, struct mote_err *err)
{
	struct kvm_clock_data clock = {.clock = a->clock_ns};
	int ret;

	if (!a->clock_held)
		return 0;
	ret = kvm_call(a->vm_fd, KVM_SET_CLOCK, &clock);
	if (ret < 0)
		return err_set(err, -ret, "KVM_SET_CLOCK: %s", strerror(-ret));
	a->clock_held = false;
	return 0;
}

/* The local APICs are part of the vCPUs; there is nothing else yet. */
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
