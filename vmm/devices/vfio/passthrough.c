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
#include "base/map.h"
#include "config/config.h"
#include "devices/ioapic.h"
#include "devices/irqroute.h"
#include "devices/pci/root.h"
#include "devices/vfio/dirty.h"
#include "devices/vfio/function.h"
#include "devices/vfio/migration.h"
#include "devices/vfio/open.h"
#include "devices/vfio/space.h"
#include "kvm/kvm.h"
#include "memory/memslot.h"

struct passthrough {
	const struct vm_config *cfg;
	bool opened; /* the space */
	struct vfio_space space;
	struct vfio_dev dev[CONFIG_PASSTHROUGHS_MAX];
	struct vfio_function *function[CONFIG_PASSTHROUGHS_MAX];
	struct memslot_table *slots;
	int kvm_vfio; /* KVM's VFIO device; -1 */
	int fds;
	uint32_t slot; /* the next free one of KVM's */
	bool loaded;   /* devices wait for passthrough_run */
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

/* By its IOMMU group: the first one opens the container. */
static int take_pci(struct passthrough *p,
		    const struct passthrough_options *opt,
		    const struct passthrough_config *c, struct vfio_dev *d,
		    int group, struct mote_err *err)
{
	int ret, container = -1;

	if (!p->opened) {
		container = own_or(opt, "vfio", NULL, err);
		if (container < 0) {
			fd_close(group);
			return container;
		}
		ret = vfio_space_open_type1(&p->space, container, group, err);
		p->opened = ret == 0;
	} else {
		ret = vfio_container_add(&p->space.type1, group, err);
	}
	if (ret == 0)
		ret = tell_kvm(p, opt->slots->vm_fd, group, err);
	if (ret == 0)
		ret = vfio_dev_open(d, group, c->pci, err);
	if (ret < 0)
		return ret;
	ret = vfio_space_add(&p->space, d, err);
	if (ret < 0)
		vfio_dev_close(d);
	return ret;
}

/* By its node, of which KVM is told before it is bound. */
static int take_node(struct passthrough *p,
		     const struct passthrough_options *opt,
		     const struct passthrough_config *c, struct vfio_dev *d,
		     int node, struct mote_err *err)
{
	int ret = 0, iommu;

	if (!p->opened) {
		iommu = own_or(opt, "iommu", NULL, err);
		ret = iommu < 0
			      ? iommu
			      : vfio_space_open_iommufd(&p->space, iommu, err);
		p->opened = ret == 0;
	}
	if (ret == 0)
		ret = tell_kvm(p, opt->slots->vm_fd, node, err);
	if (ret < 0) {
		fd_close(node);
		return ret;
	}
	return vfio_space_add_node(&p->space, d, node, c->name, err);
}

static int take_device(struct passthrough *p,
		       const struct passthrough_options *opt, uint32_t i,
		       struct mote_err *err)
{
	const struct passthrough_config *c = &opt->cfg->passthrough[i];
	char section[96];
	int fd, ret;

	snprintf(section, sizeof(section), "passthrough.%s", c->name);
	fd = own_or(opt, section, c, err);
	if (fd < 0)
		return fd;
	ret = c->pci ? take_pci(p, opt, c, &p->dev[i], fd, err)
		     : take_node(p, opt, c, &p->dev[i], fd, err);
	return ret < 0 ? err_wrap(err, ret, "%s", section) : 0;
}

static int add_device(struct passthrough *p,
		      const struct passthrough_options *opt, uint32_t i,
		      struct mote_err *err)
{
	const struct vfio_function_options f = {
		.name = opt->cfg->passthrough[i].name,
		.root = opt->root,
		.bus = opt->bus,
		.routes = opt->routes,
		.ioapic = opt->ioapic,
		.pin = IRQROUTE_PINS - CONFIG_PASSTHROUGHS_MAX + (int)i,
		.vm_fd = opt->slots->vm_fd,
		.slot = &p->slot,
	};
	int ret = vfio_function_create(&p->function[i], &p->dev[i], &f, err);

	return ret < 0 ? ret : 0;
}

static int map_ram(struct passthrough *p, struct mote_err *err)
{
	int ret = vfio_space_map(&p->space, p->slots, err);

	return ret < 0 ? err_wrap(err, ret, "passthrough") : 0;
}

static uint64_t end_of_ram(const struct memslot_table *slots)
{
	uint64_t top = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &slots->slot[i];

		if (s->ram.addr && s->gpa + s->ram.size > top)
			top = s->gpa + s->ram.size;
	}
	return top;
}

int passthrough_create(struct passthrough **out,
		       const struct passthrough_options *opt,
		       struct mote_err *err)
{
	struct passthrough *p = calloc(1, sizeof(*p));
	uint32_t count = opt->cfg->passthrough_count;
	int *fd[CONFIG_PASSTHROUGHS_MAX], n = 0, ret = 0;

	*out = p;
	if (!p)
		return err_set(err, ENOMEM, "passthrough");
	p->cfg = opt->cfg;
	p->slots = opt->slots;
	p->kvm_vfio = -1;
	p->slot = MEMSLOT_MAX;
	pci_root_windows(opt->root, opt->arch, end_of_ram(opt->slots));
	for (uint32_t i = 0; ret == 0 && i < count; i++) {
		ret = take_device(p, opt, i, err);
		fd[n++] = &p->dev[i].fd;
	}
	/* All at once: a device is reset before it can reach anything. */
	if (ret == 0)
		ret = map_ram(p, err);
	for (uint32_t i = 0; ret == 0 && i < count; i++)
		ret = add_device(p, opt, i, err);
	return ret < 0 ? ret : fd_gather(fd, n, &p->fds, err);
}

void passthrough_destroy(struct passthrough *p)
{
	if (!p)
		return;
	/* KVM holds groups and nodes as long as it knows of them. */
	fd_clear(&p->kvm_vfio);
	if (p->opened)
		vfio_space_close(&p->space);
	free(p);
}

int passthrough_fds(const struct passthrough *p)
{
	return p->fds;
}

int passthrough_check(const struct passthrough *p, bool ready, bool sticky,
		      struct mote_err *err)
{
	for (uint32_t i = 0; i < p->cfg->passthrough_count; i++) {
		const struct passthrough_config *c = &p->cfg->passthrough[i];
		bool saves = vfio_function_mig(p->function[i]) != NULL;

		if (!saves && c->snapshot != PASSTHROUGH_WITHOUT_DEVICE)
			return err_set_class(
				err, ENOTSUP, ERR_CLASS_DATA,
				"passthrough.%s: the device can't save its "
				"state: see passthrough.%s.snapshot",
				c->name, c->name);
		if (!saves && !ready)
			return err_set_class(
				err, ENOTSUP, ERR_CLASS_DATA,
				"passthrough.%s: snapshot=without-device needs "
				"a guest that has written its ready mark",
				c->name);
		if (sticky && c->diff != PASSTHROUGH_DIFF_FULL)
			return err_set_class(
				err, ENOTSUP, ERR_CLASS_DATA,
				"passthrough.%s: the device may have written "
				"any page, so there is no diff: see "
				"passthrough.%s.diff",
				c->name, c->name);
	}
	return 0;
}

/* --- state ------------------------------------------------------------------
 */

/* Those that can save, next to each other as vfio_mig_stop wants them. */
static int movers(struct passthrough *p, struct vfio_mig *m)
{
	int n = 0;

	for (uint32_t i = 0; i < p->cfg->passthrough_count; i++)
		if (vfio_function_mig(p->function[i]))
			m[n++] = *vfio_function_mig(p->function[i]);
	return n;
}

static void put_back(struct passthrough *p, const struct vfio_mig *m)
{
	for (uint32_t i = 0; i < p->cfg->passthrough_count; i++)
		if (vfio_function_mig(p->function[i]))
			*vfio_function_mig(p->function[i]) = *m++;
}

/* The others, which have no state to save. */
static int hold(struct passthrough *p, bool on, struct mote_err *err)
{
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && i < p->cfg->passthrough_count; i++)
		if (!vfio_function_mig(p->function[i]))
			ret = vfio_function_hold(p->function[i], on, err);
	return ret;
}

int passthrough_freeze(struct passthrough *p, struct mote_err *err)
{
	struct vfio_mig m[CONFIG_PASSTHROUGHS_MAX];
	int n, ret = passthrough_run(p, err);

	if (ret == 0)
		ret = hold(p, true, err);
	n = movers(p, m);
	if (ret == 0 && n > 0)
		ret = vfio_mig_stop(m, n, err);
	if (ret == 0 && n > 0)
		ret = vfio_mig_take(m, n, err);
	put_back(p, m);
	if (ret < 0)
		hold(p, false, NULL);
	return ret;
}

/* It goes on, or is lost: ret is vfio_mig_run's. */
static int lost(const struct passthrough *p, uint32_t i, int ret,
		struct mote_err *err)
{
	return ret == 0 ? 0
			: err_set(err, EIO,
				  "passthrough.%s: the device did not go on "
				  "from its state and %s",
				  p->cfg->passthrough[i].name,
				  ret > 0 ? "was reset" : "can't be reset");
}

int passthrough_thaw(struct passthrough *p, struct mote_err *err)
{
	int first = 0;

	for (uint32_t i = 0; i < p->cfg->passthrough_count; i++) {
		struct vfio_mig *m = vfio_function_mig(p->function[i]);
		int ret;

		if (!m)
			continue;
		ret = lost(p, i, vfio_mig_run(m, NULL), first ? NULL : err);
		first = first ? first : ret;
		vfio_mig_fini(m);
	}
	hold(p, false, NULL);
	return first;
}

int passthrough_pending(struct passthrough *p, uint64_t *bytes,
			struct mote_err *err)
{
	int ret = 0;

	*bytes = 0;
	for (uint32_t i = 0; ret == 0 && i < p->cfg->passthrough_count; i++) {
		struct vfio_mig *m = vfio_function_mig(p->function[i]);
		uint64_t left = 0;

		if (m)
			ret = vfio_mig_precopy(m, &left, err);
		*bytes += left;
	}
	return ret;
}

void passthrough_loaded(struct passthrough *p)
{
	p->loaded = true;
}

int passthrough_run(struct passthrough *p, struct mote_err *err)
{
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && i < p->cfg->passthrough_count; i++) {
		struct vfio_mig *m = vfio_function_mig(p->function[i]);

		if (p->loaded && m)
			ret = lost(p, i, vfio_mig_run(m, NULL), err);
	}
	if (ret == 0)
		p->loaded = false;
	return ret;
}

int passthrough_dirty(void *opaque, struct dirty_tracker *t,
		      struct mote_err *err)
{
	struct passthrough *p = opaque;

	return vfio_dirty_add(&p->space, t, err);
}
