/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edu.c - drives QEMU's edu device by DMA and interrupts (x86_64, ring 0).
 *
 * Fills the device's buffer from RAM, then has it write rounds=N pieces of
 * random sizes to random pages, each with an interrupt (by MSI, or intx=1:
 * by its pin and the I/O APIC), while the CPU writes
 * other pages; in the end every byte must be what it should be.  hold=1: waits
 * for a new generation (a restore) and looks at the bytes once more, without
 * the device.  Source: QEMU docs/specs/edu.rst.
 */
#include "apic.h"
#include "guest.h"
#include "pci.h"

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
#define PAGE	4096u
#define FROM	0x800000u  /* the pattern */
#define TARGETS 0xa00000u  /* pages that the device writes */
#define OTHERS	0x1000000u /* pages that the CPU writes */
#define PAGES	512u
#define NONE	0u

static volatile uint8_t *bar;
static volatile uint64_t edu_count;
static uint32_t written[PAGES]; /* bytes from the page's start */
static uint64_t random = 88172645463325252u;

static uint64_t next(void)
{
	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return random;
}

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
	if (guest_arg_u64("intx", 0)) {
		ioapic_level(d[PCI_LINE], VECTOR);
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
	uint32_t wrong;

	if (take(boot))
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
