/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_papr.c - the hypercalls that KVM leaves to us, RTAS, and how vCPUs are
 * started and stopped.
 *
 * Source: LoPAR 14.5.4 (hypercalls), 7.3 and 7.4 (RTAS).  KVM answers those
 * that touch the page table, the interrupt controller and scheduling.
 *
 * A vCPU's registers are written by its own thread alone.  start-cpu claims
 * a stopped one (two that start the same: one wins), leaves entry and
 * argument there and says PPC_STARTING; H_SET_MODE changes the VM's mode and
 * the caller's own LPCR.  In both cases the VM thread is asked to bring the
 * others past arch_vcpu_enter, which settles what is due: one that sleeps as
 * stopped is woken, one in the guest leaves it for that.  Nothing is lost
 * where a park, a stop or a snapshot comes in between: what is due stands in
 * struct arch_vcpu until it is done, and a save does it first.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/rtas.h"
#include "arch/ppc64le/papr.h"
#include "arch/ppc64le/radix.h"
#include "arch/ppc64le/xive.h"
#include "base/err.h"
#include "base/event.h"
#include "base/num.h"
#include "kvm/kvm.h"

enum hcall {
	H_SET_MODE = 0x31c,
	H_RESIZE_HPT_PREPARE = 0x36c,
	H_RESIZE_HPT_COMMIT = 0x370,
	H_REGISTER_PROC_TBL = 0x37c,
	H_RTAS = 0xf000,
};

/* Resources of H_SET_MODE. */
#define MODE_TRANSLATION 3u
#define MODE_ENDIAN	 4u

/* Flags of H_REGISTER_PROC_TBL; type 0: hashed, by the SLB. */
#define PROC_TABLE_OP	      0x18u
#define PROC_TABLE_DEREGISTER 0x10u
#define PROC_TABLE_NEW	      0x18u
#define PROC_TABLE_TYPE	      0x06u

#define LPCR_ILE      (UINT64_C(1) << 25)
#define LPCR_AIL      (UINT64_C(3) << 23)
#define LPCR_ALL_MODE (LPCR_ILE | LPCR_AIL)

/* --- start, stop, mode ------------------------------------------------------
 */

void papr_vcpu_init(struct arch_vcpu *v)
{
	atomic_store(&v->run, v->id == 0 ? PPC_RUNNING : PPC_STOPPED);
	v->vm->vcpu[v->id] = v;
}

bool arch_vcpu_stopped(struct arch_vcpu *v)
{
	unsigned int run = atomic_load(&v->run);

	return run == PPC_STOPPED || run == PPC_CLAIMED;
}

static int set_mode(struct arch_vcpu *v, uint64_t mode)
{
	uint64_t lpcr = (v->lpcr & ~LPCR_ALL_MODE) | mode;
	int ret = kvm_set_one_reg(v->fd, KVM_REG_PPC_LPCR_64, &lpcr);

	if (ret < 0)
		return ret;
	v->lpcr = lpcr;
	atomic_store(&v->mode, mode);
	return 0;
}

static int set_entry(struct arch_vcpu *v)
{
	struct kvm_regs regs;
	int ret;

	memset(&regs, 0, sizeof(regs));
	regs.pc = v->entry;
	regs.msr = PPC_MSR_ENTRY;
	regs.gpr[3] = v->arg;
	ret = kvm_call(v->fd, KVM_SET_REGS, &regs);
	if (ret == 0)
		atomic_store(&v->run, PPC_RUNNING);
	return ret;
}

int papr_settle(struct arch_vcpu *v)
{
	uint64_t mode = atomic_load(&v->vm->mode);
	int ret = 0;

	if (atomic_load(&v->mode) != mode)
		ret = set_mode(v, mode);
	if (ret == 0 && atomic_load(&v->run) == PPC_STARTING)
		ret = set_entry(v);
	return ret;
}

int arch_vcpu_enter(struct arch_vcpu *v)
{
	return papr_settle(v);
}

int papr_commit(struct arch_vcpu *v)
{
	int ret = kvm_get_one_reg(v->fd, KVM_REG_PPC_LPCR_64, &v->lpcr);

	if (ret < 0)
		return ret;
	atomic_store(&v->mode, v->lpcr & LPCR_ALL_MODE);
	/* All have the same: vCPU 0 tells. */
	if (v->id == 0)
		atomic_store(&v->vm->mode, v->lpcr & LPCR_ALL_MODE);
	return 0;
}

/* --- RTAS -------------------------------------------------------------------
 */

static int32_t do_start_cpu(void *opaque, uint32_t cpu, uint64_t entry,
			    uint64_t arg)
{
	const struct arch_vm *a = opaque;
	struct arch_vcpu *v = cpu < PPC_VCPUS_MAX ? a->vcpu[cpu] : NULL;
	unsigned int stopped = PPC_STOPPED;

	if (!v)
		return RTAS_PARAMETER_ERROR;
	if (!atomic_compare_exchange_strong(&v->run, &stopped, PPC_CLAIMED))
		return RTAS_HARDWARE_ERROR;
	v->entry = entry;
	v->arg = arg;
	atomic_store(&v->run, PPC_STARTING);
	return RTAS_SUCCESS;
}

static int32_t do_cpu_state(void *opaque, uint32_t cpu, uint32_t *state)
{
	const struct arch_vm *a = opaque;
	struct arch_vcpu *v = cpu < PPC_VCPUS_MAX ? a->vcpu[cpu] : NULL;

	if (!v)
		return RTAS_PARAMETER_ERROR;
	*state = atomic_load(&v->run) == PPC_STOPPED ? RTAS_CPU_STOPPED
						     : RTAS_CPU_RUNNING;
	return RTAS_SUCCESS;
}

static enum arch_exit do_rtas(struct arch_vcpu *v, uint64_t gpa,
			      struct event_queue *events, int64_t *status)
{
	const struct rtas_host host = {do_start_cpu, do_cpu_state, v->vm};
	enum rtas_then then;

	*status = H_SUCCESS;
	if (!v->vm->slots || !rtas_call(v->vm->slots, gpa, &host, &then)) {
		*status = H_PARAMETER;
		return ARCH_EXIT_DONE;
	}
	switch (then) {
	case RTAS_THEN_RETURN:
		break;
	case RTAS_THEN_STARTED:
		return ARCH_EXIT_OTHERS;
	case RTAS_THEN_STOP_SELF:
		atomic_store(&v->run, PPC_STOPPED);
		return ARCH_EXIT_STOPPED;
	case RTAS_THEN_POWER_OFF:
		event_end(events, EVENT_EXIT, 0);
		return ARCH_EXIT_END;
	case RTAS_THEN_REBOOT:
		event_end(events, EVENT_RESET, 0);
		return ARCH_EXIT_END;
	}
	return ARCH_EXIT_DONE;
}

/* --- H_SET_MODE -------------------------------------------------------------
 */

/* Does any vCPU that runs still have another mode? */
static bool others_differ(const struct arch_vm *a, uint64_t mode)
{
	for (int i = 0; i < PPC_VCPUS_MAX; i++) {
		struct arch_vcpu *v = a->vcpu[i];

		if (v && !arch_vcpu_stopped(v) && atomic_load(&v->mode) != mode)
			return true;
	}
	return false;
}

/* Which bits a call changes, and to what; or its error. */
static int64_t parse_mode(const uint64_t *args, uint64_t *mask, uint64_t *bits)
{
	uint64_t flags = args[0];

	switch (args[1]) {
	case MODE_ENDIAN:
		*mask = LPCR_ILE;
		*bits = flags ? LPCR_ILE : 0;
		if (flags > 1)
			return H_UNSUPPORTED_FLAG;
		break;
	case MODE_TRANSLATION:
		/* 1 is reserved, 2 is not for KVM's guests. */
		*mask = LPCR_AIL;
		*bits = flags ? LPCR_AIL : 0;
		if (flags != 0 && flags != 3)
			return H_UNSUPPORTED_FLAG;
		break;
	default:
		return H_P2;
	}
	if (args[2])
		return H_P3;
	return args[3] ? H_P4 : H_SUCCESS;
}

/*
 * Of the whole partition.  While a vCPU is still on its way the answer is
 * "long busy": the guest asks once more, and finds all of them changed.
 */
static enum arch_exit do_set_mode(struct arch_vcpu *v, const uint64_t *args,
				  int64_t *status)
{
	struct arch_vm *a = v->vm;
	unsigned long long was, now;
	uint64_t mask, bits;

	*status = parse_mode(args, &mask, &bits);
	if (*status != H_SUCCESS)
		return ARCH_EXIT_DONE;
	was = atomic_load(&a->mode);
	do {
		now = (was & ~mask) | bits;
	} while (!atomic_compare_exchange_weak(&a->mode, &was, now));
	if (atomic_load(&v->mode) != now && set_mode(v, now) < 0) {
		atomic_store(&a->mode, atomic_load(&v->mode));
		*status = H_P2; /* this host can't */
		return ARCH_EXIT_DONE;
	}
	if (!others_differ(a, now))
		return ARCH_EXIT_DONE;
	*status = H_LONG_BUSY_1_MSEC;
	return ARCH_EXIT_OTHERS;
}

/*
 * H_REGISTER_PROC_TBL of a guest on the hashed table, which says that it goes
 * on with it, by segments in its SLB.  It is not given what needs a table of
 * processes: a radix tree.
 */
static int64_t no_process_table(const uint64_t *args)
{
	uint64_t op = args[0] & PROC_TABLE_OP;

	if (op == PROC_TABLE_DEREGISTER)
		return H_SUCCESS;
	return (op == 0 || op == PROC_TABLE_NEW) &&
			       (args[0] & PROC_TABLE_TYPE) == 0
		       ? H_SUCCESS
		       : H_FUNCTION;
}

/* --- dispatch ---------------------------------------------------------------
 */

enum arch_exit arch_vcpu_exit(struct arch_vcpu *v, struct kvm_run *run,
			      const struct bus *bus, struct event_queue *events,
			      uint32_t *wait_ms)
{
	enum arch_exit then = ARCH_EXIT_DONE;
	uint64_t args[BUS_HCALL_ARGS];
	int64_t status = H_FUNCTION;

	if (run->exit_reason != KVM_EXIT_PAPR_HCALL)
		return ARCH_EXIT_UNKNOWN;
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		args[i] = run->papr_hcall.args[i];
	switch (run->papr_hcall.nr) {
	case H_RTAS:
		then = do_rtas(v, args[0], events, &status);
		break;
	case H_SET_MODE:
		then = do_set_mode(v, args, &status);
		break;
	case H_RESIZE_HPT_PREPARE:
	case H_RESIZE_HPT_COMMIT:
		/* The table's order stands in the snapshot. */
		status = H_AUTHORITY;
		break;
	case H_REGISTER_PROC_TBL:
		status = v->vm->radix ? radix_register(v->vm, args)
				      : no_process_table(args);
		break;
	default:
		if (xive_hcall(v->vm, run->papr_hcall.nr, args, &status))
			break;
		bus_hcall(bus, run->papr_hcall.nr, args, &status, wait_ms);
	}
	run->papr_hcall.ret = (uint64_t)status;
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		run->papr_hcall.args[i] = args[i];
	return then;
}
