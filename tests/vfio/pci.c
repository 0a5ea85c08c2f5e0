/* SPDX-License-Identifier: Apache-2.0 */
#include "vfio/pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/fd.h"

static int region(int fd, uint32_t index, struct vfio_region_info *info,
		  struct mote_err *err)
{
	*info = (struct vfio_region_info){.argsz = sizeof(*info),
					  .index = index};
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info) < 0)
		return err_set(err, errno, "VFIO_DEVICE_GET_REGION_INFO %u: %s",
			       index, strerror(errno));
	return 0;
}

/* The kernel gives a device with decoding and bus mastering off. */
static int enable(int fd, struct mote_err *err)
{
	struct vfio_region_info cfg;
	uint16_t command;
	int ret = region(fd, VFIO_PCI_CONFIG_REGION_INDEX, &cfg, err);

	if (ret < 0)
		return ret;
	ret = fd_pread_full(fd, &command, sizeof(command),
			    cfg.offset + PCI_COMMAND);
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (ret == 0)
		ret = fd_pwrite_full(fd, &command, sizeof(command),
				     cfg.offset + PCI_COMMAND);
	if (ret < 0)
		return err_set(err, -ret, "PCI command register: %s",
			       strerror(-ret));
	return 0;
}

int vfio_pci_open(struct vfio_pci *d, int group_fd, const char *name,
		  struct mote_err *err)
{
	struct vfio_region_info bar;
	int ret;

	memset(d, 0, sizeof(*d));
	d->fd = ioctl(group_fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (d->fd < 0)
		return err_set(err, errno, "VFIO device %s: %s", name,
			       strerror(errno));
	ret = enable(d->fd, err);
	if (ret == 0)
		ret = region(d->fd, VFIO_PCI_BAR0_REGION_INDEX, &bar, err);
	if (ret == 0 && !(bar.flags & VFIO_REGION_INFO_FLAG_MMAP))
		ret = err_set(err, EOPNOTSUPP, "BAR 0 can't be mapped");
	if (ret == 0)
		ret = map_shared(&d->bar0, d->fd, bar.offset, bar.size,
				 PROT_READ | PROT_WRITE, err);
	if (ret < 0) {
		vfio_pci_close(d);
		return err_wrap(err, ret, "VFIO device %s", name);
	}
	return 0;
}

void vfio_pci_close(struct vfio_pci *d)
{
	map_fini(&d->bar0);
	fd_clear(&d->fd);
}
