/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - the one table of device models.
 *
 * No constructors and no linker sections: a static library would drop
 * them without a word.
 */
#include <string.h>

#include "base/num.h"
#include "devices/device.h"
#include "devices/models.h"

const struct device_ops *device_find(const char *model)
{
	static const struct device_ops *const all[] = {
		&event_device_ops, &serial_ops,	    &pl011_ops,
		&pl031_ops,	   &hvc_ops,	    &hvt_ops,
		&pci_root_ops,	   &ioapic_ops,	    &acpi_power_ops,
		&i8042_ops,	   &cf9_ops,	    &virtio_blk_ops,
		&virtio_net_ops,   &virtio_rng_ops,
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(all[i]->name, model))
			return all[i];
	return NULL;
}
