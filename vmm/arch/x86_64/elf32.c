/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/elf32.h"

#include <errno.h>
#include <string.h>

#include "arch/common/elf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"

static int bad(struct mote_err *err, const char *what)
{
	return err_set_class(err, ENOEXEC, ERR_CLASS_DATA, "%s", what);
}

static bool is_386(const Elf32_Ehdr *eh)
{
	return !memcmp(eh->e_ident, ELFMAG, SELFMAG) &&
	       eh->e_ident[EI_CLASS] == ELFCLASS32 &&
	       eh->e_ident[EI_DATA] == ELFDATA2LSB && eh->e_machine == EM_386;
}

int elf32_open(struct elf_file *f, int fd, struct mote_err *err)
{
	int64_t size = fd_size(fd);
	Elf32_Phdr ph[ELF_PHDR_MAX];
	Elf32_Ehdr eh;
	int ret;

	memset(f, 0, offsetof(struct elf_file, ph));
	if (size < (int64_t)sizeof(eh) ||
	    fd_pread_full(fd, &eh, sizeof(eh), 0) < 0 || !is_386(&eh))
		return 0;
	if (eh.e_type != ET_EXEC)
		return bad(err, "not a static executable (ET_EXEC)");
	if (eh.e_phentsize != sizeof(ph[0]) || eh.e_phnum == 0 ||
	    eh.e_phnum > ELF_PHDR_MAX)
		return bad(err, "bad program header table");
	if (!num_within(eh.e_phoff, eh.e_phnum * sizeof(ph[0]), (uint64_t)size))
		return bad(err, "program headers beyond the end of the file");
	ret = fd_pread_full(fd, ph, eh.e_phnum * sizeof(ph[0]), eh.e_phoff);
	if (ret < 0)
		return err_set(err, -ret, "read: %s", strerror(-ret));
	f->fd = fd;
	f->size = (uint64_t)size;
	memcpy(f->eh.e_ident, eh.e_ident, sizeof(f->eh.e_ident));
	f->eh.e_type = eh.e_type;
	f->eh.e_machine = eh.e_machine;
	f->eh.e_entry = eh.e_entry;
	f->eh.e_phnum = eh.e_phnum;
	for (int i = 0; i < eh.e_phnum; i++)
		f->ph[i] = (Elf64_Phdr){
			.p_type = ph[i].p_type,
			.p_flags = ph[i].p_flags,
			.p_offset = ph[i].p_offset,
			.p_vaddr = ph[i].p_vaddr,
			.p_paddr = ph[i].p_paddr,
			.p_filesz = ph[i].p_filesz,
			.p_memsz = ph[i].p_memsz,
		};
	return 1;
}
