/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hvt_net.c - a Solo5 guest on real tap interfaces, in a network
 * namespace that the test makes for itself: by name, by descriptor, two at a
 * time; and interfaces that are not fit.  Needs root and /dev/net/tun.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hvt_abi.h"
#include "base/num.h"
#include "base/timeline.h"
#include "devices/hostdev.h"

#define ETHERTYPE 0x88b5 /* for local experiments: IEEE 802 */
#define FRAME	  128

#if !defined(__powerpc64__)

static void new_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		cr_skip_test("network namespace: %s", strerror(errno));
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		cr_skip_test("/dev/net/tun: %s", strerror(errno));
}

static int open_tun(const char *name, short flags)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	strcpy(ifr.ifr_name, name);
	cr_assert_eq(ioctl(fd, TUNSETIFF, &ifr), 0, "%s", strerror(errno));
	return fd;
}

static void set_link(const char *name, bool up, int mtu)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};

	strcpy(ifr.ifr_name, name);
	if (mtu) {
		ifr.ifr_mtu = mtu;
		cr_assert_eq(ioctl(sock, SIOCSIFMTU, &ifr), 0);
	}
	ifr.ifr_flags = up ? IFF_UP : 0;
	cr_assert_eq(ioctl(sock, SIOCSIFFLAGS, &ifr), 0);
	close(sock);
}

/* A tap that stays, and is up. */
static void make_tap(const char *name, int mtu)
{
	int fd = open_tun(name, IFF_TAP | IFF_NO_PI);

	cr_assert_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
	set_link(name, true, mtu);
}

static int packet_socket(const char *name)
{
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE));
	struct sockaddr_ll sa = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex(name),
	};

	cr_assert_geq(sock, 0, "%s", strerror(errno));
	cr_assert_eq(bind(sock, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return sock;
}

/*
 * Send one frame into the tap, wait for it to come back swapped.  The kernel
 * drops what is sent before it has noticed (in its own time) that somebody
 * opened the tap: sent again while there is no answer.
 */
static void ping(struct vmtest *t, int sock, int number)
{
	uint8_t out[FRAME] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, in[2048];
	uint64_t began = timeline_now(), sent = began;

	out[12] = ETHERTYPE >> 8;
	out[13] = ETHERTYPE & 0xff;
	for (int i = 14; i < FRAME; i++)
		out[i] = (uint8_t)(i * 7 + number);
	cr_assert_eq(send(sock, out, FRAME, 0), FRAME, "%s", strerror(errno));
	for (;;) {
		struct pollfd p = {.fd = sock, .events = POLLIN};
		ssize_t n;

		cr_assert_lt(timeline_now() - began, 20 * 1000000000ull,
			     "no answer; the guest said: %s", t->out);
		vm_dispatch(t->vm);
		vmtest_drain(t);
		if (timeline_now() - sent > 1000000000ull) {
			cr_assert_eq(send(sock, out, FRAME, 0), FRAME);
			sent = timeline_now();
		}
		if (poll(&p, 1, 20) <= 0)
			continue;
		n = recv(sock, in, sizeof(in), 0);
		/* Seen too: our own frame, answers to one sent twice. */
		if (n == FRAME && memcmp(in, out + 6, 6) == 0 &&
		    memcmp(in + 6, out, 6) == 0 &&
		    memcmp(in + 14, out + 14, FRAME - 14) == 0)
			return;
	}
}

static void add_net(struct vmtest *t, const char *name, const char *tap, int fd)
{
	struct vm_config *c = &t->cfg;

	c->net = realloc(c->net, (c->net_count + 1) * sizeof(*c->net));
	cr_assert_not_null(c->net);
	c->net[c->net_count++] = (struct net_config){
		.name = strdup(name),
		.tap = tap ? strdup(tap) : NULL,
		.fd = fd,
	};
}

static void init(struct vmtest *t, const char *args)
{
	vmtest_init(t, args);
	t->cfg.vm.memory = 4 * MIB;
	t->cfg.vm.protocol = PROTOCOL_HVT;
}

static void end_well(struct vmtest *t)
{
	vmtest_wait_end(t);
	cr_expect_eq(t->vm->end, VM_END_EXIT, "%s", t->vm->err.msg);
	cr_expect_eq(t->vm->exit_code, 0, "%s", t->out);
	cr_expect_not_null(strstr(t->out, "SUCCESS"), "%s", t->out);
}

Test(hvt_net, frames_come_and_go_on_two_taps)
{
	struct vmtest t;
	int sock[2];

	new_netns();
	make_tap("tap0", 0);
	make_tap("tap1", 9000);
	sock[0] = packet_socket("tap0");
	sock[1] = packet_socket("tap1");
	init(&t, "frames=40");
	add_net(&t, "service0", "tap0", -1);
	add_net(&t, "service1", "tap1", -1);
	t.cfg.net[0].has_mac = true;
	memcpy(t.cfg.net[0].mac, "\x02\x11\x22\x33\x44\x55", 6);
	vmtest_start(&t, "hvt-echo");
	vmtest_wait_for(&t, "service1 mac");
	for (int i = 0; i < 40; i++)
		ping(&t, sock[i % 3 == 0], i);
	end_well(&t);
	cr_expect_not_null(
		strstr(t.out, "service0 mac 02:11:22:33:44:55 mtu 1500"), "%s",
		t.out);
	cr_expect_not_null(strstr(t.out, "mtu 9000"), "%s", t.out);
	vmtest_fini(&t);
	close(sock[0]);
	close(sock[1]);
}

Test(hvt_net, taps_may_be_descriptors)
{
	struct vmtest t;
	int fd[2], sock;

	new_netns();
	fd[0] = open_tun("tap0", IFF_TAP | IFF_NO_PI);
	fd[1] = open_tun("tap1", IFF_TAP | IFF_NO_PI);
	set_link("tap0", true, 0);
	set_link("tap1", true, 0);
	sock = packet_socket("tap1");
	init(&t, "frames=5");
	add_net(&t, "service0", NULL, fd[0]);
	add_net(&t, "service1", NULL, fd[1]);
	vmtest_start(&t, "hvt-echo");
	vmtest_wait_for(&t, "service1 mac");
	for (int i = 0; i < 5; i++)
		ping(&t, sock, i);
	end_well(&t);
	vmtest_fini(&t);
	close(sock);
	close(fd[0]);
	close(fd[1]);
}

/* Paused in its poll, with frames waiting; then saved and restored. */
Test(hvt_net, a_restored_guest_has_its_networks_again)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;
	int sock;

	new_netns();
	make_tap("tap0", 0);
	make_tap("tap1", 0);
	sock = packet_socket("tap0");
	init(&a, "frames=6 idle_ms=30000");
	add_net(&a, "service0", "tap0", -1);
	add_net(&a, "service1", "tap1", -1);
	vmtest_start(&a, "hvt-echo");
	vmtest_wait_for(&a, "service1 mac");
	for (int i = 0; i < 3; i++)
		ping(&a, sock, i);
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_fini(&a); /* its taps are free */

	init(&b, "");
	add_net(&b, "service0", "tap0", -1);
	add_net(&b, "service1", "tap1", -1);
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	for (int i = 3; i < 6; i++)
		ping(&b, sock, i);
	end_well(&b);
	vmtest_fini(&b);
	vmtest_remove(&s);
	close(sock);
}

static void expect_unfit(const char *tap, int fd, const char *words)
{
	struct net_config c = {
		.name = (char *)"n", .tap = (char *)tap, .fd = fd};
	struct mote_err err = {0};
	uint32_t mtu;
	int got = -1;

	cr_expect_lt(hostdev_open_net(&c, false, &got, &mtu, &err), 0);
	cr_expect_not_null(strstr(err.msg, words), "%s, not %s", err.msg,
			   words);
	cr_expect_eq(got, -1);
}

Test(hvt_net, interfaces_that_are_not_fit_are_named)
{
	int fd;

	new_netns();
	expect_unfit("tap0", -1, "net.n.tap: tap0: no such interface");
	cr_expect_eq(if_nametoindex("tap0"), 0u, "nothing was made");
	fd = open_tun("tun0", IFF_TUN | IFF_NO_PI);
	cr_assert_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
	expect_unfit("tun0", -1, "the interface is not up");
	set_link("tun0", true, 0);
	expect_unfit("tun0", -1, "not a tap interface");
	set_link("lo", true, 0);
	expect_unfit("lo", -1, "net.n.tap: lo");
	expect_unfit("a-name-that-is-too-long", -1, "File name too long");
	expect_unfit(NULL, 4000, "net.n.fd: 4000: Bad file descriptor");
	make_tap("tap1", 0);
	fd = open_tun("tap1", IFF_TAP | IFF_NO_PI);
	expect_unfit("tap1", -1, "Device or resource busy");
	close(fd);
}

#endif
