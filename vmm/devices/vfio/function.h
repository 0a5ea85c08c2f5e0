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
struct vfio_dev;
struct vfio_function;
struct vfio_mig;

struct vfio_function_options {
	const char *name; /* of its section; outlives it */
	struct device *root;
	struct bus *bus;
	struct irqroutes *routes; /* outlives it */
	struct device *ioapic;	  /* outlives it */
	int pin;		  /* of it, for INTx */
	int vm_fd;		  /* for slots */
	uint32_t *slot;		  /* the next free number of a KVM slot */
};

/*
 * Reset the device, which outlives the function, put its BARs into the root's
 * windows and the function on the bus.
 */
int vfio_function_create(struct vfio_function **out, struct vfio_dev *dev,
			 const struct vfio_function_options *opt,
			 struct mote_err *err);

/*
 * Is its state in snapshots?  Then what to do with it: freeze (all at once,
 * vfio_mig_stop), save, run.  NULL: it has none to save.
 */
struct vfio_mig *vfio_function_mig(struct vfio_function *f);

/* One without: keep it from writing memory, or let it again. */
int vfio_function_hold(struct vfio_function *f, bool hold,
		       struct mote_err *err);

#endif
