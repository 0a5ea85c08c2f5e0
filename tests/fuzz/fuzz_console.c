/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_console.c - any accesses to the three kinds of serial ports, with a
 * host end whose reader comes and goes, types, and takes what was said when
 * it likes; state is saved and loaded, and any bytes are loaded as one.
 *
 * Two plain queues are the model: what was written comes out in order, what
 * was typed goes in, and what is lost is what does not fit.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/num.h"
#include "base/trigger.h"
#include "devices/chardev.h"
#include "devices/device.h"
#include "fuzz/support/fuzz.h"
#include "memory/bus.h"
#include "snapshot/stream.h"

#define H_GET 0x54
#define H_PUT 0x58

enum port {
	PORT_8250,
	PORT_PL011,
	PORT_HVC,
	PORTS,
};

static const struct {
	const char *model;
	enum bus_space space;
	uint64_t base, size;
} port[PORTS] = {
	{"8250", BUS_PIO, 0x3f8, 8},
	{"pl011", BUS_MMIO, 0x9000000, 0x1000},
	{"hvc", BUS_HCALL, H_GET, 5},
};

static struct {
	struct event_queue events;
	struct trigger trigger;
	struct chardev console;
	atomic_bool pace;
	struct bus bus;
	struct device *dev[PORTS];
	enum port port;
	int in[2], out[2];
} g;

/* A queue of bytes that only grows. */
struct queue {
	uint8_t byte[1 << 20];
	size_t head, tail;
};
static struct queue said, typed;

static bool push(struct queue *q, uint8_t byte)
{
	if (q->tail == sizeof(q->byte))
		return false;
	q->byte[q->tail++] = byte;
	return true;
}

static size_t waiting(const struct queue *q)
{
	return q->tail - q->head;
}

static void make(void)
{
	struct mote_err err = {0};

	require(pipe2(g.in, O_CLOEXEC | O_NONBLOCK) == 0, "pipe");
	require(pipe2(g.out, O_CLOEXEC | O_NONBLOCK) == 0, "pipe");
	require(event_init(&g.events, &err) == 0, err.msg);
	require(chardev_init(&g.console, -1, -1, &g.events, &g.pace, &err) == 0,
		err.msg);
	for (int i = 0; i < PORTS; i++) {
		struct device_config cfg = {
			.space = port[i].space,
			.base = port[i].base,
			.size = port[i].size,
			.events = &g.events,
			.console = &g.console,
		};

		require(device_create(&g.dev[i], port[i].model, 0, &cfg, &g.bus,
				      &err) == 0,
			err.msg);
	}
}

static void drain(int fd)
{
	uint8_t buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static void power_on(uint8_t how)
{
	struct chardev *c = &g.console;

	drain(g.in[0]);
	drain(g.out[0]);
	g.port = (enum port)(how % PORTS);
	if (g.dev[g.port]->ops->reset)
		g.dev[g.port]->ops->reset(g.dev[g.port]);
	event_rewind(&g.events);
	trigger_init(&g.trigger, how & 0x80 ? TRIGGER_CONSOLE : TRIGGER_NEVER,
		     "abab", &g.events);
	/* As chardev_init leaves it, without the cost of a buffer. */
	c->in_fd = g.in[0];
	c->out_fd = how & 4 ? -1 : g.out[1];
	c->keep = how & 8;
	c->out_failed = false;
	c->out_head = c->out_len = c->in_head = c->in_len = 0;
	c->dropped = 0;
	c->trigger = &g.trigger;
	atomic_store(&g.pace, false);
	said.head = said.tail = typed.head = typed.tail = 0;
}

/* --- the model --------------------------------------------------------------
 */

/* The guest says a byte. */
static void model_put(uint8_t byte)
{
	bool read = g.console.out_fd >= 0;

	if (!read && !g.console.keep)
		return;
	if (waiting(&said) == CHARDEV_OUT) {
		if (read)
			return;
		said.head++;
	}
	push(&said, byte);
}

static uint8_t model_get(void)
{
	return waiting(&typed) ? typed.byte[typed.head++] : 0;
}

/* --- steps ------------------------------------------------------------------
 */

static void say(struct input *in)
{
	static uint8_t text[16384];
	size_t len = take(in, 2) % sizeof(text), n;
	uint8_t first = (uint8_t)take(in, 1);

	for (size_t i = 0; i < len; i++)
		text[i] = (uint8_t)(first + i * (1 + (first & 6)));
	n = chardev_write(&g.console, text, len);
	require(n <= len, "more than there was");
	require(n == len || g.console.out_len == CHARDEV_OUT, "room was left");
	for (size_t i = 0; i < n; i++)
		model_put(text[i]);
}

static void type(struct input *in)
{
	uint8_t text[64];
	size_t len = take(in, 1) % sizeof(text) + 1;
	uint8_t times = (uint8_t)take(in, 1);

	take_bytes(in, text, len);
	if (g.console.in_fd < 0)
		return;
	for (int i = 0; i <= times; i++) {
		if (waiting(&typed) + len > CHARDEV_IN)
			break;
		require(write(g.in[1], text, len) == (ssize_t)len, "typing");
		require(chardev_fill(&g.console), "the end of the input");
		for (size_t k = 0; k < len; k++)
			push(&typed, text[k]);
	}
}

/* What comes out is what was said first. */
static void listen_to(bool flush)
{
	static uint8_t buf[65536];
	ssize_t n;

	if (flush)
		chardev_flush(&g.console, false);
	while ((n = read(g.out[0], buf, sizeof(buf))) > 0) {
		require((size_t)n <= waiting(&said), "more than was said");
		require(!memcmp(buf, said.byte + said.head, (size_t)n),
			"something else than was said");
		said.head += (size_t)n;
	}
}

static void attach(struct input *in)
{
	listen_to(false);
	if (take(in, 1) % 2)
		chardev_attach(&g.console, g.in[0], g.out[1]);
	else
		chardev_attach(&g.console, -1, -1);
}

static void access_8250(struct input *in)
{
	uint64_t reg = take(in, 1) % 10, val = 0;
	int len = take(in, 1) % 8 ? 1 : take_width(in);
	bool inside = reg + (uint64_t)len <= port[PORT_8250].size;
	uint64_t at = port[PORT_8250].base + reg, lcr = 0, mcr = 0;
	uint32_t wait = 0;

	bus_read(&g.bus, BUS_PIO, port[PORT_8250].base + 3, 1, &lcr);
	bus_read(&g.bus, BUS_PIO, port[PORT_8250].base + 4, 1, &mcr);
	if (take(in, 1) % 2) {
		require(bus_read(&g.bus, BUS_PIO, at, len, &val) == inside,
			"who answers");
		if (reg == 0 && len == 1 && !(lcr & 0x80))
			require(val == model_get(), "another byte was typed");
		require((val & ~ones(len)) == 0, "more than was asked for");
		return;
	}
	val = take(in, 1);
	require(bus_write(&g.bus, BUS_PIO, at, len, val, &wait) == inside,
		"who answers");
	/* Looped back nobody hears it. */
	if (reg == 0 && len == 1 && !(lcr & 0x80) && !(mcr & 0x10))
		model_put((uint8_t)val);
}

static void access_pl011(struct input *in)
{
	uint64_t reg = take(in, 1), val = 0;
	uint64_t off = reg < 0xc0 ? reg % 24 * 4 : 0xfd0 + reg % 0x40;
	int len = take_width(in);
	bool inside = off + (uint64_t)len <= port[PORT_PL011].size;
	uint64_t at = port[PORT_PL011].base + off;
	uint32_t wait = 0;

	if (take(in, 1) % 2) {
		require(bus_read(&g.bus, BUS_MMIO, at, len, &val) == inside,
			"who answers");
		if (off == 0)
			require(val == model_get(), "another byte was typed");
		require((val & ~ones(len)) == 0, "more than was asked for");
		return;
	}
	val = take(in, 4);
	require(bus_write(&g.bus, BUS_MMIO, at, len, val, &wait) == inside,
		"who answers");
	if (off == 0)
		model_put((uint8_t)val);
}

static void access_hvc(struct input *in)
{
	uint64_t nr = take(in, 1) % 2 ? H_PUT : H_GET;
	uint64_t args[BUS_HCALL_ARGS] = {0, take(in, 1) % 20, take(in, 8),
					 take(in, 8)};
	uint64_t word[2] = {args[2], args[3]}, len = args[1];
	uint32_t wait = 0;
	int64_t status = 0;

	if (take(in, 1) > 240)
		args[1] = len = take(in, 8);
	require(bus_hcall(&g.bus, nr, args, &status, &wait), "nobody answers");
	if (nr == H_PUT) {
		require((status == 0) == (len <= 16), "a status");
		for (uint64_t i = 0; status == 0 && i < len; i++)
			model_put((uint8_t)(word[i / 8] >> (56 - i % 8 * 8)));
		return;
	}
	require(status == 0 && args[0] <= 16, "a length");
	require(args[0] == num_min(waiting(&typed), 16), "another length");
	for (uint64_t i = 0; i < args[0]; i++)
		require((uint8_t)(args[1 + i / 8] >> (56 - i % 8 * 8)) ==
				model_get(),
			"another byte was typed");
}

static struct snap_reader reader;

static void write_state(struct snap_writer *w)
{
	snap_writer_init(w);
	require(device_save(g.dev[g.port], w, NULL) == 0, "a save");
	snap_section_begin(w, "console", 0, 1, SNAP_REQUIRED);
	require(chardev_save(&g.console, w) == 0, "a save");
	snap_section_end(w);
	require(snap_writer_finish(w, NULL) == 0, "a state");
}

static int read_state(const struct snap_writer *w)
{
	struct mote_err err = {0};
	struct snap_section s;
	int ret;

	require(snap_reader_init(&reader, w->buf, w->len, &err) == 0, err.msg);
	ret = device_load(g.dev[g.port], &reader, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	if (ret == 0)
		ret = snap_section_open(&reader, "console", 0, &s, &err);
	if (ret == 0)
		ret = chardev_load(&g.console, &s);
	return ret < 0 ? ret : snap_section_close(&s, &err);
}

static void save_and_load(void)
{
	struct snap_writer w, again;

	write_state(&w);
	require(read_state(&w) == 0, "its own state");
	if (g.console.out_fd >= 0 || g.console.keep) {
		write_state(&again);
		require(w.len == again.len && !memcmp(w.buf, again.buf, w.len),
			"another state");
		snap_writer_fini(&again);
	}
	snap_writer_fini(&w);
}

/* Any bytes, or lengths that lie: taken or not, this machine ends. */
static bool load_any(struct input *in)
{
	uint32_t lens[2] = {(uint32_t)take(in, 3), (uint32_t)take(in, 3)};
	size_t more = take(in, 1);
	struct snap_writer w;

	snap_writer_init(&w);
	if (g.port != PORT_HVC) {
		snap_section_begin(&w, port[g.port].model, 0, 1, SNAP_REQUIRED);
		for (size_t n = g.port == PORT_8250 ? 6 : 24; n > 0; n--)
			snap_put_u8(&w, (uint8_t)take(in, 1));
		snap_section_end(&w);
	}
	snap_section_begin(&w, "console", 0, 1, SNAP_REQUIRED);
	for (int i = 0; i < 2; i++) {
		snap_put_u32(&w, lens[i]);
		for (uint32_t n = 0; n < lens[i] && n < 70000; n += 1000) {
			static uint8_t text[1000];

			snap_put_bytes(&w, text, num_min(lens[i] - n, 1000));
		}
	}
	while (more-- > 250)
		snap_put_u8(&w, 0);
	snap_section_end(&w);
	require(snap_writer_finish(&w, NULL) == 0, "a state");
	if (read_state(&w) == 0)
		require(lens[0] <= CHARDEV_OUT && lens[1] <= CHARDEV_IN,
			"more than its buffers hold");
	snap_writer_fini(&w);
	return false;
}

static bool step(struct input *in)
{
	static void (*const access_it[PORTS])(struct input *) = {
		access_8250, access_pl011, access_hvc};
	uint64_t what = take(in, 1) % 16;

	if (what < 8)
		access_it[g.port](in);
	else if (what < 10)
		say(in);
	else if (what == 10)
		type(in);
	else if (what == 11)
		listen_to(true);
	else if (what == 12)
		attach(in);
	else if (what == 13)
		save_and_load();
	else if (what == 14)
		return load_any(in);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	bool sound = true;
	uint64_t dropped, pending;

	if (!g.dev[0])
		make();
	power_on((uint8_t)take(&in, 1));
	while (in.at < in.end && sound) {
		sound = step(&in);
		require(g.console.out_len <= CHARDEV_OUT &&
				g.console.in_len <= CHARDEV_IN,
			"a ring holds more than it can");
	}
	chardev_counts(&g.console, &dropped, &pending);
	if (!sound)
		return 0;
	while (g.console.out_fd >= 0 && waiting(&said)) {
		size_t was = waiting(&said);

		listen_to(true);
		require(waiting(&said) < was, "what was said does not come");
	}
	return 0;
}
