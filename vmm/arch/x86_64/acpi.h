/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi.h - the ACPI tables of a guest that wants them: hardware-reduced, so
 * that there is nothing to emulate but a reset and a sleep register.
 *
 * A pure builder.  Source: ACPI 6.5, chapters 4.8.3, 5.2 and 5.6.9; Virtual
 * Machine Generation ID (Microsoft, 2012).
 */
#ifndef VMM_ARCH_X86_64_ACPI_H
#define VMM_ARCH_X86_64_ACPI_H

#include <stdint.h>

struct mote_err;
struct vm_config;

/*
 * Write them to buf, size bytes that the guest has at gpa; the root pointer
 * comes first.  -ENOSPC.
 */
int acpi_build(void *buf, uint64_t size, uint64_t gpa,
	       const struct vm_config *cfg, struct mote_err *err);

#endif
