/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vnet.c - a virtio network card that answers (x86_64: in ring 3): ARP and
 * ICMP echo for ip=A.B.C.D (10.0.9.2), and frames of ethertype 0x88b5, which
 * come back with their addresses exchanged; until frames=N of these have come,
 * or it is told to stop.  mrg=0: without mergeable buffers.  plain=1: without
 * checksums and segments.  It says what it negotiated, then "listening".
 */
#include "virtio.h"

#define F_CSUM	     (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU	     (1ull << 3)
#define F_MAC	     (1ull << 5)
#define F_GUEST_TSO4 (1ull << 7)
#define F_HOST_TSO4  (1ull << 11)
#define F_MRG_RXBUF  (1ull << 15)

#define HEADER	12u
#define BUFFERS 64u
#define BUFFER	2048u
#define LARGEST 65600u

static struct vdev dev;
static struct vring rx, tx;
static uint8_t buffer[BUFFERS][BUFFER] __attribute__((aligned(2048)));
static uint8_t frame[LARGEST + HEADER] __attribute__((aligned(4096)));
static uint8_t mac[6], ip[4] = {10, 0, 9, 2};
static uint64_t echoed;
static uint32_t longest;

static void offer_buffer(uint16_t i)
{
	vset(&rx, i, buffer[i], BUFFER, VD_WRITE, 0);
	voffer(&rx, i);
}

/* The frame that lies at frame + HEADER. */
static void send(uint32_t len)
{
	uint16_t head;
	uint32_t n;

	for (uint32_t i = 0; i < HEADER; i++)
		frame[i] = 0;
	vset(&tx, 0, frame, HEADER, VD_NEXT, 1);
	vset(&tx, 1, frame + HEADER, len, 0, 0);
	voffer(&tx, 0);
	vkick(&dev, &tx);
	vwait(&dev, &tx, &head, &n);
}

static void copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	while (n--)
		*to++ = *from++;
}

static int same(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	while (n--)
		if (*a++ != *b++)
			return 0;
	return 1;
}

static uint16_t checksum(const uint8_t *p, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void turn_round(uint8_t *f)
{
	copy(f, f + 6, 6);
	copy(f + 6, mac, 6);
}

static void answer_arp(uint8_t *f, uint32_t len)
{
	if (len < 42 || f[20] != 0 || f[21] != 1 || !same(f + 38, ip, 4))
		return;
	turn_round(f);
	f[21] = 2;
	copy(f + 32, f + 22, 10);
	copy(f + 22, mac, 6);
	copy(f + 28, ip, 4);
	send(42);
}

static void answer_ping(uint8_t *f, uint32_t len)
{
	uint32_t total = (uint32_t)f[16] << 8 | f[17], sum;
	uint8_t was[4];

	if (len < 42 || f[14] != 0x45 || f[23] != 1 || f[34] != 8 ||
	    total < 28 || total + 14 > len || !same(f + 30, ip, 4) ||
	    checksum(f + 34, total - 20) != 0)
		return;
	turn_round(f);
	copy(was, f + 26, 4);
	copy(f + 26, ip, 4);
	copy(f + 30, was, 4);
	f[34] = f[36] = f[37] = 0;
	sum = checksum(f + 34, total - 20);
	f[36] = (uint8_t)(sum >> 8);
	f[37] = (uint8_t)sum;
	send(total + 14);
}

static void answer(uint32_t len)
{
	uint8_t *f = frame + HEADER;
	uint8_t from[6];

	if (len > longest)
		longest = len;
	if (len < 14)
		return;
	if (f[12] == 0x08 && f[13] == 0x06) {
		answer_arp(f, len);
	} else if (f[12] == 0x08 && f[13] == 0x00) {
		answer_ping(f, len);
	} else if (f[12] == 0x88 && f[13] == 0xb5 && same(f, mac, 6)) {
		copy(from, f + 6, 6);
		copy(f + 6, f, 6);
		copy(f, from, 6);
		send(len);
		echoed++;
	}
}

/* One frame of the buffers that came back; false: there was none. */
static int receive(void)
{
	uint32_t len, all = 0, n = 1;
	uint16_t head;

	if (!vtake(&rx, &head, &len))
		return 0;
	if (dev.accepted & F_MRG_RXBUF)
		n = buffer[head][10] | (uint32_t)buffer[head][11] << 8;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t skip = i ? 0 : HEADER;

		if (i && !vwait(&dev, &rx, &head, &len))
			return 0;
		copy(frame + HEADER + all, buffer[head] + skip, len - skip);
		all += len - skip;
		offer_buffer(head);
	}
	vkick(&dev, &rx);
	answer(all);
	return 1;
}

static void parse_ip(void)
{
	const char *p = guest_args();

	while (*p && !(p[0] == 'i' && p[1] == 'p' && p[2] == '='))
		p++;
	if (!*p)
		return;
	p += 3;
	for (int i = 0; i < 4; i++) {
		ip[i] = 0;
		while (*p >= '0' && *p <= '9')
			ip[i] = (uint8_t)(ip[i] * 10 + (*p++ - '0'));
		p += *p == '.';
	}
}

static void say(const char *what, uint64_t n)
{
	print(what);
	print_u64(n);
	print("\n");
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t frames = guest_arg_u64("frames", 0);
	uint64_t want = F_MAC | F_MTU | VF_EVENT_IDX;
	const volatile uint32_t *events = &boot->events;

	parse_ip();
	if (guest_arg_u64("mrg", 1))
		want |= F_MRG_RXBUF;
	if (!guest_arg_u64("plain", 0))
		want |= F_CSUM | F_GUEST_CSUM | F_HOST_TSO4 |
			(want & F_MRG_RXBUF ? F_GUEST_TSO4 : 0);
	if (!vfind(boot, VID_NET, 0, &dev, NULL) || !vbegin(&dev, want)) {
		print("no device\n");
		return 100;
	}
	for (uint32_t i = 0; i < 6; i++)
		mac[i] = *(volatile uint8_t *)(dev.base + V_CONFIG + i);
	vqueue(&dev, &rx, 0, BUFFERS);
	vqueue(&dev, &tx, 1, 16);
	for (uint16_t i = 0; i < BUFFERS; i++)
		offer_buffer(i);
	vready(&dev);
	vput(&dev, V_NOTIFY, 0);
	print("mac ");
	for (int i = 0; i < 6; i++)
		print_hex(mac[i], 2);
	say(" mtu ", *(volatile uint16_t *)(dev.base + V_CONFIG + 10));
	say("offloads ", (dev.accepted & F_GUEST_TSO4) != 0);
	print("listening\n");
	reg_write(boot, MOTE_REG_READY, 1);
	for (uint32_t idle = 0;; idle++) {
		if (receive())
			idle = 0;
		if (frames && echoed >= frames)
			break;
		if (*events & MOTE_EVENT_STOP)
			break;
		if (idle <= 1000)
			continue;
		if (vget(&dev, V_STATUS) & VS_NEEDS_RESET) {
			print("needs reset\n");
			return 3;
		}
		reg_write(boot, MOTE_REG_WAIT, 1);
	}
	say("echoed ", echoed);
	say("longest ", longest);
	say("kicks ", rx.kicks + tx.kicks);
	return 0;
}
