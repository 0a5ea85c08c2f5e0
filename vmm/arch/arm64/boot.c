/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.c - where things lie in an arm64 guest, its first vectors and its
 * device tree.  A pure builder.  Sources: Devicetree Specification 0.4;
 * Linux's bindings arm/cpus, arm/psci, interrupt-controller/arm,gic,
 * timer/arm,arch_timer; ARM DDI 0487, D1.4 (vectors) and C6.2.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/tree.h"
#include "arch/common/fdt.h"
#include "base/err.h"
#include "base/guest_abi.h"
#include "base/hvt_abi.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

#define RAM_END_MAX   (UINT64_C(1) << 48)
#define PHANDLE_GIC   1
#define PHANDLE_CLOCK 2
#define UART_HZ	      24000000
#define IRQ_SPI	      0
#define IRQ_PPI	      1
#define IRQ_EDGE      1 /* rising */
#define IRQ_LEVEL     4 /* active high */
#define MPIDR_AFF_LOW 0xffffffu

const struct arch_pci *arch_pci(void)
{
	return NULL;
}

uint64_t arch_ioapic(void)
{
	return 0;
}

bool arch_virtio(unsigned int n, struct arch_virtio *out)
{
	if (n >= LAYOUT_VIRTIO_MAX)
		return false;
	*out = (struct arch_virtio){
		.base = LAYOUT_VIRTIO + (uint64_t)n * ARCH_VIRTIO_SIZE,
		.irq = LAYOUT_VIRTIO_SPI + n,
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
		return size % HVT_MEMORY_GRAIN || size > HVT_MMIO ? -EINVAL : 1;
	}
	if (!num_add(LAYOUT_RAM, size, &end) || end > RAM_END_MAX)
		return -EINVAL;
	ram[0] = (struct arch_ram){.gpa = LAYOUT_RAM, .size = size};
	return 1;
}

const struct arch_device *arch_devices(enum vm_protocol protocol, size_t *count)
{
	static const struct arch_device devices[] = {
		{"pl011", BUS_MMIO, LAYOUT_UART, LAYOUT_UART_SIZE, 0},
		{"event", BUS_MMIO, LAYOUT_EVENT, 0x20, 0},
	};
	static const struct arch_device linux_guest[] = {
		{"pl011", BUS_MMIO, LAYOUT_UART, LAYOUT_UART_SIZE,
		 LAYOUT_UART_SPI},
		{"pl031", BUS_MMIO, LAYOUT_RTC, 0x1000, 0},
	};
	static const struct arch_device hvt[] = {
		{"hvt", BUS_MMIO, HVT_MMIO, HVT_CALLS * 8, 0},
	};

	if (protocol == PROTOCOL_HVT) {
		*count = ARRAY_SIZE(hvt);
		return hvt;
	}
	if (protocol == PROTOCOL_LINUX) {
		*count = ARRAY_SIZE(linux_guest);
		return linux_guest;
	}
	*count = ARRAY_SIZE(devices);
	return devices;
}

bool arch_vmgenid(const struct vm_config *cfg, uint32_t *irq)
{
	*irq = LAYOUT_VMGENID_SPI;
	return cfg->vm.protocol == PROTOCOL_LINUX;
}

static void put_cpus(struct fdt_writer *w, const struct arch_vm *a)
{
	fdt_node_begin(w, "cpus");
	fdt_put_u32(w, "#address-cells", 1);
	fdt_put_u32(w, "#size-cells", 0);
	for (uint32_t i = 0; i < a->vcpus; i++) {
		uint32_t affinity = (uint32_t)a->mpidr[i] & MPIDR_AFF_LOW;

		fdt_node_begin_at(w, "cpu", affinity);
		fdt_put_string(w, "device_type", "cpu");
		fdt_put_string(w, "compatible", "arm,armv8");
		fdt_put_u32(w, "reg", affinity);
		fdt_put_string(w, "enable-method", "psci");
		fdt_node_end(w);
	}
	fdt_node_end(w);
}

/* The strings must say what PSCI_VERSION answers: 0.2 is not 1.0. */
static void put_psci(struct fdt_writer *w, const struct arch_vm *a)
{
	static const char *const v1_0[] = {"arm,psci-1.0", "arm,psci-0.2"};

	fdt_node_begin(w, "psci");
	if (a->psci >= 1u << 16)
		fdt_put_strings(w, "compatible", v1_0, ARRAY_SIZE(v1_0));
	else
		fdt_put_string(w, "compatible", "arm,psci-0.2");
	fdt_put_string(w, "method", "hvc");
	fdt_node_end(w);
}

static void put_gic(struct fdt_writer *w, const struct arch_vm *a)
{
	const uint64_t v3[] = {LAYOUT_GIC_DIST, 0x10000, LAYOUT_GIC_REDIST,
			       0x20000 * (uint64_t)a->vcpus};
	const uint64_t v2[] = {LAYOUT_GIC_DIST, 0x1000, LAYOUT_GIC_CPU, 0x2000};

	fdt_node_begin_at(w, "intc", LAYOUT_GIC_DIST);
	fdt_put_string(w, "compatible",
		       a->gic_version == 3 ? "arm,gic-v3"
					   : "arm,cortex-a15-gic");
	fdt_put_u64s(w, "reg", a->gic_version == 3 ? v3 : v2, 4);
	fdt_put_flag(w, "interrupt-controller");
	fdt_put_u32(w, "#interrupt-cells", 3);
	fdt_put_u32(w, "phandle", PHANDLE_GIC);
	fdt_node_end(w);
}

static void put_timer(struct fdt_writer *w, const struct arch_vm *a)
{
	static const uint8_t ppi[] = {
		LAYOUT_PPI_SEC_TIMER, LAYOUT_PPI_PHYS_TIMER,
		LAYOUT_PPI_VIRT_TIMER, LAYOUT_PPI_HYP_TIMER};
	uint32_t flags = IRQ_LEVEL, cell[3 * ARRAY_SIZE(ppi)];

	if (a->gic_version == 2) /* which CPUs have it */
		flags |= ((1u << a->vcpus) - 1) << 8;
	for (size_t i = 0; i < ARRAY_SIZE(ppi); i++) {
		cell[3 * i] = IRQ_PPI;
		cell[3 * i + 1] = ppi[i] - 16u;
		cell[3 * i + 2] = flags;
	}
	fdt_node_begin(w, "timer");
	fdt_put_string(w, "compatible", "arm,armv8-timer");
	fdt_put_cells(w, "interrupts", cell, ARRAY_SIZE(cell));
	fdt_put_flag(w, "always-on");
	fdt_node_end(w);
}

static void put_spi(struct fdt_writer *w, uint32_t spi)
{
	const uint32_t cell[] = {IRQ_SPI, spi, IRQ_EDGE};

	fdt_put_cells(w, "interrupts", cell, ARRAY_SIZE(cell));
}

static void put_uart(struct fdt_writer *w, bool irq)
{
	static const char *const compatible[] = {"arm,pl011", "arm,primecell"};
	static const char *const clocks[] = {"uartclk", "apb_pclk"};
	const uint32_t phandles[] = {PHANDLE_CLOCK, PHANDLE_CLOCK};
	const uint64_t reg[] = {LAYOUT_UART, LAYOUT_UART_SIZE};

	fdt_node_begin(w, "apb-pclk");
	fdt_put_string(w, "compatible", "fixed-clock");
	fdt_put_u32(w, "#clock-cells", 0);
	fdt_put_u32(w, "clock-frequency", UART_HZ);
	fdt_put_u32(w, "phandle", PHANDLE_CLOCK);
	fdt_node_end(w);

	fdt_node_begin_at(w, "pl011", LAYOUT_UART);
	fdt_put_strings(w, "compatible", compatible, ARRAY_SIZE(compatible));
	fdt_put_u64s(w, "reg", reg, ARRAY_SIZE(reg));
	fdt_put_cells(w, "clocks", phandles, ARRAY_SIZE(phandles));
	fdt_put_strings(w, "clock-names", clocks, ARRAY_SIZE(clocks));
	if (irq)
		put_spi(w, LAYOUT_UART_SPI);
	fdt_node_end(w);
}

static void put_rtc(struct fdt_writer *w)
{
	static const char *const compatible[] = {"arm,pl031", "arm,primecell"};
	const uint64_t reg[] = {LAYOUT_RTC, 0x1000};

	fdt_node_begin_at(w, "pl031", LAYOUT_RTC);
	fdt_put_strings(w, "compatible", compatible, ARRAY_SIZE(compatible));
	fdt_put_u64s(w, "reg", reg, ARRAY_SIZE(reg));
	fdt_put_u32(w, "clocks", PHANDLE_CLOCK);
	fdt_put_string(w, "clock-names", "apb_pclk");
	fdt_node_end(w);
}

static void put_virtio(struct fdt_writer *w, const struct vm_config *cfg)
{
	for (unsigned int i = 0; i < config_virtio_count(cfg); i++) {
		struct arch_virtio at;
		uint64_t reg[2] = {0, ARCH_VIRTIO_SIZE};

		if (!arch_virtio(i, &at))
			return;
		reg[0] = at.base;
		fdt_node_begin_at(w, "virtio_mmio", at.base);
		fdt_put_string(w, "compatible", "virtio,mmio");
		fdt_put_u64s(w, "reg", reg, ARRAY_SIZE(reg));
		fdt_put_flag(w, "dma-coherent");
		put_spi(w, at.irq);
		fdt_node_end(w);
	}
}

/*
 * The id in the generation page, which is written for each clone: so the
 * 64 KiB that hold it are not the kernel's (it may have such pages).
 */
static void put_generation(struct fdt_writer *w)
{
	const uint64_t kept[] = {LAYOUT_RAM, LAYOUT_FDT - LAYOUT_RAM};
	const uint64_t id[] = {
		LAYOUT_GENERATION + offsetof(struct mote_generation, id), 16};

	fdt_node_begin(w, "reserved-memory");
	fdt_put_u32(w, "#address-cells", 2);
	fdt_put_u32(w, "#size-cells", 2);
	fdt_put_flag(w, "ranges");
	fdt_node_begin_at(w, "generation", LAYOUT_RAM);
	fdt_put_u64s(w, "reg", kept, ARRAY_SIZE(kept));
	fdt_put_flag(w, "no-map");
	fdt_node_end(w);
	fdt_node_end(w);

	fdt_node_begin_at(w, "vmgenid", id[0]);
	fdt_put_string(w, "compatible", "microsoft,vmgenid");
	fdt_put_u64s(w, "reg", id, ARRAY_SIZE(id));
	put_spi(w, LAYOUT_VMGENID_SPI);
	fdt_node_end(w);
}

static int build_tree(void *buf, const struct arch_vm *a,
		      const struct vm_config *cfg, const struct tree *t,
		      struct mote_err *err)
{
	const uint64_t ram[] = {LAYOUT_RAM, cfg->vm.memory};
	struct fdt_writer w;

	fdt_writer_init(&w, buf, LAYOUT_FDT_SIZE);
	fdt_put_string(&w, "compatible", "linux,dummy-virt");
	fdt_put_string(&w, "model", "mote");
	fdt_put_u32(&w, "#address-cells", 2);
	fdt_put_u32(&w, "#size-cells", 2);
	fdt_put_u32(&w, "interrupt-parent", PHANDLE_GIC);

	fdt_node_begin(&w, "chosen");
	if (cfg->vm.cmdline)
		fdt_put_string(&w, "bootargs", cfg->vm.cmdline);
	fdt_put_string(&w, "stdout-path", "/pl011@9000000");
	if (t->initrd) {
		fdt_put_u64(&w, "linux,initrd-start", t->initrd);
		fdt_put_u64(&w, "linux,initrd-end", t->initrd_end);
	}
	fdt_node_end(&w);

	fdt_node_begin_at(&w, "memory", LAYOUT_RAM);
	fdt_put_string(&w, "device_type", "memory");
	fdt_put_u64s(&w, "reg", ram, ARRAY_SIZE(ram));
	fdt_node_end(&w);

	put_cpus(&w, a);
	put_psci(&w, a);
	put_gic(&w, a);
	put_timer(&w, a);
	put_uart(&w, t->linux_guest);
	put_virtio(&w, cfg);
	if (t->linux_guest) {
		put_rtc(&w);
		put_generation(&w);
	}
	return fdt_writer_finish(&w, err);
}

/*
 * Until a guest has vectors of its own, every exception reads a pair from
 * where nothing is.  KVM can't decode that and gives it to us, and we end
 * the guest: without this it would fault for ever at address 0x200.
 */
static int build_vectors(struct memslot_table *slots)
{
	static const uint32_t code[] = {
		0xd2a00000 | (uint32_t)(LAYOUT_FAULT >> 16) << 5, /* movz x0 */
		0xa9400801, /* ldp x1, x2, [x0] */
		0x14000000, /* b . */
	};

	for (uint64_t i = 0; i < 16; i++) {
		int ret = guest_write(slots, LAYOUT_VECTORS + 128 * i, code,
				      sizeof(code));

		if (ret < 0)
			return ret;
	}
	return 0;
}

int tree_put(struct arch_vm *a, struct memslot_table *slots,
	     const struct vm_config *cfg, const struct tree *t,
	     struct mote_err *err)
{
	void *buf = guest_map_write(slots, LAYOUT_FDT, LAYOUT_FDT_SIZE);
	int ret;

	if (!buf || build_vectors(slots) < 0)
		return err_set(err, EFAULT, "boot tables do not fit into RAM");
	ret = build_tree(buf, a, cfg, t, err);
	return ret < 0 ? ret : 0;
}

int arch_boot_tables(struct arch_vm *a, struct memslot_table *slots,
		     const struct vm_config *cfg, bool user_mode, uint64_t *fdt,
		     struct mote_err *err)
{
	const struct tree t = {0};
	int ret = tree_put(a, slots, cfg, &t, err);

	(void)user_mode;
	if (ret == 0)
		*fdt = LAYOUT_FDT;
	return ret;
}
