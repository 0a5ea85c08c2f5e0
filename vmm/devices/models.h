/* SPDX-License-Identifier: Apache-2.0 */
/*
 * models.h - the ops tables that registry.c lists, one for each model.
 */
#ifndef VMM_DEVICES_MODELS_H
#define VMM_DEVICES_MODELS_H

#include "devices/device.h"

extern const struct device_ops event_device_ops; /* event.c: "event" */
extern const struct device_ops serial_ops;	 /* serial.c: "8250" */
extern const struct device_ops pl011_ops;	 /* pl011.c: "pl011" */
extern const struct device_ops pl031_ops;	 /* pl031.c: "pl031" */
extern const struct device_ops hvc_ops;		 /* hvc.c: "hvc" */
extern const struct device_ops hvt_ops;		 /* hvt.c: "hvt" */
extern const struct device_ops ioapic_ops;	 /* ioapic.c: "ioapic" */
extern const struct device_ops pci_root_ops;	 /* pci/root.c: "pci" */
extern const struct device_ops virtio_blk_ops;	 /* virtio/: "virtio-blk" */
extern const struct device_ops virtio_net_ops;	 /* "virtio-net" */
extern const struct device_ops virtio_rng_ops;	 /* "virtio-rng" */
extern const struct device_ops acpi_power_ops;	 /* pcpower.c: "acpi-power" */
extern const struct device_ops i8042_ops;	 /* pcpower.c: "i8042" */
extern const struct device_ops cf9_ops;		 /* pcpower.c: "cf9" */

#endif
