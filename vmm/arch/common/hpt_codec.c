/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/hpt_codec.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/num.h"

static uint32_t get(const uint8_t *p, int len, bool big)
{
	uint32_t v = 0;

	for (int i = 0; i < len; i++)
		v |= (uint32_t)p[i] << 8 * (big ? len - 1 - i : i);
	return v;
}

static void put(uint8_t *p, uint32_t v, int len, bool big)
{
	for (int i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> 8 * (big ? len - 1 - i : i));
}

static int bad(struct mote_err *err, size_t pos, const char *what)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "HPT stream, offset %zu: %s", pos, what);
}

int hpt_record_next(const uint8_t *buf, size_t len, size_t *pos, bool big,
		    uint64_t entries, uint64_t *next, struct hpt_record *rec,
		    struct mote_err *err)
{
	const uint8_t *p;
	uint64_t size;

	if (*pos == len)
		return 0;
	p = buf + *pos;
	if (!num_within(*pos, HPT_HEADER_SIZE, len))
		return bad(err, *pos, "cut within a header");
	rec->index = get(p, 4, big);
	rec->valid = (uint16_t)get(p + 4, 2, big);
	rec->invalid = (uint16_t)get(p + 6, 2, big);
	rec->entries = p + HPT_HEADER_SIZE;
	size = (uint64_t)rec->valid * HPT_ENTRY_SIZE;
	if (!num_within(*pos + HPT_HEADER_SIZE, size, len))
		return bad(err, *pos, "cut within the entries");
	if (rec->index < *next)
		return bad(err, *pos, "index goes backwards");
	if (!num_within(rec->index, (uint64_t)rec->valid + rec->invalid,
			entries))
		return bad(err, *pos, "beyond the end of the table");
	*next = (uint64_t)rec->index + rec->valid + rec->invalid;
	*pos += HPT_HEADER_SIZE + size;
	return 1;
}

void hpt_header_put(uint8_t out[HPT_HEADER_SIZE], const struct hpt_record *rec,
		    bool big)
{
	put(out, rec->index, 4, big);
	put(out + 4, rec->valid, 2, big);
	put(out + 6, rec->invalid, 2, big);
}

int hpt_stream_check(const uint8_t *buf, size_t len, uint64_t entries,
		     struct hpt_counts *counts, struct mote_err *err)
{
	struct hpt_record rec = {0};
	size_t pos = 0, at = 0;
	uint64_t next = 0, end = 0;
	int ret;

	*counts = (struct hpt_counts){.whole = true};
	while ((ret = hpt_record_next(buf, len, &pos, false, entries, &next,
				      &rec, err)) > 0) {
		for (uint32_t i = 0; i < rec.valid; i++) {
			uint8_t low = rec.entries[i * HPT_ENTRY_SIZE +
						  HPT_HVLOCK_BYTE];

			if (!(low & HPT_VALID_BIT))
				return bad(err, at,
					   "an entry without its valid bit");
			if (low & HPT_HVLOCK_BIT)
				return bad(err, at, "an entry that is locked");
			counts->bolted += !!(low & HPT_BOLTED_BIT);
		}
		counts->valid += rec.valid;
		counts->invalid += rec.invalid;
		counts->whole = counts->whole && rec.index == end;
		end = next;
		at = pos;
	}
	counts->whole = counts->whole && end == entries;
	return ret;
}
