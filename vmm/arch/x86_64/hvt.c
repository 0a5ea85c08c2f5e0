/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvt.c - tables that a Solo5 hvt guest finds in RAM: GDT and an identity
 * map of all RAM.  A pure builder.
 *
 * The guest's own tables keep it from executing data and from touching what
 * lies below its image; that its code and constants are not written is left
 * to the host's page tables (guest_protect), because the reference tender
 * does it there: an attempt is the end of the guest, not an exception in it.
 * Source: AMD64 APM vol. 2, 5.3 (24593); Solo5, include/solo5/hvt_abi.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/solo5.h"
#include "arch/x86_64/layout.h"
#include "base/err.h"
#include "base/num.h"
#include "memory/guestmem.h"

#define PTE_P	   (UINT64_C(1) << 0)
#define PTE_RW	   (UINT64_C(1) << 1)
#define PTE_PS	   (UINT64_C(1) << 7)
#define PTE_NX	   (UINT64_C(1) << 63)
#define PAGE	   UINT64_C(4096)
#define LARGE	   (UINT64_C(2) << 20)
#define LINK	   (PTE_P | PTE_RW)
#define TABLE_SIZE 512u

/* Page tables for 2 MiB pieces that are not all alike, below 1 MiB. */
struct pool {
	struct memslot_table *slots;
	uint64_t next;
};

uint64_t arch_hvt_boot_info(void)
{
	return LAYOUT_HVT_BOOT_INFO;
}

static const struct solo5_segment *segment_at(const struct solo5_image *img,
					      uint64_t at, uint64_t size)
{
	for (int i = 0; i < img->segs; i++)
		if (at < img->seg[i].end && img->seg[i].start < at + size)
			return &img->seg[i];
	return NULL;
}

/* The entry of one 4 KiB page from the image's base on. */
static uint64_t page_entry(const struct solo5_image *img, uint64_t at)
{
	const struct solo5_segment *s = segment_at(img, at, PAGE);

	if (s && s->prot == 0)
		return 0;
	return at | PTE_P | PTE_RW | (s && s->prot & SOLO5_X ? 0 : PTE_NX);
}

/* Pages of the first 2 MiB: see layout.h. */
static uint64_t low_entry(const struct solo5_image *img,
			  const struct pool *pool, uint64_t at)
{
	if (at < LAYOUT_HVT_BOOT_INFO ||
	    (at >= LAYOUT_HVT_POOL && at < pool->next))
		return 0;
	if (at < HVT_IMAGE_BASE)
		return at | PTE_P | PTE_NX;
	return page_entry(img, at);
}

/* Is every page of the 2 MiB at at alike, so that one entry does? */
static bool uniform(const struct solo5_image *img, uint64_t at)
{
	uint64_t first = page_entry(img, at) & ~at;

	for (uint64_t off = PAGE; off < LARGE; off += PAGE)
		if ((page_entry(img, at + off) & ~(at + off)) != first)
			return false;
	return first != 0;
}

static int split(struct pool *pool, const struct solo5_image *img, uint64_t at,
		 uint64_t *entry, struct mote_err *err)
{
	uint64_t *pt = NULL;

	if (pool->next < HVT_IMAGE_BASE)
		pt = guest_map_write(pool->slots, pool->next, PAGE);
	if (!pt)
		return err_set_class(err, E2BIG, ERR_CLASS_DATA,
				     "image: its segments need more page "
				     "tables than there is room for");
	for (uint64_t i = 0; i < TABLE_SIZE; i++)
		pt[i] = page_entry(img, at + i * PAGE);
	*entry = pool->next | LINK;
	pool->next += PAGE;
	return 0;
}

static int map_ram(struct memslot_table *slots, const struct solo5_image *img,
		   uint64_t memory, struct mote_err *err)
{
	struct pool pool = {.slots = slots, .next = LAYOUT_HVT_POOL};
	uint64_t *pd = guest_map_write(slots, LAYOUT_HVT_PD, 4 * PAGE);
	uint64_t *pt0 = guest_map_write(slots, LAYOUT_HVT_PT0, PAGE);

	if (!pd || !pt0)
		return err_set(err, EFAULT, "hvt tables do not fit into RAM");
	pd[0] = LAYOUT_HVT_PT0 | LINK;
	for (uint64_t at = LARGE; at < memory; at += LARGE) {
		int ret = 0;

		if (at >= img->end || uniform(img, at))
			pd[at / LARGE] = page_entry(img, at) | PTE_PS;
		else
			ret = split(&pool, img, at, &pd[at / LARGE], err);
		if (ret < 0)
			return ret;
	}
	/* Last: it leaves out what the pool has taken. */
	for (uint64_t i = 0; i < TABLE_SIZE; i++)
		pt0[i] = low_entry(img, &pool, i * PAGE);
	return 0;
}

int arch_hvt_tables(struct memslot_table *slots, const struct solo5_image *img,
		    uint64_t memory, struct mote_err *err)
{
	static const uint64_t gdt[] = {
		0, UINT64_C(0x00af9b000000ffff), /* 0x08: 64-bit code */
		UINT64_C(0x00cf93000000ffff),	 /* 0x10: data */
	};
	uint64_t *pml4 = guest_map_write(slots, LAYOUT_HVT_PML4, PAGE);
	uint64_t *pdpt = guest_map_write(slots, LAYOUT_HVT_PDPT, PAGE);

	if (!pml4 || !pdpt ||
	    guest_write(slots, LAYOUT_GDT, gdt, sizeof(gdt)) < 0)
		return err_set(err, EFAULT, "hvt tables do not fit into RAM");
	pml4[0] = LAYOUT_HVT_PDPT | LINK;
	for (uint64_t g = 0; g < 4; g++)
		pdpt[g] = (LAYOUT_HVT_PD + g * PAGE) | LINK;
	return map_ram(slots, img, memory, err);
}
