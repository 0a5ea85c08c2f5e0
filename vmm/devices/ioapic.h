/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioapic.h - an 82093AA I/O APIC (version 0x20, with an EOI register) beside
 * KVM's split irqchip: each pin is an eventfd that KVM turns into the message
 * of the pin's redirection entry.
 *
 * The end of a level-triggered interrupt comes as an exit, which the
 * architecture writes into the EOI register.  A pin that is masked keeps what
 * comes until it is not.  Source: Intel 82093AA datasheet; KVM API,
 * KVM_CAP_SPLIT_IRQCHIP, KVM_EXIT_IOAPIC_EOI.  Threads: vCPU threads, under
 * the device's lock; the rest on the VM thread.
 */
#ifndef VMM_DEVICES_IOAPIC_H
#define VMM_DEVICES_IOAPIC_H

struct device;
struct irqroutes;

#define IOAPIC_SIZE 0x1000u
#define IOAPIC_EOI  0x40u /* offset of the register */

/* After device_create: whom KVM hears; outlives the device. */
void ioapic_routes(struct device *dev, struct irqroutes *routes);

/*
 * What drives the pin: an eventfd (borrowed; -1: nothing any more), and what
 * to do at the end of a level-triggered interrupt, and where the guest writes
 * an entry that is not masked: raise it again if it still holds.  With the
 * device's lock held.
 */
void ioapic_attach(struct device *dev, int pin, int event_fd,
		   void (*ended)(void *opaque), void *opaque);

#endif
