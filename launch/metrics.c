/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

enum kind {
	COUNTER, /* only grows */
	GAUGE,
	SECONDS, /* a gauge, ns in JSON */
	YESNO,
	WORD, /* one of words; in Prometheus 1 for it, 0 for the others */
};

/* Rows of one family stand together. */
static const struct row {
	const char *json, *family;
	const char *label; /* NAME="VALUE", or of a WORD the NAME; or NULL */
	enum kind kind;
	const char *help;
	const char *const *words;
} rows[METRICS] = {
	[METRIC_STATE] = {"state", "mote_state", "state", WORD,
			  "Is the machine in this state.",
			  (const char *const[]){"built", "running", "paused",
						"ended", NULL}},
	[METRIC_READY] = {"ready", "mote_ready", NULL, YESNO,
			  "Has the guest written its ready mark.", NULL},
	[METRIC_VCPUS] = {"vcpus", "mote_vcpus", NULL, GAUGE,
			  "Virtual CPUs in the machine.", NULL},
	[METRIC_MEMORY] = {"memory_bytes", "mote_memory_bytes", NULL, GAUGE,
			   "Guest RAM.", NULL},
#define EXITS(i, name)                                                         \
	[METRIC_EXITS + (i)] = {"exits_" name,                                 \
				"mote_exits_total",                            \
				"kind=\"" name "\"",                           \
				COUNTER,                                       \
				"Exits of the vCPUs to mote.",                 \
				NULL}
	EXITS(0, "io"),
	EXITS(1, "mmio"),
	EXITS(2, "hypercall"),
	EXITS(3, "kick"),
	EXITS(4, "other"),
#define FAULTS(name)                                                           \
	{                                                                      \
		"faults_" name, "mote_page_faults_total", "kind=\"" name "\"", \
			COUNTER,                                               \
			"Page faults of the VM process, those for guest RAM "  \
			"too.",                                                \
			NULL                                                   \
	}
	[METRIC_FAULTS_MINOR] = FAULTS("minor"),
	[METRIC_FAULTS_MAJOR] = FAULTS("major"),
	[METRIC_DIRTY_PAGES] = {"dirty_pages", "mote_dirty_pages", NULL, GAUGE,
				"Pages changed since the snapshot that a diff "
				"would be to; only where they are tracked.",
				NULL},
	[METRIC_CONSOLE_DROPPED] = {"console_dropped_bytes",
				    "mote_console_dropped_bytes_total", NULL,
				    COUNTER,
				    "Console output that nobody took in time.",
				    NULL},
	[METRIC_LOG_DROPPED] = {"log_dropped_lines",
				"mote_log_dropped_lines_total", NULL, COUNTER,
				"Log lines that the log's file or stderr did "
				"not take whole.",
				NULL},
#define SNAPSHOTS(name, result)                                                \
	{                                                                      \
		name, "mote_snapshots_total", "result=\"" result "\"",         \
			COUNTER, "Snapshots that were asked for.", NULL        \
	}
	[METRIC_SNAPSHOTS] = SNAPSHOTS("snapshots", "taken"),
	[METRIC_SNAPSHOTS_FAILED] = SNAPSHOTS("snapshots_failed", "failed"),
	[METRIC_SNAPSHOT_PAUSE] = {"snapshot_pause_ns",
				   "mote_snapshot_pause_seconds", NULL, SECONDS,
				   "How long the guest stood still for the "
				   "last snapshot.",
				   NULL},
	[METRIC_SNAPSHOT_PREDICTED] =
		{"snapshot_predicted_pause_ns",
		 "mote_snapshot_predicted_pause_seconds", NULL, SECONDS,
		 "What that pause was to be, with devices "
		 "of the host.",
		 NULL},
	[METRIC_SNAPSHOT_WRITE] = {"snapshot_write_ns",
				   "mote_snapshot_write_seconds", NULL, SECONDS,
				   "How long the last snapshot was written.",
				   NULL},
	[METRIC_SNAPSHOT_TOTAL] = {"snapshot_total_ns",
				   "mote_snapshot_total_seconds", NULL, SECONDS,
				   "From the wish for the last snapshot until "
				   "it had its name.",
				   NULL},
	[METRIC_SNAPSHOT_BYTES] = {"snapshot_memory_bytes",
				   "mote_snapshot_memory_bytes", NULL, GAUGE,
				   "Memory that the last snapshot wrote; zero "
				   "pages are holes.",
				   NULL},
	[METRIC_SNAPSHOT_PAGES] = {"snapshot_dirty_pages",
				   "mote_snapshot_dirty_pages", NULL, GAUGE,
				   "Pages that had changed for the last "
				   "snapshot; only of a diff.",
				   NULL},
	[METRIC_RESTORE_MODE] = {"restore_mode", "mote_restore_mode", "mode",
				 WORD, "How a restore got the memory.",
				 (const char *const[]){"none", "cow", "copy",
						       "uffd", NULL}},
	[METRIC_RESTORE_TIME] = {"restore_ns", "mote_restore_seconds", NULL,
				 SECONDS,
				 "From the begin of a restore until all was "
				 "loaded.",
				 NULL},
#define LAYER(at, name)                                                        \
	[METRIC_JAIL + (at)] = {"jail_" name,                                  \
				"mote_jail_layer",                             \
				"layer=\"" name "\"",                          \
				YESNO,                                         \
				"Layers of the jail that are on.",             \
				NULL}
	LAYER(0, "fds"),
	LAYER(1, "root"),
	LAYER(2, "limits"),
	LAYER(3, "capabilities"),
	LAYER(4, "no_new_privs"),
	LAYER(5, "mdwe"),
	LAYER(6, "landlock"),
	LAYER(7, "user"),
	LAYER(JAIL_NAMESPACES, "namespaces"),
	LAYER(JAIL_SECCOMP, "seccomp"),
};

const char *jail_layer_name(int layer)
{
	return rows[METRIC_JAIL + layer].json + strlen("jail_");
}

/* Its word, or NULL: no value that it can have. */
static const char *word_of(const struct row *r, int64_t value)
{
	for (int64_t i = 0; r->words[i]; i++)
		if (i == value)
			return r->words[i];
	return NULL;
}

static bool known(const struct row *r, int64_t value)
{
	return value >= 0 && (r->kind != WORD || word_of(r, value));
}

void metrics_json(const struct metrics *m, const char *vm,
		  struct json_object *out)
{
	json_object_object_add(out, "vm", json_object_new_string(vm));
	for (size_t i = 0; i < METRICS; i++) {
		const struct row *r = &rows[i];
		int64_t v = m->value[i];
		struct json_object *o;

		if (!known(r, v))
			continue;
		if (r->kind == WORD)
			o = json_object_new_string(word_of(r, v));
		else if (r->kind == YESNO)
			o = json_object_new_boolean(v != 0);
		else
			o = json_object_new_int64(v);
		json_object_object_add(out, r->json, o);
	}
}

struct text {
	char *buf;
	size_t size, len;
	bool full;
};

static void __attribute__((format(printf, 2, 3)))
put(struct text *t, const char *fmt, ...)
{
	size_t room = t->size - t->len;
	va_list ap;
	int n;

	if (t->full)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, room, fmt, ap);
	va_end(ap);
	t->full = n < 0 || (size_t)n >= room;
	if (!t->full)
		t->len += (size_t)n;
}

/* The value of a label: \, " and the end of a line are escaped. */
static void put_label(struct text *t, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			put(t, "\\n");
		else
			put(t, "%s%c", *s == '\\' || *s == '"' ? "\\" : "", *s);
	}
}

/* One line; word: of a WORD, else NULL. */
static void put_sample(struct text *t, const struct row *r, const char *vm,
		       const char *word, int64_t v)
{
	put(t, "%s{vm=\"", r->family);
	put_label(t, vm);
	if (word)
		put(t, "\",%s=\"%s\"} ", r->label, word);
	else
		put(t, "\"%s%s} ", r->label ? "," : "",
		    r->label ? r->label : "");
	if (r->kind == SECONDS)
		put(t, "%" PRId64 ".%09" PRId64 "\n", v / 1000000000,
		    v % 1000000000);
	else
		put(t, "%" PRId64 "\n", r->kind == YESNO ? v != 0 : v);
}

int metrics_prometheus(const struct metrics *m, const char *vm, char *buf,
		       size_t size)
{
	struct text t = {.buf = buf, .size = size};
	const char *family = "";

	for (size_t i = 0; i < METRICS; i++) {
		const struct row *r = &rows[i];
		int64_t v = m->value[i];

		if (!known(r, v))
			continue;
		if (strcmp(family, r->family) != 0)
			put(&t, "# HELP %s %s\n# TYPE %s %s\n", r->family,
			    r->help, r->family,
			    r->kind == COUNTER ? "counter" : "gauge");
		family = r->family;
		if (r->kind != WORD)
			put_sample(&t, r, vm, NULL, v);
		for (int64_t w = 0; r->kind == WORD && r->words[w]; w++)
			put_sample(&t, r, vm, r->words[w], w == v);
	}
	return t.full ? -ENOSPC : (int)t.len;
}
