/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/uapi.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

int vfio_ioctl_named(int fd, unsigned long request, const char *name, void *arg,
		     struct mote_err *err)
{
	int ret = vfio_ioctl(fd, request, arg);

	return ret < 0 ? err_set(err, -ret, "%s: %s", name, strerror(-ret))
		       : ret;
}

int vfio_feature(int dev_fd, uint32_t flags, void *data, size_t len)
{
	struct {
		struct vfio_device_feature head;
		uint64_t data[8];
	} f = {.head.argsz = (uint32_t)(sizeof(f.head) + len),
	       .head.flags = flags};
	int ret;

	assert(len <= sizeof(f.data));
	if (len)
		memcpy(f.data, data, len);
	ret = vfio_ioctl(dev_fd, VFIO_DEVICE_FEATURE, &f.head);
	if (ret == 0 && len)
		memcpy(data, f.data, len);
	return ret;
}
