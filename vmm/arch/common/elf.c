/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "memory/guestmem.h"

#define PHDR_MAX 64
#define NOTE_MAX 4096

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
	    eh->e_phnum > PHDR_MAX)
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

/* Look for our note in one PT_NOTE segment. */
static int read_note(int fd, const Elf64_Phdr *ph, uint64_t size,
		     struct elf_image *img, struct mote_err *err)
{
	_Alignas(8) uint8_t buf[NOTE_MAX];
	uint64_t pos = 0;
	int ret;

	if (ph->p_filesz > sizeof(buf))
		return bad(err, "note segment larger than 4096 bytes");
	if (!num_within(ph->p_offset, ph->p_filesz, size))
		return bad(err, "note segment beyond the end of the file");
	ret = fd_pread_full(fd, buf, ph->p_filesz, ph->p_offset);
	if (ret < 0)
		return err_set(err, -ret, "read: %s", strerror(-ret));

	while (num_within(pos, sizeof(Elf64_Nhdr), ph->p_filesz)) {
		Elf64_Nhdr nh;
		uint64_t name, desc;

		memcpy(&nh, buf + pos, sizeof(nh));
		name = pos + sizeof(nh);
		desc = name + (((uint64_t)nh.n_namesz + 3) & ~UINT64_C(3));
		if (!num_within(desc, nh.n_descsz, ph->p_filesz))
			return bad(err, "broken note");
		if (nh.n_type == ELF_NOTE_TYPE &&
		    nh.n_namesz == sizeof(ELF_NOTE_OWNER) &&
		    !memcmp(buf + name, ELF_NOTE_OWNER,
			    sizeof(ELF_NOTE_OWNER))) {
			if (nh.n_descsz != 8)
				return bad(err, "broken mote note");
			memcpy(&img->note_version, buf + desc, 4);
			memcpy(&img->note_flags, buf + desc + 4, 4);
			img->has_note = true;
		}
		pos = desc + (((uint64_t)nh.n_descsz + 3) & ~UINT64_C(3));
	}
	return 0;
}

static int load_segment(struct memslot_table *slots, int fd,
			const Elf64_Phdr *ph, int i, struct mote_err *err)
{
	int ret = guest_write_fd(slots, ph->p_paddr, fd, ph->p_offset,
				 ph->p_filesz);

	/* RAM of a fresh VM is zero: only check that the rest exists. */
	if (ret == 0 && !guest_map_read(slots, ph->p_paddr, ph->p_memsz))
		ret = -EFAULT;
	if (ret == -EFAULT)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "segment %d: 0x%" PRIx64 "+0x%" PRIx64
				     " is outside the guest's memory",
				     i, (uint64_t)ph->p_paddr,
				     (uint64_t)ph->p_memsz);
	if (ret < 0)
		return err_set(err, -ret, "segment %d: read: %s", i,
			       strerror(-ret));
	return 0;
}

static int check_all(int fd, const Elf64_Phdr *ph, int n, uint64_t size,
		     uint64_t min, struct elf_image *img, struct mote_err *err)
{
	int ret;

	img->low = UINT64_MAX;
	for (int i = 0; i < n; i++) {
		if (ph[i].p_type == PT_NOTE) {
			ret = read_note(fd, &ph[i], size, img, err);
			if (ret < 0)
				return ret;
		}
		if (!to_load(&ph[i]))
			continue;
		ret = check_segment(&ph[i], i, size, min, err);
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

int elf_load(struct memslot_table *slots, int fd, uint16_t machine,
	     uint64_t min, struct elf_image *img, struct mote_err *err)
{
	Elf64_Phdr ph[PHDR_MAX];
	Elf64_Ehdr eh;
	int64_t size = fd_size(fd);
	int ret;

	memset(img, 0, sizeof(*img));
	if (size < 0)
		return err_set(err, (int)-size, "stat: %s",
			       strerror((int)-size));
	if ((uint64_t)size < sizeof(eh))
		return bad(err, "not an ELF file: too short");
	ret = fd_pread_full(fd, &eh, sizeof(eh), 0);
	if (ret < 0)
		return err_set(err, -ret, "read: %s", strerror(-ret));
	ret = check_header(&eh, machine, err);
	if (ret < 0)
		return ret;
	if (!num_within(eh.e_phoff, (uint64_t)eh.e_phnum * sizeof(ph[0]),
			(uint64_t)size))
		return bad(err, "program headers beyond the end of the file");
	ret = fd_pread_full(fd, ph, eh.e_phnum * sizeof(ph[0]), eh.e_phoff);
	if (ret < 0)
		return err_set(err, -ret, "read: %s", strerror(-ret));
	img->entry = eh.e_entry;
	ret = check_all(fd, ph, eh.e_phnum, (uint64_t)size, min, img, err);
	for (int i = 0; ret == 0 && i < eh.e_phnum; i++)
		if (to_load(&ph[i]))
			ret = load_segment(slots, fd, &ph[i], i, err);
	return ret;
}
