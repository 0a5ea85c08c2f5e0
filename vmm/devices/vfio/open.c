/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "config/config.h"

#define PCI_DIR	 "/sys/bus/pci/devices"
#define PATH_LEN 256

/* The last part of where a link of the device points, "" for none. */
static void link_name(const struct passthrough_config *p, const char *link,
		      char name[PATH_LEN])
{
	char path[PATH_LEN], to[PATH_LEN];
	ssize_t n;
	char *slash;

	name[0] = 0;
	snprintf(path, sizeof(path), PCI_DIR "/%s/%s", p->pci, link);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return;
	to[n] = 0;
	slash = strrchr(to, '/');
	snprintf(name, PATH_LEN, "%s", slash ? slash + 1 : to);
}

static int open_node(const char *key, const struct passthrough_config *p,
		     const char *path, struct mote_err *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return err_set_class(err, errno,
			     errno == EACCES || errno == EPERM
				     ? ERR_CLASS_PERM
				     : ERR_CLASS_UNAVAILABLE,
			     "passthrough.%s.%s: open %s: %s%s", p->name, key,
			     path, strerror(errno),
			     errno == EBUSY ? " (another process, or another "
					      "section, has the group)"
					    : "");
}

/* Every device of a group must be ours: they can reach each other. */
static int check_viable(const struct passthrough_config *p, int fd,
			const char *group, struct mote_err *err)
{
	struct vfio_group_status st = {.argsz = sizeof(st)};

	if (ioctl(fd, VFIO_GROUP_GET_STATUS, &st) < 0)
		return err_set_class(err, errno, ERR_CLASS_UNAVAILABLE,
				     "passthrough.%s.pci: %s: "
				     "VFIO_GROUP_GET_STATUS: %s",
				     p->name, p->pci, strerror(errno));
	if (!(st.flags & VFIO_GROUP_FLAGS_VIABLE))
		return err_set_class(err, EBUSY, ERR_CLASS_UNAVAILABLE,
				     "passthrough.%s.pci: %s: its IOMMU group, "
				     "%s, has a device that a driver of the "
				     "host holds: bind all of " PCI_DIR
				     "/%s/iommu_group/devices to vfio-pci",
				     p->name, p->pci, group, p->pci);
	return 0;
}

static int open_group(const struct passthrough_config *p, struct mote_err *err)
{
	char path[PATH_LEN], group[PATH_LEN], driver[PATH_LEN];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), PCI_DIR "/%s", p->pci);
	if (access(path, F_OK) < 0)
		return err_set_class(err, ENODEV, ERR_CLASS_UNAVAILABLE,
				     "passthrough.%s.pci: %s: no such device: "
				     "see " PCI_DIR,
				     p->name, p->pci);
	link_name(p, "iommu_group", group);
	if (!group[0])
		return err_set_class(err, ENXIO, ERR_CLASS_UNAVAILABLE,
				     "passthrough.%s.pci: %s: it is behind no "
				     "IOMMU (switch it on: firmware, and "
				     "intel_iommu=on for Intel's)",
				     p->name, p->pci);
	link_name(p, "driver", driver);
	if (strcmp(driver, "vfio-pci") != 0)
		return err_set_class(
			err, EBUSY, ERR_CLASS_UNAVAILABLE,
			"passthrough.%s.pci: %s: bound to %s, expected "
			"vfio-pci: write it to " PCI_DIR
			"/%s/driver_override, then the address to "
			"/sys/bus/pci/drivers_probe",
			p->name, p->pci, driver[0] ? driver : "no driver",
			p->pci);
	snprintf(path, sizeof(path), "/dev/vfio/%.64s", group);
	fd = open_node("pci", p, path, err);
	if (fd < 0)
		return fd;
	if (check_viable(p, fd, group, err) < 0)
		return -EBUSY;
	return fd_steal(&fd);
}

int vfio_open_device(const struct passthrough_config *p, struct mote_err *err)
{
	int fd;

	if (p->pci)
		return open_group(p, err);
	if (p->cdev)
		return open_node("cdev", p, p->cdev, err);
	fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_set_class(err, errno, ERR_CLASS_DATA,
				     "passthrough.%s.fd: %d: %s", p->name,
				     p->fd, strerror(errno));
	return fd;
}

static unsigned long attribute(const char *name, const char *attr)
{
	char path[PATH_LEN + 64], text[16] = "";
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), PCI_DIR "/%s/%s", name, attr);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return ULONG_MAX;
	return strtoul(text, NULL, 16);
}

bool vfio_host_has(uint16_t vendor, uint16_t device)
{
	bool has = access("/sys/bus/mdev", F_OK) == 0;
	DIR *d = opendir(PCI_DIR);
	struct dirent *e;

	while (!has && d && (e = readdir(d)))
		has = attribute(e->d_name, "vendor") == vendor &&
		      attribute(e->d_name, "device") == device;
	if (d)
		closedir(d);
	return has;
}

const char *vfio_open_more(const struct vm_config *c, unsigned int i)
{
	bool vfio = false, iommu = false;

	for (uint32_t k = 0; k < c->passthrough_count; k++)
		*(c->passthrough[k].pci ? &vfio : &iommu) = true;
	if (i == 0)
		return vfio ? "vfio" : iommu ? "iommu" : NULL;
	return i == 1 && vfio && iommu ? "iommu" : NULL;
}

int vfio_open_container(const char *which, struct mote_err *err)
{
	const char *path =
		strcmp(which, "vfio") ? "/dev/iommu" : "/dev/vfio/vfio";
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_set_class(
			err, errno,
			errno == EACCES || errno == EPERM
				? ERR_CLASS_PERM
				: ERR_CLASS_UNAVAILABLE,
			"passthrough: open %s: %s%s", path, strerror(errno),
			errno != ENOENT		? ""
			: strcmp(which, "vfio") ? " (the kernel has no iommufd)"
						: " (modprobe vfio)");
	return fd;
}
