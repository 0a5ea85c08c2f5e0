/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - answer one request and end: reads a line from the console, says
 * it in brackets and which clone that was (x86_64: it reads the 8250 itself).
 * Before, it fills a table (kib=N KiB, 256), as a service that prepares.
 */
#include "guest.h"

#define LSR	 5 /* line status register */
#define LSR_DATA 1
#define TABLE	 (16ul << 20)

static uint8_t in8(uint64_t port)
{
	uint8_t val;

	__asm__ volatile("inb %w1, %0"
			 : "=a"(val)
			 : "d"((uint16_t)port)
			 : "memory");
	return val;
}

static size_t read_line(const struct mote_boot *boot, char *line, size_t size)
{
	size_t n = 0;

	while (n < size - 1) {
		if (!(in8(boot->console_base + LSR) & LSR_DATA)) {
			reg_write(boot, MOTE_REG_WAIT, 1000);
			continue;
		}
		line[n] = (char)in8(boot->console_base);
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = 0;
	return n;
}

int guest_main(const struct mote_boot *boot)
{
	volatile uint64_t *table =
		(volatile uint64_t *)(uintptr_t)(boot->ram[0].base + TABLE);
	uint64_t words = guest_arg_u64("kib", 256) * 128, sum = 0;
	char line[128];

	for (uint64_t i = 0; i < words; i++)
		table[i] = i * i;
	reg_write(boot, MOTE_REG_READY, 1);
	read_line(boot, line, sizeof(line));
	for (uint64_t i = 0; i < words; i += 512)
		sum += table[i];
	print("[");
	print(line);
	print("] sum ");
	print_u64(sum);
	print(" clone ");
	for (int i = 0; i < 4; i++)
		print_hex(guest_generation()->id[i], 2);
	print("\n");
	return 0;
}
