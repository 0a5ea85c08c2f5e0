/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_vcpu.c - x86_64 VMs and vCPUs through KVM: interrupt controller mode,
 * registers at entry, exits of this architecture.
 *
 * The split irqchip (local APIC in the kernel, nothing else) is used even
 * by guests that need no interrupt: the full one costs milliseconds at
 * teardown, none at all flips a kernel-wide static key.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/multiboot.h"
#include "arch/x86_64/state_priv.h"
#include "base/err.h"
#include "base/hvt_abi.h"
#include "config/config.h"
#include "kvm/kvm.h"

#define TSS_ADDR     0xfffbd000ul /* below the BIOS area, never RAM */
#define RFLAGS_FIXED (1u << 1)
#define RFLAGS_IOPL3 (3u << 12)
#define CR0_PE	     (1u << 0)
#define CR0_MP	     (1u << 1)
#define CR0_ET	     (1u << 4)
#define CR0_NE	     (1u << 5)
#define CR0_WP	     (1u << 16)
#define CR0_PG	     (1u << 31)
#define CR4_PAE	     (1u << 5)
#define CR4_OSFXSR   (1u << 9)
#define CR4_OSXMM    (1u << 10)
#define EFER_LME     (1u << 8)
#define EFER_LMA     (1u << 10)
#define EFER_NXE     (1u << 11)

const char arch_name[] = "x86_64";
const uint16_t arch_elf_machine = EM_X86_64;
const unsigned int arch_config_bit = CONFIG_ARCH_X86_64;

int arch_vm_create(struct arch_vm *a, int kvm_fd, const struct vm_config *cfg,
		   const struct snap_reader *saved, int *vm_fd,
		   struct mote_err *err)
{
	const uint64_t pins[4] = {LAYOUT_IOAPIC_PINS};
	int ret;

	memset(a, 0, sizeof(*a));
	a->kvm_fd = kvm_fd;
	ret = kvm_create_vm(kvm_fd, 0);
	if (ret < 0)
		return err_set(err, -ret, "KVM_CREATE_VM: %s", strerror(-ret));
	*vm_fd = a->vm_fd = ret;
	ret = kvm_call_value(a->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDR);
	if (ret < 0)
		return err_set(err, -ret, "KVM_SET_TSS_ADDR: %s",
			       strerror(-ret));
	ret = kvm_enable_cap(a->vm_fd, KVM_CAP_SPLIT_IRQCHIP, pins);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "KVM offers no split irqchip: %s",
				     strerror(-ret));
	return cpuid_create(a, cfg, saved, err);
}

void arch_vm_fini(struct arch_vm *a)
{
	free(a->cpuid);
	a->cpuid = NULL;
}

int arch_vm_ready(struct arch_vm *a, struct memslot_table *slots,
		  struct mote_err *err)
{
	(void)a;
	(void)err;
	return 0;
}

int arch_vcpu_init(struct arch_vcpu *v, struct arch_vm *a, int fd,
		   struct kvm_run *run, uint32_t id, struct mote_err *err)
{
	int ret;

	*v = (struct arch_vcpu){.vm = a, .fd = fd, .run = run, .id = id};
	cpuid_set_apic(a->cpuid, id);
	ret = kvm_call(fd, KVM_SET_CPUID2, a->cpuid);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_SET_CPUID2: %s", id,
			       strerror(-ret));
	return 0;
}

void arch_vcpu_fini(struct arch_vcpu *v)
{
	arch_vcpu_forget(v);
	v->fd = -1;
}

static struct kvm_segment flat_segment(uint16_t selector, bool code, bool wide)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = code ? 11 : 3,
		.present = 1,
		.dpl = selector & 3,
		.db = !code || !wide,
		.s = 1,
		.l = code && wide,
		.g = 1,
	};
}

/*
 * Long mode with paging on, at the tables that were built; narrow: protected
 * mode without paging.
 */
struct entry {
	bool narrow;
	uint16_t cs, ds;
	uint64_t cr3, efer;
	uint16_t gdt_entries;
	struct kvm_regs regs;
};

static int enter_at(struct arch_vcpu *v, struct entry *e, struct mote_err *err)
{
	struct kvm_sregs s;
	int ret = kvm_call(v->fd, KVM_GET_SREGS, &s);

	if (ret < 0)
		return err_set(err, -ret, "KVM_GET_SREGS: %s", strerror(-ret));
	s.cs = flat_segment(e->cs, true, !e->narrow);
	s.ds = flat_segment(e->ds, false, !e->narrow);
	s.es = s.fs = s.gs = s.ss = s.ds;
	s.gdt.base = LAYOUT_GDT;
	s.gdt.limit = (uint16_t)(e->gdt_entries * 8 - 1);
	/* A fresh vCPU's LDT is the guest's first 64 KiB. */
	s.ldt = (struct kvm_segment){.type = 2, .unusable = 1};
	s.idt.base = 0;
	s.idt.limit = 0; /* a fault before the guest's own table ends it */
	s.cr3 = e->cr3;
	s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMM;
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	s.efer = e->efer;
	if (e->narrow) {
		s.cr4 = 0;
		s.cr0 = CR0_PE | CR0_ET;
	}
	ret = kvm_call(v->fd, KVM_SET_SREGS, &s);
	if (ret < 0)
		return err_set(err, -ret, "KVM_SET_SREGS: %s", strerror(-ret));
	ret = kvm_call(v->fd, KVM_SET_REGS, &e->regs);
	if (ret < 0)
		return err_set(err, -ret, "KVM_SET_REGS: %s", strerror(-ret));
	return 0;
}

/* As each of the others' contracts says. */
static int boot_image(struct arch_vcpu *v, const struct arch_boot *boot,
		      struct mote_err *err)
{
	struct entry e = {
		.narrow = !boot->wide,
		.cs = LAYOUT_BOOT_CS_SEL,
		.ds = LAYOUT_BOOT_DS_SEL,
		.gdt_entries = 4,
		.cr3 = boot->wide ? LAYOUT_PML4 : 0,
		.efer = boot->wide ? EFER_LME | EFER_LMA : 0,
		.regs = {.rip = boot->entry, .rflags = RFLAGS_FIXED},
	};

	if (boot->protocol == PROTOCOL_LINUX)
		e.regs.rsi = boot->boot_page;
	else
		e.regs.rbx = boot->boot_page;
	if (boot->protocol == PROTOCOL_MULTIBOOT)
		e.regs.rax = MULTIBOOT_LOADED_BY;
	return enter_at(v, &e, err);
}

int arch_vcpu_boot(struct arch_vcpu *v, const struct arch_boot *boot,
		   struct mote_err *err)
{
	struct entry e = {
		.cs = boot->user_mode ? LAYOUT_UCS_SEL : LAYOUT_CS_SEL,
		.ds = boot->user_mode ? LAYOUT_UDS_SEL : LAYOUT_DS_SEL,
		.cr3 = LAYOUT_PML4,
		.efer = EFER_LME | EFER_LMA,
		.gdt_entries = 5,
		.regs = {.rip = boot->entry,
			 .rdi = boot->boot_page,
			 .rflags = RFLAGS_FIXED |
				   (boot->user_mode ? RFLAGS_IOPL3 : 0)},
	};

	if (v->id != 0)
		return 0; /* waits for INIT and SIPI */
	if (boot->protocol != PROTOCOL_AUTO)
		return boot_image(v, boot, err);
	return enter_at(v, &e, err);
}

int arch_hvt_entry(struct arch_vcpu *v, uint64_t entry, uint64_t memory,
		   uint64_t *hz, struct mote_err *err)
{
	struct entry e = {
		.cs = LAYOUT_CS_SEL,
		.ds = LAYOUT_DS_SEL,
		.cr3 = LAYOUT_HVT_PML4,
		.efer = EFER_LME | EFER_LMA | EFER_NXE,
		.gdt_entries = 3,
		/* The stack as after a call: rsp + 8 is a multiple of 16. */
		.regs = {.rip = entry,
			 .rdi = LAYOUT_HVT_BOOT_INFO,
			 .rsp = memory - 8,
			 .rflags = RFLAGS_FIXED},
	};
	int khz = kvm_call_value(v->fd, KVM_GET_TSC_KHZ, 0);

	if (khz <= 0)
		return err_set_class(err, khz < 0 ? -khz : EIO,
				     ERR_CLASS_UNAVAILABLE,
				     "KVM_GET_TSC_KHZ: %s: this host has no "
				     "stable time stamp counter",
				     khz < 0 ? strerror(-khz) : "0");
	*hz = (uint64_t)khz * 1000;
	return enter_at(v, &e, err);
}

int arch_vcpu_pc(struct arch_vcpu *v, uint64_t *pc, const char **name)
{
	struct kvm_regs regs = {0};
	int ret = rewind_settle(v, NULL);

	if (ret == 0)
		ret = kvm_call(v->fd, KVM_GET_REGS, &regs);
	*pc = regs.rip;
	*name = "rip";
	return ret;
}

int arch_prstatus(struct arch_vcpu *v, const void *trap,
		  uint8_t buf[ARCH_PRSTATUS_MAX])
{
	struct elf_prstatus st = {0};
	struct user_regs_struct u;
	struct hvt_trap_x86 t;
	struct kvm_sregs s;
	struct kvm_regs r;
	int ret = rewind_settle(v, NULL);

	_Static_assert(sizeof(st) <= ARCH_PRSTATUS_MAX, "elf_prstatus");
	_Static_assert(sizeof(u) == sizeof(st.pr_reg), "elf_prstatus");
	if (ret == 0)
		ret = kvm_call(v->fd, KVM_GET_REGS, &r);
	if (ret == 0)
		ret = kvm_call(v->fd, KVM_GET_SREGS, &s);
	if (ret < 0)
		return ret;
	u = (struct user_regs_struct){
		.r15 = r.r15,
		.r14 = r.r14,
		.r13 = r.r13,
		.r12 = r.r12,
		.r11 = r.r11,
		.r10 = r.r10,
		.r9 = r.r9,
		.r8 = r.r8,
		.rax = r.rax,
		.rbx = r.rbx,
		.rcx = r.rcx,
		.rdx = r.rdx,
		.rsi = r.rsi,
		.rdi = r.rdi,
		.rbp = r.rbp,
		.rsp = r.rsp,
		.rip = r.rip,
		.eflags = r.rflags,
		.cs = s.cs.selector,
		.ss = s.ss.selector,
		.ds = s.ds.selector,
		.es = s.es.selector,
		.fs = s.fs.selector,
		.gs = s.gs.selector,
		.fs_base = s.fs.base,
		.gs_base = s.gs.base,
	};
	if (trap) {
		memcpy(&t, trap, sizeof(t));
		u.rip = t.rip;
		u.cs = t.cs;
		u.eflags = t.rflags;
		u.rsp = t.rsp;
		u.ss = t.ss;
	}
	memcpy(&st.pr_reg, &u, sizeof(u));
	st.pr_pid = 1;
	memcpy(buf, &st, sizeof(st));
	return sizeof(st);
}

enum arch_exit arch_vcpu_exit(struct arch_vcpu *v, struct kvm_run *run,
			      const struct bus *bus, struct event_queue *events,
			      uint32_t *wait_ms)
{
	(void)v;
	(void)events;
	if (run->exit_reason != KVM_EXIT_IOAPIC_EOI)
		return ARCH_EXIT_UNKNOWN;
	bus_write(bus, BUS_MMIO, LAYOUT_IOAPIC_EOI, 4, run->eoi.vector,
		  wait_ms);
	return ARCH_EXIT_DONE;
}

void arch_cpu_model(char *buf, size_t len)
{
	uint32_t regs[12] = {0};
	uint32_t max = 0;
	uint32_t b, c, d;

	__asm__ volatile("cpuid"
			 : "=a"(max), "=b"(b), "=c"(c), "=d"(d)
			 : "a"(0x80000000u), "c"(0));
	for (uint32_t i = 0; max >= 0x80000004u && i < 3; i++)
		__asm__ volatile("cpuid"
				 : "=a"(regs[4 * i]), "=b"(regs[4 * i + 1]),
				   "=c"(regs[4 * i + 2]), "=d"(regs[4 * i + 3])
				 : "a"(0x80000002u + i), "c"(0));
	snprintf(buf, len, "%.48s", regs[0] ? (const char *)regs : "unknown");
}

/* cpu.features say what there is to say: mote compat, CPUID in the guest. */
void arch_doctor(struct arch_vm *a, int vcpu_fd,
		 void (*f)(const void *opaque, const char *name, bool ok,
			   const char *detail, const char *cost),
		 const void *opaque)
{
	(void)a;
	(void)vcpu_fd;
	(void)f;
	(void)opaque;
}
