/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/irqroute.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "base/err.h"
#include "kvm/kvm.h"

void irqroutes_init(struct irqroutes *r, int vm_fd)
{
	*r = (struct irqroutes){.vm_fd = vm_fd, .used = IRQROUTE_PINS};
	pthread_mutex_init(&r->lock, NULL);
}

void irqroutes_fini(struct irqroutes *r)
{
	pthread_mutex_destroy(&r->lock);
}

int irqroutes_alloc(struct irqroutes *r, int n, struct mote_err *err)
{
	int first = r->used;

	if (n < 0 || n > IRQROUTES_MAX - r->used)
		return err_set_class(err, ENOSPC, ERR_CLASS_UNAVAILABLE,
				     "%d interrupts more than %d", n,
				     IRQROUTES_MAX - r->used);
	r->used += n;
	return first;
}

static int commit(const struct irqroutes *r)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[IRQROUTES_MAX];
	} table;

	memset(&table.head, 0, sizeof(table.head));
	for (int i = 0; i < r->used; i++) {
		const struct irqroute *from = &r->route[i];

		if (!from->set)
			continue;
		table.entry[table.head.nr++] = (struct kvm_irq_routing_entry){
			.gsi = (uint32_t)i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {.address_lo = (uint32_t)from->addr,
				  .address_hi = (uint32_t)(from->addr >> 32),
				  .data = from->data},
		};
	}
	return kvm_call(r->vm_fd, KVM_SET_GSI_ROUTING, &table);
}

int irqroutes_set(struct irqroutes *r, int gsi, uint64_t addr, uint32_t data)
{
	struct irqroute *to = &r->route[gsi], was;
	int ret = 0;

	pthread_mutex_lock(&r->lock);
	was = *to;
	if (!was.set || was.addr != addr || was.data != data) {
		*to = (struct irqroute){addr, data, true};
		ret = commit(r);
		if (ret < 0)
			*to = was;
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int irqroutes_connect(const struct irqroutes *r, int gsi, int event_fd, bool on)
{
	struct kvm_irqfd fd = {
		.fd = (uint32_t)event_fd,
		.gsi = (uint32_t)gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return kvm_call(r->vm_fd, KVM_IRQFD, &fd);
}
