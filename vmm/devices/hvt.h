/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvt.h - the hypercalls of a Solo5 guest, and the devices of its manifest.
 *
 * A call is a 32-bit write of the address of a struct (base/hvt_abi.h) to
 * the call's port or address.  It runs in the guest's only vCPU thread and
 * holds no lock: block and network I/O are done right there.  What can't be
 * done at once (a poll that waits, output that finds the console full) is
 * left pending and goes on in hvt_wait, where a kick reaches it.
 *
 * Threads: the VM thread before the first run and while the vCPU is parked;
 * hvt_wait and the calls on the vCPU's thread.  Trust: none; every address
 * is checked, and a bad one ends the guest, as the reference tender does.
 * Source: Solo5, include/solo5/hvt_abi.h, ABI 2.
 */
#ifndef VMM_DEVICES_HVT_H
#define VMM_DEVICES_HVT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hvt_abi.h"

struct device;
struct mote_err;

/* Descriptors lie in one block of so many numbers, for the seccomp filter. */

/* What the guest declares; copied.  Before its devices are attached. */
void hvt_set_manifest(struct device *dev, const struct solo5_mft *mft);
const struct solo5_mft *hvt_manifest(const struct device *dev);

/*
 * Attach manifest entry index: fd is copied.  The guest sees capacity and
 * sector size, or address and MTU; after a restore they are what they were,
 * and a disk of another size is refused.
 */
int hvt_attach_block(struct device *dev, uint32_t index, int fd,
		     uint64_t capacity, uint16_t sector_size,
		     struct mote_err *err);
int hvt_attach_net(struct device *dev, uint32_t index, int fd,
		   const uint8_t mac[6], uint16_t mtu, struct mote_err *err);

/*
 * All are attached: move the descriptors into one block of FD_BLOCK
 * numbers, *base being its first.
 */
int hvt_seal(struct device *dev, int *base, struct mote_err *err);

/* Readable when a vCPU that waits in a call shall leave it (vcpu/park.c). */
int hvt_kick_fd(const struct device *dev);

/* Is a call pending?  Then hvt_wait: true when it is done, false: kicked. */
bool hvt_pending(void *dev);
bool hvt_wait(void *dev);

/* Why a call ended the guest; false: none did. */
bool hvt_error(const struct device *dev, struct mote_err *err);

/* The cookie of the guest's halt: gpa of HVT_COOKIE_SIZE bytes, or 0. */
uint64_t hvt_cookie(const struct device *dev);

#endif
