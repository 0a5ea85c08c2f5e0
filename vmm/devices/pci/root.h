/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root.h - a PCI Express root bus without bridges: functions that the guest
 * finds through memory-mapped configuration space (ECAM).
 *
 * Source: PCI Express Base Specification, 7.2.2 (ECAM), 7.5.1 (header).
 * Base addresses are given out here before the first instruction and stay;
 * a guest may ask for sizes, and finds what it writes ignored.  Threads:
 * functions' calls run with the root's lock held, on any vCPU thread; the
 * rest on the VM thread, vCPUs parked.
 */
#ifndef VMM_DEVICES_PCI_ROOT_H
#define VMM_DEVICES_PCI_ROOT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "devices/device.h"

struct arch_pci;
struct bus;
struct bus_handler;
struct mote_err;
struct snap_section;
struct snap_writer;

#define PCI_FUNCTIONS_MAX 8
#define PCI_CONFIG_SIZE	  256 /* the extended space reads as zeros */

/* off is below PCI_CONFIG_SIZE, the access within one 32-bit register. */
struct pci_function {
	const char *name; /* of its section in the configuration */
	uint32_t (*read)(struct pci_function *f, unsigned int off, int len);
	void (*write)(struct pci_function *f, unsigned int off, int len,
		      uint32_t val);
	void (*reset)(struct pci_function *f);
	void (*save)(struct pci_function *f, struct snap_writer *w);
	int (*load)(struct pci_function *f, struct snap_section *s,
		    struct mote_err *err);
	void (*destroy)(struct pci_function *f);
};

/* Registers of len bytes, 1, 2 or 4, in a copy of configuration space. */
static inline uint32_t pci_get(const uint8_t *config, unsigned int off, int len)
{
	uint32_t v = 0;

	memcpy(&v, config + off, (size_t)len);
	return v;
}

static inline void pci_put(uint8_t *config, unsigned int off, int len,
			   uint32_t v)
{
	memcpy(config + off, &v, (size_t)len);
}

/* What of an address space goes into a BAR. */
enum pci_window {
	PCI_WINDOW_PORTS,
	PCI_WINDOW_32,
	PCI_WINDOW_64,
};

/*
 * The root's windows, from what the architecture has; top: the end of RAM.
 * After device_create of the model "pci".
 */
void pci_root_windows(struct device *root, const struct arch_pci *arch,
		      uint64_t top);

/* size is a power of two; -ENOSPC: the window is full. */
int pci_root_alloc(struct device *root, enum pci_window w, uint64_t size,
		   uint64_t *addr, struct mote_err *err);

/* The root owns f from here on; its device number, or -ENOSPC. */
int pci_root_add(struct device *root, struct pci_function *f,
		 struct mote_err *err);

#endif
