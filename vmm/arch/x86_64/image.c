/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - guests that are not ours: Linux by its own boot protocol, PVH and
 * Multiboot 1.  What of the file goes where, and what the guest finds beside
 * it: command line, initial RAM disk, memory map, ACPI tables.
 *
 * Sources: Linux Documentation/x86/boot.rst and zero-page.rst; Xen
 * docs/misc/pvh and public/arch-x86/hvm/start_info.h; Multiboot Specification
 * 0.6.96.  Threads: the VM thread before the first run.  Trust: images are
 * hostile files; bzimage.c, multiboot.c and elf.c read them.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/elf.h"
#include "arch/common/initrd.h"
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/bzimage.h"
#include "arch/x86_64/elf32.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/multiboot.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/guestmem.h"

#define PVH_OWNER   "Xen"
#define PVH_ENTRY   18u /* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_MAGIC   0x336ec578u
#define PVH_VERSION 1u
#define LOADER	    0xff /* one without a number of its own */
#define ENTRY64	    0x200u
#define MAP_MAX	    8
#define E820_RAM    1
#define E820_KEPT   2

struct pvh_info {
	uint32_t magic, version, flags, modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t paddr, size, cmdline, reserved;
};

struct pvh_memory {
	uint64_t base, size;
	uint32_t type, reserved;
};

struct range {
	uint64_t base, size;
	uint32_t type;
};

/* Where things of such a guest are. */
struct plan {
	const struct vm_config *cfg;
	struct memslot_table *slots;
	uint64_t low_end;    /* of RAM below the hole */
	uint64_t entry, end; /* end: of the image's memory */
	bool wide;	     /* it is entered in long mode */
	uint64_t initrd_max; /* the last byte that an initrd may be */
	uint64_t cmdline_max;
	uint64_t initrd, initrd_size;
	uint64_t rsdp; /* 0: none */
	struct range map[MAP_MAX];
	uint32_t maps;
	struct setup_header header;
};

/* --- which contract ---------------------------------------------------------
 */

/* The first bytes of a file; how many. */
static int read_head(int fd, uint64_t size, uint8_t *head, size_t max,
		     size_t *len, struct mote_err *err)
{
	int ret;

	*len = num_min(size, max);
	ret = fd_pread_full(fd, head, *len, 0);
	return ret < 0 ? err_set(err, -ret, "read: %s", strerror(-ret)) : 0;
}

static bool is_elf(const struct elf_file *f)
{
	return f->eh.e_phnum > 0;
}

int arch_image_open(struct elf_file *f, int fd, enum vm_protocol protocol,
		    struct mote_err *err)
{
	uint8_t head[MULTIBOOT_SEARCH];
	struct mote_err why = {0};
	struct multiboot m = {0};
	int64_t size;
	size_t len;
	int ret;

	if (protocol == PROTOCOL_MOTE || protocol == PROTOCOL_HVT)
		return -ENOEXEC;
	ret = elf32_open(f, fd, &why);
	if (ret != 0) {
		if (ret < 0)
			*err = why;
		return ret < 0 ? ret : 0;
	}
	size = fd_size(fd);
	if (size < 0 ||
	    read_head(fd, (uint64_t)size, head, sizeof(head), &len, &why) < 0 ||
	    (len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG)) ||
	    protocol == PROTOCOL_PVH)
		return -ENOEXEC;
	if (protocol == PROTOCOL_AUTO && !bzimage_is(head, len) &&
	    multiboot_parse(head, len, (uint64_t)size, &m, &why) == 0)
		return -ENOEXEC;
	memset(f, 0, offsetof(struct elf_file, ph));
	f->fd = fd;
	f->size = (uint64_t)size;
	return 0;
}

static int pvh_entry(const struct elf_file *f, uint64_t *entry,
		     struct mote_err *err)
{
	uint64_t off;
	size_t len = 0;
	int ret;

	*entry = 0;
	ret = elf_note(f, PVH_OWNER, PVH_ENTRY, entry, sizeof(*entry), &len,
		       &off, err);
	if (ret > 0 && len != 4 && len != 8)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "PVH note: %zu bytes, expected 4 or 8",
				     len);
	return ret;
}

int arch_image_protocol(const struct elf_file *f, enum vm_protocol *protocol,
			struct mote_err *err)
{
	uint8_t head[MULTIBOOT_SEARCH];
	struct multiboot m = {0};
	uint64_t entry;
	size_t len;
	int ret = is_elf(f) ? pvh_entry(f, &entry, err) : 0;

	if (ret > 0)
		*protocol = PROTOCOL_PVH;
	if (ret != 0)
		return ret;
	ret = read_head(f->fd, f->size, head, sizeof(head), &len, err);
	if (ret < 0)
		return ret;
	if (!is_elf(f) && bzimage_is(head, len)) {
		*protocol = PROTOCOL_LINUX;
		return 1;
	}
	ret = multiboot_parse(head, len, f->size, &m, err);
	if (ret > 0)
		*protocol = PROTOCOL_MULTIBOOT;
	return ret;
}

/* --- the image into RAM -----------------------------------------------------
 */

static int load_elf(struct plan *p, const struct elf_file *f,
		    struct mote_err *err)
{
	struct elf_image img;
	int ret = elf_load(p->slots, f, LAYOUT_IMAGE_BASE, &img, err);

	if (ret < 0)
		return ret;
	if (img.high > LAYOUT_HOLE)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "the image ends at 0x%" PRIx64
				     ", expected below 3G",
				     img.high);
	p->entry = img.entry;
	p->end = img.high;
	return 0;
}

static int outside(uint64_t at, uint64_t size, struct mote_err *err)
{
	return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
			     "the image: 0x%" PRIx64 " bytes at 0x%" PRIx64
			     " are outside the guest's memory",
			     size, at);
}

static int load_part(struct plan *p, int fd, uint64_t off, uint64_t at,
		     uint64_t size, struct mote_err *err)
{
	int ret = guest_write_fd(p->slots, at, fd, off, size);

	if (ret == -EFAULT)
		return outside(at, size, err);
	return ret < 0 ? err_set(err, -ret, "read: %s", strerror(-ret)) : 0;
}

static int load_bzimage(struct plan *p, const struct elf_file *f,
			const uint8_t *head, size_t len, struct mote_err *err)
{
	struct bzimage z;
	uint64_t at;
	int ret = bzimage_parse(head, len, f->size, &z, err);

	if (ret < 0)
		return ret;
	at = z.prefer;
	if (z.relocatable && !num_within(at, z.room, p->low_end))
		num_round_up(LAYOUT_IMAGE_BASE, z.align, &at);
	if (!num_within(at, z.room, p->low_end))
		return outside(at, z.room, err);
	ret = load_part(p, f->fd, z.payload, at, z.payload_size, err);
	p->entry = at + (z.entry64 ? ENTRY64 : 0);
	p->end = at + z.room;
	p->wide = z.entry64;
	p->initrd_max = z.initrd_max;
	p->cmdline_max = z.cmdline_max;
	memcpy(&p->header, head + BZIMAGE_HEADER,
	       num_min(z.header_size, sizeof(p->header)));
	return ret;
}

/* A vmlinux is entered as what a bzImage unpacks. */
static int load_linux(struct plan *p, const struct elf_file *f,
		      struct mote_err *err)
{
	uint8_t head[BZIMAGE_HEADER_MAX];
	size_t len;
	int ret;

	if (is_elf(f)) {
		if (f->eh.e_machine != EM_X86_64)
			return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
					     "protocol linux: expected a "
					     "64-bit vmlinux or a bzImage");
		p->wide = true;
		p->header.header = 0x53726448; /* HdrS */
		p->header.boot_flag = 0xaa55;
		p->header.version = 0x20c;
		return load_elf(p, f, err);
	}
	ret = read_head(f->fd, f->size, head, sizeof(head), &len, err);
	return ret < 0 ? ret : load_bzimage(p, f, head, len, err);
}

static int load_pvh(struct plan *p, const struct elf_file *f,
		    struct mote_err *err)
{
	uint64_t entry;
	int ret = pvh_entry(f, &entry, err);

	if (ret == 0)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "protocol pvh: no ELF note of owner "
				     "\"Xen\", type 18");
	if (ret < 0)
		return ret;
	ret = load_elf(p, f, err);
	if (ret == 0 && (entry < LAYOUT_IMAGE_BASE || entry >= p->end))
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "PVH note: entry 0x%" PRIx64
				     " outside the segments",
				     entry);
	p->entry = entry;
	return ret;
}

static int load_multiboot(struct plan *p, const struct elf_file *f,
			  struct mote_err *err)
{
	uint8_t head[MULTIBOOT_SEARCH];
	struct multiboot m = {0};
	size_t len;
	int ret = read_head(f->fd, f->size, head, sizeof(head), &len, err);

	if (ret == 0)
		ret = multiboot_parse(head, len, f->size, &m, err);
	if (ret < 0)
		return ret;
	if (ret == 0)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "protocol multiboot: no header in the "
				     "first 8192 bytes");
	if (!m.flat && !is_elf(f))
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "multiboot flags: 0x%x, expected bit 16 "
				     "in an image that is no ELF file",
				     m.flags);
	if (!m.flat)
		return load_elf(p, f, err);
	if (!num_within(m.load, m.end - m.load, p->low_end))
		return outside(m.load, m.end - m.load, err);
	p->entry = m.entry;
	p->end = m.end;
	return load_part(p, f->fd, m.from, m.load, m.size, err);
}

/* --- what lies beside it ----------------------------------------------------
 */

static void add_range(struct plan *p, uint64_t base, uint64_t end,
		      uint32_t type)
{
	if (end > base && p->maps < MAP_MAX)
		p->map[p->maps++] = (struct range){base, end - base, type};
}

/*
 * RAM that is the guest's, without the generation page, which is written for
 * each clone, and the area where firmware would be, in which our tables are.
 */
static int plan_memory(struct plan *p, struct mote_err *err)
{
	struct arch_ram ram[ARCH_RAM_MAX];
	int n = arch_ram_layout(p->cfg->vm.protocol, p->cfg->vm.memory, ram);

	if (n < 1 || ram[0].size < LAYOUT_IMAGE_BASE)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.memory: %" PRIu64 " bytes",
				     p->cfg->vm.memory);
	p->low_end = ram[0].size;
	add_range(p, 0, LAYOUT_GENERATION, E820_RAM);
	add_range(p, LAYOUT_GENERATION, LAYOUT_GENERATION + 4096, E820_KEPT);
	add_range(p, LAYOUT_GENERATION + 4096, LAYOUT_LOW_END, E820_RAM);
	add_range(p, LAYOUT_LOW_END, LAYOUT_IMAGE_BASE, E820_KEPT);
	add_range(p, LAYOUT_IMAGE_BASE, p->low_end, E820_RAM);
	for (int i = 1; i < n; i++)
		add_range(p, ram[i].gpa, ram[i].gpa + ram[i].size, E820_RAM);
	return 0;
}

static int put_cmdline(struct plan *p, struct mote_err *err)
{
	const char *text = p->cfg->vm.cmdline ? p->cfg->vm.cmdline : "";
	size_t len = strlen(text);

	if (len > p->cmdline_max)
		return err_set_class(err, E2BIG, ERR_CLASS_DATA,
				     "vm.cmdline: %zu bytes, this image takes "
				     "%" PRIu64,
				     len, p->cmdline_max);
	if (guest_write(p->slots, LAYOUT_CMDLINE, text, len + 1) < 0)
		return err_set(err, EFAULT, "command line");
	return 0;
}

static int put_initrd(struct plan *p, int fd, struct mote_err *err)
{
	uint64_t limit = p->low_end;

	if (fd < 0)
		return 0;
	if (p->initrd_max < limit)
		limit = p->initrd_max + 1;
	return initrd_load_high(p->slots, fd, p->end, limit, &p->initrd,
				&p->initrd_size, err);
}

static int put_acpi(struct plan *p, struct mote_err *err)
{
	void *buf;

	if (!config_acpi(p->cfg))
		return 0;
	buf = guest_map_write(p->slots, LAYOUT_ACPI, LAYOUT_ACPI_SIZE);
	if (!buf)
		return err_set(err, EFAULT, "ACPI tables");
	p->rsdp = LAYOUT_ACPI;
	return acpi_build(buf, LAYOUT_ACPI_SIZE, LAYOUT_ACPI, p->cfg, err);
}

/*
 * Linux with hardware-reduced ACPI resets by a jump to where firmware is
 * entered, in real mode: there it finds the chipset's reset.
 */
static int put_reset(struct plan *p, struct mote_err *err)
{
	static const uint8_t code[] = {
		0xba, 0xf9, 0x0c, /* mov $0xcf9, %dx */
		0xb0, 0x06,	  /* mov $6, %al */
		0xee,		  /* out %al, (%dx) */
		0xf4,		  /* hlt */
		0xeb, 0xfd,	  /* jmp to that */
	};

	_Static_assert(LAYOUT_CF9_PORT == 0xcf9, "the code has its number");
	if (guest_write(p->slots, LAYOUT_RESET_CODE, code, sizeof(code)) < 0)
		return err_set(err, EFAULT, "reset code");
	return 0;
}

/* --- how it is told ---------------------------------------------------------
 */

static void tell_linux(const struct plan *p, void *page)
{
	struct boot_params *b = page;

	b->hdr = p->header;
	b->hdr.type_of_loader = LOADER;
	b->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	b->hdr.ramdisk_image = (uint32_t)p->initrd;
	b->hdr.ramdisk_size = (uint32_t)p->initrd_size;
	b->acpi_rsdp_addr = p->rsdp;
	for (uint32_t i = 0; i < p->maps; i++)
		b->e820_table[i] = (struct boot_e820_entry){
			p->map[i].base, p->map[i].size, p->map[i].type};
	b->e820_entries = (uint8_t)p->maps;
}

/* One page: the information first, then what it points to. */
#define AT_MAP	  0x200u
#define AT_MODULE 0x400u
#define AT_NAME	  0x500u

static void tell_pvh(const struct plan *p, uint8_t *page)
{
	struct pvh_info *info = (struct pvh_info *)page;
	struct pvh_memory *map = (struct pvh_memory *)(page + AT_MAP);
	struct pvh_module *mod = (struct pvh_module *)(page + AT_MODULE);

	*info = (struct pvh_info){
		.magic = PVH_MAGIC,
		.version = PVH_VERSION,
		.cmdline = LAYOUT_CMDLINE,
		.rsdp = p->rsdp,
		.memmap = LAYOUT_BOOT_PAGE + AT_MAP,
		.memmap_entries = p->maps,
	};
	for (uint32_t i = 0; i < p->maps; i++)
		map[i] = (struct pvh_memory){p->map[i].base, p->map[i].size,
					     p->map[i].type, 0};
	if (!p->initrd_size)
		return;
	info->modules = 1;
	info->modlist = LAYOUT_BOOT_PAGE + AT_MODULE;
	mod->paddr = p->initrd;
	mod->size = p->initrd_size;
}

static void tell_multiboot(const struct plan *p, uint8_t *page)
{
	struct multiboot_info *info = (struct multiboot_info *)page;
	struct multiboot_mmap *map = (struct multiboot_mmap *)(page + AT_MAP);
	struct multiboot_module *mod =
		(struct multiboot_module *)(page + AT_MODULE);

	*info = (struct multiboot_info){
		.flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE |
			 MULTIBOOT_INFO_MMAP | MULTIBOOT_INFO_LOADER,
		.mem_lower = (uint32_t)(LAYOUT_LOW_END / KIB),
		.mem_upper = (uint32_t)((p->low_end - LAYOUT_IMAGE_BASE) / KIB),
		.cmdline = LAYOUT_CMDLINE,
		.mmap = LAYOUT_BOOT_PAGE + AT_MAP,
		.mmap_length = p->maps * (uint32_t)sizeof(*map),
		.loader = LAYOUT_BOOT_PAGE + AT_NAME,
	};
	for (uint32_t i = 0; i < p->maps; i++)
		map[i] = (struct multiboot_mmap){sizeof(*map) - 4,
						 p->map[i].base, p->map[i].size,
						 p->map[i].type};
	memcpy(page + AT_NAME, "mote", sizeof("mote"));
	if (!p->initrd_size)
		return;
	info->flags |= MULTIBOOT_INFO_MODS;
	info->mods_count = 1;
	info->mods = LAYOUT_BOOT_PAGE + AT_MODULE;
	mod->start = (uint32_t)p->initrd;
	mod->end = (uint32_t)(p->initrd + p->initrd_size);
	mod->string = LAYOUT_BOOT_PAGE + AT_NAME + 4; /* empty */
}

static int tell(const struct plan *p, struct mote_err *err)
{
	void *page = guest_map_write(p->slots, LAYOUT_BOOT_PAGE, 4096);
	int ret = page ? 0 : -EFAULT;

	_Static_assert(sizeof(struct boot_params) == 4096, "zero page");
	if (ret == 0)
		ret = boot_flat_gdt(p->slots, p->wide);
	if (ret == 0 && p->wide)
		ret = boot_identity_map(p->slots, true);
	if (ret < 0)
		return err_set(err, -ret, "boot tables do not fit into RAM");
	switch (p->cfg->vm.protocol) {
	case PROTOCOL_LINUX:
		tell_linux(p, page);
		break;
	case PROTOCOL_PVH:
		tell_pvh(p, page);
		break;
	default:
		tell_multiboot(p, page);
	}
	return 0;
}

int arch_image_load(struct arch_vm *a, struct memslot_table *slots,
		    const struct vm_config *cfg, const struct elf_file *kernel,
		    int initrd_fd, struct arch_boot *boot, struct mote_err *err)
{
	struct plan p = {
		.cfg = cfg,
		.slots = slots,
		.initrd_max = UINT32_MAX,
		.cmdline_max = LAYOUT_CMDLINE_SIZE - 1,
	};
	int ret = plan_memory(&p, err);

	(void)a;
	if (ret == 0)
		ret = cfg->vm.protocol == PROTOCOL_LINUX
			      ? load_linux(&p, kernel, err)
		      : cfg->vm.protocol == PROTOCOL_PVH
			      ? load_pvh(&p, kernel, err)
			      : load_multiboot(&p, kernel, err);
	if (ret == 0)
		ret = put_cmdline(&p, err);
	if (ret == 0)
		ret = put_initrd(&p, initrd_fd, err);
	if (ret == 0)
		ret = put_acpi(&p, err);
	if (ret == 0)
		ret = put_reset(&p, err);
	if (ret == 0)
		ret = tell(&p, err);
	boot->entry = p.entry;
	boot->boot_page = LAYOUT_BOOT_PAGE;
	boot->protocol = cfg->vm.protocol;
	boot->wide = p.wide;
	return ret;
}
