/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_uapi.c - traps of KVM on ppc64le (arch/uapi.h): the descriptors of
 * the hashed page table.
 */
#include <endian.h>
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include "arch/ppc64le/hpt.h"
#include "arch/uapi.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "kvm/kvm.h"

#ifndef KVM_GET_HTAB_WRITE
#define KVM_GET_HTAB_WRITE 0x2
#endif
#define ORDER	18u
#define ENTRIES (1u << (ORDER - 4)) /* of 16 bytes */
#define HPTE_V	1ull
#define HV_VM	1ul /* KVM_VM_PPC_HV */

const void *arch_uapi_guest(size_t *size)
{
	static const uint32_t code[] = {
		0x48000005, /* bl .+4 */
		0x7c8802a6, /* mflr r4 */
		0x3884fffc, /* addi r4, r4, -4 */
		0x38a00001, /* li r5, 1 */
		0x3cc40001, /* addis r6, r4, 1 */
		0x90a60000, /* stw r5, 0(r6) */
		0x3cc40003, /* addis r6, r4, 3 */
		0x90a60000, /* stw r5, 0(r6) */
		0x3cc40006, /* addis r6, r4, 6 */
		0x90a60000, /* stw r5, 0(r6) */
		0x38600054, /* li r3, 0x54: H_GET_TERM_CHAR, user space's */
		0x44000022, /* sc 1 */
		0x48000000, /* b . */
	};

	*size = sizeof(code);
	return code;
}

struct record {
	uint32_t index;
	uint16_t valid, invalid; /* in this host's byte order */
	uint64_t hpte[2];	 /* big-endian on any host */
};
_Static_assert(sizeof(struct record) == 24, "one entry");

static int htab_fd(int vm, uint64_t flags)
{
	struct kvm_get_htab_fd req = {.flags = flags};

	return kvm_call(vm, KVM_PPC_GET_HTAB_FD, &req);
}

static struct record entry(uint32_t index)
{
	return (struct record){
		.index = index,
		.valid = 1,
		.hpte = {htobe64(HPTE_V | (uint64_t)index << 12),
			 htobe64(0x190)},
	};
}

/* A VM with a table and both descriptors; an answer and false without. */
struct table {
	struct hpt hpt;
	int vm, in, out; /* in: we read it */
};

static void table_close(struct table *t)
{
	fd_clear(&t->in);
	fd_clear(&t->out);
	fd_clear(&t->vm);
}

static bool table_open(struct table *t, int kvm_fd, struct uapi_answer *a)
{
	struct mote_err err = {0};

	*t = (struct table){.in = -1, .out = -1};
	t->vm = kvm_create_vm(kvm_fd, HV_VM);
	if (t->vm < 0) {
		uapi_answer(a, UAPI_ABSENT, "no VM of KVM-HV");
		return false;
	}
	if (hpt_init(&t->hpt, t->vm, ORDER, &err) < 0) {
		uapi_answer(a, UAPI_ABSENT, "%.190s", err.msg);
		table_close(t);
		return false;
	}
	t->in = htab_fd(t->vm, 0);
	t->out = htab_fd(t->vm, KVM_GET_HTAB_WRITE);
	if (t->in >= 0 && t->out >= 0)
		return true;
	uapi_answer(a, UAPI_ABSENT, "no KVM_PPC_GET_HTAB_FD");
	table_close(t);
	return false;
}

static int do_read(int fd, void *buf, size_t len)
{
	ssize_t n = read(fd, buf, len);

	return n < 0 ? -errno : (int)n;
}

static int do_write(int fd, const void *buf, size_t len)
{
	ssize_t n = write(fd, buf, len);

	return n < 0 ? -errno : (int)n;
}

static void expect_count(struct uapi_answer *a, const char *what, int got,
			 int want)
{
	uapi_answer(a, got == want ? UAPI_AS_EXPECTED : UAPI_DIFFERS,
		    "%s: %d, expected %d", what, got, want);
}

static void ask_passes(int kvm_fd, struct uapi_answer *a)
{
	const struct record e = entry(8);
	struct record big[64];
	struct table t;
	int first, empty, second;

	if (!table_open(&t, kvm_fd, a))
		return;
	first = do_read(t.in, big, sizeof(big));
	empty = do_read(t.in, big, sizeof(big));
	if (do_write(t.out, &e, sizeof(e)) != (int)sizeof(e)) {
		uapi_answer(a, UAPI_DIFFERS, "an entry could not be written");
	} else {
		second = do_read(t.in, big, sizeof(big));
		uapi_answer(a,
			    first == 8 && empty == 0 && second == 24
				    ? UAPI_AS_EXPECTED
				    : UAPI_DIFFERS,
			    "empty table %d, again %d, after one write %d "
			    "(expected 8, 0, 24)",
			    first, empty, second);
	}
	table_close(&t);
}

static void ask_small_read(int kvm_fd, struct uapi_answer *a)
{
	struct record r;
	struct table t;

	if (!table_open(&t, kvm_fd, a))
		return;
	expect_count(a, "a read of 24 bytes", do_read(t.in, &r, sizeof(r)), 0);
	table_close(&t);
}

static void ask_one_record(int kvm_fd, struct uapi_answer *a)
{
	const struct record two[2] = {entry(8), entry(16)};
	struct table t;
	int ret;

	if (!table_open(&t, kvm_fd, a))
		return;
	ret = do_write(t.out, two, sizeof(two));
	if (ret == (int)sizeof(two))
		uapi_answer(a, UAPI_DIFFERS, "both were taken");
	else
		uapi_answer(a, UAPI_AS_EXPECTED, "of 48 bytes: %d", ret);
	table_close(&t);
}

/*
 * Cut by more than a header: what is cut by less, Linux 6.1 does not notice
 * and reads on behind the end.
 */
static void ask_truncated(int kvm_fd, struct uapi_answer *a)
{
	const struct record e = entry(8);
	struct table t;

	if (!table_open(&t, kvm_fd, a))
		return;
	expect_count(a, "12 of 24 bytes", do_write(t.out, &e, 12), 0);
	table_close(&t);
}

static void ask_beyond(int kvm_fd, struct uapi_answer *a)
{
	const struct record e = entry(ENTRIES);
	struct table t;

	if (!table_open(&t, kvm_fd, a))
		return;
	uapi_expect(a, "an entry behind the table",
		    do_write(t.out, &e, sizeof(e)), -EINVAL);
	table_close(&t);
}

static void ask_order(int kvm_fd, struct uapi_answer *a)
{
	struct record e = entry(8);
	struct table t;

	if (!table_open(&t, kvm_fd, a))
		return;
	e.hpte[0] = htole64(be64toh(entry(8).hpte[0]));
	uapi_expect(a, "a native entry", do_write(t.out, &e, sizeof(e)),
		    -EINVAL);
	table_close(&t);
}

static void ask_direction(int kvm_fd, struct uapi_answer *a)
{
	struct record e = entry(8);
	struct table t;
	int in;

	if (!table_open(&t, kvm_fd, a))
		return;
	in = do_write(t.in, &e, sizeof(e));
	if (in != -EBADF)
		uapi_expect(a, "write to the reading one", in, -EBADF);
	else
		uapi_expect(a, "read from the writing one",
			    do_read(t.out, &e, sizeof(e)), -EBADF);
	table_close(&t);
}

static void ask_flags(int kvm_fd, struct uapi_answer *a)
{
	struct table t;
	int fd;

	if (!table_open(&t, kvm_fd, a))
		return;
	fd = htab_fd(t.vm, 0x80);
	uapi_expect(a, "flag 0x80", fd, -EINVAL);
	if (fd >= 0)
		fd_clear(&fd);
	table_close(&t);
}

const struct uapi_trap *arch_uapi_traps(size_t *count)
{
	static const struct uapi_trap traps[] = {
		{"ppc64: a pass over the table ends with 0, then tells changes",
		 ask_passes, 1},
		{"ppc64: a read of 24 bytes or less looks like the end",
		 ask_small_read, 1},
		{"ppc64: one record with entries a write", ask_one_record, 1},
		{"ppc64: a truncated record is taken for nothing",
		 ask_truncated, 1},
		{"ppc64: an index behind the table is EINVAL", ask_beyond, 1},
		{"ppc64: entries are big-endian on any host", ask_order, 1},
		{"ppc64: each descriptor has one direction", ask_direction, 1},
		{"ppc64: unknown flags of the descriptor are EINVAL", ask_flags,
		 1},
	};

	*count = ARRAY_SIZE(traps);
	return traps;
}
