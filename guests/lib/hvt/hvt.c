/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvt.c - what our hvt guests share.
 */
#include "hvt.h"

static struct hvt_trap_x86 trap_frame; /* the cookie: 512 bytes follow */
static char trap_room[HVT_COOKIE_SIZE];

void *memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	char *d = dst;

	while (n--)
		*d++ = (char)c;
	return dst;
}

size_t str_len(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

void say(const char *s)
{
	volatile struct hvt_puts c = {(uintptr_t)s, str_len(s)};

	hvt_call(HVT_PUTS, &c);
}

static void say_based(uint64_t v, uint64_t base)
{
	char buf[24];
	size_t at = sizeof(buf) - 1;

	buf[at] = 0;
	do {
		buf[--at] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	say(buf + at);
}

void say_u64(uint64_t v)
{
	say_based(v, 10);
}

void say_hex(uint64_t v)
{
	say("0x");
	say_based(v, 16);
}

static void halt(int status, uint64_t cookie)
{
	volatile struct hvt_halt c = {.cookie = cookie, .exit_status = status};

	for (;;)
		hvt_call(HVT_HALT, &c);
}

void hvt_exit(int status)
{
	for (;;)
		halt(status, 0);
}

void hvt_abort(const char *why)
{
	say("Solo5: ABORT: ");
	say(why);
	say("\n");
	for (;;)
		halt(HVT_STATUS_ABORT, (uintptr_t)&trap_room);
}

/* Called by the start files. */
void hvt_entry(const struct hvt_boot_info *bi);
void hvt_trap(const uint64_t *frame, uint64_t cr2);

void hvt_entry(const struct hvt_boot_info *bi)
{
	hvt_exit(hvt_main(bi));
}

void hvt_trap(const uint64_t *frame, uint64_t cr2)
{
	trap_frame = (struct hvt_trap_x86){.cr2 = cr2, .error = frame[1]};
	memcpy(&trap_frame.rip, frame + 2, 5 * sizeof(uint64_t));
	memcpy(trap_room, &trap_frame, sizeof(trap_frame));
	say("Solo5: trap: type=");
	say_hex(frame[0]);
	say(" at ");
	say_hex(cr2);
	say("\n");
	hvt_abort("trap");
}

/* The rest of the word after name, or NULL: it is not there. */
static const char *find(const struct hvt_boot_info *bi, const char *name)
{
	const char *p = (const char *)(uintptr_t)bi->cmdline;

	while (*p) {
		const char *n = name;

		while (*n && *p == *n) {
			p++;
			n++;
		}
		if (!*n && (*p == 0 || *p == ' ' || *p == '='))
			return p;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return NULL;
}

int arg_has(const struct hvt_boot_info *bi, const char *word)
{
	return find(bi, word) != NULL;
}

uint64_t arg_u64(const struct hvt_boot_info *bi, const char *word, uint64_t def)
{
	const char *p = find(bi, word);
	uint64_t v = 0;

	if (!p || *p != '=')
		return def;
	for (p++; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v;
}

uint64_t hvt_wall(void)
{
	volatile struct hvt_walltime c = {0};

	hvt_call(HVT_WALLTIME, &c);
	return c.nsecs;
}

int hvt_wait_for(uint64_t ns, uint64_t *ready)
{
	volatile struct hvt_poll c = {.timeout_nsecs = ns, .ret = -1};

	hvt_call(HVT_POLL, &c);
	*ready = c.ready_set;
	return c.ret;
}

int hvt_disk(int write, uint64_t handle, uint64_t off, void *data, uint64_t len)
{
	volatile struct hvt_block c = {.handle = handle,
				       .offset = off,
				       .data = (uintptr_t)data,
				       .len = len,
				       .ret = -1};

	hvt_call(write ? HVT_BLOCK_WRITE : HVT_BLOCK_READ, &c);
	return c.ret;
}

int hvt_send(uint64_t handle, const void *data, uint64_t len)
{
	volatile struct hvt_net c = {.handle = handle,
				     .data = (uintptr_t)data,
				     .len = len,
				     .ret = -1};

	hvt_call(HVT_NET_WRITE, &c);
	return c.ret;
}

int hvt_receive(uint64_t handle, void *data, uint64_t *len)
{
	volatile struct hvt_net c = {.handle = handle,
				     .data = (uintptr_t)data,
				     .len = *len,
				     .ret = -1};

	hvt_call(HVT_NET_READ, &c);
	*len = c.len;
	return c.ret;
}
