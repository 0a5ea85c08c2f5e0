/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "memory/memslot.h"
#include "memory/ring.h"

#define SECTION "ram"
#define VERSION 1

/* The memory file, and how much was written into it. */
struct ram_file {
	int fd;
	uint64_t written;
};

/* Write the pages of one chunk that are not zero, in runs. */
static int write_chunk(struct ram_file *f, const char *p, uint64_t off,
		       uint64_t len, size_t page, struct mote_err *err)
{
	uint64_t at = 0;

	while (at < len) {
		uint64_t end = at;
		int ret;

		while (end < len && !mem_is_zero(p + end, page))
			end += page;
		if (end == at) {
			at += page;
			continue;
		}
		ret = fd_pwrite_full(f->fd, p + at, end - at, off + at);
		if (ret < 0)
			return err_set_class(err, -ret, ERR_CLASS_IO,
					     "write of the memory file: %s",
					     strerror(-ret));
		f->written += end - at;
		at = end;
	}
	return 0;
}

static int save_slot(const struct memslot *s, struct ram_file *f, uint64_t off,
		     uint8_t *digests, struct mote_err *err)
{
	size_t page = host_page_size();

	for (uint64_t at = 0; at < s->ram.size; at += RAM_CHUNK) {
		uint64_t len = num_min(RAM_CHUNK, s->ram.size - at);
		const char *p = (const char *)s->ram.addr + at;
		struct snap_digest d = snap_digest(p, len);
		int ret = write_chunk(f, p, off + at, len, page, err);

		if (ret < 0)
			return ret;
		memcpy(digests, d.byte, sizeof(d.byte));
		digests += sizeof(d.byte);
	}
	return 0;
}

uint64_t ram_chunks(uint64_t size)
{
	return (size + RAM_CHUNK - 1) / RAM_CHUNK;
}

/* The last pages may be holes. */
static int set_size(int fd, uint64_t size, struct mote_err *err)
{
	if (ftruncate(fd, (off_t)size) == 0)
		return 0;
	return err_set_class(err, errno, ERR_CLASS_IO,
			     "size of the memory file: %s", strerror(errno));
}

static int save_all(const struct memslot_table *slots, struct ram_file *f,
		    uint8_t *digests, struct mote_err *err)
{
	uint64_t off = 0, chunk = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &slots->slot[i];
		int ret;

		if (!s->ram.addr)
			continue;
		ret = save_slot(s, f, off, digests + 16 * chunk, err);
		if (ret < 0)
			return ret;
		off += s->ram.size;
		chunk += ram_chunks(s->ram.size);
	}
	return set_size(f->fd, off, err);
}

void ram_put_regions(struct snap_writer *w, const struct memslot_table *slots)
{
	uint32_t regions = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++)
		regions += slots->slot[i].ram.addr != NULL;
	snap_put_u64(w, RAM_CHUNK);
	snap_put_u32(w, regions);
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &slots->slot[i];

		if (!s->ram.addr)
			continue;
		snap_put_u64(w, s->gpa);
		snap_put_u64(w, s->ram.size);
	}
}

struct snap_digest ram_put_digests(struct snap_writer *w,
				   const uint8_t *digests, size_t len)
{
	snap_put_u64(w, len / 16);
	snap_put_bytes(w, digests, len);
	return snap_digest(digests, len);
}

int ram_digest_file(int fd, uint64_t off, uint64_t size, struct snap_writer *w,
		    struct mote_err *err)
{
	cleanup_free uint8_t *buf = malloc(RAM_CHUNK);

	if (!buf)
		return err_set(err, ENOMEM, "digests of the memory");
	for (uint64_t at = 0; at < size; at += RAM_CHUNK) {
		uint64_t len = num_min(RAM_CHUNK, size - at);
		int ret = fd_pread_full(fd, buf, len, off + at);
		struct snap_digest d;

		if (ret < 0)
			return err_set_class(err, -ret, ERR_CLASS_IO,
					     "read of the memory file: %s",
					     strerror(-ret));
		d = snap_digest(buf, len);
		snap_put_bytes(w, d.byte, sizeof(d.byte));
	}
	return 0;
}

/* Zeroed, for every chunk. */
static uint8_t *new_digests(const struct memslot_table *slots, uint64_t *chunks)
{
	*chunks = 0;
	for (int i = 0; i < MEMSLOT_MAX; i++)
		*chunks += ram_chunks(slots->slot[i].ram.size);
	return calloc(*chunks, 16);
}

static void put_section(const struct memslot_table *slots,
			struct snap_writer *w, const uint8_t *digests,
			uint64_t chunks, struct snap_digest *digest)
{
	snap_section_begin(w, SECTION, 0, VERSION, SNAP_REQUIRED);
	ram_put_regions(w, slots);
	*digest = ram_put_digests(w, digests, chunks * 16);
	snap_section_end(w);
}

int ram_save(const struct memslot_table *slots, int fd, struct snap_writer *w,
	     struct snap_digest *digest, uint64_t *written,
	     struct mote_err *err)
{
	cleanup_free uint8_t *digests = NULL;
	struct ram_file f = {.fd = fd};
	uint64_t chunks = 0;
	int ret;

	digests = new_digests(slots, &chunks);
	if (!digests)
		return err_set(err, ENOMEM, "digests of the memory");
	ret = save_all(slots, &f, digests, err);
	*written = f.written;
	if (ret == 0)
		put_section(slots, w, digests, chunks, digest);
	return ret;
}

int ram_write_all(const struct memslot_table *slots, int fd, uint64_t *written,
		  struct mote_err *err)
{
	struct ram_file f = {.fd = fd};
	uint64_t off = 0;
	int ret = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct map *ram = &slots->slot[i].ram;

		for (uint64_t at = 0; ret == 0 && at < ram->size;
		     at += RAM_CHUNK) {
			ret = write_chunk(&f, (char *)ram->addr + at, off + at,
					  num_min(RAM_CHUNK, ram->size - at),
					  host_page_size(), err);
			if (ret == 0) /* or the guest would wait for us */
				ret = ring_collect(slots, err);
		}
		off += ram->size;
	}
	*written += f.written;
	return ret;
}

int ram_write_pages(const struct memslot_table *slots, const uint64_t *bits,
		    int fd, uint64_t *written, struct mote_err *err)
{
	uint64_t page = host_page_size(), total = memslot_total(slots) / page;
	uint64_t n;

	for (uint64_t i = 0; (i = bitmap_next(bits, i, total)) < total;
	     i += n) {
		uint64_t max;
		const void *from = memslot_page(slots, i, &max);
		int ret;

		for (n = 1; n < max && bitmap_test(bits, i + n);)
			n++;
		ret = fd_pwrite_full(fd, from, n * page, i * page);
		if (ret < 0)
			return err_set_class(err, -ret, ERR_CLASS_IO,
					     "write of the memory file: %s",
					     strerror(-ret));
		*written += n * page;
		ret = ring_collect(slots, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int ram_finish(const struct memslot_table *slots, int fd, struct snap_writer *w,
	       struct snap_digest *digest, struct mote_err *err)
{
	struct snap_writer digests = {0}; /* no header */
	uint64_t off = 0;
	int ret = set_size(fd, memslot_total(slots), err);

	for (int i = 0; ret == 0 && i < MEMSLOT_MAX; i++) {
		uint64_t size = slots->slot[i].ram.size;

		ret = ram_digest_file(fd, off, size, &digests, err);
		off += size;
	}
	if (ret == 0 && digests.error)
		ret = err_set(err, ENOMEM, "digests of the memory");
	if (ret == 0)
		put_section(slots, w, digests.buf, digests.len / 16, digest);
	snap_writer_fini(&digests);
	return ret;
}

int ram_describe(const struct memslot_table *slots, struct snap_writer *w,
		 struct snap_digest *digest, struct mote_err *err)
{
	uint64_t chunks = 0;
	cleanup_free uint8_t *digests = new_digests(slots, &chunks);

	if (!digests)
		return err_set(err, ENOMEM, "digests of the memory");
	put_section(slots, w, digests, chunks, digest);
	return 0;
}

static int bad(struct mote_err *err, const char *section, const char *what)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA, "section %s: %s",
			     section, what);
}

int ram_get_regions(struct ram_index *ri, struct snap_section *s,
		    const char *section, struct mote_err *err)
{
	memset(ri, 0, sizeof(*ri));
	if (snap_get_u64(s) != RAM_CHUNK)
		return bad(err, section, "chunk size is not 2 MiB");
	ri->regions = snap_get_u32(s);
	if (ri->regions == 0 || ri->regions > ARRAY_SIZE(ri->region))
		return bad(err, section, "bad number of regions");
	for (uint32_t i = 0; i < ri->regions; i++) {
		ri->region[i].gpa = snap_get_u64(s);
		ri->region[i].size = snap_get_u64(s);
		if (ri->region[i].size > (UINT64_C(1) << 50))
			return bad(err, section, "a region that is too large");
		ri->ram += ri->region[i].size;
	}
	return 0;
}

int ram_get_digests(struct ram_index *ri, struct snap_section *s,
		    uint64_t chunks, const char *section,
		    const struct snap_digest *digest, struct mote_err *err)
{
	struct snap_digest d;
	int ret;

	ri->chunks = snap_get_u64(s);
	if (!s->error && ri->chunks != chunks)
		return bad(err, section,
			   "number of digests does not fit the memory");
	ri->digests = snap_get_raw(s, ri->chunks * 16);
	ret = snap_section_close(s, err);
	if (ret < 0)
		return ret;
	d = snap_digest(ri->digests, ri->chunks * 16);
	if (memcmp(d.byte, digest->byte, sizeof(d.byte)) != 0)
		return bad(err, section,
			   "memory digests are not those that the manifest "
			   "names: parts of two snapshots?");
	return 0;
}

int ram_index_load(struct ram_index *ri, struct snap_reader *r,
		   const struct snap_digest *digest, struct mote_err *err)
{
	struct snap_section s;
	uint64_t want = 0;
	int ret = snap_section_open(r, SECTION, 0, &s, err);

	memset(ri, 0, sizeof(*ri));
	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret == 0)
		ret = ram_get_regions(ri, &s, SECTION, err);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < ri->regions; i++)
		want += ram_chunks(ri->region[i].size);
	ri->length = ri->ram;
	return ram_get_digests(ri, &s, want, SECTION, digest, err);
}

struct ram_chunk ram_chunk(const struct ram_index *ri, uint64_t i)
{
	const uint8_t *digest = ri->digests + 16 * i;
	uint64_t off = 0, size = ri->length;

	/* Each region has chunks of its own, a diff's pages are one piece. */
	for (uint32_t r = 0; !ri->packed && r < ri->regions; r++) {
		uint64_t n = ram_chunks(ri->region[r].size);

		size = ri->region[r].size;
		if (i < n)
			break;
		i -= n;
		off += size;
	}
	return (struct ram_chunk){
		.off = off + i * RAM_CHUNK,
		.len = num_min(RAM_CHUNK, size - i * RAM_CHUNK),
		.digest = digest,
	};
}

static int compare(const struct ram_chunk *c, const void *buf,
		   struct mote_err *err)
{
	struct snap_digest d = snap_digest(buf, c->len);

	if (!memcmp(d.byte, c->digest, sizeof(d.byte)))
		return 0;
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "memory: offset %" PRIu64 " to %" PRIu64
			     ": digest does not match",
			     c->off, c->off + c->len);
}

int ram_read_chunk(const struct ram_chunk *c, int fd, void *buf,
		   struct mote_err *err)
{
	int ret = fd_pread_full(fd, buf, c->len, c->off);

	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_IO,
				     "read of the memory file: offset %" PRIu64
				     ": %s",
				     c->off, strerror(-ret));
	return compare(c, buf, err);
}

int ram_verify(const struct ram_index *ri, int fd, struct mote_err *err)
{
	cleanup_free uint8_t *buf = malloc(RAM_CHUNK);
	int ret = buf ? 0 : err_set(err, ENOMEM, "verification buffer");

	for (uint64_t i = 0; ret == 0 && i < ri->chunks; i++) {
		struct ram_chunk c = ram_chunk(ri, i);

		ret = ram_read_chunk(&c, fd, buf, err);
	}
	return ret;
}

/* --- sealed copies ------------------------------------------------------- */

/* A copy under way; the digest of zeros is made when it is first wanted. */
struct seal {
	int from;
	struct ram_file to;
	uint8_t *buf;	/* RAM_CHUNK bytes */
	uint64_t zeros; /* bytes that zero_digest is of */
	struct snap_digest zero_digest;
};

/* Nothing of the chunk is on disk: there is nothing to be read. */
static bool is_hole(int fd, const struct ram_chunk *c)
{
	off_t data = lseek(fd, (off_t)c->off, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data >= c->off + c->len;
}

static int seal_hole(struct seal *s, const struct ram_chunk *c,
		     struct mote_err *err)
{
	if (s->zeros != c->len) {
		memset(s->buf, 0, c->len);
		s->zero_digest = snap_digest(s->buf, c->len);
		s->zeros = c->len;
	}
	if (!memcmp(s->zero_digest.byte, c->digest,
		    sizeof(s->zero_digest.byte)))
		return 0;
	memset(s->buf, 0, c->len);
	return compare(c, s->buf, err); /* says where */
}

static int seal_chunk(struct seal *s, const struct ram_chunk *c,
		      struct mote_err *err)
{
	int ret;

	if (is_hole(s->from, c))
		return seal_hole(s, c, err);
	ret = ram_read_chunk(c, s->from, s->buf, err);
	if (ret < 0)
		return ret;
	return write_chunk(&s->to, (const char *)s->buf, c->off, c->len,
			   host_page_size(), err);
}

int ram_seal(const struct ram_index *ri, int fd, struct mote_err *err)
{
	const int seals =
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	cleanup_fd int memfd =
		memfd_create("mote snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cleanup_free uint8_t *buf = malloc(RAM_CHUNK);
	struct seal s = {.from = fd, .to = {.fd = memfd}, .buf = buf};
	int ret = 0;

	if (memfd < 0)
		return err_set(err, errno, "memfd: %s", strerror(errno));
	if (!buf)
		return err_set(err, ENOMEM, "verification buffer");
	if (ftruncate(memfd, (off_t)ri->length) < 0)
		return err_set(err, errno, "memfd of %" PRIu64 " bytes: %s",
			       ri->length, strerror(errno));
	for (uint64_t i = 0; ret == 0 && i < ri->chunks; i++) {
		struct ram_chunk c = ram_chunk(ri, i);

		ret = seal_chunk(&s, &c, err);
	}
	if (ret == 0 && fcntl(memfd, F_ADD_SEALS, seals) < 0)
		ret = err_set(err, errno, "seals of a memfd: %s",
			      strerror(errno));
	return ret < 0 ? ret : fd_steal(&memfd);
}
