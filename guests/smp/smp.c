/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp.c - vCPUs that play ping-pong: a counter that each raises when it is
 * its turn, rounds=N times (1000).  Says how far it came; a vCPU that does
 * not start ends it with code 2.
 */
#include "guest.h"

#ifdef __powerpc64__
#include "smp.h"
#else
void smp_start(uint32_t cpu, void (*fn)(void), void *stack_top);
#endif

#define VCPUS_MAX 16
#define STACK	  4096
#define PATIENCE  2000 /* ms for a vCPU to start */

static volatile uint64_t turn;	  /* raised by vCPU turn % vcpus */
static volatile uint64_t started; /* vCPUs that run */
static uint64_t vcpus, last;
static char stacks[VCPUS_MAX][STACK] __attribute__((aligned(16)));

static void barrier(void)
{
#ifdef __aarch64__
	__asm__ volatile("dmb sy" ::: "memory");
#elif defined(__powerpc64__)
	__asm__ volatile("sync" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

static void play(uint64_t me)
{
	for (uint64_t t = turn; t < last; t = turn) {
		barrier();
		if (t % vcpus == me)
			turn = t + 1;
		barrier();
	}
}

static void other_main(void)
{
	uint64_t me = started + 1;

	barrier();
	started = me;
	play(me);
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t rounds = guest_arg_u64("rounds", 1000);

	vcpus = boot->vcpus < VCPUS_MAX ? boot->vcpus : VCPUS_MAX;
	last = rounds * vcpus;
	for (uint32_t i = 1; i < vcpus; i++) {
		smp_start(i, other_main, stacks[i] + STACK);
		for (int ms = 0; started < i; ms++) {
			barrier();
			if (ms == PATIENCE) {
				print("vCPU ");
				print_u64(i);
				print(" does not start\n");
				return 2;
			}
			reg_write(boot, MOTE_REG_WAIT, 1);
		}
	}
	reg_write(boot, MOTE_REG_READY, 1);
	play(0);
	print("ping-pong: ");
	print_u64(vcpus);
	print(" vCPUs, ");
	print_u64(turn);
	print(" turns\n");
	return turn == last ? 0 : 1;
}
