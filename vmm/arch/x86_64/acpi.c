/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/acpi.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/aml.h"
#include "arch/x86_64/layout.h"
#include "base/err.h"
#include "base/guest_abi.h"
#include "config/config.h"

#define OEM_ID	     "MOTE  "
#define OEM_TABLE_ID "MOTEVM  "
#define CREATOR_ID   "MOTE"

#define TABLE_ALIGN 64

#define SPACE_IO 1
#define BYTE	 1

#define FADT_WBINVD    (1u << 0)
#define FADT_POWER_BTN (1u << 4) /* none of the fixed kind */
#define FADT_SLEEP_BTN (1u << 5)
#define FADT_RESET     (1u << 10)
#define FADT_REDUCED   (1u << 20)
#define BOOT_NO_VGA    (1u << 2)
#define BOOT_NO_CMOS   (1u << 5)
#define LAPIC_ENABLED  1u
#define MADT_LAPIC     0
#define MADT_IOAPIC    1
#define LOCAL_APIC     0xfee00000u

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t checksum_all;
	uint8_t reserved[3];
} __attribute__((packed));

struct head {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct address {
	uint8_t space, bits, offset, access;
	uint64_t at;
} __attribute__((packed));

struct fadt {
	struct head head;
	uint32_t facs, dsdt;
	uint8_t reserved1, profile;
	uint16_t sci;
	uint32_t smi_port;
	uint8_t smi[4];
	uint32_t fixed[8]; /* addresses of what is not there */
	uint8_t lengths[8];
	uint16_t latency[2], flush[2];
	uint8_t duty[2], alarm[2], century;
	uint16_t boot_flags;
	uint8_t reserved2;
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint16_t arm_flags;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct address x_fixed[8];
	struct address sleep_control, sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));

_Static_assert(sizeof(struct rsdp) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct head) == 36, "ACPI 5.2.6");
_Static_assert(offsetof(struct fadt, flags) == 112, "ACPI 5.2.9");
_Static_assert(offsetof(struct fadt, sleep_control) == 244, "ACPI 5.2.9");
_Static_assert(sizeof(struct fadt) == 276, "ACPI 5.2.9");

static uint8_t checksum(const void *p, size_t len)
{
	const uint8_t *byte = p;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + byte[i]);
	return (uint8_t)-sum;
}

/* A table whose rest follows: where it begins. */
static size_t table_begin(struct aml *a, const char *signature,
			  uint8_t revision)
{
	struct head h = {
		.revision = revision,
		.oem_revision = 1,
		.creator_revision = 1,
	};
	size_t at;

	while (a->used % TABLE_ALIGN && !a->full)
		aml_u8(a, 0);
	at = a->used;
	memcpy(h.signature, signature, sizeof(h.signature));
	memcpy(h.oem, OEM_ID, sizeof(h.oem));
	memcpy(h.oem_table, OEM_TABLE_ID, sizeof(h.oem_table));
	memcpy(h.creator, CREATOR_ID, sizeof(h.creator));
	aml_bytes(a, &h, sizeof(h));
	return at;
}

static void table_end(struct aml *a, size_t at)
{
	struct head h;

	if (a->full)
		return;
	memcpy(&h, a->buf + at, sizeof(h));
	h.length = (uint32_t)(a->used - at);
	memcpy(a->buf + at, &h, sizeof(h));
	h.checksum = checksum(a->buf + at, h.length);
	memcpy(a->buf + at, &h, sizeof(h));
}

/* --- DSDT -------------------------------------------------------------------
 */

static void put_serial(struct aml *a)
{
	size_t dev = aml_device(a, "COM1"), crs;

	aml_name_eisa(a, "_HID", "PNP0501");
	aml_name_integer(a, "_UID", 0);
	crs = aml_resources(a);
	aml_io(a, LAYOUT_SERIAL_PORT, 8);
	aml_interrupt(a, LAYOUT_SERIAL_PIN);
	aml_resources_end(a, crs);
	aml_end(a, dev);
}

static void put_cpus(struct aml *a, uint32_t vcpus)
{
	for (uint32_t i = 0; i < vcpus; i++) {
		char name[8];
		size_t dev;

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		dev = aml_device(a, name);
		aml_name_string(a, "_HID", "ACPI0007");
		aml_name_integer(a, "_UID", i);
		aml_end(a, dev);
	}
}

static void put_virtio(struct aml *a, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct arch_virtio at;
		size_t dev, crs;
		char name[8];

		if (!arch_virtio(i, &at))
			return;
		snprintf(name, sizeof(name), "V%03X", i & 0xfff);
		dev = aml_device(a, name);
		aml_name_string(a, "_HID", "LNRO0005");
		aml_name_integer(a, "_UID", i);
		aml_name_integer(a, "_CCA", 1);
		crs = aml_resources(a);
		aml_memory(a, (uint32_t)at.base, ARCH_VIRTIO_SIZE);
		aml_interrupt(a, at.irq);
		aml_resources_end(a, crs);
		aml_end(a, dev);
	}
}

/* The id lies in the generation page, and comes with an event of its own. */
static void put_generation(struct aml *a)
{
	uint64_t id = LAYOUT_GENERATION + offsetof(struct mote_generation, id);
	size_t dev = aml_device(a, "VGEN"), more;

	aml_name_string(a, "_HID", "VMGENCTR");
	aml_name_string(a, "_CID", "VM_Gen_Counter");
	aml_name_string(a, "_DDN", "VM_Gen_Counter");
	aml_name(a, "ADDR");
	more = aml_package(a, 2);
	aml_integer(a, (uint32_t)id);
	aml_integer(a, id >> 32);
	aml_end(a, more);
	aml_end(a, dev);

	dev = aml_device(a, "GED0");
	aml_name_string(a, "_HID", "ACPI0013");
	aml_name_integer(a, "_UID", 0);
	more = aml_resources(a);
	aml_interrupt(a, LAYOUT_GED_PIN);
	aml_resources_end(a, more);
	more = aml_method(a, "_EVT", 1);
	aml_notify(a, "_SB_", "VGEN", 0x80);
	aml_end(a, more);
	aml_end(a, dev);
}

static size_t put_dsdt(struct aml *a, const struct vm_config *cfg)
{
	size_t at = table_begin(a, "DSDT", 2), scope, package;

	aml_name(a, "_S5_");
	package = aml_package(a, 4);
	for (int i = 0; i < 4; i++)
		aml_integer(a, i ? 0 : LAYOUT_SLEEP_TYPE);
	aml_end(a, package);
	scope = aml_scope(a, "_SB_");
	put_cpus(a, cfg->vm.vcpus);
	put_serial(a);
	put_virtio(a, config_virtio_count(cfg));
	put_generation(a);
	aml_end(a, scope);
	table_end(a, at);
	return at;
}

/* --- the others -------------------------------------------------------------
 */

static struct address port(uint64_t at)
{
	return (struct address){
		.space = SPACE_IO, .bits = 8, .access = BYTE, .at = at};
}

static size_t put_fadt(struct aml *a, uint64_t dsdt)
{
	size_t at = table_begin(a, "FACP", 6);
	struct fadt f = {
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.boot_flags = BOOT_NO_VGA | BOOT_NO_CMOS,
		.flags = FADT_WBINVD | FADT_POWER_BTN | FADT_SLEEP_BTN |
			 FADT_RESET | FADT_REDUCED,
		.latency = {UINT16_MAX, UINT16_MAX}, /* no C2, no C3 */
		.reset = port(LAYOUT_RESET_PORT),
		.reset_value = LAYOUT_RESET_VALUE,
		.minor = 5,
		.sleep_control = port(LAYOUT_SLEEP_CONTROL),
		.sleep_status = port(LAYOUT_SLEEP_STATUS),
	};

	aml_bytes(a, (const uint8_t *)&f + sizeof(f.head),
		  sizeof(f) - sizeof(f.head));
	table_end(a, at);
	return at;
}

static size_t put_madt(struct aml *a, uint32_t vcpus)
{
	size_t at = table_begin(a, "APIC", 5);

	aml_u32(a, LOCAL_APIC);
	aml_u32(a, 0); /* no PICs of old */
	for (uint32_t i = 0; i < vcpus; i++) {
		aml_u8(a, MADT_LAPIC);
		aml_u8(a, 8);
		aml_u8(a, (uint8_t)i);
		aml_u8(a, (uint8_t)i);
		aml_u32(a, LAPIC_ENABLED);
	}
	aml_u8(a, MADT_IOAPIC);
	aml_u8(a, 12);
	aml_u8(a, 0);
	aml_u8(a, 0);
	aml_u32(a, LAYOUT_IOAPIC);
	aml_u32(a, 0); /* its first interrupt */
	table_end(a, at);
	return at;
}

int acpi_build(void *buf, uint64_t size, uint64_t gpa,
	       const struct vm_config *cfg, struct mote_err *err)
{
	struct rsdp r = {.signature = "RSD PTR ",
			 .oem = OEM_ID,
			 .revision = 2,
			 .length = sizeof(r)};
	size_t dsdt, fadt, madt, xsdt;
	struct aml a;

	aml_init(&a, buf, size);
	aml_bytes(&a, &r, sizeof(r));
	dsdt = put_dsdt(&a, cfg);
	fadt = put_fadt(&a, gpa + dsdt);
	madt = put_madt(&a, cfg->vm.vcpus);
	xsdt = table_begin(&a, "XSDT", 1);
	aml_u64(&a, gpa + fadt);
	aml_u64(&a, gpa + madt);
	table_end(&a, xsdt);
	if (a.full)
		return err_set(err, ENOSPC, "ACPI tables: more than %llu bytes",
			       (unsigned long long)size);
	r.xsdt = gpa + xsdt;
	r.checksum = checksum(&r, offsetof(struct rsdp, length));
	r.checksum_all = checksum(&r, sizeof(r));
	memcpy(buf, &r, sizeof(r));
	return 0;
}
