/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/pager.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"

/* Linux 6.1; the headers of older systems lack it. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define RANGES_MAX 4
#define MSGS	   16

struct range {
	uintptr_t addr;
	uint64_t size;
	uint64_t off;	/* of its first byte, through all ranges */
	uint64_t *done; /* a bit a block */
};

struct pager {
	int uffd, stop_fd;
	uint64_t block;
	struct pager_ops ops;
	struct range range[RANGES_MAX];
	int ranges;
	uint64_t size;
	struct map buf; /* one block */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* failed, err */
	bool failed;
	struct mote_err err;
};

/* --- opening ---------------------------------------------------------------
 */

/* By the device: the right to open it is all that it takes. */
static int open_device(int *code)
{
	cleanup_fd int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd = dev < 0 ? -1
			 : ioctl(dev, USERFAULTFD_IOC_NEW,
				 O_CLOEXEC | O_NONBLOCK);

	*code = fd < 0 ? errno : 0;
	return fd;
}

int pager_open(struct mote_err *err)
{
	struct uffdio_api api = {.api = UFFD_API};
	int device, call = 0;
	cleanup_fd int fd = open_device(&device);

	if (fd < 0) {
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
		call = fd < 0 ? errno : 0;
	}
	if (fd < 0)
		return err_set_class(
			err, call, ERR_CLASS_UNAVAILABLE,
			"userfaultfd: /dev/userfaultfd: %s; userfaultfd(2): "
			"%s: it takes the right to read and write that "
			"device, or vm.unprivileged_userfaultfd=1",
			strerror(device), strerror(call));
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return err_set_class(err, errno, ERR_CLASS_UNAVAILABLE,
				     "userfaultfd: UFFDIO_API: %s",
				     strerror(errno));
	return fd_steal(&fd);
}

/* --- the pager's thread ----------------------------------------------------
 */

static struct range *find(struct pager *p, uintptr_t addr)
{
	for (int i = 0; i < p->ranges; i++)
		if (addr >= p->range[i].addr &&
		    addr - p->range[i].addr < p->range[i].size)
			return &p->range[i];
	return NULL;
}

static void wake(struct pager *p, uintptr_t addr, uint64_t len)
{
	struct uffdio_range r = {.start = addr, .len = len};

	ioctl(p->uffd, UFFDIO_WAKE, &r);
}

/* One call; *done: bytes that are there now.  0 or -errno. */
static int put_once(struct pager *p, uintptr_t to, const char *from,
		    uint64_t len, uint64_t *done)
{
	struct uffdio_copy copy = {
		.dst = to, .src = (uintptr_t)from, .len = len};
	struct uffdio_zeropage zero = {.range = {to, len}};
	int ret = from ? ioctl(p->uffd, UFFDIO_COPY, &copy)
		       : ioctl(p->uffd, UFFDIO_ZEROPAGE, &zero);
	int64_t n = from ? copy.copy : zero.zeropage;
	int code = ret < 0 ? errno : 0;

	*done = n > 0 ? (uint64_t)n : 0;
	return -code;
}

/*
 * Put len bytes at to and wake who waits there; from NULL: zeros.  A page
 * that is there already stays.
 */
static int put(struct pager *p, uintptr_t to, const char *from, uint64_t len)
{
	while (len > 0) {
		uint64_t done;
		int ret = put_once(p, to, from, len, &done);

		if (ret == -EEXIST) {
			done = host_page_size();
			wake(p, to, done);
		} else if (ret < 0 && ret != -EAGAIN) {
			return ret;
		}
		to += done;
		from = from ? from + done : NULL;
		len -= done;
	}
	return 0;
}

/* Pages of zeros take no memory until somebody writes to them. */
static int put_block(struct pager *p, uintptr_t to, uint64_t len)
{
	const char *from = p->buf.addr;
	size_t page = host_page_size();

	for (uint64_t at = 0, end; at < len; at = end) {
		bool zero = mem_is_zero(from + at, page);
		int ret;

		end = at + page;
		while (end < len && mem_is_zero(from + end, page) == zero)
			end += page;
		ret = put(p, to + at, zero ? NULL : from + at, end - at);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static void fail(struct pager *p, const struct mote_err *err)
{
	pthread_mutex_lock(&p->lock);
	p->err = *err;
	p->failed = true;
	pthread_mutex_unlock(&p->lock);
	p->ops.failed(p->ops.owner);
}

static int fill_block(struct pager *p, struct range *r, uint64_t i,
		      struct mote_err *err)
{
	uint64_t at = i * p->block, len = num_min(p->block, r->size - at);
	int ret =
		p->ops.fill(p->ops.source, r->off + at, len, p->buf.addr, err);

	if (ret < 0)
		return ret;
	ret = put_block(p, r->addr + at, len);
	if (ret < 0)
		return err_set(err, -ret,
			       "userfaultfd: memory at offset %" PRIu64 ": %s",
			       r->off + at, strerror(-ret));
	bitmap_set(r->done, i);
	return 0;
}

static void serve(struct pager *p, uintptr_t addr)
{
	uint64_t page = host_page_size();
	struct range *r = find(p, addr);
	struct mote_err err = {0};
	uint64_t i;

	addr &= ~(uintptr_t)(page - 1);
	if (!r) {
		wake(p, addr, page);
		return;
	}
	i = (addr - r->addr) / p->block;
	if (!p->failed && !bitmap_test(r->done, i)) {
		if (fill_block(p, r, i, &err) == 0)
			return;
		fail(p, &err);
	}
	/*
	 * It is there (another's fault came first), was given back since, or
	 * nobody is to go on with it.
	 */
	put(p, addr, NULL, page);
}

static void *thread_main(void *arg)
{
	struct pager *p = arg;
	struct pollfd fds[2] = {{.fd = p->uffd, .events = POLLIN},
				{.fd = p->stop_fd, .events = POLLIN}};
	int ret = p->ops.enter ? p->ops.enter(p->ops.opaque, p->uffd) : 0;

	if (ret < 0) {
		struct mote_err err = {0};

		err_set(&err, -ret, "pager: seccomp filter: %s",
			strerror(-ret));
		fail(p, &err);
	}
	for (;;) {
		struct uffd_msg msg[MSGS];
		ssize_t n;

		/* Without memory too: who waits for a page has nobody else. */
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			return NULL;
		n = read(p->uffd, msg, sizeof(msg));
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(msg[0]); i++)
			if (msg[i].event == UFFD_EVENT_PAGEFAULT)
				serve(p,
				      (uintptr_t)msg[i].arg.pagefault.address);
	}
}

/* --- the VM thread ---------------------------------------------------------
 */

int pager_create(struct pager **out, int uffd, uint64_t block,
		 const struct pager_ops *ops, struct mote_err *err)
{
	struct pager *p = calloc(1, sizeof(*p));
	int ret;

	*out = NULL;
	assert(block >= host_page_size() && !(block & (block - 1)));
	if (!p)
		return err_set(err, ENOMEM, "pager");
	p->block = block;
	p->ops = *ops;
	pthread_mutex_init(&p->lock, NULL);
	p->uffd = fcntl(uffd, F_DUPFD_CLOEXEC, 3);
	p->stop_fd = eventfd(0, EFD_CLOEXEC);
	ret = p->uffd < 0 || p->stop_fd < 0
		      ? err_set(err, errno, "pager: %s", strerror(errno))
		      : map_anon(&p->buf, block, 0, err);
	if (ret < 0) {
		pager_destroy(p);
		return ret;
	}
	*out = p;
	return 0;
}

int pager_add(struct pager *p, const struct map *ram, struct mote_err *err)
{
	struct uffdio_register reg = {
		.range = {(uintptr_t)ram->addr, ram->size},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct range *r = &p->range[p->ranges];

	assert(!p->has_thread && p->ranges < RANGES_MAX);
	*r = (struct range){.addr = (uintptr_t)ram->addr,
			    .size = ram->size,
			    .off = p->size};
	r->done = calloc(bitmap_words(ram->size / p->block + 1),
			 sizeof(*r->done));
	if (!r->done)
		return err_set(err, ENOMEM, "pager");
	p->ranges++;
	p->size += ram->size;
	if (ioctl(p->uffd, UFFDIO_REGISTER, &reg) < 0)
		return err_set_class(err, errno, ERR_CLASS_UNAVAILABLE,
				     "userfaultfd: UFFDIO_REGISTER: %s",
				     strerror(errno));
	return 0;
}

int pager_start(struct pager *p, struct mote_err *err)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&p->thread, NULL, thread_main, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret != 0)
		return err_set(err, ret, "pager: thread: %s", strerror(ret));
	p->has_thread = true;
	return 0;
}

bool pager_failed(struct pager *p, struct mote_err *err)
{
	bool failed;

	pthread_mutex_lock(&p->lock);
	failed = p->failed;
	if (failed && err)
		*err = p->err;
	pthread_mutex_unlock(&p->lock);
	return failed;
}

void pager_end(struct pager *p)
{
	const uint64_t one = 1;

	if (!p)
		return;
	if (p->has_thread) {
		fd_write_full(p->stop_fd, &one, sizeof(one));
		pthread_join(p->thread, NULL);
		p->has_thread = false;
	}
	for (int i = 0; i < p->ranges; i++) {
		struct uffdio_range r = {p->range[i].addr, p->range[i].size};

		/* The descriptor may have another owner; who waits goes on. */
		ioctl(p->uffd, UFFDIO_UNREGISTER, &r);
		free(p->range[i].done);
	}
	p->ranges = 0;
}

void pager_destroy(struct pager *p)
{
	if (!p)
		return;
	pager_end(p);
	fd_clear(&p->uffd);
	fd_clear(&p->stop_fd);
	map_fini(&p->buf);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
