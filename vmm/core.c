/* SPDX-License-Identifier: Apache-2.0 */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/num.h"
#include "devices/hvt.h"
#include "memory/guestmem.h"
#include "vm.h"

#define NAME_SIZE 8 /* "CORE", padded */

/* Everything before the memory. */
struct head {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[1 + MEMSLOT_MAX];
	struct {
		Elf64_Nhdr nh;
		char name[NAME_SIZE];
		uint8_t desc[ARCH_PRSTATUS_MAX];
	} note;
};

static int io_error(int ret, struct mote_err *err)
{
	return err_set_class(err, -ret, ERR_CLASS_IO, "core file: %s",
			     strerror(-ret));
}

static int fill_note(struct vm *vm, struct head *h, struct mote_err *err)
{
	uint64_t cookie = vm->hvt ? hvt_cookie(vm->hvt) : 0;
	const void *trap =
		cookie ? guest_map_read(&vm->slots, cookie, HVT_COOKIE_SIZE)
		       : NULL;
	int len = arch_prstatus(&vm->vcpu[0]->arch, trap, h->note.desc);

	if (len < 0)
		return err_set(err, -len, "core file: registers: %s",
			       strerror(-len));
	h->note.nh = (Elf64_Nhdr){.n_namesz = NAME_SIZE,
				  .n_descsz = (Elf64_Word)len,
				  .n_type = NT_PRSTATUS};
	memcpy(h->note.name, "CORE", sizeof("CORE"));
	h->ph[0] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct head, note),
		.p_filesz = offsetof(struct head, note.desc) -
			    offsetof(struct head, note) + (Elf64_Xword)len,
	};
	h->ph[0].p_memsz = h->ph[0].p_filesz;
	return 0;
}

static void fill_header(const struct vm *vm, struct head *h, uint64_t *end)
{
	uint64_t off = (sizeof(*h) + host_page_size() - 1) &
		       ~(uint64_t)(host_page_size() - 1);
	Elf64_Half n = 1;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &vm->slots.slot[i];

		if (!s->ram.addr)
			continue;
		h->ph[n++] = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W | PF_X,
			.p_offset = off,
			.p_vaddr = s->gpa,
			.p_paddr = s->gpa,
			.p_filesz = s->ram.size,
			.p_memsz = s->ram.size,
		};
		off += s->ram.size;
	}
	*end = off;
	h->eh = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			    ELFDATA2LSB, EV_CURRENT, ELFOSABI_STANDALONE},
		.e_type = ET_CORE,
		.e_machine = arch_elf_machine,
		.e_version = EV_CURRENT,
		.e_phoff = offsetof(struct head, ph),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = n,
	};
}

static bool is_zero(const char *page, size_t size)
{
	return page[0] == 0 && memcmp(page, page + 1, size - 1) == 0;
}

static int write_ram(const struct memslot *s, int fd, uint64_t off)
{
	size_t page = host_page_size();
	int ret = 0;

	for (uint64_t at = 0; at < s->ram.size && ret == 0; at += page) {
		const char *p = (const char *)s->ram.addr + at;

		if (!is_zero(p, page))
			ret = fd_pwrite_full(fd, p, page, off + at);
	}
	return ret;
}

int core_write(struct vm *vm, int fd, struct mote_err *err)
{
	struct head h = {0};
	uint64_t end;
	int ret = fill_note(vm, &h, err);

	if (ret < 0)
		return ret;
	fill_header(vm, &h, &end);
	ret = fd_pwrite_full(fd, &h, sizeof(h), 0);
	if (ret == 0 && ftruncate(fd, (off_t)end) < 0)
		ret = -errno;
	for (int i = 0, n = 1; i < MEMSLOT_MAX && ret == 0; i++)
		if (vm->slots.slot[i].ram.addr)
			ret = write_ram(&vm->slots.slot[i], fd,
					h.ph[n++].p_offset);
	return ret < 0 ? io_error(ret, err) : 0;
}
