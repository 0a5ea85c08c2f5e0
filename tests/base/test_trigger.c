/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "base/event.h"
#include "base/trigger.h"

static struct event_queue events;
static struct trigger t;

static void begin(enum trigger_on on, const char *text)
{
	cr_assert_eq(event_init(&events, NULL), 0);
	trigger_init(&t, on, text, &events);
}

Test(trigger, it_fires_once_by_its_own_moment)
{
	begin(TRIGGER_IDLE, NULL);
	trigger_reached(&t, TRIGGER_MARK);
	cr_expect_not(trigger_holds(&t));
	cr_expect_eq(event_take(&events), 0);
	trigger_reached(&t, TRIGGER_IDLE);
	cr_expect(trigger_holds(&t));
	cr_expect_eq(event_take(&events), EVENT_TRIGGER);
	trigger_release(&t);
	cr_expect_not(trigger_holds(&t));
	trigger_reached(&t, TRIGGER_IDLE);
	cr_expect_not(trigger_holds(&t), "a second time");
	cr_expect_eq(event_take(&events), 0);
	trigger_rearm(&t);
	trigger_reached(&t, TRIGGER_IDLE);
	cr_expect(trigger_holds(&t), "not armed anew");
	event_fini(&events);
}

Test(trigger, none_is_fine)
{
	trigger_reached(NULL, TRIGGER_MARK);
	trigger_release(NULL);
	trigger_rearm(NULL);
	cr_expect_not(trigger_holds(NULL));
	cr_expect_not(trigger_scan(NULL, "x", 1));
}

/* In any pieces, the text is found exactly where strstr finds it. */
static void expect_found(const char *text, const char *out)
{
	const char *at = strstr(out, text);
	size_t end = at ? (size_t)(at - out) + strlen(text) : SIZE_MAX;

	for (size_t piece = 1; piece <= strlen(out); piece++) {
		begin(TRIGGER_CONSOLE, text);
		for (size_t i = 0; i < strlen(out); i += piece) {
			size_t n = strlen(out) - i;

			n = n < piece ? n : piece;
			cr_expect_eq(trigger_scan(&t, out + i, n), i + n >= end,
				     "%s in %s at %zu, %zu at a time", text,
				     out, i, piece);
		}
		event_fini(&events);
	}
}

Test(trigger, a_text_is_found_across_writes)
{
	static char longest[TRIGGER_TEXT_MAX + 1], out[600];

	expect_found("ready", "booting\nready\n");
	expect_found("ready", "rearereadready");
	expect_found("aab", "aaaaab");
	expect_found("abab", "abaabaabab");
	expect_found("abcabd", "abcabcabcabdabc");
	expect_found("x", "x");
	expect_found("none", "nonnonnon");
	memset(longest, 'a', TRIGGER_TEXT_MAX - 1);
	longest[TRIGGER_TEXT_MAX - 1] = 'b';
	memset(out, 'a', 400);
	strcpy(out + 400, "bc");
	expect_found(longest, out);
}

Test(trigger, only_a_console_trigger_reads_the_console)
{
	begin(TRIGGER_MARK, NULL);
	cr_expect_not(trigger_scan(&t, "mark", 4));
	event_fini(&events);
}
