/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - what a process and its threads give up before a guest runs.
 *
 * The jail hits the whole process and is entered only in a process that
 * was made for one VM; filters hit the calling thread.  The order is that
 * of docs/ARCHITECTURE.md.  Filters are generated at build time from the
 * one table in policy.c, with libseccomp, as BPF with placeholders for
 * descriptor numbers that sandbox_filter_load patches.
 */
#ifndef VMM_SANDBOX_SANDBOX_H
#define VMM_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

struct mote_err;
struct timeline;

enum sandbox_role {
	SANDBOX_VCPU,	  /* runs KVM_RUN on its own descriptor, no more */
	SANDBOX_VCPU_HVT, /* that, and the I/O of a Solo5 guest's calls */
	SANDBOX_VCPU_DEV, /* that of the first, and interrupts of devices */
	SANDBOX_VCPU_PCI, /* or the slow paths of passed-through devices */
	SANDBOX_PAGER,	  /* fills RAM that is touched, from a snapshot */
	SANDBOX_IO,	  /* virtio devices: on their descriptors, no more */
	SANDBOX_CONTROL,  /* the VM thread: console, control, snapshot */
	SANDBOX_ROLES,
};

/* What to do with a call that the table does not allow. */
enum sandbox_mode {
	SANDBOX_KILL,
	SANDBOX_ERRNO,
	SANDBOX_LOG,
};

/* Descriptors that take the place of placeholders; -1: never matches. */
enum sandbox_fd {
	SANDBOX_FD_VCPU,   /* this vCPU */
	SANDBOX_FD_EVENTS, /* the VM's eventfd */
	SANDBOX_FD_BLOCK,  /* the first of a block for devices: fd_gather */
	SANDBOX_FD_UFFD,   /* the pager's userfaultfd */
	SANDBOX_FD_VM,	   /* the VM */
	SANDBOX_FD_IRQ,	   /* an interrupt controller that vCPUs set up */
	SANDBOX_FDS,
};

/*
 * Put the role's filter on the calling thread; no-new-privs must be set
 * (it is set here too, per thread).  No allocation.  0 or -errno.
 */
int sandbox_filter_load(enum sandbox_role role, enum sandbox_mode mode,
			const int fd[SANDBOX_FDS]);

enum jail_layer {
	JAIL_FDS = 1 << 0,
	JAIL_ROOT = 1 << 1,
	JAIL_LIMITS = 1 << 2,
	JAIL_CAPS = 1 << 3,
	JAIL_NO_NEW_PRIVS = 1 << 4,
	JAIL_MDWE = 1 << 5,
	JAIL_LANDLOCK = 1 << 6,
	JAIL_USER = 1 << 7,
};

struct jail_options {
	bool require;	   /* a layer that can't be applied is an error */
	bool new_root;	   /* we are in a mount namespace of our own */
	uint32_t uid, gid; /* to become when root */
	const int *keep_fds;
	int keep_count;
	uint64_t lock_bytes; /* how much memory may be locked or pinned later */
	unsigned int more_fds; /* to be made, beside what every VM has */
	bool no_landlock;      /* leave that layer out, in jail_report too */
	struct timeline *timeline; /* a mark after each step; may be NULL */
};

#define JAIL_MISSING_MAX 512

struct jail_report {
	unsigned int layers; /* enum jail_layer: applied and read back */
	char missing[JAIL_MISSING_MAX]; /* "landlock: not in this kernel; ..."
					 */
};

/*
 * Enter the jail: descriptors, root, limits, ids, capabilities (dropped and
 * read back), no-new-privs, MDWE, Landlock.  Only in a process with one
 * thread (-EINVAL).  Opening /proc/self/pagemap and the like comes before.
 * A layer that this kernel does not have is in report->missing; any other
 * failure, and that too with require, is an error: end the process.
 */
int jail_enter(const struct jail_options *opt, struct jail_report *report,
	       struct mote_err *err);

/*
 * Once the machine is built: no descriptors but a few to be received, which
 * base/fdroom.h makes room for.  Just before the filter of the VM thread.
 */
int jail_lock(struct mote_err *err);

#endif
