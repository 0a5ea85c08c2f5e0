/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci.h - devices of a guest through memory-mapped configuration space.
 * Source: PCI Local Bus 3.0, 6; PCI Express 7.2.2.
 */
#ifndef GUESTS_INCLUDE_PCI_H
#define GUESTS_INCLUDE_PCI_H

#include <stdint.h>

#include "base/guest_abi.h"

#define PCI_ID		0x00
#define PCI_COMMAND	0x04
#define PCI_COMMAND_IO	1u
#define PCI_COMMAND_MEM 2u
#define PCI_COMMAND_DMA 4u
#define PCI_BAR(n)	(0x10 + 4 * (n))
#define PCI_CAPS	0x34
#define PCI_LINE	0x3c
#define PCI_CAP_MSI	0x05
#define PCI_CAP_VENDOR	0x09
#define PCI_CAP_MSIX	0x11

/* A function: its 4 KiB of configuration space. */
typedef volatile uint8_t *pci_dev;

static inline uint32_t pci_read32(pci_dev d, unsigned int off)
{
	return *(volatile uint32_t *)(d + off);
}

static inline void pci_write32(pci_dev d, unsigned int off, uint32_t v)
{
	*(volatile uint32_t *)(d + off) = v;
}

static inline uint16_t pci_read16(pci_dev d, unsigned int off)
{
	return *(volatile uint16_t *)(d + off);
}

static inline void pci_write16(pci_dev d, unsigned int off, uint16_t v)
{
	*(volatile uint16_t *)(d + off) = v;
}

/* The nth (from 0) with that id (device << 16 | vendor), or 0. */
static inline pci_dev pci_find(const struct mote_boot *boot, uint32_t id,
			       unsigned int nth)
{
	for (unsigned int i = 0; boot->pci && i < 32; i++) {
		pci_dev d = (pci_dev)(uintptr_t)(boot->pci + (i << 15));

		if (pci_read32(d, PCI_ID) == id && nth-- == 0)
			return d;
	}
	return 0;
}

static inline unsigned int pci_capability(pci_dev d, uint8_t id)
{
	unsigned int at = d[PCI_CAPS];

	for (int i = 0; at && i < 48; i++, at = d[at + 1])
		if (d[at] == id)
			return at;
	return 0;
}

/* What a memory BAR holds, of 32 or 64 bits. */
static inline uint64_t pci_bar(pci_dev d, int n)
{
	uint64_t low = pci_read32(d, PCI_BAR(n));

	if ((low & 6) == 4)
		low |= (uint64_t)pci_read32(d, PCI_BAR(n + 1)) << 32;
	return low & ~UINT64_C(15);
}

/* Its size: all ones are written and read, then what was there. */
static inline uint32_t pci_bar_size(pci_dev d, int n)
{
	uint32_t was = pci_read32(d, PCI_BAR(n)), v;

	pci_write32(d, PCI_BAR(n), UINT32_MAX);
	v = pci_read32(d, PCI_BAR(n)) & (was & 1 ? ~3u : ~15u);
	pci_write32(d, PCI_BAR(n), was);
	return ~v + 1;
}

/* MSI of one vector of this CPU, on. */
static inline int pci_msi(pci_dev d, uint8_t vector)
{
	unsigned int at = pci_capability(d, PCI_CAP_MSI);

	if (!at)
		return -1;
	pci_write32(d, at + 4, 0xfee00000u);
	if (pci_read16(d, at + 2) & 0x80) {
		pci_write32(d, at + 8, 0);
		pci_write16(d, at + 12, vector);
	} else {
		pci_write16(d, at + 8, vector);
	}
	pci_write16(d, at + 2, (uint16_t)(pci_read16(d, at + 2) | 1));
	return pci_read16(d, at + 2) & 1 ? 0 : -1;
}

#endif
