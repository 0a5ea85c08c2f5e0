/* SPDX-License-Identifier: Apache-2.0 */
#include "fake/fakevm.h"

#include <criterion/criterion.h>

#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "arch/common/elf.h"
#include "base/fd.h"
#include "base/timeline.h"
#include "fake/elfimg.h"
#include "fake/fake_kvm.h"

#define WAIT_NS (UINT64_C(10) * 1000000000)

void fakevm_init(struct fakevm *f, uint32_t vcpus)
{
	struct elfimg img;

	memset(f, 0, sizeof(*f));
	fake_kvm_reset();
	cr_assert_eq(config_init(&f->cfg), 0);
	f->cfg.vm.memory = FAKEVM_MEMORY;
	f->cfg.vm.vcpus = vcpus;
	f->opt = (struct build_options){
		.cfg = &f->cfg,
		.kvm_fd = -1,
		.console_in_fd = -1,
		.console_out_fd = -1,
		.memory_fd = -1,
		.pagemap_fd = -1,
		.uffd_fd = -1,
	};
	elfimg_init(&img);
	f->kernel_fd = elfimg_fd(&img, sizeof(img));
}

void fakevm_fini(struct fakevm *f)
{
	vm_destroy(f->vm);
	f->vm = NULL;
	fd_clear(&f->kernel_fd);
	config_fini(&f->cfg);
}

int fakevm_up(struct fakevm *f, bool paused)
{
	enum vm_protocol protocol = PROTOCOL_MOTE;
	int ret = build_vm(&f->vm, &f->opt, &f->err);
	struct elf_file kernel;

	if (ret == 0)
		ret = build_open_kernel(&kernel, f->kernel_fd, NULL, &protocol,
					&f->err);
	if (ret == 0)
		ret = build_boot(f->vm, &f->opt, &kernel, &f->err);
	if (ret == 0)
		ret = vm_start(f->vm, paused, &f->err);
	return ret;
}

void fakevm_start(struct fakevm *f, bool paused)
{
	cr_assert_eq(fakevm_up(f, paused), 0, "%s", f->err.msg);
}

bool fakevm_wait_end(struct fakevm *f)
{
	uint64_t began = timeline_now();

	while (f->vm->state != VM_ENDED && timeline_now() - began < WAIT_NS) {
		struct pollfd p = {.fd = f->vm->events.fd, .events = POLLIN};

		poll(&p, 1, 100);
		vm_dispatch(f->vm);
	}
	return f->vm->state == VM_ENDED;
}
