/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_uapi.c - traps of KVM on x86_64 (arch/uapi.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "arch/uapi.h"
#include "base/cleanup.h"
#include "base/num.h"
#include "kvm/kvm.h"

#define MSR_TSC	  0x10u
#define TSC_SOON  (INT64_C(1) << 36) /* ticks: tens of seconds */
#define MSRS_MAX  1024u
#define CPUID_MAX 256u

const void *arch_uapi_guest(size_t *size)
{
	static const uint8_t code[] =
		{
			0xbb, 0x00, 0x00, 0x11, 0x00, /* mov $0x110000, %ebx */
			0xc6, 0x03, 0x01,	      /* movb $1, (%rbx) */
			0xbb, 0x00, 0x00, 0x13, 0x00, 0xc6,
			0x03, 0x01, 0xbb, 0x00, 0x00, 0x16,
			0x00, 0xc6, 0x03, 0x01, 0xe6, 0x10, /* out %al, $0x10 */
			0xeb, 0xfe,			    /* jmp . */
		};

	*size = sizeof(code);
	return code;
}

/* A VM and, vcpu not NULL, a vCPU of it; an answer and false without. */
static bool open_vm(int kvm_fd, int *vm, int *vcpu, struct uapi_answer *a)
{
	*vm = kvm_create_vm(kvm_fd, 0);
	if (*vm < 0) {
		uapi_answer(a, UAPI_ABSENT, "no VM");
		return false;
	}
	if (!vcpu)
		return true;
	*vcpu = kvm_create_vcpu(*vm, 0);
	if (*vcpu < 0)
		uapi_answer(a, UAPI_ABSENT, "no vCPU");
	return *vcpu >= 0;
}

static int split_irqchip(int vm)
{
	const uint64_t pins[4] = {24};

	return kvm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, pins);
}

static void ask_split_first(int kvm_fd, struct uapi_answer *a)
{
	cleanup_fd int vm = -1, vcpu = -1;

	if (open_vm(kvm_fd, &vm, &vcpu, a))
		uapi_expect(a, "split irqchip after a vCPU", split_irqchip(vm),
			    -EEXIST);
}

static void ask_split_only(int kvm_fd, struct uapi_answer *a)
{
	cleanup_fd int vm = -1;
	int ret;

	if (!open_vm(kvm_fd, &vm, NULL, a))
		return;
	ret = split_irqchip(vm);
	if (ret < 0)
		uapi_expect(a, "split irqchip", ret, 0);
	else
		uapi_expect(a, "KVM_CREATE_IRQCHIP after the split one",
			    kvm_call_value(vm, KVM_CREATE_IRQCHIP, 0), -EEXIST);
}

/* --- MSRs -------------------------------------------------------------------
 */

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

/* 0 or -errno; KVM answers with how many it took. */
static int msr(int vcpu, unsigned long request, uint32_t index, uint64_t *value)
{
	struct one_msr m = {.head.nmsrs = 1,
			    .entry = {.index = index, .data = *value}};
	int ret = kvm_call(vcpu, request, &m);

	*value = m.entry.data;
	if (ret < 0)
		return ret;
	return ret == 1 ? 0 : -EPERM;
}

static int readable(int vcpu, const struct kvm_msr_list *list)
{
	int n = 0;

	for (uint32_t i = 0; i < list->nmsrs; i++) {
		uint64_t value = 0;

		n += msr(vcpu, KVM_GET_MSRS, list->indices[i], &value) == 0;
	}
	return n;
}

static int set_cpuid(int kvm_fd, int vcpu)
{
	cleanup_free struct kvm_cpuid2 *cpuid = calloc(
		1, sizeof(*cpuid) + CPUID_MAX * sizeof(cpuid->entries[0]));
	int ret;

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = CPUID_MAX;
	ret = kvm_call(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
	return ret < 0 ? ret : kvm_call(vcpu, KVM_SET_CPUID2, cpuid);
}

static void ask_cpuid_first(int kvm_fd, struct uapi_answer *a)
{
	cleanup_free struct kvm_msr_list *list =
		calloc(1, sizeof(*list) + MSRS_MAX * sizeof(uint32_t));
	cleanup_fd int vm = -1, vcpu = -1;
	int before, after, ret;

	if (!list || !open_vm(kvm_fd, &vm, &vcpu, a))
		return;
	list->nmsrs = MSRS_MAX;
	ret = kvm_call(kvm_fd, KVM_GET_MSR_INDEX_LIST, list);
	before = ret < 0 ? 0 : readable(vcpu, list);
	if (ret == 0)
		ret = set_cpuid(kvm_fd, vcpu);
	if (ret < 0) {
		uapi_expect(a, "MSR list and CPUID", ret, 0);
		return;
	}
	after = readable(vcpu, list);
	uapi_answer(a, after >= before ? UAPI_AS_EXPECTED : UAPI_DIFFERS,
		    "of the list's %u, %d before and %d after", list->nmsrs,
		    before, after);
}

static void ask_tsc(int kvm_fd, struct uapi_answer *a)
{
	const uint64_t set = UINT64_C(1) << 40;
	cleanup_fd int vm = -1, vcpu = -1;
	uint64_t value = set;
	int64_t delta;
	int ret;

	if (!open_vm(kvm_fd, &vm, &vcpu, a))
		return;
	ret = msr(vcpu, KVM_SET_MSRS, MSR_TSC, &value);
	if (ret == 0)
		ret = msr(vcpu, KVM_GET_MSRS, MSR_TSC, &value);
	delta = (int64_t)(value - set);
	if (ret < 0)
		uapi_expect(a, "MSR 0x10", ret, 0);
	else if (delta > 0 && delta < TSC_SOON)
		uapi_answer(a, UAPI_AS_EXPECTED, "read back: %+" PRId64, delta);
	else
		uapi_answer(a, UAPI_DIFFERS,
			    "read back: %+" PRId64 ", not what was set", delta);
}

const struct uapi_trap *arch_uapi_traps(size_t *count)
{
	static const struct uapi_trap traps[] = {
		{"x86: the split irqchip comes before vCPUs", ask_split_first,
		 1},
		{"x86: the split irqchip excludes the full one", ask_split_only,
		 1},
		{"x86: CPUID first, then the MSRs of the index list can be "
		 "read",
		 ask_cpuid_first, 1},
		{"x86: the TSC is what was set, and runs on", ask_tsc, 1},
	};

	*count = ARRAY_SIZE(traps);
	return traps;
}
