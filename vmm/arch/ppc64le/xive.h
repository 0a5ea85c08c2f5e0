/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xive.h - XIVE's native mode: the guest raises, takes and ends interrupts in
 * pages of its own, and by hypercalls only says where they go.
 *
 * Sources: Linux Documentation/virt/kvm/devices/xive.rst; LoPAR 14.5.4.8
 * (the H_INT_ calls).  A machine has one source for each vCPU, for those to
 * interrupt each other; their numbers are 0 and up.  KVM has no way to ask
 * where a source goes, so we remember it; its event queues lie in the guest's
 * RAM, where the host's hardware writes: KVM holds on to those pages, and the
 * memory behind them must not be exchanged while the machine lives.
 *
 * Threads: any vCPU's (H_INT_); the VM thread, vCPUs parked (all else).
 */
#ifndef VMM_ARCH_PPC64LE_XIVE_H
#define VMM_ARCH_PPC64LE_XIVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/map.h"

struct mote_err;
struct snap_reader;
struct snap_writer;

#define XIVE_SECTION	"ppc64-xive"
#define XIVE_PRIORITIES 7u /* 0 to 6; KVM keeps one for itself */
#define XIVE_MASKED	0xffu
#define XIVE_QUEUE_LOG2 16u /* bytes of an event queue, the only size */
#define XIVE_PQ_OFF	1u  /* a source that tells nobody */

/* Where a source's events go. */
struct xive_target {
	uint32_t server; /* of a vCPU: its number */
	uint32_t number; /* what the event says */
	uint8_t priority;
};

struct xive_queue {
	uint64_t gpa;
	uint32_t toggle, index;
	bool on;
};

struct xive {
	int vm_fd; /* borrowed */
	int fd;
	uint32_t sources; /* as many vCPUs, too */
	bool shown;	  /* esb and tima are memory slots */
	struct map esb, tima;
	pthread_mutex_t lock; /* of target, and of KVM's device */
	struct xive_target target[PPC_VCPUS_MAX];
};

/* --- kvm_xive.c: the device ------------------------------------------------
 */

/* -ENOTSUP: this host can't; NULL err: only ask.  Nothing is left then. */
int xive_offered(int vm_fd, struct mote_err *err);

/* a->xive for that many vCPUs, before any exists. */
int xive_create(struct arch_vm *a, uint32_t vcpus, struct mote_err *err);
void xive_destroy(struct arch_vm *a);

/* Give a new vCPU, in PAPR mode, its interrupts. */
int xive_connect(struct arch_vcpu *v, struct mote_err *err);

/* Checked arguments, x->lock held or vCPUs parked; 0 or -errno. */
int xive_set_target(struct xive *x, uint32_t source,
		    const struct xive_target *to);
int xive_set_queue(struct xive *x, uint32_t server, uint32_t priority,
		   const struct xive_queue *q);
int xive_get_queue(struct xive *x, uint32_t server, uint32_t priority,
		   struct xive_queue *q);
int xive_sync(struct xive *x, uint32_t source);
int xive_reset(struct xive *x);

/* 8 bytes at an offset of the source's page of control. */
uint64_t xive_esb_load(struct xive *x, uint32_t source, uint64_t off);
void xive_esb_store(struct xive *x, uint32_t source, uint64_t off,
		    uint64_t val);

/* The state of a source: bit 1 P, bit 0 Q. */
uint8_t xive_get_pq(struct xive *x, uint32_t source);
void xive_set_pq(struct xive *x, uint32_t source, uint8_t pq);

/* --- xive_state.c ----------------------------------------------------------
 */

int xive_save(struct arch_vm *a, struct snap_writer *w, struct mote_err *err);
int xive_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err);

/* --- xive_hcall.c ----------------------------------------------------------
 */

/* False: none of its calls, nothing was done. */
bool xive_hcall(struct arch_vm *a, uint64_t nr, uint64_t args[BUS_HCALL_ARGS],
		int64_t *status);

#endif
