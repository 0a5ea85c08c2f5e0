/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices.c - rules of single devices (virtio 1.2, 5.1, 5.2, 5.4).
 */
#include "villain.h"

void use_rx(void);

/* --- blk --------------------------------------------------------------------
 */

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static volatile uint8_t status;

/* A request with so much data of that direction; its status. */
static enum verdict blk(uint32_t type, uint64_t sector, uint32_t len,
			uint16_t write, uint8_t expect)
{
	enum verdict v;

	header.type = type;
	header.sector = sector;
	status = 0xee;
	vset(&ring, 0, &header, 16, VD_NEXT, (uint16_t)(len ? 1 : 2));
	vset(&ring, 1, data, len, (uint16_t)(VD_NEXT | write), 2);
	vset(&ring, 2, (const void *)&status, 1, VD_WRITE, 0);
	v = go();
	return v == PASS && status != expect ? WEDGED : v;
}

#define BLK(name, type, sector, len, write, expect)                            \
	static enum verdict name(void)                                         \
	{                                                                      \
		return blk(type, sector, len, write, expect);                  \
	}

BLK(read_past_end, 0, 1ull << 40, 512, VD_WRITE, 1)
BLK(read_wraps, 0, ~0ull, 1024, VD_WRITE, 1)
BLK(read_times_512_wraps, 0, 1ull << 55, 512, VD_WRITE, 1)
BLK(write_past_end, 1, 1ull << 40, 512, 0, 1)
BLK(read_odd, 0, 0, 511, VD_WRITE, 1)
BLK(write_odd, 1, 0, 513, 0, 1)
BLK(read_of_readable, 0, 0, 512, 0, 0)
BLK(write_of_writable, 1, 0, 512, VD_WRITE, 0)
BLK(unknown_type, 99, 0, 512, VD_WRITE, 2)
BLK(type_ones, ~0u, 0, 512, VD_WRITE, 2)
BLK(secure_erase, 14, 0, 16, 0, 2)
BLK(id_short, 8, 0, 5, VD_WRITE, 0)
BLK(id_without_room, 8, 0, 0, 0, 0)
BLK(id_long, 8, 0, 4096, VD_WRITE, 0)
BLK(flush_with_data, 4, 0, 512, VD_WRITE, 2)
BLK(discard_nothing, 11, 0, 0, 0, 2)
BLK(zeroes_nothing, 13, 0, 0, 0, 2)

static enum verdict short_header(void)
{
	vset(&ring, 0, &header, 8, VD_NEXT, 1);
	vset(&ring, 1, (const void *)&status, 1, VD_WRITE, 0);
	return go();
}

static enum verdict no_status(void)
{
	vset(&ring, 0, &header, 16, 0, 0);
	return go();
}

static enum verdict writable_header(void)
{
	vset(&ring, 0, &header, 16, VD_NEXT | VD_WRITE, 1);
	vset(&ring, 1, (const void *)&status, 1, VD_WRITE, 0);
	return go();
}

/* With discard and write-zeroes negotiated. */
static enum verdict segments(uint32_t type, uint32_t n, uint64_t sector,
			     uint32_t count, uint32_t flags, uint8_t expect)
{
	struct {
		uint64_t sector;
		uint32_t count, flags;
	} *seg = (void *)data;

	features = 1ull << 13 | 1ull << 14;
	if (!setup())
		return WEDGED;
	for (uint32_t i = 0; i < n; i++) {
		seg[i].sector = sector;
		seg[i].count = count;
		seg[i].flags = flags;
	}
	return blk(type, 0, n * 16, 0, expect);
}

#define SEGMENTS(name, type, n, sector, count, flags, expect)                  \
	static enum verdict name(void)                                         \
	{                                                                      \
		return segments(type, n, sector, count, flags, expect);        \
	}

SEGMENTS(discard_past_end, 11, 1, 1ull << 40, 1, 0, 1)
SEGMENTS(discard_wraps, 11, 1, ~0ull, 2, 0, 1)
SEGMENTS(discard_flags, 11, 1, 0, 1, 1, 2)
SEGMENTS(zeroes_flags, 13, 1, 0, 1, 0xfffffffe, 2)
SEGMENTS(zeroes_huge, 13, 1, 0, ~0u, 0, 1)
SEGMENTS(many_segments, 11, 65, 0, 1, 0, 1)
SEGMENTS(thousands_of_segments, 13, 4000, 0, 1, 1, 1)

static enum verdict half_a_segment(void)
{
	features = 1ull << 13 | 1ull << 14;
	return setup() ? blk(11, 0, 8, 0, 1) : WEDGED;
}

const struct test blk_tests[] = {
	{"a read past the end", PASS, read_past_end},
	{"a read that wraps", PASS, read_wraps},
	{"a read that wraps in bytes", PASS, read_times_512_wraps},
	{"a write past the end", PASS, write_past_end},
	{"a read of 511 bytes", PASS, read_odd},
	{"a write of 513 bytes", PASS, write_odd},
	{"a read into what is to be read", PASS, read_of_readable},
	{"a write of what is to be written", PASS, write_of_writable},
	{"an unknown type", PASS, unknown_type},
	{"a type of ones", PASS, type_ones},
	{"a type not offered", PASS, secure_erase},
	{"an id of 5 bytes", PASS, id_short},
	{"an id without room", PASS, id_without_room},
	{"an id with too much room", PASS, id_long},
	{"a flush, not negotiated", PASS, flush_with_data},
	{"a discard, not negotiated", PASS, discard_nothing},
	{"write-zeroes, not negotiated", PASS, zeroes_nothing},
	{"a header of 8 bytes", NEEDS_RESET, short_header},
	{"no status", NEEDS_RESET, no_status},
	{"a header to be written", NEEDS_RESET, writable_header},
	{"a discard past the end", PASS, discard_past_end},
	{"a discard that wraps", PASS, discard_wraps},
	{"a discard with flags", PASS, discard_flags},
	{"write-zeroes with flags", PASS, zeroes_flags},
	{"write-zeroes of 2 TiB", PASS, zeroes_huge},
	{"65 segments", PASS, many_segments},
	{"4000 segments", PASS, thousands_of_segments},
	{"half a segment", PASS, half_a_segment},
	{0},
};

/* --- net --------------------------------------------------------------------
 */

static enum verdict tx(uint32_t len, uint16_t flags)
{
	vset(&ring, 0, data, len, flags, 0);
	return go();
}

#define TX(name, len, flags)                                                   \
	static enum verdict name(void)                                         \
	{                                                                      \
		return tx(len, flags);                                         \
	}

TX(tx_short_header, 11, 0)
TX(tx_empty, 12, 0)
TX(tx_tiny, 16, 0)
TX(tx_writable, 512, VD_WRITE)

static enum verdict tx_large(void)
{
	for (uint16_t i = 0; i < 3; i++)
		vset(&ring, i, data, 60000, VD_NEXT, (uint16_t)(i + 1));
	ring.desc[2].flags = 0;
	return go();
}

static enum verdict tx_header_ones(void)
{
	for (unsigned int i = 0; i < 12; i++)
		data[i] = 0xff;
	return tx(100, 0);
}

static enum verdict tx_header_gso(void)
{
	for (unsigned int i = 0; i < 12; i++)
		data[i] = 0;
	data[0] = 1;	/* a checksum is to be made */
	data[1] = 1;	/* of segments of TCP */
	data[2] = 0xff; /* behind the end */
	data[6] = 0xff;
	data[7] = 0xff;
	return tx(100, 0);
}

static enum verdict dependent(uint64_t f)
{
	vput(&dev, V_STATUS, 0);
	vput(&dev, V_STATUS, VS_ACK | VS_DRIVER);
	if ((voffered(&dev) & f) != f) /* a tap without offloads */
		return PASS;
	vaccept(&dev, f | VF_VERSION_1);
	vput(&dev, V_STATUS, VS_ACK | VS_DRIVER | VS_FEATURES_OK);
	return must(!(vget(&dev, V_STATUS) & VS_FEATURES_OK));
}

static enum verdict tso_without_csum(void)
{
	return dependent(1ull << 11);
}

static enum verdict guest_tso_without_csum(void)
{
	return dependent(1ull << 7);
}

static enum verdict ecn_without_tso(void)
{
	return dependent(1ull << 13);
}

static enum verdict rx(uint32_t len, uint16_t flags)
{
	use_rx();
	if (!setup())
		return WEDGED;
	vset(&ring, 0, data, len, flags, 0);
	return go();
}

static enum verdict rx_readable(void)
{
	return rx(2048, 0);
}

static enum verdict rx_no_header(void)
{
	return rx(8, VD_WRITE);
}

static enum verdict rx_bad_address(void)
{
	use_rx();
	if (!setup())
		return WEDGED;
	ring.desc[0] = (struct vdesc){RAM_END, 2048, VD_WRITE, 0};
	return go();
}

const struct test net_tests[] = {
	{"a header of 11 bytes", NEEDS_RESET, tx_short_header},
	{"a header and no frame", PASS, tx_empty},
	{"a frame of 4 bytes", PASS, tx_tiny},
	{"a frame to be written", NEEDS_RESET, tx_writable},
	{"a frame of 180000 bytes", PASS, tx_large},
	{"a header of ones", PASS, tx_header_ones},
	{"segments beyond the frame", PASS, tx_header_gso},
	{"segments without checksums", PASS, tso_without_csum},
	{"segments to the guest without checksums", PASS,
	 guest_tso_without_csum},
	{"ECN without segments", PASS, ecn_without_tso},
	{"a buffer for frames to be read", NEEDS_RESET, rx_readable},
	{"a buffer for frames of 8 bytes", NEEDS_RESET, rx_no_header},
	{"a buffer for frames outside", NEEDS_RESET, rx_bad_address},
	{0},
};

/* --- rng --------------------------------------------------------------------
 */

static enum verdict rng_readable(void)
{
	vset(&ring, 0, data, 64, 0, 0);
	return go();
}

static enum verdict rng_both(void)
{
	vset(&ring, 0, data, 64, VD_NEXT, 1);
	vset(&ring, 1, data, 64, VD_WRITE, 0);
	return go();
}

static enum verdict rng_empty(void)
{
	vset(&ring, 0, data, 0, VD_WRITE, 0);
	return go();
}

/* What is more than 64 KiB stays as it was. */
static enum verdict rng_large(void)
{
	enum verdict v;
	uint16_t head;
	uint32_t len;

	for (uint16_t i = 0; i < SIZE; i++)
		vset(&ring, i, data, sizeof(data), VD_WRITE | VD_NEXT,
		     (uint16_t)(i + 1));
	ring.desc[SIZE - 1].flags = VD_WRITE;
	v = go();
	if (v != PASS || !vtake(&ring, &head, &len))
		return WEDGED;
	return must(len == 65536);
}

const struct test rng_tests[] = {
	{"a buffer to be read", NEEDS_RESET, rng_readable},
	{"one to be read and one to be written", NEEDS_RESET, rng_both},
	{"a buffer of no length", NEEDS_RESET, rng_empty},
	{"1 MiB at once", PASS, rng_large},
	{0},
};
