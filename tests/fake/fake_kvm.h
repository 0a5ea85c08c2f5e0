/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_kvm.h - a stand-in for vmm/kvm/kvm.c that fails when it is told to.
 *
 * Linked in its place: the functions are those of kvm/kvm.h.  Descriptors
 * are real (memfds), so that a leak shows in /proc/self/fd; registers are
 * kept as they were set and read back; nothing ever executes.  KVM_RUN
 * gives scripted exits, then sleeps until it is kicked, as KVM does for a
 * guest that halts: a pending kick signal or immediate_exit ends it with
 * EINTR.  x86_64 only.  Threads: any.  Criterion runs each test in a
 * process of its own, so there is nothing to reset.
 */
#ifndef TESTS_FAKE_FAKE_KVM_H
#define TESTS_FAKE_FAKE_KVM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

/* Start over: no failure is waiting, nothing is counted or scripted. */
void fake_kvm_reset(void);

/* The next call with this request fails with -code, once. */
void fake_kvm_fail_next(unsigned long request, int code);

/*
 * The n-th call from now (1 is the next) of any kind but KVM_RUN fails with
 * -code, once; 0: none does.  A KVM_CHECK_EXTENSION that fails reads as 0.
 */
void fake_kvm_fail_nth(unsigned int n, int code);

/* KVM_CHECK_EXTENSION answers value for this capability; four of them. */
void fake_kvm_set_cap(long cap, int value);

/* Calls since the reset, without KVM_RUN; and how often KVM_RUN came. */
unsigned int fake_kvm_calls(void);
unsigned int fake_kvm_runs(void);

/* The request of the call that fail_nth made fail, 0: none yet. */
unsigned long fake_kvm_failed(void);

/* One answer of KVM_RUN. */
struct fake_exit {
	int ret; /* 0, or -errno and nothing of run is shown */
	/* From exit_reason on; an I/O exit's data_offset is filled in. */
	struct kvm_run run;
	uint8_t data[64]; /* what is written at io.data_offset */
};

/*
 * The answers of KVM_RUN in this order, over all vCPUs; exits stay the
 * caller's.  After the last one KVM_RUN sleeps until it is kicked.
 */
void fake_kvm_script(const struct fake_exit *exits, size_t count);

/* After the script: e for ever (NULL: sleep), until KVM_RUN is kicked. */
void fake_kvm_repeat(const struct fake_exit *e);

/* What KVM_RUN's page holds now where the last I/O exit had its data. */
void fake_kvm_io_data(int vcpu_fd, void *buf, size_t len);

/* How many eventfds KVM listens to; asked from one thread. */
int fake_kvm_irqfds(void);

/* Slots as KVM was told of them; size 0: there is none. */
struct fake_slot {
	uint32_t flags;
	uint64_t gpa, size;
	uint64_t dirty; /* the first 64 pages of the log; a read clears it */
	unsigned int clears; /* ... or these do: KVM_CLEAR_DIRTY_LOG */
};
struct fake_slot *fake_kvm_slot(uint32_t slot);

#endif
