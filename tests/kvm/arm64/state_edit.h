/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_edit.h - the state of one arm64 vCPU as a section, for tests that
 * change it before it is loaded.
 */
#ifndef TESTS_KVM_ARM64_STATE_EDIT_H
#define TESTS_KVM_ARM64_STATE_EDIT_H

#include <stdint.h>

#include "kvm/vmtest.h"
#include "snapshot/stream.h"

#define NO_REG UINT64_MAX

/* The section, and its registers as they stand there. */
struct state {
	struct snap_writer w;
	struct snap_reader r;
	struct snap_section s; /* read up to the first register */
	uint32_t regs;
};

/* Close the writer and read the section; what save and edit end with. */
void state_finish(struct state *st);

/* Of vCPU 0; released by state_release. */
struct state *state_save(struct vmtest *t);
void state_release(struct state *st);

/* A copy without one register and with another of 64 bits (NO_REG: none). */
struct state *state_edit(const struct state *from, uint64_t without,
			 uint64_t with, uint64_t value);

/* The value of a register of up to 8 bytes in the state. */
uint64_t state_value(const struct state *st, uint64_t id);

/* Into vCPU 0: the answer; the message is in t->err. */
int state_load(struct vmtest *t, struct state *st);

#endif
