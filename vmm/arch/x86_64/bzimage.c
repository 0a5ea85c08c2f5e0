/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/bzimage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

/* Offsets in the file. */
enum {
	OFF_SETUP_SECTS = 0x1f1,
	OFF_SYSSIZE = 0x1f4,
	OFF_BOOT_FLAG = 0x1fe,
	OFF_JUMP = 0x201,
	OFF_MAGIC = 0x202,
	OFF_VERSION = 0x206,
	OFF_LOADFLAGS = 0x211,
	OFF_INITRD_MAX = 0x22c,
	OFF_ALIGN = 0x230,
	OFF_RELOCATABLE = 0x234,
	OFF_XLOADFLAGS = 0x236,
	OFF_CMDLINE_SIZE = 0x238,
	OFF_PREF_ADDRESS = 0x258,
	OFF_INIT_SIZE = 0x260,
	OFF_END = 0x264, /* of what protocol 2.12 has */
};

#define BOOT_FLAG     0xaa55
#define VERSION_MIN   0x20c
#define LOADED_HIGH   0x01
#define KERNEL_64     0x01
#define SECTOR	      512u
#define ALIGN_MIN     4096u
#define ALIGN_MAX     (UINT64_C(1) << 30)
#define LOAD_MIN      MIB
#define ADDRESS_LIMIT (UINT64_C(1) << 32)

static uint64_t get(const uint8_t *head, unsigned int off, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, head + off, len);
	return v;
}

#define bad(err, ...) err_set_class(err, ENOEXEC, ERR_CLASS_DATA, __VA_ARGS__)

bool bzimage_is(const uint8_t *head, size_t len)
{
	return len >= OFF_VERSION && !memcmp(head + OFF_MAGIC, "HdrS", 4);
}

static int check_kind(const uint8_t *head, size_t len, struct mote_err *err)
{
	uint64_t flag, version;

	if (len < OFF_END)
		return bad(err,
			   "bzImage: %zu bytes, expected a header up to "
			   "0x%x",
			   len, OFF_END);
	flag = get(head, OFF_BOOT_FLAG, 2);
	if (flag != BOOT_FLAG)
		return bad(err,
			   "bzImage boot_flag: 0x%" PRIx64 ", expected 0x%x",
			   flag, BOOT_FLAG);
	if (!bzimage_is(head, len))
		return bad(err, "bzImage header: its magic is not HdrS");
	version = get(head, OFF_VERSION, 2);
	if (version < VERSION_MIN)
		return bad(err,
			   "bzImage version: %" PRIu64 ".%02" PRIu64
			   ", expected 2.12 or later",
			   version >> 8, version & 0xff);
	if (!(head[OFF_LOADFLAGS] & LOADED_HIGH))
		return bad(err, "bzImage loadflags: not one that is loaded at "
				"1 MiB and above");
	return 0;
}

static int check_payload(const uint8_t *head, uint64_t file_size,
			 struct bzimage *z, struct mote_err *err)
{
	uint64_t sectors = head[OFF_SETUP_SECTS] ? head[OFF_SETUP_SECTS] : 4;

	z->header_size = OFF_MAGIC + (uint64_t)head[OFF_JUMP] - BZIMAGE_HEADER;
	if (z->header_size < OFF_END - BZIMAGE_HEADER ||
	    z->header_size > BZIMAGE_HEADER_MAX - BZIMAGE_HEADER)
		return bad(err,
			   "bzImage header: its end is 0x%" PRIx64
			   ", expected 0x%x to 0x%x",
			   z->header_size + BZIMAGE_HEADER, OFF_END,
			   BZIMAGE_HEADER_MAX);
	z->payload = (sectors + 1) * SECTOR;
	z->payload_size = get(head, OFF_SYSSIZE, 4) * 16;
	if (z->payload_size == 0)
		return bad(err, "bzImage syssize: 0");
	if (!num_within(z->payload, z->payload_size, file_size))
		return bad(err,
			   "bzImage syssize: 0x%" PRIx64
			   " bytes from 0x%" PRIx64
			   " on, the file has 0x%" PRIx64,
			   z->payload_size, z->payload, file_size);
	return 0;
}

static int check_place(const uint8_t *head, struct bzimage *z,
		       struct mote_err *err)
{
	uint64_t end;

	z->relocatable = head[OFF_RELOCATABLE];
	z->align = get(head, OFF_ALIGN, 4);
	z->prefer = get(head, OFF_PREF_ADDRESS, 8);
	z->room = get(head, OFF_INIT_SIZE, 4);
	if (z->align < ALIGN_MIN || z->align > ALIGN_MAX ||
	    (z->align & (z->align - 1)))
		return bad(err,
			   "bzImage kernel_alignment: 0x%" PRIx64
			   ", expected a power of two from 4K to 1G",
			   z->align);
	if (z->prefer < LOAD_MIN || z->prefer % ALIGN_MIN)
		return bad(err,
			   "bzImage pref_address: 0x%" PRIx64
			   ", expected a multiple of 4K from 1M on",
			   z->prefer);
	if (z->room < z->payload_size)
		return bad(err,
			   "bzImage init_size: 0x%" PRIx64
			   ", less than the 0x%" PRIx64 " bytes of its code",
			   z->room, z->payload_size);
	if (!num_add(z->prefer, z->room, &end) || end > ADDRESS_LIMIT)
		return bad(err,
			   "bzImage pref_address: 0x%" PRIx64
			   " and init_size 0x%" PRIx64 " end above 4G",
			   z->prefer, z->room);
	return 0;
}

int bzimage_parse(const uint8_t *head, size_t len, uint64_t file_size,
		  struct bzimage *out, struct mote_err *err)
{
	int ret = check_kind(head, len, err);

	memset(out, 0, sizeof(*out));
	if (ret == 0)
		ret = check_payload(head, file_size, out, err);
	if (ret == 0)
		ret = check_place(head, out, err);
	if (ret < 0)
		return ret;
	if (len < BZIMAGE_HEADER + out->header_size)
		return bad(err, "bzImage header: the file ends in it");
	out->initrd_max = get(head, OFF_INITRD_MAX, 4);
	out->cmdline_max = (uint32_t)get(head, OFF_CMDLINE_SIZE, 4);
	out->entry64 = get(head, OFF_XLOADFLAGS, 2) & KERNEL_64;
	return 0;
}
