/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.h - raising events for the guest (docs/GUEST-ABI.md).
 */
#ifndef VMM_DEVICES_EVENT_H
#define VMM_DEVICES_EVENT_H

#include <stdint.h>

struct device;

/* Set MOTE_EVENT_* bits for the guest to see.  VM thread, any state. */
void event_device_raise(struct device *dev, uint32_t bits);

#endif
