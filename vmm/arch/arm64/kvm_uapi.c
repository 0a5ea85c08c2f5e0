/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_uapi.c - traps of KVM on arm64 (arch/uapi.h).
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/mman.h>

#include "arch/uapi.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"
#include "kvm/kvm.h"

#define FW_REG(n) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_FW | (n))
#define PSCI_REG  FW_REG(0)
/* KVM_REG_ARM_FW_FEAT_BMAP_REG(0), Linux 5.19: standard hypercalls. */
#define BMAP_REG   (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | (0x16ull << 16))
#define PSCI(a, b) ((a) << 16 | (b))

const void *arch_uapi_guest(size_t *size)
{
	static const uint32_t code[] = {
		0x10000001, /* adr x1, . */
		0x52800022, /* mov w2, #1 */
		0x91404023, /* add x3, x1, #0x10, lsl #12 */
		0xb9000062, /* str w2, [x3] */
		0x9140c023, /* add x3, x1, #0x30, lsl #12 */
		0xb9000062, /* str w2, [x3] */
		0x91418023, /* add x3, x1, #0x60, lsl #12 */
		0xb9000062, /* str w2, [x3] */
		0xd2a1c004, /* mov x4, #0xe000000: nobody's */
		0xb9000082, /* str w2, [x4] */
		0x14000000, /* b . */
	};

	*size = sizeof(code);
	return code;
}

/* A VM of one vCPU without an interrupt controller. */
struct bare {
	int vm, vcpu;
	struct kvm_vcpu_init init;
};

static void bare_close(struct bare *b)
{
	fd_clear(&b->vcpu);
	fd_clear(&b->vm);
}

/* init: with PSCI 0.2.  An answer and false where there is none. */
static bool bare_open(struct bare *b, int kvm_fd, bool init,
		      struct uapi_answer *a)
{
	int ret;

	*b = (struct bare){.vcpu = -1};
	ret = b->vm = kvm_create_vm(kvm_fd, 0);
	if (ret >= 0)
		ret = b->vcpu = kvm_create_vcpu(b->vm, 0);
	if (ret >= 0)
		ret = kvm_call(b->vm, KVM_ARM_PREFERRED_TARGET, &b->init);
	b->init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (ret >= 0 && init)
		ret = kvm_call(b->vcpu, KVM_ARM_VCPU_INIT, &b->init);
	if (ret >= 0)
		return true;
	bare_close(b);
	uapi_answer(a, UAPI_ABSENT, "no vCPU to try it on");
	return false;
}

static void ask_before_init(int kvm_fd, struct uapi_answer *a)
{
	struct bare b;
	uint64_t v;

	if (!bare_open(&b, kvm_fd, false, a))
		return;
	uapi_expect(a, "KVM_GET_ONE_REG", kvm_get_one_reg(b.vcpu, PSCI_REG, &v),
		    -ENOEXEC);
	bare_close(&b);
}

/* Taken and read back, or refused and the old one kept. */
static bool psci_as_said(int vcpu, uint64_t version, bool taken)
{
	uint64_t before = 0, after = 0;
	int ret;

	if (kvm_get_one_reg(vcpu, PSCI_REG, &before) < 0)
		return false;
	ret = kvm_set_one_reg(vcpu, PSCI_REG, &version);
	if (kvm_get_one_reg(vcpu, PSCI_REG, &after) < 0)
		return false;
	return taken ? ret == 0 && after == version
		     : ret == -EINVAL && after == before;
}

static void ask_psci(int kvm_fd, struct uapi_answer *a)
{
	static const struct {
		uint64_t version;
		bool taken;
	} say[] = {
		{PSCI(0, 2), true},  {PSCI(1, 0), true},  {PSCI(1, 1), true},
		{PSCI(0, 1), false}, {PSCI(0, 3), false}, {PSCI(1, 99), false},
		{PSCI(2, 0), false},
	};
	uint64_t host = 0;
	struct bare b;

	if (!bare_open(&b, kvm_fd, true, a))
		return;
	kvm_get_one_reg(b.vcpu, PSCI_REG, &host);
	uapi_answer(a, UAPI_AS_EXPECTED, "the kernel's own is %u.%u",
		    (unsigned int)(host >> 16), (unsigned int)(host & 0xffff));
	for (size_t i = 0; i < ARRAY_SIZE(say); i++)
		if (!psci_as_said(b.vcpu, say[i].version, say[i].taken))
			uapi_answer(a, UAPI_DIFFERS, "%u.%u was %s",
				    (unsigned int)(say[i].version >> 16),
				    (unsigned int)(say[i].version & 0xffff),
				    say[i].taken ? "refused"
						 : "not refused by EINVAL");
	bare_close(&b);
}

static void ask_reg_list(int kvm_fd, struct uapi_answer *a)
{
	struct kvm_reg_list list = {0};
	struct bare b;
	int ret;

	if (!bare_open(&b, kvm_fd, true, a))
		return;
	ret = kvm_call(b.vcpu, KVM_GET_REG_LIST, &list);
	if (ret == -E2BIG && list.n > 0)
		uapi_answer(a, UAPI_AS_EXPECTED, "E2BIG and %llu",
			    (unsigned long long)list.n);
	else
		uapi_expect(a, "a count of 0", ret, -E2BIG);
	bare_close(&b);
}

static void ask_unknown_fw(int kvm_fd, struct uapi_answer *a)
{
	struct bare b;
	uint64_t v;

	if (!bare_open(&b, kvm_fd, true, a))
		return;
	uapi_expect(a, "firmware register 0xff",
		    kvm_get_one_reg(b.vcpu, FW_REG(0xff), &v), -ENOENT);
	bare_close(&b);
}

/* Nothing has to run: KVM_RUN that ends at once counts. */
static int run_once(int kvm_fd, const struct bare *b)
{
	cleanup_map struct map map = {0};
	struct kvm_run *run;
	int size = kvm_vcpu_mmap_size(kvm_fd);
	int ret = size < 0 ? size
			   : map_shared(&map, b->vcpu, 0, (size_t)size,
					PROT_READ | PROT_WRITE, NULL);

	if (ret < 0)
		return ret;
	run = map.addr;
	run->immediate_exit = 1;
	ret = kvm_run(b->vcpu);
	run->immediate_exit = 0;
	return ret == -EINTR ? 0 : ret;
}

static void ask_bmap(int kvm_fd, struct uapi_answer *a)
{
	uint64_t v = 0, other;
	struct bare b;
	int ret;

	if (!bare_open(&b, kvm_fd, true, a))
		return;
	ret = kvm_get_one_reg(b.vcpu, BMAP_REG, &v);
	if (ret == -ENOENT) {
		uapi_answer(a, UAPI_ABSENT, "Linux 5.19 has it");
		bare_close(&b);
		return;
	}
	if (ret == 0)
		ret = run_once(kvm_fd, &b);
	if (ret == 0)
		ret = kvm_set_one_reg(b.vcpu, BMAP_REG, &v);
	if (ret < 0) {
		uapi_expect(a, "the same value after a run", ret, 0);
	} else {
		other = v ^ 1;
		uapi_expect(a, "another value after a run",
			    kvm_set_one_reg(b.vcpu, BMAP_REG, &other), -EBUSY);
	}
	bare_close(&b);
}

static void ask_gic(int kvm_fd, struct uapi_answer *a)
{
	struct bare b;

	if (!bare_open(&b, kvm_fd, true, a))
		return;
	if (kvm_create_device(b.vm, KVM_DEV_TYPE_ARM_VGIC_V3, true) < 0)
		uapi_answer(a, UAPI_ABSENT, "this host has no GICv3");
	else if (kvm_create_device(b.vm, KVM_DEV_TYPE_ARM_VGIC_V2, true) == 0)
		uapi_answer(a, UAPI_ABSENT, "this GICv3 can be a GICv2 too");
	else
		uapi_expect(
			a, "VGIC_V2",
			kvm_create_device(b.vm, KVM_DEV_TYPE_ARM_VGIC_V2, true),
			-ENODEV);
	bare_close(&b);
}

const struct uapi_trap *arch_uapi_traps(size_t *count)
{
	static const struct uapi_trap traps[] = {
		{"arm64: no register before KVM_ARM_VCPU_INIT", ask_before_init,
		 1},
		{"arm64: PSCI 0.2, 1.0 and 1.1 are taken, no others below 2",
		 ask_psci, 1},
		{"arm64: the register list tells its length", ask_reg_list, 1},
		{"arm64: an unknown firmware register is ENOENT",
		 ask_unknown_fw, 1},
		{"arm64: firmware bitmaps are fixed by the first run", ask_bmap,
		 1},
		{"arm64: a GICv3 host gives no GICv2", ask_gic, 1},
	};

	*count = ARRAY_SIZE(traps);
	return traps;
}
