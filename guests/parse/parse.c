/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - parse one input that lies in memory, and exit (x86_64, ring 3).
 * It says that it is ready, waits to be a new generation, and parses then.
 * Compiled with trace-pc: it counts the edges that it takes.
 */
#include "parse.h"
#include "guest.h"
#include "parser.h"

#define QUIET __attribute__((no_sanitize_coverage))

static struct parse_page *page;

void __sanitizer_cov_trace_pc(void);
QUIET void __sanitizer_cov_trace_pc(void)
{
	static uintptr_t last;
	uintptr_t pc = (uintptr_t)__builtin_return_address(0);

	if (page)
		page->edge[(pc ^ last >> 1) % PARSE_EDGES]++;
	last = pc;
}

QUIET int guest_main(const struct mote_boot *boot)
{
	const volatile uint32_t *events = &boot->events;
	struct parse_page *p =
		(struct parse_page *)(uintptr_t)(boot->ram[0].base + PARSE_AT);

	reg_write(boot, MOTE_REG_READY, 1);
	while (!(*events & MOTE_EVENT_NEWGEN))
		reg_write(boot, MOTE_REG_WAIT, 1000);
	page = p;
	return parse(p->input, p->len) < 0 ? 1 : 0;
}
