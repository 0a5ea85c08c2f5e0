/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_refuse.c - what can't be restored here is refused by name, before KVM
 * is asked for a VM; and the format does not change unseen.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "devices/device.h"
#include "fake/fake_kvm.h"
#include "fake/fakevm.h"
#include "kvm/kvm.h"
#include "snapshot/golden.h"
#include "snapshot/snapshot.h"

#define GOLDEN "x86_64/counter-1"

static struct golden g;

static void setup(void)
{
	golden_copy(&g, GOLDEN);
}

static void teardown(void)
{
	golden_remove(&g);
}

TestSuite(fake_refuse, .init = setup, .fini = teardown);

/* A machine of the golden one's shape. */
static void init(struct fakevm *f)
{
	fakevm_init(f, 1);
	f->cfg.vm.memory = UINT64_C(2) << 20;
}

static int load(struct fakevm *f)
{
	struct snapshot *s = malloc(sizeof(*s));
	int ret;

	cr_assert_not_null(s);
	ret = snapshot_open(s, AT_FDCWD, g.dir, &f->err);
	if (ret == 0)
		ret = snapshot_load(s, &f->opt, &f->vm, &f->err);
	if (ret == 0) { /* the machine has its own descriptors */
		vm_destroy(f->vm);
		f->vm = NULL;
	}
	snapshot_close(s);
	free(s);
	return ret;
}

/* A VM is not even asked for: that call would fail, and with EIO. */
static void expect_refused(struct fakevm *f, int class, const char *words)
{
	fake_kvm_fail_next(KVM_CREATE_VM, EIO);
	cr_expect_lt(load(f), 0, "not refused: %s", words);
	cr_expect_not_null(strstr(f->err.msg, words), "no \"%s\" in: %s", words,
			   f->err.msg);
	cr_expect_eq(err_exit_code(&f->err), class, "%d: %s",
		     err_exit_code(&f->err), f->err.msg);
}

static void refused(int class, const char *words)
{
	struct fakevm f;

	init(&f);
	expect_refused(&f, class, words);
	fakevm_fini(&f);
}

/* Replace text in the manifest by text of any length. */
static void change_manifest(const char *from, const char *to)
{
	char *text = golden_read(&g, GOLDEN_MANIFEST);
	size_t len = (size_t)g.size[GOLDEN_MANIFEST];
	char *at = memmem(text, len, from, strlen(from));
	char *now = malloc(len + strlen(to));
	size_t head, tail;

	cr_assert_not_null(at, "no \"%s\"", from);
	cr_assert_not_null(now);
	head = (size_t)(at - text);
	tail = len - head - strlen(from);
	memcpy(now, text, head);
	memcpy(now + head, to, strlen(to));
	memcpy(now + head + strlen(to), at + strlen(from), tail);
	golden_repair_manifest(&g, now, head + strlen(to) + tail);
	free(now);
	free(text);
}

/* The section's version, flags or size of XSAVE area, with its digests. */
static void change_state(const char *section, uint64_t at, uint32_t value,
			 size_t size)
{
	static struct snap_reader r;
	uint8_t *state = golden_read(&g, GOLDEN_STATE);
	char *manifest = golden_read(&g, GOLDEN_MANIFEST);
	struct snap_section s;

	cr_assert_eq(snap_reader_init(&r, state, g.size[GOLDEN_STATE], NULL),
		     0);
	cr_assert_eq(snap_section_open(&r, section, 0, &s, NULL), 0);
	memcpy((uint8_t *)s.data - 64 + at, &value, size);
	golden_repair_state(&g, state, g.size[GOLDEN_STATE], manifest,
			    g.size[GOLDEN_MANIFEST]);
	free(manifest);
	free(state);
}

Test(fake_refuse, as_it_is_it_reaches_the_vm)
{
	struct fakevm f;

	init(&f);
	fake_kvm_fail_next(KVM_CREATE_VM, EIO);
	cr_expect_eq(load(&f), -EIO, "%s", f.err.msg);
	fakevm_fini(&f);
}

Test(fake_refuse, another_architecture)
{
	change_manifest("architecture: x86_64", "architecture: riscv64");
	refused(ERR_CLASS_UNAVAILABLE, "architecture: the snapshot is of "
				       "riscv64");
}

Test(fake_refuse, another_page_size)
{
	change_manifest("page-size: 4096", "page-size: 65536");
	refused(ERR_CLASS_UNAVAILABLE, "page-size: the snapshot was taken with "
				       "65536");
}

Test(fake_refuse, a_newer_format_of_the_manifest)
{
	change_manifest("mote-snapshot 1\n", "mote-snapshot 2\n");
	refused(ERR_CLASS_DATA, "manifest: format version is not 1");
}

Test(fake_refuse, what_a_reader_must_know_and_does_not)
{
	change_manifest("requires: base\n", "requires: base magic\n");
	refused(ERR_CLASS_DATA, "requires: \"base magic\"");
}

Test(fake_refuse, a_newer_format_of_the_state)
{
	uint8_t *state = golden_read(&g, GOLDEN_STATE);
	char *manifest = golden_read(&g, GOLDEN_MANIFEST);

	state[8] = 2;
	golden_repair_state(&g, state, g.size[GOLDEN_STATE], manifest,
			    g.size[GOLDEN_MANIFEST]);
	refused(ERR_CLASS_DATA, "state format 2, this version reads 1");
	free(manifest);
	free(state);
}

Test(fake_refuse, a_newer_memory_section)
{
	change_state("ram", 36, 2, 2);
	refused(ERR_CLASS_DATA, "section ram[0]: version 2, this version "
				"reads up to 1");
}

Test(fake_refuse, more_vcpus_than_kvm_offers)
{
	struct fakevm f;

	change_manifest("vcpus: 1\n", "vcpus: 9\n");
	init(&f);
	f.cfg.vm.vcpus = 9;
	fake_kvm_set_cap(KVM_CAP_MAX_VCPUS, 8);
	expect_refused(&f, ERR_CLASS_UNAVAILABLE,
		       "vcpus: 9, this host's KVM offers 8");
	fakevm_fini(&f);
}

Test(fake_refuse, more_vcpus_than_this_version_has)
{
	change_manifest("vcpus: 1\n", "vcpus: 65\n");
	refused(ERR_CLASS_UNAVAILABLE, "vcpus: 65, this version runs at most");
}

Test(fake_refuse, a_capability_that_is_missing)
{
	struct fakevm f;

	init(&f);
	fake_kvm_set_cap(KVM_CAP_XCRS, 0);
	expect_refused(&f, ERR_CLASS_UNAVAILABLE, "KVM_CAP_XCRS");
	fakevm_fini(&f);
}

/* 64 bytes of header, 292 of sregs, 16 of one XCR. */
Test(fake_refuse, a_larger_xsave_area)
{
	change_state("x86-vcpu", 64 + 292 + 16, 8192, 4);
	refused(ERR_CLASS_UNAVAILABLE, "XSAVE state of 8192 bytes, this host "
				       "has 4096");
}

Test(fake_refuse, damage_under_eager_verification)
{
	struct fakevm f;

	cr_assert_eq(fd_pwrite_full(g.fd[GOLDEN_MEMORY], "x", 1, 1500000), 0);
	init(&f);
	f.cfg.restore.verify = VERIFY_EAGER;
	expect_refused(&f, ERR_CLASS_DATA, "memory: offset 0 to 2097152");
	fakevm_fini(&f);
}

/* --- the format of what this version writes ----------------------------------
 */

static const char *const names[] = {"manifest", "state", "memory"};

static void save_here(struct fakevm *f, const char *dir)
{
	const struct snapshot_options opt = {.name = NULL};
	struct snapshot_files files;
	int fd[3];
	char path[96];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		fd[i] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
			     0600);
		cr_assert_geq(fd[i], 0, "%s: %s", path, strerror(errno));
	}
	files = (struct snapshot_files){fd[0], fd[1], fd[2]};
	cr_assert_eq(snapshot_save(f->vm, &files, &opt, &f->err), 0, "%s",
		     f->err.msg);
	for (int i = 0; i < 3; i++)
		fd_close(fd[i]);
}

/* Each byte another value: two fields that change places show. */
static void fill(void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)p)[i] = (uint8_t)(i * 7 + 1);
}

/* Not what booting gives, which may change: what is told here. */
static void set_state(struct vm *vm)
{
	/* Interrupts, line, modem, scratch; then the divisor behind bit 7. */
	static const uint8_t reg[][2] = {{1, 0x05}, {4, 0x0b}, {7, 0xa5},
					 {3, 0x83}, {0, 0x42}, {1, 0x17},
					 {3, 0x1b}};

	for (uint32_t i = 0; i < vm->vcpus; i++) {
		struct kvm_vcpu_events events;
		struct kvm_debugregs debug;
		struct kvm_sregs sregs;
		struct kvm_regs regs;
		int fd = vm->vcpu[i]->arch.fd;

		fill(&events, sizeof(events));
		fill(&debug, sizeof(debug));
		fill(&sregs, sizeof(sregs));
		fill(&regs, sizeof(regs));
		cr_assert_eq(kvm_call(fd, KVM_SET_VCPU_EVENTS, &events), 0);
		cr_assert_eq(kvm_call(fd, KVM_SET_DEBUGREGS, &debug), 0);
		cr_assert_eq(kvm_call(fd, KVM_SET_SREGS, &sregs), 0);
		cr_assert_eq(kvm_call(fd, KVM_SET_REGS, &regs), 0);
	}
	for (uint32_t i = 0; i < vm->devices; i++)
		for (size_t k = 0; k < ARRAY_SIZE(reg); k++)
			if (!strcmp(vm->device[i]->ops->name, "8250"))
				vm->device[i]->ops->write(vm->device[i], 0,
							  reg[k][0], 1,
							  reg[k][1]);
}

/*
 * The fake KVM answers the same on every host.  So every byte of the state is
 * known: it is tests/golden/x86_64/fake-5.
 */
Test(fake_format, it_is_that_of_the_golden_one)
{
	const char *dir = getenv("MOTE_GOLDEN_FAKE");
	static struct snap_reader r, q;
	uint8_t *was, *now;
	struct golden old, new;
	struct fakevm f;

	fakevm_init(&f, 2);
	f.cfg.vm.memory = UINT64_C(2) << 20;
	cr_assert_eq(fakevm_up(&f, true), 0, "%s", f.err.msg);
	set_state(f.vm);
	if (dir) { /* tests/golden/make.sh */
		save_here(&f, dir);
		fakevm_fini(&f);
		return;
	}
	golden_copy(&old, "x86_64/fake-5");
	golden_copy(&new, "x86_64/fake-5");
	save_here(&f, new.dir);
	fakevm_fini(&f);
	was = golden_read(&old, GOLDEN_STATE);
	now = golden_read(&new, GOLDEN_STATE);
	cr_assert_eq(snap_reader_init(&r, was, old.size[GOLDEN_STATE], NULL),
		     0);
	cr_assert_eq(snap_reader_init(&q, now,
				      (size_t)fd_size(new.fd[GOLDEN_STATE]),
				      NULL),
		     0);
	cr_expect_eq(r.count, q.count, "another number of sections");
	for (int i = 0; i < r.count && i < q.count; i++) {
		const struct snap_section *s = &r.section[i];
		const struct snap_section *t = &q.section[i];

		cr_expect(!strcmp(s->name, t->name) &&
				  s->instance == t->instance &&
				  s->version == t->version &&
				  s->flags == t->flags,
			  "%s[%u] version %u is %s[%u] version %u now: a new "
			  "version needs a golden snapshot of its own",
			  s->name, s->instance, s->version, t->name,
			  t->instance, t->version);
		cr_expect(s->len == t->len && !memcmp(s->data, t->data, s->len),
			  "section %s[%u] has other bytes, and is version %u "
			  "still: raise it, and make golden",
			  s->name, s->instance, t->version);
	}
	free(now);
	free(was);
	golden_remove(&new);
	golden_remove(&old);
}
