/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - a Solo5 hvt guest without devices: one check for each word of
 * its command line.  Ends with code 0 and SUCCESS, or 1 and FAILURE.
 *
 *   exit=N      end with that code            abort   end as solo5_abort does
 *   clock       walltime, cycles and poll agree
 *   ticks=N     print "tick I" after each of N polls of step_ms (10)
 *   zero low xnow rnow wnox heapnox   what must not be read, written, run
 *   trap        an undefined instruction
 *   flood=N     print N lines as fast as it goes
 *   badcall=N badptr=N wrap=N text=N   hypercall N with a bad argument
 *   in          read a port (x86_64)          spin    never end
 */
#include "hvt.h"

HVT_ABI_NOTE(SOLO5_TARGET_HVT, HVT_ABI_VERSION);
HVT_MANIFEST(0);

static volatile uint64_t in_data = 1;

/* A function that returns, as it stands in memory. */
#ifdef __x86_64__
static uint32_t return_code = 0x909090c3;
#else
static uint32_t return_code = 0xd65f03c0;
#endif

static void run_at(const void *code)
{
	((void (*)(void))(uintptr_t)code)();
}

static int check_boot_info(const struct hvt_boot_info *bi)
{
	const struct solo5_mft *mft = (const void *)(uintptr_t)bi->mft;

	return bi->mem_size >= HVT_MEMORY_GRAIN &&
	       bi->kernel_end > (uintptr_t)&in_data &&
	       bi->kernel_end < bi->mem_size && bi->cpu_cycle_freq > 1000000 &&
	       mft->version == SOLO5_MFT_VERSION && mft->entries == 1;
}

/* Three waits of 20 ms: the poll, the wall clock and the cycles agree. */
static int check_clock(const struct hvt_boot_info *bi)
{
	for (int i = 0; i < 3; i++) {
		uint64_t ready = 1, c0 = hvt_cycles(), w0 = hvt_wall();
		int n = hvt_wait_for(20000000, &ready);
		uint64_t wall = hvt_wall() - w0;
		uint64_t ns = (hvt_cycles() - c0) * 1000 /
			      (bi->cpu_cycle_freq / 1000000);

		if (n != 0 || ready != 0 || ns < 20000000 || wall < 19000000) {
			say("poll ");
			say_u64((uint64_t)n);
			say(" cycles ");
			say_u64(ns);
			say(" wall ");
			say_u64(wall);
			say("\n");
			return 0;
		}
	}
	return 1;
}

static void tick(uint64_t n, uint64_t step)
{
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t ready;

		say("tick ");
		say_u64(i);
		say("\n");
		hvt_wait_for(step * 1000000, &ready);
	}
}

static void flood(uint64_t n)
{
	for (uint64_t i = 1; i <= n; i++) {
		say("line ");
		say_u64(i);
		say(" of a guest that prints as fast as it can\n");
	}
}

static void touch(const struct hvt_boot_info *bi)
{
	if (arg_has(bi, "zero"))
		*(volatile uint64_t *)(uintptr_t)arg_u64(bi, "zero", 0) = 1;
	if (arg_has(bi, "low")) /* boot info is to be read only */
		((volatile struct hvt_boot_info *)bi)->mem_size = 1;
	if (arg_has(bi, "xnow"))
		*(volatile uint64_t *)(uintptr_t)hvt_main = 1;
	if (arg_has(bi, "rnow"))
		*(volatile char *)(uintptr_t) "constant" = 1;
	if (arg_has(bi, "wnox"))
		run_at(&return_code);
	if (arg_has(bi, "heapnox")) {
		volatile uint32_t *heap =
			(volatile uint32_t *)(uintptr_t)bi->kernel_end;

		*heap = return_code;
		run_at((const void *)heap);
	}
	if (arg_has(bi, "trap"))
		__builtin_trap();
}

/* Bad arguments: the machine must end us, in words. */
static void call_badly(const struct hvt_boot_info *bi)
{
	static volatile uint64_t args[8];
	enum hvt_call nr = (enum hvt_call)arg_u64(bi, "nr", HVT_PUTS);

	if (arg_has(bi, "badcall"))
		hvt_call(nr, args);
	if (arg_has(bi, "badptr")) /* beyond the end of memory */
		hvt_call(nr, (void *)(uintptr_t)(bi->mem_size - 4));
	if (arg_has(bi, "wrap")) { /* pointers and lengths inside that wrap */
		for (int i = 0; i < 8; i++)
			args[i] = UINT64_MAX - 7;
		hvt_call(nr, args);
	}
	if (arg_has(bi, "text")) /* an answer into our own code */
		hvt_call(nr, (void *)(uintptr_t)hvt_main);
#ifdef __x86_64__
	if (arg_has(bi, "in"))
		__asm__ volatile("in %%dx, %%eax" ::"d"(0x501) : "eax");
	if (arg_has(bi, "port"))
		__asm__ volatile("outb %%al, %%dx" ::"d"(0x80), "a"(0));
	if (arg_has(bi, "byte"))
		__asm__ volatile("outb %%al, %%dx" ::"d"(0x502), "a"(0));
#endif
}

int hvt_main(const struct hvt_boot_info *bi)
{
	say("hvt guest, arguments: ");
	say((const char *)(uintptr_t)bi->cmdline);
	say("\n");
	if (!check_boot_info(bi)) {
		say("FAILURE: boot info\n");
		return 1;
	}
	if (arg_has(bi, "memory")) {
		say_u64(bi->mem_size);
		say("\n");
	}
	if (arg_has(bi, "clock") && !check_clock(bi)) {
		say("FAILURE: clock\n");
		return 1;
	}
	tick(arg_u64(bi, "ticks", 0), arg_u64(bi, "step_ms", 10));
	flood(arg_u64(bi, "flood", 0));
	touch(bi);
	call_badly(bi);
	while (arg_has(bi, "spin"))
		;
	if (arg_has(bi, "abort"))
		hvt_abort("as asked");
	say("SUCCESS\n");
	return (int)arg_u64(bi, "exit", 0);
}
