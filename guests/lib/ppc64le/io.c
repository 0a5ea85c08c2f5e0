/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - hypercalls: the event device, and the terminal, 16 bytes a call.
 */
#include "guest.h"
#include "hcall.h"

#define H_GET_TERM_CHAR 0x54
#define H_PUT_TERM_CHAR 0x58
#define H_BUSY		1

const char guest_arch[] = "ppc64le";

uint32_t reg_read(const struct mote_boot *boot, enum mote_reg reg)
{
	unsigned long val = reg;

	(void)boot;
	hcall(MOTE_HCALL_READ, &val, 0, 0, 0);
	return (uint32_t)val;
}

void reg_write(const struct mote_boot *boot, enum mote_reg reg, uint32_t val)
{
	unsigned long a = reg;

	(void)boot;
	hcall(MOTE_HCALL_WRITE, &a, val, 0, 0);
}

void console_write(const struct mote_boot *boot, const char *s, size_t len)
{
	while (len > 0) {
		size_t n = len < 16 ? len : 16;
		unsigned long part[2] = {0, 0};
		unsigned long terminal;

		for (size_t i = 0; i < n; i++)
			part[i / 8] |= (unsigned long)(uint8_t)s[i]
				       << (56 - 8 * (i % 8));
		do {
			terminal = boot->console_base;
		} while (hcall(H_PUT_TERM_CHAR, &terminal, n, part[0],
			       part[1]) == H_BUSY);
		s += n;
		len -= n;
	}
}

/* One call brings up to 16 bytes; r4 is how many. */
int console_get(const struct mote_boot *boot)
{
	static unsigned long got[3]; /* how many, and they */
	static unsigned long at;
	unsigned long byte;

	if (at == got[0]) {
		got[0] = boot->console_base;
		at = 0;
		if (hcall_both(H_GET_TERM_CHAR, got, 0) != 0 || got[0] > 16)
			got[0] = 0;
	}
	if (at == got[0])
		return -1;
	byte = got[1 + at / 8] >> (56 - 8 * (at % 8));
	at++;
	return (int)(byte & 0xff);
}
