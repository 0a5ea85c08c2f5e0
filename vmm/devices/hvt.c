/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/hvt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/trigger.h"
#include "devices/chardev.h"
#include "devices/device.h"
#include "devices/models.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"
#include "snapshot/stream.h"

#define NS_PER_S     UINT64_C(1000000000)
#define PUTS_CHUNK   512
#define PUTS_WAIT_NS (5 * 1000000) /* between two looks for room */

/* A call that goes on in hvt_wait. */
struct pending {
	uint32_t call;	  /* HVT_POLL, HVT_PUTS, HVT_HALT or 0 */
	uint64_t gpa;	  /* poll: where the answer goes; halt: the call */
	uint64_t left_ns; /* poll: not yet waited */
	uint64_t data, len;
};

struct hvt {
	struct solo5_mft mft;
	int fd[SOLO5_MFT_MAX]; /* by index in the manifest; -1: none */
	int kick_fd;
	struct pollfd poll[SOLO5_MFT_MAX]; /* the kick first, then networks */
	uint8_t poll_index[SOLO5_MFT_MAX];
	int polls;
	struct pending pending;
	uint64_t since_ns; /* when left_ns was right; 0: it is */
	bool ready;	   /* the first wait was reported */
	bool restored;	   /* the guest has seen the manifest */
	uint64_t cookie;
	struct mote_err err;
};

static const char *const call_name[HVT_CALLS] = {
	[HVT_WALLTIME] = "walltime",
	[HVT_PUTS] = "puts",
	[HVT_POLL] = "poll",
	[HVT_BLOCK_WRITE] = "block_write",
	[HVT_BLOCK_READ] = "block_read",
	[HVT_NET_WRITE] = "net_write",
	[HVT_NET_READ] = "net_read",
	[HVT_HALT] = "halt",
};

/* --- life ------------------------------------------------------------------
 */

static int hvt_probe(struct device *dev, const struct device_config *cfg,
		     struct mote_err *err)
{
	struct hvt *h = calloc(1, sizeof(*h));

	(void)cfg;
	if (!h)
		return err_set(err, ENOMEM, "hypercalls");
	for (int i = 0; i < SOLO5_MFT_MAX; i++)
		h->fd[i] = -1;
	h->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->kick_fd < 0) {
		int ret = err_set(err, errno, "eventfd: %s", strerror(errno));

		free(h);
		return ret;
	}
	dev->priv = h;
	return 0;
}

static void hvt_destroy(struct device *dev)
{
	struct hvt *h = dev->priv;

	for (int i = 0; i < SOLO5_MFT_MAX; i++)
		fd_clear(&h->fd[i]);
	fd_clear(&h->kick_fd);
	free(h);
}

void hvt_set_manifest(struct device *dev, const struct solo5_mft *mft)
{
	struct hvt *h = dev->priv;

	h->mft = *mft;
}

const struct solo5_mft *hvt_manifest(const struct device *dev)
{
	const struct hvt *h = dev->priv;

	return &h->mft;
}

static int take_fd(struct hvt *h, uint32_t index, int fd, struct mote_err *err)
{
	h->fd[index] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (h->fd[index] < 0)
		return err_set(err, errno, "%s: dup: %s", h->mft.e[index].name,
			       strerror(errno));
	h->mft.e[index].attached = 1;
	return 0;
}

int hvt_attach_block(struct device *dev, uint32_t index, int fd,
		     uint64_t capacity, uint16_t sector_size,
		     struct mote_err *err)
{
	struct hvt *h = dev->priv;
	struct solo5_mft_entry *e = &h->mft.e[index];

	if (capacity < sector_size || capacity % sector_size)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "disk.%s: %" PRIu64 " bytes, expected a "
				     "multiple of its sector size, %u, and at "
				     "least one",
				     e->name, capacity, sector_size);
	if (h->restored && (capacity != e->u.block.capacity ||
			    sector_size != e->u.block.block_size))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "disk.%s: %" PRIu64 " bytes in sectors of "
				     "%u, the snapshot's guest has seen "
				     "%" PRIu64 " in sectors of %u",
				     e->name, capacity, sector_size,
				     e->u.block.capacity,
				     e->u.block.block_size);
	e->u.block.capacity = capacity;
	e->u.block.block_size = sector_size;
	return take_fd(h, index, fd, err);
}

int hvt_attach_net(struct device *dev, uint32_t index, int fd,
		   const uint8_t mac[6], uint16_t mtu, struct mote_err *err)
{
	struct hvt *h = dev->priv;
	struct solo5_mft_entry *e = &h->mft.e[index];

	/* A guest that was restored can't read a new address. */
	if (!h->restored) {
		memcpy(e->u.net.mac, mac, sizeof(e->u.net.mac));
		e->u.net.mtu = mtu;
	}
	return take_fd(h, index, fd, err);
}

int hvt_seal(struct device *dev, int *base, struct mote_err *err)
{
	struct hvt *h = dev->priv;
	int *slot[SOLO5_MFT_MAX + 1], n = 0, ret;

	slot[n++] = &h->kick_fd;
	for (int i = 0; i < SOLO5_MFT_MAX; i++)
		if (h->fd[i] >= 0)
			slot[n++] = &h->fd[i];
	ret = fd_gather(slot, n, base, err);
	if (ret < 0)
		return ret;
	h->polls = 0;
	h->poll[h->polls++] =
		(struct pollfd){.fd = h->kick_fd, .events = POLLIN};
	for (uint32_t i = 1; i < h->mft.entries; i++) {
		if (h->mft.e[i].type != SOLO5_NET || h->fd[i] < 0)
			continue;
		h->poll_index[h->polls] = (uint8_t)i;
		h->poll[h->polls++] =
			(struct pollfd){.fd = h->fd[i], .events = POLLIN};
	}
	return 0;
}

int hvt_kick_fd(const struct device *dev)
{
	const struct hvt *h = dev->priv;

	return h->kick_fd;
}

bool hvt_error(const struct device *dev, struct mote_err *err)
{
	const struct hvt *h = dev->priv;

	if (h->err.code && err)
		*err = h->err;
	return h->err.code != 0;
}

uint64_t hvt_cookie(const struct device *dev)
{
	const struct hvt *h = dev->priv;

	return h->cookie;
}

/* --- calls -----------------------------------------------------------------
 */

/* The guest can't go on; the first reason counts. */
#define end_guest(dev, ...)                                                    \
	do {                                                                   \
		struct hvt *h_ = (dev)->priv;                                  \
		if (!h_->err.code)                                             \
			err_set_class(&h_->err, EIO, ERR_CLASS_GUEST,          \
				      __VA_ARGS__);                            \
		event_end((dev)->cfg.events, EVENT_CRASH, 0);                  \
	} while (0)

static void bad_address(struct device *dev, uint32_t call, uint64_t gpa,
			uint64_t len)
{
	end_guest(dev,
		  "hypercall %s: invalid guest access: gpa=0x%" PRIx64
		  ", sz=%" PRIu64,
		  call_name[call], gpa, len);
}

static bool get(struct device *dev, uint32_t call, uint64_t gpa, void *buf,
		size_t len)
{
	if (guest_read(dev->cfg.slots, gpa, buf, len) == 0)
		return true;
	bad_address(dev, call, gpa, len);
	return false;
}

static void put(struct device *dev, uint32_t call, uint64_t gpa,
		const void *buf, size_t len)
{
	if (guest_write(dev->cfg.slots, gpa, buf, len) < 0)
		bad_address(dev, call, gpa, len);
}

/* The descriptor behind a handle of that type, or -1. */
static int handle_fd(const struct hvt *h, uint64_t handle, uint32_t type)
{
	if (handle >= h->mft.entries || h->mft.e[handle].type != type)
		return -1;
	return h->fd[handle];
}

static void do_walltime(struct device *dev, uint64_t gpa)
{
	struct hvt_walltime c;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	c.nsecs = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	put(dev, HVT_WALLTIME, gpa, &c, sizeof(c));
}

/* Some more of a pending output; true: all of it is in the ring. */
static bool puts_some(struct device *dev)
{
	struct hvt *h = dev->priv;
	struct pending *p = &h->pending;
	bool bad = !guest_is_ram(dev->cfg.slots, p->data, p->len);
	char text[PUTS_CHUNK];

	while (p->len > 0 || bad) {
		size_t n, len = (size_t)num_min(p->len, sizeof(text));

		/* A copy: reading guest RAM may fail, and a ring has a lock. */
		if (bad || guest_read(dev->cfg.slots, p->data, text, len) < 0) {
			bad_address(dev, HVT_PUTS, p->data, p->len);
			p->call = 0;
			return true;
		}
		n = chardev_write(dev->cfg.console, text, len);
		p->data += n;
		p->len -= n;
		if (n < len)
			break;
	}
	if (p->len == 0)
		p->call = 0;
	return p->len == 0;
}

static void do_puts(struct device *dev, uint64_t gpa)
{
	struct hvt *h = dev->priv;
	struct hvt_puts c = {0};

	if (!get(dev, HVT_PUTS, gpa, &c, sizeof(c)))
		return;
	h->pending = (struct pending){
		.call = HVT_PUTS, .data = c.data, .len = c.len};
	puts_some(dev);
}

static void do_poll(struct device *dev, uint64_t gpa)
{
	struct hvt *h = dev->priv;
	struct hvt_poll c = {0};

	if (!get(dev, HVT_POLL, gpa, &c, sizeof(c)))
		return;
	h->pending = (struct pending){
		.call = HVT_POLL, .gpa = gpa, .left_ns = c.timeout_nsecs};
	h->since_ns = 0;
}

/* Is [offset, offset + len) on the disk? */
static bool on_disk(const struct solo5_mft_entry *e, const struct hvt_block *c)
{
	return c->offset < e->u.block.capacity &&
	       num_within(c->offset, c->len, e->u.block.capacity);
}

/* All of it or nothing that the guest may rely on. */
static int32_t block_io(int fd, bool write, void *data, uint64_t len,
			uint64_t off)
{
	int ret = write ? fd_pwrite_full(fd, data, len, off)
			: fd_pread_full(fd, data, len, off);

	return ret == 0 ? HVT_OK : HVT_EUNSPEC;
}

static void do_block(struct device *dev, uint32_t call, uint64_t gpa)
{
	struct hvt *h = dev->priv;
	struct hvt_block c = {0};
	void *data;
	int fd;

	if (!get(dev, call, gpa, &c, sizeof(c)))
		return;
	fd = handle_fd(h, c.handle, SOLO5_BLOCK);
	c.ret = HVT_EINVAL;
	if (fd >= 0 && on_disk(&h->mft.e[c.handle], &c)) {
		data = call == HVT_BLOCK_READ
			       ? guest_map_write(dev->cfg.slots, c.data, c.len)
			       : (void *)guest_map_read(dev->cfg.slots, c.data,
							c.len);
		if (!data) {
			bad_address(dev, call, c.data, c.len);
			return;
		}
		c.ret = block_io(fd, call == HVT_BLOCK_WRITE, data, c.len,
				 c.offset);
		if (call == HVT_BLOCK_READ)
			guest_written(dev->cfg.slots, c.data, c.len);
	}
	put(dev, call, gpa, &c, sizeof(c));
}

static void do_net_write(struct device *dev, uint64_t gpa)
{
	struct hvt *h = dev->priv;
	struct hvt_net c = {0};
	const void *data;
	ssize_t n;
	int fd;

	if (!get(dev, HVT_NET_WRITE, gpa, &c, sizeof(c)))
		return;
	fd = handle_fd(h, c.handle, SOLO5_NET);
	c.ret = HVT_EINVAL;
	if (fd >= 0) {
		data = guest_map_read(dev->cfg.slots, c.data, c.len);
		if (!data) {
			bad_address(dev, HVT_NET_WRITE, c.data, c.len);
			return;
		}
		n = write(fd, data, c.len);
		/* No room, or the interface is down: the packet is dropped. */
		if (n >= 0 || errno == EAGAIN || errno == ENOBUFS ||
		    errno == EIO)
			c.ret = HVT_OK;
		else if (errno != EINVAL)
			c.ret = HVT_EUNSPEC;
	}
	put(dev, HVT_NET_WRITE, gpa, &c, sizeof(c));
}

static void do_net_read(struct device *dev, uint64_t gpa)
{
	struct hvt *h = dev->priv;
	struct hvt_net c = {0};
	void *data;
	ssize_t n;
	int fd;

	if (!get(dev, HVT_NET_READ, gpa, &c, sizeof(c)))
		return;
	fd = handle_fd(h, c.handle, SOLO5_NET);
	c.ret = HVT_EINVAL;
	if (fd >= 0) {
		data = guest_map_write(dev->cfg.slots, c.data, c.len);
		if (!data) {
			bad_address(dev, HVT_NET_READ, c.data, c.len);
			return;
		}
		n = read(fd, data, c.len);
		if (n > 0)
			guest_written(dev->cfg.slots, c.data, (uint64_t)n);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			end_guest(dev, "net.%s: read: %s",
				  h->mft.e[c.handle].name, strerror(errno));
			return;
		}
		c.ret = n > 0 ? HVT_OK : HVT_AGAIN;
		if (n > 0)
			c.len = (uint64_t)n;
	}
	put(dev, HVT_NET_READ, gpa, &c, sizeof(c));
}

static void do_halt(struct device *dev, uint64_t gpa)
{
	struct hvt *h = dev->priv;
	struct hvt_halt c = {0};

	if (!get(dev, HVT_HALT, gpa, &c, sizeof(c)))
		return;
	if (c.cookie &&
	    !guest_map_read(dev->cfg.slots, c.cookie, HVT_COOKIE_SIZE)) {
		bad_address(dev, HVT_HALT, c.cookie, HVT_COOKIE_SIZE);
		return;
	}
	h->cookie = c.cookie;
	/* It does not return, in a restored machine neither. */
	h->pending = (struct pending){.call = HVT_HALT, .gpa = gpa};
	event_end(dev->cfg.events, EVENT_EXIT, c.exit_status & 0xff);
}

static void hvt_write(struct device *dev, int region, uint64_t off, int len,
		      uint64_t val)
{
	struct hvt *h = dev->priv;
	/* Ports are numbered one by one, addresses by eight. */
	int shift = dev->cfg.space == BUS_MMIO ? 3 : 0;
	uint64_t nr = off >> shift;

	(void)region;
	if (len != 4 || nr << shift != off || nr == 0 || nr >= HVT_CALLS ||
	    h->pending.call) {
		end_guest(dev,
			  "invalid hypercall: number %" PRIu64 ", %d bytes%s",
			  nr, len, h->pending.call ? ", one is pending" : "");
		return;
	}
	switch (nr) {
	case HVT_WALLTIME:
		do_walltime(dev, val);
		break;
	case HVT_PUTS:
		do_puts(dev, val);
		break;
	case HVT_POLL:
		do_poll(dev, val);
		break;
	case HVT_BLOCK_WRITE:
	case HVT_BLOCK_READ:
		do_block(dev, (uint32_t)nr, val);
		break;
	case HVT_NET_WRITE:
		do_net_write(dev, val);
		break;
	case HVT_NET_READ:
		do_net_read(dev, val);
		break;
	default:
		do_halt(dev, val);
	}
}

/* --- waiting ---------------------------------------------------------------
 */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Poll for up to ns; how many descriptors are ready. */
static int poll_for(struct hvt *h, uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S),
			      .tv_nsec = (long)(ns % NS_PER_S)};
	int n;

	for (int i = 0; i < h->polls; i++)
		h->poll[i].revents = 0; /* an error leaves them */
	n = ppoll(h->poll, (nfds_t)h->polls, &ts, NULL);
	return n < 0 ? 0 : n;
}

static void answer_poll(struct device *dev)
{
	struct hvt *h = dev->priv;
	struct hvt_poll c = {0};

	/* What the guest wrote stays but for the two results. */
	if (!get(dev, HVT_POLL, h->pending.gpa, &c, sizeof(c)))
		return;
	c.ready_set = 0;
	c.ret = 0;
	for (int i = 1; i < h->polls; i++)
		if (h->poll[i].revents) {
			c.ready_set |= UINT64_C(1) << h->poll_index[i];
			c.ret++;
		}
	put(dev, HVT_POLL, h->pending.gpa, &c, sizeof(c));
}

/* A guest that waits for the first time is up: it has no mark to write. */
static void report_ready(struct device *dev)
{
	struct hvt *h = dev->priv;

	h->ready = true;
	event_post(dev->cfg.events, EVENT_READY);
	trigger_reached(dev->cfg.trigger, TRIGGER_MARK);
	trigger_reached(dev->cfg.trigger, TRIGGER_IDLE);
}

static bool wait_poll(struct device *dev)
{
	struct hvt *h = dev->priv;
	struct pending *p = &h->pending;
	bool timed_out = false;
	int n = 0;

	if (!h->ready && p->left_ns > 0) {
		n = poll_for(h, 0);
		if (n == 0)
			report_ready(dev);
	}
	h->since_ns = now_ns();
	while (n == 0 && !timed_out) {
		uint64_t now, waited;

		n = poll_for(h, p->left_ns);
		now = now_ns();
		waited = now - h->since_ns;
		p->left_ns -= num_min(p->left_ns, waited);
		h->since_ns = now;
		timed_out = p->left_ns == 0;
	}
	h->since_ns = 0;
	if (h->poll[0].revents)
		return false;
	answer_poll(dev);
	p->call = 0;
	return true;
}

static bool wait_puts(struct device *dev)
{
	struct hvt *h = dev->priv;
	const struct timespec ts = {.tv_nsec = PUTS_WAIT_NS};

	while (!puts_some(dev))
		if (ppoll(h->poll, 1, &ts, NULL) > 0)
			return false;
	return true;
}

bool hvt_pending(void *opaque)
{
	const struct device *dev = opaque;
	const struct hvt *h = dev->priv;

	return h->pending.call != 0;
}

bool hvt_wait(void *opaque)
{
	struct device *dev = opaque;
	struct hvt *h = dev->priv;

	switch (h->pending.call) {
	case HVT_POLL:
		return wait_poll(dev);
	case HVT_PUTS:
		return wait_puts(dev);
	default:
		do_halt(dev, h->pending.gpa);
		return false;
	}
}

/* --- state -----------------------------------------------------------------
 */

static int hvt_save(struct device *dev, struct snap_writer *w,
		    struct mote_err *err)
{
	const struct hvt *h = dev->priv;
	const struct memslot_table *t = dev->cfg.slots;

	(void)err;
	snap_put_u32(w, h->mft.entries);
	for (uint32_t i = 0; i < h->mft.entries; i++) {
		const struct solo5_mft_entry *e = &h->mft.e[i];

		snap_put_bytes(w, e->name, sizeof(e->name));
		snap_put_u32(w, e->type);
		snap_put_u64(w, e->u.words[0]);
		snap_put_u64(w, e->u.words[1]);
	}
	snap_put_u32(w, (uint32_t)t->readonlys);
	for (int i = 0; i < t->readonlys; i++) {
		snap_put_u64(w, t->readonly[i].gpa);
		snap_put_u64(w, t->readonly[i].end);
	}
	snap_put_u32(w, h->pending.call);
	snap_put_u64(w, h->pending.gpa);
	snap_put_u64(w, h->pending.left_ns);
	snap_put_u64(w, h->pending.data);
	snap_put_u64(w, h->pending.len);
	snap_put_u8(w, h->ready);
	return 0;
}

static int bad_field(const char *what, struct mote_err *err)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA, "section hvt: %s",
			     what);
}

static int load_manifest(struct hvt *h, struct snap_section *s,
			 struct mote_err *err)
{
	uint32_t n = snap_get_u32(s);

	if (n < 1 || n > SOLO5_MFT_MAX)
		return bad_field("entries: expected 1 to 64", err);
	memset(&h->mft, 0, sizeof(h->mft));
	h->mft.version = SOLO5_MFT_VERSION;
	h->mft.entries = n;
	for (uint32_t i = 0; i < n; i++) {
		struct solo5_mft_entry *e = &h->mft.e[i];

		snap_get_bytes(s, e->name, sizeof(e->name));
		e->type = snap_get_u32(s);
		e->u.words[0] = snap_get_u64(s);
		e->u.words[1] = snap_get_u64(s);
		if (e->name[sizeof(e->name) - 1])
			return bad_field("a name has no end", err);
		if (e->type != (i ? SOLO5_BLOCK : SOLO5_RESERVED_FIRST) &&
		    (i == 0 || e->type != SOLO5_NET))
			return bad_field("a device's type is unknown", err);
	}
	return 0;
}

static int load_readonly(struct device *dev, struct snap_section *s,
			 struct mote_err *err)
{
	uint32_t n = snap_get_u32(s);

	for (uint32_t i = 0; i < n && !s->error; i++) {
		uint64_t gpa = snap_get_u64(s), end = snap_get_u64(s);

		if (s->error)
			break;
		if (end <= gpa || gpa % host_page_size() ||
		    guest_protect(dev->cfg.slots, gpa, end - gpa) < 0)
			return bad_field("a read-only range is none", err);
	}
	return 0;
}

/* Rewound: it is the snapshot that was loaded, and its devices are here. */
static void skip_shape(struct snap_section *s)
{
	uint32_t n = snap_get_u32(s);

	snap_get_raw(s, n * (size_t)(SOLO5_NAME_SIZE + 4 + 8 + 8));
	n = snap_get_u32(s);
	snap_get_raw(s, n * (size_t)(8 + 8));
}

static int hvt_load(struct device *dev, struct snap_section *s,
		    struct mote_err *err)
{
	struct hvt *h = dev->priv;
	struct pending *p = &h->pending;
	int ret = 0;

	if (h->restored)
		skip_shape(s);
	else
		ret = load_manifest(h, s, err);
	if (ret == 0 && !h->restored)
		ret = load_readonly(dev, s, err);
	if (ret < 0)
		return ret;
	p->call = snap_get_u32(s);
	p->gpa = snap_get_u64(s);
	p->left_ns = snap_get_u64(s);
	p->data = snap_get_u64(s);
	p->len = snap_get_u64(s);
	h->ready = snap_get_u8(s) != 0;
	h->restored = true;
	if (p->call != 0 && p->call != HVT_POLL && p->call != HVT_PUTS &&
	    p->call != HVT_HALT)
		return bad_field("the pending call can't be one", err);
	return 0;
}

const struct device_ops hvt_ops = {
	.name = "hvt",
	.version = 1,
	.unlocked = true,
	.probe = hvt_probe,
	.destroy = hvt_destroy,
	.write = hvt_write,
	.save = hvt_save,
	.load = hvt_load,
};
