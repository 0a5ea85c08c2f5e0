/* SPDX-License-Identifier: Apache-2.0 */
/*
 * function.h - a VFIO device as a function of the guest's PCI bus.
 *
 * The guest sees a copy of the device's configuration space, made when the
 * device was opened: of capabilities MSI, MSI-X, PCI Express (read-only) and
 * vendor-specific ones (read-only).  What it may change is kept here; the
 * device itself gets the bus master and interrupt disable bits and its
 * interrupts' eventfds, and always decodes its BARs.  BARs are memory slots
 * of the guest, but for the pages that hold the MSI-X table and what can't
 * be mapped: those go through read and write of the device's descriptor.
 *
 * Source: linux/vfio.h; PCI Local Bus 3.0, 6; PCI Express 7.5, 7.7.
 * Trust: the device and the guest are hostile alike.
 */
#ifndef VMM_DEVICES_VFIO_FUNCTION_H
#define VMM_DEVICES_VFIO_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

struct bus;
struct device;
struct irqroutes;
struct mote_err;
struct vfio_function;

struct vfio_function_options {
	const char *name; /* of its section; outlives it */
	struct device *root;
	struct bus *bus;
	struct irqroutes *routes; /* outlives it */
	struct device *ioapic;	  /* outlives it */
	int pin;		  /* of it, for INTx */
	int vm_fd;		  /* for slots */
	uint32_t *slot;		  /* the next free number of a KVM slot */
	bool keep_state;	  /* its state is in snapshots */
};

/*
 * Take over device_fd (also by a failure), reset the device, put its BARs
 * into the root's windows and the function on the bus.
 */
int vfio_function_create(struct vfio_function **out, int device_fd,
			 const struct vfio_function_options *opt,
			 struct mote_err *err);

/* Its descriptor, which a vCPU thread uses; to be moved by the owner. */
int *vfio_function_fd(struct vfio_function *f);

#endif
