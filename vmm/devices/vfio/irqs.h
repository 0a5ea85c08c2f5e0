/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irqs.h - the interrupts of a VFIO device: INTx, MSI or MSI-X, one kind at a
 * time, as the capabilities in the guest's copy of its configuration say.
 *
 * VFIO signals eventfds, KVM makes messages of them (irqroute.h) or a pin of
 * the I/O APIC.  The MSI-X table is in our memory, not in the device's.
 * Source: linux/vfio.h, VFIO_DEVICE_SET_IRQS; PCI Local Bus 3.0, 6.8.
 * Threads: vCPU threads under the root's lock; the rest on the VM thread.
 */
#ifndef VMM_DEVICES_VFIO_IRQS_H
#define VMM_DEVICES_VFIO_IRQS_H

#include <stdbool.h>
#include <stdint.h>

struct irqroutes;
struct mote_err;
struct vfio_dev;
struct vfio_trap;

#define VFIO_VECTORS_MAX 64 /* of one device */

struct vfio_irqs {
	const struct vfio_dev *dev;
	struct irqroutes *routes;
	uint8_t *config;	/* the guest's, with the capabilities */
	unsigned int msi, msix; /* their offsets, 0: none */
	int intx_fd;		/* -1: it has no pin */
	uint32_t entries;	/* of the device's MSI-X table */
	uint32_t vectors;	/* eventfds: the larger of both kinds */
	uint32_t of_msix;	/* those of MSI-X */
	uint32_t armed;		/* VFIO_PCI_*_IRQ_INDEX, or none */
	struct vfio_vector {
		int event_fd, gsi;
		bool on; /* KVM listens */
	} vector[VFIO_VECTORS_MAX];
	/* MSI-X: address low, high, data, mask. */
	uint32_t table[VFIO_VECTORS_MAX][4];
};

/* Nothing yet: for fini; then init, which reads config and keeps it. */
void vfio_irqs_none(struct vfio_irqs *v);
int vfio_irqs_init(struct vfio_irqs *v, const struct vfio_dev *dev,
		   struct irqroutes *routes, uint8_t *config,
		   struct mote_err *err);
void vfio_irqs_fini(struct vfio_irqs *v); /* after disarm */

/*
 * Is the capability at that offset one of these?  Then it is made the guest's,
 * and what that may change is set in writable.
 */
bool vfio_irqs_show(struct vfio_irqs *v, unsigned int at, uint8_t *writable);

/* Where the MSI-X table lies; its BAR is -1 where there is none. */
void vfio_irqs_table(struct vfio_irqs *v, struct vfio_trap *trap);

/* All off; or as after power-on, which is INTx. */
void vfio_irqs_disarm(struct vfio_irqs *v);
void vfio_irqs_reset(struct vfio_irqs *v);

/* The guest (or a load) changed the capability. */
void vfio_irqs_update_msi(struct vfio_irqs *v);
void vfio_irqs_update_msix(struct vfio_irqs *v);

/*
 * The guest has handled its INTx: VFIO masked the pin when it raised it, and
 * raises it again if the device still holds it.  Refused where MSI is on.
 */
void vfio_irqs_intx_ended(void *irqs);

#endif
