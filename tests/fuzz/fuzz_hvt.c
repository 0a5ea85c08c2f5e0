/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_hvt.c - any sequence of hypercalls, and any memory they point to, of
 * a Solo5 guest with a disk and a network.
 *
 * The input is a list of steps: put bytes into guest RAM, make a call, look
 * after a pending one, kick, let a frame arrive, save and load, load any
 * bytes as a state.  The guest's RAM lies between two fences; its read-only
 * part, its disk's size and what is outside stay as they are.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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
#include "fuzz/support/fuzz.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"
#include "snapshot/stream.h"

#define RAM	  (64u << 10)
#define FENCE	  (64u << 10) /* on both sides; any page size */
#define BASE	  0x10000ull
#define DISK_SIZE 8192
#define SECTOR	  512
#define TEXT	  0x5a /* what the read-only page holds */

static struct {
	uint8_t *ram; /* fence, RAM, fence */
	struct memslot_table slots;
	struct event_queue events;
	struct chardev console;
	atomic_bool pace;
	struct device dev;
	struct {
		struct device dev;
		bool there;
	} kept[2]; /* of the last input that did not break it */
	int disk, net[2];
	bool protected; /* more than the first page may be read-only */
	int saves;
	bool short_wait; /* the pending call ends by itself, soon */
} g;

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

	prctl(PR_SET_TIMERSLACK, 1); /* a guest waits for nanoseconds */
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

static void protect(void)
{
	require(mprotect(g.ram, RAM, PROT_READ | PROT_WRITE) == 0, "RAM");
	memset(g.ram, TEXT, host_page_size());
	g.slots.readonlys = 0;
	require(guest_protect(&g.slots, BASE, host_page_size()) == 0,
		"protect");
	g.protected = false;
}

static struct snap_reader reader;

static int load(struct device *dev, const struct snap_writer *w,
		struct mote_err *err)
{
	struct snap_section s;
	int ret;

	require(snap_reader_init(&reader, w->buf, w->len, err) == 0, err->msg);
	require(snap_section_open(&reader, "hvt", 0, &s, err) == 0, err->msg);
	ret = hvt_ops.load(dev, &s, err);
	return ret < 0 ? ret : snap_section_close(&s, err);
}

static void save(struct snap_writer *w)
{
	struct mote_err err = {0};

	snap_writer_init(w);
	snap_section_begin(w, "hvt", 0, hvt_ops.version, SNAP_REQUIRED);
	require(hvt_ops.save(&g.dev, w, &err) == 0, err.msg);
	snap_section_end(w);
	require(snap_writer_finish(w, &err) == 0, err.msg);
}

/*
 * A device with its descriptors is costly to make: one that an input left
 * sound goes back to its beginning as a rewound machine's does.
 */
static void power_on(enum bus_space space)
{
	static struct snap_writer fresh;
	struct mote_err err = {0};

	if (g.protected || g.slots.readonlys == 0)
		protect();
	memset(g.ram + host_page_size(), 0, RAM - host_page_size());
	atomic_store(&g.events.over, false);
	event_take(&g.events);
	g.short_wait = false;
	g.saves = 0;
	if (g.kept[space].there) {
		g.dev = g.kept[space].dev;
		g.kept[space].there = false;
		require(load(&g.dev, &fresh, &err) == 0, err.msg);
		return;
	}
	make_device(&g.dev, space);
	hvt_set_manifest(&g.dev, &manifest);
	attach(&g.dev);
	if (!fresh.buf)
		save(&fresh);
}

static void power_off(void)
{
	enum bus_space space = g.dev.cfg.space;

	if (g.protected || hvt_error(&g.dev, NULL)) {
		hvt_ops.destroy(&g.dev);
		return;
	}
	g.kept[space].dev = g.dev;
	g.kept[space].there = true;
}

/* --- steps -----------------------------------------------------------------
 */

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

	if (c.len % 64 == 63) /* an end that wraps, a handle far away */
		c.len = take(in, 8);
	if (c.len % 64 == 62)
		c.handle = take(in, 8);

	uint64_t nr = take(in, 1) % HVT_CALLS;

	guest_write(&g.slots, gpa, &c, sizeof(c));
	/* Its timeout is the handle above: nanoseconds. */
	g.short_wait = nr == HVT_POLL && c.handle < 1000;
	fuzz_calls++;
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
	fuzz_calls++;
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
	bool pending = hvt_pending(&g.dev);
	int protections = g.slots.readonlys;

	save(&w);
	make_device(&other, g.dev.cfg.space);
	g.slots.readonlys = 0; /* a machine that is built anew */
	require(load(&other, &w, &err) == 0, err.msg);
	require(g.slots.readonlys == protections, "protections");
	attach(&other);
	hvt_ops.destroy(&g.dev);
	g.dev = other;
	require(hvt_pending(&g.dev) == pending, "a pending call is lost");
	snap_writer_fini(&w);
}

/* A manifest of n devices, then the rest of what was saved. */
static void put_many(struct snap_writer *w, uint32_t n, const uint8_t *payload,
		     size_t len)
{
	const size_t entry = SOLO5_NAME_SIZE + 4 + 8 + 8;
	const size_t used = 4 + manifest.entries * entry;
	char name[SOLO5_NAME_SIZE] = "";

	snap_put_u32(w, n);
	for (uint32_t i = 0; i < n; i++) {
		snap_put_bytes(w, name, sizeof(name));
		snap_put_u32(w, i ? SOLO5_NET : SOLO5_RESERVED_FIRST);
		snap_put_u64(w, 0);
		snap_put_u64(w, 0);
	}
	snap_put_bytes(w, payload + used, len - used);
}

/*
 * Its own state with some bytes changed, or cut, into a new device.  What is
 * taken must be what a machine can have, and runs on.
 */
static bool load_any(struct input *in)
{
	const size_t head = 16 + 64; /* of the file and of the section */
	struct mote_err err = {0};
	struct snap_writer was, w;
	struct device other;
	uint64_t flips = take(in, 1), many = flips >> 2;
	uint8_t *payload;
	size_t len;
	bool ok;

	save(&was);
	payload = was.buf + head;
	len = was.len - head;
	for (flips %= 4; flips > 0; flips--) {
		uint64_t at = take(in, 1) | take(in, 1) << 8;

		payload[at % len] = (uint8_t)take(in, 1);
	}
	if (take(in, 1) > 250)
		len = take(in, 1) % len;
	snap_writer_init(&w);
	snap_section_begin(&w, "hvt", 0, hvt_ops.version, SNAP_REQUIRED);
	if (many > 32)
		put_many(&w, (uint32_t)many * 2 - 1, payload, was.len - head);
	else
		snap_put_bytes(&w, payload, len);
	snap_section_end(&w);
	require(snap_writer_finish(&w, &err) == 0, err.msg);
	make_device(&other, g.dev.cfg.space);
	g.slots.readonlys = 0;
	g.protected = true;
	ok = load(&other, &w, &err) == 0;
	require(ok == !err.msg[0], "result and message differ");
	if (ok) {
		const struct solo5_mft *m = hvt_manifest(&other);

		require(m->entries >= 1 && m->entries <= SOLO5_MFT_MAX,
			"entries");
		require(g.slots.readonlys <= MEMSLOT_READONLY_MAX, "ranges");
		for (uint32_t i = 0; i < m->entries; i++)
			require(memchr(m->e[i].name, 0, sizeof(m->e[i].name)) !=
					NULL,
				"a name without an end");
	}
	hvt_ops.destroy(&other);
	snap_writer_fini(&was);
	snap_writer_fini(&w);
	return false;
}

static bool step(struct input *in)
{
	switch (take(in, 1) % 16) {
	case 0:
	case 1:
	case 2:
		put_bytes(in);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		if (!hvt_pending(&g.dev))
			put_call(in);
		break;
	case 8:
	case 9:
		call(in);
		break;
	case 10:
	case 11:
	case 12:
		wait_or_kick();
		break;
	case 13:
		frame_in(in);
		break;
	case 14:
		return load_any(in);
	default:
		if (g.saves++ < 2) /* as costly as a hundred calls */
			save_and_load();
	}
	return true;
}

static void check(void)
{
	const uint8_t *text = g.ram;
	struct mote_err err = {0};
	char frame[2048];

	require(text[0] == TEXT &&
			!memcmp(text, text + 1, host_page_size() - 1),
		"what must not be written was");
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
	while (in.at < in.end && !atomic_load(&g.events.over) && step(&in))
		;
	check();
	power_off();
	return 0;
}
