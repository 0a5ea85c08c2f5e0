/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.h - the whole machine: owns everything, knows its states.
 *
 * Threads: one VM thread (whoever calls) does all of this; vCPU threads
 * reach the machine only through the bus and the event queue.  Teardown
 * order: vCPU threads, vCPU descriptors, devices, interrupt controller and
 * hash table descriptors, the VM's descriptor, and only then guest RAM.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/err.h"
#include "base/event.h"
#include "base/log.h"
#include "base/trigger.h"
#include "devices/chardev.h"
#include "devices/device.h"
#include "devices/irqroute.h"
#include "memory/bus.h"
#include "memory/memslot.h"
#include "memory/pager.h"
#include "memory/track.h"
#include "vcpu/vcpu.h"

struct passthrough;
struct timeline;
struct virtio_io;
struct vm_config;

#define VM_VCPUS_MAX   64
#define VM_DEVICES_MAX 48

/* A snapshot that the machine came from or was saved to. */
struct vm_reference {
	char name[208]; /* of its folder; "": none, or not known */
	uint8_t digest[16];
};

enum vm_state {
	VM_BUILT, /* nothing has run */
	VM_RUNNING,
	VM_PAUSED,
	VM_ENDED, /* the guest is over; how: vm->end */
};

enum vm_end {
	VM_END_NONE,
	VM_END_EXIT,   /* the guest ended itself with exit_code */
	VM_END_RESET,  /* it asked for a reset */
	VM_END_CRASH,  /* it can't go on: err says why */
	VM_END_KILLED, /* we were told to end it */
};

/* What one snapshot took; times of CLOCK_MONOTONIC. */
struct vm_save {
	uint64_t ns;
	uint64_t bytes;	      /* written into the memory file */
	int64_t pages;	      /* of a diff: that changed; -1: a full one */
	int64_t pause_ns;     /* -1: the guest has not run since */
	int64_t predicted_ns; /* what it was to be; -1: nobody said */
};

struct vm_snapshots {
	uint64_t taken, failed;
	struct vm_save last; /* that was taken */
	uint64_t paused_at;  /* begin of this pause, 0: the guest runs */
	bool in_this_pause;  /* last was taken, so its pause_ns is to come */
};

#define VM_FILES_MAX 2 /* a snapshot's memory, its hot set */

struct vm_file {
	int fd;
	uint64_t len;
};

struct vm {
	const struct vm_config *cfg; /* borrowed, outlives the VM */
	struct log log;
	struct timeline *timeline; /* may be NULL */
	int kvm_fd, vm_fd;
	struct arch_vm arch;
	struct memslot_table slots;
	struct pager *pager; /* fills the slots; or NULL */
	atomic_bool lost;    /* RAM whose file was cut short: sigbus.h */
	atomic_bool
		io_failed; /* the I/O thread has no filter: it does nothing */
	struct vm_file file[VM_FILES_MAX]; /* that RAM is mapped from */
	int files;
	int watched[MEMSLOT_MAX];
	int (*pager_enter)(void *opaque, int uffd, int events_fd);
	uint64_t *brought_in; /* pages that are ours by a hot set; or NULL */
	struct hot_rest *hot_rest; /* of it that is still to come; or NULL */
	struct track track;
	struct vm_reference reference; /* what track counts from */
	struct vm_reference saving;    /* ... once it is kept */
	char cpu_model[64]; /* for manifests; "": not asked for yet */
	struct vm_snapshots snapshots;
	struct bus bus;
	struct event_queue events;
	struct chardev console;
	struct trigger trigger; /* of [snapshot] ready; env.trigger, or none */
	struct vcpu_env env;

	pthread_mutex_t table_lock; /* the vCPU table */
	struct vcpu *vcpu[VM_VCPUS_MAX];
	uint32_t vcpus;
	struct vcpu *unplugged[VM_VCPUS_MAX]; /* parked, descriptor kept */
	uint32_t unpluggeds;

	struct device *device[VM_DEVICES_MAX];
	uint32_t devices;
	struct device *event_device;	 /* of the mote contract, or NULL */
	struct device *hvt;		 /* of the Solo5 contract, or NULL */
	struct device *ioapic;		 /* interrupts of devices, or NULL */
	struct passthrough *passthrough; /* devices of the host, or NULL */
	struct virtio_io *virtio;	 /* its I/O thread, or NULL */
	int (*io_enter)(void *opaque, int fds, int events_fd);
	struct irqroutes irqroutes; /* of ioapic and passthrough */
	int irq_fd[VM_DEVICES_MAX]; /* eventfds that build_irqfd made */
	int irq_fds;
	int generation_fd; /* raises what tells of a new id, or -1 */
	bool identity;	   /* the guest can tell clones apart */
	int device_fds; /* a block that vCPU threads use (fd_gather), or -1 */
	int device_fds_used; /* how many of it */

	enum vm_state state;
	enum vm_end end;
	int exit_code;
	struct mote_err err;   /* why it crashed */
	bool ready;	       /* the mark was written */
	bool due;	       /* the moment of [snapshot] ready has come */
	int64_t after_ms;      /* ... comes so long after the start; -1 */
	uint64_t due_at_ns;    /* ... at that time; 0: not known yet */
	bool threads;	       /* vCPU threads exist */
	bool committed;	       /* clocks and generation page are live */
	bool loaded;	       /* from a snapshot */
	int restored;	       /* ... how: enum restore_memory, not auto */
	bool console_blocked;  /* its reader takes nothing at the moment */
	int dispatch_again_ms; /* when vm_dispatch wants to run again, or -1 */
};

/*
 * RAM is mapped from a file: be told of accesses to what was cut off; look
 * whether it has its len bytes still (fd is borrowed, and outlives the VM).
 * Cutting it drops also the pages that the guest wrote, without a word.
 */
void vm_watch_memory(struct vm *vm);
void vm_add_file(struct vm *vm, int fd, uint64_t len);

/* 0, or -EIO and why: what RAM holds means nothing; the guest is over. */
int vm_memory_lost(struct vm *vm, struct mote_err *err);

/* A reference to the vCPU with that KVM id, or NULL. */
struct vcpu *vm_vcpu_get(struct vm *vm, uint32_t id);

/*
 * Take a vCPU out of the machine, or put it back.  Closing it and creating
 * the id again would give EEXIST, so it stays parked outside the table.
 * The last vCPU stays in.  -ENOENT: no such vCPU (plugged, unplugged).
 */
int vm_vcpu_unplug(struct vm *vm, uint32_t id, struct mote_err *err);
int vm_vcpu_replug(struct vm *vm, uint32_t id, struct mote_err *err);

/*
 * Create the vCPU threads; parked when paused, else the guest runs.  After
 * a failure nothing has run and no thread is left; it may be tried again.
 */
int vm_start(struct vm *vm, bool paused, struct mote_err *err);

/* Bring all vCPUs to a safe point; fine when already paused. */
int vm_pause(struct vm *vm, struct mote_err *err);
int vm_resume(struct vm *vm, struct mote_err *err);

/*
 * Around loading a snapshot into a machine that has run (vcpu_env.keep):
 * stop it wherever it is and forget its end; then what comes next is as
 * after its first load, paused.  -ESRCH: it was killed.  *crashed: a vCPU
 * could not go on, whether that was dispatched or not.  failed: it can't be
 * used any more but to be destroyed.
 */
int vm_rewind_begin(struct vm *vm, bool *crashed, struct mote_err *err);
void vm_rewind_end(struct vm *vm, const struct mote_err *failed);

/* Other descriptors for the console: chardev_attach. */
void vm_console_attach(struct vm *vm, int in_fd, int out_fd);

/* Wake vCPUs that sleep in the guest's WAIT. */
void vm_nudge(struct vm *vm);

/* pager_ops.failed: the guest is over and no vCPU goes on.  Pager thread. */
void vm_pager_failed(void *opaque);

/* Tell the guest to end (docs/GUEST-ABI.md, STOP). */
void vm_ask_stop(struct vm *vm);

/* End it now; the state becomes VM_ENDED. */
void vm_kill(struct vm *vm);

/*
 * Of a guest that has ended: every vCPU is out of it for good, with whole
 * registers.  -ESRCH unless [snapshot] when is exit and it ended by itself:
 * the last instruction of another may be half done.
 */
int vm_settle(struct vm *vm, struct mote_err *err);

/* When vm_dispatch wants to run again, ms from now; -1: it does not. */
int vm_timeout(const struct vm *vm);

/*
 * Take what vCPUs and devices posted; call when events.fd is readable or
 * the time of vm_timeout is over.
 */
void vm_dispatch(struct vm *vm);

/* Stop everything and give all back; NULL is fine. */
void vm_destroy(struct vm *vm);

#endif
