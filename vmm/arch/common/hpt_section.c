/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/hpt_section.h"

#include <errno.h>

#include "base/err.h"
#include "snapshot/stream.h"

static int bad(struct mote_err *err, const char *what, uint32_t val)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "section " HPT_SECTION ": %s %u", what, val);
}

int hpt_section_read(struct snap_section *s, struct hpt_section *out,
		     struct mote_err *err)
{
	uint32_t kind = HPT_WHOLE;
	int ret = snap_section_version(s, HPT_SECTION_VERSION, err);

	if (ret < 0)
		return ret;
	*out = (struct hpt_section){.order = snap_get_u32(s)};
	if (s->version > 1)
		kind = snap_get_u32(s);
	out->stream.len = snap_left(s);
	out->stream.buf = snap_get_raw(s, out->stream.len);
	if (s->error)
		return snap_section_close(s, err);
	if (out->order < HPT_ORDER_MIN || out->order > HPT_ORDER_MAX)
		return bad(err, "order", out->order);
	if (kind >= HPT_KINDS)
		return bad(err, "unknown kind", kind);
	out->kind = (enum hpt_kind)kind;
	ret = hpt_stream_check(out->stream.buf, out->stream.len,
			       hpt_entries(out->order), &out->counts, err);
	if (ret < 0)
		return err_wrap(err, ret, "section " HPT_SECTION);
	if (out->kind == HPT_WHOLE && !out->counts.whole)
		return bad(err, "gaps in a whole table of order", out->order);
	return 0;
}

void hpt_section_write(struct snap_writer *w, uint32_t order,
		       enum hpt_kind kind, struct hpt_view stream)
{
	snap_put_u32(w, order);
	snap_put_u32(w, kind);
	snap_put_bytes(w, stream.buf, stream.len);
}
