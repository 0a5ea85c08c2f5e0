/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp.c - start another vCPU by RTAS start-cpu; one whose function returns
 * stops itself, and can be started again.
 */
#include "smp.h"
#include "guest.h"
#include "rtas.h"

struct start {
	void (*fn)(void);
	void *stack_top;
	struct rtas_block stop;
};

static struct start starts[SMP_VCPUS_MAX];
extern const char smp_secondary[];

void smp_entered(struct start *s);
void smp_entered(struct start *s)
{
	s->fn();
	rtas_do(&s->stop, MOTE_RTAS_STOP_SELF, 0, 1);
}

int smp_start(uint32_t cpu, void (*fn)(void), void *stack_top)
{
	static struct rtas_block b;

	starts[cpu].fn = fn;
	starts[cpu].stack_top = stack_top;
	__asm__ volatile("sync" ::: "memory");
	b.cell[0] = rtas_cell(cpu);
	b.cell[1] = rtas_cell((uint32_t)(unsigned long)smp_secondary);
	b.cell[2] = rtas_cell((uint32_t)(unsigned long)&starts[cpu]);
	return rtas_do(&b, MOTE_RTAS_START_CPU, 3, 1);
}

uint32_t smp_state(uint32_t cpu)
{
	static struct rtas_block b;

	b.cell[0] = rtas_cell(cpu);
	return rtas_do(&b, MOTE_RTAS_QUERY_CPU, 1, 2) == 0
		       ? rtas_cell(b.cell[2])
		       : ~0u;
}
