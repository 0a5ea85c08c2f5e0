/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults.c - the list of messages of one parse.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_priv.h"

const char *quote_n(struct quoted *q, const char *s, size_t len)
{
	size_t used = 0, i;

	q->s[used++] = '\'';
	/* Room for one escape, the dots, the quote and the NUL. */
	for (i = 0; i < len && used < sizeof(q->s) - 9; i++) {
		unsigned char ch = (unsigned char)s[i];

		if (ch < 0x20 || ch == 0x7f)
			used += (size_t)snprintf(q->s + used,
						 sizeof(q->s) - used, "\\x%02x",
						 ch);
		else
			q->s[used++] = (char)ch;
	}
	snprintf(q->s + used, sizeof(q->s) - used, "%s'", i < len ? "..." : "");
	return q->s;
}

const char *quote(struct quoted *q, const char *s)
{
	return quote_n(q, s, strlen(s));
}

/* Put msg (taken over) where its line belongs; equal lines: in order. */
static int insert(struct faults *f, int line, char *msg)
{
	struct config_errors *e = f->errs;
	char **grown = realloc(e->msg, (e->count + 1) * sizeof(*grown));
	size_t at = e->count;
	int i = f->count;

	if (grown == NULL)
		return -ENOMEM;
	e->msg = grown;
	while (line > 0 && i > 0 && f->line[i - 1] > line) {
		f->line[i] = f->line[i - 1];
		e->msg[at] = e->msg[at - 1];
		i--;
		at--;
	}
	f->line[i] = line;
	e->msg[at] = msg;
	e->count++;
	return 0;
}

void fault(struct faults *f, int line, const char *what, const char *fmt, ...)
{
	cleanup_free char *text = NULL;
	char place[16] = "";
	char *msg = NULL;
	va_list ap;
	int ret;

	if (f->count > FAULTS_MAX)
		return;
	if (f->count == FAULTS_MAX) {
		line = 0;
		what = NULL;
	}
	if (line > 0)
		snprintf(place, sizeof(place), "%d:", line);
	va_start(ap, fmt);
	ret = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (ret < 0) {
		text = NULL;
		f->no_memory = true;
		return;
	}
	ret = asprintf(&msg, "%s:%s %s%s%s", f->name, place,
		       what != NULL ? what : "",
		       what != NULL && what[0] != '\0' ? ": " : "",
		       f->count < FAULTS_MAX
			       ? text
			       : "too many faults, the rest is not shown");
	if (ret < 0) {
		f->no_memory = true;
		return;
	}
	if (f->errs == NULL) {
		free(msg);
	} else if (insert(f, line, msg) < 0) {
		free(msg);
		f->no_memory = true;
		return;
	}
	f->count++;
}

bool faults_full(const struct faults *f)
{
	return f->count > FAULTS_MAX || f->no_memory;
}

int faults_result(const struct faults *f)
{
	if (f->no_memory)
		return -ENOMEM;
	return f->count > 0 ? -EINVAL : 0;
}

void config_errors_fini(struct config_errors *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->msg[i]);
	free(e->msg);
	*e = (struct config_errors){0};
}
