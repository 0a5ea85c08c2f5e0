/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_vcpu.c - ppc64le VMs and vCPUs through KVM-HV: PAPR mode, registers at
 * entry.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "arch/arch.h"
#include "arch/common/hpt_codec.h"
#include "arch/ppc64le/hpt.h"
#include "arch/ppc64le/papr.h"
#include "arch/ppc64le/radix.h"
#include "arch/ppc64le/xive.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"
#include "config/config.h"
#include "kvm/kvm.h"

#ifndef KVM_VM_PPC_HV
#define KVM_VM_PPC_HV 1
#define KVM_VM_PPC_PR 2
#endif

const char arch_name[] = "ppc64le";
const uint16_t arch_elf_machine = EM_PPC64;
const unsigned int arch_config_bit = CONFIG_ARCH_PPC64LE;

/*
 * A table of 1/64 of RAM, as PAPR platforms do, or what real mode needs: KVM
 * maps it a page of the host a group of 128 bytes, and no further.
 */
static uint32_t order_for(uint64_t memory)
{
	uint64_t most = memory / 64, groups = memory / host_page_size();
	uint32_t order = HPT_ORDER_MIN;

	if (most < groups * 128)
		most = groups * 128;
	while (order < HPT_ORDER_MAX && (UINT64_C(1) << order) < most)
		order++;
	return order;
}

/* KVM PR takes guests too, of a kind that has no table for us to read. */
static int no_hv(int kvm_fd, int code, struct mote_err *err)
{
	int pr = kvm_create_vm(kvm_fd, KVM_VM_PPC_PR);

	if (pr >= 0)
		fd_close(pr);
	return err_set_class(
		err, code, ERR_CLASS_UNAVAILABLE,
		"KVM_CREATE_VM(HV): %s: this host has %s", strerror(code),
		pr >= 0 ? "KVM PR, mote needs KVM-HV" : "no KVM-HV");
}

int arch_vm_create(struct arch_vm *a, int kvm_fd, const struct vm_config *cfg,
		   const struct snap_reader *saved, int *vm_fd,
		   struct mote_err *err)
{
	int ret;

	memset(a, 0, sizeof(*a));
	a->kvm_fd = kvm_fd;
	a->vm_fd = a->xics_fd = a->hpt.vm_fd = -1;
	a->radix = cfg->cpu.mmu == CPU_MMU_RADIX;
	ret = kvm_create_vm(kvm_fd, KVM_VM_PPC_HV);
	if (ret < 0)
		return no_hv(kvm_fd, -ret, err);
	*vm_fd = a->vm_fd = ret;
	if (a->radix)
		ret = radix_init(a->vm_fd, err);
	else
		ret = hpt_init(&a->hpt, a->vm_fd,
			       cfg->cpu.hpt_order ? cfg->cpu.hpt_order
						  : order_for(cfg->vm.memory),
			       err);
	return ret < 0 ? ret : irq_create(a, cfg, saved, err);
}

/* The table's reader holds the VM: it goes first. */
void arch_vm_fini(struct arch_vm *a)
{
	hpt_fini(&a->hpt);
	irq_fini(a);
	a->vm_fd = -1;
}

int arch_vm_ready(struct arch_vm *a, struct memslot_table *slots,
		  struct mote_err *err)
{
	(void)err;
	a->slots = slots;
	return 0;
}

int arch_vcpu_init(struct arch_vcpu *v, struct arch_vm *a, int fd,
		   struct kvm_run *run, uint32_t id, struct mote_err *err)
{
	int ret;

	(void)run;
	*v = (struct arch_vcpu){.vm = a, .fd = fd, .id = id};
	if (id >= PPC_VCPUS_MAX)
		return err_set(err, EINVAL, "vCPU %u: there are %d", id,
			       PPC_VCPUS_MAX);
	papr_vcpu_init(v);
	ret = kvm_enable_cap(fd, KVM_CAP_PPC_PAPR, NULL);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_CAP_PPC_PAPR: %s", id,
			       strerror(-ret));
	return irq_connect(v, err);
}

void arch_vcpu_fini(struct arch_vcpu *v)
{
	if (v->vm && v->id < PPC_VCPUS_MAX)
		v->vm->vcpu[v->id] = NULL;
	v->fd = -1;
}

int arch_vcpu_boot(struct arch_vcpu *v, const struct arch_boot *boot,
		   struct mote_err *err)
{
	struct kvm_regs regs;
	int ret;

	if (v->id != 0)
		return 0; /* RTAS start-cpu sets them */
	memset(&regs, 0, sizeof(regs));
	regs.pc = boot->entry;
	regs.msr = PPC_MSR_ENTRY;
	regs.gpr[3] = boot->boot_page;
	ret = kvm_call(v->fd, KVM_SET_REGS, &regs);
	if (ret < 0)
		return err_set(err, -ret, "KVM_SET_REGS: %s", strerror(-ret));
	return 0;
}

int arch_hvt_entry(struct arch_vcpu *v, uint64_t entry, uint64_t memory,
		   uint64_t *hz, struct mote_err *err)
{
	(void)v;
	(void)entry;
	(void)memory;
	(void)hz;
	return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
			     "protocol hvt: not on ppc64le");
}

int arch_vcpu_pc(struct arch_vcpu *v, uint64_t *pc, const char **name)
{
	struct kvm_regs regs;
	int ret = kvm_call(v->fd, KVM_GET_REGS, &regs);

	*pc = regs.pc;
	*name = "nip";
	return ret;
}

int arch_prstatus(struct arch_vcpu *v, const void *trap,
		  uint8_t buf[ARCH_PRSTATUS_MAX])
{
	(void)v;
	(void)trap;
	(void)buf;
	return -ENOTSUP; /* no contract here writes core files */
}

void arch_doctor(struct arch_vm *a, int vcpu_fd,
		 void (*f)(const void *opaque, const char *name, bool ok,
			   const char *detail, const char *cost),
		 const void *opaque)
{
	struct mote_err err = {0};
	int vm = kvm_create_vm(a->kvm_fd, KVM_VM_PPC_HV);
	bool radix = vm >= 0 && radix_init(vm, &err) == 0;
	bool xive = vm >= 0 && xive_offered(vm, &err) == 0;

	(void)vcpu_fd;
	if (vm >= 0)
		fd_close(vm);
	/* The machine that was made is one. */
	f(opaque, "hashed page tables", !a->radix, "", "cpu.mmu = hash");
	f(opaque, "radix guests", radix, "", "cpu.mmu = radix");
	f(opaque, "interrupt controller (XICS)", a->xics_fd >= 0, "",
	  "guests have one processor's interrupts only");
	f(opaque, "native interrupts (XIVE)", xive, "", "cpu.irq = xive");
}

void arch_cpu_model(char *buf, size_t len)
{
	const char *platform = (const char *)getauxval(AT_PLATFORM);

	snprintf(buf, len, "%s", platform ? platform : "unknown");
}
