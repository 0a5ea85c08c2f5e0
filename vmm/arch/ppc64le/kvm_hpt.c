/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/common/hpt_section.h"
#include "arch/ppc64le/hpt.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fdroom.h"
#include "base/num.h"
#include "base/timeline.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

/*
 * A read of 24 bytes or less always gives 0 and looks like the end of a
 * pass; so the buffer is large, and a pass has ended when there was room
 * for one more record.  Never "read until 0": of a guest that runs there is
 * always more.
 */
#define READ_SIZE (64u << 10)
#define READ_ROOM 24u
#define HOST_BIG  (__BYTE_ORDER == __BIG_ENDIAN)

#ifndef KVM_GET_HTAB_WRITE
#define KVM_GET_HTAB_WRITE 0x2
#endif

static int allocate(int vm_fd, uint32_t order, struct mote_err *err)
{
	uint32_t got = order;
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
	/* The capability alone proves nothing (nested HV): try it. */
	ret = kvm_call(vm_fd, KVM_PPC_ALLOCATE_HTAB, &got);
	if (ret == -EOPNOTSUPP)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "KVM_PPC_ALLOCATE_HTAB: %s: nested KVM-HV "
				     "has no hashed page tables: cpu.mmu = "
				     "radix, or a host that is not a guest",
				     strerror(-ret));
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "KVM_PPC_ALLOCATE_HTAB of order %u: %s",
				     order, strerror(-ret));
	if (got != order)
		return err_set_class(err, ENOMEM, ERR_CLASS_UNAVAILABLE,
				     "hashed page table: asked for order %u, "
				     "the host gave %u",
				     order, got);
	return 0;
}

int hpt_init(struct hpt *h, int vm_fd, uint32_t order, struct mote_err *err)
{
	*h = (struct hpt){.vm_fd = vm_fd, .order = order, .fd = -1};
	return allocate(vm_fd, order, err);
}

static void forget(struct hpt *h)
{
	if (h->buf) /* a machine that was never made is all zeros */
		fd_clear(&h->fd);
	free(h->buf);
	h->buf = NULL;
	h->within = h->known = false;
	hpt_stream_fini(&h->pass);
	hpt_stream_fini(&h->now);
}

void hpt_fini(struct hpt *h)
{
	forget(h);
	hpt_stream_fini(&h->kept);
	hpt_stream_fini(&h->saved);
	*h = (struct hpt){.vm_fd = -1, .fd = -1};
}

static int has_table(const struct hpt *h, struct mote_err *err)
{
	return h->vm_fd >= 0
		       ? 0
		       : err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				       "cpu.mmu: radix: such a guest has no "
				       "hashed page table");
}

static int open_htab(int vm_fd, bool writing, struct mote_err *err)
{
	struct kvm_get_htab_fd req = {
		.flags = writing ? KVM_GET_HTAB_WRITE : 0,
	};
	int fd;

	fd_room_open(1); /* maybe behind a jail */
	fd = kvm_call(vm_fd, KVM_PPC_GET_HTAB_FD, &req);
	fd_room_shut();
	if (fd < 0)
		return err_set_class(err, -fd, ERR_CLASS_UNAVAILABLE,
				     "KVM_PPC_GET_HTAB_FD: %s", strerror(-fd));
	return fd;
}

/* --- passes ----------------------------------------------------------------
 */

/*
 * The pages between p and end, READ_SIZE bytes at most, in one call: a fault
 * for each of 4 KiB costs as much as reading it.
 */
static void touch_ahead(const uint8_t *p, const uint8_t *end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)p + page - 1) & -page;
	uintptr_t to = (uintptr_t)end & -page;

	if (from < to)
		madvise((void *)from, num_min(to - from, READ_SIZE),
			MADV_POPULATE_WRITE);
}

static int open_reader(struct hpt *h, struct mote_err *err)
{
	uint8_t *buf;

	if (h->buf)
		return 0;
	buf = malloc(READ_SIZE);
	if (!buf)
		return err_set(err, ENOMEM, "HPT buffer");
	h->fd = open_htab(h->vm_fd, false, err);
	if (h->fd < 0) {
		free(buf);
		return h->fd;
	}
	h->buf = buf;
	return 0;
}

/* 1: the table's end was reached. */
static int read_piece(struct hpt *h, struct mote_err *err)
{
	uint64_t began = timeline_now(), took;
	ssize_t n;
	int ret;

	if (!h->known)
		touch_ahead(h->pass.buf + h->pass.len,
			    h->pass.buf + h->pass.cap);
	do {
		n = read(h->fd, h->buf, READ_SIZE);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, errno, "read of the HPT: %s",
			       strerror(errno));
	ret = hpt_stream_add(&h->pass, h->buf, (size_t)n, HOST_BIG,
			     hpt_entries(h->order), &h->next, err);
	took = timeline_now() - began;
	h->pass_ns += took;
	if (took > h->piece_ns_max)
		h->piece_ns_max = took;
	if (ret < 0)
		return ret;
	return (size_t)n + READ_ROOM < READ_SIZE;
}

static void begin_pass(struct hpt *h)
{
	hpt_stream_clear(&h->pass);
	h->next = 0;
	h->pass_ns = 0;
	h->within = true;
	/* The whole table comes: what is not used of it costs nothing. */
	if (!h->known)
		hpt_stream_reserve(&h->pass, UINT64_C(1) << h->order);
}

static void swap(struct hpt_stream *a, struct hpt_stream *b)
{
	struct hpt_stream t = *a;

	*a = *b;
	*b = t;
}

/* What the pass told goes into what is known. */
static int end_pass(struct hpt *h, struct mote_err *err)
{
	struct hpt_stream sum = {0};
	int ret = 0;

	h->within = false;
	h->passes++;
	if (!h->known) {
		swap(&h->now, &h->pass);
		h->known = true;
		return 0;
	}
	if (h->pass.len == 0)
		return 0;
	ret = hpt_stream_merge(&sum, hpt_view(&h->now), hpt_view(&h->pass),
			       hpt_entries(h->order), err);
	swap(&h->now, &sum);
	hpt_stream_fini(&sum);
	return ret;
}

static int go_on(struct hpt *h, uint64_t budget_ns, struct mote_err *err)
{
	uint64_t began = timeline_now();
	int ret = open_reader(h, err);

	if (ret < 0)
		return ret;
	if (!h->within)
		begin_pass(h);
	do {
		ret = read_piece(h, err);
		if (ret < 0)
			return ret;
		if (ret > 0)
			return end_pass(h, err) < 0 ? -ENOMEM : 1;
	} while (!budget_ns || timeline_now() - began < budget_ns);
	return 0;
}

int hpt_pass(struct hpt *h, uint64_t budget_ns, struct mote_err *err)
{
	int ret = has_table(h, err);

	if (ret < 0)
		return ret;
	ret = go_on(h, budget_ns, err);
	if (ret < 0)
		forget(h);
	return ret;
}

/*
 * What a pass that had begun earlier has told already may have changed since:
 * it takes one more from the start.
 */
int hpt_settle(struct hpt *h, struct mote_err *err)
{
	bool stale = h->within;
	int ret = hpt_pass(h, 0, err);

	if (ret > 0 && stale)
		ret = hpt_pass(h, 0, err);
	return ret < 0 ? ret : 0;
}

/* --- snapshots ---------------------------------------------------------------
 */

int hpt_save(struct hpt *h, bool diff, struct snap_writer *w,
	     struct mote_err *err)
{
	struct hpt_stream changes = {0};
	int ret = hpt_settle(h, err);

	if (ret == 0)
		ret = hpt_stream_copy(&h->saved, hpt_view(&h->now), err);
	if (ret < 0)
		return ret;
	h->has_saved = true;
	if (!diff || !h->has_kept) {
		hpt_section_write(w, h->order, HPT_WHOLE, hpt_view(&h->now));
		return 0;
	}
	ret = hpt_stream_difference(&changes, hpt_view(&h->kept),
				    hpt_view(&h->now), hpt_entries(h->order),
				    err);
	if (ret == 0)
		hpt_section_write(w, h->order, HPT_CHANGES, hpt_view(&changes));
	hpt_stream_fini(&changes);
	return ret;
}

void hpt_saved(struct hpt *h, bool kept)
{
	if (kept && h->has_saved) {
		swap(&h->kept, &h->saved);
		h->has_kept = true;
	}
	hpt_stream_fini(&h->saved);
	h->has_saved = false;
}

/* --- writing
 * ------------------------------------------------------------------ */

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

/* empty: nobody has written to the table yet. */
static int write_all(const struct hpt *h, struct hpt_view v, bool empty,
		     struct mote_err *err)
{
	cleanup_free uint8_t *buf =
		malloc(HPT_HEADER_SIZE + HPT_RUN_MAX * HPT_ENTRY_SIZE);
	uint64_t entries = hpt_entries(h->order), next = 0;
	struct hpt_record rec;
	cleanup_fd int fd = -1;
	size_t pos = 0;
	int ret;

	if (!buf)
		return err_set(err, ENOMEM, "HPT buffer");
	touch_ahead(buf, buf + READ_SIZE);
	fd = open_htab(h->vm_fd, true, err);
	if (fd < 0)
		return fd;
	while ((ret = hpt_record_next(v.buf, v.len, &pos, false, entries, &next,
				      &rec, err)) > 0) {
		if (empty && rec.valid == 0)
			continue;
		if (empty)
			rec.invalid = 0;
		ret = write_record(fd, &rec, buf, err);
		if (ret < 0)
			return ret;
	}
	return ret;
}

static int put_table(struct hpt *h, struct hpt_view v, struct mote_err *err)
{
	struct hpt_stream changes = {0};
	int ret;

	if (!h->used)
		return write_all(h, v, true, err);
	ret = hpt_settle(h, err);
	if (ret == 0)
		ret = hpt_stream_difference(&changes, hpt_view(&h->now), v,
					    hpt_entries(h->order), err);
	if (ret == 0)
		ret = write_all(h, hpt_view(&changes), false, err);
	hpt_stream_fini(&changes);
	return ret;
}

int hpt_load(struct hpt *h, struct snap_section *s, struct mote_err *err)
{
	struct hpt_section table;
	int ret = has_table(h, err);

	if (ret == 0)
		ret = hpt_section_read(s, &table, err);
	if (ret < 0)
		return ret;
	if (table.kind != HPT_WHOLE)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section " HPT_SECTION ": changes "
				     "without their parent's table");
	if (table.order != h->order)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "HPT of order %u, this VM's is %u",
				     table.order, h->order);
	ret = put_table(h, table.stream, err);
	h->used = true;
	if (ret < 0)
		return ret;
	/* What a diff will be to. */
	ret = hpt_stream_copy(&h->kept, table.stream, err);
	h->has_kept = ret == 0;
	return ret;
}
