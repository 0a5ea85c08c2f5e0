/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci.h - one PCI device of a VFIO group: its BARs and its command register.
 *
 * Threads: the VM thread.  The BAR is the device's; what it reads there is
 * hostile as the guest is.
 */
#ifndef TESTS_VFIO_PCI_H
#define TESTS_VFIO_PCI_H

#include <stdint.h>

#include "base/map.h"

struct mote_err;

struct vfio_pci {
	int fd; /* owned */
	struct map bar0;
};

/* Take the device NAME (0000:00:05.0) of the group; enable memory and DMA. */
int vfio_pci_open(struct vfio_pci *d, int group_fd, const char *name,
		  struct mote_err *err);
void vfio_pci_close(struct vfio_pci *d);

#endif
