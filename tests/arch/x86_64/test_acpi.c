/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_acpi.c - the ACPI tables of a guest: sums, addresses, what they list;
 * and, where acpica-tools has it, what iasl makes of them.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/aml.h"
#include "arch/x86_64/layout.h"
#include "base/err.h"
#include "base/fd.h"
#include "config/config.h"

static uint8_t tables[LAYOUT_ACPI_SIZE];
static struct vm_config cfg;

static void start(void)
{
	cr_assert_eq(config_init(&cfg), 0);
	cfg.vm.protocol = PROTOCOL_LINUX;
}

static void end(void)
{
	config_fini(&cfg);
}

TestSuite(acpi, .init = start, .fini = end);

static void build(uint32_t vcpus, unsigned int nets)
{
	static struct net_config some[CONFIG_NETS_MAX];
	struct mote_err err = {0};

	memset(tables, 0xaa, sizeof(tables));
	cfg.vm.vcpus = vcpus;
	cfg.net = some;
	cfg.net_count = nets;
	cr_assert_eq(
		acpi_build(tables, sizeof(tables), LAYOUT_ACPI, &cfg, &err), 0,
		"%s", err.msg);
	cfg.net = NULL;
	cfg.net_count = 0;
}

static uint64_t get(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The table of that name; its sum and its place are right. */
static const uint8_t *table(const char *name)
{
	const uint8_t *xsdt = tables + (get(tables + 24, 8) - LAYOUT_ACPI),
		      *found = NULL;
	uint64_t len = get(xsdt + 4, 4), at = 0;

	cr_assert(!memcmp(xsdt, "XSDT", 4));
	cr_assert_eq(sum(xsdt, len), 0);
	for (uint64_t i = 36; i < len && !found; i += 8) {
		at = get(xsdt + i, 8) - LAYOUT_ACPI;
		cr_assert_lt(at, sizeof(tables));
		if (!memcmp(tables + at, name, 4))
			found = tables + at;
	}
	if (!strcmp(name, "DSDT"))
		found = tables + (get(table("FACP") + 140, 8) - LAYOUT_ACPI);
	cr_assert_not_null(found, "%s", name);
	cr_assert(!memcmp(found, name, 4));
	cr_assert_lt(found + get(found + 4, 4), tables + sizeof(tables));
	cr_expect_eq(sum(found, get(found + 4, 4)), 0, "%s", name);
	return found;
}

static int count(const uint8_t *t, const void *what, size_t len)
{
	int n = 0;

	for (size_t i = 36; i + len <= get(t + 4, 4); i++)
		n += !memcmp(t + i, what, len);
	return n;
}

Test(acpi, sums_and_places_are_right)
{
	const uint8_t *fadt;

	build(2, 0);
	cr_expect(!memcmp(tables, "RSD PTR ", 8));
	cr_expect_eq(sum(tables, 20), 0);
	cr_expect_eq(sum(tables, 36), 0);
	fadt = table("FACP");
	table("APIC");
	table("DSDT");
	cr_expect_eq(get(fadt + 4, 4), 276);
	cr_expect(get(fadt + 112, 4) & 1u << 20, "hardware-reduced");
	cr_expect_eq(get(fadt + 40, 4), get(fadt + 140, 8), "one DSDT");
	cr_expect_eq(fadt[116], 1, "the reset register is a port");
	cr_expect_eq(get(fadt + 120, 8), LAYOUT_RESET_PORT);
	cr_expect_eq(get(fadt + 248, 8), LAYOUT_SLEEP_CONTROL);
	cr_expect_eq(get(fadt + 260, 8), LAYOUT_SLEEP_STATUS);
}

Test(acpi, it_lists_every_cpu_and_device)
{
	for (uint32_t vcpus = 1; vcpus <= 64; vcpus += 21) {
		const uint8_t *madt;
		uint32_t cpus = 0, ioapics = 0;

		build(vcpus, vcpus / 4);
		madt = table("APIC");
		for (uint64_t at = 44; at < get(madt + 4, 4);
		     at += madt[at + 1]) {
			if (madt[at] == 0)
				cr_expect_eq(madt[at + 3], cpus++);
			else if (madt[at] == 1)
				ioapics++;
			cr_assert_gt(madt[at + 1], 0);
		}
		cr_expect_eq(cpus, vcpus);
		cr_expect_eq(ioapics, 1);
		cr_expect_eq(count(table("DSDT"), "LNRO0005", 8),
			     (int)vcpus / 4);
		cr_expect_eq(count(table("DSDT"), "ACPI0007", 8), (int)vcpus);
		cr_expect_eq(count(table("DSDT"), "VMGENCTR", 8), 1);
		cr_expect_eq(count(table("DSDT"), "ACPI0013", 8), 1);
	}
}

Test(acpi, what_does_not_fit_is_told)
{
	struct mote_err err = {0};

	cfg.vm.vcpus = 64;
	for (uint64_t size = 36; size < 1024; size += 7) {
		memset(tables, 0xaa, sizeof(tables));
		cr_expect_eq(acpi_build(tables, size, LAYOUT_ACPI, &cfg, &err),
			     -ENOSPC);
		for (uint64_t i = size; i < size + 64; i++)
			cr_expect_eq(tables[i], 0xaa);
	}
}

Test(acpi, a_length_of_three_bytes_is_told_right)
{
	uint8_t buf[8192];
	struct aml a;
	size_t at;

	aml_init(&a, buf, sizeof(buf));
	at = aml_scope(&a, "_SB_");
	for (int i = 0; i < 5000; i++)
		aml_u8(&a, 0);
	aml_end(&a, at);
	/* 3 of its own, 5 of the name, 5000: 0x1390 */
	cr_expect_eq(buf[1], 0x80);
	cr_expect_eq(buf[2], 0x39);
	cr_expect_eq(buf[3], 0x01);
}

/* A file of the table for iasl. */
static void put_file(const char *dir, const char *name)
{
	const uint8_t *t = table(name);
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(t, get(t + 4, 4), 1, f), 1);
	cr_assert_eq(fclose(f), 0);
}

Test(acpi, iasl_reads_and_compiles_them_again)
{
	char dir[] = "/tmp/mote-acpi-XXXXXX", command[512];

	if (access("/usr/bin/iasl", X_OK) < 0)
		cr_skip_test("/usr/bin/iasl: %s (acpica-tools)",
			     strerror(errno));
	cr_assert_not_null(mkdtemp(dir));
	build(64, 19);
	put_file(dir, "DSDT");
	put_file(dir, "FACP");
	put_file(dir, "APIC");
	/* -w3 -we: every warning is an error. */
	snprintf(command, sizeof(command),
		 "cd %s && iasl -d *.aml >log 2>&1 && "
		 "iasl -we -f DSDT.dsl >>log 2>&1 && "
		 "iasl FACP.dsl >>log 2>&1 && iasl APIC.dsl >>log 2>&1 || "
		 "{ cat log; false; }",
		 dir);
	cr_expect_eq(system(command), 0);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_expect_eq(system(command), 0);
}
