/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trigger.h"

#include <string.h>

#include "base/event.h"

/* How much of the text is seen when byte follows after the first seen. */
static uint32_t follow(const struct trigger *t, uint32_t seen, char byte)
{
	while (seen > 0 && t->text[seen] != byte)
		seen = t->back[seen - 1];
	return seen + (t->text[seen] == byte);
}

void trigger_init(struct trigger *t, enum trigger_on on, const char *text,
		  struct event_queue *events)
{
	t->on = on;
	t->events = events;
	t->text = text ? text : "";
	t->len = (uint32_t)strlen(t->text);
	trigger_rearm(t);
	/* Knuth, Morris and Pratt: the longest beginning that is an end. */
	for (uint32_t i = 1; i < t->len; i++)
		t->back[i] = (uint8_t)follow(t, t->back[i - 1], t->text[i]);
}

void trigger_rearm(struct trigger *t)
{
	if (!t)
		return;
	t->seen = 0;
	atomic_store(&t->fired, false);
	atomic_store(&t->hold, false);
}

void trigger_reached(struct trigger *t, enum trigger_on what)
{
	if (!t || t->on != what || atomic_exchange(&t->fired, true))
		return;
	atomic_store(&t->hold, true);
	event_post(t->events, EVENT_TRIGGER);
}

bool trigger_scan(struct trigger *t, const void *buf, size_t len)
{
	const char *p = buf;

	if (!t || t->on != TRIGGER_CONSOLE)
		return false;
	for (size_t i = 0; i < len && t->seen < t->len; i++)
		t->seen = follow(t, t->seen, p[i]);
	return t->seen == t->len;
}

bool trigger_holds(const struct trigger *t)
{
	return t && atomic_load_explicit(&t->hold, memory_order_relaxed);
}

void trigger_release(struct trigger *t)
{
	if (trigger_holds(t))
		atomic_store(&t->hold, false);
}
