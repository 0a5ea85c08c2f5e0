/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm/kvm_hook.h"

#include "kvm/kvm.h"

struct kvm_hook kvm_hook;

int __real_kvm_get_one_reg(int vcpu_fd, uint64_t id, void *val);
int __real_kvm_set_one_reg(int vcpu_fd, uint64_t id, const void *val);
int __real_kvm_create_device(int vm_fd, uint32_t type, bool test);
int __real_kvm_check_extension(int fd, long cap);
int __real_kvm_run(int vcpu_fd);
int __wrap_kvm_get_one_reg(int vcpu_fd, uint64_t id, void *val);
int __wrap_kvm_set_one_reg(int vcpu_fd, uint64_t id, const void *val);
int __wrap_kvm_create_device(int vm_fd, uint32_t type, bool test);
int __wrap_kvm_check_extension(int fd, long cap);
int __wrap_kvm_run(int vcpu_fd);

int __wrap_kvm_get_one_reg(int vcpu_fd, uint64_t id, void *val)
{
	int ret = KVM_HOOK_PASS;

	if (kvm_hook.one_reg)
		ret = kvm_hook.one_reg(vcpu_fd, false, id, val);
	return ret == KVM_HOOK_PASS ? __real_kvm_get_one_reg(vcpu_fd, id, val)
				    : ret;
}

int __wrap_kvm_set_one_reg(int vcpu_fd, uint64_t id, const void *val)
{
	int ret = KVM_HOOK_PASS;

	if (kvm_hook.one_reg)
		ret = kvm_hook.one_reg(vcpu_fd, true, id, (void *)val);
	return ret == KVM_HOOK_PASS ? __real_kvm_set_one_reg(vcpu_fd, id, val)
				    : ret;
}

int __wrap_kvm_create_device(int vm_fd, uint32_t type, bool test)
{
	int ret = KVM_HOOK_PASS;

	if (kvm_hook.create_device)
		ret = kvm_hook.create_device(type);
	return ret == KVM_HOOK_PASS
		       ? __real_kvm_create_device(vm_fd, type, test)
		       : ret;
}

int __wrap_kvm_check_extension(int fd, long cap)
{
	int ret = KVM_HOOK_PASS;

	if (kvm_hook.check_extension)
		ret = kvm_hook.check_extension(cap);
	return ret == KVM_HOOK_PASS ? __real_kvm_check_extension(fd, cap) : ret;
}

int __wrap_kvm_run(int vcpu_fd)
{
	if (kvm_hook.run)
		kvm_hook.run(vcpu_fd);
	return __real_kvm_run(vcpu_fd);
}
