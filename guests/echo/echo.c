/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo.c - say each line that comes from the console, in brackets; the line
 * "quit" ends it, and its code is how many lines came before; a stop ends it
 * with 100.
 */
#include "guest.h"

static int is_quit(const char *line)
{
	const char *want = "quit";

	while (*want && *line == *want) {
		line++;
		want++;
	}
	return *want == 0 && *line == 0;
}

int guest_main(const struct mote_boot *boot)
{
	char line[128];
	size_t len = 0;
	int lines = 0;

	reg_write(boot, MOTE_REG_READY, 1);
	print("listening\n");
	while (!(reg_read(boot, MOTE_REG_EVENTS) & MOTE_EVENT_STOP)) {
		int byte = console_get(boot);

		if (byte < 0) {
			reg_write(boot, MOTE_REG_WAIT, 5);
			continue;
		}
		line[len] = (char)byte;
		if (line[len] != '\n' && len < sizeof(line) - 1) {
			len++;
			continue;
		}
		line[len] = 0;
		len = 0;
		if (is_quit(line))
			return lines;
		lines++;
		print("[");
		print(line);
		print("]\n");
	}
	return 100;
}
