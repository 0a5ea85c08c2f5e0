/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - the guest-physical memory map of x86_64 (docs/GUEST-ABI.md).
 *
 *   0x0000_0000  zero page, nothing of ours
 *   0x0000_1000  GDT
 *   0x0000_7000  boot page (struct mote_boot)
 *   0x0000_8000  generation page
 *   0x0000_9000  PML4, then one PDPT, then a page directory per GiB, then
 *                (ring 3) the page table of the first 2 MiB
 *   0x0005_0000  command line of a guest that is not ours (16 KiB)
 *   0x000e_0000  its ACPI tables (64 KiB)
 *   0x000f_fff0  code that resets, where a PC's firmware is entered
 *   0x0010_0000  images load here and above
 *   0xc000_0000  hole: RAM goes on at 4 GiB; 32-bit BARs
 *   0xe000_0000  PCI configuration space, bus 0
 *   0xfeb0_0000  virtio-mmio devices, 4 KiB each
 *   0xfec0_0000  I/O APIC, where the guest has interrupts of devices
 *   0xfee0_0000  local APIC (in the kernel)
 *
 * 64-bit BARs that do not fit there: from 1 TiB on, or above RAM.
 *
 * I/O ports: 0x3f8-0x3ff 8250, 0x6d0-0x6ef event device, 0x1000-0xefff BARs;
 * of a guest that is not ours 0x60-0x64 a keyboard controller that resets,
 * 0xcf9 a reset, 0x600-0x602 ACPI's sleep and reset registers.
 *
 * Under the hvt contract RAM goes on from 0 without a hole, below 1 MiB:
 *
 *   0x0000_0000  not mapped in the guest, up to the boot info
 *   0x0000_1000  GDT
 *   0x0000_2000  PML4, PDPT, four page directories, the first page table
 *   0x0001_0000  boot info, manifest, command line: read-only
 *   0x0002_0000  further page tables, not mapped
 *
 * I/O ports: 0x501-0x508 hypercalls.
 */
#ifndef VMM_ARCH_X86_64_LAYOUT_H
#define VMM_ARCH_X86_64_LAYOUT_H

#define LAYOUT_GDT	      0x1000ull
#define LAYOUT_BOOT_PAGE      0x7000ull
#define LAYOUT_GENERATION     0x8000ull
#define LAYOUT_PML4	      0x9000ull
#define LAYOUT_PDPT	      0xa000ull
#define LAYOUT_PD	      0xb000ull
#define LAYOUT_MAPPED_GIB     64ull /* identity-mapped from 0 on */
#define LAYOUT_PT0	      (LAYOUT_PD + LAYOUT_MAPPED_GIB * 4096) /* ring 3 */
#define LAYOUT_TABLES_END     (LAYOUT_PT0 + 4096)
#define LAYOUT_CMDLINE	      0x50000ull
#define LAYOUT_CMDLINE_SIZE   0x4000ull
#define LAYOUT_LOW_END	      0xa0000ull
#define LAYOUT_ACPI	      0xe0000ull
#define LAYOUT_ACPI_SIZE      0x10000ull
#define LAYOUT_RESET_CODE     0xffff0ull
#define LAYOUT_IMAGE_BASE     0x100000ull
#define LAYOUT_HOLE	      0xc0000000ull
#define LAYOUT_HOLE_END	      0x100000000ull
#define LAYOUT_PCI_MMIO	      LAYOUT_HOLE
#define LAYOUT_PCI_MMIO_SIZE  0x20000000ull
#define LAYOUT_PCI_ECAM	      0xe0000000ull
#define LAYOUT_VIRTIO	      0xfeb00000ull
#define LAYOUT_VIRTIO_PIN     5 /* of the first one, the others follow */
#define LAYOUT_VIRTIO_MAX     (LAYOUT_IOAPIC_PINS - LAYOUT_VIRTIO_PIN)
#define LAYOUT_SERIAL_PIN     4
#define LAYOUT_GED_PIN	      1 /* ACPI's generic event device */
#define LAYOUT_IOAPIC	      0xfec00000ull
#define LAYOUT_IOAPIC_EOI     (LAYOUT_IOAPIC + 0x40)
#define LAYOUT_IOAPIC_PINS    24
#define LAYOUT_PCI_HIGH	      0x10000000000ull
#define LAYOUT_PCI_HIGH_SIZE  0x10000000000ull
#define LAYOUT_PCI_PORTS      0x1000ull
#define LAYOUT_PCI_PORTS_SIZE 0xe000ull
#define LAYOUT_HVT_PML4	      0x2000ull
#define LAYOUT_HVT_PDPT	      0x3000ull
#define LAYOUT_HVT_PD	      0x4000ull /* one for each of four GiB */
#define LAYOUT_HVT_PT0	      0x8000ull
#define LAYOUT_HVT_BOOT_INFO  0x10000ull
#define LAYOUT_HVT_POOL	      0x20000ull
#define LAYOUT_HVT_MAX	      0xfec00000ull /* below the local APIC's page */
#define LAYOUT_SERIAL_PORT    0x3f8ull
#define LAYOUT_EVENT_PORT     0x6d0ull
#define LAYOUT_I8042_PORT     0x60ull
#define LAYOUT_CF9_PORT	      0xcf9ull
#define LAYOUT_POWER_PORT     0x600ull
#define LAYOUT_SLEEP_CONTROL  LAYOUT_POWER_PORT
#define LAYOUT_SLEEP_STATUS   (LAYOUT_POWER_PORT + 1)
#define LAYOUT_RESET_PORT     (LAYOUT_POWER_PORT + 2)
#define LAYOUT_RESET_VALUE    1
#define LAYOUT_SLEEP_TYPE     5 /* of \_S5 */

#define LAYOUT_CS_SEL  0x08
#define LAYOUT_DS_SEL  0x10
#define LAYOUT_UDS_SEL 0x1b /* ring 3 */
#define LAYOUT_UCS_SEL 0x23

/* Of a guest that is not ours, as Linux and Multiboot want them. */
#define LAYOUT_BOOT_CS_SEL 0x10
#define LAYOUT_BOOT_DS_SEL 0x18

#endif
