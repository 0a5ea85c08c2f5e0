/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - Linux as a guest: its Image, the initrd and the device tree.
 *
 * Source: Linux Documentation/arm64/booting.rst.  Threads: the VM thread
 * before the first run.  Trust: images are hostile files.
 */
#include "arch/arm64/image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/tree.h"
#include "arch/common/elf.h"
#include "arch/common/initrd.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/guestmem.h"

/* Offsets in the header. */
enum {
	OFF_TEXT_OFFSET = 8,
	OFF_IMAGE_SIZE = 16,
	OFF_FLAGS = 24,
	OFF_MAGIC = 56,
};

#define FLAG_BIG_ENDIAN 1u
#define ROOM_MAX	(UINT64_C(1) << 40)

#define bad(err, ...) err_set_class(err, ENOEXEC, ERR_CLASS_DATA, __VA_ARGS__)

static uint64_t get(const uint8_t *head, unsigned int off)
{
	uint64_t v;

	memcpy(&v, head + off, sizeof(v));
	return v;
}

bool arm64_image_is(const uint8_t *head, size_t len)
{
	return len >= IMAGE_HEADER && !memcmp(head + OFF_MAGIC, "ARM\x64", 4);
}

int arm64_image_parse(const uint8_t *head, size_t len, uint64_t file_size,
		      struct arm64_image *out, struct mote_err *err)
{
	memset(out, 0, sizeof(*out));
	if (len < IMAGE_HEADER)
		return bad(err, "Image: %zu bytes, expected a header of %u",
			   len, IMAGE_HEADER);
	if (head[0] == 0x1f && head[1] == 0x8b)
		return bad(err, "Image: it is compressed: unpack it first "
				"(gzip -d)");
	if (!arm64_image_is(head, len))
		return bad(err, "Image header: no magic at 0x38");
	out->offset = get(head, OFF_TEXT_OFFSET);
	out->room = get(head, OFF_IMAGE_SIZE);
	if (get(head, OFF_FLAGS) & FLAG_BIG_ENDIAN)
		return bad(err, "Image flags: a big-endian kernel");
	if (out->offset >= IMAGE_ALIGN || out->offset % 4096)
		return bad(err,
			   "Image text_offset: 0x%" PRIx64
			   ", expected a multiple of 4K below 2M",
			   out->offset);
	if (out->room < file_size || out->room > ROOM_MAX)
		return bad(err,
			   "Image image_size: 0x%" PRIx64
			   ", expected at least the file's 0x%" PRIx64,
			   out->room, file_size);
	return 0;
}

static int read_head(int fd, uint64_t size, uint8_t *head, size_t *len,
		     struct mote_err *err)
{
	int ret;

	*len = num_min(size, IMAGE_HEADER);
	ret = fd_pread_full(fd, head, *len, 0);
	return ret < 0 ? err_set(err, -ret, "read: %s", strerror(-ret)) : 0;
}

int arch_image_open(struct elf_file *f, int fd, enum vm_protocol protocol,
		    struct mote_err *err)
{
	uint8_t head[IMAGE_HEADER];
	struct mote_err why = {0};
	int64_t size = fd_size(fd);
	size_t len = 0;

	(void)err;
	if ((protocol != PROTOCOL_AUTO && protocol != PROTOCOL_LINUX) ||
	    size < 0 || read_head(fd, (uint64_t)size, head, &len, &why) < 0 ||
	    (len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG)) ||
	    (protocol == PROTOCOL_AUTO && !arm64_image_is(head, len)))
		return -ENOEXEC;
	memset(f, 0, offsetof(struct elf_file, ph));
	f->fd = fd;
	f->size = (uint64_t)size;
	return 0;
}

int arch_image_protocol(const struct elf_file *f, enum vm_protocol *protocol,
			struct mote_err *err)
{
	(void)err;
	/* arch_image_open took nothing else. */
	if (f->eh.e_phnum > 0)
		return 0;
	*protocol = PROTOCOL_LINUX;
	return 1;
}

static int load_kernel(struct memslot_table *slots, const struct elf_file *f,
		       uint64_t *entry, uint64_t *end, struct mote_err *err)
{
	uint8_t head[IMAGE_HEADER];
	struct arm64_image img = {0};
	size_t len = 0;
	int ret;

	if (f->eh.e_phnum > 0)
		return bad(err, "protocol linux: an ELF file, expected an "
				"Image");
	ret = read_head(f->fd, f->size, head, &len, err);
	if (ret == 0)
		ret = arm64_image_parse(head, len, f->size, &img, err);
	if (ret < 0)
		return ret;
	*entry = LAYOUT_IMAGE_BASE + img.offset;
	*end = *entry + img.room;
	ret = guest_is_ram(slots, *entry, img.room)
		      ? guest_write_fd(slots, *entry, f->fd, 0, f->size)
		      : -EFAULT;
	if (ret == -EFAULT)
		return bad(err,
			   "the image: 0x%" PRIx64 " bytes at 0x%" PRIx64
			   " are outside the guest's memory",
			   img.room, *entry);
	return ret < 0 ? err_set(err, -ret, "read: %s", strerror(-ret)) : 0;
}

int arch_image_load(struct arch_vm *a, struct memslot_table *slots,
		    const struct vm_config *cfg, const struct elf_file *kernel,
		    int initrd_fd, struct arch_boot *boot, struct mote_err *err)
{
	struct tree t = {.linux_guest = true};
	uint64_t end = 0, size = 0;
	int ret = load_kernel(slots, kernel, &boot->entry, &end, err);

	if (ret == 0 && initrd_fd >= 0) {
		ret = initrd_load_high(slots, initrd_fd, end,
				       LAYOUT_RAM + cfg->vm.memory, &t.initrd,
				       &size, err);
		t.initrd_end = t.initrd + size;
	}
	if (ret == 0)
		ret = tree_put(a, slots, cfg, &t, err);
	boot->boot_page = LAYOUT_FDT;
	return ret;
}
