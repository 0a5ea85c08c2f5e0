/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpt_section.h - the section of a snapshot that holds a hashed page table:
 * all of it, or what changed since the parent's.  Pure: no KVM, any host.
 *
 * Version 1: u32 order, a whole stream.  Version 2: u32 order, u32 kind (enum
 * hpt_kind), a stream (hpt_stream.h).
 */
#ifndef VMM_ARCH_COMMON_HPT_SECTION_H
#define VMM_ARCH_COMMON_HPT_SECTION_H

#include "arch/common/hpt_stream.h"

struct snap_section;
struct snap_writer;

#define HPT_SECTION	    "ppc64-hpt"
#define HPT_SECTION_VERSION 2

enum hpt_kind {
	HPT_WHOLE,
	HPT_CHANGES,
	HPT_KINDS,
};

struct hpt_section {
	uint32_t order;
	enum hpt_kind kind;
	struct hpt_view stream; /* borrowed from the section, checked */
	struct hpt_counts counts;
};

/* From the section's start; -EBADMSG. */
int hpt_section_read(struct snap_section *s, struct hpt_section *out,
		     struct mote_err *err);

/* Into the open section of w. */
void hpt_section_write(struct snap_writer *w, uint32_t order,
		       enum hpt_kind kind, struct hpt_view stream);

#endif
