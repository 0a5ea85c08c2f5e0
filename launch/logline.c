/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/logline.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/num.h"
#include "launch/launch.h"

#define LEVEL_WARN 4 /* of syslog(3) */
#define BLOCKED_MS 100

static const char *level_name(int level)
{
	switch (level) {
	case 3:
		return "err";
	case LEVEL_WARN:
		return "warn";
	case 6:
		return "info";
	default:
		return "debug";
	}
}

int launch_log_level(const struct mote_config *cfg)
{
	static const int level[] = {3, LEVEL_WARN, 6, 7};

	for (size_t i = 0; i < ARRAY_SIZE(level); i++)
		if (launch_is(cfg, "log.level", level_name(level[i])))
			return level[i];
	return LEVEL_WARN;
}

/* Text for a JSON string: what would end or break it becomes "?". */
static const char *json_text(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	for (; *s && n < size - 1; s++)
		buf[n++] = *s == '"' || *s == '\\' || *s < ' ' ? '?' : *s;
	buf[n] = 0;
	return buf;
}

/*
 * "mote[NAME]: LEVEL: LINE", or an object a line.  Not dprintf: its fstat
 * and lseek are not for a locked thread.
 */
void launch_log_line(void *opaque, int level, const char *line)
{
	struct launch_log *log = opaque;
	char text[520], buf[700];
	const char *vm = launch_name(log->cfg);
	bool named = *vm;
	int len;

	if (launch_is(log->cfg, "log.format", "json"))
		len = snprintf(buf, sizeof(buf),
			       "{\"level\":\"%s\",\"vm\":\"%s\","
			       "\"message\":\"%s\"}\n",
			       level_name(level), vm,
			       json_text(line, text, sizeof(text)));
	else
		len = snprintf(buf, sizeof(buf), "mote%s%s%s: %s: %s\n",
			       named ? "[" : "", vm, named ? "]" : "",
			       level_name(level), line);
	log->blocked = !fd_takes(log->fd, log->blocked ? 0 : BLOCKED_MS);
	if (log->blocked ||
	    (len > 0 &&
	     fd_write_full(log->fd, buf,
			   num_min((uint64_t)len, sizeof(buf) - 1)) < 0))
		log->dropped++;
}

void launch_log_warn(struct launch_log *log, const char *line)
{
	if (launch_log_level(log->cfg) >= LEVEL_WARN)
		launch_log_line(log, LEVEL_WARN, line);
}
