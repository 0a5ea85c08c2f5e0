/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/ppc64le/xive.h"

#include <endian.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/ppc64le/layout.h"
#include "base/err.h"
#include "base/fd.h"
#include "kvm/kvm.h"
#include "memory/memslot.h"

/* KVM's numbers of the two slots, behind those of RAM. */
enum { SLOT_ESB = MEMSLOT_MAX, SLOT_TIMA };

/* Pages of the thread's area; only the operating system's is shown. */
enum { TIMA_OS = 2, TIMA_PAGES = 4 };

/* Loads from a source's page of control. */
#define ESB_GET	   0x800u
#define ESB_SET_PQ 0xc00u /* | PQ << 8 */

/* --- making it --------------------------------------------------------------
 */

int xive_offered(int vm_fd, struct mote_err *err)
{
	if (!kvm_check_extension(vm_fd, KVM_CAP_PPC_IRQ_XIVE) ||
	    kvm_create_device(vm_fd, KVM_DEV_TYPE_XIVE, true) < 0)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "cpu.irq: xive: KVM on this host does "
				     "not offer it");
	/* KVM puts an event queue into one page of the host. */
	if (host_page_size() < (1u << XIVE_QUEUE_LOG2))
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "cpu.irq: xive: KVM wants host pages of "
				     "64 KiB for it, this host has %zu bytes",
				     host_page_size());
	return 0;
}

static int attr(const struct xive *x, uint32_t group, uint64_t attr,
		const void *val)
{
	return kvm_set_attr(x->fd, group, attr, val);
}

/* Each source: made, or as it was made; masked and off. */
static int init_sources(struct xive *x)
{
	const uint64_t edge = 0;
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && i < x->sources; i++) {
		x->target[i] = (struct xive_target){.priority = XIVE_MASKED};
		ret = attr(x, KVM_DEV_XIVE_GRP_SOURCE, i, &edge);
	}
	return ret;
}

/* Its pages, at guest addresses of their own. */
static int show(struct xive *x, struct mote_err *err)
{
	size_t page = host_page_size();
	int ret = map_shared(&x->esb, x->fd, KVM_XIVE_ESB_PAGE_OFFSET * page,
			     (size_t)x->sources * 2 * page,
			     PROT_READ | PROT_WRITE, err);

	if (ret == 0)
		ret = map_shared(
			&x->tima, x->fd, KVM_XIVE_TIMA_PAGE_OFFSET * page,
			TIMA_PAGES * page, PROT_READ | PROT_WRITE, err);
	if (ret < 0)
		return err_wrap(err, ret, "XIVE");
	x->shown = true;
	ret = kvm_set_memory(x->vm_fd, SLOT_ESB, 0, LAYOUT_XIVE_ESB,
			     x->esb.size, x->esb.addr);
	if (ret == 0)
		ret = kvm_set_memory(x->vm_fd, SLOT_TIMA, 0, LAYOUT_XIVE_TIMA,
				     page,
				     (char *)x->tima.addr + TIMA_OS * page);
	if (ret < 0)
		return err_set(err, -ret, "XIVE: its pages: %s",
			       strerror(-ret));
	return 0;
}

int xive_create(struct arch_vm *a, uint32_t vcpus, struct mote_err *err)
{
	struct xive *x;
	int ret = xive_offered(a->vm_fd, err);

	if (ret < 0)
		return ret;
	if (vcpus == 0 || vcpus > PPC_VCPUS_MAX)
		return err_set(err, EINVAL, "XIVE: %u vCPUs", vcpus);
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(err, ENOMEM, "XIVE");
	*x = (struct xive){.vm_fd = a->vm_fd, .fd = -1, .sources = vcpus};
	pthread_mutex_init(&x->lock, NULL);
	a->xive = x;
	ret = kvm_create_device(a->vm_fd, KVM_DEV_TYPE_XIVE, false);
	if (ret < 0)
		return err_set(err, -ret, "KVM_CREATE_DEVICE XIVE: %s",
			       strerror(-ret));
	x->fd = ret;
	ret = attr(x, KVM_DEV_XIVE_GRP_CTRL, KVM_DEV_XIVE_NR_SERVERS, &vcpus);
	if (ret == 0)
		ret = init_sources(x);
	if (ret < 0)
		return err_set(err, -ret, "XIVE: %u sources: %s", vcpus,
			       strerror(-ret));
	return show(x, err);
}

void xive_destroy(struct arch_vm *a)
{
	struct xive *x = a->xive;

	if (!x)
		return;
	if (x->shown) {
		kvm_set_memory(x->vm_fd, SLOT_TIMA, 0, LAYOUT_XIVE_TIMA, 0,
			       NULL);
		kvm_set_memory(x->vm_fd, SLOT_ESB, 0, LAYOUT_XIVE_ESB, 0, NULL);
	}
	map_fini(&x->tima);
	map_fini(&x->esb);
	if (x->fd >= 0)
		fd_clear(&x->fd);
	pthread_mutex_destroy(&x->lock);
	free(x);
	a->xive = NULL;
}

int xive_connect(struct arch_vcpu *v, struct mote_err *err)
{
	const uint64_t args[4] = {(uint64_t)v->vm->xive->fd, v->id};
	int ret = kvm_enable_cap(v->fd, KVM_CAP_PPC_IRQ_XIVE, args);

	if (ret < 0)
		return err_set(err, -ret, "vCPU %u: KVM_CAP_PPC_IRQ_XIVE: %s",
			       v->id, strerror(-ret));
	return 0;
}

/* --- what its calls do ------------------------------------------------------
 */

int xive_set_target(struct xive *x, uint32_t source,
		    const struct xive_target *to)
{
	bool masked = to->priority == XIVE_MASKED;
	uint64_t val = (uint64_t)to->number << KVM_XIVE_SOURCE_EISN_SHIFT |
		       (uint64_t)masked << KVM_XIVE_SOURCE_MASKED_SHIFT |
		       (uint64_t)to->server << KVM_XIVE_SOURCE_SERVER_SHIFT |
		       (uint64_t)(masked ? 0 : to->priority)
			       << KVM_XIVE_SOURCE_PRIORITY_SHIFT;
	int ret = attr(x, KVM_DEV_XIVE_GRP_SOURCE_CONFIG, source, &val);

	if (ret == 0)
		x->target[source] = *to;
	return ret;
}

static uint64_t queue_id(uint32_t server, uint32_t priority)
{
	return (uint64_t)server << KVM_XIVE_EQ_SERVER_SHIFT | priority;
}

int xive_set_queue(struct xive *x, uint32_t server, uint32_t priority,
		   const struct xive_queue *q)
{
	struct kvm_ppc_xive_eq eq = {0};

	if (q->on)
		eq = (struct kvm_ppc_xive_eq){
			.flags = KVM_XIVE_EQ_ALWAYS_NOTIFY,
			.qshift = XIVE_QUEUE_LOG2,
			.qaddr = q->gpa,
			.qtoggle = q->toggle,
			.qindex = q->index,
		};
	return attr(x, KVM_DEV_XIVE_GRP_EQ_CONFIG, queue_id(server, priority),
		    &eq);
}

int xive_get_queue(struct xive *x, uint32_t server, uint32_t priority,
		   struct xive_queue *q)
{
	struct kvm_ppc_xive_eq eq = {0};
	int ret = kvm_get_attr(x->fd, KVM_DEV_XIVE_GRP_EQ_CONFIG,
			       queue_id(server, priority), &eq);

	*q = (struct xive_queue){
		.gpa = eq.qaddr,
		.toggle = eq.qtoggle,
		.index = eq.qindex,
		.on = eq.qshift != 0,
	};
	return ret;
}

int xive_sync(struct xive *x, uint32_t source)
{
	const uint64_t none = 0;

	return attr(x, KVM_DEV_XIVE_GRP_SOURCE_SYNC, source, &none);
}

int xive_reset(struct xive *x)
{
	int ret = attr(x, KVM_DEV_XIVE_GRP_CTRL, KVM_DEV_XIVE_RESET, NULL);

	return ret < 0 ? ret : init_sources(x);
}

/* The second of a source's two pages. */
static volatile uint64_t *control(const struct xive *x, uint32_t source,
				  uint64_t off)
{
	char *page = (char *)x->esb.addr +
		     ((size_t)source * 2 + 1) * host_page_size();

	return (volatile uint64_t *)(void *)(page + off);
}

uint64_t xive_esb_load(struct xive *x, uint32_t source, uint64_t off)
{
	return be64toh(*control(x, source, off));
}

void xive_esb_store(struct xive *x, uint32_t source, uint64_t off, uint64_t val)
{
	*control(x, source, off) = htobe64(val);
}

uint8_t xive_get_pq(struct xive *x, uint32_t source)
{
	return xive_esb_load(x, source, ESB_GET) & 3;
}

void xive_set_pq(struct xive *x, uint32_t source, uint8_t pq)
{
	xive_esb_load(x, source, ESB_SET_PQ | (uint64_t)pq << 8);
}
