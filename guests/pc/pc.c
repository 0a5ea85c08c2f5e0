/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pc.c - a guest of the others' contracts: says what it was handed (command
 * line, memory map, module, ACPI tables), starts the other CPUs by INIT and
 * SIPI, takes an interrupt of the serial port through the I/O APIC, and ends
 * the machine as end= says (off, reset, cf9, kbd, bios, triple).
 *
 * With "type" it waits for a line of input by interrupt; with "loop" it counts
 * until the generation id changes.  Runs in 32 bits, without paging.
 */
#include <stdint.h>

#define COM	 0x3f8
#define LAPIC	 0xfee00000u
#define TRAMP	 0x10000u
#define AP_COUNT (*(volatile uint32_t *)(TRAMP + 0x100))
#define VECTOR	 0x40
#define PATIENCE 2000000u

void pc_main(uint32_t contract, uint32_t eax, const void *info);
void serial_interrupt(void);
extern void serial_entry(void);
extern const uint8_t tramp[], tramp_end[], to_bios[], to_bios_end[];

static volatile uint32_t interrupts, heard;
static volatile char line[64];
static uint32_t ioapic_at = 0xfec00000u;
static const char *cmdline = "";

static void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void put(char c)
{
	while (!(inb(COM + 5) & 0x20))
		;
	outb(COM, (uint8_t)c);
}

static void print(const char *s)
{
	while (*s)
		put(*s++);
}

static void hex(uint64_t v)
{
	char buf[17];
	int i = 16;

	buf[16] = 0;
	do {
		buf[--i] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	print(buf + i);
}

static void say(const char *what, uint64_t v)
{
	print(what);
	hex(v);
	print("\n");
}

static int same(const void *a, const void *b, uint32_t n)
{
	const uint8_t *x = a, *y = b;

	while (n--)
		if (*x++ != *y++)
			return 0;
	return 1;
}

static uint32_t length(const char *s)
{
	uint32_t n = 0;

	while (s[n])
		n++;
	return n;
}

static int asked(const char *word)
{
	uint32_t n = length(word);

	for (const char *s = cmdline; *s; s++)
		if (same(s, word, n))
			return 1;
	return 0;
}

/* --- what it was handed -----------------------------------------------------
 */

static void say_range(uint64_t base, uint64_t size, uint32_t type)
{
	print("map: ");
	hex(base);
	print(" ");
	hex(size);
	print(" ");
	hex(type);
	print("\n");
}

static void say_module(uint32_t at, uint32_t size)
{
	uint32_t sum = 2166136261u;

	if (!size)
		return;
	for (uint32_t i = 0; i < size; i++)
		sum = (sum ^ ((const uint8_t *)(uintptr_t)at)[i]) * 16777619u;
	say("module size: ", size);
	say("module sum: ", sum);
}

static uint64_t u(const uint8_t *p, int len)
{
	uint64_t v = 0;

	while (len--)
		v = v << 8 | p[len];
	return v;
}

#define AT(p) ((const uint8_t *)(uintptr_t)(p))

static uint32_t from_linux(const uint8_t *p)
{
	cmdline = (const char *)AT(u(p + 0x228, 4));
	for (uint32_t i = 0; i < p[0x1e8]; i++)
		say_range(u(p + 0x2d0 + 20 * i, 8), u(p + 0x2d8 + 20 * i, 8),
			  (uint32_t)u(p + 0x2e0 + 20 * i, 4));
	say("loader: ", p[0x210]);
	say_module((uint32_t)u(p + 0x218, 4), (uint32_t)u(p + 0x21c, 4));
	return (uint32_t)u(p + 0x70, 8);
}

static uint32_t from_pvh(const uint8_t *p)
{
	const uint8_t *map = AT(u(p + 40, 8)), *mod = AT(u(p + 16, 8));

	say("magic: ", u(p, 4));
	say("version: ", u(p + 4, 4));
	cmdline = (const char *)AT(u(p + 24, 8));
	for (uint32_t i = 0; i < u(p + 48, 4); i++)
		say_range(u(map + 24 * i, 8), u(map + 24 * i + 8, 8),
			  (uint32_t)u(map + 24 * i + 16, 4));
	if (u(p + 12, 4))
		say_module((uint32_t)u(mod, 8), (uint32_t)u(mod + 8, 8));
	return (uint32_t)u(p + 32, 8);
}

static uint32_t from_multiboot(const uint8_t *p, uint32_t eax)
{
	const uint8_t *map = AT(u(p + 48, 4)), *mod = AT(u(p + 24, 4));
	uint32_t len = (uint32_t)u(p + 44, 4);

	say("magic: ", eax);
	say("flags: ", u(p, 4));
	say("upper: ", u(p + 8, 4));
	cmdline = (const char *)AT(u(p + 16, 4));
	for (uint32_t at = 0; at < len; at += (uint32_t)u(map + at, 4) + 4)
		say_range(u(map + at + 4, 8), u(map + at + 12, 8),
			  (uint32_t)u(map + at + 20, 4));
	if (u(p, 4) & 8 && u(p + 20, 4))
		say_module((uint32_t)u(mod, 4),
			   (uint32_t)(u(mod + 4, 4) - u(mod, 4)));
	return 0;
}

/* --- ACPI
 * --------------------------------------------------------------------- */

static int sums_up(const uint8_t *p, uint32_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return sum == 0;
}

static uint32_t search_rsdp(void)
{
	for (uint32_t at = 0xe0000; at < 0x100000; at += 16)
		if (same(AT(at), "RSD PTR ", 8))
			return at;
	return 0;
}

static void say_madt(const uint8_t *t, uint32_t len)
{
	uint32_t cpus = 0;

	for (uint32_t at = 44; at + 2 <= len && t[at + 1]; at += t[at + 1]) {
		cpus += t[at] == 0;
		if (t[at] == 1)
			ioapic_at = (uint32_t)u(t + at + 4, 4);
	}
	say("cpus by ACPI: ", cpus);
	say("ioapic: ", ioapic_at);
}

static void say_acpi(uint32_t rsdp)
{
	const uint8_t *x;

	if (!rsdp)
		rsdp = search_rsdp();
	if (!rsdp) {
		print("no ACPI\n");
		return;
	}
	say("rsdp: ", rsdp);
	x = AT(u(AT(rsdp) + 24, 8));
	if (!sums_up(AT(rsdp), 20) || !sums_up(AT(rsdp), 36) ||
	    !sums_up(x, (uint32_t)u(x + 4, 4)))
		print("WRONG sums\n");
	for (uint32_t i = 36; i < u(x + 4, 4); i += 8) {
		const uint8_t *t = AT(u(x + i, 8));
		uint32_t len = (uint32_t)u(t + 4, 4);
		char name[5] = {(char)t[0], (char)t[1], (char)t[2], (char)t[3]};

		print("table: ");
		print(name);
		print(sums_up(t, len) ? "\n" : " WRONG sum\n");
		if (same(t, "APIC", 4))
			say_madt(t, len);
	}
}

/* --- CPUs and interrupts
 * --------------------------------------------------------- */

static void lapic(uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)(LAPIC + reg) = v;
}

static void start_cpus(void)
{
	uint32_t want = 0, before;

	for (const uint8_t *p = tramp; p < tramp_end; p++)
		*(volatile uint8_t *)(TRAMP + (uint32_t)(p - tramp)) = *p;
	AP_COUNT = 0;
	for (const char *s = cmdline; *s; s++)
		if (same(s, "cpus=", 5))
			want = (uint32_t)(s[5] - '0') - 1;
	lapic(0x300, 0xc4500); /* INIT to all others */
	lapic(0x300, 0xc4600 | TRAMP >> 12);
	for (before = 0; AP_COUNT < want && before < PATIENCE; before++)
		__asm__ volatile("pause");
	say("cpus started: ", AP_COUNT + 1);
}

static struct {
	uint16_t low, selector, flags, high;
} idt[VECTOR + 1] __attribute__((aligned(8)));

static void load_idt(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) r = {sizeof(idt) - 1, (uint32_t)idt};

	idt[VECTOR].low = (uint16_t)(uint32_t)serial_entry;
	idt[VECTOR].high = (uint16_t)((uint32_t)serial_entry >> 16);
	idt[VECTOR].selector = 0x10;
	idt[VECTOR].flags = 0x8e00;
	__asm__ volatile("lidt %0" : : "m"(r));
}

static void ioapic(uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)ioapic_at = reg;
	*(volatile uint32_t *)(ioapic_at + 0x10) = v;
}

void serial_interrupt(void)
{
	uint8_t why;

	while (!((why = inb(COM + 2)) & 1)) {
		if ((why & 0xf) == 4) {
			char c = (char)inb(COM);

			if (heard + 1 < sizeof(line))
				line[heard] = c;
			heard++;
		}
		interrupts++;
	}
	lapic(0xb0, 0);
}

static void take_interrupts(void)
{
	load_idt();
	lapic(0xf0, 0x1ff);
	ioapic(0x11 + 2 * 4, 0);
	ioapic(0x10 + 2 * 4, VECTOR);
	__asm__ volatile("sti");
	outb(COM + 1, 2);
	for (uint32_t i = 0; !interrupts && i < PATIENCE; i++)
		__asm__ volatile("pause");
	outb(COM + 1, 0);
	say("interrupts: ", interrupts);
	if (asked("type")) {
		print("type\n");
		outb(COM + 1, 1);
		/* sti; hlt: none is lost between the two. */
		for (;;) {
			__asm__ volatile("cli" ::: "memory");
			if (heard && line[(heard - 1) % sizeof(line)] == '\n')
				break;
			__asm__ volatile("sti; hlt" ::: "memory");
		}
		__asm__ volatile("sti");
		outb(COM + 1, 0);
		print("heard: ");
		print((const char *)line);
	}
}

/* Until this is a clone: its id is new. */
static void wait_for_clone(void)
{
	volatile uint32_t *id = (volatile uint32_t *)0x8008;
	uint32_t was = id[0];

	print(was ? "id set\n" : "WRONG id\n");
	print("loop\n");
	while (id[0] == was)
		__asm__ volatile("pause");
	print("clone\n");
}

/* By 16-bit segments to real mode, and to where firmware would be. */
static void bios(void)
{
	const uint8_t *from = to_bios;

	for (; from < to_bios_end; from++)
		*(volatile uint8_t *)(TRAMP + (uint32_t)(from - to_bios)) =
			*from;
	__asm__ volatile("cli; ljmp $0x20, $0");
}

static void end(void)
{
	static const char nothing[6];

	if (asked("end=reset"))
		outb(0x602, 1);
	if (asked("end=cf9"))
		outb(0xcf9, 6);
	if (asked("end=kbd"))
		outb(0x64, 0xfe);
	if (asked("end=bios"))
		bios();
	if (asked("end=triple"))
		__asm__ volatile("lidt (%0); ud2" : : "r"(nothing));
	outb(0x600, 5 << 2 | 0x20);
}

void pc_main(uint32_t contract, uint32_t eax, const void *info)
{
	static const char *const names[] = {"", "linux32", "pvh", "multiboot",
					    "linux64"};
	uint32_t rsdp;

	print("contract: ");
	print(names[contract]);
	print("\n");
	rsdp = contract == 2   ? from_pvh(info)
	       : contract == 3 ? from_multiboot(info, eax)
			       : from_linux(info);
	print("cmdline: ");
	print(cmdline);
	print("\n");
	say_acpi(rsdp);
	start_cpus();
	take_interrupts();
	if (asked("loop"))
		wait_for_clone();
	print("done\n");
	end();
}
