/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/multiboot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define MAGIC	   0x1badb002u
#define ADDRESSES  (1u << 16)
#define UNDERSTOOD 0x3u /* of what it may require: modules aligned, memory */
#define REQUIRED   0xffffu
#define LOAD_MIN   MIB

struct header {
	uint32_t magic, flags, checksum;
	/* With ADDRESSES. */
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr,
		entry_addr;
};

#define bad(err, ...) err_set_class(err, ENOEXEC, ERR_CLASS_DATA, __VA_ARGS__)

/* Where it is, or -1. */
static int64_t find(const uint8_t *head, size_t len, struct header *h)
{
	for (size_t at = 0; at + 12 <= len && at + 12 <= MULTIBOOT_SEARCH;
	     at += 4) {
		memcpy(h, head + at, 12);
		if (h->magic == MAGIC && h->magic + h->flags + h->checksum == 0)
			return (int64_t)at;
	}
	return -1;
}

static int check_addresses(const struct header *h, uint64_t at,
			   uint64_t file_size, struct multiboot *m,
			   struct mote_err *err)
{
	uint64_t ahead = (uint64_t)h->header_addr - h->load_addr;

	if (h->load_addr < LOAD_MIN)
		return bad(err, "multiboot load_addr: 0x%x, images start at 1M",
			   h->load_addr);
	if (h->header_addr < h->load_addr || ahead > at)
		return bad(err,
			   "multiboot header_addr: 0x%x, with load_addr 0x%x "
			   "and the header at 0x%" PRIx64 " of the file",
			   h->header_addr, h->load_addr, at);
	m->from = at - ahead;
	m->load = h->load_addr;
	m->size = file_size - m->from;
	if (h->load_end_addr && h->load_end_addr < h->load_addr)
		return bad(err,
			   "multiboot load_end_addr: 0x%x, below load_addr",
			   h->load_end_addr);
	if (h->load_end_addr) {
		m->size = h->load_end_addr - h->load_addr;
		if (!num_within(m->from, m->size, file_size))
			return bad(err,
				   "multiboot load_end_addr: 0x%x, beyond the "
				   "end of the file",
				   h->load_end_addr);
	}
	m->end = m->load + m->size;
	if (h->bss_end_addr && h->bss_end_addr < m->end)
		return bad(err,
			   "multiboot bss_end_addr: 0x%x, below the end of "
			   "what is loaded",
			   h->bss_end_addr);
	if (h->bss_end_addr)
		m->end = h->bss_end_addr;
	m->entry = h->entry_addr;
	if (m->entry < m->load || m->entry >= m->load + m->size)
		return bad(err,
			   "multiboot entry_addr: 0x%x, outside of what is "
			   "loaded",
			   h->entry_addr);
	m->flat = true;
	return 1;
}

int multiboot_parse(const uint8_t *head, size_t len, uint64_t file_size,
		    struct multiboot *out, struct mote_err *err)
{
	struct header h = {0};
	int64_t at = find(head, len, &h);

	memset(out, 0, sizeof(*out));
	if (at < 0)
		return 0;
	out->flags = h.flags;
	if (h.flags & REQUIRED & ~UNDERSTOOD)
		return bad(err,
			   "multiboot flags: 0x%x asks for what is not here: "
			   "expected none of the bits 2 to 15",
			   h.flags);
	if (!(h.flags & ADDRESSES))
		return 1;
	if ((uint64_t)at + sizeof(h) > len)
		return bad(err, "multiboot header: the file ends in it");
	memcpy(&h, head + at, sizeof(h));
	return check_addresses(&h, (uint64_t)at, file_size, out, err);
}
