/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/common/hpt_codec.h"
#include "arch/ppc64le/hpt.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

/*
 * A read of 24 bytes or less always gives 0 and looks like the end of a
 * pass; so the buffer is large, and a pass has ended when there was room
 * for one more record.
 */
#define READ_SIZE (64u << 10)
#define READ_ROOM 24u
#define HOST_BIG  (__BYTE_ORDER == __BIG_ENDIAN)

#ifndef KVM_GET_HTAB_WRITE
#define KVM_GET_HTAB_WRITE 0x2
#endif

int hpt_allocate(int kvm_fd, int vm_fd, uint32_t *order, struct mote_err *err)
{
	const uint32_t asked = *order;
	int ret;

	/* Without it on a POWER9 hash host the table alone makes it one. */
	if (kvm_check_extension(vm_fd, KVM_CAP_PPC_MMU_HASH_V3)) {
		struct kvm_ppc_mmuv3_cfg cfg = {0};

		ret = kvm_call(vm_fd, KVM_PPC_CONFIGURE_V3_MMU, &cfg);
		if (ret < 0)
			return err_set(err, -ret,
				       "KVM_PPC_CONFIGURE_V3_MMU(hash): %s",
				       strerror(-ret));
	}
	(void)kvm_fd;
	/* The capability alone proves nothing (nested HV): try it. */
	ret = kvm_call(vm_fd, KVM_PPC_ALLOCATE_HTAB, order);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "KVM_PPC_ALLOCATE_HTAB of order %u: %s "
				     "(a guest of this host can have no hashed "
				     "page table: nested or not KVM-HV?)",
				     asked, strerror(-ret));
	if (*order != asked)
		return err_set_class(err, ENOMEM, ERR_CLASS_UNAVAILABLE,
				     "hashed page table: asked for order %u, "
				     "the host gave %u",
				     asked, *order);
	return 0;
}

static int open_htab(int vm_fd, bool writing, struct mote_err *err)
{
	struct kvm_get_htab_fd req = {
		.flags = writing ? KVM_GET_HTAB_WRITE : 0,
	};
	int fd = kvm_call(vm_fd, KVM_PPC_GET_HTAB_FD, &req);

	if (fd < 0)
		return err_set_class(err, -fd, ERR_CLASS_UNAVAILABLE,
				     "KVM_PPC_GET_HTAB_FD: %s", strerror(-fd));
	return fd;
}

/* One buffer of the kernel's records as records of a snapshot. */
static int put_records(struct snap_writer *w, const uint8_t *buf, size_t len,
		       uint64_t entries, uint64_t *next, struct mote_err *err)
{
	struct hpt_record rec;
	size_t pos = 0;
	int ret;

	while ((ret = hpt_record_next(buf, len, &pos, HOST_BIG, entries, next,
				      &rec, err)) > 0) {
		uint8_t head[HPT_HEADER_SIZE];

		hpt_header_put(head, &rec, false);
		snap_put_bytes(w, head, sizeof(head));
		for (uint32_t i = 0; i < rec.valid; i++) {
			uint8_t e[HPT_ENTRY_SIZE];

			memcpy(e, rec.entries + i * HPT_ENTRY_SIZE, sizeof(e));
			e[HPT_HVLOCK_BYTE] &= (uint8_t)~HPT_HVLOCK_BIT;
			snap_put_bytes(w, e, sizeof(e));
		}
	}
	return ret;
}

int hpt_save(int vm_fd, uint32_t order, struct snap_writer *w,
	     struct mote_err *err)
{
	cleanup_free uint8_t *buf = malloc(READ_SIZE);
	cleanup_fd int fd = -1;
	uint64_t next = 0;
	ssize_t n;

	if (!buf)
		return err_set(err, ENOMEM, "HPT buffer");
	fd = open_htab(vm_fd, false, err);
	if (fd < 0)
		return fd;
	snap_put_u32(w, order);
	do {
		int ret;

		do {
			n = read(fd, buf, READ_SIZE);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return err_set(err, errno, "read of the HPT: %s",
				       strerror(errno));
		ret = put_records(w, buf, (size_t)n, hpt_entries(order), &next,
				  err);
		if (ret < 0)
			return ret;
	} while ((size_t)n + READ_ROOM >= READ_SIZE);
	return 0;
}

/*
 * One record that holds valid entries a write: the kernel does not step
 * over a record's entries before it looks for the next header.  A short
 * count never gets better by trying again.
 */
static int write_record(int fd, const struct hpt_record *rec, uint8_t *buf,
			struct mote_err *err)
{
	size_t len = HPT_HEADER_SIZE + (size_t)rec->valid * HPT_ENTRY_SIZE;
	ssize_t n;

	hpt_header_put(buf, rec, HOST_BIG);
	memcpy(buf + HPT_HEADER_SIZE, rec->entries, len - HPT_HEADER_SIZE);
	do {
		n = write(fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(
			err, errno, "write of the HPT, index %u, %u valid: %s",
			rec->index, rec->valid,
			errno == EBUSY ? "a vCPU is running" : strerror(errno));
	if ((size_t)n != len)
		return err_set(err, EIO,
			       "write of the HPT, index %u: %zd of %zu bytes",
			       rec->index, n, len);
	return 0;
}

int hpt_load(int vm_fd, uint32_t order, struct snap_section *s,
	     struct mote_err *err)
{
	uint32_t saved = snap_get_u32(s);
	size_t len = snap_left(s), pos = 0;
	const uint8_t *stream = snap_get_raw(s, len);
	cleanup_free uint8_t *buf =
		malloc(HPT_HEADER_SIZE + UINT16_MAX * HPT_ENTRY_SIZE);
	uint64_t next = 0, valid;
	struct hpt_record rec;
	cleanup_fd int fd = -1;
	int ret;

	if (!buf)
		return err_set(err, ENOMEM, "HPT buffer");
	if (s->error)
		return -EBADMSG;
	if (saved != order)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "HPT of order %u, this VM's is %u", saved,
				     order);
	ret = hpt_stream_check(stream, len, hpt_entries(order), &valid, err);
	if (ret < 0)
		return ret;
	fd = open_htab(vm_fd, true, err);
	if (fd < 0)
		return fd;
	while ((ret = hpt_record_next(stream, len, &pos, false,
				      hpt_entries(order), &next, &rec, err)) >
	       0) {
		ret = write_record(fd, &rec, buf, err);
		if (ret < 0)
			return ret;
	}
	return ret;
}
