/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edurun.h - mote run with QEMU's edu device, as a user does it.
 */
#ifndef TESTS_VFIO_EDURUN_H
#define TESTS_VFIO_EDURUN_H

#include <limits.h>

struct edurun {
	char address[64]; /* of edu, which is bound to vfio-pci */
	char rng[64];	  /* of a virtio entropy device, "": none */
	char out[PATH_MAX];
};
extern struct edurun edurun;

/* Of a suite, with command_teardown; skips where there is no edu. */
void edurun_setup(void);

/* An INI file with guest edu and the device; more: lines of other sections. */
char *edurun_ini(const char *more);

/* The number after these words in edurun.out. */
long edurun_number(const char *words);

/* Pages that the kernel holds for DMA, of all processes; -1: not told. */
long edurun_pinned(void);

#endif
