/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo.c - a Solo5 hvt guest with two networks: sends each frame that comes
 * back to where it came from, with its addresses swapped, until it has seen
 * frames=N, or idle_ms=N passed without one (then it fails).
 */
#include "hvt.h"

HVT_ABI_NOTE(SOLO5_TARGET_HVT, HVT_ABI_VERSION);
HVT_MANIFEST(2, HVT_NET_NAMED("service0"), HVT_NET_NAMED("service1"));

static uint8_t frame[65536 + 14];

static void say_mac(const uint8_t *mac)
{
	for (int i = 0; i < 6; i++) {
		char s[4] = {"0123456789abcdef"[mac[i] >> 4],
			     "0123456789abcdef"[mac[i] & 15], i < 5 ? ':' : 0,
			     0};

		say(s);
	}
}

int hvt_main(const struct hvt_boot_info *bi)
{
	const struct solo5_mft *mft = (const void *)(uintptr_t)bi->mft;
	uint64_t want = arg_u64(bi, "frames", 1), seen = 0;
	uint64_t idle = arg_u64(bi, "idle_ms", 5000) * 1000000;

	for (int i = 1; i <= 2; i++) {
		say(mft->e[i].name);
		say(" mac ");
		say_mac(mft->e[i].u.net.mac);
		say(" mtu ");
		say_u64(mft->e[i].u.net.mtu);
		say("\n");
	}
	while (seen < want) {
		uint64_t ready = 0, len;

		if (hvt_wait_for(idle, &ready) <= 0) {
			say("FAILURE: no frame\n");
			return 1;
		}
		for (uint64_t h = 1; h <= 2; h++) {
			uint8_t t;

			if (!(ready & 1ull << h))
				continue;
			len = sizeof(frame);
			if (hvt_receive(h, frame, &len) != HVT_OK)
				continue;
			/* Only what is for the test: EtherType 0x88b5. */
			if (len < 14 || frame[12] != 0x88 || frame[13] != 0xb5)
				continue;
			for (int i = 0; i < 6; i++) {
				t = frame[i];
				frame[i] = frame[6 + i];
				frame[6 + i] = t;
			}
			if (hvt_send(h, frame, len) != HVT_OK) {
				say("FAILURE: send\n");
				return 2;
			}
			seen++;
		}
	}
	if (hvt_send(3, frame, 60) != HVT_EINVAL ||
	    hvt_receive(0, frame, &want) != HVT_EINVAL) {
		say("FAILURE: a bad handle was served\n");
		return 3;
	}
	say("SUCCESS\n");
	return 0;
}
