/* SPDX-License-Identifier: Apache-2.0 */
/*
 * papr.h - between the files of this folder: hypercalls, starting and
 * stopping vCPUs, the interrupt controller, registers of a snapshot.
 */
#ifndef VMM_ARCH_PPC64LE_PAPR_H
#define VMM_ARCH_PPC64LE_PAPR_H

#include <stdbool.h>
#include <stdint.h>

struct arch_vcpu;
struct arch_vm;
struct mote_err;
struct snap_reader;
struct snap_section;
struct snap_writer;
struct vm_config;

/* What a hypercall answers. */
enum hcall_status {
	H_SUCCESS = 0,
	H_HARDWARE = -1,
	H_FUNCTION = -2,
	H_PARAMETER = -4,
	H_AUTHORITY = -10,
	H_P2 = -55,
	H_P3 = -56,
	H_P4 = -57,
	H_P5 = -58,
	H_UNSUPPORTED_FLAG = -256,
	H_LONG_BUSY_1_MSEC = 9900,
};

/* --- kvm_papr.c ----------------------------------------------------------- */

/* MSR of a vCPU at its entry: 64 bits, little-endian, translation off. */
#define PPC_MSR_ENTRY ((UINT64_C(1) << 63) | (1u << 12) | 1u)

/* Put it where it begins: stopped, all but vCPU 0. */
void papr_vcpu_init(struct arch_vcpu *v);

/*
 * Bring KVM's registers up to what start-cpu and H_SET_MODE asked for.  The
 * vCPU's own thread, or the VM thread while it is parked.  0 or -errno.
 */
int papr_settle(struct arch_vcpu *v);

/* Just before the first run, registers set or loaded.  0 or -errno. */
int papr_commit(struct arch_vcpu *v);

/* --- kvm_irq.c ------------------------------------------------------------ */

/*
 * Create the interrupt controller that the configuration says, or that saved,
 * if not NULL, has the state of.
 */
int irq_create(struct arch_vm *a, const struct vm_config *cfg,
	       const struct snap_reader *saved, struct mote_err *err);
void irq_fini(struct arch_vm *a);

/*
 * XICS where the host can: a->xics_fd.  saved, if not NULL, decides: with its
 * state one is needed, without there is none.
 */
int xics_create(struct arch_vm *a, const struct snap_reader *saved,
		struct mote_err *err);

/* Give a new vCPU its presentation controller. */
int irq_connect(struct arch_vcpu *v, struct mote_err *err);

/* --- kvm_regs.c ----------------------------------------------------------- */

/* Every register that has a number; msr: of the vCPU, for transactions. */
int regs_save(struct arch_vcpu *v, uint64_t msr, struct snap_writer *w,
	      struct mote_err *err);
int regs_load(struct arch_vcpu *v, struct snap_section *s,
	      struct mote_err *err);

#endif
