/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.h - open what stands behind a [passthrough.NAME], and say in words why
 * it can't be passed through.
 *
 * Threads: any; done outside the jail.  Sources: Documentation/driver-api/
 * vfio.rst, sysfs-bus-pci.
 */
#ifndef VMM_DEVICES_VFIO_OPEN_H
#define VMM_DEVICES_VFIO_OPEN_H

#include <stdbool.h>
#include <stdint.h>

struct mote_err;
struct passthrough_config;
struct vm_config;

/*
 * pci: the device's IOMMU group, /dev/vfio/N; cdev: its node; fd: a copy of
 * it.  The descriptor, or -errno: ENODEV no such device, ENXIO no IOMMU, EBUSY
 * not bound to vfio-pci, or the group is in use.
 */
int vfio_open_device(const struct passthrough_config *p, struct mote_err *err);

/*
 * Is there a PCI device of that kind on this host, whatever has it?  A mediated
 * one does not say what it is: any of those may be.
 */
bool vfio_host_has(uint16_t vendor, uint16_t device);

/* What must be opened beside them: "vfio", "iommu"; NULL: no more. */
const char *vfio_open_more(const struct vm_config *c, unsigned int i);
int vfio_open_container(const char *which, struct mote_err *err);

#endif
