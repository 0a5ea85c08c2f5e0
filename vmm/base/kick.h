/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kick.h - the signal that gets a vCPU out of KVM_RUN.
 *
 * It is blocked in every vCPU thread, unblocked by KVM while inside
 * KVM_RUN, and taken with sigtimedwait: no handler, nothing stolen.
 */
#ifndef VMM_BASE_KICK_H
#define VMM_BASE_KICK_H

#include <signal.h>

#define VCPU_KICK_SIGNAL (SIGRTMIN + 7)

#endif
