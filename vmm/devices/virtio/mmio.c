/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmio.c - the virtio-mmio transport, version 2, and what every device does.
 *
 * Registers are 32 bits wide, at multiples of 4; another access reads zeros
 * and writes nothing.  What the driver may set at a moment is as strict as the
 * specification: features until FEATURES_OK, a queue's size and addresses from
 * then until it is ready, ready until DRIVER_OK; later only a reset changes
 * them.  What it may not is ignored, or, where the device could not go on,
 * sets DEVICE_NEEDS_RESET.
 *
 * A reset takes the lock from the I/O thread, which lets go after the piece of
 * a request that it is at (at most 1 MiB): so the register can be written and
 * used at once, as Linux does.
 *
 * Threads: virtio.h.  Source: virtio 1.2, 2.1, 2.2, 3.1, 4.2.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "devices/virtio/io.h"
#include "devices/virtio/virtio.h"
#include "snapshot/stream.h"

enum reg {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE = 0x008,
	REG_VENDOR = 0x00c,
	REG_OFFERED = 0x010,
	REG_OFFERED_SEL = 0x014,
	REG_ACCEPTED = 0x020,
	REG_ACCEPTED_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_MAX = 0x034,
	REG_QUEUE_SIZE = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_NOTIFY = 0x050,
	REG_ISR = 0x060,
	REG_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_DESC = 0x080,  /* and 0x084 */
	REG_AVAIL = 0x090, /* and 0x094 */
	REG_USED = 0x0a0,  /* and 0x0a4 */
	REG_SHM_LEN = 0x0b0,
	REG_SHM_END = 0x0c0,
	REG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define MAGIC	0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR	0x65746f6du /* "mote" */

#define DRIVER_BITS                                                            \
	(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK |               \
	 VIRTIO_FEATURES_OK | VIRTIO_FAILED)

/* --- what models use --------------------------------------------------------
 */

void virtio_lock(struct virtio *v)
{
	atomic_fetch_add(&v->waiting, 1);
	pthread_mutex_lock(&v->lock);
	atomic_fetch_sub(&v->waiting, 1);
}

void virtio_unlock(struct virtio *v)
{
	pthread_mutex_unlock(&v->lock);
}

bool virtio_hurry(const struct virtio *v)
{
	return virtio_io_hurry(v->io) ||
	       atomic_load_explicit(&v->waiting, memory_order_relaxed);
}

struct virtio_scratch *virtio_scratch(const struct virtio *v)
{
	return virtio_io_scratch(v->io);
}

void virtio_raise(struct virtio *v, enum virtio_isr kind)
{
	const uint64_t one = 1;

	atomic_fetch_or(&v->isr, (uint32_t)kind);
	atomic_fetch_add_explicit(&v->count.interrupts, 1,
				  memory_order_relaxed);
	while (write(v->irq_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void virtio_notify(struct virtio *v, struct virtqueue *q)
{
	if (vq_interrupt(q, v->slots))
		virtio_raise(v, VIRTIO_ISR_QUEUE);
}

/* The I/O thread tells the driver: vCPU threads write to no interrupt. */
static void needs_reset(struct virtio *v)
{
	uint32_t was = atomic_fetch_or(&v->status, VIRTIO_NEEDS_RESET);

	v->active = false;
	if (!(was & VIRTIO_NEEDS_RESET))
		atomic_fetch_add_explicit(&v->count.resets, 1,
					  memory_order_relaxed);
}

void virtio_bad(struct virtio *v, struct virtqueue *q, const char *why)
{
	bool told = atomic_load(&v->status) & VIRTIO_NEEDS_RESET;

	vq_break(q, why);
	needs_reset(v);
	if (!told)
		virtio_raise(v, VIRTIO_ISR_CONFIG);
}

bool virtio_pass(struct virtio *v, struct virtqueue *q, virtio_serve *serve_one)
{
	struct vq_chain *c = &virtio_scratch(v)->chain;

	if (!q->ready)
		return false;
	vq_quiet(q, v->slots);
	for (uint16_t n = 0; n < q->size; n++) {
		enum virtio_done done;
		uint32_t len = 0;
		int ret;

		if (virtio_hurry(v))
			return true;
		ret = vq_peek(q, v->slots, 0, c);
		if (ret == 0 && !vq_listen(q, v->slots))
			return false;
		if (ret == 0) { /* one came just now */
			vq_quiet(q, v->slots);
			continue;
		}
		done = ret < 0 ? VIRTIO_BAD : serve_one(v, c, &len);
		if (done == VIRTIO_LATER || done == VIRTIO_HURRY)
			return done == VIRTIO_HURRY;
		if (done == VIRTIO_DONE) {
			vq_finish(q, v->slots, c->head, len);
			atomic_fetch_add_explicit(&v->count.requests, 1,
						  memory_order_relaxed);
			virtio_notify(v, q);
		}
		if (done == VIRTIO_BAD || q->broken) {
			virtio_bad(v, q, q->broken ? q->broken : "a request");
			return false;
		}
	}
	return true;
}

/* --- life -------------------------------------------------------------------
 */

static int take_fds(struct virtio *v, int host_fd, struct mote_err *err)
{
	v->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	v->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (host_fd >= 0)
		v->host_fd = fcntl(host_fd, F_DUPFD_CLOEXEC, 3);
	if (v->kick_fd < 0 || v->irq_fd < 0 || (host_fd >= 0 && v->host_fd < 0))
		return err_set(err, errno, "%s: descriptors: %s", v->section,
			       strerror(errno));
	return 0;
}

int virtio_init(struct device *dev, const struct virtio_model *model,
		uint64_t features, uint16_t queues, struct mote_err *err)
{
	const struct virtio_options *opt = dev->cfg.virtio;
	struct virtio *v = calloc(1, sizeof(*v));
	int ret;

	if (!v)
		return err_set(err, ENOMEM, "%s", opt->section);
	dev->priv = v;
	v->model = model;
	v->slots = dev->cfg.slots;
	v->io = opt->io;
	v->offered = v->able = features | VIRTIO_COMMON;
	v->queues = queues;
	v->kick_fd = v->irq_fd = v->host_fd = -1;
	memccpy(v->section, opt->section, 0, sizeof(v->section) - 1);
	pthread_mutex_init(&v->lock, NULL);
	ret = take_fds(v, opt->fd, err);
	if (ret == 0)
		ret = virtio_io_add(v->io, v, err);
	if (ret < 0)
		virtio_destroy(dev);
	return ret;
}

void virtio_destroy(struct device *dev)
{
	struct virtio *v = dev->priv;

	if (v->model->destroy)
		v->model->destroy(v);
	fd_clear(&v->kick_fd);
	fd_clear(&v->irq_fd);
	fd_clear(&v->host_fd);
	pthread_mutex_destroy(&v->lock);
	free(v);
	dev->priv = NULL;
}

static void reset_locked(struct virtio *v)
{
	for (uint16_t i = 0; i < v->queues; i++)
		vq_reset(&v->vq[i]);
	v->active = v->fresh = false;
	v->accepted = 0;
	v->offered_sel = v->accepted_sel = v->queue_sel = 0;
	atomic_store(&v->isr, 0);
	if (v->model->reset)
		v->model->reset(v);
	atomic_store(&v->status, 0);
}

void virtio_reset(struct device *dev)
{
	struct virtio *v = dev->priv;

	virtio_lock(v);
	reset_locked(v);
	virtio_unlock(v);
}

int virtio_quiesce(struct device *dev, struct mote_err *err)
{
	const struct virtio *v = dev->priv;

	(void)err;
	virtio_io_halt(v->io);
	return 0;
}

void virtio_resume(struct device *dev)
{
	const struct virtio *v = dev->priv;

	virtio_io_go(v->io);
}

/* --- registers --------------------------------------------------------------
 */

static struct virtqueue *selected(struct virtio *v)
{
	return v->queue_sel < v->queues ? &v->vq[v->queue_sel] : NULL;
}

static uint32_t read_register(struct virtio *v, uint64_t off)
{
	const struct virtqueue *q = selected(v);

	switch (off) {
	case REG_MAGIC:
		return MAGIC;
	case REG_VERSION:
		return VERSION;
	case REG_DEVICE:
		return v->model->id;
	case REG_VENDOR:
		return VENDOR;
	case REG_OFFERED:
		return v->offered_sel < 2
			       ? (uint32_t)(v->offered >> 32 * v->offered_sel)
			       : 0;
	case REG_QUEUE_MAX:
		return q ? VQ_SIZE_MAX : 0;
	case REG_QUEUE_READY:
		return q && q->ready;
	case REG_ISR:
		return atomic_load(&v->isr);
	case REG_STATUS:
		return atomic_load(&v->status);
	case REG_GENERATION:
		return v->generation;
	default:
		/* There is no shared memory: all ones say so. */
		return off >= REG_SHM_LEN && off < REG_SHM_END ? UINT32_MAX : 0;
	}
}

static uint64_t read_config(const struct virtio *v, uint64_t off, int len)
{
	uint64_t val = 0;

	for (int i = 0; i < len; i++)
		if (off + (unsigned int)i < v->model->config_len)
			val |= (uint64_t)v->config[off + (unsigned int)i]
			       << 8 * i;
	return val;
}

uint64_t virtio_read(struct device *dev, int region, uint64_t off, int len)
{
	struct virtio *v = dev->priv;

	(void)region;
	if (off >= REG_CONFIG)
		return read_config(v, off - REG_CONFIG, len);
	return len == 4 && off % 4 == 0 ? read_register(v, off) : 0;
}

static bool features_fit(const struct virtio *v)
{
	return !(v->accepted & ~v->offered) &&
	       (v->accepted & VIRTIO_VERSION_1) &&
	       (!v->model->accepts || v->model->accepts(v, v->accepted));
}

/* DRIVER_OK: the I/O thread may begin. */
static void start(struct virtio *v)
{
	virtio_lock(v);
	for (uint16_t i = 0; i < v->queues; i++) {
		v->vq[i].event_idx = v->accepted & VIRTIO_EVENT_IDX;
		v->vq[i].indirect = v->accepted & VIRTIO_INDIRECT_DESC;
	}
	v->active = v->fresh = true;
	virtio_unlock(v);
	virtio_io_poke(v->io, v);
}

/* It can't go on as the driver asks; the I/O thread sends the interrupt. */
static void refuse(struct virtio *v)
{
	virtio_lock(v);
	needs_reset(v);
	atomic_fetch_or(&v->isr, VIRTIO_ISR_CONFIG);
	v->raise = true;
	virtio_unlock(v);
	virtio_io_poke(v->io, v);
}

static void write_status(struct virtio *v, uint32_t val)
{
	uint32_t was = atomic_load(&v->status), add;

	if (val == 0) {
		virtio_lock(v);
		reset_locked(v);
		virtio_unlock(v);
		return;
	}
	/* A bit is never taken back but by a reset. */
	add = val & DRIVER_BITS & ~was;
	if ((was & DRIVER_BITS) & ~val)
		return;
	if (add & VIRTIO_FEATURES_OK &&
	    (!((was | add) & VIRTIO_DRIVER) || !features_fit(v)))
		add &= ~(uint32_t)VIRTIO_FEATURES_OK;
	if (add & VIRTIO_DRIVER_OK &&
	    (!(was & VIRTIO_FEATURES_OK) || was & VIRTIO_NEEDS_RESET)) {
		refuse(v);
		return;
	}
	atomic_fetch_or(&v->status, add);
	if (add & VIRTIO_FAILED) {
		virtio_lock(v);
		v->active = false;
		virtio_unlock(v);
	} else if (add & VIRTIO_DRIVER_OK) {
		start(v);
	}
}

static void write_accepted(struct virtio *v, uint32_t val)
{
	uint32_t status = atomic_load(&v->status);
	unsigned int shift = 32 * v->accepted_sel;

	if (status & VIRTIO_FEATURES_OK || v->accepted_sel > 1)
		return;
	v->accepted &= ~(UINT64_C(0xffffffff) << shift);
	v->accepted |= (uint64_t)val << shift;
}

static void write_ready(struct virtio *v, struct virtqueue *q, bool on)
{
	bool bad = false;

	virtio_lock(v);
	if (!on) {
		q->ready = false;
	} else if (!q->ready && !(atomic_load(&v->status) & VIRTIO_DRIVER_OK)) {
		bad = vq_check(q, v->slots) < 0;
		q->next_avail = q->next_used = q->told = 0;
		q->quiet = false;
		q->ready = !bad;
	}
	virtio_unlock(v);
	if (bad)
		refuse(v);
}

static uint64_t set_half(uint64_t was, bool high, uint32_t val)
{
	return high ? (was & UINT32_MAX) | (uint64_t)val << 32
		    : (was & ~(uint64_t)UINT32_MAX) | val;
}

/* Registers of the selected queue: set up once, then frozen. */
static void write_queue(struct virtio *v, uint64_t off, uint32_t val)
{
	struct virtqueue *q = selected(v);
	uint32_t status = atomic_load(&v->status);
	bool high = off & 4;

	if (!q || !(status & VIRTIO_FEATURES_OK))
		return;
	if (off == REG_QUEUE_READY) {
		write_ready(v, q, val & 1);
		return;
	}
	if (q->ready || status & VIRTIO_DRIVER_OK)
		return;
	switch (off & ~UINT64_C(4)) {
	case REG_QUEUE_SIZE:
		/* What does not fit is refused when it is to be ready. */
		if (!high)
			q->size = val > UINT16_MAX ? 0 : (uint16_t)val;
		break;
	case REG_DESC:
		q->desc = set_half(q->desc, high, val);
		break;
	case REG_AVAIL:
		q->avail = set_half(q->avail, high, val);
		break;
	case REG_USED:
		q->used = set_half(q->used, high, val);
		break;
	default:
		break;
	}
}

/* An exit: KVM's eventfd takes these where it can. */
static void write_notify(struct virtio *v, uint32_t val)
{
	if (val >= v->queues || !(atomic_load(&v->status) & VIRTIO_DRIVER_OK))
		return;
	atomic_fetch_add_explicit(&v->count.kicks, 1, memory_order_relaxed);
	virtio_io_poke(v->io, v);
}

static void write_register(struct virtio *v, uint64_t off, uint32_t val)
{
	switch (off) {
	case REG_OFFERED_SEL:
		v->offered_sel = val;
		break;
	case REG_ACCEPTED:
		write_accepted(v, val);
		break;
	case REG_ACCEPTED_SEL:
		v->accepted_sel = val;
		break;
	case REG_QUEUE_SEL:
		v->queue_sel = val;
		break;
	case REG_NOTIFY:
		write_notify(v, val);
		break;
	case REG_ACK:
		atomic_fetch_and(&v->isr, ~val);
		break;
	case REG_STATUS:
		write_status(v, val);
		break;
	default:
		write_queue(v, off, val);
	}
}

void virtio_write(struct device *dev, int region, uint64_t off, int len,
		  uint64_t val)
{
	struct virtio *v = dev->priv;

	(void)region;
	if (off >= REG_CONFIG) {
		off -= REG_CONFIG;
		if (v->model->config_write &&
		    num_within(off, (uint64_t)len, v->model->config_len))
			v->model->config_write(v, (uint32_t)off, len, val);
	} else if (len == 4 && off % 4 == 0) {
		write_register(v, off, (uint32_t)val);
	}
}

/* --- snapshots --------------------------------------------------------------
 */

static void save_queue(const struct virtqueue *q, struct snap_writer *w)
{
	snap_put_u16(w, q->size);
	snap_put_u8(w, q->ready);
	snap_put_u8(w, q->quiet);
	snap_put_u8(w, q->broken != NULL);
	snap_put_u64(w, q->desc);
	snap_put_u64(w, q->avail);
	snap_put_u64(w, q->used);
	snap_put_u16(w, q->next_avail);
	snap_put_u16(w, q->next_used);
	snap_put_u16(w, q->told);
}

int virtio_save(struct device *dev, struct snap_writer *w, struct mote_err *err)
{
	const struct virtio *v = dev->priv;

	(void)err;
	snap_put_u32(w, atomic_load(&v->status));
	snap_put_u32(w, atomic_load(&v->isr));
	snap_put_u64(w, v->offered);
	snap_put_u64(w, v->accepted);
	snap_put_u32(w, v->offered_sel);
	snap_put_u32(w, v->accepted_sel);
	snap_put_u32(w, v->queue_sel);
	snap_put_u32(w, v->generation);
	snap_put_u16(w, v->queues);
	for (uint16_t i = 0; i < v->queues; i++)
		save_queue(&v->vq[i], w);
	snap_put_u16(w, v->model->config_len);
	snap_put_bytes(w, v->config, v->model->config_len);
	if (v->model->save)
		v->model->save(v, w);
	return 0;
}

static bool load_queue(struct virtqueue *q, const struct memslot_table *slots,
		       struct snap_section *s)
{
	uint8_t ready, quiet, bad;

	q->size = snap_get_u16(s);
	ready = snap_get_u8(s);
	quiet = snap_get_u8(s);
	bad = snap_get_u8(s);
	q->desc = snap_get_u64(s);
	q->avail = snap_get_u64(s);
	q->used = snap_get_u64(s);
	q->next_avail = snap_get_u16(s);
	q->next_used = snap_get_u16(s);
	q->told = snap_get_u16(s);
	q->ready = ready;
	q->quiet = quiet;
	q->broken = bad ? "in the snapshot" : NULL;
	return ready <= 1 && quiet <= 1 && bad <= 1 &&
	       (!ready || vq_check(q, slots) == 0);
}

static int out_of_range(const struct virtio *v, const char *what,
			struct mote_err *err)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "%s: %s out of range", v->section, what);
}

static int load_registers(struct virtio *v, struct snap_section *s,
			  struct mote_err *err)
{
	uint64_t offered;
	uint32_t status, isr;

	status = snap_get_u32(s);
	isr = snap_get_u32(s);
	offered = snap_get_u64(s);
	v->accepted = snap_get_u64(s);
	v->offered_sel = snap_get_u32(s);
	v->accepted_sel = snap_get_u32(s);
	v->queue_sel = snap_get_u32(s);
	v->generation = snap_get_u32(s);
	if (s->error ||
	    status & ~(uint32_t)(DRIVER_BITS | VIRTIO_NEEDS_RESET) || isr & ~3u)
		return out_of_range(v, "status", err);
	if (!(offered & VIRTIO_VERSION_1) ||
	    (status & VIRTIO_FEATURES_OK && v->accepted & ~offered))
		return out_of_range(v, "features", err);
	/* Before FEATURES_OK the driver may have written anything. */
	if (status & VIRTIO_FEATURES_OK && v->accepted & ~v->able)
		return err_set_class(
			err, EINVAL, ERR_CLASS_DATA,
			"%s: the snapshot's guest uses features 0x%" PRIx64
			", there are 0x%" PRIx64 " here",
			v->section, v->accepted, v->able);
	v->offered = v->able & offered;
	atomic_store(&v->status, status);
	atomic_store(&v->isr, isr);
	return 0;
}

static int load_state(struct virtio *v, struct snap_section *s,
		      struct mote_err *err)
{
	uint8_t config[VIRTIO_CONFIG_MAX] = {0};
	uint32_t status;
	int ret = load_registers(v, s, err);

	if (ret < 0)
		return ret;
	if (snap_get_u16(s) != v->queues)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "%s: the snapshot's device has another "
				     "number of queues than the %u here",
				     v->section, v->queues);
	status = atomic_load(&v->status);
	for (uint16_t i = 0; i < v->queues; i++) {
		if (!load_queue(&v->vq[i], v->slots, s))
			return out_of_range(v, "a queue", err);
		v->vq[i].event_idx = v->accepted & VIRTIO_EVENT_IDX;
		v->vq[i].indirect = v->accepted & VIRTIO_INDIRECT_DESC;
	}
	if (snap_get_u16(s) != v->model->config_len)
		return out_of_range(v, "configuration", err);
	snap_get_bytes(s, config, v->model->config_len);
	if (s->error)
		return out_of_range(v, "configuration", err);
	if (v->model->load)
		ret = v->model->load(v, s, config, err);
	if (ret < 0)
		return ret;
	memcpy(v->config, config, v->model->config_len);
	v->active = status & VIRTIO_DRIVER_OK &&
		    !(status & (VIRTIO_NEEDS_RESET | VIRTIO_FAILED));
	v->fresh = v->active;
	/* The I/O APIC's mask may have kept it from the guest. */
	v->raise = atomic_load(&v->isr) != 0;
	return 0;
}

int virtio_load(struct device *dev, struct snap_section *s,
		struct mote_err *err)
{
	struct virtio *v = dev->priv;
	int ret;

	virtio_lock(v);
	reset_locked(v);
	ret = load_state(v, s, err);
	virtio_unlock(v);
	return ret;
}
