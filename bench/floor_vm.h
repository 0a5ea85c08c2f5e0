/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor_vm.h - the floor's steps: the least that it takes to run a guest
 * with KVM: 16 MiB, one vCPU, ring 3, one exit; then all is given back in
 * order.
 *
 * Included by floor.c (with or without the C library), by floor_jail.c and,
 * for the comparison within one process, by inproc.c.  Who includes it
 * defines the do_* calls first, or takes those of the C library.
 */
#ifndef BENCH_FLOOR_VM_H
#define BENCH_FLOOR_VM_H

#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef do_open
#include <sys/ioctl.h>
#include <unistd.h>
#define do_open(p, fl)	       open(p, fl)
#define do_ioctl(f, r, a)      ioctl((int)(f), r, a)
#define do_mmap(l, pr, fl, fd) mmap(NULL, l, pr, fl, (int)(fd), 0)
#define do_munmap(p, l)	       munmap(p, l)
#define do_close(f)	       close((int)(f))
#define do_exit(c)	       _exit(c)
#endif

#define FLOOR_RAM	(16ul << 20)
#define FLOOR_CODE	0x10000ul
#define FLOOR_CPUID_MAX 100
#define FLOOR_LINK	7ul    /* page table entry: present, writable, user */
#define FLOOR_LEAF	0x87ul /* the same, 2 MiB */

struct floor_vm {
	long kvm, vm, vcpu, size;
	unsigned long ram_size;
	struct kvm_run *run;
	uint8_t *ram;
};

static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[FLOOR_CPUID_MAX];
} floor_cpuid;

static inline struct kvm_segment floor_flat(uint16_t selector, int is_code)
{
	struct kvm_segment s = {
		.limit = 0xffffffff,
		.selector = selector,
		.type = is_code ? 11 : 3,
		.present = 1,
		.dpl = 3,
		.db = !is_code,
		.s = 1,
		.l = (uint8_t)is_code,
		.g = 1,
	};

	return s;
}

static inline void floor_fill(uint8_t *ram, const uint8_t *code, unsigned int n)
{
	uint64_t *pml4 = (uint64_t *)(ram + 0x1000);
	uint64_t *pdpt = (uint64_t *)(ram + 0x2000);
	uint64_t *pd = (uint64_t *)(ram + 0x3000);

	pml4[0] = 0x2000 | FLOOR_LINK;
	pdpt[0] = 0x3000 | FLOOR_LINK;
	for (unsigned long i = 0; i < FLOOR_RAM >> 21; i++)
		pd[i] = i << 21 | FLOOR_LEAF;
	for (unsigned int i = 0; i < n; i++)
		ram[FLOOR_CODE + i] = code[i];
}

static inline int floor_regs(long vcpu)
{
	struct kvm_regs regs = {.rip = FLOOR_CODE, .rflags = 0x3002};
	struct kvm_sregs s;

	if (do_ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return 1;
	s.cs = floor_flat(0x33, 1);
	s.ds = s.es = s.fs = s.gs = s.ss = floor_flat(0x2b, 0);
	s.cr3 = 0x1000;
	s.cr4 = 0x620;
	s.cr0 = 0x80050033;
	s.efer = 0x500;
	return do_ioctl(vcpu, KVM_SET_SREGS, &s) < 0 ||
	       do_ioctl(vcpu, KVM_SET_REGS, &regs) < 0;
}

/*
 * From an open f->kvm to a vCPU without registers; its memory is size bytes
 * of zeros, or (from >= 0) a private mapping of that file.
 */
static inline int floor_vm_shell(struct floor_vm *f, unsigned long size,
				 long from)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP,
				       .args = {24}};
	struct kvm_userspace_memory_region slot = {.memory_size = size};
	int flags = MAP_PRIVATE | MAP_NORESERVE;

	f->vm = do_ioctl(f->kvm, KVM_CREATE_VM, 0);
	f->ram_size = size;
	f->ram = do_mmap(size, PROT_READ | PROT_WRITE,
			 from < 0 ? flags | MAP_ANONYMOUS : flags, from);
	slot.userspace_addr = (uintptr_t)f->ram;
	if (f->vm < 0 ||
	    do_ioctl(f->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ||
	    do_ioctl(f->vm, KVM_ENABLE_CAP, &split) < 0)
		return 1;
	f->vcpu = do_ioctl(f->vm, KVM_CREATE_VCPU, 0);
	f->size = do_ioctl(f->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	f->run = do_mmap((unsigned long)f->size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, f->vcpu);
	floor_cpuid.head.nent = FLOOR_CPUID_MAX;
	if (do_ioctl(f->kvm, KVM_GET_SUPPORTED_CPUID, &floor_cpuid) < 0 ||
	    do_ioctl(f->vcpu, KVM_SET_CPUID2, &floor_cpuid) < 0)
		return 1;
	return 0;
}

/* Up to the first KVM_RUN; code is what the guest runs. */
static inline int floor_vm_make(struct floor_vm *f, const uint8_t *code,
				unsigned int n)
{
	if (floor_vm_shell(f, FLOOR_RAM, -1))
		return 1;
	floor_fill(f->ram, code, n);
	return floor_regs(f->vcpu);
}

static inline int floor_vm_open(struct floor_vm *f, const uint8_t *code,
				unsigned int n)
{
	f->kvm = do_open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return floor_vm_make(f, code, n);
}

static inline int floor_vm_run(struct floor_vm *f)
{
	return do_ioctl(f->vcpu, KVM_RUN, 0) < 0 ||
	       f->run->exit_reason != KVM_EXIT_IO;
}

static inline void floor_vm_close(struct floor_vm *f)
{
	do_munmap(f->run, (unsigned long)f->size);
	do_close(f->vcpu);
	do_close(f->vm);
	do_munmap(f->ram, f->ram_size);
	do_close(f->kvm);
}

/* mov $1, %al; out %al, $0x10 */
static const uint8_t floor_code[] = {0xb0, 0x01, 0xe6, 0x10};

static inline int floor_main(void)
{
	struct floor_vm f = {0};
	int bad = floor_vm_open(&f, floor_code, sizeof(floor_code));

	bad = bad || floor_vm_run(&f);
	floor_vm_close(&f);
	return bad;
}

#define FLOOR_RESTORE_RAM (128ul << 20)

static inline int floor_restore_main(const char *path)
{
	struct floor_vm f = {0};
	long file = do_open(path, O_RDONLY | O_CLOEXEC);
	int bad;

	f.kvm = do_open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bad = floor_vm_shell(&f, FLOOR_RESTORE_RAM, file) ||
	      floor_regs(f.vcpu) || floor_vm_run(&f);
	floor_vm_close(&f);
	do_close(file);
	return bad;
}

#endif
