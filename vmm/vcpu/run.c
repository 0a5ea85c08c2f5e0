/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - the KVM_RUN loop: enter, dispatch the exit, enter again.
 *
 * Everything here is reachable by a guest.  No allocation, no log, no lock
 * but a device's own.  A result that the loop does not know stops the VM
 * with a message; the guest cannot end the process.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include "base/event.h"
#include "base/trigger.h"
#include "kvm/kvm.h"
#include "vcpu/vcpu.h"

#define PACE_MS	  5
#define RING_MS	  1
#define AGAIN_MAX 2000 /* in a row */
#define AGAIN_MS  1

/* What Solo5's tools look for in the reference tender's message. */
#define FAULT_WORDS "host/guest translation fault"

static void count(struct vcpu *v, enum vcpu_exit_kind kind)
{
	atomic_fetch_add_explicit(&v->exits[kind], 1, memory_order_relaxed);
}

static void set_ended(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->ended = true;
	pthread_mutex_unlock(&v->lock);
}

/* The guest can't go on: the message is the VM's end. */
#define crash(v, ...)                                                          \
	do {                                                                   \
		pthread_mutex_lock(&(v)->lock);                                \
		err_set_class(&(v)->err, EIO, ERR_CLASS_GUEST, __VA_ARGS__);   \
		(v)->ended = true;                                             \
		pthread_mutex_unlock(&(v)->lock);                              \
		event_end((v)->env->events, EVENT_CRASH, 0);                   \
	} while (0)

static uint64_t load_le(const void *p, int len)
{
	uint64_t v = 0;

	memcpy(&v, p, (size_t)len);
	return v;
}

static bool size_ok(int len)
{
	return len == 1 || len == 2 || len == 4 || len == 8;
}

/* Port accesses; REP INS and OUTS come as one exit with a count. */
static void do_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	int len = run->io.size;
	uint32_t wait = 0;

	count(v, VCPU_EXIT_IO);
	if (!size_ok(len))
		return;
	for (uint32_t i = 0; i < run->io.count; i++, data += len) {
		uint64_t val;
		bool known;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			known = bus_write(v->env->bus, BUS_PIO, run->io.port,
					  len, load_le(data, len), &wait);
		} else {
			known = bus_read(v->env->bus, BUS_PIO, run->io.port,
					 len, &val);
			memcpy(data, &val, (size_t)len);
		}
		if (!known && v->env->strict) {
			crash(v, "vCPU %u: invalid port access: port=0x%x",
			      v->id, run->io.port);
			return;
		}
	}
	if (wait)
		vcpu_sleep(v, wait);
}

static void do_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	int len = (int)run->mmio.len;
	uint32_t wait = 0;
	uint64_t val;
	bool known;

	count(v, VCPU_EXIT_MMIO);
	if (!size_ok(len)) {
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		return;
	}
	if (run->mmio.is_write) {
		known = bus_write(v->env->bus, BUS_MMIO, run->mmio.phys_addr,
				  len, load_le(run->mmio.data, len), &wait);
	} else {
		known = bus_read(v->env->bus, BUS_MMIO, run->mmio.phys_addr,
				 len, &val);
		memcpy(run->mmio.data, &val, (size_t)len);
	}
	if (!known && v->env->strict)
		crash(v, "vCPU %u: " FAULT_WORDS ": address 0x%" PRIx64, v->id,
		      (uint64_t)run->mmio.phys_addr);
	if (wait)
		vcpu_sleep(v, wait);
}

static void do_system_event(struct vcpu *v)
{
	uint32_t type = v->run->system_event.type;

	count(v, VCPU_EXIT_OTHER);
	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		event_end(v->env->events, EVENT_EXIT, 0);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		event_end(v->env->events, EVENT_RESET, 0);
		break;
	default:
		crash(v,
		      "vCPU %u: the guest reports a crash (system event "
		      "%u)",
		      v->id, type);
	}
}

static void do_other(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint32_t wait = 0;

	switch (arch_vcpu_exit(&v->arch, run, v->env->bus, v->env->events,
			       &wait)) {
	case ARCH_EXIT_DONE:
		count(v, VCPU_EXIT_HCALL);
		if (wait)
			vcpu_sleep(v, wait);
		return;
	case ARCH_EXIT_END:
		count(v, VCPU_EXIT_HCALL);
		set_ended(v);
		return;
	case ARCH_EXIT_STOPPED:
		count(v, VCPU_EXIT_HCALL);
		v->stopping = true;
		return;
	case ARCH_EXIT_OTHERS:
		count(v, VCPU_EXIT_HCALL);
		event_post(v->env->events, EVENT_OTHERS);
		return;
	case ARCH_EXIT_UNKNOWN:
		break;
	}
	count(v, VCPU_EXIT_OTHER);
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		crash(v, "vCPU %u: triple fault", v->id);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		crash(v,
		      "vCPU %u: the hardware refuses to enter the guest "
		      "(reason 0x%" PRIx64 ")",
		      v->id,
		      (uint64_t)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		crash(v, "vCPU %u: KVM internal error %u", v->id,
		      run->internal.suberror);
		break;
	case KVM_EXIT_ARM_NISV:
		crash(v,
		      "vCPU %u: access to 0x%" PRIx64 " in a form that "
		      "can't be decoded, or a fault before the guest had "
		      "vectors of its own",
		      v->id, (uint64_t)run->arm_nisv.fault_ipa);
		break;
	case KVM_EXIT_HLT:
		crash(v, "vCPU %u: halted with nothing to wake it", v->id);
		break;
	default:
		crash(v, "vCPU %u: unexpected KVM exit reason %u", v->id,
		      run->exit_reason);
	}
}

static void dispatch(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		do_io(v);
		break;
	case KVM_EXIT_MMIO:
		do_mmio(v);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		do_system_event(v);
		break;
	case KVM_EXIT_DIRTY_RING_FULL:
		/*
		 * Not in the guest again before the VM thread has emptied it:
		 * KVM says so each time.  A park need not wait for that.
		 */
		count(v, VCPU_EXIT_OTHER);
		event_post(v->env->events, EVENT_RING);
		vcpu_hold(v, RING_MS);
		break;
	default:
		do_other(v);
	}
	if (atomic_load_explicit(&v->env->events->over, memory_order_relaxed))
		set_ended(v);
	/* Outside every device lock, and a kick ends it. */
	if (atomic_load_explicit(&v->env->pace, memory_order_relaxed))
		vcpu_hold(v, PACE_MS);
}

/*
 * Finish what the last exit left pending.  A kick ends it with immediate_exit
 * set, so that the KVM_RUN that follows gives EINTR.
 */
static void finish_call(struct vcpu *v)
{
	const struct vcpu_waiter *w = &v->env->waiter;

	while (w->pending(w->opaque) && w->wait(w->opaque))
		;
	if (atomic_load_explicit(&v->env->events->over, memory_order_relaxed))
		set_ended(v);
}

/* The moment of trigger.h: no further before the VM thread has parked us. */
static void hold(struct vcpu *v)
{
	if (trigger_holds(v->env->trigger)) {
		vcpu_hold(v, TRIGGER_HOLD_MS);
		trigger_release(v->env->trigger);
	}
}

/*
 * Let KVM complete the instruction of the last exit: where the guest is over
 * and its state is to be saved or replaced, it would be missing, or be
 * completed on the new state; so it would where a stopped vCPU starts anew.
 */
static void finish_exit(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	kvm_run(v->fd);
	vcpu_kick_taken(v);
}

/*
 * Run until a kick (-EINTR), the guest's end or its vCPU's (0) or an error.
 * KVM says EAGAIN when a waiting vCPU was woken, and when the host lacks
 * something for a moment (a thread, memory): the first passes, the second may
 * not.
 */
static int run_guest(struct vcpu *v)
{
	int again = 0;

	for (;;) {
		int ret;

		if (v->env->waiter.pending) {
			finish_call(v);
			if (v->ended)
				return 0;
		}
		hold(v);
		ret = kvm_run(v->fd);
		if (ret == 0) {
			again = 0;
			dispatch(v);
			if (v->ended || v->stopping)
				return 0;
		} else if (ret != -EAGAIN || ++again > AGAIN_MAX) {
			return ret;
		} else {
			vcpu_sleep(v, AGAIN_MS);
		}
	}
}

/* Another vCPU's end, or a failure elsewhere: the guest runs no further. */
static bool is_over(struct vcpu *v)
{
	if (!atomic_load(&v->env->events->over))
		return false;
	set_ended(v);
	return true;
}

static int enter_guest(struct vcpu *v)
{
	int ret;

	if (is_over(v))
		return 0;
	ret = arch_vcpu_enter(&v->arch);
	if (ret == 0)
		return run_guest(v);
	crash(v, "vCPU %u: its registers can't be set: %s", v->id,
	      strerror(-ret));
	return 0;
}

void vcpu_loop(struct vcpu *v)
{
	while (vcpu_obey(v)) {
		int ret = enter_guest(v);

		if (ret == -EINTR) {
			count(v, VCPU_EXIT_KICK);
			vcpu_kick_taken(v);
		} else if (ret == -EFAULT) {
			crash(v,
			      "vCPU %u: " FAULT_WORDS ": KVM_RUN: %s: memory "
			      "that the host does not let it access so",
			      v->id, strerror(EFAULT));
		} else if (ret < 0) {
			crash(v, "vCPU %u: KVM_RUN: %s", v->id, strerror(-ret));
		}
		if (v->stopping ||
		    (v->ended && (v->env->keep || v->env->finish)))
			finish_exit(v);
		v->stopping = false;
	}
}
