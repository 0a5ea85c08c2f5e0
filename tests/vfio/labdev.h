/* SPDX-License-Identifier: Apache-2.0 */
/*
 * labdev.h - the VFIO devices of the lab's machine, opened for a test.
 *
 * edu is QEMU's PCI device behind the emulated IOMMU; pin (lab/vfio/pin) and
 * mtty (the kernel's sample) are mediated devices.  What is not there is -1.
 */
#ifndef TESTS_VFIO_LABDEV_H
#define TESTS_VFIO_LABDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vfio/space.h"

#define PIN_TYPE   "/sys/devices/virtual/mote_pin/mote_pin", "mote_pin-1"
#define MTTY_TYPE2 "/sys/devices/virtual/mtty/mtty", "mtty-2"
#define MTTY_TYPE1 "/sys/devices/virtual/mtty/mtty", "mtty-1"

int lab_container(void); /* /dev/vfio/vfio */

/* Write text to a file of sysfs or procfs: 0 or -1. */
int lab_put(const char *path, const char *text);

/* A device of PCI by what it is; false: there is none. */
bool lab_pci(unsigned int vendor, unsigned int device, char name[64]);

/* From its driver to that one; NULL: to none. */
void lab_bind(const char *name, const char *driver);

/* Bind edu, which has an IOMMU, to vfio-pci; its group, or its device node. */
bool lab_edu(char name[64]);
int lab_edu_group(char name[64]);
int lab_edu_node(char name[64]);

/* Make a mediated device (a name of it is written to uuid). */
int lab_mdev_group(const char *parent, const char *type, char uuid[64]);
int lab_mdev_node(const char *parent, const char *type, char uuid[64]);

/* Unmake it, once it is closed. */
void lab_mdev_remove(const char *uuid);

/* What pin is told; the registers of lab/vfio/pin/mote_pin.c. */
enum pin_command {
	PIN_HOLD = 1,
	PIN_DROP,
	PIN_WRITE,
	PIN_TOUCH,
	PIN_READ,
	PIN_STORE,
};

/* Carried out for pages from iova on; how many, or -errno. */
int64_t pin_do(const struct vfio_dev *d, enum pin_command command,
	       uint64_t iova, uint64_t pages);

/* KiB of this process that are pinned or locked (VmPin and VmLck). */
long lab_pinned_kib(void);

#endif
