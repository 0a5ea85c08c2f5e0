/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_virtio_net.c - a virtio network card on a real tap, in a network
 * namespace that the test makes for itself.  Needs root and /dev/net/tun.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "base/timeline.h"
#include "devices/virtio/io.h"

#define ETHERTYPE 0x88b5 /* for local experiments: IEEE 802 */
#define FRAME_MAX 32768
#define WAIT_NS	  20000000000ull

#if !defined(__powerpc64__)

static const uint8_t host_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 2};

static void set_link(const char *name)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_flags = IFF_UP};

	strcpy(ifr.ifr_name, name);
	cr_assert_eq(ioctl(sock, SIOCSIFFLAGS, &ifr), 0);
	close(sock);
}

/* A tap that stays, and is up, in a namespace of its own. */
static void make_tap(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("network namespace: %s", strerror(errno));
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		cr_skip_test("/dev/net/tun: %s", strerror(errno));
	strcpy(ifr.ifr_name, name);
	cr_assert_eq(ioctl(fd, TUNSETIFF, &ifr), 0, "%s", strerror(errno));
	cr_assert_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
	set_link(name);
}

static int packet_socket(const char *name, bool header)
{
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct sockaddr_ll sa = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int one = 1;

	cr_assert_geq(sock, 0, "%s", strerror(errno));
	if (header)
		cr_assert_eq(setsockopt(sock, SOL_PACKET, PACKET_VNET_HDR, &one,
					sizeof(one)),
			     0, "%s", strerror(errno));
	cr_assert_eq(bind(sock, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return sock;
}

static void init(struct vmtest *t, const char *args)
{
	vmtest_init(t, args);
	t->cfg.vm.protocol = PROTOCOL_MOTE;
	t->cfg.net = calloc(1, sizeof(*t->cfg.net));
	cr_assert_not_null(t->cfg.net);
	t->cfg.net_count = 1;
	t->cfg.net[0] = (struct net_config){.name = strdup("n"),
					    .tap = strdup("tap0"),
					    .fd = -1,
					    .has_mac = true};
	memcpy(t->cfg.net[0].mac, guest_mac, 6);
}

/*
 * Send a frame until one comes that is what is wanted (skip: bytes at its
 * begin that do not count).  The kernel drops what is sent before it has
 * noticed, in its own time, that somebody opened the tap.
 */
static void exchange(struct vmtest *t, int sock, const uint8_t *out, size_t len,
		     const uint8_t *want, size_t want_len)
{
	static uint8_t in[65536];
	uint64_t began = timeline_now(), sent = 0;

	for (;;) {
		struct pollfd p = {.fd = sock, .events = POLLIN};

		cr_assert_lt(timeline_now() - began, WAIT_NS,
			     "no answer; the guest said: %s", t->out);
		vm_dispatch(t->vm);
		vmtest_drain(t);
		if (!sent || timeline_now() - sent > 1000000000ull) {
			cr_assert_eq(send(sock, out, len, 0), (ssize_t)len,
				     "%s", strerror(errno));
			sent = timeline_now();
		}
		if (poll(&p, 1, 20) <= 0)
			continue;
		if (recv(sock, in, sizeof(in), 0) >= (ssize_t)want_len &&
		    memcmp(in, want, want_len) == 0)
			return;
	}
}

/* A frame of that length comes back with its addresses exchanged. */
static void echo(struct vmtest *t, int sock, size_t len, int number)
{
	static uint8_t out[FRAME_MAX], want[FRAME_MAX];

	memcpy(out, guest_mac, 6);
	memcpy(out + 6, host_mac, 6);
	out[12] = ETHERTYPE >> 8;
	out[13] = ETHERTYPE & 0xff;
	for (size_t i = 14; i < len; i++)
		out[i] = (uint8_t)(i * 7 + (size_t)number);
	memcpy(want, out, len);
	memcpy(want, host_mac, 6);
	memcpy(want + 6, guest_mac, 6);
	exchange(t, sock, out, len, want, len);
}

static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* An IPv4 packet from 10.0.9.1 to 10.0.9.2, of that protocol. */
static void ip_packet(uint8_t *f, uint8_t protocol, size_t len)
{
	static const uint8_t addresses[8] = {10, 0, 9, 1, 10, 0, 9, 2};

	memset(f, 0, len);
	memcpy(f, guest_mac, 6);
	memcpy(f + 6, host_mac, 6);
	f[12] = 8;
	f[14] = 0x45;
	put16(f + 16, (uint32_t)len - 14);
	f[22] = 64;
	f[23] = protocol;
	memcpy(f + 26, addresses, 8);
	put16(f + 24, checksum(f + 14, 20));
}

static void ping(struct vmtest *t, int sock, uint16_t number)
{
	uint8_t arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, out[98],
		want[98];
	static const uint8_t body[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

	memcpy(arp + 6, host_mac, 6);
	memcpy(arp + 12, body, sizeof(body));
	memcpy(arp + 22, host_mac, 6);
	memcpy(arp + 28, "\x0a\x00\x09\x01", 4);
	memcpy(arp + 38, "\x0a\x00\x09\x02", 4);
	memcpy(want, arp, sizeof(arp));
	memcpy(want, host_mac, 6);
	memcpy(want + 6, guest_mac, 6);
	want[21] = 2;
	memcpy(want + 22, guest_mac, 6);
	memcpy(want + 28, arp + 38, 4);
	memcpy(want + 32, host_mac, 6);
	memcpy(want + 38, arp + 28, 4);
	exchange(t, sock, arp, sizeof(arp), want, sizeof(arp));

	ip_packet(out, 1, sizeof(out));
	out[34] = 8;
	put16(out + 40, number);
	put16(out + 36, checksum(out + 34, sizeof(out) - 34));
	memcpy(want, out, sizeof(out));
	memcpy(want, host_mac, 6);
	memcpy(want + 6, guest_mac, 6);
	memcpy(want + 26, out + 30, 4);
	memcpy(want + 30, out + 26, 4);
	want[34] = 0;
	put16(want + 36, 0);
	put16(want + 36, checksum(want + 34, sizeof(want) - 34));
	exchange(t, sock, out, sizeof(out), want, sizeof(out));
}

static void expect_good_end(struct vmtest *t)
{
	vmtest_wait_end(t);
	cr_expect_eq(t->vm->end, VM_END_EXIT, "%s", t->vm->err.msg);
	cr_expect_eq(t->vm->exit_code, 0, "%s", t->out);
}

static void talk(const char *args)
{
	struct vmtest t;
	int sock;

	make_tap("tap0");
	sock = packet_socket("tap0", false);
	init(&t, args);
	vmtest_start(&t, "vnet");
	vmtest_wait_for(&t, "listening\n");
	cr_expect_not_null(strstr(t.out, "mac 020000000002 mtu 1500\n"), "%s",
			   t.out);
	for (uint16_t i = 0; i < 10; i++)
		ping(&t, sock, i);
	for (int i = 0; i < 40; i++)
		echo(&t, sock, 60 + (size_t)i * 37, i);
	expect_good_end(&t);
	vmtest_fini(&t);
	close(sock);
}

Test(virtio_net, answers_on_a_tap)
{
	talk("frames=40");
}

Test(virtio_net, answers_without_mergeable_buffers)
{
	talk("frames=40 mrg=0");
}

Test(virtio_net, answers_without_offloads)
{
	talk("frames=40 plain=1");
}

/* What is to be cut into segments comes as one frame, over many buffers. */
Test(virtio_net, segments_come_in_one_piece)
{
	const size_t head = sizeof(struct virtio_net_hdr), len = 54 + 20000;
	static uint8_t out[FRAME_MAX];
	uint8_t *f = out + head;
	const struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1400,
		.csum_start = 34,
		.csum_offset = 16,
	};
	struct vmtest t;
	int sock, plain;

	make_tap("tap0");
	sock = packet_socket("tap0", true);
	plain = packet_socket("tap0", false);
	init(&t, "frames=1");
	vmtest_start(&t, "vnet");
	vmtest_wait_for(&t, "offloads 1\nlistening\n");
	ping(&t, plain, 1); /* the tap is awake */
	memcpy(out, &h, head);
	ip_packet(f, 6, len);
	put16(f + 34, 1);
	put16(f + 36, 2);
	f[46] = 5 << 4;
	f[47] = 0x10;
	cr_assert_eq(send(sock, out, head + len, 0), (ssize_t)(head + len),
		     "%s", strerror(errno));
	echo(&t, plain, 100, 1);
	expect_good_end(&t);
	cr_expect_not_null(strstr(t.out, "longest 20054\n"), "%s", t.out);
	vmtest_fini(&t);
	close(sock);
	close(plain);
}

Test(virtio_net, a_restored_guest_goes_on_talking)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;
	int sock;

	make_tap("tap0");
	sock = packet_socket("tap0", false);
	init(&a, "frames=20");
	vmtest_start(&a, "vnet");
	vmtest_wait_for(&a, "listening\n");
	for (int i = 0; i < 10; i++)
		echo(&a, sock, 1000, i);
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_fini(&a); /* its tap is free */

	init(&b, "");
	b.cfg.net[0].mac[5] = 9; /* what it knows stays */
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	for (int i = 10; i < 20 && b.vm->state != VM_ENDED; i++)
		echo(&b, sock, 1000, i);
	vm_ask_stop(b.vm);
	expect_good_end(&b);
	vmtest_fini(&b);
	vmtest_remove(&s);
	close(sock);
}

/* A flood finds room or is dropped; the guest goes on. */
Test(virtio_net, a_flood_is_survived_with_few_exits)
{
	static uint8_t out[1000];
	struct virtio_totals before, after;
	struct vmtest t;
	int sock;

	make_tap("tap0");
	sock = packet_socket("tap0", false);
	init(&t, "");
	vmtest_start(&t, "vnet");
	vmtest_wait_for(&t, "listening\n");
	ping(&t, sock, 1);
	virtio_io_count(t.vm->virtio, &before);
	memcpy(out, guest_mac, 6);
	memcpy(out + 6, host_mac, 6);
	out[12] = 0x12; /* of a type that it does not answer */
	for (int i = 0; i < 5000; i++)
		send(sock, out, sizeof(out), MSG_DONTWAIT);
	ping(&t, sock, 2);
	virtio_io_count(t.vm->virtio, &after);
	cr_expect_gt(after.requests - before.requests, 64);
	cr_expect_eq(after.resets, 0);
	vm_ask_stop(t.vm);
	expect_good_end(&t);
	vmtest_fini(&t);
	close(sock);
}

#endif
