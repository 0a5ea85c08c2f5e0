/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "config/config.h"
#include "devices/ioapic.h"
#include "devices/irqroute.h"
#include "devices/pci/root.h"
#include "devices/vfio/container.h"
#include "devices/vfio/function.h"
#include "devices/vfio/open.h"
#include "kvm/kvm.h"
#include "memory/memslot.h"

struct passthrough {
	const struct vm_config *cfg;
	struct vfio_container container;
	struct irqroutes routes;
	int kvm_vfio; /* KVM's VFIO device; -1 */
	int fds;
	uint32_t slot; /* the next free one of KVM's */
};

static int own_or(const struct passthrough_options *opt, const char *section,
		  const struct passthrough_config *p, struct mote_err *err)
{
	int fd = opt->find(opt->opaque, section);

	if (fd >= 0) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return fd >= 0 ? fd
			       : err_set(err, errno, "dup: %s",
					 strerror(errno));
	}
	return p ? vfio_open_device(p, err) : vfio_open_container(section, err);
}

/* KVM learns which devices there are: some need it (cache coherency). */
static int tell_kvm(struct passthrough *p, int vm_fd, int fd,
		    struct mote_err *err)
{
	int32_t arg = fd;
	int ret = 0;

	if (p->kvm_vfio < 0) {
		ret = kvm_create_device(vm_fd, KVM_DEV_TYPE_VFIO, false);
		if (ret >= 0)
			p->kvm_vfio = ret;
	}
	if (ret >= 0) /* GROUP and FILE are two names of one number */
		ret = kvm_set_attr(p->kvm_vfio, KVM_DEV_VFIO_GROUP,
				   KVM_DEV_VFIO_GROUP_ADD, &arg);
	if (ret < 0)
		return err_set(err, -ret, "KVM's VFIO device: %s",
			       strerror(-ret));
	return 0;
}

static int add_device(struct passthrough *p,
		      const struct passthrough_options *opt, uint32_t i,
		      struct vfio_function **out, struct mote_err *err)
{
	const struct passthrough_config *c = &opt->cfg->passthrough[i];
	const struct vfio_function_options f = {.name = c->name,
						.root = opt->root,
						.bus = opt->bus,
						.routes = &p->routes,
						.ioapic = opt->ioapic,
						.pin = IRQROUTE_PINS - 8 +
						       (int)i,
						.vm_fd = opt->slots->vm_fd,
						.slot = &p->slot};
	char section[96];
	int fd, device, ret;

	*out = NULL;
	snprintf(section, sizeof(section), "passthrough.%s", c->name);
	if (!c->pci)
		return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
				     "%s.cdev: not in this version yet",
				     section);
	if (i > 0)
		return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
				     "%s: one device in this version", section);
	fd = own_or(opt, section, c, err);
	if (fd < 0)
		return fd;
	device = own_or(opt, "vfio", NULL, err);
	if (device < 0) {
		fd_close(fd);
		return device;
	}
	ret = vfio_container_open(&p->container, device, fd, err);
	if (ret == 0)
		ret = vfio_container_map(&p->container, opt->slots, err);
	if (ret == 0)
		ret = tell_kvm(p, opt->slots->vm_fd, fd, err);
	if (ret < 0)
		return err_wrap(err, ret, "%s", section);
	device = kvm_call(fd, VFIO_GROUP_GET_DEVICE_FD, c->pci);
	if (device < 0)
		return err_set(err, -device, "%s: %s: %s", section, c->pci,
			       strerror(-device));
	return vfio_function_create(out, device, &f, err);
}

int passthrough_create(struct passthrough **out,
		       const struct passthrough_options *opt,
		       struct mote_err *err)
{
	struct passthrough *p = calloc(1, sizeof(*p));
	int *fd[CONFIG_PASSTHROUGHS_MAX + 1], n = 0, ret = 0;
	uint64_t top = 0;

	*out = p;
	if (!p)
		return err_set(err, ENOMEM, "passthrough");
	p->cfg = opt->cfg;
	p->container.fd = p->container.group_fd = p->kvm_vfio = -1;
	p->slot = MEMSLOT_MAX;
	irqroutes_init(&p->routes,
		       fcntl(opt->slots->vm_fd, F_DUPFD_CLOEXEC, 3));
	if (p->routes.vm_fd < 0)
		return err_set(err, errno, "dup: %s", strerror(errno));
	fd[n++] = &p->routes.vm_fd;
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &opt->slots->slot[i];

		if (s->ram.addr && s->gpa + s->ram.size > top)
			top = s->gpa + s->ram.size;
	}
	ioapic_routes(opt->ioapic, &p->routes);
	pci_root_windows(opt->root, opt->arch, top);
	for (uint32_t i = 0; ret == 0 && i < opt->cfg->passthrough_count; i++) {
		struct vfio_function *f;

		ret = add_device(p, opt, i, &f, err);
		if (ret >= 0)
			fd[n++] = vfio_function_fd(f);
		ret = ret > 0 ? 0 : ret;
	}
	return ret < 0 ? ret : fd_gather(fd, n, &p->fds, err);
}

void passthrough_destroy(struct passthrough *p)
{
	if (!p)
		return;
	fd_clear(&p->kvm_vfio);
	vfio_container_close(&p->container);
	fd_clear(&p->routes.vm_fd);
	irqroutes_fini(&p->routes);
	free(p);
}

int passthrough_fds(const struct passthrough *p)
{
	return p->fds;
}

int passthrough_check(const struct passthrough *p, bool ready, bool diff,
		      bool *full, struct mote_err *err)
{
	for (uint32_t i = 0; i < p->cfg->passthrough_count; i++) {
		const struct passthrough_config *c = &p->cfg->passthrough[i];

		if (c->snapshot != PASSTHROUGH_WITHOUT_DEVICE)
			return err_set_class(
				err, ENOTSUP, ERR_CLASS_DATA,
				"passthrough.%s: the device can't save its "
				"state: see passthrough.%s.snapshot",
				c->name, c->name);
		if (!ready)
			return err_set_class(
				err, ENOTSUP, ERR_CLASS_DATA,
				"passthrough.%s: snapshot=without-device needs "
				"a guest that has written its ready mark",
				c->name);
		if (diff && c->diff != PASSTHROUGH_DIFF_FULL)
			return err_set_class(
				err, ENOTSUP, ERR_CLASS_DATA,
				"passthrough.%s: the device may have written "
				"any page, so there is no diff: see "
				"passthrough.%s.diff",
				c->name, c->name);
		*full |= diff;
	}
	return 0;
}
