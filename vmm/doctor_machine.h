/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_machine.h - a small machine to try the kernel's traps on: 16 MiB,
 * one vCPU that the calling thread runs itself, the guest of arch/uapi.h.
 *
 * The kick signal is blocked from init to fini, so init and fini are called
 * in turn on one thread.
 */
#ifndef VMM_DOCTOR_MACHINE_H
#define VMM_DOCTOR_MACHINE_H

#include <signal.h>
#include <stdbool.h>

#include "arch/arch.h"
#include "arch/uapi.h"
#include "base/map.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/memslot.h"

#define MACHINE_RAM (16 * MIB)

struct machine {
	struct vm_config cfg;
	struct arch_vm arch;
	struct arch_vcpu vcpu;
	struct memslot_table slots;
	int kvm_fd, vm_fd, vcpu_fd;
	struct map run_map;
	struct kvm_run *run;
	sigset_t old_mask;
};

/* Only the VM; false: there is none, and the answer is given. */
bool machine_shell(struct machine *m, int kvm_fd, struct uapi_answer *a);

/*
 * The machine with its guest at the entry; ring > 0: with a dirty ring of
 * so many bytes.  False as in machine_shell.
 */
bool machine_init(struct machine *m, int kvm_fd, uint64_t ring,
		  struct uapi_answer *a);
void machine_fini(struct machine *m);

/* KVM_RUN, but a kick ends it after 20 s: nothing here may hang. */
int machine_run(struct machine *m);

/* The guest from its entry to its one exit; 0 or -errno. */
int machine_run_guest(struct machine *m);

/* KVM_RUN with immediate_exit: the exit before is finished; -EINTR. */
int machine_finish_exit(struct machine *m);

/* Take kick signals that wait. */
void machine_take_kick(void);

#endif
