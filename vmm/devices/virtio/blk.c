/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk.c - a virtio block device on a file or a block device of the host.
 *
 * Data goes straight between guest RAM and the descriptor, in pieces of at
 * most 1 MiB.  A request that is stopped between two pieces (a pause, a reset)
 * is as if it had not begun, and done anew: reads and writes at a place can be.
 *
 * Without VIRTIO_BLK_F_FLUSH each write is on disk before it is done.  Threads:
 * the I/O thread, but for probe, save and load.  Trust: requests are the
 * guest's; the file is the user's.  Source: virtio 1.2, 5.2.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "config/config.h"
#include "devices/hostdev.h"
#include "devices/models.h"
#include "devices/virtio/bucket.h"
#include "devices/virtio/io.h"
#include "devices/virtio/virtio.h"
#include "memory/guestmem.h"
#include "snapshot/stream.h"

#define F_SEG_MAX      VIRTIO_BIT(2)
#define F_RO	       VIRTIO_BIT(5)
#define F_BLK_SIZE     VIRTIO_BIT(6)
#define F_FLUSH	       VIRTIO_BIT(9)
#define F_MQ	       VIRTIO_BIT(12)
#define F_DISCARD      VIRTIO_BIT(13)
#define F_WRITE_ZEROES VIRTIO_BIT(14)

enum type {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,
};

enum result {
	S_OK = 0,
	S_IOERR = 1,
	S_UNSUPP = 2,
	S_STOPPED = 256, /* of ours: not finished */
};

#define SECTOR	     512u
#define HEADER	     16u
#define ID_LEN	     20u
#define PIECE	     (1u << 20)
#define SEGMENTS     64u
#define ZERO_SECTORS (PIECE / SECTOR * 64) /* of one segment, 64 MiB */
#define FLAG_UNMAP   1u
#define SEG_MAX	     (VQ_SIZE_MAX - 2)

/* Configuration space. */
enum config {
	C_CAPACITY = 0,
	C_SEG_MAX = 12,
	C_BLK_SIZE = 20,
	C_QUEUES = 34,
	C_DISCARD_SECTORS = 36,
	C_DISCARD_SEGMENTS = 40,
	C_DISCARD_ALIGN = 44,
	C_ZERO_SECTORS = 48,
	C_ZERO_SEGMENTS = 52,
	C_ZERO_MAY_UNMAP = 56,
	C_LEN = 60,
};

struct blk {
	uint64_t capacity; /* sectors */
	bool readonly;
	struct bucket bytes, ops;
	char id[ID_LEN];
};

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct segment {
	uint64_t sector;
	uint32_t count, flags;
};

/* --- requests ---------------------------------------------------------------
 */

static bool on_disk(const struct blk *b, uint64_t sector, uint64_t len)
{
	return len % SECTOR == 0 &&
	       num_within(sector, len / SECTOR, b->capacity);
}

/*
 * A page that a pager has to bring may turn out to be lost: then it reads as
 * zeros, and those must not go to the disk.
 */
static bool is_there(const struct virtio *v, const struct iovec *iov, int n)
{
	if (virtio_io_paged(v->io))
		for (int i = 0; i < n; i++) {
			const volatile char *at = iov[i].iov_base;

			for (size_t k = 0; k < iov[i].iov_len; k += 4096)
				(void)at[k];
			if (iov[i].iov_len)
				(void)at[iov[i].iov_len - 1];
		}
	return !virtio_io_lost(v->io);
}

/* Some bytes of it; 0 at the end of the file, or -1. */
static ssize_t transfer(struct virtio *v, bool write, const struct iovec *iov,
			int n, uint64_t off)
{
	ssize_t got;

	do {
		if (!write)
			got = preadv(v->host_fd, iov, n, (off_t)off);
		else if (v->accepted & F_FLUSH)
			got = pwritev(v->host_fd, iov, n, (off_t)off);
		else
			got = pwritev2(v->host_fd, iov, n, (off_t)off,
				       RWF_DSYNC);
	} while (got < 0 && errno == EINTR);
	return got;
}

/* A read or a write; skip: bytes of the chain's part ahead of the data. */
static enum result do_io(struct virtio *v, const struct vq_chain *c, bool write,
			 uint32_t skip, uint32_t len, uint64_t sector)
{
	struct iovec *iov = virtio_scratch(v)->iov;
	uint32_t done = 0;

	if (!on_disk(v->priv, sector, len))
		return S_IOERR;
	while (done < len) {
		uint32_t piece = (uint32_t)num_min(len - done, PIECE);
		ssize_t got;
		int n;

		if (done && virtio_hurry(v))
			return S_STOPPED;
		n = vq_map(v->slots, c, !write, skip + done, piece, iov);
		if (n < 0 || !is_there(v, iov, n))
			return S_IOERR;
		got = transfer(v, write, iov, n, sector * SECTOR + done);
		if (!write && got > 0)
			vq_wrote(v->slots, c, skip + done, (uint32_t)got);
		if (got <= 0)
			return S_IOERR;
		done += (uint32_t)got;
	}
	return S_OK;
}

/* Zeros by hand, where the file can't make holes. */
static enum result write_zeros(struct virtio *v, uint64_t off, uint64_t len)
{
	struct virtio_scratch *s = virtio_scratch(v);

	memset(s->bytes, 0, sizeof(s->bytes));
	while (len > 0) {
		const struct iovec iov = {
			.iov_base = s->bytes,
			.iov_len = num_min(len, sizeof(s->bytes))};
		ssize_t got;

		if (virtio_hurry(v))
			return S_STOPPED;
		got = transfer(v, true, &iov, 1, off);
		if (got <= 0)
			return S_IOERR;
		off += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return S_OK;
}

static enum result do_segment(struct virtio *v, uint32_t type,
			      const struct segment *seg)
{
	uint64_t off = seg->sector * SECTOR,
		 len = (uint64_t)seg->count * SECTOR;
	bool hole = type == T_DISCARD || seg->flags & FLAG_UNMAP;
	int mode = hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, ret;

	if (len == 0)
		return S_OK;
	do
		ret = fallocate(v->host_fd, mode | FALLOC_FL_KEEP_SIZE,
				(off_t)off, (off_t)len);
	while (ret < 0 && errno == EINTR);
	if (ret < 0 && errno != EOPNOTSUPP)
		return S_IOERR;
	if (ret < 0)
		return type == T_DISCARD ? S_OK : write_zeros(v, off, len);
	if (!(v->accepted & F_FLUSH) && fdatasync(v->host_fd) < 0)
		return S_IOERR;
	return S_OK;
}

static enum result check_segment(const struct blk *b, uint32_t type,
				 const struct segment *seg)
{
	uint32_t known = type == T_WRITE_ZEROES ? FLAG_UNMAP : 0;

	if (seg->flags & ~known)
		return S_UNSUPP;
	if (seg->count > ZERO_SECTORS ||
	    !num_within(seg->sector, seg->count, b->capacity))
		return S_IOERR;
	return S_OK;
}

/* Discard and write-zeroes: all segments are looked at before the first. */
static enum result do_segments(struct virtio *v, const struct vq_chain *c,
			       uint32_t type)
{
	struct segment seg[SEGMENTS];
	uint32_t len = c->read_len - HEADER, n = len / sizeof(seg[0]);
	enum result ret = S_OK;

	if (len % sizeof(seg[0]) || n == 0 || n > SEGMENTS ||
	    vq_copy_from(v->slots, c, HEADER, seg, len) != len)
		return S_IOERR;
	for (uint32_t i = 0; ret == S_OK && i < n; i++)
		ret = check_segment(v->priv, type, &seg[i]);
	for (uint32_t i = 0; ret == S_OK && i < n; i++)
		ret = do_segment(v, type, &seg[i]);
	return ret;
}

static enum result get_id(struct virtio *v, const struct vq_chain *c,
			  uint32_t *len)
{
	const struct blk *b = v->priv;

	*len = (uint32_t)num_min(*len, ID_LEN);
	return vq_copy_to(v->slots, c, 0, b->id, *len) == *len ? S_OK : S_IOERR;
}

static enum result do_flush(struct virtio *v)
{
	int ret;

	do
		ret = fdatasync(v->host_fd);
	while (ret < 0 && errno == EINTR);
	return ret == 0 ? S_OK : S_IOERR;
}

/* *len: room for data, then how much was written. */
static enum result dispatch(struct virtio *v, const struct vq_chain *c,
			    const struct header *h, uint32_t *len)
{
	const struct blk *b = v->priv;
	uint32_t room = *len;

	*len = 0;
	switch (h->type) {
	case T_IN:
		*len = room;
		return do_io(v, c, false, 0, room, h->sector);
	case T_OUT:
		if (b->readonly)
			return S_IOERR;
		return do_io(v, c, true, HEADER, c->read_len - HEADER,
			     h->sector);
	case T_FLUSH:
		return v->accepted & F_FLUSH ? do_flush(v) : S_UNSUPP;
	case T_GET_ID:
		*len = room;
		return get_id(v, c, len);
	case T_DISCARD:
	case T_WRITE_ZEROES:
		if (!(v->accepted &
		      (h->type == T_DISCARD ? F_DISCARD : F_WRITE_ZEROES)))
			return S_UNSUPP;
		return b->readonly ? S_IOERR : do_segments(v, c, h->type);
	default:
		return S_UNSUPP;
	}
}

/* 0, or when there are tokens for that request. */
static uint64_t limited(struct blk *b, uint64_t bytes)
{
	uint64_t now, at, at_ops;

	if (!b->bytes.rate && !b->ops.rate)
		return 0;
	now = virtio_now();
	at = bucket_ready(&b->bytes, bytes, now);
	at_ops = bucket_ready(&b->ops, 1, now);
	return at > at_ops ? at : at_ops;
}

static enum virtio_done serve(struct virtio *v, const struct vq_chain *c,
			      uint32_t *len)
{
	struct blk *b = v->priv;
	uint32_t room = c->write_len - 1, bytes;
	enum result result;
	struct header h;
	uint8_t status;

	if (c->write_len < 1 || c->read_len < HEADER ||
	    vq_copy_from(v->slots, c, 0, &h, HEADER) != HEADER)
		return VIRTIO_BAD;
	bytes = h.type == T_OUT ? c->read_len - HEADER : room;
	v->again_at = limited(b, bytes);
	if (v->again_at)
		return VIRTIO_LATER;
	result = dispatch(v, c, &h, &room);
	if (result == S_STOPPED)
		return VIRTIO_HURRY;
	bucket_take(&b->bytes, bytes);
	bucket_take(&b->ops, 1);
	status = (uint8_t)result;
	if (vq_copy_to(v->slots, c, c->write_len - 1, &status, 1) != 1)
		return VIRTIO_BAD;
	/* Bytes from the first on: the status is the last one. */
	*len = result == S_OK && room == c->write_len - 1 ? c->write_len
	       : c->write_len == 1			  ? 1
							  : room;
	return VIRTIO_DONE;
}

static bool run(struct virtio *v)
{
	uint64_t again_at = 0;
	bool more = false;

	for (uint16_t i = 0; i < v->queues && v->active; i++) {
		more |= virtio_pass(v, &v->vq[i], serve);
		if (v->again_at)
			again_at = v->again_at;
		v->again_at = 0;
	}
	v->again_at = again_at;
	return more && v->active;
}

/* --- life -------------------------------------------------------------------
 */

static void put(struct virtio *v, enum config at, uint64_t val, size_t len)
{
	for (size_t i = 0; i < len; i++)
		v->config[(size_t)at + i] = (uint8_t)(val >> 8 * i);
}

static void fill_config(struct virtio *v, uint32_t sector_size)
{
	const struct blk *b = v->priv;

	put(v, C_CAPACITY, b->capacity, 8);
	put(v, C_SEG_MAX, SEG_MAX, 4);
	put(v, C_BLK_SIZE, sector_size, 4);
	put(v, C_QUEUES, v->queues, 2);
	if (b->readonly)
		return;
	put(v, C_DISCARD_SECTORS, ZERO_SECTORS, 4);
	put(v, C_DISCARD_SEGMENTS, SEGMENTS, 4);
	put(v, C_DISCARD_ALIGN, sector_size / SECTOR, 4);
	put(v, C_ZERO_SECTORS, ZERO_SECTORS, 4);
	put(v, C_ZERO_SEGMENTS, SEGMENTS, 4);
	put(v, C_ZERO_MAY_UNMAP, 1, 1);
}

/* What the guest knows of the disk stays true. */
static int blk_load(struct virtio *v, struct snap_section *s,
		    const uint8_t *config, struct mote_err *err)
{
	uint64_t was = 0, is = ((struct blk *)v->priv)->capacity;

	(void)s;
	for (int i = 0; i < 8; i++)
		was |= (uint64_t)config[C_CAPACITY + i] << 8 * i;
	if (was != is)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "%s: %" PRIu64 " sectors of %u bytes, the "
				     "snapshot's guest has seen %" PRIu64,
				     v->section, is, SECTOR, was);
	if (memcmp(config, v->config, C_LEN) != 0)
		return err_set_class(
			err, EINVAL, ERR_CLASS_DATA,
			"%s: readonly, queues or sector_size are "
			"not as the snapshot's guest has seen them",
			v->section);
	return 0;
}

static void blk_destroy(struct virtio *v)
{
	free(v->priv);
}

static const struct virtio_model model = {
	.id = 2,
	.config_len = C_LEN,
	.run = run,
	.load = blk_load,
	.destroy = blk_destroy,
};

static int check_size(const struct disk_config *d, int64_t size,
		      struct mote_err *err)
{
	if (size < 0)
		return err_set_class(err, (int)-size, ERR_CLASS_DATA,
				     "disk.%s: size: %s", d->name,
				     strerror((int)-size));
	if (size < d->sector_size || size % d->sector_size)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "disk.%s: %" PRId64 " bytes, expected a "
				     "multiple of its sector size, %u, and at "
				     "least one",
				     d->name, size, d->sector_size);
	return 0;
}

static int blk_probe(struct device *dev, const struct device_config *cfg,
		     struct mote_err *err)
{
	const struct disk_config *d = cfg->virtio->disk;
	int64_t size = hostdev_disk_size(cfg->virtio->fd);
	uint64_t features = F_SEG_MAX | F_BLK_SIZE;
	struct virtio *v;
	struct blk *b;
	int ret = check_size(d, size, err);

	if (ret < 0)
		return ret;
	if (d->readonly)
		features |= F_RO;
	else
		features |= F_DISCARD | F_WRITE_ZEROES;
	if (d->cache == DISK_WRITEBACK)
		features |= F_FLUSH;
	if (d->queues > 1)
		features |= F_MQ;
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(err, ENOMEM, "disk.%s", d->name);
	b->capacity = (uint64_t)size / SECTOR;
	b->readonly = d->readonly;
	memccpy(b->id, d->name, 0, sizeof(b->id));
	bucket_init(&b->bytes, d->rate_bytes, virtio_now());
	bucket_init(&b->ops, d->rate_ops, virtio_now());
	ret = virtio_init(dev, &model, features,
			  (uint16_t)(d->queues ? d->queues : 1), err);
	if (ret < 0) {
		free(b);
		return ret;
	}
	v = dev->priv;
	v->priv = b;
	fill_config(v, d->sector_size);
	return 0;
}

const struct device_ops virtio_blk_ops = VIRTIO_OPS("virtio-blk", 1, blk_probe);
