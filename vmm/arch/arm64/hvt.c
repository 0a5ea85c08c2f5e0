/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvt.c - translation tables that a Solo5 hvt guest finds in RAM: an
 * identity map of all RAM, and of the hypercalls' window at 4 GiB as device
 * memory.  A pure builder.
 *
 * As on x86_64 the guest's own tables keep it from executing data, and the
 * host's (guest_protect) from writing code and constants.  Source: ARM DDI
 * 0487, D8.3 (VMSAv8-64 descriptors); Solo5, include/solo5/hvt_abi.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/common/solo5.h"
#include "base/err.h"
#include "base/hvt_abi.h"
#include "memory/guestmem.h"

#define PAGE	   UINT64_C(4096)
#define LARGE	   (UINT64_C(2) << 20)
#define GIB	   (UINT64_C(1) << 30)
#define TABLE	   UINT64_C(3)
#define BLOCK	   UINT64_C(1)
#define LEAF	   UINT64_C(3)
#define ATTR(n)	   ((uint64_t)(n) << 2)
#define RDONLY	   (UINT64_C(1) << 7)
#define INNER	   (UINT64_C(3) << 8)
#define ACCESSED   (UINT64_C(1) << 10)
#define PXN	   (UINT64_C(1) << 53)
#define UXN	   (UINT64_C(1) << 54)
#define NORMAL	   (ATTR(LAYOUT_MT_NORMAL) | INNER | ACCESSED | UXN)
#define DEVICE	   (ATTR(LAYOUT_MT_DEVICE) | INNER | ACCESSED | UXN | PXN)
#define TABLE_SIZE 512u

uint64_t arch_hvt_boot_info(void)
{
	return LAYOUT_HVT_BOOT_INFO;
}

/* The descriptor of one page or block but for its type; 0: not mapped. */
static uint64_t page_entry(const struct solo5_image *img, uint64_t at)
{
	const struct solo5_segment *s = NULL;

	for (int i = 0; i < img->segs && !s; i++)
		if (at < img->seg[i].end && img->seg[i].start < at + PAGE)
			s = &img->seg[i];
	if (s && s->prot == 0)
		return 0;
	return at | NORMAL | (s && s->prot & SOLO5_X ? 0 : PXN);
}

static uint64_t low_entry(const struct solo5_image *img, uint64_t next,
			  uint64_t at)
{
	uint64_t e;

	if (at < LAYOUT_HVT_BOOT_INFO || (at >= LAYOUT_HVT_POOL && at < next))
		return 0;
	if (at < HVT_IMAGE_BASE)
		return at | NORMAL | PXN | RDONLY | LEAF;
	e = page_entry(img, at);
	return e ? e | LEAF : 0;
}

static bool uniform(const struct solo5_image *img, uint64_t at)
{
	uint64_t first = page_entry(img, at) & ~at;

	for (uint64_t off = PAGE; off < LARGE; off += PAGE)
		if ((page_entry(img, at + off) & ~(at + off)) != first)
			return false;
	return first != 0;
}

static int split(struct memslot_table *slots, const struct solo5_image *img,
		 uint64_t at, uint64_t *next, uint64_t *entry,
		 struct mote_err *err)
{
	uint64_t *pt = NULL;

	if (*next < HVT_IMAGE_BASE)
		pt = guest_map_write(slots, *next, PAGE);
	if (!pt)
		return err_set_class(err, E2BIG, ERR_CLASS_DATA,
				     "image: its segments need more page "
				     "tables than there is room for");
	for (uint64_t i = 0; i < TABLE_SIZE; i++) {
		pt[i] = page_entry(img, at + i * PAGE);
		if (pt[i])
			pt[i] |= LEAF;
	}
	*entry = *next | TABLE;
	*next += PAGE;
	return 0;
}

static int map_ram(struct memslot_table *slots, const struct solo5_image *img,
		   uint64_t memory, uint64_t *pmd, uint64_t *pte,
		   struct mote_err *err)
{
	uint64_t next = LAYOUT_HVT_POOL;

	pmd[0] = LAYOUT_HVT_PTE | TABLE;
	for (uint64_t at = LARGE; at < memory; at += LARGE) {
		int ret = 0;

		if (at >= img->end || uniform(img, at))
			pmd[at / LARGE] = page_entry(img, at) | BLOCK;
		else
			ret = split(slots, img, at, &next, &pmd[at / LARGE],
				    err);
		if (ret < 0)
			return ret;
	}
	for (uint64_t i = 0; i < TABLE_SIZE; i++)
		pte[i] = low_entry(img, next, i * PAGE);
	return 0;
}

int arch_hvt_tables(struct memslot_table *slots, const struct solo5_image *img,
		    uint64_t memory, struct mote_err *err)
{
	uint64_t *pgd = guest_map_write(slots, LAYOUT_HVT_PGD, PAGE);
	uint64_t *pud = guest_map_write(slots, LAYOUT_HVT_PUD, PAGE);
	uint64_t *pmd = guest_map_write(slots, LAYOUT_HVT_PMD, 4 * PAGE);
	uint64_t *pte = guest_map_write(slots, LAYOUT_HVT_PTE, PAGE);

	if (!pgd || !pud || !pmd || !pte)
		return err_set(err, EFAULT, "hvt tables do not fit into RAM");
	pgd[0] = LAYOUT_HVT_PUD | TABLE;
	for (uint64_t g = 0; g < 4 && g * GIB < memory; g++)
		pud[g] = (LAYOUT_HVT_PMD + g * PAGE) | TABLE;
	pud[HVT_MMIO / GIB] = HVT_MMIO | DEVICE | BLOCK;
	return map_ram(slots, img, memory, pmd, pte, err);
}
