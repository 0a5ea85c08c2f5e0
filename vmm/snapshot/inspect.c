/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/inspect.h"

#include "snapshot/snapshot.h"

static void hpt_text(FILE *f, const struct layers *l)
{
	if (!l->hpt)
		return;
	fprintf(f,
		"hashed page table = order %u, %llu entries, %llu valid, %llu "
		"bolted",
		l->hpt_order, (unsigned long long)l->hpt_entries,
		(unsigned long long)l->hpt_valid,
		(unsigned long long)l->hpt_bolted);
	if (l->hpt_changes)
		fprintf(f, ", %llu changed since the parent",
			(unsigned long long)l->hpt_changed);
	fputc('\n', f);
}

static void hpt_json(FILE *f, const struct layers *l)
{
	if (!l->hpt)
		return;
	fprintf(f,
		",\"hpt\":{\"order\":%u,\"entries\":%llu,\"valid\":%llu,"
		"\"bolted\":%llu,\"changed\":",
		l->hpt_order, (unsigned long long)l->hpt_entries,
		(unsigned long long)l->hpt_valid,
		(unsigned long long)l->hpt_bolted);
	if (l->hpt_changes)
		fprintf(f, "%llu}", (unsigned long long)l->hpt_changed);
	else
		fprintf(f, "null}");
}

void inspect_text(FILE *f, const struct snapshot *s)
{
	const struct manifest *m = &s->manifest;

	fprintf(f,
		"architecture = %s\ncpu = %s\npage-size = %u\nvcpus = %u\n"
		"memory = %llu\nmemory file = %llu\n"
		"clone identity = %s\nparent = %s\ndepth = %u\n",
		m->arch, m->cpu, m->page_size, m->vcpus,
		(unsigned long long)s->ram.ram,
		(unsigned long long)m->memory_length, m->identity,
		m->is_diff ? m->parent : "none", s->depth);
	for (int i = 0; s->state && i < s->reader.count; i++) {
		const struct snap_section *sec = &s->reader.section[i];

		fprintf(f, "section %s[%u] = version %u, %zu bytes%s\n",
			sec->name, sec->instance, sec->version, sec->len,
			sec->flags & SNAP_REQUIRED ? ", required" : "");
	}
	hpt_text(f, &s->layers);
}

/* Names and models are printable ASCII without quotes or they are "?". */
static const char *json_safe(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			return "?";
	return s;
}

void inspect_json(FILE *f, const struct snapshot *s)
{
	const struct manifest *m = &s->manifest;
	const char *quote = m->is_diff ? "\"" : "";

	fprintf(f,
		"{\"architecture\":\"%s\",\"cpu\":\"%s\",\"page_size\":%u,"
		"\"vcpus\":%u,\"memory\":%llu,\"memory_file\":%llu,"
		"\"clone_identity\":\"%s\","
		"\"parent\":%s%s%s,\"depth\":%u,\"sections\":[",
		json_safe(m->arch), json_safe(m->cpu), m->page_size, m->vcpus,
		(unsigned long long)s->ram.ram,
		(unsigned long long)m->memory_length, json_safe(m->identity),
		quote, m->is_diff ? json_safe(m->parent) : "null", quote,
		s->depth);
	for (int i = 0; s->state && i < s->reader.count; i++) {
		const struct snap_section *sec = &s->reader.section[i];

		fprintf(f,
			"%s{\"name\":\"%s\",\"instance\":%u,\"version\":%u,"
			"\"length\":%zu,\"required\":%s}",
			i ? "," : "", json_safe(sec->name), sec->instance,
			sec->version, sec->len,
			sec->flags & SNAP_REQUIRED ? "true" : "false");
	}
	fprintf(f, "]");
	hpt_json(f, &s->layers);
	fprintf(f, "}\n");
}
