/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_hvt.c - any sequence of hypercalls, and any memory they point to, of
 * a Solo5 guest with a disk and a network.
 *
 * The input is a list of steps: put bytes into guest RAM, make a call, look
 * after a pending one, kick, let a frame arrive, save and load.  The guest's
 * RAM lies between two fences; its read-only part, its disk's size and what
 * is outside stay as they are.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/hvt_abi.h"
#include "base/map.h"
#include "devices/chardev.h"
#include "devices/device.h"
#include "devices/hvt.h"
#include "devices/models.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"
#include "snapshot/stream.h"

#define RAM	  (64u << 10)
#define FENCE	  (64u << 10) /* on both sides; any page size */
#define BASE	  0x10000ull
#define DISK_SIZE 8192
#define SECTOR	  512
#define TEXT	  0x5a /* what the read-only page holds */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	uint8_t *ram; /* fence, RAM, fence */
	struct memslot_table slots;
	struct event_queue events;
	struct chardev console;
	atomic_bool pace;
	struct device dev;
	int disk, net[2];
	bool short_wait; /* the pending call ends by itself, soon */
} g;

static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* --- the machine: everything but KVM ---------------------------------------
 */

static void make_ram(void)
{
	struct memslot *s = &g.slots.slot[0];
	struct mote_err err = {0};
	struct map m = {0};

	require(map_anon(&m, RAM + 2 * FENCE, 0, &err) == 0, "RAM");
	g.ram = (uint8_t *)m.addr + FENCE;
	require(mprotect(m.addr, FENCE, PROT_NONE) == 0, "fence");
	require(mprotect(g.ram + RAM, FENCE, PROT_NONE) == 0, "fence");
	memset(&g.slots, 0, sizeof(g.slots));
	g.slots.vm_fd = -1;
	s->gpa = BASE;
	s->ram = (struct map){.addr = g.ram, .size = RAM};
	s->fd = -1;
	s->dirty = calloc(RAM / 4096 / 64 + 1, sizeof(uint64_t));
	require(s->dirty != NULL, "bitmap");
}

/* Once for the process: what a guest can't break is used again. */
static void make_host(void)
{
	struct mote_err err = {0};

	make_ram();
	g.disk = memfd_create("disk", MFD_CLOEXEC);
	require(g.disk >= 0 && ftruncate(g.disk, DISK_SIZE) == 0, "disk");
	require(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			   0, g.net) == 0,
		"network");
	require(event_init(&g.events, &err) == 0, "events");
	require(chardev_init(&g.console, -1, -1, &g.events, &g.pace, &err) == 0,
		"console");
}

static const struct solo5_mft manifest = {
	.version = SOLO5_MFT_VERSION,
	.entries = 3,
	.e = {{.type = SOLO5_RESERVED_FIRST},
	      {.name = "disk", .type = SOLO5_BLOCK},
	      {.name = "net", .type = SOLO5_NET}},
};

static void attach(struct device *dev)
{
	static const uint8_t mac[6] = {2};
	struct mote_err err = {0};
	int base;

	require(hvt_attach_block(dev, 1, g.disk, DISK_SIZE, SECTOR, &err) == 0,
		err.msg);
	require(hvt_attach_net(dev, 2, g.net[0], mac, 1500, &err) == 0,
		err.msg);
	require(hvt_seal(dev, &base, &err) == 0, err.msg);
	require(base % FD_BLOCK == 0 && base > 0, "block of descriptors");
}

static void make_device(struct device *dev, enum bus_space space)
{
	struct mote_err err = {0};

	memset(dev, 0, sizeof(*dev));
	dev->ops = &hvt_ops;
	dev->cfg = (struct device_config){
		.space = space,
		.events = &g.events,
		.slots = &g.slots,
		.console = &g.console,
	};
	require(hvt_ops.probe(dev, &dev->cfg, &err) == 0, err.msg);
}

static void power_on(enum bus_space space)
{
	require(mprotect(g.ram, RAM, PROT_READ | PROT_WRITE) == 0, "RAM");
	memset(g.ram, 0, RAM);
	memset(g.ram, TEXT, host_page_size());
	g.slots.readonlys = 0;
	require(guest_protect(&g.slots, BASE, host_page_size()) == 0,
		"protect");
	atomic_store(&g.events.over, false);
	event_take(&g.events);
	make_device(&g.dev, space);
	hvt_set_manifest(&g.dev, &manifest);
	attach(&g.dev);
}

/* --- steps -----------------------------------------------------------------
 */

struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)(in->at < in->end ? *in->at++ : 0) << 8 * i;
	return v;
}

/* An address: mostly inside RAM, sometimes any. */
static uint64_t take_gpa(struct input *in)
{
	uint64_t v = take(in, 4);

	if (v >> 24 < 8)
		return take(in, 8);
	return BASE + v % (RAM + 64);
}

static void put_bytes(struct input *in)
{
	uint8_t buf[64];
	uint64_t gpa = take_gpa(in);
	size_t len = take(in, 1) % sizeof(buf) + 1;

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)take(in, 1);
	guest_write(&g.slots, gpa, buf, len);
}

/* A block or network call as a guest would make it, in most fields. */
static void put_call(struct input *in)
{
	uint64_t gpa = BASE + host_page_size() + take(in, 2) % 4096;
	struct hvt_block c = {
		.handle = take(in, 1) % 4,
		.offset = take(in, 2),
		.data = take_gpa(in),
		.len = take(in, 2),
	};

	uint64_t nr = take(in, 1) % HVT_CALLS;

	guest_write(&g.slots, gpa, &c, sizeof(c));
	/* Its timeout is the handle above: nanoseconds. */
	g.short_wait = nr == HVT_POLL;
	hvt_ops.write(&g.dev, 0, nr << (g.dev.cfg.space == BUS_MMIO ? 3 : 0), 4,
		      gpa);
}

static void call(struct input *in)
{
	static const int widths[] = {4, 4, 4, 4, 4, 1, 2, 8};
	uint64_t off = take(in, 1) % 80;
	int len = widths[take(in, 1) % 8];

	if (!hvt_pending(&g.dev))
		g.short_wait = false;
	hvt_ops.write(&g.dev, 0, off, len, take_gpa(in) & UINT32_MAX);
}

/*
 * A pending call ends, or is kicked out of: nobody may wait for ever here, so
 * the kick is there before a wait that may be long.
 */
static void wait_or_kick(void)
{
	int kick = hvt_kick_fd(&g.dev);
	eventfd_t count;

	if (!hvt_pending(&g.dev))
		return;
	if (g.short_wait) {
		require(hvt_wait(&g.dev), "kicked by nobody");
		require(!hvt_pending(&g.dev), "done, and still pending");
		return;
	}
	eventfd_write(kick, 1);
	if (hvt_wait(&g.dev))
		require(!hvt_pending(&g.dev), "done, and still pending");
	eventfd_read(kick, &count);
}

static void frame_in(struct input *in)
{
	uint8_t frame[128];
	size_t len = take(in, 1) % sizeof(frame);

	memset(frame, (int)take(in, 1), sizeof(frame));
	if (send(g.net[1], frame, len, 0) < 0)
		return; /* full */
}

static void save_and_load(void)
{
	struct mote_err err = {0};
	struct snap_writer w;
	struct device other;
	struct snap_reader r;
	struct snap_section s;
	bool pending = hvt_pending(&g.dev);
	int protections = g.slots.readonlys;

	snap_writer_init(&w);
	snap_section_begin(&w, "hvt", 0, hvt_ops.version, SNAP_REQUIRED);
	require(hvt_ops.save(&g.dev, &w, &err) == 0, err.msg);
	snap_section_end(&w);
	require(snap_writer_finish(&w, &err) == 0, err.msg);
	require(snap_reader_init(&r, w.buf, w.len, &err) == 0, err.msg);
	make_device(&other, g.dev.cfg.space);
	require(snap_section_open(&r, "hvt", 0, &s, &err) == 0, err.msg);
	g.slots.readonlys = 0; /* a machine that is built anew */
	require(hvt_ops.load(&other, &s, &err) == 0, err.msg);
	require(snap_section_close(&s, &err) == 0, err.msg);
	require(g.slots.readonlys == protections, "protections");
	attach(&other);
	hvt_ops.destroy(&g.dev);
	g.dev = other;
	require(hvt_pending(&g.dev) == pending, "a pending call is lost");
	snap_writer_fini(&w);
}

static void step(struct input *in)
{
	switch (take(in, 1) % 8) {
	case 0:
	case 1:
		put_bytes(in);
		break;
	case 2:
	case 3:
		if (!hvt_pending(&g.dev))
			put_call(in);
		break;
	case 4:
		call(in);
		break;
	case 5:
		wait_or_kick();
		break;
	case 6:
		frame_in(in);
		break;
	default:
		save_and_load();
	}
}

static void check(void)
{
	const uint8_t *text = g.ram;
	struct mote_err err = {0};
	char frame[2048];

	for (size_t i = 0; i < host_page_size(); i++)
		require(text[i] == TEXT, "what must not be written was");
	require(fd_size(g.disk) == DISK_SIZE, "the disk grew");
	require(!atomic_load(&g.events.over) ||
			hvt_error(&g.dev, &err) == (err.msg[0] != 0),
		"ended without a word");
	require(g.console.out_len <= CHARDEV_OUT, "the ring");
	while (recv(g.net[1], frame, sizeof(frame), 0) >= 0)
		;
	while (recv(g.net[0], frame, sizeof(frame), 0) >= 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};

	if (!g.ram)
		make_host();
	power_on(take(&in, 1) % 2 ? BUS_MMIO : BUS_PIO);
	while (in.at < in.end && !atomic_load(&g.events.over))
		step(&in);
	check();
	hvt_ops.destroy(&g.dev);
	return 0;
}
