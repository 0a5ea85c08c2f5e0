/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/solo5.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

/* The architectural page of both: guests are linked for it. */
#define GUEST_PAGE UINT64_C(4096)
#define NHDR_SIZE  20u /* note header with its name, "Solo5" padded to 8 */

#define refuse(err, ...)                                                       \
	err_set_class(err, ENOEXEC, ERR_CLASS_DATA, __VA_ARGS__)

/* --- notes -----------------------------------------------------------------
 */

static const char *target_name(uint32_t target)
{
	static const char *const name[] = {"?",	   "hvt",    "spt", "virtio",
					   "muen", "genode", "xen"};

	return name[target < ARRAY_SIZE(name) ? target : 0];
}

/* 1 and *abi, 0: not Solo5's. */
static int read_abi(const struct elf_file *f, struct solo5_abi *abi,
		    struct mote_err *err)
{
	uint64_t off = 0;
	size_t len = 0;
	int ret = elf_note(f, SOLO5_NOTE_OWNER, SOLO5_NOTE_ABI, abi,
			   sizeof(*abi), &len, &off, err);

	if (ret > 0 && len != sizeof(*abi))
		return refuse(err, "Solo5 ABI note: %zu bytes, expected %zu",
			      len, sizeof(*abi));
	return ret;
}

int solo5_probe(const struct elf_file *f, struct mote_err *err)
{
	struct solo5_abi abi;

	return read_abi(f, &abi, err);
}

static int check_abi(const struct elf_file *f, struct mote_err *err)
{
	struct solo5_abi abi;
	int ret = read_abi(f, &abi, err);

	if (ret < 0)
		return ret;
	if (ret == 0)
		return refuse(err, "no Solo5 ABI note: not a Solo5 unikernel");
	if (abi.target != SOLO5_TARGET_HVT)
		return refuse(err,
			      "a Solo5 unikernel for target %s (%u), expected "
			      "hvt (%u)",
			      target_name(abi.target), abi.target,
			      SOLO5_TARGET_HVT);
	if (abi.version != HVT_ABI_VERSION)
		return refuse(err, "hvt ABI version %u, this version runs %u%s",
			      abi.version, HVT_ABI_VERSION,
			      abi.version > HVT_ABI_VERSION
				      ? " (the shared-ring network is not "
					"there)"
				      : "");
	return 0;
}

const char *solo5_type_name(uint32_t type, char buf[16])
{
	if (type == SOLO5_BLOCK)
		return "BLOCK_BASIC";
	if (type == SOLO5_NET)
		return "NET_BASIC";
	snprintf(buf, 16, "type %u", type);
	return buf;
}

static int check_name(const struct solo5_mft_entry *e, uint32_t i,
		      struct mote_err *err)
{
	size_t len = strnlen(e->name, sizeof(e->name));

	if (len == sizeof(e->name))
		return refuse(err, "manifest: entry %u: its name has no end",
			      i);
	if (len == 0)
		return refuse(err, "manifest: entry %u: no name", i);
	for (size_t k = 0; k < len; k++) {
		char c = e->name[k];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		      (c >= 'a' && c <= 'z')))
			return refuse(err,
				      "manifest: entry %u: its name has other "
				      "characters than letters and digits",
				      i);
	}
	return 0;
}

static int check_entry(const struct solo5_mft *mft, uint32_t i,
		       struct mote_err *err)
{
	const struct solo5_mft_entry *e = &mft->e[i];
	char buf[16];
	int ret = check_name(e, i, err);

	if (ret < 0)
		return ret;
	if (e->type != SOLO5_BLOCK && e->type != SOLO5_NET)
		return refuse(err,
			      "manifest: entry %u, \"%s\": %s, expected "
			      "BLOCK_BASIC or NET_BASIC",
			      i, e->name, solo5_type_name(e->type, buf));
	if (e->attached)
		return refuse(err,
			      "manifest: entry %u, \"%s\": attached already", i,
			      e->name);
	for (uint32_t k = 1; k < i; k++)
		if (e->type == mft->e[k].type &&
		    !strcmp(e->name, mft->e[k].name))
			return refuse(err,
				      "manifest: entries %u and %u: both are "
				      "\"%s\"",
				      k, i, e->name);
	return 0;
}

int solo5_check_manifest(const struct solo5_mft *mft, size_t len,
			 struct mote_err *err)
{
	const size_t head = offsetof(struct solo5_mft, e);

	if (len < head)
		return refuse(err, "manifest: %zu bytes, too short", len);
	if (mft->version != SOLO5_MFT_VERSION)
		return refuse(err, "manifest: version %u, expected %u",
			      mft->version, SOLO5_MFT_VERSION);
	if (mft->entries < 1 || mft->entries > SOLO5_MFT_MAX)
		return refuse(err,
			      "manifest: %u entries, expected 1 to %d (the "
			      "reserved first and up to %d devices)",
			      mft->entries, SOLO5_MFT_MAX, SOLO5_MFT_MAX - 1);
	if (len != head + mft->entries * sizeof(mft->e[0]))
		return refuse(
			err, "manifest: %zu bytes for %u entries, expected %zu",
			len, mft->entries,
			head + mft->entries * sizeof(mft->e[0]));
	if (mft->e[0].type != SOLO5_RESERVED_FIRST || mft->e[0].name[0])
		return refuse(err, "manifest: entry 0 is not the reserved one");
	for (uint32_t i = 1; i < mft->entries; i++) {
		int ret = check_entry(mft, i, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/*
 * The descriptor is preceded by padding to the manifest's own alignment,
 * counted from the note's header: 4 bytes.
 */
static int read_manifest(struct solo5_mft *mft, const struct elf_file *f,
			 struct mote_err *err)
{
	const size_t pad = (8 - NHDR_SIZE % 8) % 8;
	uint8_t buf[sizeof(*mft) + 8];
	uint64_t off = 0;
	size_t len = 0;
	int ret = elf_note(f, SOLO5_NOTE_OWNER, SOLO5_NOTE_MANIFEST, buf,
			   sizeof(buf), &len, &off, err);

	if (ret < 0)
		return ret;
	if (ret == 0)
		return refuse(err, "no Solo5 manifest note");
	/* One entry too many still tells its number. */
	if (len < pad + offsetof(struct solo5_mft, e))
		return refuse(err, "manifest: %zu bytes, too short", len);
	memset(mft, 0, sizeof(*mft));
	memcpy(mft, buf + pad, num_min(len - pad, sizeof(*mft)));
	return solo5_check_manifest(mft, len - pad, err);
}

/* --- segments --------------------------------------------------------------
 */

static bool align_down(uint64_t v, uint64_t align, uint64_t *out)
{
	*out = v & ~(align - 1);
	return align != 0 && (align & (align - 1)) == 0;
}

static bool align_up(uint64_t v, uint64_t align, uint64_t *out)
{
	return align != 0 && num_add(v, align - 1, &v) &&
	       align_down(v, align, out);
}

static uint32_t prot_of(uint32_t flags)
{
	return (flags & PF_R ? SOLO5_R : 0) | (flags & PF_W ? SOLO5_W : 0) |
	       (flags & PF_X ? SOLO5_X : 0);
}

static int place_segment(struct solo5_image *img, const struct elf_file *f,
			 int i, uint64_t memory, struct mote_err *err)
{
	const Elf64_Phdr *ph = &f->ph[i];
	struct solo5_segment s = {.prot = prot_of(ph->p_flags), .phdr = i};
	uint64_t end;

	if (ph->p_filesz > ph->p_memsz)
		return refuse(err,
			      "segment %d: larger in the file than in memory",
			      i);
	if (!num_within(ph->p_offset, ph->p_filesz, f->size))
		return refuse(err, "segment %d: beyond the end of the file", i);
	if (!num_add(ph->p_vaddr, ph->p_memsz, &end) ||
	    !align_down(ph->p_vaddr, ph->p_align, &s.start) ||
	    !align_up(end, ph->p_align, &s.end))
		return refuse(err,
			      "segment %d: 0x%" PRIx64 "+0x%" PRIx64
			      " aligned to 0x%" PRIx64 " wraps, or is no "
			      "alignment",
			      i, (uint64_t)ph->p_vaddr, (uint64_t)ph->p_memsz,
			      (uint64_t)ph->p_align);
	if (s.start < HVT_IMAGE_BASE)
		return refuse(err,
			      "segment %d: at 0x%" PRIx64 ", hvt images start "
			      "at 0x%" PRIx64,
			      i, s.start, (uint64_t)HVT_IMAGE_BASE);
	if ((s.start | s.end) % GUEST_PAGE)
		return refuse(err, "segment %d: not aligned to pages", i);
	if (s.start < img->end)
		return refuse(err,
			      "segment %d: at 0x%" PRIx64 ", overlaps or comes "
			      "before the one before it",
			      i, s.start);
	if (s.end > memory)
		return refuse(err,
			      "segment %d: 0x%" PRIx64 "+0x%" PRIx64
			      " is outside the guest's memory",
			      i, (uint64_t)ph->p_vaddr, (uint64_t)ph->p_memsz);
	if ((s.prot & SOLO5_W) && (s.prot & SOLO5_X))
		return refuse(err, "segment %d: writable and executable", i);
	img->seg[img->segs++] = s;
	img->end = s.end;
	return 0;
}

int solo5_read(struct solo5_image *img, const struct elf_file *f,
	       uint64_t memory, struct mote_err *err)
{
	int ret;

	img->entry = f->eh.e_entry;
	img->end = 0;
	img->segs = 0;
	ret = check_abi(f, err);
	if (ret == 0)
		ret = read_manifest(&img->mft, f, err);
	for (int i = 0; ret == 0 && i < f->eh.e_phnum; i++)
		if (f->ph[i].p_type == PT_LOAD && f->ph[i].p_memsz > 0)
			ret = place_segment(img, f, i, memory, err);
	if (ret < 0)
		return ret;
	if (img->segs == 0)
		return refuse(err, "no segment to load");
	if (img->entry < HVT_IMAGE_BASE || img->entry >= img->end)
		return refuse(err, "entry point outside the segments");
	return 0;
}

int solo5_load(const struct solo5_image *img, const struct elf_file *f,
	       struct memslot_table *slots, struct mote_err *err)
{
	for (int i = 0; i < img->segs; i++) {
		int phdr = img->seg[i].phdr;
		int ret = elf_load_segment(slots, f, phdr, f->ph[phdr].p_vaddr,
					   err);

		if (ret < 0)
			return ret;
	}
	return 0;
}
