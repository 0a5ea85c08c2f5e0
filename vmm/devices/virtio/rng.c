/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.c - a virtio entropy device: bytes of getrandom(2), straight into the
 * guest's RAM, at most 64 KiB a request.
 *
 * Threads: the I/O thread, but for probe.  Trust: none.  Source: virtio 1.2,
 * 5.4.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/num.h"
#include "devices/models.h"
#include "devices/virtio/bucket.h"
#include "devices/virtio/virtio.h"

#define REQUEST_MAX 65536u

struct rng {
	struct bucket bytes;
};

/* How many bytes were filled in. */
static uint32_t fill(struct virtio *v, const struct vq_chain *c, uint32_t len)
{
	struct iovec *iov = virtio_scratch(v)->iov;
	int n = vq_map(v->slots, c, true, 0, len, iov);
	uint32_t done = 0;

	for (int i = 0; i < n; i++) {
		ssize_t got;

		do
			got = getrandom(iov[i].iov_base, iov[i].iov_len, 0);
		while (got < 0 && errno == EINTR);
		if (got > 0)
			done += (uint32_t)got;
		if (got < 0 || (size_t)got != iov[i].iov_len)
			break;
	}
	vq_wrote(v->slots, c, 0, done);
	return done;
}

static enum virtio_done serve(struct virtio *v, const struct vq_chain *c,
			      uint32_t *len)
{
	uint32_t want = (uint32_t)num_min(c->write_len, REQUEST_MAX);
	struct rng *r = v->priv;

	if (c->read_len > 0 || want == 0)
		return VIRTIO_BAD;
	if (r->bytes.rate)
		v->again_at = bucket_ready(&r->bytes, want, virtio_now());
	if (v->again_at)
		return VIRTIO_LATER;
	bucket_take(&r->bytes, want);
	*len = fill(v, c, want);
	return VIRTIO_DONE;
}

static bool run(struct virtio *v)
{
	return virtio_pass(v, &v->vq[0], serve);
}

static void rng_destroy(struct virtio *v)
{
	free(v->priv);
}

static const struct virtio_model model = {
	.id = 4,
	.run = run,
	.destroy = rng_destroy,
};

static int rng_probe(struct device *dev, const struct device_config *cfg,
		     struct mote_err *err)
{
	struct rng *r = calloc(1, sizeof(*r));
	struct virtio *v;
	int ret;

	if (!r)
		return err_set(err, ENOMEM, "rng");
	bucket_init(&r->bytes, cfg->virtio->rate, virtio_now());
	ret = virtio_init(dev, &model, 0, 1, err);
	if (ret < 0) {
		free(r);
		return ret;
	}
	v = dev->priv;
	v->priv = r;
	return 0;
}

const struct device_ops virtio_rng_ops = VIRTIO_OPS("virtio-rng", 1, rng_probe);
