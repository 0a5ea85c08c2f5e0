/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - a snapshot of the counter goes out by a lab's console, for
 * tests/golden/make.sh: "GOLDEN NAME FILE size N", then "GOLDEN NAME FILE
 * OFFSET HEX" for each 32 bytes that are not zero.
 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"
#include "kvm/vmtest.h"

#define LINE 32

static void print_file(const char *as, const char *dir, const char *name)
{
	static const uint8_t zero[LINE];
	char path[96];
	cleanup_fd int fd = -1;
	int64_t size;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd_size(fd);
	cr_assert_gt(size, 0, "%s", path);
	printf("GOLDEN %s %s size %lld\n", as, name, (long long)size);
	for (int64_t at = 0; at < size; at += LINE) {
		size_t n = num_min(LINE, (uint64_t)(size - at));
		uint8_t buf[LINE];

		cr_assert_eq(fd_pread_full(fd, buf, n, (uint64_t)at), 0);
		if (!memcmp(buf, zero, n))
			continue;
		printf("GOLDEN %s %s %lld ", as, name, (long long)at);
		for (size_t i = 0; i < n; i++)
			printf("%02x", buf[i]);
		printf("\n");
	}
}

static void print_counter(const char *as, enum cpu_mmu mmu, enum cpu_irq irq)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	vmtest_init(&t, "step_ms=10");
	/* Images of ppc64le lie at 4 MiB. */
	t.cfg.vm.memory = UINT64_C(4) << 20;
	if (!strcmp(arch_name, "ppc64le"))
		t.cfg.vm.memory *= 2;
	t.cfg.vm.kernel = strdup("counter.elf");
	t.cfg.cpu.mmu = mmu;
	t.cfg.cpu.irq = irq;
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "count 3\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vm_dispatch(t.vm);
	vmtest_save(&t, &s);
	print_file(as, s.dir, "manifest");
	print_file(as, s.dir, "state");
	print_file(as, s.dir, "memory");
	fflush(stdout);
	vmtest_fini(&t);
	vmtest_remove(&s);
}

Test(golden_print, a_counter, .timeout = 600)
{
	print_counter("counter", CPU_MMU_HASH, CPU_IRQ_XICS);
}

#ifdef __powerpc64__
/* A radix host's. */
Test(golden_print, a_counter_with_a_radix_tree, .timeout = 600)
{
	print_counter("counter-radix", CPU_MMU_RADIX, CPU_IRQ_XICS);
}

Test(golden_print, a_counter_with_xive, .timeout = 600)
{
	print_counter("counter-xive", CPU_MMU_RADIX, CPU_IRQ_XIVE);
}
#endif
