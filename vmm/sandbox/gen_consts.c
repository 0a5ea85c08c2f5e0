/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_consts.c - the target's numbers for names that policy.c uses.
 *
 * Compiled to assembly with the target's compiler and headers, never run:
 * gen_filter reads the "->NAME value" markers from the text.  ioctl numbers
 * differ: powerpc encodes the direction in other bits than x86 and arm.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/scan.h"

/* In .ascii, because clang parses what it prints; %0 may begin with $ or #. */
#define NAMED(name, value)                                                     \
	__asm__ volatile("\n.ascii \"->" name " %0\""                          \
			 :                                                     \
			 : "i"((long)(unsigned int)(value)))
#define CONST(name) NAMED(#name, name)

void gen_consts(void);

void gen_consts(void)
{
	CONST(CLOCK_MONOTONIC);
	CONST(CLOCK_REALTIME);
	CONST(RUSAGE_SELF);
	NAMED("FD_BLOCK", ~63);	 /* FD_BLOCK numbers, aligned */
	NAMED("SIGSET_SIZE", 8); /* the kernel's, not sizeof(sigset_t) */

	NAMED("FUTEX_NO_CLOCK", ~FUTEX_CLOCK_REALTIME);
	CONST(FUTEX_WAIT_PRIVATE);
	CONST(FUTEX_WAKE_PRIVATE);
	CONST(FUTEX_WAIT_BITSET_PRIVATE);
	CONST(FUTEX_WAIT_BITSET);

	CONST(F_DUPFD_CLOEXEC);
	CONST(PROT_EXEC);
	CONST(MADV_DONTNEED);
	CONST(MADV_POPULATE_WRITE);
	NAMED("MAP_KIND", MAP_TYPE | MAP_ANONYMOUS | MAP_HUGETLB);
	NAMED("MAP_OWN", MAP_PRIVATE | MAP_ANONYMOUS);
	NAMED("MREMAP_NOT_MAYMOVE", ~MREMAP_MAYMOVE);

	NAMED("ACCEPT_FLAGS", SOCK_CLOEXEC | SOCK_NONBLOCK);
	CONST(SOL_SOCKET);
	CONST(SO_PEERCRED);
	CONST(MSG_CMSG_CLOEXEC);
	CONST(MSG_NOSIGNAL);
	NAMED("MSG_NOT_MORE", ~MSG_MORE);

	CONST(VFIO_DEVICE_SET_IRQS);
	CONST(VFIO_DEVICE_RESET);
	CONST(VFIO_DEVICE_FEATURE);
	CONST(VFIO_IOMMU_DIRTY_PAGES);
	CONST(VFIO_IOMMU_UNMAP_DMA);
	/* Newer than Debian 12's headers: Linux 6.2, 6.6, 6.7. */
	NAMED("VFIO_DETACH_PT", _IO(VFIO_TYPE, VFIO_BASE + 20));
	NAMED("VFIO_PRECOPY_INFO", _IO(VFIO_TYPE, VFIO_BASE + 21));
	NAMED("IOMMU_DESTROY", _IO(';', 0x80));
	NAMED("IOMMU_IOAS_UNMAP", _IO(';', 0x86));
	NAMED("IOMMU_SET_DIRTY", _IO(';', 0x8b));
	NAMED("IOMMU_GET_DIRTY", _IO(';', 0x8c));
	CONST(TUNSETOFFLOAD);
	CONST(KVM_SET_GSI_ROUTING);
	CONST(KVM_IRQFD);

	CONST(KVM_RUN);
	CONST(KVM_CHECK_EXTENSION);
	CONST(KVM_GET_DIRTY_LOG);
	CONST(KVM_CLEAR_DIRTY_LOG);
	CONST(KVM_RESET_DIRTY_RINGS);
	CONST(KVM_SET_USER_MEMORY_REGION);
	NAMED("PAGEMAP_SCAN", SCAN);
	CONST(UFFDIO_COPY);
	CONST(UFFDIO_ZEROPAGE);
	CONST(UFFDIO_WAKE);
	CONST(KVM_GET_MP_STATE);
	CONST(KVM_SET_MP_STATE);
	CONST(KVM_GET_ONE_REG);
	CONST(KVM_SET_ONE_REG);
	CONST(KVM_GET_REG_LIST);
	CONST(KVM_GET_DEVICE_ATTR);
	CONST(KVM_SET_DEVICE_ATTR);
	CONST(KVM_GET_REGS);
	CONST(KVM_GET_SREGS);
	CONST(KVM_SET_REGS);
	CONST(KVM_SET_SREGS);
	CONST(KVM_GET_CLOCK);
	CONST(KVM_SET_CLOCK);
#ifdef __KVM_HAVE_VCPU_EVENTS
	CONST(KVM_GET_VCPU_EVENTS);
	CONST(KVM_SET_VCPU_EVENTS);
#endif
#ifdef __powerpc64__
	CONST(KVM_PPC_CONFIGURE_V3_MMU);
	CONST(KVM_PPC_GET_HTAB_FD);
	/* libseccomp knows these as parts of socketcall only. */
	NAMED("call:accept4", __NR_accept4);
	NAMED("call:getsockopt", __NR_getsockopt);
	NAMED("call:recvmsg", __NR_recvmsg);
	NAMED("call:sendmsg", __NR_sendmsg);
	NAMED("call:sendto", __NR_sendto);
#endif
#ifdef __x86_64__
	CONST(KVM_GET_MSR_INDEX_LIST);
	CONST(KVM_GET_MSRS);
	CONST(KVM_SET_MSRS);
	CONST(KVM_SET_LAPIC);
	CONST(KVM_GET_XSAVE);
	CONST(KVM_GET_XSAVE2);
	CONST(KVM_GET_XCRS);
	CONST(KVM_SET_XSAVE);
	CONST(KVM_SET_XCRS);
	CONST(KVM_SET_DEBUGREGS);
	CONST(KVM_GET_LAPIC);
	CONST(KVM_GET_DEBUGREGS);
#endif
}
