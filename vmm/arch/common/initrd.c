/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/initrd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "memory/guestmem.h"

#define ALIGN UINT64_C(4096)

int64_t initrd_size(int fd, struct mote_err *err)
{
	int64_t size = fd_size(fd);

	if (size > 0)
		return size;
	err_set_class(err, size < 0 ? (int)-size : ENODATA, ERR_CLASS_DATA,
		      "vm.initrd: %s",
		      size < 0 ? strerror((int)-size) : "it is empty");
	return -1;
}

int initrd_load(struct memslot_table *slots, int fd, uint64_t gpa,
		uint64_t size, struct mote_err *err)
{
	int ret = guest_write_fd(slots, gpa, fd, 0, size);

	if (ret == -EFAULT)
		return err_set_class(err, ENOMEM, ERR_CLASS_DATA,
				     "vm.initrd: %" PRIu64
				     " bytes at 0x%" PRIx64
				     " are outside the guest's memory",
				     size, gpa);
	if (ret < 0)
		return err_set(err, -ret, "vm.initrd: read: %s",
			       strerror(-ret));
	return 0;
}

int initrd_load_high(struct memslot_table *slots, int fd, uint64_t low,
		     uint64_t limit, uint64_t *gpa, uint64_t *size,
		     struct mote_err *err)
{
	int64_t len = initrd_size(fd, err);

	if (len < 0)
		return -ENODATA;
	*size = (uint64_t)len;
	*gpa = *size > limit ? 0 : (limit - *size) & ~(ALIGN - 1);
	if (*gpa < low)
		return err_set_class(err, ENOMEM, ERR_CLASS_DATA,
				     "vm.initrd: %" PRIu64
				     " bytes do not fit between the kernel's "
				     "end, 0x%" PRIx64 ", and 0x%" PRIx64,
				     *size, low, limit);
	return initrd_load(slots, fd, *gpa, *size, err);
}
