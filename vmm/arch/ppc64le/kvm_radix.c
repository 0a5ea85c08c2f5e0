/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/ppc64le/radix.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/ppc64le/papr.h"
#include "base/err.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define VERSION 2 /* 2: a process table */

/* Of the partition table's second doubleword: radix, where, 2^(12 + size). */
#define PATB_GR	       (UINT64_C(1) << 63)
#define PATB_BASE      UINT64_C(0x0ffffffffffff000)
#define PATB_SIZE      UINT64_C(0x1f)
#define TABLE_SIZE_MAX 24u

/* Bits of arch_vm.process_table that are not the entry's. */
#define NO_GTSE (UINT64_C(1) << 11)

/* Flags of H_REGISTER_PROC_TBL. */
#define FLAG_MODIFY   0x10u
#define FLAG_REGISTER 0x08u
#define FLAG_RADIX    0x04u
#define FLAG_HASH_TBL 0x02u
#define FLAG_GTSE     0x01u
#define FLAGS	      0x1fu

static int configure(int vm_fd, uint64_t table)
{
	struct kvm_ppc_mmuv3_cfg cfg = {
		.flags = KVM_PPC_MMUV3_RADIX |
			 (table & NO_GTSE ? 0 : KVM_PPC_MMUV3_GTSE),
		.process_table = PATB_GR | (table & ~NO_GTSE),
	};

	return kvm_call(vm_fd, KVM_PPC_CONFIGURE_V3_MMU, &cfg);
}

int radix_init(int vm_fd, struct mote_err *err)
{
	int ret = -ENOTSUP;

	if (kvm_check_extension(vm_fd, KVM_CAP_PPC_MMU_RADIX))
		ret = configure(vm_fd, 0);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "cpu.mmu: radix: %s: this host has no "
				     "radix guests",
				     strerror(-ret));
	return 0;
}

/* What the call's arguments make of the table; or its error. */
static int64_t parse(uint64_t was, const uint64_t args[4], uint64_t *table)
{
	uint64_t flags = args[0], base = args[1], size = args[3];

	if (flags & ~(uint64_t)FLAGS)
		return H_PARAMETER;
	if (flags & FLAG_MODIFY && !(flags & FLAG_REGISTER)) {
		*table = was & NO_GTSE; /* deregister, whatever its kind */
		return H_SUCCESS;
	}
	/* The VM's kind never changes. */
	if (!(flags & FLAG_RADIX) || flags & FLAG_HASH_TBL)
		return H_PARAMETER;
	*table = was & ~NO_GTSE;
	if (flags & FLAG_MODIFY) {
		if (base & ~PATB_BASE)
			return H_P2;
		if (args[2])
			return H_P3;
		if (size > TABLE_SIZE_MAX)
			return H_P4;
		*table = base | size;
	}
	if (!(flags & FLAG_GTSE))
		*table |= NO_GTSE;
	return H_SUCCESS;
}

/*
 * No lock: whoever calls KVM looks afterwards whether its table is still the
 * one that counts, so the last call was with what arch_vm.process_table says.
 */
int64_t radix_register(struct arch_vm *a, const uint64_t args[4])
{
	uint64_t table, done;
	int64_t status = parse(atomic_load(&a->process_table), args, &table);

	if (status != H_SUCCESS)
		return status;
	atomic_store(&a->process_table, table);
	do {
		done = atomic_load(&a->process_table);
		if (configure(a->vm_fd, done) < 0)
			status = H_PARAMETER;
	} while (atomic_load(&a->process_table) != done);
	return status;
}

/* --- state ------------------------------------------------------------------
 */

void radix_save(const struct arch_vm *a, struct snap_writer *w)
{
	uint64_t table = atomic_load(&a->process_table);

	snap_section_begin(w, RADIX_SECTION, 0, VERSION, SNAP_REQUIRED);
	snap_put_u32(w, CPU_MMU_RADIX);
	snap_put_u64(w, table & ~NO_GTSE);
	snap_put_u8(w, !(table & NO_GTSE));
	snap_section_end(w);
}

int radix_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	int ret = snap_section_open(r, RADIX_SECTION, 0, &s, err);
	uint64_t table;
	uint32_t mmu;
	uint8_t gtse;

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret < 0)
		return ret;
	mmu = snap_get_u32(&s);
	table = snap_get_u64(&s);
	/* Before version 2 no table could be registered. */
	gtse = s.version < 2 ? 1 : snap_get_u8(&s);
	ret = snap_section_close(&s, err);
	if (ret < 0)
		return ret;
	if (mmu != CPU_MMU_RADIX || gtse > 1 ||
	    table & ~(PATB_BASE | PATB_SIZE) ||
	    (table & PATB_SIZE) > TABLE_SIZE_MAX || (s.version < 2 && table))
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section " RADIX_SECTION
				     ": mmu %u, process table 0x%" PRIx64
				     ", GTSE %u: not that of a radix guest",
				     mmu, table, gtse);
	table |= gtse ? 0 : NO_GTSE;
	ret = configure(a->vm_fd, table);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "section " RADIX_SECTION
				     ": KVM_PPC_CONFIGURE_V3_MMU: %s",
				     strerror(-ret));
	atomic_store(&a->process_table, table);
	return 0;
}
