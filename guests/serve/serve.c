/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - answer one request and end: reads a line from the console, says
 * it in brackets and which clone that was.
 * Before, it fills a table (kib=N KiB, 256), as a service that prepares.
 */
#include "guest.h"

#define TABLE (16ul << 20)

static size_t read_line(const struct mote_boot *boot, char *line, size_t size)
{
	size_t n = 0;

	while (n < size - 1) {
		int byte = console_get(boot);

		if (byte < 0) {
			reg_write(boot, MOTE_REG_WAIT, 1000);
			continue;
		}
		line[n] = (char)byte;
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
