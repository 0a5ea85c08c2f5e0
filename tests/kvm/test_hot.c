/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hot.c - the hot set of a guest: recorded, brought in, and no trace of
 * it in memory or in diffs.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/fd.h"
#include "base/map.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"
#include "memory/pager.h"
#include "snapshot/hot.h"
#include "snapshot/hotset.h"
#include "snapshot/rewind.h"

#define MEMORY (UINT64_C(32) << 20)
#define TOUCH  (UINT64_C(16) << 20) /* where the guest touch begins */
#define FAR    (MEMORY - 65536)
#define WORDS  "fill=1 pages=300"

static uint64_t first_page(void)
{
	return TOUCH / host_page_size();
}

static void init(struct vmtest *t, enum restore_hotset how)
{
	vmtest_init(t, WORDS);
	t->cfg.vm.memory = MEMORY;
	t->cfg.restore.hotset = how;
}

/* A guest that was saved where it waits; touches 300 pages of 4 KiB then. */
static void save(struct vmtest_snapshot *s)
{
	struct vmtest t;

	init(&t, HOTSET_OFF);
	vmtest_start(&t, "touch");
	while (!t.vm->ready)
		vmtest_turn(&t);
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vm_dispatch(t.vm);
	vmtest_save(&t, s);
	vmtest_fini(&t);
}

static void run(struct vmtest *t)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
	vmtest_wait_end(t);
	cr_expect_eq(t->vm->end, VM_END_EXIT, "%s", t->vm->err.msg);
	cr_expect_eq(t->vm->exit_code, 0);
}

static void path_of(const struct vmtest_snapshot *s, char path[96])
{
	snprintf(path, 96, "%s/hotset", s->dir);
}

static void record(struct vmtest_snapshot *s, enum restore_memory memory)
{
	struct vmtest t;
	char path[96];
	int fd;

	path_of(s, path);
	init(&t, HOTSET_AUTO);
	t.cfg.restore.record = true;
	t.cfg.restore.memory = memory;
	vmtest_load(&t, s);
	run(&t);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(hot_record(t.vm, t.from, fd, &t.err), 0, "%s", t.err.msg);
	fd_close(fd);
	vmtest_fini(&t);
}

static void drop(struct vmtest_snapshot *s)
{
	char path[96];

	path_of(s, path);
	unlink(path);
	vmtest_remove(s);
}

static bool holds(const struct hotset *h, uint64_t page, uint8_t *flags)
{
	for (uint64_t i = 0; i < h->runs; i++) {
		if (page < h->run[i].first ||
		    page - h->run[i].first >= h->run[i].count)
			continue;
		*flags = h->run[i].flags;
		return true;
	}
	return false;
}

static void expect_recorded(enum restore_memory memory)
{
	struct vmtest_snapshot s;
	struct snapshot *snap = calloc(1, sizeof(*snap));
	struct mote_err err = {0};
	uint64_t page = host_page_size();
	struct hotset h;
	uint8_t flags = 0;

	cr_assert_not_null(snap);
	save(&s);
	record(&s, memory);
	cr_assert_eq(snapshot_open(snap, AT_FDCWD, s.dir, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(hotset_read(&h, snap->hotset_fd, &snap->manifest.digest,
				 MEMORY / page, &err),
		     0, "%s", err.msg);
	for (uint64_t at = TOUCH; at < TOUCH + 300 * 4096; at += page) {
		cr_assert(holds(&h, at / page, &flags), "page %llu",
			  (unsigned long long)(at / page));
		cr_expect_eq(flags, HOTSET_WRITTEN);
	}
	cr_expect_not(holds(&h, FAR / page, &flags));
	cr_expect_lt(h.pages, 300u + 256u);
	cr_expect_eq(snapshot_verify(snap, &err), 0, "%s", err.msg);
	cr_expect_eq(snapshot_verify_hotset(snap, &err), 0, "%s", err.msg);
	hotset_fini(&h);
	snapshot_close(snap);
	free(snap);
	drop(&s);
}

Test(vm_hot, what_a_mapped_guest_touches_is_recorded)
{
	expect_recorded(RESTORE_COW);
}

Test(vm_hot, what_a_paged_guest_touches_is_recorded)
{
	struct mote_err err = {0};
	int fd = pager_open(&err);

	if (fd < 0)
		cr_skip_test("%s", err.msg);
	fd_close(fd);
	expect_recorded(RESTORE_UFFD);
}

static const enum restore_hotset modes[] = {HOTSET_PRIVATE_THP,
					    HOTSET_SHARED_RUNS};

static bool was_brought_in(const struct vmtest *t, uint64_t page)
{
	return t->vm->brought_in && bitmap_test(t->vm->brought_in, page);
}

static void expect_same_memory(struct vmtest *a, struct vmtest *b)
{
	uint64_t n;

	cr_expect_eq(memcmp(memslot_page(&a->vm->slots, 0, &n),
			    memslot_page(&b->vm->slots, 0, &n), MEMORY),
		     0);
}

Test(vm_hot, memory_is_the_same_whichever_way_it_came)
{
	struct vmtest_snapshot s, again;
	struct vmtest t, cow;

	save(&s);
	record(&s, RESTORE_COW);
	init(&cow, HOTSET_OFF);
	vmtest_load(&cow, &s);
	cr_expect_not(was_brought_in(&cow, first_page()));
	for (size_t i = 0; i < 4; i++) {
		init(&t, modes[i % 2]);
		t.cfg.restore.verify = i < 2 ? VERIFY_OFF : VERIFY_ONCE;
		vmtest_load(&t, &s);
		cr_expect(was_brought_in(&t, first_page()));
		expect_same_memory(&t, &cow);
		t.cfg.restore.hotset = HOTSET_OFF; /* as in the manifest */
		t.cfg.restore.verify = VERIFY_AUTO;
		vmtest_save(&t, &again);
		vmtest_expect_same(&s, &again);
		vmtest_remove(&again);
		run(&t);
		vmtest_fini(&t);
	}
	vmtest_fini(&cow);
	drop(&s);
}

static void poke(struct vmtest *t, uint64_t off, int value)
{
	uint64_t gpa = t->vm->slots.slot[0].gpa + off;
	uint8_t buf[64];

	memset(buf, value, sizeof(buf));
	cr_assert_eq(guest_write(&t->vm->slots, gpa, buf, sizeof(buf)), 0);
}

static int64_t memory_size(const struct vmtest_snapshot *s)
{
	struct stat st;
	char path[96];

	snprintf(path, sizeof(path), "%s/memory", s->dir);
	cr_assert_eq(stat(path, &st), 0);
	return st.st_size;
}

Test(vm_hot, a_diff_has_what_changed_and_not_what_was_brought_in)
{
	struct vmtest_snapshot s, none, one;
	struct vmtest t, back;

	save(&s);
	record(&s, RESTORE_COW);
	for (size_t i = 0; i < 2; i++) {
		init(&t, modes[i]);
		vmtest_load(&t, &s);
		cr_expect(was_brought_in(&t, first_page()));
		vmtest_save_diff(&t, &none, false);
		cr_expect_eq(memory_size(&none), 0);
		poke(&t, TOUCH + 65536, 0x77);
		vmtest_save_diff(&t, &one, true);
		cr_expect_eq(memory_size(&one), (int64_t)host_page_size());
		init(&back, HOTSET_OFF);
		vmtest_load(&back, &one);
		expect_same_memory(&t, &back);
		vmtest_fini(&back);
		vmtest_fini(&t);
		vmtest_remove(&one);
		vmtest_remove(&none);
	}
	drop(&s);
}

/* The hot set of a diff has what the chain says, not what the root has. */
Test(vm_hot, diffs_have_hot_sets_too)
{
	struct vmtest_snapshot s, d;
	struct vmtest t, cow;

	save(&s);
	init(&t, HOTSET_OFF);
	vmtest_load(&t, &s);
	poke(&t, TOUCH + 16384, 0x66);
	vmtest_save_diff(&t, &d, true);
	vmtest_fini(&t);
	record(&d, RESTORE_COW);
	init(&cow, HOTSET_OFF);
	vmtest_load(&cow, &d);
	for (size_t i = 0; i < 2; i++) {
		init(&t, modes[i]);
		vmtest_load(&t, &d);
		cr_expect(was_brought_in(&t, first_page()));
		expect_same_memory(&t, &cow);
		run(&t);
		vmtest_fini(&t);
	}
	vmtest_fini(&cow);
	drop(&d);
	drop(&s);
}

Test(vm_hot, a_rewind_goes_back_to_what_was_brought_in)
{
	struct rewind *r = NULL;
	struct vmtest_snapshot s;
	struct vmtest t, cow;

	save(&s);
	record(&s, RESTORE_COW);
	init(&cow, HOTSET_OFF);
	vmtest_load(&cow, &s);
	for (size_t i = 0; i < 3; i++) {
		init(&t, i < 2 ? modes[i] : HOTSET_AUTO);
		t.opt.rewind = true;
		vmtest_load(&t, &s);
		/* By itself it would not: each rewind copies it. */
		cr_expect_eq(was_brought_in(&t, first_page()), i < 2);
		cr_assert_eq(rewind_init(&r, t.vm, t.from, &t.err), 0, "%s",
			     t.err.msg);
		run(&t);
		cr_assert_eq(rewind_vm(r, NULL, &t.err), 0, "%s", t.err.msg);
		expect_same_memory(&t, &cow);
		vmtest_fini(&t);
		rewind_fini(r);
	}
	vmtest_fini(&cow);
	drop(&s);
}

struct heard {
	char line[512];
};

static void hear(void *opaque, int level, const char *line)
{
	struct heard *h = opaque;

	if (level == LOG_LEVEL_WARN)
		snprintf(h->line, sizeof(h->line), "%s", line);
}

/* A hint that is bad is none: the guest runs without. */
Test(vm_hot, a_bad_hot_set_is_left_alone)
{
	struct vmtest_snapshot s, other;
	struct heard h = {""};
	struct vmtest t;
	char path[96], cmd[256];
	int fd;

	save(&s);
	record(&s, RESTORE_COW);
	path_of(&s, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_eq(fd_pwrite_full(fd, "x", 1, 80), 0);
	fd_close(fd);
	init(&t, HOTSET_AUTO);
	t.opt.log = (struct log){hear, &h, LOG_LEVEL_INFO};
	vmtest_load(&t, &s);
	cr_expect_str_eq(h.line, "restore: not used: hotset: digest of its "
				 "head does not match");
	cr_expect_not(was_brought_in(&t, first_page()));
	run(&t);
	vmtest_fini(&t);
	record(&s, RESTORE_COW);
	/* Another's. */
	init(&t, HOTSET_OFF);
	vmtest_load(&t, &s);
	poke(&t, FAR, 1);
	vmtest_save(&t, &other);
	vmtest_fini(&t);
	snprintf(cmd, sizeof(cmd), "cp %s/hotset %s/hotset", s.dir, other.dir);
	cr_assert_eq(system(cmd), 0);
	init(&t, HOTSET_AUTO);
	t.opt.log = (struct log){hear, &h, LOG_LEVEL_INFO};
	vmtest_load(&t, &other);
	cr_expect_str_eq(h.line, "restore: not used: hotset: it is of another "
				 "snapshot");
	vmtest_fini(&t);
	drop(&other);
	drop(&s);
}

#if !defined(__powerpc64__) /* no hvt guests there */

/* All memory is hot; what it holds is not used. */
static void all_hot(const struct vmtest_snapshot *s, const struct vmtest *t)
{
	uint64_t pages = t->cfg.vm.memory / host_page_size(), len;
	uint64_t *bits = calloc(pages / 64 + 1, sizeof(*bits));
	struct hotset h;
	uint8_t *head;
	char path[96];
	int fd;

	cr_assert_not_null(bits);
	for (uint64_t i = 0; i < pages; i++)
		bitmap_set(bits, i);
	cr_assert_eq(hotset_make(&h, bits, bits, pages, NULL), 0);
	cr_assert_eq(
		hotset_format(&h, &t->from->manifest.digest, &head, &len, NULL),
		0);
	path_of(s, path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(fd_pwrite_full(fd, head, len, 0), 0);
	cr_assert_eq(ftruncate(fd, (off_t)(len + pages * host_page_size())), 0);
	fd_close(fd);
	hotset_fini(&h);
	free(head);
	free(bits);
}

static void load_probe(struct vmtest *t, const struct vmtest_snapshot *s,
		       enum restore_hotset how)
{
	vmtest_init(t, "xnow");
	t->cfg.vm.memory = UINT64_C(4) << 20;
	t->cfg.vm.protocol = PROTOCOL_HVT;
	t->cfg.restore.hotset = how;
	t->cfg.restore.verify = VERIFY_ONCE;
	if (s)
		vmtest_load(t, s);
}

/* Code that the host keeps from being written is still kept from it. */
Test(vm_hot, what_is_protected_stays_so)
{
	struct vmtest_snapshot s;
	struct vmtest t;

	load_probe(&t, NULL, HOTSET_OFF);
	vmtest_build(&t, "hvt-probe");
	vmtest_save(&t, &s);
	vmtest_fini(&t);
	load_probe(&t, &s, HOTSET_OFF);
	all_hot(&s, &t);
	vmtest_fini(&t);
	for (size_t i = 0; i < 2; i++) {
		load_probe(&t, &s, modes[i]);
		cr_expect(was_brought_in(&t, 0));
		cr_assert_eq(vm_start(t.vm, false, &t.err), 0, "%s", t.err.msg);
		vmtest_wait_end(&t);
		cr_expect_eq(t.vm->end, VM_END_CRASH, "%s", t.out);
		cr_expect_not_null(
			strstr(t.vm->err.msg, "host/guest translation fault"),
			"%s (%s)", t.vm->err.msg, t.out);
		vmtest_fini(&t);
	}
	drop(&s);
}

#endif
