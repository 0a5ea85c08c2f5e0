/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio.h - a virtio device: what the transport (mmio.c), the I/O thread
 * (io.c) and the models (blk.c, net.c, ...) share.
 *
 * Threads: registers are read and written by vCPU threads under the device's
 * lock (device.h).  Queues belong to who holds virtio.lock: the I/O thread
 * while it serves, a vCPU thread for a reset and to set up queues; status and
 * isr are atomic.  A vCPU that wants the lock says so in waiting, and the I/O
 * thread lets go at the next piece of work.  Order: device.lock, virtio.lock.
 *
 * Trust: registers and queues are the guest's.  Source: virtio 1.2, 2, 4.2.
 */
#ifndef VMM_DEVICES_VIRTIO_VIRTIO_H
#define VMM_DEVICES_VIRTIO_VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "devices/virtio/queue.h"

struct disk_config;
struct net_config;
struct virtio;
struct virtio_io;

#define VIRTIO_QUEUES_MAX 8
#define VIRTIO_CONFIG_MAX 64
#define VIRTIO_FDS	  3 /* of one device: kick, interrupt, host */

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

enum virtio_isr {
	VIRTIO_ISR_QUEUE = 1,
	VIRTIO_ISR_CONFIG = 2,
};

#define VIRTIO_BIT(n)	     (UINT64_C(1) << (n))
#define VIRTIO_INDIRECT_DESC VIRTIO_BIT(28)
#define VIRTIO_EVENT_IDX     VIRTIO_BIT(29)
#define VIRTIO_VERSION_1     VIRTIO_BIT(32)
#define VIRTIO_COMMON                                                          \
	(VIRTIO_INDIRECT_DESC | VIRTIO_EVENT_IDX | VIRTIO_VERSION_1)

/* What stands behind a device; of device_config.virtio. */
struct virtio_options {
	struct virtio_io *io;
	const char *section;		/* "disk.root", for messages */
	int fd;				/* borrowed; -1: none */
	const struct disk_config *disk; /* blk */
	const struct net_config *net;	/* net */
	uint8_t mac[6];
	uint16_t mtu;
	uint64_t rate; /* rng: bytes a second; 0: any */
};

/* What became of one chain. */
enum virtio_done {
	VIRTIO_DONE,  /* give it back */
	VIRTIO_LATER, /* keep it until again_at */
	VIRTIO_HURRY, /* keep it: somebody waits for us */
	VIRTIO_BAD,   /* the driver broke a rule; virtio_bad was called */
};

struct virtio_model {
	uint32_t id; /* virtio 1.2, 5 */
	uint16_t config_len;

	/* Of what the driver took: false refuses FEATURES_OK; or NULL. */
	bool (*accepts)(const struct virtio *v, uint64_t features);
	/* I/O thread, lock held: first act after DRIVER_OK or a load. */
	void (*activate)(struct virtio *v);
	/* The same: serve all queues; true: there is more to do. */
	bool (*run)(struct virtio *v);
	/* Lock held, queues are reset already; or NULL. */
	void (*reset)(struct virtio *v);
	/* The driver wrote configuration space; or NULL. */
	void (*config_write)(struct virtio *v, uint32_t off, int len,
			     uint64_t val);
	/* Of the model's own, behind what all have; or NULL. */
	void (*save)(const struct virtio *v, struct snap_writer *w);
	/* config: what the guest has seen; -EBADMSG and the like, with words.
	 */
	int (*load)(struct virtio *v, struct snap_section *s,
		    const uint8_t *config, struct mote_err *err);
	void (*destroy)(struct virtio *v);
};

/* Counts for metrics; they only rise. */
struct virtio_counts {
	_Atomic uint64_t kicks;	     /* by KVM's eventfd or by an exit */
	_Atomic uint64_t requests;   /* chains that were given back */
	_Atomic uint64_t interrupts; /* raised */
	_Atomic uint64_t resets;     /* DEVICE_NEEDS_RESET was set */
	_Atomic uint64_t dropped;    /* net: frames without a place */
};

struct virtio {
	const struct virtio_model *model;
	struct memslot_table *slots;
	struct virtio_io *io;
	char section[80];
	int kick_fd, irq_fd, host_fd; /* -1: none */
	void *priv;

	/* Under the device's lock. */
	uint64_t
		able; /* features there are; a restored device may offer less */
	uint64_t offered, accepted;
	uint32_t offered_sel, accepted_sel, queue_sel;
	uint32_t generation; /* of config */
	uint8_t config[VIRTIO_CONFIG_MAX];

	_Atomic uint32_t status, isr;
	atomic_uint waiting; /* vCPUs that want the lock */
	atomic_bool poked;   /* look at the queues */

	pthread_mutex_t lock;
	uint16_t queues;
	struct virtqueue vq[VIRTIO_QUEUES_MAX];
	bool active;	   /* DRIVER_OK, and nothing broken */
	bool fresh;	   /* activate is to be called */
	bool raise;	   /* an interrupt may have been lost by a restore */
	bool more;	   /* run said so */
	bool wants_host;   /* call run when host_fd is readable */
	uint64_t again_at; /* ... or at that time; 0: no */

	struct virtio_counts count;
};

/* mmio.c: the bodies of every model's device_ops. */
int virtio_init(struct device *dev, const struct virtio_model *model,
		uint64_t features, uint16_t queues, struct mote_err *err);
void virtio_destroy(struct device *dev);
void virtio_reset(struct device *dev);
uint64_t virtio_read(struct device *dev, int region, uint64_t off, int len);
void virtio_write(struct device *dev, int region, uint64_t off, int len,
		  uint64_t val);
int virtio_quiesce(struct device *dev, struct mote_err *err);
void virtio_resume(struct device *dev);
int virtio_save(struct device *dev, struct snap_writer *w,
		struct mote_err *err);
int virtio_load(struct device *dev, struct snap_section *s,
		struct mote_err *err);

#define VIRTIO_OPS(called, number, prober)                                     \
	{                                                                      \
		.name = (called), .version = (number), .probe = (prober),      \
		.destroy = virtio_destroy, .reset = virtio_reset,              \
		.read = virtio_read, .write = virtio_write,                    \
		.quiesce = virtio_quiesce, .resume = virtio_resume,            \
		.save = virtio_save, .load = virtio_load,                      \
	}

/* Take the lock from the I/O thread, which hurries. */
void virtio_lock(struct virtio *v);
void virtio_unlock(struct virtio *v);

/* I/O thread, lock held: shall a long request stop where it is? */
bool virtio_hurry(const struct virtio *v);

/* Lock held: the driver broke a rule; nothing goes on until it resets. */
void virtio_bad(struct virtio *v, struct virtqueue *q, const char *why);

/* An interrupt of that kind; any thread that may write to its eventfd. */
void virtio_raise(struct virtio *v, enum virtio_isr kind);

/* ... where the driver wants to know of what was given back. */
void virtio_notify(struct virtio *v, struct virtqueue *q);

/*
 * I/O thread, lock held: hand the queue's chains to serve, one pass of at most
 * its size; true: there may be more.  *len: how much was written.
 */
typedef enum virtio_done virtio_serve(struct virtio *v,
				      const struct vq_chain *c, uint32_t *len);
bool virtio_pass(struct virtio *v, struct virtqueue *q, virtio_serve *serve);

/* Room for one pass, of the I/O thread. */
struct virtio_scratch {
	struct vq_chain chain;
	struct iovec iov[VQ_SIZE_MAX + 2];
	uint64_t gpa[VQ_SIZE_MAX + 2];
	uint8_t bytes[65536];
};
struct virtio_scratch *virtio_scratch(const struct virtio *v);

/* CLOCK_MONOTONIC, ns. */
uint64_t virtio_now(void);

#endif
