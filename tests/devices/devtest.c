/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/devtest.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

/* A slot as memslot_add would make it, without the call to KVM. */
static void add_ram(struct memslot_table *t)
{
	size_t page = host_page_size();

	memslot_init(t, -1);
	cr_assert_eq(map_anon(&t->slot[0].ram, page, 0, NULL), 0);
	t->slot[0].dirty = calloc(1, sizeof(uint64_t));
	cr_assert_not_null(t->slot[0].dirty);
}

static void init(struct devtest *d, const char *model, enum bus_space space,
		 uint64_t base, uint64_t size, int irq_fd)
{
	struct mote_err err = {0};

	memset(d, 0, sizeof(*d));
	d->irq_fd = irq_fd;
	cr_assert_eq(event_init(&d->events, NULL), 0);
	cr_assert_eq(pipe2(d->in, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(pipe2(d->out, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(chardev_init(&d->console, d->in[0], d->out[1], &d->events,
				  &d->pace, NULL),
		     0);
	add_ram(&d->slots);
	d->cfg = (struct device_config){
		.space = space,
		.base = base,
		.size = size,
		.events = &d->events,
		.slots = &d->slots,
		.console = &d->console,
		.boot_page = DEVTEST_BOOT_PAGE,
		.irq_fd = irq_fd,
	};
	cr_assert_eq(device_create(&d->dev, model, 0, &d->cfg, &d->bus, &err),
		     0, "%s", err.msg);
}

void devtest_init(struct devtest *d, const char *model, enum bus_space space,
		  uint64_t base, uint64_t size)
{
	init(d, model, space, base, size, 0);
}

void devtest_init_irq(struct devtest *d, const char *model,
		      enum bus_space space, uint64_t base, uint64_t size)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	cr_assert_gt(fd, 0);
	init(d, model, space, base, size, fd);
}

uint64_t devtest_raised(struct devtest *d)
{
	uint64_t n = 0;

	return read(d->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

void devtest_fini(struct devtest *d)
{
	device_destroy(d->dev);
	memslot_fini(&d->slots);
	chardev_fini(&d->console);
	event_fini(&d->events);
	if (d->irq_fd > 0)
		fd_clear(&d->irq_fd);
	for (int i = 0; i < 2; i++) {
		fd_clear(&d->in[i]);
		fd_clear(&d->out[i]);
	}
}

uint64_t devtest_read(struct devtest *d, uint64_t off, int len)
{
	uint64_t val = 0;

	bus_read(&d->bus, d->cfg.space, d->cfg.base + off, len, &val);
	return val;
}

void devtest_write(struct devtest *d, uint64_t off, int len, uint64_t val)
{
	uint32_t wait = 0;

	bus_write(&d->bus, d->cfg.space, d->cfg.base + off, len, val, &wait);
}

void devtest_type(struct devtest *d, const char *text)
{
	cr_assert_eq(fd_write_full(d->in[1], text, strlen(text)), 0);
	cr_assert(chardev_fill(&d->console));
}

const char *devtest_said(struct devtest *d)
{
	static char said[4096];
	ssize_t n;

	chardev_flush(&d->console, false);
	n = read(d->out[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	return said;
}

void devtest_save(struct devtest *d, struct snap_writer *w)
{
	snap_writer_init(w);
	cr_assert_eq(device_save(d->dev, w, NULL), 0);
	cr_assert_eq(snap_writer_finish(w, NULL), 0);
}

static int load(struct devtest *d, struct device *dev, const void *payload,
		size_t len, uint16_t version)
{
	struct snap_reader *r = malloc(sizeof(*r));
	struct mote_err err = {0};
	struct snap_writer w;
	int ret;

	cr_assert_not_null(r);
	snap_writer_init(&w);
	snap_section_begin(&w, d->dev->ops->name, 0, version, SNAP_REQUIRED);
	snap_put_bytes(&w, payload, len);
	snap_section_end(&w);
	cr_assert_eq(snap_writer_finish(&w, NULL), 0);
	cr_assert_eq(snap_reader_init(r, w.buf, w.len, NULL), 0);
	ret = device_load(dev, r, &err);
	cr_expect_eq(ret < 0, err.msg[0] != 0, "%d: \"%s\"", ret, err.msg);
	snap_writer_fini(&w);
	free(r);
	return ret;
}

int devtest_load(struct devtest *d, const void *payload, size_t len)
{
	return load(d, d->dev, payload, len, d->dev->ops->version);
}

int devtest_load_version(struct devtest *d, const void *payload, size_t len,
			 uint16_t version)
{
	return load(d, d->dev, payload, len, version);
}

/* A second device of the model, on a bus of its own. */
static struct device *fresh(struct devtest *d)
{
	static struct bus bus;
	struct device *dev;

	memset(&bus, 0, sizeof(bus));
	cr_assert_eq(
		device_create(&dev, d->dev->ops->name, 0, &d->cfg, &bus, NULL),
		0);
	return dev;
}

static void save_device(struct device *dev, struct snap_writer *w)
{
	snap_writer_init(w);
	cr_assert_eq(device_save(dev, w, NULL), 0);
	cr_assert_eq(snap_writer_finish(w, NULL), 0);
}

void devtest_check_state(struct devtest *d)
{
	const size_t head = 16 + 64; /* of the file and of the section */
	struct snap_writer w, again;
	struct device *dev = fresh(d);
	uint16_t version = d->dev->ops->version;
	uint8_t *payload;
	size_t len;

	devtest_save(d, &w);
	cr_assert_gt(w.len, head);
	len = w.len - head;
	payload = w.buf + head;
	cr_assert_eq(load(d, dev, payload, len, version), 0);
	save_device(dev, &again);
	cr_assert_eq(again.len, w.len);
	cr_expect_arr_eq(again.buf, w.buf, w.len);
	snap_writer_fini(&again);

	for (size_t i = 0; i < len; i++)
		for (int flip = 1; flip < 256; flip++) {
			payload[i] ^= (uint8_t)flip;
			if (load(d, dev, payload, len, version) == 0) {
				save_device(dev, &again);
				cr_expect_arr_eq(again.buf + head, payload, len,
						 "byte %zu ^ %d", i, flip);
				snap_writer_fini(&again);
			}
			payload[i] ^= (uint8_t)flip;
		}
	for (size_t i = 0; i < len; i++)
		cr_expect_eq(load(d, dev, payload, i, version), -EBADMSG,
			     "%zu bytes", i);
	cr_expect_eq(load(d, dev, payload, len, version + 1), -EBADMSG);
	cr_expect_eq(load(d, dev, payload, len, 0), -EBADMSG);
	device_destroy(dev);
	snap_writer_fini(&w);
}
