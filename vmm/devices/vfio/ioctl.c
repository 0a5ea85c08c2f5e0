/* SPDX-License-Identifier: Apache-2.0 */
/* A file of its own, so that tests can stand in for the kernel. */
#include <errno.h>
#include <sys/ioctl.h>

#include "devices/vfio/uapi.h"

int vfio_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}
