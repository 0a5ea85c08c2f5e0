/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/layers.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/common/hpt_section.h"
#include "base/err.h"
#include "snapshot/snapshot.h"

void layers_fini(struct layers *l)
{
	free(l->section);
	*l = (struct layers){0};
}

/* 1, 0: this layer has no such section. */
static int read_layer(const struct snapshot *s, struct hpt_section *out,
		      struct mote_err *err)
{
	struct snap_section sec;
	int ret;

	if (!snap_section_find(&s->reader, HPT_SECTION, 0, &sec))
		return 0;
	ret = hpt_section_read(&sec, out, err);
	return ret < 0 ? ret : 1;
}

/* The table as of s: *own where it had to be put together, else a view. */
static int whole(const struct snapshot *s, const struct hpt_section *top,
		 struct hpt_stream *own, struct hpt_view *view,
		 struct mote_err *err)
{
	struct hpt_stream base = {0};
	struct hpt_view below;
	struct hpt_section h;
	int ret;

	*view = top->stream;
	if (top->kind == HPT_WHOLE)
		return 0;
	ret = s->parent ? read_layer(s->parent, &h, err) : 0;
	if (ret < 0)
		return ret;
	if (ret == 0 || h.order != top->order)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section " HPT_SECTION ": changes, "
				     "and its parent has no table of order %u",
				     top->order);
	ret = whole(s->parent, &h, &base, &below, err);
	if (ret == 0)
		ret = hpt_stream_merge(own, below, top->stream,
				       hpt_entries(top->order), err);
	hpt_stream_fini(&base);
	*view = hpt_view(own);
	return ret;
}

/* As a section's payload. */
static int keep(struct layers *l, uint32_t order, const struct hpt_stream *t,
		struct mote_err *err)
{
	const uint32_t head[2] = {htole32(order), htole32(HPT_WHOLE)};

	l->section = malloc(sizeof(head) + t->len);
	if (!l->section)
		return err_set(err, ENOMEM, "hashed page table");
	memcpy(l->section, head, sizeof(head));
	if (t->len)
		memcpy(l->section + sizeof(head), t->buf, t->len);
	l->len = sizeof(head) + t->len;
	return 0;
}

int layers_read(struct snapshot *s, struct mote_err *err)
{
	struct layers *l = &s->layers;
	struct hpt_stream own = {0};
	struct hpt_counts counts = {0};
	struct hpt_section top = {0};
	struct hpt_view view;
	int ret;

	if (l->read)
		return 0;
	ret = read_layer(s, &top, err);
	l->read = ret == 0;
	if (ret <= 0)
		return ret;
	ret = whole(s, &top, &own, &view, err);
	if (ret == 0)
		ret = hpt_stream_check(view.buf, view.len,
				       hpt_entries(top.order), &counts, err);
	if (ret == 0 && top.kind == HPT_CHANGES)
		ret = keep(l, top.order, &own, err);
	hpt_stream_fini(&own);
	if (ret < 0)
		return ret;
	l->read = l->hpt = true;
	l->hpt_order = top.order;
	l->hpt_entries = hpt_entries(top.order);
	l->hpt_valid = counts.valid;
	l->hpt_bolted = counts.bolted;
	l->hpt_changes = top.kind == HPT_CHANGES;
	l->hpt_changed = top.counts.valid + top.counts.invalid;
	return 0;
}

void layers_patch(const struct snapshot *s, struct snap_reader *r)
{
	if (!s->layers.section)
		return;
	for (int i = 0; i < r->count; i++) {
		struct snap_section *sec = &r->section[i];

		if (strcmp(sec->name, HPT_SECTION) != 0)
			continue;
		sec->version = HPT_SECTION_VERSION;
		sec->data = s->layers.section;
		sec->len = s->layers.len;
	}
}
