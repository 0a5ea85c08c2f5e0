/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - the guest-physical memory map of ppc64le (docs/GUEST-ABI.md).
 *
 *   0x0000_0000  interrupt vectors: the guest's
 *   0x0002_0000  boot page (struct mote_boot)
 *   0x0003_0000  generation page
 *   0x0004_0000  device tree, at most 64 KiB
 *   0x0005_0000  RTAS
 *   0x0040_0000  images load here and above
 *
 * Linux lies at 0; RTAS, tree and initrd follow it (linux.c).
 *
 * Each of ours lies in a 64 KiB page of its own, the largest the host has.
 * Hypercalls: 0x54 and 0x58 the terminal, 0xf6d0 and 0xf6d4 the event device.
 */
#ifndef VMM_ARCH_PPC64LE_LAYOUT_H
#define VMM_ARCH_PPC64LE_LAYOUT_H

#define LAYOUT_BOOT_PAGE  0x20000ull
#define LAYOUT_GENERATION 0x30000ull
#define LAYOUT_FDT	  0x40000ull
#define LAYOUT_FDT_SIZE	  0x10000ull
#define LAYOUT_RTAS	  0x50000ull
#define LAYOUT_RTAS_SIZE  0x10000ull
#define LAYOUT_IMAGE_BASE 0x400000ull
#define LAYOUT_HVC_HCALL  0x54ull
#define LAYOUT_HVC_SIZE	  8ull
#define LAYOUT_TERMINAL	  0u /* its unit address */
#define LAYOUT_EVENT_SIZE 8ull

/* Sources of the interrupt controller; below 16 are its own. */
#define LAYOUT_IRQ_FIRST 0x1000u
#define LAYOUT_IRQS	 16u

/*
 * XIVE's native mode, above any RAM: of each source a page to trigger it and
 * one to control it; the page in which a vCPU takes its interrupts.
 */
#define LAYOUT_XIVE_ESB	 0x400000000000ull
#define LAYOUT_XIVE_TIMA 0x480000000000ull

#endif
