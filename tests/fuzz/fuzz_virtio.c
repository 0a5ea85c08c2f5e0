/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_virtio.c - any driver of virtio devices: registers, rings and
 * descriptors written at will, kicks, turns of the I/O thread (without a
 * thread), resets; the state saved, loaded, and loaded with bytes changed.
 *
 * What is outside of guest RAM is never touched (the sanitizer looks), a disk
 * that is read-only keeps its bytes, the bytes around a writable disk's are not
 * written, a turn ends, and a driver that begins anew finds each device work.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/fd.h"
#include "config/config.h"
#include "devices/device.h"
#include "devices/virtio/io.h"
#include "devices/virtio/virtio.h"
#include "fuzz/support/edit.h"
#include "fuzz/support/fuzz.h"
#include "memory/bus.h"
#include "memory/memslot.h"
#include "snapshot/stream.h"

#define PAGES	16u
#define RAM	(PAGES * 4096u)
#define BASE	0x100000u
#define DEVICES 4
#define SECTORS 16u

/* Where a good driver puts things: the last pages. */
#define GOOD_RING (RAM - 8192u)
#define GOOD_DATA (RAM - 4096u)

static struct memslot_table slots;
static struct bus bus;
static struct virtio_io *io;
static struct device *dev[DEVICES];
static uint8_t *ram;
static int readonly_fd, disk_fd, peer;

static void add(int i, const char *model, struct virtio_options *opt)
{
	struct device_config cfg = {
		.space = BUS_MMIO,
		.base = BASE + 0x1000u * (unsigned int)i,
		.size = 0x1000,
		.slots = &slots,
		.virtio = opt,
	};
	struct mote_err err = {0};

	opt->io = io;
	require(device_create(&dev[i], model, (uint32_t)i, &cfg, &bus, &err) ==
			0,
		err.msg);
}

static int disk(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	require(fd >= 0 && ftruncate(fd, SECTORS * 512) == 0, "a disk");
	return fd;
}

static void make(void)
{
	static struct disk_config ro = {.name = (char *)"ro",
					.readonly = true,
					.sector_size = 512},
				  rw = {.name = (char *)"rw",
					.sector_size = 512,
					.queues = 2};
	static struct net_config net = {.name = (char *)"n"};
	struct virtio_options opt[DEVICES] = {
		{.section = "disk.ro", .disk = &ro},
		{.section = "disk.rw", .disk = &rw},
		{.section = "net.n", .net = &net, .mtu = 1500},
		{.section = "rng", .fd = -1},
	};
	struct virtio_io_options none = {.paged = true};
	struct mote_err err = {0};
	int pair[2];

	memslot_init(&slots, -1);
	require(map_anon(&slots.slot[0].ram, RAM, 0, NULL) == 0, "RAM");
	slots.slot[0].dirty = calloc(1, sizeof(uint64_t));
	ram = slots.slot[0].ram.addr;
	require(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			   0, pair) == 0,
		"a network");
	peer = pair[1];
	opt[0].fd = readonly_fd = disk("ro");
	opt[1].fd = disk_fd = disk("rw");
	opt[2].fd = pair[0];
	require(virtio_io_create(&io, &none, &err) == 0, err.msg);
	add(0, "virtio-blk", &opt[0]);
	add(1, "virtio-blk", &opt[1]);
	add(2, "virtio-net", &opt[2]);
	add(3, "virtio-rng", &opt[3]);
	require(virtio_io_seal(io, &err) == 0, err.msg);
	virtio_io_go(io);
}

static uint64_t rd(int i, uint64_t off, int len)
{
	uint64_t val = 0;

	bus_read(&bus, BUS_MMIO, BASE + 0x1000u * (unsigned int)i + off, len,
		 &val);
	require((val & ~ones(len)) == 0, "more than was asked for");
	return val;
}

static void wr(int i, uint64_t off, int len, uint64_t val)
{
	uint32_t wait = 0;

	bus_write(&bus, BUS_MMIO, BASE + 0x1000u * (unsigned int)i + off, len,
		  val, &wait);
	require(wait == 0, "a wait");
}

static void turn(void)
{
	for (int i = 0; i < DEVICES; i++)
		virtio_io_poke(io, dev[i]->priv);
	virtio_io_turn(io, true);
}

/* --- a good driver ----------------------------------------------------------
 */

static void begin(int i, uint64_t features)
{
	wr(i, 0x70, 4, 0);
	require(rd(i, 0x70, 4) == 0, "a reset");
	wr(i, 0x70, 4, 3);
	wr(i, 0x24, 4, 0);
	wr(i, 0x20, 4, features & UINT32_MAX);
	wr(i, 0x24, 4, 1);
	wr(i, 0x20, 4, 1 | features >> 32);
	wr(i, 0x70, 4, 11);
}

static void queue(int i, unsigned int q, unsigned int size, uint64_t ring)
{
	wr(i, 0x30, 4, q);
	wr(i, 0x38, 4, size);
	for (unsigned int k = 0; k < 3; k++) {
		wr(i, 0x80 + 0x10 * k, 4, ring + 1024 * k);
		wr(i, 0x84 + 0x10 * k, 4, 0);
	}
	wr(i, 0x44, 4, 1);
}

static void put(uint64_t at, uint64_t v, int len)
{
	memcpy(ram + at, &v, (size_t)len);
}

static void descriptor(unsigned int n, uint64_t addr, uint32_t len,
		       unsigned int flags)
{
	uint64_t at = GOOD_RING + 16 * n;

	put(at, addr, 8);
	put(at + 8, len, 4);
	put(at + 12, flags, 2);
	put(at + 14, n + 1, 2);
}

/* A request that each device must do. */
static void expect_work(int i)
{
	unsigned int q = i == 2;

	memset(ram + GOOD_RING, 0, 8192);
	begin(i, 0);
	require(rd(i, 0x70, 4) == 11, "features");
	queue(i, q, 8, GOOD_RING);
	wr(i, 0x70, 4, 15);
	if (i < 2) {
		descriptor(0, GOOD_DATA, 16, 1);
		descriptor(1, GOOD_DATA + 512, 512, 3);
		put(GOOD_DATA + 1024, 0xff, 1);
		descriptor(2, GOOD_DATA + 1024, 1, 2);
	} else if (i == 2) {
		descriptor(0, GOOD_DATA, 100, 0);
	} else {
		descriptor(0, GOOD_DATA, 100, 2);
	}
	put(GOOD_RING + 1024 + 2, 1, 2);
	wr(i, 0x50, 4, q);
	turn();
	require(rd(i, 0x70, 4) == 15, "a good driver is told to reset");
	require(ram[GOOD_RING + 2048 + 2] == 1, "a request was not done");
	require(i > 1 || ram[GOOD_DATA + 1024] == 0, "a read failed");
	wr(i, 0x70, 4, 0);
}

/* --- a bad one --------------------------------------------------------------
 */

/* A word that matters: mostly near what is right. */
static uint64_t word(struct input *in)
{
	uint64_t how = take(in, 1);

	switch (how % 8) {
	case 0:
		return take(in, 8);
	case 1:
		return RAM - how / 8;
	case 2:
		return UINT64_MAX - how;
	case 3:
		return take(in, 2);
	default:
		return take(in, 2) % RAM;
	}
}

static void any_descriptor(struct input *in, uint64_t table)
{
	uint64_t at = (table + 16 * (take(in, 1) % 20)) % (RAM - 16);
	uint64_t flags = take(in, 1);

	put(at, word(in), 8);
	put(at + 8, flags & 8 ? take(in, 4) : flags & 16 ? 16 : 512, 4);
	put(at + 12, flags & 7, 2);
	put(at + 14, take(in, 1) % 18, 2);
}

static uint64_t ring_of[DEVICES]; /* of the queue that any_queue made last */

/* A request that is whole but for what the input has else, offered and served.
 */
static void any_chain(struct input *in, int i)
{
	uint64_t how = take(in, 1), at = ring_of[i];
	unsigned int n = 1 + (how & 3), odd = (unsigned int)take(in, 1);
	uint16_t idx;

	for (unsigned int k = 0; k < n; k++) {
		bool last = k + 1 == n;
		unsigned int flags = (k ? how >> 3 & 2 : how >> 4 & 2) |
				     (last ? how >> 2 & 2 : 1);
		uint64_t d = (at + 16 * k) % (RAM - 16);

		put(d, 4096u * (3 + k) + (odd & 0x40 ? word(in) : 0), 8);
		put(d + 8,
		    !k && i < 2	    ? 16
		    : last && i < 2 ? 1
				    : 512 << (odd >> 3 & 3),
		    4);
		put(d + 12, (odd & 7) == k ? odd >> 3 & 7 : flags, 2);
		put(d + 14, (odd & 7) == k ? take(in, 1) % 18 : k + 1, 2);
	}
	put(4096u * 3, how >> 7 ? take(in, 1) % 15 : odd >> 7, 4);
	put(4096u * 3 + 8, how >> 7 ? take(in, 8) : how & 15, 8);
	memcpy(&idx, ram + (at + 1026) % (RAM - 8), 2);
	for (unsigned int k = 0; k < 256; k++)
		put((at + 1028 + 2 * k) % (RAM - 8), 0, 2);
	put((at + 1026) % (RAM - 8), idx + 1u, 2);
	wr(i, 0x50, 4, i == 2);
	turn();
}

/* A queue as it should be, most of it. */
static void any_queue(struct input *in, int i)
{
	static const uint16_t sizes[] = {8, 16, 1, 4, 2, 64, 256, 3};
	uint64_t how = take(in, 1);

	begin(i, how & 1 ? VIRTIO_INDIRECT_DESC : 0);
	if (how & 2) {
		begin(i, take(in, 8));
		begin(i, VIRTIO_EVENT_IDX | VIRTIO_INDIRECT_DESC | 0x6200);
	}
	ring_of[i] = (how >> 5) * 4096 + (i == 2 ? 512 : 0);
	queue(i, 0, sizes[how >> 2 & 7], (how >> 5) * 4096);
	if (i == 2)
		queue(i, 1, 16, (how >> 5) * 4096 + 512);
	wr(i, 0x70, 4, 15);
}

static struct snap_reader reader;

static void state(struct input *in, int i, bool changes)
{
	struct mote_err err = {0}, why = {0};
	struct snap_writer w, edited;
	struct base b = {0};
	int ret;

	snap_writer_init(&w);
	require(device_save(dev[i], &w, &err) == 0 &&
			snap_writer_finish(&w, &err) == 0,
		err.msg);
	b.state = w.buf;
	require(snap_reader_init(&b.reader, w.buf, w.len, &err) == 0, err.msg);
	if (changes) {
		edit_state(&b, in, &edited);
		require(snap_reader_init(&reader, edited.buf, edited.len,
					 &err) == 0,
			err.msg);
	} else {
		reader = b.reader;
	}
	ret = device_load(dev[i], &reader, &why);
	require((ret < 0) == (why.msg[0] != 0), "result and message differ");
	require(ret == 0 || changes, why.msg);
	if (ret < 0)
		dev[i]->ops->reset(dev[i]); /* it would never run */
	if (changes)
		snap_writer_fini(&edited);
	snap_writer_fini(&w);
}

static void step(struct input *in)
{
	uint64_t what = take(in, 1), r;
	int i = (int)(what >> 4) % DEVICES;

	switch (what % 16) {
	case 0: /* any register */
		r = take(in, 2) % 0x180;
		if (what & 0x40)
			rd(i, r, take_width(in));
		else
			wr(i, r, take_width(in), take(in, 4));
		break;
	case 1:
		wr(i, 0x30 + take(in, 1) % 36 * 4, 4, word(in));
		break;
	case 2:
		any_queue(in, i);
		break;
	case 3:
	case 4:
		any_descriptor(in,
			       (what & 0x40) ? 8192 : take(in, 1) % 8 * 4096);
		break;
	case 5:
		any_chain(in, i);
		break;
	case 6: /* available */
		r = take(in, 1) % 8 * 4096 + 1024;
		put(r + 2, take(in, 1), 2);
		put(r + 4 + take(in, 1) % 16 * 2, take(in, 1) % 20, 2);
		break;
	case 7:
	case 8:
	case 9:
		wr(i, 0x50, 4, take(in, 1) % 3);
		turn();
		break;
	case 10: /* a header of a request */
		r = word(in) % (RAM - 16);
		put(r, take(in, 1) % 15, 4);
		put(r + 8, take(in, 1) % 20, 8);
		break;
	case 11:
		r = take(in, 2) % 3000;
		send(peer, ram, r + 1, MSG_DONTWAIT);
		turn();
		break;
	case 12:
		state(in, i, what & 0x40);
		break;
	case 13:
		put(word(in) % (RAM - 8), take(in, 8), 8);
		break;
	case 14:
		wr(i, 0x70, 4, take(in, 1));
		break;
	default:
		any_chain(in, i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	static uint8_t bytes[SECTORS * 512];

	if (!io)
		make();
	memset(ram, 0, RAM);
	memset(ram + 4096 * 4, 0x5a, 4096); /* what chains have to write */
	memset(ring_of, 0, sizeof(ring_of));
	for (int n = 0; left(&in) && n < 64; n++)
		step(&in);
	for (int n = 0; n < 4; n++) /* nothing goes on for ever */
		turn();
	for (int i = 0; i < DEVICES; i++)
		expect_work(i);
	while (recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	require(fd_pread_full(readonly_fd, bytes, sizeof(bytes), 0) == 0,
		"a disk");
	for (size_t i = 0; i < sizeof(bytes); i++)
		require(bytes[i] == 0, "a read-only disk was written");
	require(lseek(disk_fd, 0, SEEK_END) == SECTORS * 512,
		"a disk of another size");
	return 0;
}
