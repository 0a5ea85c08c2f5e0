/* SPDX-License-Identifier: Apache-2.0 */
/*
 * psci.h - functions of PSCI (ARM DEN 0022, 5.1), and between our files.
 */
#ifndef GUESTS_PSCI_PSCI_H
#define GUESTS_PSCI_PSCI_H

#include <stdint.h>

#define PSCI_VERSION	   0x84000000u
#define PSCI_CPU_OFF	   0x84000002u
#define PSCI_MIGRATE_TYPE  0x84000006u
#define PSCI_SYSTEM_OFF	   0x84000008u
#define PSCI_SYSTEM_RESET  0x84000009u
#define PSCI_FEATURES	   0x8400000au
#define PSCI_CPU_SUSPEND   0xc4000001u
#define PSCI_CPU_ON	   0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_SYSTEM_OFF2   0xc4000015u
#define PSCI_HIBERNATE_OFF 1u

struct mote_boot;

/* A line "NAME ANSWER" for each call that is tried. */
void psci_try_calls(const struct mote_boot *boot, uint32_t version);

/* Where the second vCPU begins, in calls.c. */
void second_entry(void);

#endif
