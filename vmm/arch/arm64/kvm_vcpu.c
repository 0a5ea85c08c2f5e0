/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_vcpu.c - arm64 VMs and vCPUs through KVM: address size, features,
 * PSCI version, registers at entry.
 *
 * The default of cpu.psci is 1.0 on every host.  The kernel's own default
 * is its newest, so a guest would see another firmware on every host; 1.0
 * came with the register that pins it (Linux 4.16) and is the oldest with
 * which a guest finds SMCCC 1.1, and with that the Spectre mitigations of
 * the firmware.
 */
#include <asm/hwcap.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "arch/arch.h"
#include "arch/arm64/arch_priv.h"
#include "arch/arm64/layout.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "config/config.h"
#include "kvm/kvm.h"

#define PSCI_0_2       2u
#define PSCI_PINNED    (1u << 16) /* 1.0: what "default" means */
#define IPA_BITS_MIN   32u
#define IPA_BITS_OLD   40u /* of every VM where the size can't be asked */
#define PSTATE_EL1H    0x5u
#define PSTATE_DAIF    0x3c0u
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)
#define REG_MPIDR      ARM64_SYS_REG(3, 0, 0, 0, 5)
#define REG_VBAR       ARM64_SYS_REG(3, 0, 12, 0, 0)
#define REG_CPACR      ARM64_SYS_REG(3, 0, 1, 0, 2)
#define REG_MAIR       ARM64_SYS_REG(3, 0, 10, 2, 0)
#define REG_TCR	       ARM64_SYS_REG(3, 0, 2, 0, 2)
#define REG_TTBR0      ARM64_SYS_REG(3, 0, 2, 0, 0)
#define REG_SCTLR      ARM64_SYS_REG(3, 0, 1, 0, 0)

/* What a Solo5 guest is entered with; fields as ARM DDI 0487, D19.2. */
#define HVT_CPACR (UINT64_C(3) << 20) /* FPEN: no traps */
/* Device nGnRnE, nGnRE, GRE; normal NC, WB, WT: by index. */
#define HVT_MAIR UINT64_C(0x0000bbff440c0400)
/* 40 bits, 4 KiB pages, write-back, inner shareable, 16-bit ASID, TBI. */
#define HVT_TCR                                                                \
	(24 | 24 << 16 | 1 << 8 | 1 << 24 | 1 << 10 | 1 << 26 | 3 << 12 |      \
	 3 << 28 | UINT64_C(2) << 30 | UINT64_C(2) << 32 | UINT64_C(1) << 36 | \
	 UINT64_C(1) << 37)
#define HVT_SCTLR (UINT64_C(1) << 0 | UINT64_C(1) << 2 | UINT64_C(1) << 12)
#define CORE_REG(name)                                                         \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                 \
	 KVM_REG_ARM_CORE_REG(name))

_Static_assert(sizeof(((struct kvm_vcpu_init *)0)->features) ==
		       sizeof(((struct arch_vm *)0)->features),
	       "features of struct kvm_vcpu_init");

const char arch_name[] = "arm64";
const uint16_t arch_elf_machine = EM_AARCH64;
const unsigned int arch_config_bit = CONFIG_ARCH_ARM64;

uint32_t host_ipa_bits(int kvm_fd)
{
	int limit = kvm_check_extension(kvm_fd, KVM_CAP_ARM_VM_IPA_SIZE);

	return limit > 0 ? (uint32_t)limit : IPA_BITS_OLD;
}

/* The smallest address size that holds the RAM; devices lie below it. */
static int choose_ipa(struct arch_vm *a, uint64_t memory, unsigned long *type,
		      struct mote_err *err)
{
	int limit = kvm_check_extension(a->kvm_fd, KVM_CAP_ARM_VM_IPA_SIZE);
	uint32_t bits = a->hvt ? LAYOUT_HVT_IPA_BITS : IPA_BITS_MIN;

	while (bits < 64 && (LAYOUT_RAM + memory - 1) >> bits)
		bits++;
	a->ipa_limit = limit ? (uint32_t)limit : IPA_BITS_OLD;
	if (bits > a->ipa_limit)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vm.memory: %" PRIu64 " bytes need %u "
				     "address bits, KVM on this host has %u",
				     memory, bits, a->ipa_limit);
	a->ipa_bits = limit ? bits : IPA_BITS_OLD;
	*type = limit ? KVM_VM_TYPE_ARM_IPA_SIZE(bits) : 0;
	return 0;
}

static int read_target(struct arch_vm *a, struct mote_err *err)
{
	struct kvm_vcpu_init init = {0};
	int ret = kvm_call(a->vm_fd, KVM_ARM_PREFERRED_TARGET, &init);

	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "KVM_ARM_PREFERRED_TARGET: %s",
				     strerror(-ret));
	a->target = init.target;
	memcpy(a->features, init.features, sizeof(a->features));
	return 0;
}

static int psci_refused(uint32_t version, int code, const char *why,
			struct mote_err *err)
{
	return err_set_class(err, code, ERR_CLASS_UNAVAILABLE,
			     "cpu.psci: this host's KVM %s PSCI %u.%u", why,
			     version >> 16, version & 0xffff);
}

/*
 * Pin what the guest's firmware says it is; after init and before the first
 * run.  A kernel without the register has 0.2 and nothing else.
 */
static int set_psci(struct arch_vcpu *v, struct mote_err *err)
{
	uint32_t wanted = v->vm->psci_wanted;
	uint64_t value = wanted;
	int ret = 0;

	if (wanted != PSCI_HOST)
		ret = kvm_set_one_reg(v->fd, KVM_REG_ARM_PSCI_VERSION, &value);
	if (ret == 0)
		ret = kvm_get_one_reg(v->fd, KVM_REG_ARM_PSCI_VERSION, &value);
	if (ret == -ENOENT) {
		if (wanted != PSCI_0_2 && wanted != PSCI_HOST)
			return psci_refused(wanted, ENOENT,
					    "lacks register PSCI_VERSION and "
					    "so has only 0.2, not",
					    err);
		value = PSCI_0_2;
		ret = 0;
	}
	if (ret < 0 && wanted == PSCI_HOST)
		return err_set(err, -ret, "PSCI version: %s", strerror(-ret));
	if (ret < 0)
		return psci_refused(wanted, -ret, "does not offer", err);
	if (wanted != PSCI_HOST && value != wanted)
		return psci_refused(wanted, ENOTSUP, "did not keep", err);
	v->vm->psci = (uint32_t)value;
	return 0;
}

/* On a machine made for that, so that the guest's is not begun in vain. */
static int try_psci(const struct arch_vm *a, unsigned long type,
		    struct mote_err *err)
{
	struct arch_vm vm = {.psci_wanted = a->psci_wanted};
	struct arch_vcpu v = {.vm = &vm, .fd = -1};
	struct kvm_vcpu_init init = {0};
	int ret = kvm_create_vm(a->kvm_fd, type);

	vm.vm_fd = ret;
	if (ret >= 0)
		ret = v.fd = kvm_create_vcpu(vm.vm_fd, 0);
	if (ret >= 0)
		ret = kvm_call(vm.vm_fd, KVM_ARM_PREFERRED_TARGET, &init);
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (ret >= 0)
		ret = kvm_call(v.fd, KVM_ARM_VCPU_INIT, &init);
	if (ret < 0)
		err_set(err, -ret, "cpu.psci: a machine to try it on: %s",
			strerror(-ret));
	else
		ret = set_psci(&v, err);
	fd_clear(&v.fd);
	fd_clear(&vm.vm_fd);
	return ret;
}

/*
 * Every kernel has 0.2, and the default where the register is: it is two
 * releases older (4.16) than a VM type that says the address size.
 */
static bool must_try_psci(const struct arch_vm *a, unsigned long type)
{
	return a->psci_wanted != PSCI_HOST && a->psci_wanted != PSCI_0_2 &&
	       !(a->psci_wanted == PSCI_PINNED && type != 0);
}

/* What can be told without a VM; *type: of the VM to create. */
static int check_host(struct arch_vm *a, const struct vm_config *cfg,
		      bool restore, unsigned long *type, struct mote_err *err)
{
	int ret = choose_ipa(a, cfg->vm.memory, type, err);

	if (ret == 0 && !a->hvt)
		ret = gic_check_host(a->kvm_fd, err);
	/* arch_host_check has tried a snapshot's. */
	if (ret == 0 && !restore && must_try_psci(a, *type))
		ret = try_psci(a, *type, err);
	return ret;
}

int arch_vm_create(struct arch_vm *a, int kvm_fd, const struct vm_config *cfg,
		   const struct snap_reader *saved, int *vm_fd,
		   struct mote_err *err)
{
	unsigned long type = 0;
	int ret;

	memset(a, 0, sizeof(*a));
	a->kvm_fd = kvm_fd;
	a->hvt = cfg->vm.protocol == PROTOCOL_HVT;
	a->psci_wanted = cfg->cpu.psci;
	if (a->psci_wanted == PSCI_DEFAULT)
		a->psci_wanted = PSCI_PINNED;
	if (saved)
		a->psci_wanted = state_psci(saved);
	ret = check_host(a, cfg, saved != NULL, &type, err);
	if (ret < 0)
		return ret;
	ret = kvm_create_vm(kvm_fd, type);
	if (ret < 0)
		return err_set(err, -ret, "KVM_CREATE_VM: %s", strerror(-ret));
	*vm_fd = a->vm_fd = ret;
	/*
	 * An access that KVM can't decode is then an exit with its address,
	 * not an error of KVM_RUN; where it is missing (before 5.5) the guest
	 * ends all the same, with fewer words.
	 */
	kvm_enable_cap(a->vm_fd, KVM_CAP_ARM_NISV_TO_USER, NULL);
	ret = read_target(a, err);
	if (ret == 0)
		ret = features_choose(a, cfg, saved, err);
	/* Its RAM lies where the controller would be. */
	if (ret == 0 && !a->hvt)
		ret = gic_create(a, cfg->vm.vcpus, err);
	return ret;
}

void arch_vm_fini(struct arch_vm *a)
{
	gic_fini(a);
}

int arch_vcpu_init(struct arch_vcpu *v, struct arch_vm *a, int fd,
		   struct kvm_run *run, uint32_t id, struct mote_err *err)
{
	struct kvm_vcpu_init init = {.target = a->target};
	uint64_t mpidr;
	int ret;

	(void)run;
	*v = (struct arch_vcpu){.vm = a, .fd = fd, .id = id};
	if (id >= ARM64_VCPUS_MAX)
		return err_set(err, EINVAL, "vCPU %u: arm64 has at most %d", id,
			       ARM64_VCPUS_MAX);
	memcpy(init.features, a->features, sizeof(init.features));
	ret = kvm_call(fd, KVM_ARM_VCPU_INIT, &init);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_ARM_VCPU_INIT: %s", id,
			       strerror(-ret));
	ret = features_finalize(v, err);
	if (ret < 0)
		return ret;
	ret = kvm_get_one_reg(fd, REG_MPIDR, &mpidr);
	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: MPIDR_EL1: %s", id,
			       strerror(-ret));
	a->mpidr[id] = mpidr & MPIDR_AFFINITY;
	if (a->vcpus <= id)
		a->vcpus = id + 1;
	return set_psci(v, err);
}

void arch_vcpu_fini(struct arch_vcpu *v)
{
	v->fd = -1;
}

/*
 * This and not the POWER_OFF feature of init makes a vCPU wait for CPU_ON:
 * init serves restore too, and there the saved state says who runs.
 */
static int power_off(struct arch_vcpu *v, struct mote_err *err)
{
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_STOPPED};
	int ret = kvm_call(v->fd, KVM_SET_MP_STATE, &mp);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_SET_MP_STATE: %s",
			       v->id, strerror(-ret));
	return 0;
}

struct reg_value {
	uint64_t id, value;
};

static int set_regs(struct arch_vcpu *v, const struct reg_value *reg, size_t n,
		    struct mote_err *err)
{
	for (size_t i = 0; i < n; i++) {
		int ret = kvm_set_one_reg(v->fd, reg[i].id, &reg[i].value);

		if (ret < 0)
			return err_set(err, -ret,
				       "register 0x%" PRIx64 " at entry: %s",
				       reg[i].id, strerror(-ret));
	}
	return 0;
}

int arch_vcpu_boot(struct arch_vcpu *v, const struct arch_boot *boot,
		   struct mote_err *err)
{
	const struct reg_value reg[] = {
		{REG_VBAR, LAYOUT_VECTORS},
		{CORE_REG(regs.regs[0]), boot->boot_page},
		{CORE_REG(regs.pc), boot->entry},
		{CORE_REG(regs.pstate), PSTATE_EL1H | PSTATE_DAIF},
	};

	if (v->id != 0)
		return power_off(v, err);
	return set_regs(v, reg, ARRAY_SIZE(reg), err);
}

int arch_hvt_entry(struct arch_vcpu *v, uint64_t entry, uint64_t memory,
		   uint64_t *hz, struct mote_err *err)
{
	const struct reg_value reg[] = {
		{REG_CPACR, HVT_CPACR},
		{REG_MAIR, HVT_MAIR},
		{REG_TCR, HVT_TCR},
		{REG_TTBR0, LAYOUT_HVT_PGD},
		{REG_SCTLR, HVT_SCTLR},
		{CORE_REG(regs.pstate), PSTATE_EL1H | PSTATE_DAIF},
		{CORE_REG(sp_el1), memory - 16},
		{CORE_REG(regs.regs[0]), LAYOUT_HVT_BOOT_INFO},
		{CORE_REG(regs.pc), entry},
	};

	__asm__("mrs %0, cntfrq_el0" : "=r"(*hz));
	return set_regs(v, reg, ARRAY_SIZE(reg), err);
}

int arch_vcpu_pc(struct arch_vcpu *v, uint64_t *pc, const char **name)
{
	*name = "pc";
	return kvm_get_one_reg(v->fd, CORE_REG(regs.pc), pc);
}

int arch_prstatus(struct arch_vcpu *v, const void *trap,
		  uint8_t buf[ARCH_PRSTATUS_MAX])
{
	struct elf_prstatus st = {0};
	struct user_regs_struct u = {0};
	int ret = 0;

	_Static_assert(sizeof(st) <= ARCH_PRSTATUS_MAX, "elf_prstatus");
	(void)trap; /* this architecture's frame is not in the contract */
	for (unsigned int i = 0; i < 31 && ret == 0; i++)
		ret = kvm_get_one_reg(v->fd, CORE_REG(regs.regs[0]) + i * 2,
				      &u.regs[i]);
	if (ret == 0)
		ret = kvm_get_one_reg(v->fd, CORE_REG(sp_el1), &u.sp);
	if (ret == 0)
		ret = kvm_get_one_reg(v->fd, CORE_REG(regs.pc), &u.pc);
	if (ret == 0)
		ret = kvm_get_one_reg(v->fd, CORE_REG(regs.pstate), &u.pstate);
	if (ret < 0)
		return ret;
	memcpy(&st.pr_reg, &u, sizeof(u));
	st.pr_pid = 1;
	memcpy(buf, &st, sizeof(st));
	return sizeof(st);
}

/* PSCI and the timers live in the kernel: all our exits are neutral ones. */
enum arch_exit arch_vcpu_exit(struct arch_vcpu *v, struct kvm_run *run,
			      const struct bus *bus, struct event_queue *events,
			      uint32_t *wait_ms)
{
	(void)v;
	(void)run;
	(void)bus;
	(void)events;
	(void)wait_ms;
	return ARCH_EXIT_UNKNOWN;
}

/* Which versions the kernel takes; the last one set is of no matter here. */
static void list_psci(int vcpu_fd, char *text, size_t size)
{
	size_t len = 0;

	for (uint64_t major = 0; major < 3; major++)
		for (uint64_t minor = 0; minor < 10; minor++) {
			uint64_t v = major << 16 | minor;

			if (kvm_set_one_reg(vcpu_fd, KVM_REG_ARM_PSCI_VERSION,
					    &v) == 0 &&
			    len < size)
				len += (size_t)snprintf(
					text + len, size - len, "%s%u.%u",
					len ? " " : "", (unsigned int)major,
					(unsigned int)minor);
		}
}

void arch_doctor(struct arch_vm *a, int vcpu_fd,
		 void (*f)(const void *opaque, const char *name, bool ok,
			   const char *detail, const char *cost),
		 const void *opaque)
{
	struct kvm_vcpu_init init = {.target = a->target};
	char text[128] = "";

	memcpy(init.features, a->features, sizeof(init.features));
	if (kvm_call(vcpu_fd, KVM_ARM_VCPU_INIT, &init) == 0)
		list_psci(vcpu_fd, text, sizeof(text));
	f(opaque, "PSCI versions", text[0], text[0] ? text : "no register",
	  "guests see 0.2, whatever a snapshot pinned");
	snprintf(text, sizeof(text), "GICv%u", a->gic_version);
	f(opaque, "interrupt controller", a->gic_version != 0, text,
	  "no guest runs");
	snprintf(text, sizeof(text), "%u bits", a->ipa_limit);
	f(opaque, "guest addresses", true, text, "");
	f(opaque, "scalable vectors (SVE)",
	  kvm_check_extension(a->vm_fd, KVM_CAP_ARM_SVE) > 0, "",
	  "no cpu.sve, no snapshots with it");
	f(opaque, "pointer authentication",
	  kvm_check_extension(a->vm_fd, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0 &&
		  kvm_check_extension(a->vm_fd, KVM_CAP_ARM_PTRAUTH_GENERIC) >
			  0,
	  "", "no cpu.pauth, no snapshots with it");
}

uint64_t host_midr(void)
{
	uint64_t midr = 0;

	/* The kernel answers for EL0 where it says so. */
	if (getauxval(AT_HWCAP) & HWCAP_CPUID)
		__asm__("mrs %0, midr_el1" : "=r"(midr));
	return midr;
}

void arch_cpu_model(char *buf, size_t len)
{
	uint64_t midr = host_midr();

	snprintf(buf, len, "implementer 0x%02x part 0x%03x r%up%u",
		 (unsigned int)(midr >> 24) & 0xff,
		 (unsigned int)(midr >> 4) & 0xfff,
		 (unsigned int)(midr >> 20) & 0xf, (unsigned int)midr & 0xf);
}
