/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.c - tables that an x86_64 guest finds in RAM: GDT and an identity
 * map with 2 MiB pages.  A pure builder.  Source: AMD64 APM vol. 2, 4.8 and
 * 5.3 (24593).
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/layout.h"
#include "base/err.h"
#include "base/hvt_abi.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

#define PTE_P	(UINT64_C(1) << 0)
#define PTE_RW	(UINT64_C(1) << 1)
#define PTE_US	(UINT64_C(1) << 2)
#define PTE_PCD (UINT64_C(1) << 4)
#define PTE_PS	(UINT64_C(1) << 7)

const struct arch_pci *arch_pci(void)
{
	static const struct arch_pci pci = {
		.ecam = LAYOUT_PCI_ECAM,
		.mmio = LAYOUT_PCI_MMIO,
		.mmio_size = LAYOUT_PCI_MMIO_SIZE,
		.high = LAYOUT_PCI_HIGH,
		.high_size = LAYOUT_PCI_HIGH_SIZE,
		.ports = LAYOUT_PCI_PORTS,
		.ports_size = LAYOUT_PCI_PORTS_SIZE,
	};

	return &pci;
}

uint64_t arch_ioapic(void)
{
	return LAYOUT_IOAPIC;
}

bool arch_virtio(unsigned int n, struct arch_virtio *out)
{
	if (n >= LAYOUT_VIRTIO_MAX)
		return false;
	*out = (struct arch_virtio){
		.base = LAYOUT_VIRTIO + (uint64_t)n * ARCH_VIRTIO_SIZE,
		.irq = LAYOUT_VIRTIO_PIN + n,
	};
	return true;
}

uint64_t arch_image_base(void)
{
	return LAYOUT_IMAGE_BASE;
}

uint64_t arch_boot_page(void)
{
	return LAYOUT_BOOT_PAGE;
}

uint64_t arch_generation_page(void)
{
	return LAYOUT_GENERATION;
}

int arch_ram_layout(enum vm_protocol protocol, uint64_t size,
		    struct arch_ram ram[ARCH_RAM_MAX])
{
	uint64_t end;

	if (protocol == PROTOCOL_HVT) {
		ram[0] = (struct arch_ram){.gpa = 0, .size = size};
		return size % HVT_MEMORY_GRAIN || size > LAYOUT_HVT_MAX
			       ? -EINVAL
			       : 1;
	}
	if (size <= LAYOUT_HOLE) {
		ram[0] = (struct arch_ram){.gpa = 0, .size = size};
		return 1;
	}
	if (!num_add(LAYOUT_HOLE_END, size - LAYOUT_HOLE, &end))
		return -EINVAL;
	ram[0] = (struct arch_ram){.gpa = 0, .size = LAYOUT_HOLE};
	ram[1] = (struct arch_ram){.gpa = LAYOUT_HOLE_END,
				   .size = size - LAYOUT_HOLE};
	return 2;
}

const struct arch_device *arch_devices(enum vm_protocol protocol, size_t *count)
{
	static const struct arch_device devices[] = {
		{"8250", BUS_PIO, LAYOUT_SERIAL_PORT, 8, 0},
		{"event", BUS_PIO, LAYOUT_EVENT_PORT, 0x20, 0},
	};
	/* Guests that are not ours: a PC's, as far as they need one. */
	static const struct arch_device pc[] = {
		{"8250", BUS_PIO, LAYOUT_SERIAL_PORT, 8, LAYOUT_SERIAL_PIN},
		{"i8042", BUS_PIO, LAYOUT_I8042_PORT, 5, 0},
		{"cf9", BUS_PIO, LAYOUT_CF9_PORT, 1, 0},
		{"acpi-power", BUS_PIO, LAYOUT_POWER_PORT, 3, 0},
	};
	/* A call is 4 bytes at its port: the last one's reach beyond it. */
	static const struct arch_device hvt[] = {
		{"hvt", BUS_PIO, HVT_PORT, HVT_CALLS - 1 + 4, 0},
	};

	if (protocol == PROTOCOL_HVT) {
		*count = ARRAY_SIZE(hvt);
		return hvt;
	}
	if (protocol != PROTOCOL_MOTE && protocol != PROTOCOL_AUTO) {
		*count = ARRAY_SIZE(pc);
		return pc;
	}
	*count = ARRAY_SIZE(devices);
	return devices;
}

bool arch_vmgenid(const struct vm_config *cfg, uint32_t *irq)
{
	*irq = LAYOUT_GED_PIN;
	return config_acpi(cfg);
}

/* Map one GiB as far as the range reaches; its page directory's number is g. */
static int map_gib(struct memslot_table *slots, uint64_t g, uint64_t from,
		   uint64_t to, uint64_t flags)
{
	uint64_t gib = g * GIB;
	uint64_t *pd;

	pd = guest_map_write(slots, LAYOUT_PD + g * 4096, 4096);
	if (!pd)
		return -EFAULT;
	for (uint64_t i = 0; i < 512; i++) {
		uint64_t at = gib + i * 2 * MIB;

		if (at + 2 * MIB > from && at < to)
			pd[i] = at | PTE_P | PTE_RW | PTE_US | PTE_PS | flags;
	}
	return 0;
}

/* Those below LAYOUT_MAPPED_GIB. */
static int map_range(struct memslot_table *slots, uint64_t from, uint64_t to,
		     uint64_t flags)
{
	uint64_t *pdpt = guest_map_write(slots, LAYOUT_PDPT, 4096);

	if (!pdpt)
		return -EFAULT;
	for (uint64_t g = from / GIB; g < LAYOUT_MAPPED_GIB && g * GIB < to;
	     g++) {
		int ret = map_gib(slots, g, from, to, flags);

		if (ret < 0)
			return ret;
		pdpt[g] = (LAYOUT_PD + g * 4096) | PTE_P | PTE_RW | PTE_US;
	}
	return 0;
}

int boot_identity_map(struct memslot_table *slots, bool devices)
{
	uint64_t *pml4 = guest_map_write(slots, LAYOUT_PML4, 4096);
	int ret = 0;

	if (!pml4)
		return -EFAULT;
	pml4[0] = LAYOUT_PDPT | PTE_P | PTE_RW | PTE_US;
	for (int i = 0; ret == 0 && i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &slots->slot[i];

		if (s->ram.addr)
			ret = map_range(slots, s->gpa, s->gpa + s->ram.size, 0);
	}
	if (ret == 0 && devices)
		ret = map_range(slots, LAYOUT_PCI_MMIO, LAYOUT_IOAPIC + 1,
				PTE_PCD);
	return ret;
}

/* Flat segments for both rings; the selectors stand in layout.h. */
static int build_gdt(struct memslot_table *slots)
{
	static const uint64_t gdt[] = {
		0,
		UINT64_C(0x00af9b000000ffff), /* 0x08: 64-bit code */
		UINT64_C(0x00cf93000000ffff), /* 0x10: data */
		UINT64_C(0x00cff3000000ffff), /* 0x1b: data, ring 3 */
		UINT64_C(0x00affb000000ffff), /* 0x23: 64-bit code, ring 3 */
	};

	return guest_write(slots, LAYOUT_GDT, gdt, sizeof(gdt));
}

int boot_flat_gdt(struct memslot_table *slots, bool wide)
{
	const uint64_t gdt[] = {
		0,
		0,
		wide ? UINT64_C(0x00af9b000000ffff)
		     : UINT64_C(0x00cf9b000000ffff),
		UINT64_C(0x00cf93000000ffff),
	};

	return guest_write(slots, LAYOUT_GDT, gdt, sizeof(gdt));
}

/*
 * A guest in ring 3 reaches neither its page tables nor the GDT: so there is
 * no way for it to ring 0 (kvm_rewind.c counts on that).
 */
static int keep_tables(struct memslot_table *slots)
{
	uint64_t *pd = guest_map_write(slots, LAYOUT_PD, 4096);
	uint64_t *pt = guest_map_write(slots, LAYOUT_PT0, 4096);

	if (!pd || !pt)
		return -EFAULT;
	for (uint64_t i = 0; i < 512; i++) {
		uint64_t at = i * 4096;
		bool table = at == LAYOUT_GDT ||
			     (at >= LAYOUT_PML4 && at < LAYOUT_TABLES_END);

		pt[i] = at | PTE_P | PTE_RW | (table ? 0 : PTE_US);
	}
	pd[0] = LAYOUT_PT0 | PTE_P | PTE_RW | PTE_US;
	return 0;
}

int arch_boot_tables(struct arch_vm *a, struct memslot_table *slots,
		     const struct vm_config *cfg, bool user_mode, uint64_t *fdt,
		     struct mote_err *err)
{
	int ret = build_gdt(slots);

	(void)a;
	*fdt = 0;
	if (ret == 0)
		ret = boot_identity_map(slots,
					cfg->passthrough_count > 0 ||
						config_virtio_count(cfg) > 0);
	if (ret == 0 && user_mode)
		ret = keep_tables(slots);
	if (ret < 0)
		return err_set(err, -ret, "boot tables do not fit into RAM");
	return 0;
}
