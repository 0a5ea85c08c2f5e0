/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/elf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "memory/guestmem.h"

#define NOTE_MAX 8192 /* a full Solo5 manifest has 6664 */

static int bad(struct mote_err *err, const char *what)
{
	return err_set_class(err, ENOEXEC, ERR_CLASS_DATA, "%s", what);
}

static int check_header(const Elf64_Ehdr *eh, uint16_t machine,
			struct mote_err *err)
{
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return bad(err, "not an ELF file");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64)
		return bad(err, "not a 64-bit ELF file");
	if (eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return bad(err, "not a little-endian ELF file");
	if (eh->e_machine != machine)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "ELF file for machine %u, this host runs "
				     "%u",
				     eh->e_machine, machine);
	if (eh->e_type != ET_EXEC)
		return bad(err, "not a static executable (ET_EXEC)");
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 ||
	    eh->e_phnum > ELF_PHDR_MAX)
		return bad(err, "bad program header table");
	return 0;
}

static bool to_load(const Elf64_Phdr *ph)
{
	return ph->p_type == PT_LOAD && ph->p_memsz > 0;
}

static int check_segment(const Elf64_Phdr *ph, int i, uint64_t size,
			 uint64_t min, struct mote_err *err)
{
	uint64_t end;

	if (ph->p_filesz > ph->p_memsz)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "segment %d: larger in the file than in "
				     "memory",
				     i);
	if (!num_within(ph->p_offset, ph->p_filesz, size))
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "segment %d: beyond the end of the file",
				     i);
	if (!num_add(ph->p_paddr, ph->p_memsz, &end))
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "segment %d: its address wraps", i);
	if (ph->p_paddr < min)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "segment %d: at 0x%" PRIx64
				     ", images start at 0x%" PRIx64,
				     i, (uint64_t)ph->p_paddr, min);
	return 0;
}

static int check_overlap(const Elf64_Phdr *ph, int n, struct mote_err *err)
{
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++) {
			if (!to_load(&ph[i]) || !to_load(&ph[j]))
				continue;
			if (ph[i].p_paddr < ph[j].p_paddr + ph[j].p_memsz &&
			    ph[j].p_paddr < ph[i].p_paddr + ph[i].p_memsz)
				return err_set_class(
					err, ENOEXEC, ERR_CLASS_DATA,
					"segments %d and %d overlap", j, i);
		}
	return 0;
}

/* Look for a note in one PT_NOTE segment, read into seg; 1: found. */
static int find_note(const uint8_t *seg, uint64_t size, const char *owner,
		     uint32_t type, uint64_t *desc, uint32_t *desc_len,
		     struct mote_err *err)
{
	uint64_t pos = 0;

	while (num_within(pos, sizeof(Elf64_Nhdr), size)) {
		Elf64_Nhdr nh;
		uint64_t name = pos + sizeof(nh);

		memcpy(&nh, seg + pos, sizeof(nh));
		*desc = name + (((uint64_t)nh.n_namesz + 3) & ~UINT64_C(3));
		*desc_len = nh.n_descsz;
		if (!num_within(*desc, nh.n_descsz, size))
			return bad(err, "broken note");
		if (nh.n_type == type && nh.n_namesz == strlen(owner) + 1 &&
		    !memcmp(seg + name, owner, nh.n_namesz))
			return 1;
		pos = *desc + (((uint64_t)nh.n_descsz + 3) & ~UINT64_C(3));
	}
	return 0;
}

int elf_note(const struct elf_file *f, const char *owner, uint32_t type,
	     void *buf, size_t size, size_t *len, uint64_t *file_off,
	     struct mote_err *err)
{
	for (int i = 0; i < f->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &f->ph[i];
		_Alignas(8) uint8_t seg[NOTE_MAX];
		uint32_t desc_len = 0;
		uint64_t desc = 0;
		int ret;

		if (ph->p_type != PT_NOTE)
			continue;
		if (ph->p_filesz > sizeof(seg))
			return bad(err, "note segment larger than 8192 bytes");
		if (!num_within(ph->p_offset, ph->p_filesz, f->size))
			return bad(err, "note segment beyond the end of the "
					"file");
		ret = fd_pread_full(f->fd, seg, ph->p_filesz, ph->p_offset);
		if (ret < 0)
			return err_set(err, -ret, "read: %s", strerror(-ret));
		ret = find_note(seg, ph->p_filesz, owner, type, &desc,
				&desc_len, err);
		if (ret < 0)
			return ret;
		if (ret == 0)
			continue;
		memcpy(buf, seg + desc, num_min(desc_len, size));
		*len = desc_len;
		*file_off = ph->p_offset + desc;
		return 1;
	}
	return 0;
}

static int read_own_note(const struct elf_file *f, struct elf_own *own,
			 struct mote_err *err)
{
	uint32_t desc[2] = {0};
	uint64_t off = 0;
	size_t len = 0;
	int ret = elf_note(f, ELF_NOTE_OWNER, ELF_NOTE_TYPE, desc, sizeof(desc),
			   &len, &off, err);

	if (ret < 0)
		return ret;
	if (ret > 0 && len != sizeof(desc))
		return bad(err, "broken mote note");
	*own = (struct elf_own){true, ret > 0, desc[0], desc[1]};
	return ret;
}

int elf_own_note(struct elf_file *f, struct mote_err *err)
{
	return f->own.known ? f->own.found : read_own_note(f, &f->own, err);
}

int elf_load_segment(struct memslot_table *slots, const struct elf_file *f,
		     int i, uint64_t gpa, struct mote_err *err)
{
	const Elf64_Phdr *ph = &f->ph[i];
	int ret = guest_write_fd(slots, gpa, f->fd, ph->p_offset, ph->p_filesz);

	/* RAM of a fresh VM is zero: only check that the rest exists. */
	if (ret == 0 && !guest_map_read(slots, gpa, ph->p_memsz))
		ret = -EFAULT;
	if (ret == -EFAULT)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "segment %d: 0x%" PRIx64 "+0x%" PRIx64
				     " is outside the guest's memory",
				     i, gpa, (uint64_t)ph->p_memsz);
	if (ret < 0)
		return err_set(err, -ret, "segment %d: read: %s", i,
			       strerror(-ret));
	return 0;
}

static int check_all(const struct elf_file *f, uint64_t min,
		     struct elf_image *img, struct mote_err *err)
{
	const Elf64_Phdr *ph = f->ph;
	int n = f->eh.e_phnum;

	img->low = UINT64_MAX;
	for (int i = 0; i < n; i++) {
		int ret;

		if (!to_load(&ph[i]))
			continue;
		ret = check_segment(&ph[i], i, f->size, min, err);
		if (ret < 0)
			return ret;
		img->low = num_min(img->low, ph[i].p_paddr);
		if (ph[i].p_paddr + ph[i].p_memsz > img->high)
			img->high = ph[i].p_paddr + ph[i].p_memsz;
	}
	if (img->high == 0)
		return bad(err, "no segment to load");
	if (img->entry < img->low || img->entry >= img->high)
		return bad(err, "entry point outside the segments");
	return check_overlap(ph, n, err);
}

int elf_open(struct elf_file *f, int fd, uint16_t machine, struct mote_err *err)
{
	int64_t size = fd_size(fd);
	int ret;

	memset(f, 0, offsetof(struct elf_file, ph));
	if (size < 0)
		return err_set(err, (int)-size, "stat: %s",
			       strerror((int)-size));
	if ((uint64_t)size < sizeof(f->eh))
		return bad(err, "not an ELF file: too short");
	f->fd = fd;
	f->size = (uint64_t)size;
	ret = fd_pread_full(fd, &f->eh, sizeof(f->eh), 0);
	if (ret < 0)
		return err_set(err, -ret, "read: %s", strerror(-ret));
	ret = check_header(&f->eh, machine, err);
	if (ret < 0)
		return ret;
	if (!num_within(f->eh.e_phoff,
			(uint64_t)f->eh.e_phnum * sizeof(f->ph[0]), f->size))
		return bad(err, "program headers beyond the end of the file");
	ret = fd_pread_full(fd, f->ph, f->eh.e_phnum * sizeof(f->ph[0]),
			    f->eh.e_phoff);
	if (ret < 0)
		return err_set(err, -ret, "read: %s", strerror(-ret));
	return 0;
}

int elf_load(struct memslot_table *slots, const struct elf_file *f,
	     uint64_t min, struct elf_image *img, struct mote_err *err)
{
	struct elf_own own = f->own;
	int ret = 0;

	memset(img, 0, sizeof(*img));
	img->entry = f->eh.e_entry;
	if (!own.known)
		ret = read_own_note(f, &own, err);
	img->has_note = own.found;
	img->note_version = own.version;
	img->note_flags = own.flags;
	if (ret >= 0)
		ret = check_all(f, min, img, err);
	for (int i = 0; ret == 0 && i < f->eh.e_phnum; i++)
		if (to_load(&f->ph[i]))
			ret = elf_load_segment(slots, f, i, f->ph[i].p_paddr,
					       err);
	return ret;
}
