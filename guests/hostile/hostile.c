/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile.c - a guest that means harm: one attack for each word of its
 * command line.  Where it survives one it says "survived" and ends with 7.
 *
 *   wild=1    every offset and width at and around the event device
 *   nothing=1 reads where nobody answers: all ones, or it says so
 *   page=1    overwrites its boot page and the generation page
 *   exit2=1   ends with 5, then with 6
 *   flood=1   prints for ever           wait=1    sleeps for 49 days
 *   halt=1    halts as often as it can  trap=1    a fault without vectors
 *   run=N     executes: 1 data, 2 where nothing is
 *   tables=1  overwrites its page tables      (x86_64)
 *   ins=1     string input to where nothing is (x86_64)
 *   calls=1   KVM's own hypercalls             (x86_64)
 *   apic=1    a storm of timer interrupts it halts for (x86_64)
 */
#include "guest.h"

#define PAGE	4096
#define AROUND	0x40 /* bytes on both sides of the event device */
#define NOWHERE 0x20000000ull

/* Registers that end the guest or stop it for long when written in full. */
static int is_fatal(uint64_t off, int width)
{
	return width == 4 && (off == MOTE_REG_EXIT || off == MOTE_REG_WAIT);
}

#ifdef __x86_64__

static uint64_t bus_in(uint64_t port, int width)
{
	uint16_t p = (uint16_t)port;
	uint32_t v = 0;

	if (width == 1)
		__asm__ volatile("inb %1, %b0" : "+a"(v) : "d"(p));
	else if (width == 2)
		__asm__ volatile("inw %1, %w0" : "+a"(v) : "d"(p));
	else
		__asm__ volatile("inl %1, %0" : "=a"(v) : "d"(p));
	return v;
}

static void bus_out(uint64_t port, int width, uint64_t val)
{
	uint16_t p = (uint16_t)port;

	if (width == 1)
		__asm__ volatile("outb %b0, %1" ::"a"((uint32_t)val), "d"(p));
	else if (width == 2)
		__asm__ volatile("outw %w0, %1" ::"a"((uint32_t)val), "d"(p));
	else
		__asm__ volatile("outl %0, %1" ::"a"((uint32_t)val), "d"(p));
}

#define WIDTH_MAX 4

#else

static uint64_t bus_in(uint64_t at, int width)
{
	uint64_t v;

	if (width == 1)
		__asm__ volatile("ldrb %w0, [%1]" : "=r"(v) : "r"(at));
	else if (width == 2)
		__asm__ volatile("ldrh %w0, [%1]" : "=r"(v) : "r"(at));
	else if (width == 4)
		__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at));
	else
		__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(at));
	return v;
}

static void bus_out(uint64_t at, int width, uint64_t val)
{
	if (width == 1)
		__asm__ volatile("strb %w0, [%1]" ::"r"(val), "r"(at));
	else if (width == 2)
		__asm__ volatile("strh %w0, [%1]" ::"r"(val), "r"(at));
	else if (width == 4)
		__asm__ volatile("str %w0, [%1]" ::"r"(val), "r"(at));
	else
		__asm__ volatile("str %0, [%1]" ::"r"(val), "r"(at));
}

#define WIDTH_MAX 8

#endif

static uint64_t ones(int width)
{
	return width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
}

/* Accesses are aligned: device memory takes no others. */
static void wild(const struct mote_boot *boot)
{
	uint64_t from = boot->event_base - AROUND;
	uint64_t to = boot->event_base + MOTE_REG_SPAN + AROUND;

	for (int width = 1; width <= WIDTH_MAX; width *= 2)
		for (uint64_t at = from; at < to; at += (uint64_t)width) {
			bus_in(at, width);
			if (is_fatal(at - boot->event_base, width))
				continue;
			bus_out(at, width, 0);
			bus_out(at, width, UINT64_MAX);
		}
	if (reg_read(boot, MOTE_REG_MAGIC) != MOTE_EVENT_MAGIC)
		print("the event device is gone\n");
}

/* In the span of the event device too: offsets that have no register. */
static void nothing(const struct mote_boot *boot)
{
	uint64_t bad = 0;

	for (int width = 1; width <= WIDTH_MAX; width *= 2) {
#ifdef __x86_64__
		for (uint32_t port = 0x1000; port <= 0xfff0; port += 112)
			bad += bus_in(port, width) != ones(width);
#else
		for (uint64_t at = 0x0a000000; at < 0x0b000000; at += 0x1fff0)
			bad += bus_in(at, width) != ones(width);
#endif
		bad += bus_in(boot->event_base + 0x18, width) != ones(width);
		if (width != 4)
			bad += bus_in(boot->event_base, width) != ones(width);
	}
	if (bad) {
		print_u64(bad);
		print(" reads of nothing gave something\n");
	}
}

static void fill(uint64_t page, uint8_t with)
{
	volatile uint8_t *p = (volatile uint8_t *)(uintptr_t)page;

	for (int i = 0; i < PAGE; i++)
		p[i] = with;
}

static void halt(void)
{
#ifdef __x86_64__
	__asm__ volatile("hlt" ::: "memory");
#else
	__asm__ volatile("wfi" ::: "memory");
#endif
}

static void run_at(uint64_t code)
{
	((void (*)(void))(uintptr_t)code)();
}

#ifdef __x86_64__

/* The fourth GiB is where the machine has its hole; the first is mapped. */
static void map_nowhere(void)
{
	uint64_t cr3;
	volatile uint64_t *pd;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	pd = (volatile uint64_t *)(uintptr_t)(cr3 & ~0xfffull);
	pd = (volatile uint64_t *)(uintptr_t)(pd[0] & 0xffffffffff000ull);
	pd = (volatile uint64_t *)(uintptr_t)(pd[0] & 0xffffffffff000ull);
	pd[NOWHERE >> 21] = NOWHERE | 0x87;
	__asm__ volatile("mov %0, %%cr3" ::"r"(cr3) : "memory");
}

static void overwrite_tables(void)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	fill(cr3 & ~0xfffull, 0xff);
	__asm__ volatile("mov %0, %%cr3" ::"r"(cr3) : "memory");
}

static void string_input(void)
{
	void *to = (void *)(uintptr_t)NOWHERE;
	uint64_t n = 1 << 20;

	map_nowhere();
	__asm__ volatile("rep insb"
			 : "+D"(to), "+c"(n)
			 : "d"((uint16_t)0x3f8)
			 : "memory");
}

/* The other vendor's instruction is KVM's to rewrite, if it can. */
static uint64_t kvm_call(uint64_t nr, int amd)
{
	uint64_t ret = nr;

	if (amd)
		__asm__ volatile("vmmcall"
				 : "+a"(ret)
				 : "b"(UINT64_MAX), "c"(UINT64_MAX),
				   "d"(UINT64_MAX), "S"(UINT64_MAX)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "+a"(ret)
				 : "b"(UINT64_MAX), "c"(UINT64_MAX),
				   "d"(UINT64_MAX), "S"(UINT64_MAX)
				 : "memory");
	return ret;
}

static void kvm_calls(void)
{
	uint32_t a = 0, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	for (uint64_t nr = 0; nr < 64; nr++)
		kvm_call(nr, b == 0x68747541); /* "Auth" */
}

static void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)val),
			 "d"((uint32_t)(val >> 32)));
}

/* In an x2APIC: acknowledge, and back to the halt. */
void tick(void);
__asm__(".text\n"
	"tick:	push %rax; push %rcx; push %rdx\n"
	"	mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr\n"
	"	pop %rdx; pop %rcx; pop %rax\n"
	"	iretq\n");

static void storm(void)
{
	static uint64_t idt[2 * 256] __attribute__((aligned(16)));
	uint64_t fn = (uintptr_t)tick;
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uintptr_t)idt};

	idt[2 * 32] = (fn & 0xffff) | 0x08ull << 16 | 0x8eull << 40 |
		      (fn >> 16 & 0xffff) << 48;
	idt[2 * 32 + 1] = fn >> 32;
	__asm__ volatile("lidt %0" ::"m"(idtr));
	wrmsr(0x1b, 0xfee00d00);    /* IA32_APIC_BASE: on, x2APIC */
	wrmsr(0x80f, 0x1ff);	    /* on, spurious vector */
	wrmsr(0x83e, 0xb);	    /* divide by 1 */
	wrmsr(0x832, 0x20000 | 32); /* periodic */
	wrmsr(0x838, 1000);
	__asm__ volatile("sti");
}

#endif

static void attack_x86(void)
{
#ifdef __x86_64__
	if (guest_arg_u64("tables", 0))
		overwrite_tables();
	if (guest_arg_u64("ins", 0))
		string_input();
	if (guest_arg_u64("calls", 0))
		kvm_calls();
	if (guest_arg_u64("apic", 0))
		storm();
	if (guest_arg_u64("run", 0) == 2)
		map_nowhere();
#endif
}

int guest_main(const struct mote_boot *page)
{
	static uint64_t data[8];
	static struct mote_boot boot;
	uint64_t run = guest_arg_u64("run", 0);
	int exit2 = guest_arg_u64("exit2", 0) != 0;
	int halts = guest_arg_u64("halt", 0) || guest_arg_u64("apic", 0);

	boot = *page; /* it may be gone soon */
	print("hostile: ");
	print(guest_args());
	print("\n");
	reg_write(&boot, MOTE_REG_READY, 1);
	while (guest_arg_u64("flood", 0))
		print("and on and on and on and on and on and on and on\n");
	if (guest_arg_u64("wild", 0))
		wild(&boot);
	if (guest_arg_u64("nothing", 0))
		nothing(&boot);
	while (guest_arg_u64("wait", 0)) /* a pause ends one */
		reg_write(&boot, MOTE_REG_WAIT, UINT32_MAX);
	attack_x86();
	while (halts)
		halt();
	if (guest_arg_u64("trap", 0))
		__builtin_trap();
	if (run == 1) {
		for (int i = 0; i < 8; i++)
			data[i] = UINT64_MAX; /* no instruction anywhere */
		run_at((uintptr_t)data);
	}
	if (run == 2)
		run_at(NOWHERE);
	if (guest_arg_u64("page", 0)) {
		fill(boot.generation, 0xff);
		fill((uintptr_t)page, 0xff);
		guest_init(&boot);
	}
	if (exit2) {
		reg_write(&boot, MOTE_REG_EXIT, 5);
		reg_write(&boot, MOTE_REG_EXIT, 6);
	}
	print("survived\n");
	return 7;
}
