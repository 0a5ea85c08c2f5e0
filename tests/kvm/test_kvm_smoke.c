/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kvm_smoke.c - is there a KVM of this architecture that runs a guest?
 *
 * Uses the kernel's interface directly: it judges the machine (a lab or the
 * host), not mote.  The guest is the smallest that proves an entry and an
 * exit: it stores one value where userspace can see it.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUEST_RAM (16u << 20) /* POWER wants room for its real-mode area */

struct machine {
	int kvm;
	int vm;
	int vcpu;
	struct kvm_run *run;
	uint8_t *ram;
};

static struct machine m = {.kvm = -1, .vm = -1, .vcpu = -1};

#if defined(__x86_64__)
#define VM_TYPE	 0
#define RAM_BASE 0x1000

static void put_code(uint8_t *ram)
{
	/* mov $0x2a,%al; out %al,$0x10; hlt */
	static const uint8_t code[] = {0xb0, 0x2a, 0xe6, 0x10, 0xf4};

	memcpy(ram, code, sizeof(code));
}

static void set_up_vcpu(void)
{
	struct kvm_regs regs = {.rip = RAM_BASE, .rflags = 2};
	struct kvm_sregs sregs;

	cr_assert_eq(ioctl(m.vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	cr_assert_eq(ioctl(m.vcpu, KVM_SET_SREGS, &sregs), 0);
	cr_assert_eq(ioctl(m.vcpu, KVM_SET_REGS, &regs), 0);
}

static void check_exit(void)
{
	const uint8_t *data = (uint8_t *)m.run + m.run->io.data_offset;

	cr_assert_eq(m.run->exit_reason, KVM_EXIT_IO);
	cr_expect_eq(m.run->io.port, 0x10);
	cr_expect_eq(*data, 0x2a);
}

static void check_arch(void)
{
	struct kvm_msr_list list = {.nmsrs = 0};

	/* Too short a list: only the kernel's x86 part answers like this. */
	cr_expect_eq(ioctl(m.kvm, KVM_GET_MSR_INDEX_LIST, &list), -1);
	cr_expect_eq(errno, E2BIG);
	cr_expect_gt(list.nmsrs, 0);
}

#elif defined(__aarch64__)
#define VM_TYPE	 0
#define RAM_BASE 0x40000000
#define PSCI_REG KVM_REG_ARM_PSCI_VERSION

static void put_code(uint8_t *ram)
{
	static const uint32_t code[] = {
		0x52800540, /* mov w0, #0x2a */
		0xd2a12001, /* mov x1, #0x09000000 */
		0xb9000020, /* str w0, [x1] */
		0x14000000, /* b . */
	};

	memcpy(ram, code, sizeof(code));
}

static void set_up_vcpu(void)
{
	struct kvm_vcpu_init init = {0};
	uint64_t pc = RAM_BASE;
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
		      KVM_REG_ARM_CORE_REG(regs.pc),
		.addr = (uintptr_t)&pc,
	};

	cr_assert_eq(ioctl(m.vm, KVM_ARM_PREFERRED_TARGET, &init), 0);
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	cr_assert_eq(ioctl(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0);
	cr_assert_eq(ioctl(m.vcpu, KVM_SET_ONE_REG, &reg), 0);
}

static void check_exit(void)
{
	cr_assert_eq(m.run->exit_reason, KVM_EXIT_MMIO);
	cr_expect_eq(m.run->mmio.phys_addr, 0x09000000);
	cr_expect_eq(m.run->mmio.is_write, 1);
	cr_expect_eq(m.run->mmio.data[0], 0x2a);
}

static void check_arch(void)
{
	uint64_t version = 0;
	struct kvm_one_reg reg = {.id = PSCI_REG, .addr = (uintptr_t)&version};

	set_up_vcpu();
	cr_expect_eq(ioctl(m.vcpu, KVM_GET_ONE_REG, &reg), 0);
	cr_expect_geq(version, 0x10000, "PSCI 1.0 or newer");
}

#elif defined(__powerpc64__)
#define VM_TYPE		1 /* HV */
#define RAM_BASE	0
#define CODE		0x1000
#define MSR_SF_LE	0x8000000000000001ull
#define H_PUT_TERM_CHAR 0x58

static void put_code(uint8_t *ram)
{
	static const uint32_t code[] = {
		0x38600058, /* li r3, H_PUT_TERM_CHAR */
		0x38800000, /* li r4, 0 */
		0x38a00001, /* li r5, 1 */
		0x38c0002a, /* li r6, 0x2a */
		0x44000022, /* sc 1 */
		0x48000000, /* b . */
	};

	memcpy(ram + CODE, code, sizeof(code));
}

static void set_up_vcpu(void)
{
	struct kvm_enable_cap papr = {.cap = KVM_CAP_PPC_PAPR};
	struct kvm_regs regs = {.pc = CODE, .msr = MSR_SF_LE};

	cr_assert_eq(ioctl(m.vcpu, KVM_ENABLE_CAP, &papr), 0);
	cr_assert_eq(ioctl(m.vcpu, KVM_SET_REGS, &regs), 0);
}

static void check_exit(void)
{
	cr_assert_eq(m.run->exit_reason, KVM_EXIT_PAPR_HCALL);
	cr_expect_eq(m.run->papr_hcall.nr, H_PUT_TERM_CHAR);
	cr_expect_eq(m.run->papr_hcall.args[2], 0x2a);
}

static void check_arch(void)
{
	/* HV with a hash table of its own is what mote needs here. */
	cr_expect_gt(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_PPC_HTAB_FD), 0);
}
#endif

static void open_kvm(void)
{
	m.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m.kvm < 0)
		cr_skip_test("/dev/kvm: %s", strerror(errno));
}

/* POWER: an HPT guest; its table must exist before the first vCPU. */
static void configure_mmu(void)
{
#if defined(__powerpc64__)
	struct kvm_ppc_mmuv3_cfg hash = {0};
	uint32_t order = 18;

	if (ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_HASH_V3) > 0)
		cr_assert_eq(ioctl(m.vm, KVM_PPC_CONFIGURE_V3_MMU, &hash), 0);
	cr_assert_eq(ioctl(m.vm, KVM_PPC_ALLOCATE_HTAB, &order), 0);
#endif
}

static void create_machine(void)
{
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = RAM_BASE,
						   .memory_size = GUEST_RAM};
	int size;

	open_kvm();
	m.vm = ioctl(m.kvm, KVM_CREATE_VM, VM_TYPE);
	cr_assert_geq(m.vm, 0, "KVM_CREATE_VM");
	configure_mmu();

	m.ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq((void *)m.ram, MAP_FAILED);
	put_code(m.ram);
	slot.userspace_addr = (uintptr_t)m.ram;
	cr_assert_eq(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);

	m.vcpu = ioctl(m.vm, KVM_CREATE_VCPU, 0);
	cr_assert_geq(m.vcpu, 0, "KVM_CREATE_VCPU");
	size = ioctl(m.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	cr_assert_geq(size, (int)sizeof(*m.run));
	m.run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		     m.vcpu, 0);
	cr_assert_neq((void *)m.run, MAP_FAILED);
}

Test(kvm_smoke, api_version_is_12)
{
	open_kvm();
	cr_assert_eq(ioctl(m.kvm, KVM_GET_API_VERSION, 0), 12);
}

Test(kvm_smoke, vm_and_vcpu_are_of_this_architecture)
{
	create_machine();
	check_arch();
}

Test(kvm_smoke, guest_stores_a_value_that_we_see)
{
	create_machine();
	set_up_vcpu();
	cr_assert_eq(ioctl(m.vcpu, KVM_RUN, 0), 0);
	check_exit();
}

/* Unit tests may set these; in a lab they are always there. */
Test(kvm_smoke, lab_offers_what_its_tests_need)
{
	const char *mote = getenv("MOTE_BIN");
	char tmp[] = "/tmp/smoke-XXXXXX";
	int fd;

	if (!getenv("MOTE_LAB"))
		cr_skip_test("not in a lab");
	cr_expect_not_null(getenv("MOTE_GUESTS"));
	cr_assert_not_null(mote);
	cr_expect_eq(access(mote, X_OK), 0, "%s", mote);
	fd = mkstemp(tmp);
	cr_assert_geq(fd, 0, "/tmp is not writable");
	unlink(tmp);
	close(fd);
}
