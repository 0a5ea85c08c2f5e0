/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp.h - other vCPUs of a ppc64le guest; vCPU 0 calls these.
 */
#ifndef GUESTS_LIB_PPC64LE_SMP_H
#define GUESTS_LIB_PPC64LE_SMP_H

#include <stdint.h>

#define SMP_VCPUS_MAX 16

/* The status of RTAS start-cpu. */
int smp_start(uint32_t cpu, void (*fn)(void), void *stack_top);
/* Of query-cpu-stopped-state: 0 stopped, 2 not; ~0 unknown. */
uint32_t smp_state(uint32_t cpu);

#endif
