/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pci.c - the root bus alone, with a function that only remembers.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "base/err.h"
#include "devices/devtest.h"
#include "devices/pci/root.h"

#define ECAM UINT64_C(0xe0000000)

static struct devtest d;
static uint8_t config[2][PCI_CONFIG_SIZE];
static int resets;

static int index_of(const struct pci_function *f)
{
	return f->name[0] - 'a';
}

static uint32_t f_read(struct pci_function *f, unsigned int off, int len)
{
	uint32_t v = 0;

	memcpy(&v, config[index_of(f)] + off, (size_t)len);
	return v;
}

static void f_write(struct pci_function *f, unsigned int off, int len,
		    uint32_t val)
{
	memcpy(config[index_of(f)] + off, &val, (size_t)len);
}

static void f_reset(struct pci_function *f)
{
	(void)f;
	resets++;
}

static void f_save(struct pci_function *f, struct snap_writer *w)
{
	snap_put_bytes(w, config[index_of(f)], PCI_CONFIG_SIZE);
}

static int f_load(struct pci_function *f, struct snap_section *s,
		  struct mote_err *err)
{
	(void)err;
	snap_get_bytes(s, config[index_of(f)], PCI_CONFIG_SIZE);
	return 0;
}

static void f_destroy(struct pci_function *f)
{
	(void)f;
}

static struct pci_function function[2] = {
	{"a", f_read, f_write, f_reset, f_save, f_load, f_destroy},
	{"b", f_read, f_write, f_reset, f_save, f_load, f_destroy},
};

static void start(void)
{
	static const struct arch_pci arch = {.ecam = ECAM,
					     .mmio = 0xc0000000,
					     .mmio_size = 0x100000,
					     .high = UINT64_C(1) << 40,
					     .high_size = UINT64_C(1) << 40,
					     .ports = 0x1000,
					     .ports_size = 0x100};

	devtest_init(&d, "pci", BUS_MMIO, ECAM, 1 << 20);
	pci_root_windows(d.dev, &arch, (UINT64_C(1) << 40) + 4096);
	cr_assert_eq(pci_root_add(d.dev, &function[0], NULL), 1);
	cr_assert_eq(pci_root_add(d.dev, &function[1], NULL), 2);
	memset(config, 0x11, sizeof(config[0]));
	memset(config[1], 0x22, sizeof(config[1]));
}

static void end(void)
{
	devtest_fini(&d);
}

TestSuite(pci, .init = start, .fini = end);

static uint64_t at(unsigned int device, unsigned int fn, unsigned int off)
{
	return device << 15 | fn << 12 | off;
}

Test(pci, functions_stand_at_their_device_numbers)
{
	cr_expect_eq(devtest_read(&d, at(1, 0, 0), 4), 0x11111111u);
	cr_expect_eq(devtest_read(&d, at(2, 0, 0), 2), 0x2222u);
	cr_expect_eq(devtest_read(&d, at(0, 0, 0), 4), UINT32_MAX);
	cr_expect_eq(devtest_read(&d, at(3, 0, 0), 4), UINT32_MAX);
	cr_expect_eq(devtest_read(&d, at(1, 1, 0), 4), UINT32_MAX);
	cr_expect_eq(devtest_read(&d, at(1, 0, 0x100), 4), 0u,
		     "no extended capabilities");
	devtest_write(&d, at(2, 0, 0x43), 1, 0x7f);
	cr_expect_eq(config[1][0x43], 0x7f);
	devtest_write(&d, at(2, 0, 0x100), 4, 1);
}

Test(pci, accesses_across_registers_are_nobodys)
{
	cr_expect_eq(devtest_read(&d, at(1, 0, 2), 4), UINT32_MAX);
	cr_expect_eq(devtest_read(&d, at(1, 0, 1), 2), UINT16_MAX);
	cr_expect_eq(devtest_read(&d, at(1, 0, 0), 8), UINT64_MAX);
	devtest_write(&d, at(1, 0, 2), 4, 0);
	devtest_write(&d, at(1, 0, 0), 8, 0);
	cr_expect_eq(config[0][0], 0x11);
}

Test(pci, windows_are_given_out_aligned_until_they_are_full)
{
	struct mote_err err = {0};
	uint64_t addr;

	cr_expect_eq(pci_root_alloc(d.dev, PCI_WINDOW_32, 0x1000, &addr, &err),
		     0);
	cr_expect_eq(addr, 0xc0000000u);
	cr_expect_eq(pci_root_alloc(d.dev, PCI_WINDOW_32, 0x80000, &addr, &err),
		     0);
	cr_expect_eq(addr, 0xc0080000u);
	cr_expect_eq(pci_root_alloc(d.dev, PCI_WINDOW_32, 0x1000, &addr, &err),
		     -ENOSPC);
	cr_expect_str_eq(err.msg, "no room for a window of 0x1000 bytes: 0x0 "
				  "are left");
	cr_expect_eq(pci_root_alloc(d.dev, PCI_WINDOW_64, 1 << 30, &addr, &err),
		     0);
	cr_expect_eq(addr, (UINT64_C(1) << 40) + (1 << 30), "above RAM");
	cr_expect_eq(pci_root_alloc(d.dev, PCI_WINDOW_PORTS, 8, &addr, &err),
		     0);
	cr_expect_eq(addr, 0x1000u);
}

Test(pci, a_reset_is_all_functions)
{
	resets = 0;
	d.dev->ops->reset(d.dev);
	cr_expect_eq(resets, 2);
}

/* In front of each function's state stands its section's name. */
Test(pci, a_snapshot_names_its_devices)
{
	struct snap_writer w;
	struct snap_reader r;
	struct mote_err err = {0};

	devtest_save(&d, &w);
	cr_assert_eq(snap_reader_init(&r, w.buf, w.len, &err), 0, "%s",
		     err.msg);
	memset(config, 0, sizeof(config));
	cr_assert_eq(device_load(d.dev, &r, &err), 0, "%s", err.msg);
	cr_expect_eq(config[1][5], 0x22);
	function[1].name = "c";
	cr_assert_eq(snap_reader_init(&r, w.buf, w.len, &err), 0);
	cr_expect_eq(device_load(d.dev, &r, &err), -EINVAL);
	cr_expect_not_null(strstr(err.msg, "expected a section "
					   "[passthrough.b] here"),
			   "%s", err.msg);
	function[1].name = "b";
	snap_writer_fini(&w);
}
