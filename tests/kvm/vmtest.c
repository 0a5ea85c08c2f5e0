/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/common/elf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/timeline.h"

/* Emulated machines are slow; a test that waits longer hangs. */
#define WAIT_NS (UINT64_C(40) * 1000000000)

static const char *const file_names[] = {"manifest", "state", "memory"};

static enum dirty_tracking dirty_tracking(void)
{
	static const char *const name[] = {"auto", "private", "bitmap", "ring"};
	const char *want = getenv("VMTEST_DIRTY");

	for (unsigned int i = 0; want && i < ARRAY_SIZE(name); i++)
		if (!strcmp(want, name[i]))
			return (enum dirty_tracking)i;
	return DIRTY_AUTO;
}

/* Tests' vCPUs are behind the filters that a jailed machine's are behind. */
static int enter_filter(void *opaque, int vcpu_fd)
{
	return build_vcpu_filter(((struct vmtest *)opaque)->vm, vcpu_fd,
				 SANDBOX_KILL);
}

static int enter_io_filter(void *opaque, int fds, int events_fd)
{
	(void)opaque;
	/* A report of a sanitizer opens files in ways of its own. */
	if (getenv("MOTE_SANITIZER"))
		return 0;
	return sandbox_filter_load(
		SANDBOX_IO, SANDBOX_KILL,
		(int[SANDBOX_FDS]){-1, events_fd, fds, -1, -1, -1});
}

void vmtest_init(struct vmtest *t, const char *args)
{
	memset(t, 0, sizeof(*t));
	cr_assert_eq(config_init(&t->cfg), 0);
	t->cfg.vm.memory = VMTEST_MEMORY;
	t->cfg.vm.vcpus = 1;
	t->cfg.memory.dirty_tracking = dirty_tracking();
	free(t->cfg.vm.cmdline);
	t->cfg.vm.cmdline = strdup(args);
	cr_assert_eq(pipe2(t->pipe, O_CLOEXEC), 0);
	cr_assert_eq(fcntl(t->pipe[0], F_SETFL, O_NONBLOCK), 0);
	t->opt = (struct build_options){
		.thread_enter = enter_filter,
		.io_enter = enter_io_filter,
		.opaque = t,
		.cfg = &t->cfg,
		.kvm_fd = -1,
		.console_in_fd = -1,
		.console_out_fd = t->pipe[1],
		.initrd_fd = -1,
		.memory_fd = -1,
		.pagemap_fd = -1,
		.uffd_fd = -1,
	};
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		cr_skip_test("/dev/kvm: %s", strerror(errno));
}

static void drop_from(struct vmtest *t)
{
	if (t->from)
		snapshot_close(t->from);
	free(t->from);
	t->from = NULL;
}

void vmtest_fini(struct vmtest *t)
{
	vm_destroy(t->vm);
	t->vm = NULL;
	drop_from(t);
	fd_clear(&t->pipe[0]);
	fd_clear(&t->pipe[1]);
	config_fini(&t->cfg);
}

static int open_guest(const char *guest)
{
	const char *dir = getenv("MOTE_GUESTS");
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.elf", dir ? dir : "build/guests",
		 guest);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		cr_skip_test("%s: %s", path, strerror(errno));
	return fd;
}

static int boot(struct vmtest *t, const char *guest)
{
	cleanup_fd int fd = open_guest(guest);
	enum vm_protocol protocol = t->opt.cfg->vm.protocol;
	struct elf_file kernel;
	int ret = build_open_kernel(&kernel, fd, guest, &protocol, &t->err);

	return ret < 0 ? ret : build_boot(t->vm, &t->opt, &kernel, &t->err);
}

void vmtest_build(struct vmtest *t, const char *guest)
{
	cr_assert_eq(build_vm(&t->vm, &t->opt, &t->err), 0, "%s", t->err.msg);
	cr_assert_eq(boot(t, guest), 0, "%s", t->err.msg);
}

int vmtest_try_start(struct vmtest *t, const char *guest)
{
	int ret = build_vm(&t->vm, &t->opt, &t->err);

	if (ret == 0)
		ret = boot(t, guest);
	return ret < 0 ? ret : vm_start(t->vm, false, &t->err);
}

void vmtest_start(struct vmtest *t, const char *guest)
{
	vmtest_build(t, guest);
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

void vmtest_drain(struct vmtest *t)
{
	ssize_t n;

	do {
		n = read(t->pipe[0], t->out + t->out_len,
			 sizeof(t->out) - 1 - t->out_len);
		if (n > 0)
			t->out_len += (size_t)n;
	} while (n > 0);
	t->out[t->out_len] = '\0';
}

void vmtest_turn(struct vmtest *t)
{
	struct pollfd p = {.fd = t->vm->events.fd, .events = POLLIN};
	int again = vm_timeout(t->vm);

	poll(&p, 1, again >= 0 ? again : 200);
	vm_dispatch(t->vm);
	vmtest_drain(t);
}

void vmtest_wait_end(struct vmtest *t)
{
	uint64_t began = timeline_now();

	while (t->vm->state != VM_ENDED && timeline_now() - began < WAIT_NS)
		vmtest_turn(t);
	cr_assert_eq(t->vm->state, VM_ENDED, "still running; it said: %s",
		     t->out);
	chardev_flush(&t->vm->console, false);
	vmtest_drain(t);
}

void vmtest_wait_for(struct vmtest *t, const char *text)
{
	uint64_t began = timeline_now();

	while (!strstr(t->out, text) && t->vm->state != VM_ENDED &&
	       timeline_now() - began < WAIT_NS)
		vmtest_turn(t);
	cr_assert(strstr(t->out, text) != NULL, "no \"%s\" in: %s (%s)", text,
		  t->out, t->vm->err.msg);
}

static int open_file(const struct vmtest_snapshot *s, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

typedef int save_fn(struct vm *vm, const struct snapshot_files *files,
		    const struct snapshot_options *opt, struct mote_err *err);

static void save(struct vmtest *t, struct vmtest_snapshot *s, bool diff,
		 bool kept, save_fn *how)
{
	struct snapshot_options opt = {.diff = diff};
	struct snapshot_files files;

	snprintf(s->dir, sizeof(s->dir), "/tmp/vmtest-XXXXXX");
	cr_assert_not_null(mkdtemp(s->dir), "%s", strerror(errno));
	opt.name = s->dir + strlen("/tmp/");
	opt.from = t->from;
	files.manifest_fd = open_file(s, file_names[0]);
	files.state_fd = open_file(s, file_names[1]);
	files.memory_fd = open_file(s, file_names[2]);
	cr_assert_geq(files.memory_fd, 0, "%s", strerror(errno));
	cr_assert_eq(how(t->vm, &files, &opt, &t->err), 0, "%s", t->err.msg);
	snapshot_saved(t->vm, kept);
	vmtest_drain(t);
	fd_close(files.manifest_fd);
	fd_close(files.state_fd);
	fd_close(files.memory_fd);
}

void vmtest_save(struct vmtest *t, struct vmtest_snapshot *s)
{
	save(t, s, false, true, snapshot_save);
}

void vmtest_save_diff(struct vmtest *t, struct vmtest_snapshot *s, bool kept)
{
	save(t, s, true, kept, snapshot_save);
}

void vmtest_save_live(struct vmtest *t, struct vmtest_snapshot *s, bool diff,
		      bool kept)
{
	save(t, s, diff, kept, snapshot_save_live);
}

static int fork_into(struct vm *vm, const struct snapshot_files *files,
		     const struct snapshot_options *opt, struct mote_err *err)
{
	(void)opt;
	return snapshot_fork_into(files, vm, NULL, err);
}

void vmtest_fork(struct vmtest *t, struct vmtest_snapshot *s)
{
	save(t, s, false, false, fork_into);
}

void vmtest_remove(struct vmtest_snapshot *s)
{
	char path[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, file_names[i]);
		unlink(path);
	}
	rmdir(s->dir);
}

int vmtest_try_load(struct vmtest *t, const struct vmtest_snapshot *s)
{
	int ret;

	t->from = calloc(1, sizeof(*t->from));
	cr_assert_not_null(t->from);
	ret = snapshot_open(t->from, AT_FDCWD, s->dir, &t->err);
	if (ret == 0)
		ret = snapshot_load(t->from, &t->opt, &t->vm, &t->err);
	if (ret < 0)
		drop_from(t);
	return ret;
}

void vmtest_load(struct vmtest *t, const struct vmtest_snapshot *s)
{
	cr_assert_eq(vmtest_try_load(t, s), 0, "%s", t->err.msg);
}

static void *read_whole(const struct vmtest_snapshot *s, const char *name,
			size_t *len)
{
	cleanup_fd int fd = open_file(s, name);
	int64_t size = fd_size(fd);
	void *buf = malloc((size_t)size + 1);

	cr_assert_geq(size, 0);
	cr_assert_not_null(buf);
	cr_assert_eq(fd_pread_full(fd, buf, (size_t)size, 0), 0, "%s", name);
	*len = (size_t)size;
	return buf;
}

static void expect_same_file(const struct vmtest_snapshot *a,
			     const struct vmtest_snapshot *b, const char *name)
{
	size_t len, other;
	cleanup_free uint8_t *x = read_whole(a, name, &len);
	cleanup_free uint8_t *y = read_whole(b, name, &other);

	cr_assert_eq(len, other, "length of %s", name);
	if (!memcmp(x, y, len)) /* the loop is slow on emulated machines */
		return;
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(x[i], y[i], "%s differs at %zu: 0x%02x, 0x%02x",
			     name, i, x[i], y[i]);
}

/* Section by section, so that a difference has a name. */
static void expect_same_state(const struct vmtest_snapshot *a,
			      const struct vmtest_snapshot *b)
{
	size_t len, other;
	cleanup_free uint8_t *x = read_whole(a, file_names[1], &len);
	cleanup_free uint8_t *y = read_whole(b, file_names[1], &other);
	static struct snap_reader r, q;
	struct mote_err err = {0};

	cr_assert_eq(snap_reader_init(&r, x, len, &err), 0, "%s", err.msg);
	cr_assert_eq(snap_reader_init(&q, y, other, &err), 0, "%s", err.msg);
	cr_expect_eq(r.count, q.count);
	for (int i = 0; i < r.count && i < q.count; i++) {
		const struct snap_section *s = &r.section[i];
		const struct snap_section *t = &q.section[i];

		cr_assert_str_eq(s->name, t->name);
		cr_assert_eq(s->len, t->len, "length of %s", s->name);
		for (size_t k = 0; k < s->len; k++)
			cr_expect_eq(s->data[k], t->data[k],
				     "section %s[%u] byte %zu: 0x%02x, 0x%02x",
				     s->name, s->instance, k, s->data[k],
				     t->data[k]);
	}
}

void vmtest_expect_same(const struct vmtest_snapshot *a,
			const struct vmtest_snapshot *b)
{
	/* The manifest last: it holds the digests of the others. */
	expect_same_state(a, b);
	expect_same_file(a, b, "state");
	expect_same_file(a, b, "memory");
	expect_same_file(a, b, "manifest");
}
