/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_host.c - what the host's processor is like, for the device tree.
 *
 * From KVM, the auxiliary vector and the vDSO: nothing is opened, which a
 * jail would not allow.
 */
#include <linux/kvm.h>
#include <sys/auxv.h>
#include <sys/platform/ppc.h>

#include "arch/arch.h"
#include "arch/ppc64le/tree.h"
#include "base/map.h"
#include "kvm/kvm.h"

#define TIMEBASE_HZ 512000000u /* architected since POWER6 */
#define CACHE_LINE  128u
#define CACHE_SIZE  32768u

/*
 * Pages that KVM can't back are left out: with KVM_PPC_PAGE_SIZES_REAL a
 * guest's page lies in one of ours.
 */
static void take_pages(const struct kvm_ppc_one_seg_page_size *from,
		       uint32_t shift_max, struct tree_segment *to)
{
	int n = 0;

	for (int i = 0; i < KVM_PPC_PAGE_SIZES_MAX_SZ; i++) {
		uint32_t shift = from->enc[i].page_shift;

		if (shift && shift <= shift_max && n < TREE_PAGE_SIZES)
			to->page[n++] = (struct tree_page_size){
				shift, from->enc[i].pte_enc};
	}
}

static void ask_mmu(const struct arch_vm *a, struct tree_host *h)
{
	struct kvm_ppc_smmu_info info = {0};
	uint32_t shift_max = UINT32_MAX;
	int n = 0;

	if (kvm_call(a->vm_fd, KVM_PPC_GET_SMMU_INFO, &info) < 0)
		return;
	if (info.flags & KVM_PPC_PAGE_SIZES_REAL)
		shift_max = (uint32_t)__builtin_ctzl(host_page_size());
	h->terabyte = info.flags & KVM_PPC_1T_SEGMENTS;
	h->slb_size = info.slb_size;
	for (int i = 0; i < KVM_PPC_PAGE_SIZES_MAX_SZ; i++) {
		const struct kvm_ppc_one_seg_page_size *s = &info.sps[i];

		if (s->page_shift == 0 || s->page_shift > shift_max ||
		    n == TREE_PAGE_SIZES)
			continue;
		h->segment[n].shift = s->page_shift;
		h->segment[n].encoding = s->slb_enc;
		take_pages(s, shift_max, &h->segment[n++]);
	}
}

/* Page sizes that the guest's own trees may use. */
static void ask_radix(const struct arch_vm *a, struct tree_host *h)
{
	struct kvm_ppc_rmmu_info info = {0};

	if (!a->radix || kvm_call(a->vm_fd, KVM_PPC_GET_RMMU_INFO, &info) < 0)
		return;
	for (int i = 0; i < TREE_PAGE_SIZES; i++)
		h->radix_page[i] = info.ap_encodings[i];
}

static uint32_t cache(unsigned long type, uint32_t usual)
{
	unsigned long size = getauxval(type);

	return size ? (uint32_t)size : usual;
}

void tree_host(const struct arch_vm *a, struct tree_host *h)
{
	uint64_t hz = __ppc_get_timebase_freq();
	struct kvm_sregs sregs = {0};

	*h = (struct tree_host){
		.timebase_hz =
			hz && hz <= UINT32_MAX ? (uint32_t)hz : TIMEBASE_HZ,
		.dcache_line = cache(AT_DCACHEBSIZE, CACHE_LINE),
		.icache_line = cache(AT_ICACHEBSIZE, CACHE_LINE),
		.dcache_size = cache(AT_L1D_CACHESIZE, CACHE_SIZE),
		.icache_size = cache(AT_L1I_CACHESIZE, CACHE_SIZE),
	};
	if (a->vcpu[0] && kvm_call(a->vcpu[0]->fd, KVM_GET_SREGS, &sregs) == 0)
		h->pvr = sregs.pvr;
	h->transactions = kvm_check_extension(a->vm_fd, KVM_CAP_PPC_HTM) > 0;
	ask_mmu(a, h);
	ask_radix(a, h);
}
