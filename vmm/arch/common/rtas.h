/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtas.h - the run-time abstraction services of a POWER guest (LoPAR 7).
 *
 * A guest hands over the address of an argument block in its RAM: token,
 * number of arguments and of results, then their cells, all big-endian and
 * 32 bits.  The block is read once, checked, and only its results are
 * written.  Threads: the calling vCPU's own.  Trust: all of it is hostile;
 * nothing is allocated, logged or repeated.
 */
#ifndef VMM_ARCH_COMMON_RTAS_H
#define VMM_ARCH_COMMON_RTAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memslot_table;

/* Of the block; LoPAR has no call with more than 16 cells in all. */
#define RTAS_CELLS_MAX 16u

/*
 * The name of an enum mote_rtas in the device tree; NULL: there is none.
 * Those of the interrupt controller are KVM's to answer, unknown here.
 */
const char *rtas_name(uint32_t token);

enum rtas_status {
	RTAS_SUCCESS = 0,
	RTAS_HARDWARE_ERROR = -1, /* also: no such call */
	RTAS_PARAMETER_ERROR = -3,
};

/* Answers of query-cpu-stopped-state. */
enum rtas_cpu_state {
	RTAS_CPU_STOPPED = 0,
	RTAS_CPU_RUNNING = 2,
};

/* What the machine does; each returns an enum rtas_status. */
struct rtas_host {
	int32_t (*start_cpu)(void *opaque, uint32_t cpu, uint64_t entry,
			     uint64_t arg);
	int32_t (*cpu_state)(void *opaque, uint32_t cpu, uint32_t *state);
	void *opaque;
};

/* What the caller has to do when the call is answered. */
enum rtas_then {
	RTAS_THEN_RETURN,
	RTAS_THEN_STARTED, /* start_cpu said yes */
	RTAS_THEN_STOP_SELF,
	RTAS_THEN_POWER_OFF,
	RTAS_THEN_REBOOT,
};

/*
 * The call whose block lies at gpa.  False: no sound block there, nothing
 * was done or written, the hypercall is H_PARAMETER.
 */
bool rtas_call(struct memslot_table *slots, uint64_t gpa,
	       const struct rtas_host *host, enum rtas_then *then);

/* The cells of get-time-of-day for nanoseconds since 1970: UTC. */
void rtas_time(int64_t ns, uint32_t cell[7]);

#endif
