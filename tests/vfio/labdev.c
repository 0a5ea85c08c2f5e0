/* SPDX-License-Identifier: Apache-2.0 */
#include "vfio/labdev.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI_DIR	 "/sys/bus/pci/devices"
#define MDEV_DIR "/sys/bus/mdev/devices"

int lab_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = -1;

	if (fd >= 0)
		ret = write(fd, text, strlen(text)) > 0 ? 0 : -1;
	if (fd >= 0)
		close(fd);
	return ret;
}

static unsigned long hex_of(const char *dev, const char *attr)
{
	char path[PATH_MAX], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), PCI_DIR "/%s/%s", dev, attr);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return strtoul(text, NULL, 16);
}

/* udev is not there to wait for: a node may be a moment late. */
static int open_late(const char *path)
{
	int fd = -1;

	for (int i = 0; i < 100 && fd < 0; i++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			usleep(20000);
	}
	return fd;
}

int lab_container(void)
{
	return open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
}

static int open_group(const char *dir, const char *name)
{
	char path[PATH_MAX], link[PATH_MAX] = "";

	snprintf(path, sizeof(path), "%s/%s/iommu_group", dir, name);
	if (readlink(path, link, sizeof(link) - 1) < 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	return open_late(path);
}

static int open_node(const char *dir, const char *name)
{
	char path[PATH_MAX], node[PATH_MAX] = "";
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s/vfio-dev", dir, name);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, "vfio", 4))
			snprintf(node, sizeof(node), "/dev/vfio/devices/%s",
				 e->d_name);
	if (d)
		closedir(d);
	return node[0] ? open_late(node) : -1;
}

bool lab_pci(unsigned int vendor, unsigned int device, char name[64])
{
	DIR *d = opendir(PCI_DIR);
	struct dirent *e;

	name[0] = 0;
	while (d && (e = readdir(d)))
		if (hex_of(e->d_name, "vendor") == vendor &&
		    hex_of(e->d_name, "device") == device)
			snprintf(name, 64, "%.63s", e->d_name);
	if (d)
		closedir(d);
	return name[0];
}

void lab_bind(const char *name, const char *driver)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PCI_DIR "/%s/driver/unbind", name);
	lab_put(path, name);
	snprintf(path, sizeof(path), PCI_DIR "/%s/driver_override", name);
	lab_put(path, driver ? driver : "\n");
	if (driver)
		lab_put("/sys/bus/pci/drivers_probe", name);
}

bool lab_edu(char name[64])
{
	char path[PATH_MAX];

	if (!lab_pci(0x1234, 0x11e8, name))
		return false;
	snprintf(path, sizeof(path), PCI_DIR "/%s/iommu_group", name);
	if (access(path, F_OK) < 0)
		return false;
	lab_bind(name, "vfio-pci");
	return true;
}

int lab_edu_group(char name[64])
{
	return lab_edu(name) ? open_group(PCI_DIR, name) : -1;
}

int lab_edu_node(char name[64])
{
	return lab_edu(name) ? open_node(PCI_DIR, name) : -1;
}

/* Tests are processes: the number makes the device this one's. */
static bool make_mdev(const char *parent, const char *type, char uuid[64])
{
	static int made;
	char path[PATH_MAX];

	snprintf(uuid, 64, "6d6f7465-0000-4000-8000-%06x%06x",
		 (unsigned int)getpid() & 0xffffff, (unsigned int)made++);
	snprintf(path, sizeof(path), "%s/mdev_supported_types/%s/create",
		 parent, type);
	return lab_put(path, uuid) == 0;
}

int lab_mdev_group(const char *parent, const char *type, char uuid[64])
{
	return make_mdev(parent, type, uuid) ? open_group(MDEV_DIR, uuid) : -1;
}

int lab_mdev_node(const char *parent, const char *type, char uuid[64])
{
	return make_mdev(parent, type, uuid) ? open_node(MDEV_DIR, uuid) : -1;
}

void lab_mdev_remove(const char *uuid)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), MDEV_DIR "/%s/remove", uuid);
	cr_expect_eq(lab_put(path, "1"), 0, "%s stays", uuid);
}

int64_t pin_do(const struct vfio_dev *d, enum pin_command command,
	       uint64_t iova, uint64_t pages)
{
	const uint64_t reg[3] = {iova, pages, command};
	int64_t result = -EIO;

	for (int i = 0; i < 3; i++)
		cr_assert_eq(pwrite(d->fd, &reg[i], 8, 8 * i), 8);
	cr_assert_eq(pread(d->fd, &result, 8, 24), 8);
	return result;
}

long lab_pinned_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib, sum = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %ld", &kib) == 1 ||
		    sscanf(line, "VmLck: %ld", &kib) == 1)
			sum += kib;
	if (f)
		fclose(f);
	return sum;
}
