/* SPDX-License-Identifier: Apache-2.0 */
#include "fake/elfimg.h"

#include <criterion/criterion.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/common/elf.h"
#include "base/fd.h"

void elfimg_init(struct elfimg *img)
{
	memset(img, 0, sizeof(*img));
	memcpy(img->eh.e_ident, ELFMAG, SELFMAG);
	img->eh.e_ident[EI_CLASS] = ELFCLASS64;
	img->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	img->eh.e_ident[EI_VERSION] = EV_CURRENT;
	img->eh.e_type = ET_EXEC;
	img->eh.e_machine = arch_elf_machine;
	img->eh.e_version = EV_CURRENT;
	img->eh.e_entry = ELFIMG_BASE + 4;
	img->eh.e_phoff = offsetof(struct elfimg, ph);
	img->eh.e_ehsize = sizeof(img->eh);
	img->eh.e_phentsize = sizeof(img->ph[0]);
	img->eh.e_phnum = ELFIMG_SEGS;
	for (unsigned int i = 0; i < 2; i++) {
		img->ph[i] = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_offset = offsetof(struct elfimg, data[i]),
			.p_paddr = ELFIMG_BASE + i * 0x10000,
			.p_filesz = ELFIMG_BYTES,
			.p_memsz = 8192,
		};
		memset(img->data[i], (int)(0xa0 + i), ELFIMG_BYTES);
	}
	img->ph[2] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct elfimg, note),
		.p_filesz = sizeof(img->note),
	};
	img->note.head = (Elf64_Nhdr){.n_namesz = sizeof(ELF_NOTE_OWNER),
				      .n_descsz = 8,
				      .n_type = ELF_NOTE_TYPE};
	memcpy(img->note.owner, ELF_NOTE_OWNER, sizeof(ELF_NOTE_OWNER));
	img->note.version = 1;
}

int elfimg_fd(const struct elfimg *img, size_t len)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fd_write_full(fd, img, len), 0);
	return fd;
}
