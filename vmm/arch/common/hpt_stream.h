/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpt_stream.h - streams of page table records, built and put together.
 *
 * A stream that is built here has one form for one content: records in
 * ascending order, each as long as its counts allow (65535 of each kind),
 * headers little-endian, entries as the kernel has them without its lock
 * bit.  What is read was checked before (hpt_stream_check) or is held to the
 * same rules on the way (hpt_stream_add).  Pure: no KVM, any host.
 */
#ifndef VMM_ARCH_COMMON_HPT_STREAM_H
#define VMM_ARCH_COMMON_HPT_STREAM_H

#include "arch/common/hpt_codec.h"

/* {0} is an empty one. */
struct hpt_stream {
	uint8_t *buf; /* owned */
	size_t len, cap;
	size_t head;	/* offset of the last record's header */
	uint64_t next;	/* the first index behind the last record */
	uint32_t valid; /* of the last record */
	uint32_t invalid;
	int error; /* sticky -ENOMEM */
};

void hpt_stream_fini(struct hpt_stream *s);
/* Empty again; its memory is kept. */
void hpt_stream_clear(struct hpt_stream *s);

/* Room for len bytes in all, so that it need not grow; may fail in silence. */
void hpt_stream_reserve(struct hpt_stream *s, size_t len);

/* n entries from index on, which is not below s->next; their lock bit goes. */
void hpt_put_valid(struct hpt_stream *s, uint64_t index, uint64_t n,
		   const uint8_t *entries);
void hpt_put_invalid(struct hpt_stream *s, uint64_t index, uint64_t n);

/*
 * Append the kernel's records (big: their headers' byte order); *next as of
 * hpt_record_next.  -EBADMSG, -ENOMEM.
 */
int hpt_stream_add(struct hpt_stream *s, const uint8_t *buf, size_t len,
		   bool big, uint64_t entries, uint64_t *next,
		   struct mote_err *err);

/* Bytes of a stream that was checked. */
struct hpt_view {
	const uint8_t *buf;
	size_t len;
};

static inline struct hpt_view hpt_view(const struct hpt_stream *s)
{
	return (struct hpt_view){s->buf, s->len};
}

/* What is in *out goes; nothing is appended to a copy.  -ENOMEM. */
int hpt_stream_copy(struct hpt_stream *out, struct hpt_view in,
		    struct mote_err *err);

/*
 * Each writes a stream to the empty *out, of a table of that many entries:
 * base with what over lists put over it; what differs in now from base, both
 * whole; what in lists from index first on, and of that, bolted, the
 * others as invalid.  -ENOMEM.
 */
int hpt_stream_merge(struct hpt_stream *out, struct hpt_view base,
		     struct hpt_view over, uint64_t entries,
		     struct mote_err *err);
int hpt_stream_difference(struct hpt_stream *out, struct hpt_view base,
			  struct hpt_view now, uint64_t entries,
			  struct mote_err *err);
int hpt_stream_select(struct hpt_stream *out, struct hpt_view in,
		      uint64_t first, bool bolted, uint64_t entries,
		      struct mote_err *err);

#endif
