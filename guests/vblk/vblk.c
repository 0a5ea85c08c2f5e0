/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vblk.c - drives a virtio block device (x86_64: in ring 3).
 *
 * Without arguments it looks at everything that the device does, a line for
 * each, and exits with how many were wrong.  ro=1: of a read-only disk.
 * rounds=N: instead, so many writes of one block of 4 KiB, eight at a time,
 * each block with its number of the write; it says "ready" after a quarter, and
 * in the end reads all of them.  big=N: N reads of 1 MiB each, how many kicks.
 * limit=N: N reads of 64 KiB.  events=0, indirect=0: without these features.
 */
#include "virtio.h"

#define T_IN	       0u
#define T_OUT	       1u
#define T_FLUSH	       4u
#define T_GET_ID       8u
#define T_DISCARD      11u
#define T_WRITE_ZEROES 13u

#define F_RO	       (1ull << 5)
#define F_FLUSH	       (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

#define SECTOR 512u
#define BLOCK  4096u
#define DEPTH  8u
#define BLOCKS 64u

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct segment {
	uint64_t sector;
	uint32_t count, flags;
};

static struct vdev dev;
static struct vring ring;
static struct header header[DEPTH];
static volatile uint8_t status[DEPTH];
static uint8_t data[DEPTH][BLOCK] __attribute__((aligned(4096)));
static uint8_t big[1 << 20] __attribute__((aligned(4096)));
static struct vdesc table[DEPTH][4] __attribute__((aligned(16)));
static uint32_t last[BLOCKS];
static int wrong;
static int indirect;

static void check(const char *what, int ok)
{
	print(ok ? "ok " : "FAIL ");
	print(what);
	print("\n");
	wrong += !ok;
}

static int start(uint64_t want)
{
	if (!vbegin(&dev, want))
		return 0;
	vqueue(&dev, &ring, 0, 32);
	vready(&dev);
	return 1;
}

/* Slot s asks for that; data may be NULL. */
static void offer(unsigned int s, uint32_t type, uint64_t sector, void *p,
		  uint32_t len)
{
	uint16_t at = (uint16_t)(s * 3), out = type == T_IN || type == T_GET_ID;

	header[s] = (struct header){type, 0, sector};
	status[s] = 0xff;
	vset(&ring, at, &header[s], sizeof(header[s]), VD_NEXT, at + 1);
	vset(&ring, at + 1, p, len, VD_NEXT | (out ? VD_WRITE : 0), at + 2);
	vset(&ring, p ? at + 2 : at + 1, (const void *)&status[s], 1, VD_WRITE,
	     0);
	if (indirect) {
		for (uint16_t i = 0; i < 3; i++) {
			table[s][i] = ring.desc[at + i];
			table[s][i].next = (uint16_t)(i + 1);
		}
		vset(&ring, at, table[s], p ? 48 : 32, VD_INDIRECT, 0);
	}
	voffer(&ring, at);
	vkick(&dev, &ring);
}

/* The status, or 255 where nothing came. */
static unsigned int request(uint32_t type, uint64_t sector, void *p,
			    uint32_t len)
{
	uint16_t head;
	uint32_t n;

	offer(0, type, sector, p, len);
	if (!vwait(&dev, &ring, &head, &n) || head != 0)
		return 255;
	return status[0];
}

static void fill(void *p, uint32_t len, uint64_t seed)
{
	uint64_t *w = p;

	for (uint32_t i = 0; i < len / 8; i++)
		w[i] = (seed + 1) * 0x9e3779b97f4a7c15ull + i;
}

static int is_filled(const void *p, uint32_t len, uint64_t seed)
{
	const uint64_t *w = p;

	for (uint32_t i = 0; i < len / 8; i++)
		if (w[i] != (seed + 1) * 0x9e3779b97f4a7c15ull + i)
			return 0;
	return 1;
}

static int is_zero(const void *p, uint32_t len)
{
	const uint64_t *w = p;

	for (uint32_t i = 0; i < len / 8; i++)
		if (w[i])
			return 0;
	return 1;
}

static uint64_t sectors(void)
{
	return vconfig32(&dev, 0) | (uint64_t)vconfig32(&dev, 4) << 32;
}

static int reads_as(uint64_t sector, uint64_t seed)
{
	fill(data[1], BLOCK, ~seed);
	return request(T_IN, sector, data[1], BLOCK) == 0 &&
	       is_filled(data[1], BLOCK, seed);
}

/* Header, two halves of the data and the status, none of them aligned. */
static void check_framing(void)
{
	static uint8_t bytes[1024 + 64];
	uint8_t *at = bytes + 3;
	uint16_t head;
	uint32_t n;

	header[0] = (struct header){T_IN, 0, 0};
	vset(&ring, 0, &header[0], 5, VD_NEXT, 1);
	vset(&ring, 1, (char *)&header[0] + 5, 11, VD_NEXT, 2);
	vset(&ring, 2, at, 100, VD_NEXT | VD_WRITE, 3);
	vset(&ring, 3, at + 100, 413, VD_WRITE, 0); /* with the status */
	at[512] = 0xff;
	voffer(&ring, 0);
	vkick(&dev, &ring);
	check("framing",
	      vwait(&dev, &ring, &head, &n) && at[512] == 0 && n == 513);
}

static void check_segments(void)
{
	static struct segment seg[2];

	fill(data[0], BLOCK, 9);
	request(T_OUT, 64, data[0], BLOCK);
	request(T_OUT, 72, data[0], BLOCK);
	seg[0] = (struct segment){64, 8, 0};
	check("write zeroes", request(T_WRITE_ZEROES, 0, seg, 16) == 0);
	check("they are zeros", request(T_IN, 64, data[1], BLOCK) == 0 &&
					is_zero(data[1], BLOCK));
	check("no more of them", reads_as(72, 9));
	seg[0] = (struct segment){72, 4, 1};
	seg[1] = (struct segment){76, 4, 1};
	check("two segments", request(T_WRITE_ZEROES, 0, seg, 32) == 0);
	check("unmapped zeros", request(T_IN, 72, data[1], BLOCK) == 0 &&
					is_zero(data[1], BLOCK));
	seg[0] = (struct segment){64, 8, 0};
	check("discard", request(T_DISCARD, 0, seg, 16) == 0);
	seg[0].flags = 1;
	check("discard with a flag", request(T_DISCARD, 0, seg, 16) == 2);
	seg[0] = (struct segment){sectors() - 1, 2, 0};
	check("discard beyond the end", request(T_DISCARD, 0, seg, 16) == 1);
	seg[0] = (struct segment){~0ull, 8, 0};
	check("zeroes that wrap", request(T_WRITE_ZEROES, 0, seg, 16) == 1);
	check("half a segment", request(T_WRITE_ZEROES, 0, seg, 8) == 1);
}

static void check_errors(void)
{
	uint64_t n = sectors();

	check("beyond the end", request(T_IN, n, data[0], SECTOR) == 1);
	check("across the end", request(T_IN, n - 1, data[0], BLOCK) == 1);
	check("an end that wraps", request(T_IN, ~0ull, data[0], SECTOR) == 1);
	check("half a sector", request(T_IN, 0, data[0], 100) == 1);
	check("unknown type", request(77, 0, data[0], SECTOR) == 2);
	check("the last sector", request(T_IN, n - 1, data[0], SECTOR) == 0);
}

static int check_all(int readonly)
{
	char id[21] = {0};

	check("features",
	      !!(dev.offered & F_RO) == readonly && dev.offered & F_FLUSH);
	check("id", request(T_GET_ID, 0, id, 20) == 0);
	print("id ");
	print(id);
	print(" sectors ");
	print_u64(sectors());
	print(" size ");
	print_u64(vconfig32(&dev, 20));
	print("\n");
	check_errors();
	check_framing();
	check("flush", request(T_FLUSH, 0, NULL, 0) == 0);
	if (readonly) {
		check("write refused", request(T_OUT, 0, data[0], BLOCK) == 1);
		check("read", request(T_IN, 0, data[0], BLOCK) == 0);
		return wrong;
	}
	for (uint64_t i = 0; i < 8; i++) {
		fill(data[0], BLOCK, i);
		check("write", request(T_OUT, i * 8, data[0], BLOCK) == 0);
	}
	for (uint64_t i = 0; i < 8; i++)
		check("read", reads_as(i * 8, i));
	check_segments();
	/* A reset in between: the same driver, the same data. */
	check("again", start(~0ull) && reads_as(8, 1));
	return wrong;
}

/* --- load -------------------------------------------------------------------
 */

static unsigned int block_of(uint64_t i)
{
	return (unsigned int)(i * 7 % BLOCKS);
}

static int load(uint64_t rounds)
{
	uint64_t done = 0, next = 0;
	uint16_t head;
	uint32_t n;

	while (done < rounds) {
		while (next < rounds && next - done < DEPTH) {
			unsigned int s = (unsigned int)(next % DEPTH);

			fill(data[s], BLOCK, next);
			offer(s, T_OUT, block_of(next) * 8, data[s], BLOCK);
			next++;
		}
		if (!vwait(&dev, &ring, &head, &n))
			return 3;
		/* In order: this device does them one after the other. */
		if (head != done % DEPTH * 3 || status[done % DEPTH] != 0)
			return 4;
		last[block_of(done)] = (uint32_t)done;
		if (++done == rounds / 4)
			print("ready\n");
	}
	for (unsigned int i = 0; i < BLOCKS; i++)
		if (!reads_as(i * 8, last[i])) {
			print("block ");
			print_u64(i);
			print(" is not of write ");
			print_u64(last[i]);
			print("\n");
			return 5;
		}
	print("load done ");
	print_u64(rounds);
	print("\n");
	return 0;
}

static int read_big(uint64_t count, uint32_t len)
{
	uint32_t kicks = ring.kicks;

	for (uint64_t i = 0; i < count; i++)
		if (request(T_IN, 0, big, len) != 0)
			return 6;
	print("reads ");
	print_u64(count);
	print(" kicks ");
	print_u64(ring.kicks - kicks);
	print("\n");
	return 0;
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t want = ~0ull, rounds = guest_arg_u64("rounds", 0);
	uint64_t n = guest_arg_u64("big", 0), small = guest_arg_u64("limit", 0);

	if (!guest_arg_u64("events", 1))
		want &= ~VF_EVENT_IDX;
	indirect = guest_arg_u64("indirect", 0) != 0;
	if (!vfind(boot, VID_BLK, (unsigned int)guest_arg_u64("dev", 0), &dev,
		   NULL)) {
		print("no device\n");
		return 100;
	}
	if (!start(want)) {
		print("features refused\n");
		return 101;
	}
	if (rounds)
		return load(rounds);
	if (n)
		return read_big(n, sizeof(big));
	if (small)
		return read_big(small, 65536);
	return check_all(guest_arg_u64("ro", 0) != 0);
}
