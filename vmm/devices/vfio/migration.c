/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vfio/migration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/fdroom.h"
#include "base/num.h"
#include "devices/vfio/device.h"

#define BLOB_FIRST (UINT64_C(64) << 10)

static const char *const names[] = {
	"ERROR",    "STOP",	   "RUNNING",  "STOP_COPY",
	"RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P",
};

int vfio_mig_init(struct vfio_mig *m, struct vfio_dev *dev, size_t max,
		  struct mote_err *err)
{
	*m = (struct vfio_mig){.dev = dev, .data_fd = -1, .max = max};
	if (!(dev->states & VFIO_MIGRATION_STOP_COPY))
		return err_set(err, ENOTSUP,
			       "VFIO device %s: its driver cannot save its "
			       "state",
			       dev->name);
	return 0;
}

void vfio_mig_fini(struct vfio_mig *m)
{
	fd_clear(&m->data_fd);
	free(m->blob);
	m->blob = NULL;
	m->len = m->cap = 0;
}

int vfio_mig_state(struct vfio_mig *m)
{
	struct vfio_device_feature_mig_state s = {.data_fd = -1};
	int ret = vfio_feature(m->dev->fd,
			       VFIO_DEVICE_FEATURE_GET |
				       VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
			       &s, sizeof(s));

	return ret < 0 ? ret : (int)s.device_state;
}

/* The kernel walks the arcs between; a new data descriptor replaces the old. */
static int set_state(struct vfio_mig *m, enum vfio_mig_state state,
		     struct mote_err *err)
{
	struct vfio_device_feature_mig_state s = {.device_state = state,
						  .data_fd = -1};
	int ret;

	fd_room_open(1); /* for that descriptor, behind a jail */
	ret = vfio_feature(m->dev->fd,
			   VFIO_DEVICE_FEATURE_SET |
				   VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
			   &s, sizeof(s));
	fd_room_shut();
	if (ret < 0)
		return err_set(err, -ret, "VFIO device %s: to state %s: %s",
			       m->dev->name, names[state], strerror(-ret));
	if (s.data_fd >= 0) {
		fd_clear(&m->data_fd);
		m->data_fd = s.data_fd;
	}
	return 0;
}

int vfio_mig_run(struct vfio_mig *m, struct mote_err *err)
{
	int ret = set_state(m, MIG_RUNNING, err);

	fd_clear(&m->data_fd);
	if (ret == 0)
		return 0;
	/* Out of ERROR, or of a state that it cannot leave, by reset alone. */
	ret = vfio_dev_reset(m->dev, err);
	if (ret == 0 && vfio_mig_state(m) != MIG_RUNNING)
		ret = set_state(m, MIG_RUNNING, err);
	return ret < 0 ? ret : 1;
}

static int grow(struct vfio_mig *m, struct mote_err *err)
{
	size_t cap = m->cap ? 2 * m->cap : BLOB_FIRST;
	uint8_t *p;

	if (m->len < m->cap)
		return 0;
	/* One byte more than allowed, to tell full from too much. */
	cap = num_min(cap, m->max + 1);
	if (m->len > m->max)
		return err_set(err, EFBIG,
			       "VFIO device %s: its state is larger than %zu "
			       "bytes",
			       m->dev->name, m->max);
	p = realloc(m->blob, cap);
	if (!p)
		return err_set(err, ENOMEM,
			       "VFIO device %s: %zu bytes of state",
			       m->dev->name, cap);
	m->blob = p;
	m->cap = cap;
	return 0;
}

/*
 * Up to most bytes of what is there: a device that runs may never come to an
 * end.  ENOMSG is pre-copy's word for nothing more for now.
 */
static int read_some(struct vfio_mig *m, uint64_t most, struct mote_err *err)
{
	while (most > 0) {
		int ret = grow(m, err);
		ssize_t n;

		if (ret < 0)
			return ret;
		n = read(m->data_fd, m->blob + m->len,
			 num_min(m->cap - m->len, most));
		if (n == 0 || (n < 0 && errno == ENOMSG))
			break;
		if (n < 0 && errno != EINTR)
			return err_set(err, errno,
				       "VFIO device %s: read its state at %zu: "
				       "%s",
				       m->dev->name, m->len, strerror(errno));
		m->len += n > 0 ? (size_t)n : 0;
		most -= n > 0 ? (uint64_t)n : 0;
	}
	return m->len > m->max ? grow(m, err) : 0;
}

static int bytes_left(struct vfio_mig *m, uint64_t *left, struct mote_err *err)
{
	struct uapi_precopy_info info = {.argsz = sizeof(info)};
	int ret = VFIO_CALL(m->data_fd, VFIO_MIG_GET_PRECOPY_INFO, &info, err);

	*left = info.initial_bytes + info.dirty_bytes;
	return ret;
}

int vfio_mig_precopy(struct vfio_mig *m, uint64_t *left, struct mote_err *err)
{
	int ret = 0;

	*left = 0;
	if (!(m->dev->states & VFIO_MIGRATION_PRE_COPY)) {
		vfio_feature(m->dev->fd,
			     VFIO_DEVICE_FEATURE_GET |
				     VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
			     left, sizeof(*left));
		return 0;
	}
	if (m->data_fd < 0) {
		m->len = 0;
		ret = set_state(m, MIG_PRE_COPY, err);
	}
	if (ret == 0)
		ret = bytes_left(m, left, err);
	if (ret == 0)
		ret = read_some(m, *left, err);
	if (ret == 0)
		ret = bytes_left(m, left, err);
	if (ret < 0)
		vfio_mig_run(m, NULL);
	return ret;
}

/* After a failure, ret: what it cost is told. */
static int run_all(struct vfio_mig *m, int n, int ret, struct mote_err *err)
{
	int bad = 0;

	for (int i = 0; i < n; i++)
		bad |= vfio_mig_run(&m[i], NULL);
	return bad ? err_wrap(err, ret, "a device lost what it was doing")
		   : ret;
}

int vfio_mig_stop(struct vfio_mig *m, int n, struct mote_err *err)
{
	int ret = 0;

	for (int i = 0; i < n; i++) {
		bool p2p = m[i].dev->states & VFIO_MIGRATION_P2P;

		if (n > 1 && !p2p)
			return err_set(
				err, ENOTSUP,
				"VFIO device %s cannot be quiesced beside "
				"others (no P2P)",
				m[i].dev->name);
	}
	/* None may write to a device that no longer takes it. */
	for (int i = 0; ret == 0 && n > 1 && i < n; i++)
		ret = set_state(&m[i],
				m[i].data_fd >= 0 ? MIG_PRE_COPY_P2P
						  : MIG_RUNNING_P2P,
				err);
	for (int i = 0; ret == 0 && i < n; i++) {
		if (m[i].data_fd < 0)
			m[i].len = 0;
		ret = set_state(&m[i], MIG_STOP_COPY, err);
	}
	return ret < 0 ? run_all(m, n, ret, err) : 0;
}

int vfio_mig_take(struct vfio_mig *m, int n, struct mote_err *err)
{
	int ret = 0;

	for (int i = 0; ret == 0 && i < n; i++) {
		ret = read_some(&m[i], UINT64_MAX, err);
		if (ret == 0)
			ret = set_state(&m[i], MIG_STOP, err);
		fd_clear(&m[i].data_fd);
	}
	return ret < 0 ? run_all(m, n, ret, err) : 0;
}

static int write_all(struct vfio_mig *m, const uint8_t *blob, size_t len,
		     struct mote_err *err)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(m->data_fd, blob + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, n ? errno : EIO,
				       "VFIO device %s: write its state at %zu "
				       "of %zu: %s",
				       m->dev->name, at, len,
				       n ? strerror(errno) : "nothing taken");
		at += (size_t)n;
	}
	return 0;
}

int vfio_mig_load(struct vfio_mig *m, const void *blob, size_t len,
		  struct mote_err *err)
{
	int ret = set_state(m, MIG_RESUMING, err);

	/*
	 * A STOP after a write that failed may succeed, with half a state: so
	 * it is not asked for then.
	 */
	if (ret == 0)
		ret = write_all(m, blob, len, err);
	if (ret == 0)
		ret = set_state(m, MIG_STOP, err);
	fd_clear(&m->data_fd);
	if (ret < 0 && vfio_dev_reset(m->dev, NULL) < 0)
		vfio_mig_run(m, NULL);
	return ret;
}
