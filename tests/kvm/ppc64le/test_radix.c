/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_radix.c - guests on radix trees: H_REGISTER_PROC_TBL, and the process
 * table in a snapshot.  Linux on such trees: test_linux.c.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/ppc64le/papr.h"
#include "arch/ppc64le/radix.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "snapshot/stream.h"

#define TABLE UINT64_C(0x800000) /* of the guest's RAM */

static void init(struct vmtest *t)
{
	int kvm = kvm_open(NULL, NULL);
	int has = kvm < 0 ? 0 : kvm_check_extension(kvm, KVM_CAP_PPC_MMU_RADIX);

	if (kvm >= 0)
		close(kvm);
	if (!has)
		cr_skip_test("this host has no radix guests");
	vmtest_init(t, "");
	t->cfg.cpu.mmu = CPU_MMU_RADIX;
}

Test(ppc64_radix, a_process_table_is_taken_or_refused_as_papr_says)
{
	static const struct {
		uint64_t args[4];
		int64_t status;
		uint64_t table; /* afterwards, the one before stays */
	} calls[] = {
		{{0x1d, TABLE, 0, 4}, H_SUCCESS, TABLE | 4},
		{{0x3d, TABLE, 0, 5}, H_PARAMETER, TABLE | 4},
		{{0x1d, TABLE + 0x800, 0, 5}, H_P2, TABLE | 4},
		{{0x1d, UINT64_C(1) << 60, 0, 5}, H_P2, TABLE | 4},
		{{0x1d, TABLE, 1, 5}, H_P3, TABLE | 4},
		{{0x1d, TABLE, 0, 25}, H_P4, TABLE | 4},
		/* Hashed: by the SLB, by a table. */
		{{0x18, 0, 0, 0}, H_PARAMETER, TABLE | 4},
		{{0x1a, TABLE, 0, 4}, H_PARAMETER, TABLE | 4},
		{{0x00, 0, 0, 0}, H_PARAMETER, TABLE | 4},
		/* It stays, the guest leaves its translations to us. */
		{{0x04, 0, 0, 0}, H_SUCCESS, TABLE | 0x800 | 4},
		{{0x05, 0, 0, 0}, H_SUCCESS, TABLE | 4},
		{{0x1d, 0, 0, 24}, H_SUCCESS, 24},
		/* None any more. */
		{{0x10, 0, 0, 0}, H_SUCCESS, 0},
	};
	struct vmtest t;

	init(&t);
	vmtest_build(&t, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		cr_expect_eq(radix_register(&t.vm->arch, calls[i].args),
			     calls[i].status, "call %zu", i);
		cr_expect_eq(atomic_load(&t.vm->arch.process_table),
			     calls[i].table, "call %zu", i);
	}
	vmtest_fini(&t);
}

/* Without GTSE: KVM's LPCR follows, in the restored machine too. */
Test(ppc64_radix, a_snapshot_has_the_process_table)
{
	const uint64_t args[4] = {0x1c, TABLE, 0, 4};
	const uint64_t gtse = UINT64_C(1) << 10;
	struct vmtest_snapshot first, second;
	struct vmtest a, b;
	uint64_t lpcr = gtse;

	init(&a);
	vmtest_build(&a, "hello");
	cr_assert_eq(radix_register(&a.vm->arch, args), H_SUCCESS);
	vmtest_save(&a, &first);
	vmtest_fini(&a);
	init(&b);
	vmtest_load(&b, &first);
	cr_expect_eq(atomic_load(&b.vm->arch.process_table), TABLE | 0x800 | 4);
	cr_expect_eq(kvm_get_one_reg(b.vm->vcpu[0]->arch.fd,
				     KVM_REG_PPC_LPCR_64, &lpcr),
		     0);
	cr_expect_eq(lpcr & gtse, 0);
	vmtest_save(&b, &second);
	vmtest_expect_same(&first, &second);
	vmtest_fini(&b);
	vmtest_remove(&first);
	vmtest_remove(&second);
}

Test(ppc64_radix, what_cannot_be_loaded_is_refused_by_name)
{
	static const struct {
		uint16_t version;
		uint32_t mmu;
		uint64_t table;
		uint8_t gtse;
		int ret;
	} states[] = {
		{1, CPU_MMU_RADIX, 0, 1, 0},
		{1, CPU_MMU_RADIX, TABLE | 4, 1, -EBADMSG},
		{2, CPU_MMU_RADIX, TABLE | 4, 1, 0},
		{2, CPU_MMU_RADIX, TABLE | 24, 0, 0},
		{2, CPU_MMU_RADIX, TABLE | 25, 1, -EBADMSG},
		{2, CPU_MMU_RADIX, TABLE | 0x800, 1, -EBADMSG},
		{2, CPU_MMU_RADIX, UINT64_C(1) << 63, 1, -EBADMSG},
		{2, CPU_MMU_RADIX, TABLE | 4, 2, -EBADMSG},
		{2, CPU_MMU_HASH, TABLE | 4, 1, -EBADMSG},
	};
	struct snap_reader r;
	struct snap_writer w;
	struct vmtest t;

	init(&t);
	vmtest_build(&t, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		snap_writer_init(&w);
		snap_section_begin(&w, RADIX_SECTION, 0, states[i].version,
				   SNAP_REQUIRED);
		snap_put_u32(&w, states[i].mmu);
		snap_put_u64(&w, states[i].table);
		if (states[i].version > 1)
			snap_put_u8(&w, states[i].gtse);
		snap_section_end(&w);
		cr_assert_eq(snap_writer_finish(&w, NULL), 0);
		cr_assert_eq(snap_reader_init(&r, w.buf, w.len, NULL), 0);
		t.err.msg[0] = 0;
		cr_expect_eq(radix_load(&t.vm->arch, &r, &t.err), states[i].ret,
			     "state %zu: %s", i, t.err.msg);
		if (states[i].ret < 0)
			cr_expect_not_null(strstr(t.err.msg, RADIX_SECTION),
					   "%s", t.err.msg);
		snap_writer_fini(&w);
	}
	vmtest_fini(&t);
}
