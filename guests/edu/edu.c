/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edu.c - drives QEMU's edu device by DMA and interrupts (x86_64, ring 0).
 *
 * Fills the device's buffer from RAM, then has it write rounds=N pieces of
 * random sizes to random pages, each with an interrupt (by MSI, or intx=1:
 * by its pin and the I/O APIC), while the CPU writes
 * other pages; in the end every byte must be what it should be.  hold=1: waits
 * for a new generation (a restore) and looks at the bytes once more, without
 * the device.  hostile=N: N rounds of everything that a guest must not do come
 * first, seed=S; then the device must work as ever.  Source: QEMU
 * docs/specs/edu.rst.
 */
#include "apic.h"
#include "guest.h"
#include "pci.h"
#include "scribble.h"

#define EDU_ID	   0x11e81234u
#define EDU_LIVE   0x04
#define EDU_RAISE  0x60
#define EDU_STATUS 0x24
#define EDU_ACK	   0x64
#define EDU_SRC	   0x80
#define EDU_DST	   0x88
#define EDU_COUNT  0x90
#define EDU_CMD	   0x98
#define EDU_RUN	   1u
#define EDU_TO_RAM 2u
#define EDU_IRQ	   4u
#define EDU_BUFFER 0x40000u
#define EDU_BYTES  4096u

#define IOAPIC	0xfec00000u
#define VECTOR	0x61
#define UNUSED	0x81
#define PAGE	4096u
#define FROM	0x800000u  /* the pattern */
#define TARGETS 0xa00000u  /* pages that the device writes */
#define OTHERS	0x1000000u /* pages that the CPU writes */
#define PAGES	512u
#define NONE	0u

static volatile uint8_t *bar;
static pci_dev dev;
static uint8_t line; /* as it was found: a guest may write it */
static volatile uint64_t edu_count;
static volatile uint64_t
	hold_until;		/* so many: the device goes on holding it */
static uint32_t written[PAGES]; /* bytes from the page's start */
static void put32(unsigned int off, uint32_t v)
{
	*(volatile uint32_t *)(bar + off) = v;
}

static void put64(unsigned int off, uint64_t v)
{
	*(volatile uint64_t *)(bar + off) = v;
}

static uint32_t get32(unsigned int off)
{
	return *(volatile uint32_t *)(bar + off);
}

/* The device holds its interrupt until it is acknowledged there. */
__attribute__((interrupt, target("general-regs-only"))) static void
edu_interrupt(void *frame)
{
	(void)frame;
	if (edu_count >= hold_until)
		put32(EDU_ACK, get32(EDU_STATUS));
	edu_count++;
	apic_write(APIC_EOI, 0);
}

static void ioapic_write(uint32_t reg, uint32_t val)
{
	*(volatile uint32_t *)IOAPIC = reg;
	*(volatile uint32_t *)(IOAPIC + 0x10) = val;
}

/* Level-triggered, to this CPU. */
static void ioapic_level(uint32_t pin, uint32_t vector)
{
	ioapic_write(0x11 + 2 * pin, 0);
	ioapic_write(0x10 + 2 * pin, 1u << 15 | vector);
}

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 7 + 3 + i / 256);
}

/* Until the interrupt has come; the CPU writes pages meanwhile. */
static void dma(uint64_t src, uint64_t dst, uint32_t n, uint32_t cmd)
{
	static uint64_t turn;
	uint64_t want = edu_count + 1;

	put64(EDU_SRC, src);
	put64(EDU_DST, dst);
	put64(EDU_COUNT, n);
	put64(EDU_CMD, cmd | EDU_RUN | EDU_IRQ);
	while (edu_count < want) {
		*(volatile uint64_t *)(uintptr_t)(OTHERS +
						  turn % PAGES * PAGE) = turn;
		turn++;
		__asm__ volatile("sti; pause; cli" ::: "memory");
	}
}

static int check_page(uint32_t page)
{
	const volatile uint8_t *p =
		(const volatile uint8_t *)(uintptr_t)(TARGETS + page * PAGE);

	for (uint32_t i = 0; i < PAGE; i++)
		if (p[i] != (i < written[page] ? pattern(i) : 0))
			return 0;
	return 1;
}

static uint32_t wrong_pages(void)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < PAGES; i++)
		wrong += !check_page(i);
	return wrong;
}

static void say(const char *what, uint64_t n)
{
	print(what);
	print_u64(n);
}

/* The BAR, the interrupt, bus mastering. */
static int take(const struct mote_boot *boot)
{
	pci_dev d = pci_find(boot, EDU_ID, 0);

	if (!d) {
		print("no edu\n");
		return 1;
	}
	if (!dev)
		line = d[PCI_LINE];
	dev = d;
	bar = (volatile uint8_t *)(uintptr_t)pci_bar(d, 0);
	pci_write16(d, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_DMA);
	print("edu ");
	print_hex(get32(0), 8);
	print(" bar ");
	print_hex((uint64_t)(uintptr_t)bar, 8);
	say(" KiB ", pci_bar_size(d, 0) / 1024);
	print("\n");
	put32(EDU_LIVE, 0x12345678);
	if (get32(EDU_LIVE) != ~0x12345678u) {
		print("dead\n");
		return 1;
	}
	set_gate(VECTOR, (void (*)(void))edu_interrupt);
	apic_on();
	edu_count = 0;
	if (guest_arg_u64("intx", 0)) {
		ioapic_level(line, VECTOR);
	} else if (pci_msi(d, VECTOR) < 0) {
		print("no MSI\n");
		return 1;
	}
	put32(EDU_RAISE, 1);
	for (int i = 0; !edu_count && i < 1000000; i++)
		__asm__ volatile("sti; pause; cli" ::: "memory");
	say("raised ", edu_count);
	print("\n");
	return edu_count != 1;
}

/* --- hostile=N --------------------------------------------------------------
 */

/* Somewhere that nobody looks at; past RAM and in the hole for interrupts. */
static void dma_anywhere(void)
{
	static const uint32_t to[] = {OTHERS, 0x7ff0000, 0xfee0000, 0xffff000};

	put64(EDU_SRC, EDU_BUFFER);
	put64(EDU_DST, to[next() % 4]);
	put64(EDU_COUNT, next() % PAGE + 1);
	put64(EDU_CMD, EDU_TO_RAM | EDU_RUN);
	for (int i = 0; i < 100; i++)
		pci_write16(dev, PCI_COMMAND, (uint16_t)next());
	for (int i = 0; i < 100000000 && get32(EDU_CMD) & EDU_RUN; i++)
		__asm__ volatile("pause");
}

/* Over RAM, over configuration space, over the I/O APIC, nowhere. */
static void move_bar(const struct mote_boot *boot)
{
	const uint32_t to[] = {FROM, (uint32_t)boot->pci, IOAPIC, 0xfee00000,
			       0,    UINT32_MAX,	  1};

	for (unsigned int i = 0; i < 7; i++) {
		pci_write32(dev, PCI_BAR(next() % 6), to[i]);
		scribble(dev + PCI_BAR(0), 24);
	}
}

/* Messages to nowhere and of no vector; the device does raise them. */
static void wild_msi(void)
{
	static const uint32_t to[] = {0, 0xfee00000, 0xfeeff00c, 0xfffff000,
				      TARGETS};
	unsigned int at = pci_capability(dev, PCI_CAP_MSI);

	pci_write32(dev, at + 4, to[next() % 5]);
	pci_write32(dev, at + 8, (uint32_t)(next() % 3));
	/* Fixed delivery: another would stop this CPU, as it should. */
	pci_write16(dev, at + 12, (uint16_t)(next() & 0xc0ff));
	pci_write16(dev, at + 2, (uint16_t)(next() | 1));
	put32(EDU_RAISE, (uint32_t)next() | 1);
	put32(EDU_ACK, UINT32_MAX);
	/* What no message took waits: it must not come as an INIT later. */
	pci_write32(dev, at + 4, 0xfee00000);
	pci_write32(dev, at + 8, 0);
	pci_write16(dev, at + 12, UNUSED);
	pci_write16(dev, at + 2, 1);
	pci_write16(dev, at + 2, 0);
}

/* Held by the device, ended here, and so once more; masked meanwhile or not. */
static void storm(void)
{
	uint64_t want = edu_count + 20;

	pci_write16(dev, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_DMA);
	hold_until = want;
	ioapic_level(line, VECTOR);
	put32(EDU_RAISE, 1);
	for (int i = 0; i < 100000 && edu_count < want; i++) {
		__asm__ volatile("sti; pause; cli" ::: "memory");
		if (i % 16 == 0)
			ioapic_write(0x10 + 2u * line,
				     1u << 15 | VECTOR |
					     (uint32_t)(next() % 2) << 16);
	}
	hold_until = 0;
	put32(EDU_ACK, UINT32_MAX);
	ioapic_write(0x10 + 2u * line, 1u << 16);
}

/* A pin's message to no CPU: nobody will say that it has ended. */
static void lose(void)
{
	pci_write16(dev, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_DMA);
	ioapic_write(0x11 + 2u * line, 0xfe000000u);
	ioapic_write(0x10 + 2u * line, 1u << 15 | UNUSED);
	put32(EDU_RAISE, 1);
	put32(EDU_ACK, UINT32_MAX);
	ioapic_write(0x10 + 2u * line, 1u << 16);
}

/* One thing of all; with interrupts off, but for a storm. */
static void attack(const struct mote_boot *boot)
{
	volatile uint8_t *ecam = (volatile uint8_t *)(uintptr_t)boot->pci;
	unsigned int msi = pci_capability(dev, PCI_CAP_MSI);

	for (int i = 0; i < 50; i++) {
		scribble(ecam, 1u << 20);
		scribble(dev, 256);
		scribble(dev + msi, 24);
	}
	/* What the pins would say is not this CPU's business any more. */
	for (int i = 0; i < 50; i++) {
		ioapic_write((uint32_t)next() & 0x7f,
			     (uint32_t)next() & ~0x700u);
		scribble((volatile uint8_t *)(uintptr_t)IOAPIC + 0x20, 0xfe0);
	}
	for (uint32_t i = 0; i < 24; i++)
		ioapic_level(i, UNUSED);
	for (uint32_t i = 0; i < 24; i++)
		ioapic_write(0x10 + 2 * i, 1u << 16);
	pci_write16(dev, msi + 2, 0);
	move_bar(boot);
	wild_msi();
	if (next() % 8 == 0)
		dma_anywhere();
	if (next() % 4 == 0)
		storm();
	lose();
	pci_write16(dev, PCI_COMMAND, 0);
}

/* A wild message comes by any vector: ended, and forgotten. */
__attribute__((interrupt, target("general-regs-only"))) static void
any_interrupt(void *frame)
{
	(void)frame;
	apic_write(APIC_EOI, 0);
}

static int hostile(const struct mote_boot *boot, uint64_t rounds)
{
	unsigned int msi = pci_capability(dev, PCI_CAP_MSI);
	uint64_t size;

	random += guest_arg_u64("seed", 0) * 0x9e3779b97f4a7c15u;
	for (int i = 16; i < 256; i++)
		if (i != VECTOR)
			set_gate(i, (void (*)(void))any_interrupt);
	reg_write(boot, MOTE_REG_READY, 1);
	print("hostile\n");
	for (uint64_t r = 0; r < rounds; r++)
		attack(boot);
	size = pci_bar_size(dev, 0);
	if (pci_read32(dev, PCI_ID) != EDU_ID || size != 1u << 20 ||
	    pci_bar(dev, 0) != (uintptr_t)bar ||
	    pci_capability(dev, PCI_CAP_MSI) != msi) {
		print("another device\n");
		return 1;
	}
	say("hostile rounds ", rounds);
	print("\n");
	return take(boot);
}

static int hold(const struct mote_boot *boot)
{
	while (!(reg_read(boot, MOTE_REG_EVENTS) & MOTE_EVENT_NEWGEN))
		reg_write(boot, MOTE_REG_WAIT, 10);
	reg_write(boot, MOTE_REG_EVENTS, MOTE_EVENT_NEWGEN);
	say("again wrong ", wrong_pages());
	print("\n");
	return 0;
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t rounds = guest_arg_u64("rounds", 20);
	uint64_t attacks = guest_arg_u64("hostile", 0);
	uint32_t wrong;

	if (take(boot) || (attacks && hostile(boot, attacks)))
		return 1;
	for (uint32_t i = 0; i < EDU_BYTES; i++)
		*(volatile uint8_t *)(uintptr_t)(FROM + i) = pattern(i);
	dma(FROM, EDU_BUFFER, EDU_BYTES, NONE);
	for (uint64_t r = 0; r < rounds; r++) {
		uint32_t page = (uint32_t)(next() % PAGES);
		uint32_t n = (uint32_t)(next() % PAGE) + 1;

		dma(EDU_BUFFER, TARGETS + page * PAGE, n, EDU_TO_RAM);
		if (n > written[page])
			written[page] = n;
	}
	wrong = wrong_pages();
	say("rounds ", rounds);
	say(" interrupts ", edu_count);
	say(" wrong ", wrong);
	print("\n");
	reg_write(boot, MOTE_REG_READY, 1);
	return guest_arg_u64("hold", 0) ? hold(boot) : wrong != 0;
}
