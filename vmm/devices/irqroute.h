/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irqroute.h - message-signalled interrupts by irqfd: an eventfd that
 * somebody signals becomes a message to an interrupt controller in KVM.
 *
 * Source: KVM API, KVM_SET_GSI_ROUTING and KVM_IRQFD.  A route is set
 * before its irqfd is switched on; KVM looks at the eventfd then, so what came
 * while it was off is delivered.  Threads: any, once it is initialised.
 */
#ifndef VMM_DEVICES_IRQROUTE_H
#define VMM_DEVICES_IRQROUTE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mote_err;

#define IRQROUTES_MAX 256
#define IRQROUTE_PINS 24 /* global interrupts of an IOAPIC come first */

struct irqroute {
	uint64_t addr;
	uint32_t data;
	bool set;
};

struct irqroutes {
	int vm_fd; /* borrowed */
	pthread_mutex_t lock;
	struct irqroute route[IRQROUTES_MAX];
	int used;
};

void irqroutes_init(struct irqroutes *r, int vm_fd);
void irqroutes_fini(struct irqroutes *r);

/* The first of n global interrupts; -ENOSPC. */
int irqroutes_alloc(struct irqroutes *r, int n, struct mote_err *err);

/* Where an interrupt goes; -errno of KVM_SET_GSI_ROUTING, nothing changed. */
int irqroutes_set(struct irqroutes *r, int gsi, uint64_t addr, uint32_t data);

/* KVM_IRQFD: event_fd raises gsi, or does so no more. */
int irqroutes_connect(const struct irqroutes *r, int gsi, int event_fd,
		      bool on);

#endif
