/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hpt_traps.c - what the kernel's descriptors of a hashed page table do
 * that their documentation does not say, one test each.  kvm_uapi.c asks the
 * rest of them of any host (suite doctor_uapi).
 */
#include <criterion/criterion.h>

#include <endian.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/common/hpt_section.h"
#include "arch/ppc64le/hpt.h"
#include "base/fd.h"
#include "base/map.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"

#define HPTE_V	    1ul
#define HPTE_HVLOCK 0x40ul
#define HPTE_R	    0x100ul
#define HPTE_C	    0x80ul
#define ORDER	    18u
#define READ_MAX    65536u

struct record {
	uint32_t index;
	uint16_t valid, invalid;
	uint64_t hpte[2];
};

/* A machine with a table of that order that has not run. */
static void build(struct vmtest *t, const char *args)
{
	vmtest_init(t, args);
	t->cfg.cpu.hpt_order = ORDER;
	vmtest_build(t, "hpt");
}

/*
 * One whose guest runs: real mode takes a group of 128 bytes of the table for
 * each page of the host.
 */
static void build_to_run(struct vmtest *t, const char *args)
{
	uint32_t order = host_page_size() == 4096 ? 19 : ORDER;
	char text[128];

	snprintf(text, sizeof(text), "order=%u %s", order, args);
	vmtest_init(t, text);
	t->cfg.cpu.hpt_order = order;
	vmtest_build(t, "hpt");
}

static int open_fd(const struct vmtest *t, uint64_t flags)
{
	struct kvm_get_htab_fd req = {.flags = flags};
	int fd = kvm_call(t->vm->vm_fd, KVM_PPC_GET_HTAB_FD, &req);

	cr_assert_geq(fd, 0, "KVM_PPC_GET_HTAB_FD: %s", strerror(-fd));
	return fd;
}

static struct record make(uint32_t index)
{
	return (struct record){
		.index = index,
		.valid = 1,
		.hpte = {htobe64(HPTE_V | (uint64_t)index << 12),
			 htobe64(0x190)},
	};
}

static void put(int fd, uint32_t index)
{
	struct record r = make(index);

	cr_assert_eq(write(fd, &r, sizeof(r)), (ssize_t)sizeof(r), "%s",
		     strerror(errno));
}

/* Read once; how many bytes. */
static ssize_t take(int fd, struct record *r)
{
	static uint8_t buf[READ_MAX];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n >= (ssize_t)sizeof(*r))
		memcpy(r, buf, sizeof(*r));
	return n;
}

Test(ppc64_traps, an_entry_comes_back_with_its_lock_bit)
{
	struct record r = {0};
	struct vmtest t;
	int in, out;

	build(&t, "");
	in = open_fd(&t, 0);
	out = open_fd(&t, 2);
	take(in, &r);
	put(out, 8);
	cr_assert_eq(take(in, &r), (ssize_t)sizeof(r));
	cr_assert_eq(r.index, 8u);
	cr_assert(be64toh(r.hpte[0]) & HPTE_HVLOCK);
	cr_assert_eq(be64toh(r.hpte[0]) & ~HPTE_HVLOCK,
		     be64toh(make(8).hpte[0]));
	/* Harmless on the way back. */
	cr_assert_eq(write(out, &r, sizeof(r)), (ssize_t)sizeof(r));
	fd_close(in);
	fd_close(out);
	vmtest_fini(&t);
}

/* The mark is the VM's, not the reader's: two take each other's changes. */
Test(ppc64_traps, two_readers_take_each_others_changes)
{
	struct record r;
	struct vmtest t;
	int a, b, out;

	build(&t, "");
	a = open_fd(&t, 0);
	b = open_fd(&t, 0);
	out = open_fd(&t, 2);
	take(a, &r);
	take(b, &r);
	put(out, 8);
	cr_assert_eq(take(a, &r), (ssize_t)sizeof(r));
	cr_assert_eq(take(b, &r), 0, "the second one is told as well");
	fd_close(a);
	fd_close(b);
	fd_close(out);
	vmtest_fini(&t);
}

/* A new reader's first pass is of everything, marked or not. */
Test(ppc64_traps, marks_are_kept_only_while_a_reader_is_open)
{
	struct record r = {0};
	struct vmtest t;
	int in, out;

	build(&t, "");
	in = open_fd(&t, 0);
	take(in, &r);
	fd_close(in);
	out = open_fd(&t, 2);
	put(out, 8);
	in = open_fd(&t, 0);
	cr_assert_eq(take(in, &r), 8 + 8 + 16, "all of it: %u and %u", r.valid,
		     r.invalid);
	cr_assert_eq(take(in, &r), 0);
	fd_close(in);
	fd_close(out);
	vmtest_fini(&t);
}

static void expect_write(int fd, const void *buf, size_t len, int code,
			 const char *what)
{
	ssize_t n = write(fd, buf, len);

	cr_expect(n < 0 && errno == code, "%s: %zd, %s", what, n,
		  strerror(errno));
}

Test(ppc64_traps, what_is_no_entry_of_the_table_is_einval)
{
	struct record r = make(8);
	struct {
		struct record first;
		uint64_t more[2];
	} two;
	struct vmtest t;
	int out;

	build(&t, "");
	out = open_fd(&t, 2);
	r.hpte[0] &= htobe64(~HPTE_V);
	expect_write(out, &r, sizeof(r), EINVAL, "no valid bit");
	two.first = make(16384 - 1);
	two.first.valid = 2;
	memcpy(two.more, two.first.hpte, sizeof(two.more));
	expect_write(out, &two, sizeof(two), EINVAL,
		     "a count behind the table");
	r = make(16384 - 1);
	r.valid = 0;
	r.invalid = 2;
	expect_write(out, &r, sizeof(r), EINVAL, "the same of invalid ones");
	fd_close(out);
	vmtest_fini(&t);
}

Test(ppc64_traps, less_than_a_header_is_taken_for_nothing)
{
	struct record r = make(8);
	struct vmtest t;
	int out;

	build(&t, "");
	out = open_fd(&t, 2);
	cr_assert_eq(write(out, &r, 7), 0);
	fd_close(out);
	vmtest_fini(&t);
}

Test(ppc64_traps, invalid_ones_go_many_to_a_write)
{
	struct vmtest t;
	struct {
		uint32_t index;
		uint16_t valid, invalid;
	} many[3] = {{0, 0, 8}, {8, 0, 8}, {100, 0, 1}};
	struct record r;
	int in, out;

	build(&t, "");
	out = open_fd(&t, 2);
	put(out, 3);
	put(out, 100);
	cr_assert_eq(write(out, many, sizeof(many)), (ssize_t)sizeof(many));
	in = open_fd(&t, 0);
	cr_assert_eq(take(in, &r), 8, "entries are left");
	fd_close(in);
	fd_close(out);
	vmtest_fini(&t);
}

Test(ppc64_traps, an_entry_for_no_ram_is_taken_and_reads_back)
{
	struct record w = make(8), r = {0};
	struct vmtest t;
	int in, out;

	build(&t, "");
	w.hpte[1] = htobe64(0x7fff0000000ul | 0x190);
	out = open_fd(&t, 2);
	cr_assert_eq(write(out, &w, sizeof(w)), (ssize_t)sizeof(w));
	in = open_fd(&t, 0);
	/* 8 invalid ones come first, with a header of their own. */
	cr_assert_eq(take(in, &r), 8 + 8 + 16);
	fd_close(in);
	in = open_fd(&t, 0);
	{
		static uint8_t buf[READ_MAX];

		cr_assert_eq(read(in, buf, sizeof(buf)), 32);
		memcpy(&r, buf + 8, sizeof(r));
	}
	cr_assert_eq(r.index, 8u);
	cr_assert_eq(r.hpte[1], w.hpte[1]);
	fd_close(in);
	fd_close(out);
	vmtest_fini(&t);
}

/* A radix VM, and one whose table was never allocated. */
Test(ppc64_traps, without_a_table_the_descriptor_opens_and_gives_nothing)
{
	int kvm = kvm_open(NULL, NULL), vm;
	struct kvm_get_htab_fd req = {0};
	struct record r = make(8);

	cr_assert_geq(kvm, 0);
	vm = kvm_create_vm(kvm, 1);
	cr_assert_geq(vm, 0);
	for (int writing = 0; writing < 2; writing++) {
		int fd;

		req.flags = writing ? 2 : 0;
		fd = kvm_call(vm, KVM_PPC_GET_HTAB_FD, &req);
		cr_assert_geq(fd, 0, "%s", strerror(-fd));
		if (writing)
			expect_write(fd, &r, sizeof(r), EINVAL, "write");
		else
			cr_assert_eq(take(fd, &r), 0);
		fd_close(fd);
	}
	fd_close(vm);
	fd_close(kvm);
}

static uint64_t bolted(struct hpt *h)
{
	struct hpt_counts counts;
	struct mote_err err = {0};

	cr_assert_eq(hpt_settle(h, &err), 0, "%s", err.msg);
	cr_assert_eq(hpt_stream_check(h->now.buf, h->now.len,
				      hpt_entries(h->order), &counts, &err),
		     0, "%s", err.msg);
	return counts.bolted;
}

Test(ppc64_traps, the_first_run_makes_the_entries_of_real_mode)
{
	struct vmtest t;

	build_to_run(&t, "pages=1");
	cr_assert_eq(bolted(&t.vm->arch.hpt), 0u);
	cr_assert_eq(vm_start(t.vm, false, &t.err), 0, "%s", t.err.msg);
	vmtest_wait_for(&t, "round 1\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0);
	cr_assert_gt(bolted(&t.vm->arch.hpt), 0u);
	vmtest_fini(&t);
}

/* Does the last pass tell an entry with one of these bits? */
static bool told(const struct hpt *h, uint64_t bits)
{
	uint64_t next = 0, r;
	struct hpt_record rec;
	size_t pos = 0;

	while (hpt_record_next(h->pass.buf, h->pass.len, &pos, false,
			       hpt_entries(h->order), &next, &rec, NULL) > 0)
		for (uint32_t i = 0; i < rec.valid; i++) {
			memcpy(&r, rec.entries + i * HPT_ENTRY_SIZE + 8, 8);
			if (be64toh(r) & bits)
				return true;
		}
	return false;
}

/* The hardware marks an entry as used and written: that is a change. */
Test(ppc64_traps, use_of_an_entry_is_a_change_of_it)
{
	struct vmtest t;
	struct hpt *h;
	bool seen = false;

	build_to_run(&t, "pages=64 step_ms=1 churn=8");
	h = &t.vm->arch.hpt;
	cr_assert_eq(vm_start(t.vm, false, &t.err), 0, "%s", t.err.msg);
	vmtest_wait_for(&t, "round 2\n");
	for (int i = 0; i < 50 && !seen; i++) {
		cr_assert_eq(hpt_pass(h, 0, NULL), 1);
		seen = told(h, HPTE_R | HPTE_C);
		vmtest_turn(&t);
	}
	cr_assert(seen, "no entry was told as used");
	vmtest_fini(&t);
}

/*
 * The host takes a page of the guest away: KVM keeps the entry as absent.  It
 * reads as valid, or a snapshot would lose it.
 */
Test(ppc64_traps, an_entry_whose_page_the_host_took_reads_as_valid)
{
	struct hpt_stream was = {0};
	struct mote_err err = {0};
	struct hpt_counts a, b;
	struct vmtest t;
	struct hpt *h;

	build_to_run(&t, "pages=64 step_ms=5");
	h = &t.vm->arch.hpt;
	cr_assert_eq(vm_start(t.vm, false, &t.err), 0, "%s", t.err.msg);
	vmtest_wait_for(&t, "round 2\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0);
	cr_assert_eq(hpt_settle(h, &err), 0, "%s", err.msg);
	cr_assert_eq(hpt_stream_check(h->now.buf, h->now.len,
				      hpt_entries(h->order), &a, &err),
		     0);
	/* Its pages at 8 MiB: the guest writes them anew each round. */
	cr_assert_eq(madvise((char *)t.vm->slots.slot[0].ram.addr + (8 << 20),
			     64 * 4096, MADV_DONTNEED),
		     0);
	cr_assert_eq(hpt_settle(h, &err), 0, "%s", err.msg);
	cr_assert_eq(hpt_stream_check(h->now.buf, h->now.len,
				      hpt_entries(h->order), &b, &err),
		     0);
	cr_assert_eq(a.valid, b.valid);
	cr_assert_eq(a.bolted, b.bolted);
	cr_assert_eq(vm_resume(t.vm, &t.err), 0);
	vmtest_wait_for(&t, "round 5\n");
	cr_assert_null(strstr(t.out, "wrong"), "%s", t.out);
	hpt_stream_fini(&was);
	vmtest_fini(&t);
}

static uint64_t seed = 0x2545f4914f6cdd1dull;

static uint32_t random_u32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

/* A whole table with up to 256 entries anywhere. */
static void make_random(struct hpt_stream *s)
{
	uint32_t n = 1 + random_u32() % 256, at = 0;

	hpt_stream_clear(s);
	for (; n > 0 && at < 16384; n--) {
		uint32_t gap = random_u32() % 128;
		uint64_t e[2];

		if (at + gap >= 16384)
			break;
		hpt_put_invalid(s, at, gap);
		at += gap;
		/* 4 KiB pages of this machine's RAM, any AVPN. */
		e[0] = htobe64(HPTE_V | (uint64_t)(random_u32() & 0xffffff)
						<< 12);
		e[1] = htobe64((uint64_t)(random_u32() % 4096) << 12 | 0x190 |
			       random_u32() % 4);
		hpt_put_valid(s, at, 1, (const uint8_t *)e);
		at++;
	}
	hpt_put_invalid(s, at, 16384 - at);
}

/* A section of that order and stream; the payload is the caller's to free. */
static struct snap_section section_of(uint32_t order, const void *stream,
				      size_t len)
{
	struct snap_section sec = {.name = HPT_SECTION, .version = 2};
	const uint32_t head[2] = {htole32(order), htole32(HPT_WHOLE)};
	uint8_t *payload = malloc(sizeof(head) + len);

	memcpy(payload, head, sizeof(head));
	memcpy(payload + sizeof(head), stream, len);
	sec.data = payload;
	sec.len = sizeof(head) + len;
	return sec;
}

/* Written over each other, and each read back by an incremental pass. */
Test(ppc64_traps, a_thousand_random_tables_are_written_read_and_compared)
{
	struct hpt_stream want = {0};
	struct mote_err err = {0};
	struct vmtest t;
	struct hpt *h;

	build(&t, "");
	h = &t.vm->arch.hpt;
	for (int i = 0; i < 1000; i++) {
		struct snap_section sec;

		make_random(&want);
		sec = section_of(ORDER, want.buf, want.len);
		cr_assert_eq(hpt_load(h, &sec, &err), 0, "table %d: %s", i,
			     err.msg);
		cr_assert_eq(hpt_settle(h, &err), 0, "table %d: %s", i,
			     err.msg);
		cr_assert_eq(h->now.len, want.len, "table %d", i);
		cr_assert_arr_eq(h->now.buf, want.buf, want.len, "table %d", i);
		free((void *)(uintptr_t)sec.data);
	}
	hpt_stream_fini(&want);
	vmtest_fini(&t);
}

static void expect_bad(struct hpt *h, uint32_t order, const void *stream,
		       size_t len, const char *what)
{
	struct snap_section sec = section_of(order, stream, len);
	struct mote_err err = {0};

	cr_assert_eq(hpt_load(h, &sec, &err), -EBADMSG, "%s", what);
	cr_assert_neq(err.msg[0], 0, "%s", what);
	cr_assert_not(h->used, "%s: something was written", what);
	free((void *)(uintptr_t)sec.data);
}

/* Every one of them is refused before a record is written. */
Test(ppc64_traps, damaged_streams_leave_the_table_as_it_was)
{
	struct hpt_stream good = {0};
	struct vmtest t;
	uint8_t *bad;
	struct hpt *h;

	build(&t, "");
	h = &t.vm->arch.hpt;
	do {
		make_random(&good);
	} while (good.len < 1000);
	bad = malloc(good.len);
	for (size_t cut = 1; cut < good.len; cut += 7)
		expect_bad(h, ORDER, good.buf, cut, "cut");
	expect_bad(h, ORDER + 1, good.buf, good.len, "another order");
	memcpy(bad, good.buf, good.len);
	bad[0] ^= 1; /* of the first index, which is 0 */
	expect_bad(h, ORDER, bad, good.len, "an index");
	memcpy(bad, good.buf, good.len);
	for (int i = 0; i < 4; i++) {
		uint8_t x = bad[i];

		bad[i] = bad[7 - i];
		bad[7 - i] = x;
	}
	expect_bad(h, ORDER, bad, good.len, "a header in the other order");
	for (size_t pos = 0, at = 0; at < good.len; pos = at) {
		uint64_t next = 0;
		struct hpt_record rec;

		if (hpt_record_next(good.buf, good.len, &at, false,
				    hpt_entries(ORDER), &next, &rec, NULL) <= 0)
			break;
		if (!rec.valid)
			continue;
		memcpy(bad, good.buf, good.len);
		bad[pos + HPT_HEADER_SIZE + HPT_HVLOCK_BYTE] &=
			(uint8_t)~HPT_VALID_BIT;
		expect_bad(h, ORDER, bad, good.len, "an entry not valid");
	}
	cr_assert_eq(hpt_settle(h, NULL), 0);
	cr_assert_eq(h->now.len, 8u, "the table is not empty");
	hpt_stream_fini(&good);
	free(bad);
	vmtest_fini(&t);
}
