/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor.c - the yardstick: the least that a process can do with KVM to run
 * a guest: 16 MiB, one vCPU, ring 3, one OUT; then give it all back in
 * order.  Its system calls are pinned in floor.expected.
 *
 * Built twice: statically with the C library, and (FLOOR_NOLIBC) without.
 */
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#ifdef FLOOR_NOLIBC
static long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			   "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define do_open(p, fl)	  sys(__NR_open, (long)(p), fl, 0, 0, 0, 0)
#define do_ioctl(f, r, a) sys(__NR_ioctl, f, (long)(r), (long)(a), 0, 0, 0)
#define do_mmap(l, pr, fl, fd)                                                 \
	((void *)sys(__NR_mmap, 0, (long)(l), pr, fl, fd, 0))
#define do_munmap(p, l) sys(__NR_munmap, (long)(p), (long)(l), 0, 0, 0, 0)
#define do_close(f)	sys(__NR_close, f, 0, 0, 0, 0, 0)
#define do_exit(c)	sys(__NR_exit_group, c, 0, 0, 0, 0, 0)
#else
#include <sys/ioctl.h>
#include <unistd.h>
#define do_open(p, fl)	       open(p, fl)
#define do_ioctl(f, r, a)      ioctl((int)(f), r, a)
#define do_mmap(l, pr, fl, fd) mmap(NULL, l, pr, fl, (int)(fd), 0)
#define do_munmap(p, l)	       munmap(p, l)
#define do_close(f)	       close((int)(f))
#define do_exit(c)	       _exit(c)
#endif

#define RAM	  (16ul << 20)
#define CODE	  0x10000ul
#define CPUID_MAX 100
#define PTE_LINK  7ul	 /* present, writable, user */
#define PTE_LEAF  0x87ul /* the same, 2 MiB */

static const uint8_t code[] = {0xb0, 0x01, 0xe6, 0x10}; /* mov $1,%al; out */

static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[CPUID_MAX];
} cpuid = {.head.nent = CPUID_MAX};

static struct kvm_segment flat(uint16_t selector, int is_code)
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

static void fill(uint8_t *ram)
{
	uint64_t *pml4 = (uint64_t *)(ram + 0x1000);
	uint64_t *pdpt = (uint64_t *)(ram + 0x2000);
	uint64_t *pd = (uint64_t *)(ram + 0x3000);

	pml4[0] = 0x2000 | PTE_LINK;
	pdpt[0] = 0x3000 | PTE_LINK;
	for (unsigned long i = 0; i < RAM >> 21; i++)
		pd[i] = i << 21 | PTE_LEAF;
	for (unsigned int i = 0; i < sizeof(code); i++)
		ram[CODE + i] = code[i];
}

static int enter(long vcpu, struct kvm_run *run)
{
	struct kvm_regs regs = {.rip = CODE, .rflags = 0x3002};
	struct kvm_sregs s;

	if (do_ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return 1;
	s.cs = flat(0x33, 1);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(0x2b, 0);
	s.cr3 = 0x1000;
	s.cr4 = 0x620;
	s.cr0 = 0x80050033;
	s.efer = 0x500;
	if (do_ioctl(vcpu, KVM_SET_SREGS, &s) < 0 ||
	    do_ioctl(vcpu, KVM_SET_REGS, &regs) < 0 ||
	    do_ioctl(vcpu, KVM_RUN, 0) < 0)
		return 1;
	return run->exit_reason != KVM_EXIT_IO;
}

static int floor_main(void)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP,
				       .args = {24}};
	struct kvm_userspace_memory_region slot = {.memory_size = RAM};
	long kvm, vm, vcpu, size;
	struct kvm_run *run;
	uint8_t *ram;
	int bad;

	kvm = do_open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = do_ioctl(kvm, KVM_CREATE_VM, 0);
	ram = do_mmap(RAM, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	slot.userspace_addr = (uintptr_t)ram;
	if (vm < 0 || do_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ||
	    do_ioctl(vm, KVM_ENABLE_CAP, &split) < 0)
		return 1;
	vcpu = do_ioctl(vm, KVM_CREATE_VCPU, 0);
	size = do_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = do_mmap((unsigned long)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      vcpu);
	if (do_ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0 ||
	    do_ioctl(vcpu, KVM_SET_CPUID2, &cpuid) < 0)
		return 1;
	fill(ram);
	bad = enter(vcpu, run);
	do_munmap(run, (unsigned long)size);
	do_close(vcpu);
	do_close(vm);
	do_munmap(ram, RAM);
	do_close(kvm);
	return bad;
}

#ifdef FLOOR_NOLIBC
/* The compiler may call it. */
void *memset(void *dst, int c, size_t n);
void *memset(void *dst, int c, size_t n)
{
	char *d = dst;

	while (n--)
		*d++ = (char)c;
	return dst;
}

void *memcpy(void *dst, const void *src, size_t n);
void *memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

__attribute__((noreturn, force_align_arg_pointer)) void _start(void);
void _start(void)
{
	do_exit(floor_main());
	__builtin_unreachable();
}
#else
int main(void)
{
	do_exit(floor_main());
}
#endif
