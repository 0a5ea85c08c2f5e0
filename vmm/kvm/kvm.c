/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/err.h"

int kvm_call(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

int kvm_call_value(int fd, unsigned long request, unsigned long value)
{
	int ret;

	do {
		ret = ioctl(fd, request, value);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

int kvm_open(const char *path, struct mote_err *err)
{
	cleanup_fd int fd = -1;
	int version;

	if (!path)
		path = "/dev/kvm";
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set_class(err, errno, ERR_CLASS_PERM,
				     "open %s: %s: the user needs access to "
				     "it (often: group kvm)",
				     path, strerror(errno));
	if (fd < 0)
		return err_set_class(err, errno, ERR_CLASS_UNAVAILABLE,
				     "open %s: %s: this host offers no KVM "
				     "(kernel module missing, or "
				     "virtualisation is off)",
				     path, strerror(errno));
	version = kvm_call_value(fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return err_set(err, -version, "%s: KVM_GET_API_VERSION: %s",
			       path, strerror(-version));
	if (version != KVM_API_VERSION)
		return err_set_class(err, ENODEV, ERR_CLASS_UNAVAILABLE,
				     "%s: KVM API version %d, expected %d",
				     path, version, KVM_API_VERSION);
	return fd_steal(&fd);
}

int kvm_check_extension(int fd, long cap)
{
	int ret = kvm_call_value(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return ret < 0 ? 0 : ret;
}

int kvm_enable_cap(int fd, uint32_t cap, const uint64_t args[4])
{
	struct kvm_enable_cap ec = {.cap = cap};

	if (args)
		memcpy(ec.args, args, 4 * sizeof(args[0]));
	return kvm_call(fd, KVM_ENABLE_CAP, &ec);
}

int kvm_create_vm(int kvm_fd, unsigned long type)
{
	return kvm_call_value(kvm_fd, KVM_CREATE_VM, type);
}

int kvm_create_vcpu(int vm_fd, uint32_t id)
{
	return kvm_call_value(vm_fd, KVM_CREATE_VCPU, id);
}

int kvm_vcpu_mmap_size(int kvm_fd)
{
	return kvm_call_value(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
}

int kvm_set_memory(int vm_fd, uint32_t slot, uint32_t flags, uint64_t gpa,
		   uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return kvm_call(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

int kvm_get_dirty_log(int vm_fd, uint32_t slot, uint64_t *bitmap)
{
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

	return kvm_call(vm_fd, KVM_GET_DIRTY_LOG, &log);
}

int kvm_clear_dirty_log(int vm_fd, uint32_t slot, uint64_t first,
			uint32_t pages, const uint64_t *bitmap)
{
	struct kvm_clear_dirty_log clear = {
		.slot = slot,
		.num_pages = pages,
		.first_page = first,
		.dirty_bitmap = (uint64_t *)bitmap,
	};

	return kvm_call(vm_fd, KVM_CLEAR_DIRTY_LOG, &clear);
}

int kvm_reset_dirty_rings(int vm_fd)
{
	return kvm_call_value(vm_fd, KVM_RESET_DIRTY_RINGS, 0);
}

int kvm_run(int vcpu_fd)
{
	return ioctl(vcpu_fd, KVM_RUN, 0UL) < 0 ? -errno : 0;
}

int kvm_unblock_in_run(int vcpu_fd, int sig)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set; /* the kernel's sigset_t: 8 bytes */
	} __attribute__((packed)) mask;

	mask.head.len = sizeof(mask.set);
	mask.set = ~((uint64_t)1 << (sig - 1));
	return kvm_call(vcpu_fd, KVM_SET_SIGNAL_MASK, &mask);
}

int kvm_get_one_reg(int vcpu_fd, uint64_t id, void *val)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)val};

	return kvm_call(vcpu_fd, KVM_GET_ONE_REG, &reg);
}

int kvm_set_one_reg(int vcpu_fd, uint64_t id, const void *val)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)val};

	return kvm_call(vcpu_fd, KVM_SET_ONE_REG, &reg);
}

int kvm_create_device(int vm_fd, uint32_t type, bool test)
{
	struct kvm_create_device dev = {
		.type = type,
		.flags = test ? KVM_CREATE_DEVICE_TEST : 0,
	};
	int ret = kvm_call(vm_fd, KVM_CREATE_DEVICE, &dev);

	if (ret < 0)
		return ret;
	return test ? 0 : (int)dev.fd;
}

int kvm_set_attr(int dev_fd, uint32_t group, uint64_t attr, const void *val)
{
	struct kvm_device_attr da = {
		.group = group, .attr = attr, .addr = (uintptr_t)val};

	return kvm_call(dev_fd, KVM_SET_DEVICE_ATTR, &da);
}

int kvm_get_attr(int dev_fd, uint32_t group, uint64_t attr, void *val)
{
	struct kvm_device_attr da = {
		.group = group, .attr = attr, .addr = (uintptr_t)val};

	return kvm_call(dev_fd, KVM_GET_DEVICE_ATTR, &da);
}
