/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - the guest-physical memory map of arm64 (docs/GUEST-ABI.md).
 *
 *   0x0800_0000  GIC distributor (in the kernel; 64 KiB, GICv2: 4 KiB)
 *   0x0801_0000  GICv2 CPU interface (8 KiB)
 *   0x080a_0000  GICv3 redistributors (128 KiB for each vCPU)
 *   0x0900_0000  PL011 (4 KiB)
 *   0x0901_0000  PL031, of Linux (4 KiB)
 *   0x0910_0000  event device (32 bytes, alone in its page)
 *   0x0920_0000  nothing: what our vectors read to end the guest
 *   0x0a00_0000  virtio-mmio devices, 4 KiB each
 *   0x4000_0000  RAM: boot page (struct mote_boot)
 *   0x4000_1000  generation page
 *   0x4000_2000  vectors until the guest has its own (2 KiB)
 *   0x4001_0000  device tree (up to 64 KiB)
 *   0x4020_0000  images load here and above
 *
 * What we write for a clone before it runs (the boot page's events word and
 * the generation page) lies in one 64 KiB page, so that a host with such
 * pages copies only one; the device tree, never written again, in another.
 */
#ifndef VMM_ARCH_ARM64_LAYOUT_H
#define VMM_ARCH_ARM64_LAYOUT_H

#define LAYOUT_GIC_DIST	  0x08000000ull
#define LAYOUT_GIC_CPU	  0x08010000ull /* GICv2 */
#define LAYOUT_GIC_REDIST 0x080a0000ull /* GICv3 */
#define LAYOUT_UART	  0x09000000ull
#define LAYOUT_UART_SIZE  0x1000ull
#define LAYOUT_RTC	  0x09010000ull
#define LAYOUT_EVENT	  0x09100000ull
#define LAYOUT_FAULT	  0x09200000ull
#define LAYOUT_VIRTIO	  0x0a000000ull
#define LAYOUT_RAM	  0x40000000ull
#define LAYOUT_BOOT_PAGE  LAYOUT_RAM
#define LAYOUT_GENERATION (LAYOUT_RAM + 0x1000)
#define LAYOUT_VECTORS	  (LAYOUT_RAM + 0x2000)
#define LAYOUT_FDT	  (LAYOUT_RAM + 0x10000)
#define LAYOUT_FDT_SIZE	  0x10000ull
#define LAYOUT_IMAGE_BASE (LAYOUT_RAM + 0x200000)

/*
 * Under the hvt contract RAM goes on from 0 and there is no interrupt
 * controller, UART or event device:
 *
 *   0x0000_0000  not mapped in the guest, up to the boot info
 *   0x0000_1000  PGD, PUD, four PMDs, the first page table
 *   0x0001_0000  boot info, manifest, command line: read-only
 *   0x0002_0000  further page tables, not mapped
 *   0x1_0000_0000  hypercalls
 */
#define LAYOUT_HVT_PGD	     0x1000ull
#define LAYOUT_HVT_PUD	     0x2000ull
#define LAYOUT_HVT_PMD	     0x3000ull /* one for each of four GiB */
#define LAYOUT_HVT_PTE	     0x7000ull
#define LAYOUT_HVT_BOOT_INFO 0x10000ull
#define LAYOUT_HVT_POOL	     0x20000ull
#define LAYOUT_HVT_IPA_BITS  33 /* 4 GiB and the hypercalls */
#define LAYOUT_MT_DEVICE     1	/* nGnRE; index in MAIR_EL1 */
#define LAYOUT_MT_NORMAL     4	/* write-back */

/* Interrupts: 32 of each vCPU's own, the rest shared (SPIs). */
#define LAYOUT_IRQS 96

/* Shared interrupts, counted from 0. */
#define LAYOUT_UART_SPI	   1
#define LAYOUT_VMGENID_SPI 2
#define LAYOUT_VIRTIO_SPI  16 /* of the first device, the others follow */
#define LAYOUT_VIRTIO_MAX  (LAYOUT_IRQS - 32 - LAYOUT_VIRTIO_SPI)

/* Private interrupts of the timers, fixed by KVM's reset values. */
#define LAYOUT_PPI_HYP_TIMER  26
#define LAYOUT_PPI_VIRT_TIMER 27
#define LAYOUT_PPI_HV_TIMER   28
#define LAYOUT_PPI_SEC_TIMER  29
#define LAYOUT_PPI_PHYS_TIMER 30

#endif
