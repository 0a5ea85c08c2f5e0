/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uapi.h - what Debian 12's linux/vfio.h lacks, and how VFIO is called.
 *
 * Layout and numbers are the kernel's (linux/vfio.h, linux/iommufd.h); each
 * part says which Linux it came with.  The names of structs are ours, so that
 * newer headers do not clash.  Threads: any.
 */
#ifndef VMM_DEVICES_VFIO_UAPI_H
#define VMM_DEVICES_VFIO_UAPI_H

#include <linux/vfio.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;

/* Linux 6.2: what pre-copy has to move; on the migration descriptor. */
#ifndef VFIO_MIG_GET_PRECOPY_INFO
#define VFIO_MIG_GET_PRECOPY_INFO _IO(VFIO_TYPE, VFIO_BASE + 21)
#endif
#ifndef VFIO_MIGRATION_PRE_COPY
#define VFIO_MIGRATION_PRE_COPY (1 << 2)
#endif
struct uapi_precopy_info {
	uint32_t argsz, flags;
	uint64_t initial_bytes, dirty_bytes;
};

/* Linux 6.2: how long a blob may be, a uint64_t. */
#ifndef VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
#define VFIO_DEVICE_FEATURE_MIG_DATA_SIZE 9
#endif

/* Linux 5.18 to 6.2; 6 and 7 are of 6.2. */
enum vfio_mig_state {
	MIG_ERROR,
	MIG_STOP,
	MIG_RUNNING,
	MIG_STOP_COPY,
	MIG_RESUMING,
	MIG_RUNNING_P2P,
	MIG_PRE_COPY,
	MIG_PRE_COPY_P2P,
};

/* Linux 6.6: device nodes. */
#ifndef VFIO_DEVICE_BIND_IOMMUFD
#define VFIO_DEVICE_BIND_IOMMUFD      _IO(VFIO_TYPE, VFIO_BASE + 18)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 20)
#endif
struct uapi_bind {
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_devid;
};
struct uapi_attach { /* DETACH has no pt_id */
	uint32_t argsz, flags, pt_id;
};

/* Linux 6.2: iommufd; an ioctl is named by its number alone. */
#define IOMMUFD_CALL(nr) _IO(';', (nr))
enum {
	IOMMUFD_DESTROY = 0x80,
	IOMMUFD_IOAS_ALLOC = 0x81,
	IOMMUFD_IOVA_RANGES = 0x84,
	IOMMUFD_IOAS_MAP = 0x85,
	IOMMUFD_IOAS_UNMAP = 0x86,
	IOMMUFD_HWPT_ALLOC = 0x89,
	/* Linux 6.7 */
	IOMMUFD_SET_DIRTY = 0x8b,
	IOMMUFD_GET_DIRTY = 0x8c,
};
struct uapi_destroy {
	uint32_t size, id;
};
struct uapi_ioas_alloc {
	uint32_t size, flags, out_id;
};
struct uapi_iova_range {
	uint64_t start, last;
};
struct uapi_iova_ranges {
	uint32_t size, ioas, num, reserved;
	uint64_t ranges, out_alignment;
};
#define UAPI_IOAS_MAP_FLAGS 7u /* FIXED_IOVA, WRITEABLE, READABLE */
struct uapi_ioas_map {
	uint32_t size, flags, ioas, reserved;
	uint64_t user_va, length, iova;
};
struct uapi_ioas_unmap {
	uint32_t size, ioas;
	uint64_t iova, length;
};
#define UAPI_HWPT_DIRTY_TRACKING 2u
struct uapi_hwpt_alloc { /* as of 6.6; the tail of newer ones may be left out */
	uint32_t size, flags, dev_id, pt_id, out_id, reserved;
};
#define UAPI_DIRTY_ENABLE 1u
struct uapi_set_dirty {
	uint32_t size, flags, hwpt, reserved;
};
#define UAPI_DIRTY_NO_CLEAR 1u
struct uapi_get_dirty {
	uint32_t size, hwpt, flags, reserved;
	uint64_t iova, length, page_size, data;
};

/* ioctl(2) that restarts on EINTR; its result or -errno. */
int vfio_ioctl(int fd, unsigned long request, void *arg);

/* The same; a failure is told as "NAME: reason". */
int vfio_ioctl_named(int fd, unsigned long request, const char *name, void *arg,
		     struct mote_err *err);

#define VFIO_CALL(fd, request, arg, err)                                       \
	vfio_ioctl_named((fd), (request), #request, (arg), (err))

/*
 * VFIO_DEVICE_FEATURE; flags as in the kernel, data (up to 64 bytes) goes
 * both ways.  0 or -errno: -ENOTTY where the device has no such feature.
 */
int vfio_feature(int dev_fd, uint32_t flags, void *data, size_t len);

#endif
