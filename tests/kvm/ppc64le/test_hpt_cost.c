/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hpt_cost.c - what our passes and restores of a hashed page table cost,
 * as ratios to loops of bare reads and writes, run in turns in one process:
 * hpt.pass.ratio_bare (opened and read to its end; what our memory costs when
 * the machine goes is not in it), hpt.restore.ratio_bare.
 */
#include <criterion/criterion.h>

#include <endian.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/common/hpt_section.h"
#include "arch/ppc64le/hpt.h"
#include "base/fd.h"
#include "base/timeline.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"

#define ORDER	20u
#define ENTRIES 65536u
#define TURNS	101
#define MOST	1.1
/* Memory for what is kept, 4 KiB by 4 KiB, is what a bare loop goes without. */
#define MOST_4K 1.3

static uint8_t buf[65536];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *ns)
{
	qsort(ns, TURNS, sizeof(*ns), compare);
	return ns[TURNS / 2];
}

/* One entry in four, in runs of 16. */
static void make_table(struct hpt_stream *s)
{
	uint64_t e[16][2];

	for (uint32_t at = 0; at < ENTRIES; at += 64) {
		for (uint32_t i = 0; i < 16; i++) {
			e[i][0] = htobe64(1 | (uint64_t)(at + i) << 12);
			e[i][1] = htobe64((uint64_t)((at + i) % 4096) << 12 |
					  0x190);
		}
		hpt_put_valid(s, at, 16, (const uint8_t *)e);
		hpt_put_invalid(s, at + 16, 48);
	}
}

static int open_fd(int vm, uint64_t flags)
{
	struct kvm_get_htab_fd req = {.flags = flags};
	int fd = kvm_call(vm, KVM_PPC_GET_HTAB_FD, &req);

	cr_assert_geq(fd, 0);
	return fd;
}

static uint64_t bare_pass(int vm)
{
	uint64_t began = timeline_now(), took;
	int fd = open_fd(vm, 0);
	ssize_t n;

	do {
		n = read(fd, buf, sizeof(buf));
	} while (n + 24 >= (ssize_t)sizeof(buf));
	took = timeline_now() - began;
	fd_close(fd);
	return took;
}

static uint64_t our_pass(int vm)
{
	struct hpt h = {.vm_fd = vm, .order = ORDER, .fd = -1};
	uint64_t began = timeline_now(), took;

	cr_assert_eq(hpt_pass(&h, 0, NULL), 1);
	took = timeline_now() - began;
	hpt_fini(&h);
	return took;
}

static uint64_t bare_restore(int vm, const struct hpt_stream *s)
{
	uint64_t began = timeline_now(), next = 0;
	int fd = open_fd(vm, 2);
	struct hpt_record rec;
	size_t pos = 0, at = 0;

	while (hpt_record_next(s->buf, s->len, &pos, false, ENTRIES, &next,
			       &rec, NULL) > 0) {
		cr_assert_eq(write(fd, s->buf + at, pos - at),
			     (ssize_t)(pos - at));
		at = pos;
	}
	fd_close(fd);
	return timeline_now() - began;
}

static uint64_t our_restore(int vm, const struct hpt_stream *s)
{
	struct hpt h = {.vm_fd = vm, .order = ORDER, .fd = -1};
	const uint32_t head[2] = {htole32(ORDER), htole32(HPT_WHOLE)};
	struct snap_section sec = {.name = HPT_SECTION, .version = 2};
	uint8_t *payload = malloc(sizeof(head) + s->len);
	struct mote_err err = {0};
	uint64_t began, took;

	memcpy(payload, head, sizeof(head));
	memcpy(payload + sizeof(head), s->buf, s->len);
	sec.data = payload;
	sec.len = sizeof(head) + s->len;
	began = timeline_now();
	cr_assert_eq(hpt_load(&h, &sec, &err), 0, "%s", err.msg);
	took = timeline_now() - began;
	hpt_fini(&h);
	free(payload);
	return took;
}

static void tell(const char *name, uint64_t *ours, uint64_t *bare)
{
	uint64_t a = median(ours), b = median(bare);

	printf("%s = %.3f (%llu us, bare %llu us)\n", name,
	       (double)a / (double)b, (unsigned long long)a / 1000,
	       (unsigned long long)b / 1000);
	cr_assert_leq((double)a,
		      (double)b *
			      (sysconf(_SC_PAGESIZE) == 4096 ? MOST_4K : MOST),
		      "%s", name);
}

Test(ppc64_cost, a_pass_and_a_restore_cost_little_more_than_bare_ones)
{
	uint64_t ours[TURNS], bare[TURNS];
	struct hpt_stream s = {0};
	struct vmtest t;
	int vm;

	vmtest_init(&t, "");
	t.cfg.cpu.hpt_order = ORDER;
	vmtest_build(&t, "hpt");
	vm = t.vm->vm_fd;
	make_table(&s);
	our_restore(vm, &s);
	for (int i = 0; i < TURNS; i++) {
		ours[i] = our_restore(vm, &s);
		bare[i] = bare_restore(vm, &s);
	}
	tell("hpt.restore.ratio_bare", ours, bare);
	for (int i = 0; i < TURNS; i++) {
		ours[i] = our_pass(vm);
		bare[i] = bare_pass(vm);
	}
	tell("hpt.pass.ratio_bare", ours, bare);
	hpt_stream_fini(&s);
	vmtest_fini(&t);
}
