/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - who may make which system call, with which arguments, and why.
 *
 * Read docs/THREATS.md for what the roles are.  A new rule needs a reason
 * that names the code that makes the call; "rare" says that runs without a
 * special event (a signal, a missing vDSO) do not make it, so a test that
 * looks for unused rules leaves it alone.
 */
#include "sandbox/policy.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define ALL   0
#define X86   POLICY_X86_64
#define ARM   POLICY_ARM64
#define PPC   POLICY_PPC64LE
#define USUAL false
#define RARE  true
#define ANY                                                                    \
	{                                                                      \
		{                                                              \
			0, NULL, NULL                                          \
		}                                                              \
	} /* arguments */

/* clang-format off */

/*
 * One vCPU thread: KVM_RUN on its own descriptor and what it takes to stop,
 * sleep and end.  No memory, no files, no other ioctl.
 */
#define VCPU_RULES                                                             \
	{"ioctl", {{0, NULL, "@vcpu"}, {1, NULL, "KVM_RUN"}}, ALL, USUAL, \
	 "vcpu/run.c: run the guest; on this vCPU and no other"}, \
	{"ioctl", {{0, NULL, "@vcpu"}, {1, NULL, "KVM_SET_REGS"}}, PPC, RARE, \
	 "arch/ppc64le/kvm_papr.c: its registers at RTAS start-cpu"}, \
	{"ioctl", {{0, NULL, "@vcpu"}, {1, NULL, "KVM_SET_ONE_REG"}}, PPC, RARE, \
	 "arch/ppc64le/kvm_papr.c: its LPCR by H_SET_MODE"}, \
	{"ioctl", {{0, NULL, "@vm"}, {1, NULL, "KVM_PPC_CONFIGURE_V3_MMU"}}, PPC, RARE, \
	 "arch/ppc64le/kvm_radix.c: a process table by H_REGISTER_PROC_TBL"}, \
	{"ioctl", {{0, NULL, "@irq"}, {1, NULL, "KVM_SET_DEVICE_ATTR"}}, PPC, RARE, \
	 "arch/ppc64le/kvm_xive.c: where interrupts go, by the H_INT_ calls"}, \
	{"ioctl", {{0, NULL, "@irq"}, {1, NULL, "KVM_GET_DEVICE_ATTR"}}, PPC, RARE, \
	 "arch/ppc64le/kvm_xive.c: an event queue, by H_INT_GET_QUEUE_CONFIG"}, \
	{"write", {{0, NULL, "@events"}, {2, NULL, "8"}}, ALL, USUAL, \
	 "base/event.c: wake the VM thread"}, \
	{"rt_sigtimedwait", {{3, NULL, "SIGSET_SIZE"}}, ALL, USUAL, \
	 "vcpu/park.c: take the kick signal without a handler"}, \
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_PRIVATE"}}, ALL, USUAL, \
	 "glibc: wait for a contended device or vCPU lock"}, \
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_BITSET_PRIVATE"}}, ALL, USUAL, \
	 "glibc: pthread_cond_wait while parked, paced or asleep in HLT"}, \
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAKE_PRIVATE"}}, ALL, USUAL, \
	 "glibc: wake who waits for a lock or for the park"}, \
	{"rt_sigprocmask", {{3, NULL, "SIGSET_SIZE"}}, ALL, USUAL, \
	 "glibc: thread exit blocks signals"}, \
	{"madvise", {{2, NULL, "MADV_DONTNEED"}}, ALL, USUAL, \
	 "glibc: thread exit gives the used stack back"}, \
	{"exit", ANY, ALL, USUAL, \
	 "glibc: the end of the thread"}, \
	{"munmap", ANY, ALL, RARE, \
	 "glibc: thread exit unmaps stacks beyond its cache"}, \
	{"exit_group", ANY, ALL, RARE, \
	 "glibc: abort after a failed stack or heap check"}, \
	{"rt_sigreturn", ANY, ALL, RARE, \
	 "end of a handler that an embedder has for a fault"}, \
	{"clock_gettime", {{0, NULL, "CLOCK_MONOTONIC"}}, ALL, RARE, \
	 "vcpu/park.c: sleep until; where the vDSO can't tell"}, \
	{"restart_syscall", ANY, ALL, RARE, \
	 "kernel: goes on with a futex wait after SIGSTOP and SIGCONT"}, \

static const struct policy_rule vcpu_rules[] = {
	VCPU_RULES
	{"clock_gettime", {{0, NULL, "CLOCK_REALTIME"}}, PPC, RARE,
	 "arch/common/rtas.c: get-time-of-day; where the vDSO can't tell"},
};

/*
 * The one vCPU of a Solo5 guest does its I/O itself: on descriptors of its
 * own block, which hold its disks, its networks and its kick, and no others.
 */
static const struct policy_rule vcpu_hvt_rules[] = {
	VCPU_RULES
	{"pread64", {{0, "FD_BLOCK", "@block"}}, ALL, USUAL,
	 "devices/hvt.c: block_read"},
	{"pwrite64", {{0, "FD_BLOCK", "@block"}}, ALL, USUAL,
	 "devices/hvt.c: block_write"},
	{"read", {{0, "FD_BLOCK", "@block"}}, ALL, USUAL,
	 "devices/hvt.c: net_read; vcpu/park.c: take the kick"},
	{"write", {{0, "FD_BLOCK", "@block"}}, ALL, USUAL,
	 "devices/hvt.c: net_write"},
	{"ppoll", ANY, ALL, USUAL,
	 "devices/hvt.c: poll, on descriptors of memory no guest can write"},
	{"clock_gettime", {{0, NULL, "CLOCK_REALTIME"}}, ALL, RARE,
	 "devices/hvt.c: walltime; where the vDSO can't tell"},
};

/*
 * A guest with interrupts of devices: those that a vCPU's own access raises,
 * and where the guest wants them.
 */
static const struct policy_rule vcpu_dev_rules[] = {
	VCPU_RULES
	{"write", {{0, "FD_BLOCK", "@block"}, {2, NULL, "8"}}, ALL, USUAL,
	 "base/event.c: raise an interrupt; wake a thread of a device"},
	{"clock_gettime", {{0, NULL, "CLOCK_REALTIME"}}, ARM, RARE,
	 "devices/pl031.c: the wall clock; where the vDSO can't tell"},
	{"ioctl", {{0, NULL, "@vm"}, {1, NULL, "KVM_SET_GSI_ROUTING"}}, X86, USUAL,
	 "devices/irqroute.c: where interrupts go"},
	{"ioctl", {{0, NULL, "@vm"}, {1, NULL, "KVM_IRQFD"}}, X86, USUAL,
	 "devices/irqroute.c: KVM listens to them"},
};

/*
 * A guest with passed-through devices: what their interrupts and command
 * registers ask for, and accesses to what is not memory, on the devices'
 * descriptors, which are one block, and the VM's.
 */
static const struct policy_rule vcpu_pci_rules[] = {
	VCPU_RULES
	{"pread64", {{0, "FD_BLOCK", "@block"}}, X86, RARE,
	 "devices/vfio/bars.c: what can't be mapped of a device"},
	{"pwrite64", {{0, "FD_BLOCK", "@block"}}, X86, USUAL,
	 "devices/vfio: the same; the device's command register"},
	{"write", {{0, "FD_BLOCK", "@block"}, {2, NULL, "8"}}, X86, RARE,
	 "base/event.c: raise an interrupt; wake a thread of a device"},
	{"ioctl", {{0, "FD_BLOCK", "@block"}, {1, NULL, "VFIO_DEVICE_SET_IRQS"}}, X86, USUAL,
	 "devices/vfio/irqs.c: the guest switches its interrupts"},
	{"ioctl", {{0, NULL, "@vm"}, {1, NULL, "KVM_SET_GSI_ROUTING"}}, X86, USUAL,
	 "devices/irqroute.c: where they go"},
	{"ioctl", {{0, NULL, "@vm"}, {1, NULL, "KVM_IRQFD"}}, X86, USUAL,
	 "devices/irqroute.c: KVM listens to them"},
};

/*
 * Fills guest RAM that is touched for the first time (restore.memory=uffd).
 * It reads files that were open before, and can write nowhere but into
 * missing pages.
 */
static const struct policy_rule pager_rules[] = {
	{"poll", ANY, X86 | PPC, USUAL,
	 "memory/pager.c: wait for a fault or the end"},
	{"ppoll", ANY, ARM, USUAL,
	 "poll(3) on arm64, which has no poll system call"},
	{"restart_syscall", ANY, ALL, RARE,
	 "kernel: goes on with poll after SIGCONT"},
	{"read", {{0, NULL, "@uffd"}}, ALL, USUAL,
	 "memory/pager.c: which page is missing"},
	{"ioctl", {{0, NULL, "@uffd"}, {1, NULL, "UFFDIO_COPY"}}, ALL, USUAL,
	 "memory/pager.c: put pages there"},
	{"ioctl", {{0, NULL, "@uffd"}, {1, NULL, "UFFDIO_ZEROPAGE"}}, ALL, USUAL,
	 "memory/pager.c: put zeros there"},
	{"ioctl", {{0, NULL, "@uffd"}, {1, NULL, "UFFDIO_WAKE"}}, ALL, RARE,
	 "memory/pager.c: two waited for one page"},
	{"pread64", ANY, ALL, USUAL,
	 "snapshot/paged.c: the memory files of the snapshot and its parents"},
	{"write", {{0, NULL, "@events"}, {2, NULL, "8"}}, ALL, RARE,
	 "base/event.c: the snapshot is damaged"},
	{"tgkill", {{0, NULL, "@pid"}, {2, NULL, "@kick"}}, ALL, RARE,
	 "vcpu/park.c: then no vCPU goes on"},
	{"getpid", ANY, ALL, RARE,
	 "glibc: pthread_kill"},
	{"rt_sigprocmask", {{3, NULL, "SIGSET_SIZE"}}, ALL, USUAL,
	 "glibc: pthread_kill and thread exit hold signals back"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_PRIVATE"}}, ALL, RARE,
	 "glibc: wait for a contended lock"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAKE_PRIVATE"}}, ALL, RARE,
	 "glibc: wake who waits for a lock"},
	{"madvise", {{2, NULL, "MADV_DONTNEED"}}, ALL, USUAL,
	 "glibc: thread exit gives the used stack back"},
	{"munmap", ANY, ALL, RARE,
	 "glibc: thread exit unmaps stacks beyond its cache"},
	{"exit", ANY, ALL, USUAL,
	 "glibc: the end of the thread"},
	{"exit_group", ANY, ALL, RARE,
	 "glibc: abort after a failed stack or heap check"},
	{"rt_sigreturn", ANY, ALL, RARE,
	 "end of a handler that an embedder has for a fault"},
};

/*
 * Serves the virtio devices: data between guest RAM and descriptors of its own
 * block, which hold disks, taps, kicks and interrupts, and no others.
 */
static const struct policy_rule io_rules[] = {
	{"ppoll", ANY, ALL, USUAL,
	 "devices/virtio/io.c: wait for a kick, a frame or a moment"},
	{"restart_syscall", ANY, ALL, RARE,
	 "kernel: goes on with ppoll or a futex wait after SIGCONT"},
	{"clock_gettime", {{0, NULL, "CLOCK_MONOTONIC"}}, ALL, RARE,
	 "devices/virtio/io.c: rate limits; where the vDSO can't tell"},
	{"read", {{0, "FD_BLOCK", "@block"}, {2, NULL, "8"}}, ALL, USUAL,
	 "devices/virtio/io.c: take a kick"},
	{"write", {{0, "FD_BLOCK", "@block"}, {2, NULL, "8"}}, ALL, USUAL,
	 "devices/virtio/mmio.c: raise an interrupt"},
	{"preadv", {{0, "FD_BLOCK", "@block"}}, ALL, RARE,
	 "devices/virtio/blk.c: a read"},
	{"pwritev", {{0, "FD_BLOCK", "@block"}}, ALL, RARE,
	 "devices/virtio/blk.c: a write"},
	{"pwritev2", {{0, "FD_BLOCK", "@block"}}, ALL, RARE,
	 "devices/virtio/blk.c: a write that is on disk when it returns"},
	{"fdatasync", {{0, "FD_BLOCK", "@block"}}, ALL, RARE,
	 "devices/virtio/blk.c: a flush"},
	{"fallocate", {{0, "FD_BLOCK", "@block"}}, ALL, RARE,
	 "devices/virtio/blk.c: discard and write-zeroes"},
	{"readv", {{0, "FD_BLOCK", "@block"}}, ALL, RARE,
	 "devices/virtio/net.c: a frame for the guest"},
	{"writev", {{0, "FD_BLOCK", "@block"}}, ALL, RARE,
	 "devices/virtio/net.c: a frame of the guest's"},
	{"ioctl", {{0, "FD_BLOCK", "@block"}, {1, NULL, "TUNSETOFFLOAD"}}, ALL, RARE,
	 "devices/virtio/net.c: which frames the driver takes"},
	{"getrandom", ANY, ALL, RARE,
	 "devices/virtio/rng.c: bytes for the guest"},
	{"write", {{0, NULL, "@events"}, {2, NULL, "8"}}, ALL, RARE,
	 "base/event.c: wake the VM thread"},
	{"rt_sigprocmask", {{3, NULL, "SIGSET_SIZE"}}, ALL, USUAL,
	 "glibc: thread exit holds signals back"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_PRIVATE"}}, ALL, RARE,
	 "glibc: wait for a contended lock"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_BITSET_PRIVATE"}}, ALL, USUAL,
	 "glibc: pthread_cond_wait while the machine is paused"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAKE_PRIVATE"}}, ALL, USUAL,
	 "glibc: wake who waits for it to stand"},
	{"madvise", {{2, NULL, "MADV_DONTNEED"}}, ALL, USUAL,
	 "glibc: thread exit gives the used stack back"},
	{"munmap", ANY, ALL, RARE,
	 "glibc: thread exit unmaps stacks beyond its cache"},
	{"exit", ANY, ALL, USUAL,
	 "glibc: the end of the thread"},
	{"exit_group", ANY, ALL, RARE,
	 "glibc: abort after a failed stack or heap check"},
	{"rt_sigreturn", ANY, ALL, RARE,
	 "end of a handler that an embedder has for a fault"},
};

/*
 * The VM thread once everything is open: console, control socket, launcher
 * socket, pause and resume, snapshots into files that it was handed.  It
 * can't open, connect, fork, execute or make a descriptor but by receiving
 * one.
 */
static const struct policy_rule control_rules[] = {
	/* the loop */
	{"poll", ANY, X86 | PPC, USUAL,
	 "launch/vmproc.c: wait for console, sockets, events"},
	{"ppoll", ANY, ARM, USUAL,
	 "poll(3) on arm64, which has no poll system call"},
	{"read", ANY, ALL, USUAL,
	 "console input, eventfd; the hash table descriptor on ppc64le"},
	{"write", ANY, ALL, USUAL,
	 "console output, log lines, eventfd"},
	{"clock_gettime", ANY, ALL, RARE,
	 "time-outs; the wall clock of a clone; where the vDSO can't tell"},
	{"restart_syscall", ANY, ALL, RARE,
	 "kernel: goes on with poll or a futex wait after SIGCONT"},

	{"getrusage", {{0, NULL, "RUSAGE_SELF"}}, ALL, RARE,
	 "launch/meter.c: page faults of this process, a metric"},

	/* sockets: all of them exist or come by accept */
	{"accept4", {{3, NULL, "ACCEPT_FLAGS"}}, ALL, RARE,
	 "launch/control.c, console.c: a client of either socket"},
	{"getsockopt", {{1, NULL, "SOL_SOCKET"}, {2, NULL, "SO_PEERCRED"}}, ALL, RARE,
	 "launch/control.c: who is that client"},
	{"recvmsg", {{2, NULL, "MSG_CMSG_CLOEXEC"}}, ALL, RARE,
	 "base/fd.c: requests, and the files of a snapshot"},
	{"sendmsg", {{2, NULL, "MSG_NOSIGNAL"}}, ALL, USUAL,
	 "base/fd.c: ask the launcher, report the result"},
	{"sendto", {{3, "MSG_NOT_MORE", "MSG_NOSIGNAL"}, {5, NULL, "0"}}, ALL, RARE,
	 "launch/control.c: replies, console.c: busy; to the peer only"},
	{"close", ANY, ALL, USUAL,
	 "clients that leave, files of a snapshot, teardown"},
	{"fcntl", {{1, NULL, "F_DUPFD_CLOEXEC"}}, ALL, USUAL,
	 "base/fdroom.c: placeholders where no descriptor is to come"},

	/* snapshots */
	{"pwrite64", ANY, ALL, RARE,
	 "snapshot/*.c: memory, state, manifest"},
	{"pwritev", ANY, ALL, RARE,
	 "snapshot/diff.c: the pages that changed"},
	{"pread64", ANY, ALL, RARE,
	 "memory/diverge.c: the page map; snapshot/*.c: a parent's pages, digests"},
	{"ioctl", {{1, NULL, "PAGEMAP_SCAN"}}, ALL, RARE,
	 "memory/diverge.c: which pages left the file they are mapped from"},
	{"ftruncate", ANY, ALL, RARE,
	 "snapshot/*.c: a memory file ends with a hole"},

	/* memory of our own, never executable, never from a file */
	{"mmap", {{2, "PROT_EXEC", "0"}, {3, "MAP_KIND", "MAP_OWN"}}, ALL, RARE,
	 "glibc: malloc of more than 128 KiB (state, digests); memory/sigbus.c"},
	{"munmap", ANY, ALL, USUAL,
	 "glibc: free of the same; guest RAM at the end"},
	{"mremap", {{3, "MREMAP_NOT_MAYMOVE", "0"}}, ALL, RARE,
	 "glibc: realloc of the same"},
	{"mprotect", {{2, "PROT_EXEC", "0"}}, ALL, RARE,
	 "glibc: malloc grows an arena of a thread but the first"},
	{"brk", ANY, ALL, USUAL,
	 "glibc: malloc"},
	{"madvise", {{2, NULL, "MADV_DONTNEED"}}, ALL, RARE,
	 "glibc: stacks of joined threads, a heap that shrinks"},
	{"madvise", {{2, NULL, "MADV_POPULATE_WRITE"}}, PPC, RARE,
	 "arch/ppc64le/kvm_hpt.c: pages for what a table holds"},
	{"getrandom", ANY, ALL, RARE,
	 "vm.c: a new identity at the first run; json-c's hash seed"},

	/* threads: kick and join those that exist */
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_PRIVATE"}}, ALL, USUAL,
	 "glibc: wait for a contended lock"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_BITSET_PRIVATE"}}, ALL, USUAL,
	 "glibc: pthread_cond_wait until a vCPU is parked"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAKE_PRIVATE"}}, ALL, USUAL,
	 "glibc: wake a vCPU thread"},
	{"futex", {{1, "FUTEX_NO_CLOCK", "FUTEX_WAIT_BITSET"}}, ALL, USUAL,
	 "glibc: pthread_join; the kernel wakes the thread id as shared"},
	{"tgkill", {{0, NULL, "@pid"}, {2, NULL, "@kick"}}, ALL, USUAL,
	 "vcpu/park.c: kick a vCPU of this process, with no other signal"},
	{"getpid", ANY, ALL, USUAL,
	 "glibc: pthread_kill"},
	{"rt_sigprocmask", {{3, NULL, "SIGSET_SIZE"}}, ALL, USUAL,
	 "glibc: pthread_kill holds signals back"},
	{"rt_sigreturn", ANY, ALL, RARE,
	 "end of a signal handler of the embedder"},
	{"exit", ANY, ALL, RARE,
	 "glibc: the end of an embedder's VM thread"},
	{"exit_group", ANY, ALL, USUAL,
	 "the end of the process"},

	/* KVM: read the state of a parked machine */
	{"ioctl", {{1, NULL, "KVM_CHECK_EXTENSION"}}, ALL, RARE,
	 "snapshot: which state exists here, its sizes"},
	{"ioctl", {{1, NULL, "KVM_GET_DIRTY_LOG"}}, ALL, RARE,
	 "memory/dirty.c: pages the guest wrote"},
	{"ioctl", {{1, NULL, "KVM_CLEAR_DIRTY_LOG"}}, X86 | ARM, RARE,
	 "memory/dirty.c: those pages count again (dirty_tracking=bitmap)"},
	{"ioctl", {{1, NULL, "KVM_RESET_DIRTY_RINGS"}}, X86 | ARM, RARE,
	 "memory/ring.c: so do those of the rings (dirty_tracking=ring)"},
	{"ioctl", {{1, NULL, "KVM_SET_USER_MEMORY_REGION"}}, ALL, RARE,
	 "memory/memslot.c: the log of written pages, on and off"},
	{"ioctl", {{1, NULL, "KVM_GET_MP_STATE"}}, X86 | ARM, RARE,
	 "snapshot: is the vCPU started or halted"},
	{"ioctl", {{1, NULL, "KVM_GET_REGS"}}, X86 | PPC, RARE,
	 "snapshot: general registers"},
	{"ioctl", {{1, NULL, "KVM_GET_SREGS"}}, X86 | PPC, RARE,
	 "snapshot: segments, control registers; SLB and SDR1 on ppc64le"},
	{"ioctl", {{1, NULL, "KVM_GET_ONE_REG"}}, ARM | PPC, RARE,
	 "snapshot: every register"},
	{"ioctl", {{1, NULL, "KVM_GET_REG_LIST"}}, ARM, RARE,
	 "snapshot: which registers exist"},
	{"ioctl", {{1, NULL, "KVM_GET_VCPU_EVENTS"}}, X86 | ARM, RARE,
	 "snapshot: pending exceptions and interrupts"},
	{"ioctl", {{1, NULL, "KVM_GET_DEVICE_ATTR"}}, ARM | PPC, RARE,
	 "snapshot: the interrupt controller"},
	{"ioctl", {{1, NULL, "KVM_PPC_GET_HTAB_FD"}}, PPC, RARE,
	 "snapshot: stream of the hash page table"},
	{"ioctl", {{1, NULL, "KVM_GET_MSR_INDEX_LIST"}}, X86, RARE,
	 "snapshot: which MSRs exist"},
	{"ioctl", {{1, NULL, "KVM_GET_MSRS"}}, X86, RARE,
	 "snapshot: MSRs"},
	{"ioctl", {{1, NULL, "KVM_GET_XSAVE"}}, X86, RARE,
	 "snapshot: FPU and vectors before KVM_CAP_XSAVE2"},
	{"ioctl", {{1, NULL, "KVM_GET_XSAVE2"}}, X86, RARE,
	 "snapshot: FPU, vectors, AMX"},
	{"ioctl", {{1, NULL, "KVM_GET_XCRS"}}, X86, RARE,
	 "snapshot: XCR0"},
	{"ioctl", {{1, NULL, "KVM_GET_LAPIC"}}, X86, RARE,
	 "snapshot: the local APIC"},
	{"ioctl", {{1, NULL, "KVM_GET_DEBUGREGS"}}, X86, RARE,
	 "snapshot: DR0 to DR7"},
	{"ioctl", {{1, NULL, "KVM_GET_CLOCK"}}, X86, RARE,
	 "snapshot: the paravirtual clock"},

	/* passed-through devices: still, saved, closed */
	{"ioctl", {{1, NULL, "VFIO_DEVICE_SET_IRQS"}}, X86, RARE,
	 "devices/vfio/irqs.c: no interrupts after the end"},
	{"ioctl", {{1, NULL, "VFIO_DEVICE_RESET"}}, X86, RARE,
	 "devices/vfio/function.c: no DMA after the end"},
	{"ioctl", {{1, NULL, "VFIO_DEVICE_FEATURE"}}, X86, RARE,
	 "devices/vfio: the device's state; what it wrote"},
	{"ioctl", {{1, NULL, "VFIO_PRECOPY_INFO"}}, X86, RARE,
	 "devices/vfio/migration.c: how much of its state is to come"},
	{"ioctl", {{1, NULL, "VFIO_IOMMU_DIRTY_PAGES"}}, X86, RARE,
	 "devices/vfio: pages that devices wrote"},
	{"ioctl", {{1, NULL, "VFIO_IOMMU_UNMAP_DMA"}}, X86, RARE,
	 "devices/vfio: RAM is no longer theirs"},
	{"ioctl", {{1, NULL, "VFIO_DETACH_PT"}}, X86, RARE,
	 "devices/vfio/iommufd.c: the device leaves the machine's addresses"},
	{"ioctl", {{1, NULL, "IOMMU_IOAS_UNMAP"}}, X86, RARE,
	 "devices/vfio/iommufd.c: RAM is no longer theirs"},
	{"ioctl", {{1, NULL, "IOMMU_DESTROY"}}, X86, RARE,
	 "devices/vfio/iommufd.c: page tables at the end"},
	{"ioctl", {{1, NULL, "IOMMU_SET_DIRTY"}}, X86, RARE,
	 "devices/vfio/iommufd.c: log what devices write"},
	{"ioctl", {{1, NULL, "IOMMU_GET_DIRTY"}}, X86, RARE,
	 "devices/vfio/iommufd.c: what they wrote"},
	{"ioctl", {{1, NULL, "KVM_IRQFD"}}, X86, RARE,
	 "devices/irqroute.c: interrupts off"},

	{"ioctl", {{1, NULL, "KVM_SET_GSI_ROUTING"}}, X86, RARE,
	 "devices/irqroute.c: where interrupts go, as loaded by a rewind"},

	/* KVM: what is held as loaded until the first run (arch_*_commit) */
	{"ioctl", {{1, NULL, "KVM_SET_CLOCK"}}, X86, RARE,
	 "commit: the paravirtual clock goes on from here"},
	{"ioctl", {{1, NULL, "KVM_SET_MSRS"}}, X86, RARE,
	 "commit: the TSC goes on from here"},
	{"ioctl", {{1, NULL, "KVM_SET_LAPIC"}}, X86, RARE,
	 "commit: the local APIC's timer goes on from here"},
	{"ioctl", {{1, NULL, "KVM_SET_ONE_REG"}}, ARM | PPC, RARE,
	 "commit: the virtual counter goes on from here"},

	/* a rewind: registers go back to the snapshot's */
	{"ioctl", {{1, NULL, "KVM_SET_MP_STATE"}}, X86 | ARM, RARE,
	 "rewind: started or halted"},
	{"ioctl", {{1, NULL, "KVM_SET_VCPU_EVENTS"}}, X86 | ARM, RARE,
	 "rewind: pending exceptions and interrupts"},
	{"ioctl", {{1, NULL, "KVM_SET_DEVICE_ATTR"}}, PPC, RARE,
	 "rewind: the sources of the interrupt controller; a save waits for XIVE"},
	{"ioctl", {{1, NULL, "KVM_PPC_CONFIGURE_V3_MMU"}}, PPC, RARE,
	 "rewind: the process table of a radix guest"},
	{"ioctl", {{1, NULL, "KVM_SET_REGS"}}, X86 | PPC, RARE,
	 "rewind: general registers"},
	{"ioctl", {{1, NULL, "KVM_SET_SREGS"}}, X86 | PPC, RARE,
	 "rewind: segments, control registers; SLB and SDR1 on ppc64le"},
	{"ioctl", {{1, NULL, "KVM_SET_XSAVE"}}, X86, RARE,
	 "rewind: FPU, vectors, AMX"},
	{"ioctl", {{1, NULL, "KVM_SET_XCRS"}}, X86, RARE,
	 "rewind: XCR0"},
	{"ioctl", {{1, NULL, "KVM_SET_DEBUGREGS"}}, X86, RARE,
	 "rewind: DR0 to DR7"},
};

/*
 * Sanitizers run their own allocator, symbolizer and reports inside our
 * threads.  Only a build with SAN= has these rules; it is no product.
 */
static const struct policy_rule sanitizer_rules[] = {
	{"mmap", ANY, ALL, USUAL,
	 "sanitizer: shadow memory and its allocator"},
	{"munmap", ANY, ALL, USUAL,
	 "sanitizer: its allocator"},
	{"mremap", ANY, ALL, USUAL,
	 "sanitizer: its allocator"},
	{"mprotect", ANY, ALL, USUAL,
	 "sanitizer: guard pages of its allocator"},
	{"madvise", ANY, ALL, USUAL,
	 "sanitizer: gives shadow memory back"},
	{"futex", ANY, ALL, USUAL,
	 "sanitizer: its own locks"},
	{"write", ANY, ALL, USUAL,
	 "sanitizer: the report"},
	{"sigaltstack", ANY, ALL, USUAL,
	 "sanitizer: thread exit drops the signal stack"},
	{"sched_yield", ANY, ALL, USUAL,
	 "sanitizer: spin locks"},
	{"gettid", ANY, ALL, USUAL,
	 "sanitizer: names threads in reports"},
	{"getpid", ANY, ALL, USUAL,
	 "sanitizer: names the process in reports"},
	{"prctl", ANY, ALL, USUAL,
	 "sanitizer: names of threads and mappings"},
	{"rt_sigaction", ANY, ALL, USUAL,
	 "sanitizer: fault handlers"},
	{"clone", ANY, ALL, USUAL,
	 "LeakSanitizer: the tracer at exit"},
	{"wait4", ANY, ALL, USUAL,
	 "LeakSanitizer: waits for its tracer"},
	{"openat", ANY, ALL, USUAL,
	 "sanitizer: /proc/self/maps for the report"},
	{"read", ANY, ALL, USUAL,
	 "sanitizer: /proc/self/maps for the report"},
	{"close", ANY, ALL, USUAL,
	 "sanitizer: /proc/self/maps for the report"},
	{"readlink", ANY, X86 | PPC, USUAL,
	 "sanitizer: /proc/self/exe for the report"},
	{"readlinkat", ANY, ALL, USUAL,
	 "sanitizer: /proc/self/exe for the report"},
	{"getrandom", ANY, ALL, USUAL,
	 "sanitizer: seeds of its allocator"},
	{"clock_gettime", ANY, ALL, USUAL,
	 "sanitizer: when to release memory"},
};

/* clang-format on */

#define POLICY(id, rules)                                                      \
	{                                                                      \
		id, rules, ARRAY_SIZE(rules)                                   \
	}

const struct policy *policy_of(enum sandbox_role role)
{
	static const struct policy policies[SANDBOX_ROLES] = {
		[SANDBOX_VCPU] = POLICY("vcpu", vcpu_rules),
		[SANDBOX_VCPU_HVT] = POLICY("vcpu_hvt", vcpu_hvt_rules),
		[SANDBOX_VCPU_DEV] = POLICY("vcpu_dev", vcpu_dev_rules),
		[SANDBOX_VCPU_PCI] = POLICY("vcpu_pci", vcpu_pci_rules),
		[SANDBOX_PAGER] = POLICY("pager", pager_rules),
		[SANDBOX_IO] = POLICY("io", io_rules),
		[SANDBOX_CONTROL] = POLICY("control", control_rules),
	};

	return &policies[role];
}

const struct policy *policy_sanitizer(void)
{
	static const struct policy sanitizer =
		POLICY("sanitizer", sanitizer_rules);

	return &sanitizer;
}
