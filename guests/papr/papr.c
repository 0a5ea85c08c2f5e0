/* SPDX-License-Identifier: Apache-2.0 */
/*
 * papr.c - what a ppc64le guest may ask of the machine, and what it may not:
 * one word of the command line each.  Ends with 0, or says what was wrong and
 * ends with 1.
 *
 *   calls=1   every RTAS call and hypercall that answers, also wrong ones
 *   off=1     RTAS power-off               reboot=1  RTAS system-reboot
 *   again=N   vCPU 1 is started and stops itself, N times
 *   mode=1    H_SET_MODE while vCPU 1 spins; both take an interrupt after it
 *   stop=1    every vCPU has stopped itself: nobody is left
 *   block=N   H_RTAS with that address     nargs=N   with that many arguments
 *   storm=N   N calls of H_RTAS, from all vCPUs at once
 *   xics=1    an IPI from vCPU 0 to itself through the XICS, and a source
 */
#include "guest.h"
#include "rtas.h"
#include "smp.h"

#define H_FUNCTION  (-2)
#define H_PARAMETER (-4)
#define H_AUTHORITY (-10)
#define H_P2	    (-55)
#define H_FLAG	    (-256)
#define H_LONG_BUSY 9900
#define H_EOI	    0x64
#define H_CPPR	    0x68
#define H_IPI	    0x6c
#define H_XIRR	    0x74
#define H_SET_MODE  0x31c
#define PARAMETER   (-3)
#define UNKNOWN	    (-1)
#define IRQ	    0x1000u
#define PATIENCE    5000 /* ms */
#define LINE	    128
#define MSR_LE	    1ul

static struct rtas_block block;
static volatile uint64_t count, spin;
static char stacks[SMP_VCPUS_MAX][4096] __attribute__((aligned(16)));
static const struct mote_boot *boot_page;

static void expect(const char *what, long got, long want)
{
	if (got == want)
		return;
	print(what);
	print(": ");
	print_hex((uint64_t)got, 16);
	print(", expected ");
	print_hex((uint64_t)want, 16);
	print("\n");
	guest_exit(1);
}

static long set_mode(unsigned long flags, unsigned long what, unsigned long a,
		     unsigned long b)
{
	long ret;

	do {
		unsigned long arg = flags;

		ret = hcall(H_SET_MODE, &arg, what, a, b);
	} while (ret == H_LONG_BUSY);
	return ret;
}

static void await(volatile uint64_t *at, uint64_t want, const char *what)
{
	for (int ms = 0; *at != want; ms++) {
		if (ms == PATIENCE)
			expect(what, (long)*at, (long)want);
		reg_write(boot_page, MOTE_REG_WAIT, 1);
	}
}

static void calls(void)
{
	unsigned long a = 0;

	expect("get-time-of-day",
	       rtas_do(&block, MOTE_RTAS_GET_TIME_OF_DAY, 0, 8), 0);
	if (rtas_cell(block.cell[1]) < 2020 || rtas_cell(block.cell[2]) > 12 ||
	    rtas_cell(block.cell[7]) > 999999999)
		expect("the year", rtas_cell(block.cell[1]), 2020);
	expect("too few results",
	       rtas_do(&block, MOTE_RTAS_GET_TIME_OF_DAY, 0, 1), PARAMETER);
	expect("no such token", rtas_do(&block, 0x1fff, 0, 1), UNKNOWN);
	expect("token 0", rtas_do(&block, 0, 0, 1), UNKNOWN);
	expect("behind the last", rtas_do(&block, MOTE_RTAS_END, 0, 1),
	       UNKNOWN);
	expect("itself runs", smp_state(0), 2);
	expect("no such vCPU", smp_state(boot_page->vcpus), ~0u);
	expect("vCPU -1", smp_state(~0u), ~0u);
	expect("start a running one", smp_start(0, NULL, NULL), UNKNOWN);
	expect("an order of the table", hcall(0x36c, &a, 20, 0, 0),
	       H_AUTHORITY);
	expect("commit it", hcall(0x370, &a, 20, 0, 0), H_AUTHORITY);
	a = 0x1d;
	expect("a radix tree", hcall(0x37c, &a, 0, 0, 0), H_FUNCTION);
	a = 0x18;
	expect("no process table", hcall(0x37c, &a, 0, 0, 0), 0);
	expect("no such mode", set_mode(0, 9, 0, 0), H_P2);
	expect("a reserved AIL", set_mode(1, 3, 0, 0), H_FLAG);
	expect("no such endian", set_mode(2, 4, 0, 0), H_FLAG);
	expect("a value too many", set_mode(1, 4, 1, 0), H_P2 - 1);
	for (unsigned long nr = 0xf004; nr < 0xf104; nr += 4)
		expect("no such call", hcall(nr, &a, 0, 0, 0), H_FUNCTION);
	expect("call -4", hcall(~3ul, &a, 0, 0, 0), H_FUNCTION);
}

static void once(void)
{
	count++;
	__asm__ volatile("sync" ::: "memory");
}

static void start_again(uint64_t times)
{
	for (uint64_t i = 1; i <= times; i++) {
		expect("stopped", smp_state(1), 0);
		expect("start-cpu", smp_start(1, once, stacks[1] + 4096), 0);
		await(&count, i, "it ran");
		for (int ms = 0; smp_state(1) != 0; ms++) {
			if (ms == PATIENCE)
				expect("it stops", smp_state(1), 0);
			reg_write(boot_page, MOTE_REG_WAIT, 1);
		}
		if (i == times / 2)
			print("half\n");
	}
}

/*
 * A system call's vector, 0xc00: count, and back.  Its bytes are those of
 * a little-endian guest, so who is not in that mode dies on them.
 */
static uint64_t taken[SMP_VCPUS_MAX];

static void interrupt(uint64_t me)
{
	register uint64_t *r9 __asm__("r9") = &taken[me];

	__asm__ volatile("sc 0" : "+r"(r9) : : "r10", "r11", "r12", "memory");
	expect("interrupts taken", (long)taken[me], 1);
}

static void spinner(void)
{
	count = 1;
	while (!spin)
		__asm__ volatile("" ::: "memory");
	interrupt(1);
	count = 2;
}

static void mode(void)
{
	static const uint32_t code[] = {
		0xe9490000, /* ld r10, 0(r9) */
		0x394a0001, /* addi r10, r10, 1 */
		0xf9490000, /* std r10, 0(r9) */
		0x4c000024, /* rfid */
	};

	volatile uint32_t *vector;

	__asm__("li %0, 0xc00" : "=r"(vector));
	for (unsigned int i = 0; i < 4; i++)
		vector[i] = code[i];
	__asm__ volatile("dcbst 0, %0\n\tsync\n\ticbi 0, %0\n\tsync\n\tisync"
			 :
			 : "r"(vector)
			 : "memory");
	if (boot_page->vcpus > 1) {
		expect("start-cpu", smp_start(1, spinner, stacks[1] + 4096), 0);
		await(&count, 1, "it spins");
	}
	expect("little-endian interrupts", set_mode(1, 4, 0, 0), 0);
	interrupt(0);
	if (boot_page->vcpus > 1) {
		spin = 1;
		await(&count, 2, "its interrupt");
	}
}

static void raw(uint64_t at, uint64_t nargs)
{
	unsigned long a = at ? at : (unsigned long)&block;

	block.token = rtas_cell(0x1fff);
	block.nargs = rtas_cell((uint32_t)nargs);
	block.nrets = rtas_cell(1);
	expect("a bad block", hcall(MOTE_HCALL_RTAS, &a, 0, 0, 0), H_PARAMETER);
}

static uint64_t storm_calls;

static void storm(void)
{
	struct rtas_block b; /* on the stack: one for each */

	for (uint64_t i = 0; i < storm_calls; i++) {
		b.cell[0] = rtas_cell((uint32_t)(i % 8));
		b.cell[1] = b.cell[2] = 0;
		rtas_do(&b, i % 3 ? MOTE_RTAS_QUERY_CPU : (uint32_t)i, 1, 2);
	}
	__atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST);
}

static void storms(uint64_t n)
{
	storm_calls = n;
	for (uint32_t i = 1; i < boot_page->vcpus; i++)
		expect("start-cpu", smp_start(i, storm, stacks[i] + 4096), 0);
	storm();
	await(&count, boot_page->vcpus, "all came back");
}

static void xics(void)
{
	unsigned long a = 0xff;

	if (hcall(H_CPPR, &a, 0, 0, 0) == H_FUNCTION) {
		print("no xics\n");
		return;
	}
	a = 0; /* server 0, priority 5 */
	expect("H_IPI", hcall(H_IPI, &a, 5, 0, 0), 0);
	reg_write(boot_page, MOTE_REG_READY, 1);
	print("sent\n");
	while (guest_arg_u64("wait", 0) &&
	       !(reg_read(boot_page, MOTE_REG_EVENTS) & MOTE_EVENT_NEWGEN))
		reg_write(boot_page, MOTE_REG_WAIT, 10);
	/* It may take a moment: the sender is another part of the machine. */
	for (int ms = 0; ms < PATIENCE; ms++) {
		a = 0;
		expect("H_XIRR", hcall(H_XIRR, &a, 0, 0, 0), 0);
		if (a & 0xffffff)
			break;
		reg_write(boot_page, MOTE_REG_WAIT, 1);
	}
	expect("the IPI, from any priority", (long)a & 0xffffffff, 0xff000002);
	block.cell[0] = rtas_cell(IRQ);
	block.cell[1] = rtas_cell(0);
	block.cell[2] = rtas_cell(7);
	if (!guest_arg_u64("wait", 0))
		expect("ibm,set-xive",
		       rtas_do(&block, MOTE_RTAS_SET_XIVE, 3, 1), 0);
	block.cell[0] = rtas_cell(IRQ);
	expect("ibm,get-xive", rtas_do(&block, MOTE_RTAS_GET_XIVE, 1, 3), 0);
	expect("its priority", rtas_cell(block.cell[3]),
	       guest_arg_u64("wait", 0) ? 0xff : 7);
	expect("no such source",
	       (block.cell[0] = rtas_cell(5),
		rtas_do(&block, MOTE_RTAS_GET_XIVE, 1, 3)),
	       PARAMETER);
	a = 0;
	hcall(H_IPI, &a, 0xff, 0, 0);
	a = 0xff000002;
	expect("H_EOI", hcall(H_EOI, &a, 0, 0, 0), 0);
	print("xics works\n");
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t block_at = guest_arg_u64("block", 0);
	uint64_t nargs = guest_arg_u64("nargs", 0);

	boot_page = boot;
	if (guest_arg_u64("calls", 0))
		calls();
	if (guest_arg_u64("again", 0))
		start_again(guest_arg_u64("again", 0));
	if (guest_arg_u64("mode", 0))
		mode();
	if (guest_arg_u64("storm", 0))
		storms(guest_arg_u64("storm", 0));
	if (guest_arg_u64("xics", 0))
		xics();
	if (block_at || nargs)
		raw(block_at, nargs);
	block.cell[0] = block.cell[1] = ~0u;
	if (guest_arg_u64("off", 0))
		rtas_do(&block, MOTE_RTAS_POWER_OFF, 2, 1);
	if (guest_arg_u64("reboot", 0))
		rtas_do(&block, MOTE_RTAS_SYSTEM_REBOOT, 0, 1);
	if (guest_arg_u64("stop", 0)) {
		print("stopping\n");
		rtas_do(&block, MOTE_RTAS_STOP_SELF, 0, 1);
		print("not stopped\n");
	}
	print("fine\n");
	return 0;
}
