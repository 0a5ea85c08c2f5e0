/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.c - a virtio network card on a tap: one queue each way.
 *
 * Frames go straight between guest RAM and the descriptor.  Where that is a
 * tap with IFF_VNET_HDR, checksums and segments are left to whoever is better
 * at it (the header is the tap's); any other descriptor carries plain frames.
 * A frame that comes finds the buffers that are there: what they have no room
 * for is dropped, what has none stays with the host.
 *
 * Threads: the I/O thread, but for probe.  Trust: none.  Source: virtio 1.2,
 * 5.1; Linux, Documentation/networking/tuntap.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

#define F_CSUM	     VIRTIO_BIT(0)
#define F_GUEST_CSUM VIRTIO_BIT(1)
#define F_MTU	     VIRTIO_BIT(3)
#define F_MAC	     VIRTIO_BIT(5)
#define F_GUEST_TSO4 VIRTIO_BIT(7)
#define F_GUEST_TSO6 VIRTIO_BIT(8)
#define F_GUEST_ECN  VIRTIO_BIT(9)
#define F_HOST_TSO4  VIRTIO_BIT(11)
#define F_HOST_TSO6  VIRTIO_BIT(12)
#define F_HOST_ECN   VIRTIO_BIT(13)
#define F_MRG_RXBUF  VIRTIO_BIT(15)
#define F_STATUS     VIRTIO_BIT(16)

#define F_GUEST_TSO (F_GUEST_TSO4 | F_GUEST_TSO6)
#define F_HOST_TSO  (F_HOST_TSO4 | F_HOST_TSO6)
#define F_PLAIN	    (F_MAC | F_MTU | F_STATUS | F_MRG_RXBUF)
#define F_OFFLOADS                                                             \
	(F_CSUM | F_GUEST_CSUM | F_GUEST_TSO | F_GUEST_ECN | F_HOST_TSO |      \
	 F_HOST_ECN)

#define RX 0
#define TX 1

#define HEADER	    12u
#define NUM_BUFFERS 10u	   /* of the header: 16 bits */
#define ETHERNET    18u	   /* addresses, type, a tag */
#define FRAME_MAX   65550u /* one that is to be cut into segments */
#define RX_BATCH    64

/* Configuration space: mac, status, pairs of queues, mtu. */
enum config {
	C_MAC = 0,
	C_STATUS = 6,
	C_PAIRS = 8,
	C_MTU = 10,
	C_LEN = 12,
};

struct limit {
	struct bucket bytes, packets;
};

struct net {
	bool header; /* frames of host_fd have one */
	uint32_t mtu;
	struct limit limit[2]; /* RX, TX */
	struct vq_chain first; /* of a frame that comes */
};

/* --- limits -----------------------------------------------------------------
 */

/* Before a frame of that many bytes; false: again_at says when. */
static bool may_go(struct virtio *v, struct limit *l, uint32_t bytes)
{
	uint64_t now, at, at_packets;

	if (!l->bytes.rate && !l->packets.rate)
		return true;
	now = virtio_now();
	at = bucket_ready(&l->bytes, bytes, now);
	at_packets = bucket_ready(&l->packets, 1, now);
	if (at_packets > at)
		at = at_packets;
	if (at && (!v->again_at || at < v->again_at))
		v->again_at = at;
	return at == 0;
}

static void spend(struct limit *l, uint32_t bytes)
{
	bucket_take(&l->bytes, bytes);
	bucket_take(&l->packets, 1);
}

static void drop(struct virtio *v)
{
	atomic_fetch_add_explicit(&v->count.dropped, 1, memory_order_relaxed);
}

/* --- to the host ------------------------------------------------------------
 */

static enum virtio_done send_frame(struct virtio *v, const struct vq_chain *c,
				   uint32_t *len)
{
	struct iovec *iov = virtio_scratch(v)->iov;
	struct net *net = v->priv;
	uint32_t skip = net->header ? 0 : HEADER;
	ssize_t sent;
	int n;

	*len = 0;
	if (c->read_len < HEADER)
		return VIRTIO_BAD;
	if (!may_go(v, &net->limit[TX], c->read_len - HEADER))
		return VIRTIO_LATER;
	spend(&net->limit[TX], c->read_len - HEADER);
	if (c->read_len - HEADER > FRAME_MAX || virtio_io_lost(v->io)) {
		drop(v);
		return VIRTIO_DONE;
	}
	n = vq_map(v->slots, c, false, skip, c->read_len - skip, iov);
	do
		sent = n > 0 ? writev(v->host_fd, iov, n) : -1;
	while (n > 0 && sent < 0 && errno == EINTR);
	/* No room, too short, a header that makes no sense: it is lost. */
	if (sent < 0)
		drop(v);
	return VIRTIO_DONE;
}

/* --- to the guest -----------------------------------------------------------
 */

/* Buffers for one frame: chains in the order of the ring. */
struct place {
	int chains, iovs;
	uint32_t room; /* bytes behind the header */
	uint16_t head[VQ_SIZE_MAX];
	uint32_t len[VQ_SIZE_MAX]; /* of each, the header in the first one */
};

static uint32_t largest_frame(const struct virtio *v)
{
	const struct net *net = v->priv;

	return v->accepted & F_GUEST_TSO ? FRAME_MAX : net->mtu + ETHERNET;
}

/* Add a chain's buffers without its first skip bytes; false: it is no RAM. */
static bool add_chain(struct virtio *v, const struct vq_chain *c, uint32_t skip,
		      struct place *p)
{
	struct virtio_scratch *s = virtio_scratch(v);

	for (uint16_t i = c->readable; i < c->count; i++) {
		uint32_t off = (uint32_t)num_min(skip, c->buf[i].len);
		uint32_t len = c->buf[i].len - off;
		uint64_t gpa = c->buf[i].gpa + off;
		void *at;

		skip -= off;
		if (len == 0)
			continue;
		at = guest_map_write(v->slots, gpa, len);
		if (!at)
			return false;
		s->gpa[p->iovs] = gpa;
		s->iov[p->iovs++] =
			(struct iovec){.iov_base = at, .iov_len = len};
		p->room += len;
	}
	p->head[p->chains] = c->head;
	p->len[p->chains++] = c->write_len;
	return true;
}

/*
 * All that one frame may need of what is there: one chain, or several where
 * the driver takes that.  -EBADMSG: it broke a rule.
 */
static int find_place(struct virtio *v, struct virtqueue *q, struct place *p)
{
	struct net *net = v->priv;
	struct vq_chain *c = &net->first;
	uint32_t want = largest_frame(v);
	bool many = v->accepted & F_MRG_RXBUF;

	*p = (struct place){.iovs = 1}; /* the first one is the header */
	do {
		int ret = vq_peek(q, v->slots, (uint16_t)p->chains, c);

		if (ret <= 0)
			return ret;
		if (p->iovs + c->count > VQ_SIZE_MAX && p->chains)
			break;
		if (c->read_len > 0 ||
		    c->write_len < (p->chains ? 1 : HEADER) ||
		    !add_chain(v, c, p->chains ? 0 : HEADER, p)) {
			vq_break(q, "a buffer for frames");
			return -EBADMSG;
		}
		c = &virtio_scratch(v)->chain;
	} while (many && p->room < want && p->chains < q->size);
	return 0;
}

/* Mark what a frame of that many bytes was written to; the chains that took. */
static uint16_t mark_written(struct virtio *v, const struct place *p,
			     uint32_t bytes)
{
	const struct virtio_scratch *s = virtio_scratch(v);
	uint32_t left = bytes, in = bytes + HEADER;
	uint16_t chains = 0;

	for (int i = 1; i < p->iovs && left > 0; i++) {
		uint32_t n = (uint32_t)num_min(left, s->iov[i].iov_len);

		guest_written(v->slots, s->gpa[i], n);
		left -= n;
	}
	for (; chains < p->chains && in > 0; chains++)
		in -= (uint32_t)num_min(in, p->len[chains]);
	return chains;
}

static void give(struct virtio *v, struct virtqueue *q, const struct place *p,
		 uint8_t header[HEADER], uint32_t bytes)
{
	const struct net *net = v->priv;
	uint16_t chains = mark_written(v, p, bytes);
	uint32_t left = bytes + HEADER;

	memcpy(header + NUM_BUFFERS, &chains, sizeof(chains));
	if (vq_copy_to(v->slots, &net->first, 0, header, HEADER) != HEADER)
		vq_break(q, "a buffer for frames");
	for (uint16_t i = 0; i < chains; i++) {
		uint32_t n = (uint32_t)num_min(left, p->len[i]);

		vq_put(q, v->slots, i, p->head[i], n);
		left -= n;
	}
	vq_publish(q, v->slots, chains);
	atomic_fetch_add_explicit(&v->count.requests, chains,
				  memory_order_relaxed);
}

/* One frame into that place: its bytes, 0: dropped; -EAGAIN: there is none. */
static ssize_t receive(struct virtio *v, const struct place *p,
		       uint8_t header[HEADER])
{
	struct virtio_scratch *s = virtio_scratch(v);
	const struct net *net = v->priv;
	int skip = net->header ? 0 : 1, n = p->iovs;
	ssize_t got;

	memset(header, 0, HEADER);
	s->iov[0] = (struct iovec){.iov_base = header, .iov_len = HEADER};
	/* What does not fit into the place shows here. */
	s->iov[n++] = (struct iovec){.iov_base = s->bytes,
				     .iov_len = sizeof(s->bytes)};
	do
		got = readv(v->host_fd, s->iov + skip, n - skip);
	while (got < 0 && errno == EINTR);
	/* The interface may be down, or its other end gone, for a while. */
	if (got < 0)
		return -EAGAIN;
	if (net->header)
		got -= HEADER;
	return got > 0 && got <= (ssize_t)p->room ? got : 0;
}

/* True: there may be more. */
static bool run_rx(struct virtio *v)
{
	struct virtqueue *q = &v->vq[RX];
	struct net *net = v->priv;
	uint8_t header[HEADER];
	struct place p;

	vq_quiet(q, v->slots);
	for (int i = 0; i < RX_BATCH; i++) {
		ssize_t got;

		if (virtio_hurry(v))
			return true;
		if (!may_go(v, &net->limit[RX], 1))
			return false;
		if (find_place(v, q, &p) < 0) {
			virtio_bad(v, q, q->broken);
			return false;
		}
		if (p.chains == 0 && !vq_listen(q, v->slots))
			return false;
		if (p.chains == 0) {
			vq_quiet(q, v->slots);
			continue;
		}
		got = receive(v, &p, header);
		if (got == -EAGAIN) {
			v->wants_host = true;
			return false;
		}
		if (got == 0) {
			drop(v);
			continue;
		}
		spend(&net->limit[RX], (uint32_t)got);
		give(v, q, &p, header, (uint32_t)got);
		if (q->broken) {
			virtio_bad(v, q, q->broken);
			return false;
		}
	}
	return true;
}

static bool run(struct virtio *v)
{
	bool more = virtio_pass(v, &v->vq[TX], send_frame);

	if (!v->active)
		return false;
	more |= run_rx(v);
	if (v->active)
		virtio_notify(v, &v->vq[RX]);
	return more && v->active;
}

/* --- life -------------------------------------------------------------------
 */

static bool accepts(const struct virtio *v, uint64_t f)
{
	(void)v;
	if (f & F_GUEST_TSO && !(f & F_GUEST_CSUM))
		return false;
	if (f & F_HOST_TSO && !(f & F_CSUM))
		return false;
	if (f & F_GUEST_ECN && !(f & F_GUEST_TSO))
		return false;
	return !(f & F_HOST_ECN) || f & F_HOST_TSO;
}

static void activate(struct virtio *v)
{
	static const struct {
		uint64_t feature;
		unsigned int tun;
	} map[] = {
		{F_GUEST_CSUM, TUN_F_CSUM},
		{F_GUEST_TSO4, TUN_F_TSO4},
		{F_GUEST_TSO6, TUN_F_TSO6},
		{F_GUEST_ECN, TUN_F_TSO_ECN},
	};
	const struct net *net = v->priv;
	unsigned int tun = 0;

	if (!net->header)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		if (v->accepted & map[i].feature)
			tun |= map[i].tun;
	ioctl(v->host_fd, TUNSETOFFLOAD, tun);
}

/* The guest goes on with the address that it knows. */
static int net_load(struct virtio *v, struct snap_section *s,
		    const uint8_t *config, struct mote_err *err)
{
	(void)v;
	(void)s;
	(void)config;
	(void)err;
	return 0;
}

static void net_destroy(struct virtio *v)
{
	free(v->priv);
}

static const struct virtio_model model = {
	.id = 1,
	.config_len = C_LEN,
	.accepts = accepts,
	.activate = activate,
	.run = run,
	.load = net_load,
	.destroy = net_destroy,
};

static void set_limit(struct limit *l, const struct net_config *cfg)
{
	bucket_init(&l->bytes, cfg->rate_bytes, virtio_now());
	bucket_init(&l->packets, cfg->rate_packets, virtio_now());
}

static int net_probe(struct device *dev, const struct device_config *cfg,
		     struct mote_err *err)
{
	const struct virtio_options *opt = cfg->virtio;
	struct net *net = calloc(1, sizeof(*net));
	int size = HEADER, ret = 0;
	struct virtio *v;

	if (!net)
		return err_set(err, ENOMEM, "%s", opt->section);
	net->mtu = opt->mtu;
	net->header = hostdev_net_has_header(opt->fd);
	set_limit(&net->limit[RX], opt->net);
	set_limit(&net->limit[TX], opt->net);
	if (net->header && ioctl(opt->fd, TUNSETVNETHDRSZ, &size) < 0)
		ret = err_set(err, errno, "%s: TUNSETVNETHDRSZ: %s",
			      opt->section, strerror(errno));
	if (ret == 0)
		ret = virtio_init(dev, &model,
				  F_PLAIN | (net->header ? F_OFFLOADS : 0), 2,
				  err);
	if (ret < 0) {
		free(net);
		return ret;
	}
	v = dev->priv;
	v->priv = net;
	memcpy(v->config + C_MAC, opt->mac, sizeof(opt->mac));
	v->config[C_STATUS] = 1; /* the link is up */
	v->config[C_PAIRS] = 1;
	v->config[C_MTU] = (uint8_t)opt->mtu;
	v->config[C_MTU + 1] = (uint8_t)(opt->mtu >> 8);
	return 0;
}

const struct device_ops virtio_net_ops = VIRTIO_OPS("virtio-net", 1, net_probe);
