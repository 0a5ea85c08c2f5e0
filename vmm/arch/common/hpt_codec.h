/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpt_codec.h - records of POWER's hashed page table, as the kernel streams
 * them and as a snapshot keeps them.  Pure: no KVM, any host.
 *
 * A record is a header (u32 index, u16 valid, u16 invalid) and 16 bytes for
 * each valid entry; invalid ones follow without bytes.  The kernel's header
 * is in the host's byte order, a snapshot's little-endian; the entries are
 * big-endian in both.  Source: Linux Documentation/virt/kvm/api.rst 4.78
 * (KVM_PPC_GET_HTAB_FD).  Trust: a snapshot's stream is hostile; the kernel
 * is held to the same rules.
 */
#ifndef VMM_ARCH_COMMON_HPT_CODEC_H
#define VMM_ARCH_COMMON_HPT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;

#define HPT_HEADER_SIZE 8u
#define HPT_ENTRY_SIZE	16u
#define HPT_ORDER_MIN	18u
#define HPT_ORDER_MAX	46u

/* The kernel's lock bit in an entry it hands out: not part of the entry. */
#define HPT_HVLOCK_BYTE 7
#define HPT_HVLOCK_BIT	0x40u
/* The valid and the bolted bit, in the same big-endian byte. */
#define HPT_VALID_BIT  0x01u
#define HPT_BOLTED_BIT 0x10u

struct hpt_record {
	uint32_t index; /* of the first entry */
	uint16_t valid, invalid;
	const uint8_t *entries; /* valid * HPT_ENTRY_SIZE bytes */
};

/* A record counts at most so many of each kind. */
#define HPT_RUN_MAX 65535u

/* How many entries a table of 2^order bytes has. */
static inline uint64_t hpt_entries(uint32_t order)
{
	return UINT64_C(1) << (order - 4);
}

/*
 * The record at *pos of a stream, *pos moving behind it.  1, 0 at the end,
 * or -EBADMSG: cut, beyond the table, or not after the record before (*next
 * is the lowest index allowed; start with 0).
 */
int hpt_record_next(const uint8_t *buf, size_t len, size_t *pos, bool big,
		    uint64_t entries, uint64_t *next, struct hpt_record *rec,
		    struct mote_err *err);

/* Write a header in the given byte order. */
void hpt_header_put(uint8_t out[HPT_HEADER_SIZE], const struct hpt_record *rec,
		    bool big);

/* What a stream of a snapshot lists. */
struct hpt_counts {
	uint64_t valid, invalid; /* entries */
	uint64_t bolted;	 /* of the valid ones */
	bool whole;		 /* every entry of the table is listed */
};

/*
 * Check a whole stream of a snapshot: records as above, every entry with
 * its valid bit and without the kernel's lock bit.
 */
int hpt_stream_check(const uint8_t *buf, size_t len, uint64_t entries,
		     struct hpt_counts *counts, struct mote_err *err);

#endif
