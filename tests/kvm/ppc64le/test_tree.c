/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tree.c - the device tree that a ppc64le guest is handed, by libfdt.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "arch/ppc64le/tree.h"
#include "base/guest_abi.h"
#include "base/num.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"

#define TREE_MAX 65536

static const void *tree_of(const struct vmtest *t)
{
	struct mote_boot boot;
	const void *fdt;

	cr_assert_eq(guest_read(&t->vm->slots, arch_boot_page(), &boot,
				sizeof(boot)),
		     0);
	fdt = guest_map_read(&t->vm->slots, boot.fdt, TREE_MAX);
	cr_assert_not_null(fdt);
	cr_assert_eq(fdt_check_full(fdt, TREE_MAX), 0);
	return fdt;
}

/* Cell i of a property; the test fails without it. */
static uint32_t cell(const void *fdt, const char *path, const char *name, int i)
{
	int len = 0, node = fdt_path_offset(fdt, path);
	const fdt32_t *p;

	cr_assert_geq(node, 0, "%s", path);
	p = fdt_getprop(fdt, node, name, &len);
	cr_assert(p && len >= 4 * (i + 1), "%s %s", path, name);
	return fdt32_to_cpu(p[i]);
}

static uint8_t byte(const void *fdt, const char *path, const char *name, int i)
{
	int len = 0;
	const uint8_t *p =
		fdt_getprop(fdt, fdt_path_offset(fdt, path), name, &len);

	cr_assert(p && len > i, "%s %s", path, name);
	return p[i];
}

static bool has(const void *fdt, const char *path, const char *name)
{
	int node = fdt_path_offset(fdt, path);

	return node >= 0 && fdt_getprop(fdt, node, name, NULL);
}

Test(ppc64_tree, it_says_what_linux_asks_for)
{
	struct vmtest t;
	const void *fdt;
	char path[32];

	vmtest_init(&t, "some words");
	t.cfg.vm.vcpus = 3;
	t.cfg.cpu.hpt_order = 20;
	vmtest_build(&t, "hello");
	fdt = tree_of(&t);
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/cpus/cpu@%u", i);
		cr_expect_eq(cell(fdt, path, "reg", 0), i);
		cr_expect_eq(cell(fdt, path, "ibm,ppc-interrupt-server#s", 0),
			     i);
		cr_expect_eq(cell(fdt, path, "ibm,pft-size", 1), 20);
		cr_expect_eq(cell(fdt, path, "timebase-frequency", 0),
			     512000000);
		cr_expect_eq(cell(fdt, path, "ibm,segment-page-sizes", 0), 12);
		cr_expect_eq(cell(fdt, path, "ibm,processor-segment-sizes", 0),
			     28);
		cr_expect_eq(cell(fdt, path, "slb-size", 0), 32);
		cr_expect_eq(cell(fdt, path, "d-cache-line-size", 0), 128);
		cr_expect_neq(cell(fdt, path, "cpu-version", 0), 0);
	}
	cr_expect_lt(fdt_path_offset(fdt, "/cpus/cpu@3"), 0);
	cr_expect_eq(cell(fdt, "/memory@0", "reg", 3), 16 * MIB);
	cr_expect_str_eq(fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"),
				     "bootargs", NULL),
			 "some words");
	cr_expect(has(fdt, "/vdevice/vty@0", "compatible"));
	cr_expect(!has(fdt, "/chosen", "linux,initrd-start"));
	vmtest_fini(&t);
}

Test(ppc64_tree, rtas_is_where_it_says)
{
	uint8_t code[TREE_RTAS_CODE];
	struct vmtest t;
	const void *fdt;
	bool xics;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	fdt = tree_of(&t);
	cr_expect_eq(cell(fdt, "/rtas", "start-cpu", 0), MOTE_RTAS_START_CPU);
	cr_assert_eq(guest_read(&t.vm->slots,
				cell(fdt, "/rtas", "linux,rtas-entry", 0), code,
				sizeof(code)),
		     0);
	cr_expect_arr_eq(code, tree_rtas_code, sizeof(code));
	cr_expect_eq(cell(fdt, "/", "reserved-ranges", 1),
		     cell(fdt, "/rtas", "linux,rtas-base", 0));
	/* Without the controller neither its node nor its calls. */
	xics = t.vm->arch.xics_fd >= 0;
	cr_expect_eq(has(fdt, "/interrupt-controller", "compatible"), xics);
	cr_expect_eq(has(fdt, "/rtas", "ibm,set-xive"), xics);
	vmtest_fini(&t);
}

static const char *const names[] = {"ibm,segment-page-sizes", "slb-size"};

/* A pure builder: any host, and a buffer that is too small. */
Test(ppc64_tree, any_host_is_described)
{
	struct tree t = {
		.vcpus = 64,
		.hpt_order = 24,
		.memory = UINT64_C(1) << 34,
		.rma = UINT64_C(1) << 28,
		.rtas = 0x50000,
		.rtas_size = 0x10000,
		.initrd = 0x123450000,
		.initrd_end = 0x123460000,
	};
	static uint8_t buf[TREE_MAX];
	struct mote_err err = {0};

	cr_assert_gt(tree_build(&t, buf, sizeof(buf), &err), 0, "%s", err.msg);
	cr_expect_eq(fdt_check_full(buf, sizeof(buf)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_expect(!has(buf, "/cpus/cpu@0", names[i]));
	cr_expect(has(buf, "/cpus/cpu@3f", "reg"));
	cr_expect_eq(cell(buf, "/memory@10000000", "reg", 1), 1u << 28);
	cr_expect_eq(cell(buf, "/memory@10000000", "reg", 2), 3);
	cr_expect_eq(cell(buf, "/chosen", "linux,initrd-start", 0), 1);
	cr_expect(!has(buf, "/interrupt-controller", "compatible"));

	cr_expect(!has(buf, "/chosen", "ibm,architecture-vec-5"));
	cr_expect(!has(buf, "/cpus/cpu@0", "ibm,pa-features"));

	t.xive = 64;
	t.page = 65536;
	t.radix = true;
	t.host.radix_page[0] = 12;
	t.host.radix_page[1] = 5u << 29 | 16;
	cr_assert_gt(tree_build(&t, buf, sizeof(buf), &err), 0, "%s", err.msg);
	/* Length less one; byte 23 XIVE, 24 radix, 26 GTSE. */
	cr_expect_eq(byte(buf, "/chosen", "ibm,architecture-vec-5", 0), 25);
	cr_expect_eq(byte(buf, "/chosen", "ibm,architecture-vec-5", 23), 0x40);
	cr_expect_eq(byte(buf, "/chosen", "ibm,architecture-vec-5", 24), 0x40);
	cr_expect_eq(byte(buf, "/chosen", "ibm,architecture-vec-5", 26), 0x40);
	/* Radix: byte 40 behind the two of the head. */
	cr_expect_eq(byte(buf, "/cpus/cpu@3f", "ibm,pa-features", 42), 0x80);
	cr_expect_eq(cell(buf, "/cpus/cpu@3f",
			  "ibm,processor-radix-AP-encodings", 1),
		     0xa0000010);
	cr_expect_eq(cell(buf, "/interrupt-controller@480000010000",
			  "ibm,xive-lisn-ranges", 1),
		     64);
	cr_expect_eq(cell(buf, "/interrupt-controller@480000010000", "reg", 4),
		     0x4800);
	cr_expect_eq(cell(buf, "/", "ibm,plat-res-int-priorities", 0), 7);
	t.radix = false;
	t.xive = 0;

	/* Every page of every segment: more than one property may hold. */
	for (int i = 0; i < TREE_PAGE_SIZES; i++) {
		t.host.segment[i] = (struct tree_segment){.shift = 12};
		for (int k = 0; k < TREE_PAGE_SIZES; k++)
			t.host.segment[i].page[k].shift = 12;
	}
	cr_expect_gt(tree_build(&t, buf, sizeof(buf), &err), 0, "%s", err.msg);
	cr_expect_eq(tree_build(&t, buf, 1024, &err), -ENOSPC);
}
