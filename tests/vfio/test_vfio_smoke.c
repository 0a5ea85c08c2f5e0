/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_smoke.c - does this machine pass a device through?
 *
 * Finds QEMU's edu device, binds it to vfio-pci and reads its id register
 * through the mapped BAR.  Uses the kernel's interface directly: it judges the
 * machine, not mote.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PCI_DIR	   "/sys/bus/pci/devices"
#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8
#define EDU_ID	   0x010000ed /* at offset 0 of BAR 0: version 1.0 and "ed" */

/* udev is not there to wait for: the node may be a moment late. */
#define OPEN_TRIES    100
#define OPEN_PAUSE_US 20000

static unsigned long read_hex(const char *dev, const char *attr)
{
	char path[PATH_MAX], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), PCI_DIR "/%s/%s", dev, attr);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return strtoul(text, NULL, 16);
}

/* Finds the device's name (0000:00:05.0). */
static bool find_edu(char *name, size_t size)
{
	struct dirent *e;
	bool found = false;
	DIR *d = opendir(PCI_DIR);

	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		found = read_hex(e->d_name, "vendor") == EDU_VENDOR &&
			read_hex(e->d_name, "device") == EDU_DEVICE;
		if (found)
			snprintf(name, size, "%s", e->d_name);
	}
	closedir(d);
	return found;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -errno : 0;
}

static void bind_to_vfio(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PCI_DIR "/%s/driver_override", name);
	cr_assert_eq(write_text(path, "vfio-pci"), 0, "%s", path);
	/* No driver has it in the lab; elsewhere one may. */
	snprintf(path, sizeof(path), PCI_DIR "/%s/driver/unbind", name);
	write_text(path, name);
	cr_assert_eq(write_text("/sys/bus/pci/drivers_probe", name), 0);
}

static int open_group(const char *name)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t n;
	int fd, i;

	snprintf(path, sizeof(path), PCI_DIR "/%s/iommu_group", name);
	n = readlink(path, link, sizeof(link) - 1);
	cr_assert_gt(n, 0, "%s is in no IOMMU group", name);
	link[n] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%d",
		 atoi(strrchr(link, '/') + 1));
	for (i = 0; i < OPEN_TRIES; i++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		usleep(OPEN_PAUSE_US);
	}
	cr_assert_fail("%s: %s", path, strerror(errno));
	return -1;
}

static int open_device(const char *name)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	int group, dev;

	cr_assert_geq(container, 0, "/dev/vfio/vfio: %s", strerror(errno));
	group = open_group(name);
	cr_assert_eq(ioctl(group, VFIO_GROUP_GET_STATUS, &status), 0);
	cr_assert(status.flags & VFIO_GROUP_FLAGS_VIABLE, "group not viable");
	cr_assert_eq(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	cr_assert_eq(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	dev = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	cr_assert_geq(dev, 0, "%s: %s", name, strerror(errno));
	return dev;
}

/* The BAR answers only after memory decoding is switched on. */
static void enable_memory(int dev)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = VFIO_PCI_CONFIG_REGION_INDEX};
	uint16_t command = PCI_COMMAND_MEMORY;

	cr_assert_eq(ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	cr_assert_eq(pwrite(dev, &command, sizeof(command),
			    (off_t)info.offset + PCI_COMMAND),
		     (ssize_t)sizeof(command));
}

static const volatile uint32_t *map_bar(int dev)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = VFIO_PCI_BAR0_REGION_INDEX};
	void *bar;

	cr_assert_eq(ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	cr_assert(info.flags & VFIO_REGION_INFO_FLAG_MMAP);
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		   (off_t)info.offset);
	cr_assert_neq(bar, MAP_FAILED);
	return bar;
}

Test(vfio_smoke, edu_register_is_read_through_the_bar)
{
	const volatile uint32_t *bar;
	char name[NAME_MAX + 1];
	int dev;

	if (!find_edu(name, sizeof(name)))
		cr_skip_test("no edu device in this machine");
	bind_to_vfio(name);
	dev = open_device(name);
	enable_memory(dev);
	bar = map_bar(dev);
	cr_expect_eq(bar[0], EDU_ID, "0x%x", bar[0]);
}
