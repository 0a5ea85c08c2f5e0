/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_virtio.c - the virtio devices of a machine, in the order of
 * config_virtio_count: where they go, what stands behind them, their I/O
 * thread.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/timeline.h"
#include "build.h"
#include "devices/hostdev.h"
#include "devices/virtio/io.h"
#include "devices/virtio/virtio.h"
#include "kvm/kvm.h"
#include "vm.h"

#define REG_NOTIFY 0x50 /* virtio 1.2, 4.2.2 */

/* --- the thread's hooks ----------------------------------------------------
 */

static int enter(void *opaque, int fds)
{
	const struct vm *vm = opaque;

	return vm->io_enter(vm->env.opaque, fds, vm->events.fd);
}

static bool lost(void *opaque)
{
	struct vm *vm = opaque;

	return atomic_load(&vm->lost) ||
	       (vm->pager && pager_failed(vm->pager, NULL));
}

static void failed(void *opaque)
{
	struct vm *vm = opaque;

	atomic_store(&vm->io_failed, true);
	event_end(&vm->events, EVENT_CRASH, 0);
}

/* --- devices ---------------------------------------------------------------
 */

/* The n-th device; what opt says of it is borrowed. */
static int add(struct vm *vm, const char *model, struct virtio_options *opt,
	       unsigned int n, struct mote_err *err)
{
	struct device_config cfg = {
		.space = BUS_MMIO,
		.size = ARCH_VIRTIO_SIZE,
		.events = &vm->events,
		.slots = &vm->slots,
		.console = &vm->console,
		.virtio = opt,
	};
	struct arch_virtio at;
	struct device *dev;
	int ret;

	if (!arch_virtio(n, &at) || vm->devices == VM_DEVICES_MAX)
		return err_set_class(err, ENOSPC, ERR_CLASS_DATA,
				     "%s: no room for virtio device %u",
				     opt->section, n);
	cfg.base = at.base;
	opt->io = vm->virtio;
	ret = device_create(&dev, model, n, &cfg, &vm->bus, err);
	if (ret < 0)
		return ret;
	dev->cfg.virtio = NULL;
	vm->device[vm->devices++] = dev;
	return 0;
}

static int add_disk(struct vm *vm, const struct build_options *opt,
		    const struct disk_config *disk, unsigned int n,
		    struct mote_err *err)
{
	const struct build_fd *given = build_find_fd(opt, "disk", disk->name);
	cleanup_fd int own = -1;
	char section[80];
	struct virtio_options v = {.section = section, .disk = disk};
	int ret = given ? 0 : hostdev_open_disk(disk, &own, err);

	if (ret < 0)
		return ret;
	snprintf(section, sizeof(section), "disk.%s", disk->name);
	v.fd = given ? given->fd : own;
	return add(vm, "virtio-blk", &v, n, err);
}

static int add_net(struct vm *vm, const struct build_options *opt,
		   const struct net_config *net, unsigned int n,
		   struct mote_err *err)
{
	const struct build_fd *given = build_find_fd(opt, "net", net->name);
	uint32_t mtu = given ? given->mtu : 0;
	cleanup_fd int own = -1;
	char section[80];
	struct virtio_options v = {.section = section, .net = net};
	int ret = given ? 0 : hostdev_open_net(net, true, &own, &mtu, err);

	if (ret == 0)
		ret = hostdev_mac(net, v.mac, err);
	if (ret < 0)
		return ret;
	snprintf(section, sizeof(section), "net.%s", net->name);
	v.fd = given ? given->fd : own;
	v.mtu = mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
	return add(vm, "virtio-net", &v, n, err);
}

static int add_all(struct vm *vm, const struct build_options *opt,
		   struct mote_err *err)
{
	const struct vm_config *c = vm->cfg;
	struct virtio_options rng = {
		.section = "rng", .fd = -1, .rate = c->rng.rate_bytes};
	unsigned int n = 0;
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && i < c->disk_count; i++)
		ret = add_disk(vm, opt, &c->disk[i], n++, err);
	for (uint32_t i = 0; ret == 0 && i < c->net_count; i++)
		ret = add_net(vm, opt, &c->net[i], n++, err);
	if (ret == 0 && c->rng.enable)
		ret = add(vm, "virtio-rng", &rng, n, err);
	return ret;
}

/* --- kicks and interrupts --------------------------------------------------
 */

/* Where KVM has no such eventfds a kick is an exit, which does the same. */
static void connect_kicks(const struct vm *vm, const struct virtio *v,
			  uint64_t base)
{
	for (uint16_t i = 0; i < v->queues; i++) {
		struct kvm_ioeventfd e = {
			.datamatch = i,
			.addr = base + REG_NOTIFY,
			.len = 4,
			.fd = v->kick_fd,
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};

		kvm_call(vm->vm_fd, KVM_IOEVENTFD, &e);
	}
}

static int connect_all(struct vm *vm, struct mote_err *err)
{
	uint32_t first = vm->devices - config_virtio_count(vm->cfg);
	int ret = 0;

	for (uint32_t i = first; ret == 0 && i < vm->devices; i++) {
		const struct virtio *v = vm->device[i]->priv;
		struct arch_virtio at;

		arch_virtio(i - first, &at);
		connect_kicks(vm, v, at.base);
		ret = build_irq(vm, at.irq, v->irq_fd, err);
		if (ret < 0)
			return err_wrap(err, ret, "%s", v->section);
	}
	return ret;
}

int build_virtio(struct vm *vm, const struct build_options *opt,
		 struct mote_err *err)
{
	const struct virtio_io_options io = {
		.enter = opt->io_enter ? enter : NULL,
		.lost = lost,
		.paged = vm->pager != NULL,
		.failed = failed,
		.opaque = vm,
	};
	int ret;

	if (config_virtio_count(vm->cfg) == 0)
		return 0;
	vm->io_enter = opt->io_enter;
	ret = virtio_io_create(&vm->virtio, &io, err);
	if (ret == 0)
		ret = add_all(vm, opt, err);
	if (ret == 0)
		ret = virtio_io_seal(vm->virtio, err);
	if (ret == 0)
		ret = build_block_fd(vm, virtio_io_poke_fd(vm->virtio), err);
	if (ret == 0)
		ret = connect_all(vm, err);
	if (ret == 0)
		ret = virtio_io_start(vm->virtio, err);
	timeline_mark(vm->timeline, "virtio devices");
	return ret;
}
