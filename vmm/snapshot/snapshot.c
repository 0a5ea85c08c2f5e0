/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/timeline.h"
#include "build.h"
#include "config/config.h"
#include "vm.h"

#define SECTION_CONSOLE "console"
#define CONSOLE_VERSION 1

/* --- save ------------------------------------------------------------------
 */

static int save_state(struct vm *vm, struct snap_writer *w, int memory_fd,
		      struct snap_digest *memory_digest, struct mote_err *err)
{
	int ret = arch_vm_save(&vm->arch, w, err);

	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = arch_vcpu_save(&vm->vcpu[i]->arch, w, err);
	if (ret == 0)
		ret = arch_irq_save(&vm->arch, w, err);
	for (uint32_t i = 0; ret == 0 && i < vm->devices; i++)
		ret = device_save(vm->device[i], w, err);
	if (ret < 0)
		return ret;
	snap_section_begin(w, SECTION_CONSOLE, 0, CONSOLE_VERSION,
			   SNAP_REQUIRED);
	chardev_save(&vm->console, w);
	snap_section_end(w);
	ret = ram_save(&vm->slots, memory_fd, w, memory_digest, err);
	if (ret == 0)
		ret = snap_writer_finish(w, err);
	return ret;
}

static int write_file(int fd, const void *buf, size_t len, const char *name,
		      struct mote_err *err)
{
	int ret = fd_write_full(fd, buf, len);

	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_IO,
				     "write of the %s file: %s", name,
				     strerror(-ret));
	return 0;
}

static int write_manifest(struct vm *vm, struct manifest *m, int fd,
			  struct mote_err *err)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int ret;

	snprintf(m->arch, sizeof(m->arch), "%s", arch_name);
	snprintf(m->identity, sizeof(m->identity), "%s",
		 vm->event_device ? "generation-page" : "none");
	arch_cpu_model(m->cpu, sizeof(m->cpu));
	m->page_size = (uint32_t)host_page_size();
	m->vcpus = vm->vcpus;
	m->memory_length = memslot_total(&vm->slots);
	m->config = config_describe(vm->cfg);
	if (m->config)
		m->config_length = strlen(m->config);
	text = m->config ? manifest_format(m, &len) : NULL;
	if (!text)
		return err_set(err, ENOMEM, "manifest");
	ret = write_file(fd, text, len, "manifest", err);
	return ret;
}

int snapshot_save(struct vm *vm, const struct snapshot_files *files,
		  struct mote_err *err)
{
	struct manifest m = {0};
	struct snap_writer w;
	int ret;

	if (vm->state == VM_RUNNING)
		return err_set(err, EBUSY, "the VM is running: pause it first");
	if (vm->unpluggeds)
		return err_set(err, EBUSY,
			       "a vCPU is unplugged: put it back "
			       "first");
	/* What the guest has said is out before the state is taken. */
	chardev_flush(&vm->console, false);
	snap_writer_init(&w);
	ret = save_state(vm, &w, files->memory_fd, &m.memory_digest, err);
	if (ret == 0) {
		m.state_length = w.len;
		m.state_digest = snap_digest(w.buf, w.len);
		ret = write_file(files->state_fd, w.buf, w.len, "state", err);
	}
	if (ret == 0)
		ret = write_manifest(vm, &m, files->manifest_fd, err);
	snap_writer_fini(&w);
	manifest_fini(&m);
	return ret;
}

/* --- open ------------------------------------------------------------------
 */

/* Read a whole file of at most max bytes. */
static int read_file(int fd, size_t max, char **buf, size_t *len,
		     struct mote_err *err)
{
	int64_t size = fd_size(fd);
	int ret;

	if (size < 0)
		return err_set(err, (int)-size, "%s", strerror((int)-size));
	if ((uint64_t)size > max)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "%" PRId64 " bytes, expected at most "
				     "%zu",
				     size, max);
	*buf = malloc((size_t)size + 1);
	if (!*buf)
		return err_set(err, ENOMEM, "%" PRId64 " bytes", size);
	*len = (size_t)size;
	ret = fd_pread_full(fd, *buf, *len, 0);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_IO, "read: %s",
				     strerror(-ret));
	return 0;
}

static int open_files(struct snapshot *s, int dir, struct mote_err *err)
{
	struct {
		const char *name;
		int *fd;
	} const file[] = {
		{"manifest", &s->fds.manifest_fd},
		{"state", &s->fds.state_fd},
		{"memory", &s->fds.memory_fd},
	};

	for (size_t i = 0; i < ARRAY_SIZE(file); i++) {
		int fd = fd_open_regular(dir, file[i].name, false, err);

		if (fd < 0)
			return fd;
		*file[i].fd = fd;
	}
	return 0;
}

int snapshot_open(struct snapshot *s, int dirfd, const char *path,
		  struct mote_err *err)
{
	cleanup_free char *text = NULL;
	cleanup_fd int dir = -1;
	size_t len = 0;
	int ret;

	memset(s, 0, sizeof(*s));
	s->fds = (struct snapshot_files){-1, -1, -1};
	dir = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set_class(err, errno,
				     errno == EACCES ? ERR_CLASS_PERM
						     : ERR_CLASS_DATA,
				     "snapshot %s: %s, expected a snapshot "
				     "directory",
				     path, strerror(errno));
	ret = open_files(s, dir, err);
	if (ret == 0)
		ret = read_file(s->fds.manifest_fd, MANIFEST_MAX, &text, &len,
				err);
	if (ret == 0) {
		ret = manifest_parse(&s->manifest, text, len, err);
		if (ret < 0)
			err_wrap(err, ret, "manifest");
	}
	if (ret < 0) {
		snapshot_close(s);
		return err_wrap(err, ret, "snapshot %s", path);
	}
	return 0;
}

void snapshot_close(struct snapshot *s)
{
	fd_clear(&s->fds.manifest_fd);
	fd_clear(&s->fds.state_fd);
	fd_clear(&s->fds.memory_fd);
	manifest_fini(&s->manifest);
	free(s->state);
	s->state = NULL;
}

static int check_state(struct snapshot *s, char *buf, size_t len,
		       struct mote_err *err)
{
	const struct manifest *m = &s->manifest;
	struct snap_digest d;

	if (len != m->state_length)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "%zu bytes, the manifest says %" PRIu64,
				     len, m->state_length);
	/* The section digests first: they tell the place. */
	if (snap_reader_init(&s->reader, buf, len, err) < 0)
		return -EBADMSG;
	d = snap_digest(buf, len);
	if (memcmp(d.byte, m->state_digest.byte, sizeof(d.byte)) != 0)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "its digest is not the one that the "
				     "manifest names: parts of two snapshots?");
	return ram_index_load(&s->ram, &s->reader, &m->memory_digest, err);
}

int snapshot_read_state(struct snapshot *s, struct mote_err *err)
{
	cleanup_free char *buf = NULL;
	size_t len = 0;
	int ret;

	if (s->state)
		return 0;
	ret = read_file(s->fds.state_fd, GIB, &buf, &len, err);
	if (ret == 0)
		ret = check_state(s, buf, len, err);
	if (ret < 0)
		return err_wrap(err, ret, "state");
	s->state = ptr_steal(&buf);
	return 0;
}

int snapshot_compat(const struct snapshot *s, struct mote_err *err)
{
	const struct manifest *m = &s->manifest;
	int64_t size = fd_size(s->fds.memory_fd);

	if (strcmp(m->arch, arch_name) != 0)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "architecture: the snapshot is of %s, "
				     "this host is %s",
				     m->arch, arch_name);
	if (m->page_size != host_page_size())
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "page-size: the snapshot was taken with "
				     "%u bytes, this host has %zu",
				     m->page_size, host_page_size());
	if (m->vcpus > VM_VCPUS_MAX)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vcpus: %u, this version runs at most %d",
				     m->vcpus, VM_VCPUS_MAX);
	if (size < 0 || (uint64_t)size != m->memory_length)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "memory: %" PRId64 " bytes, the manifest "
				     "says %" PRIu64,
				     size, m->memory_length);
	return 0;
}

int snapshot_verify(struct snapshot *s, struct mote_err *err)
{
	int64_t size = fd_size(s->fds.memory_fd);
	int ret = snapshot_read_state(s, err);

	if (ret < 0)
		return ret;
	if (size < 0 || (uint64_t)size != s->manifest.memory_length ||
	    s->ram.length != s->manifest.memory_length)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "memory: %" PRId64 " bytes, the manifest "
				     "says %" PRIu64,
				     size, s->manifest.memory_length);
	return ram_verify(&s->ram, s->fds.memory_fd, err);
}

/* --- load ------------------------------------------------------------------
 */

/* Is the machine that cfg describes the one that was saved? */
static int check_shape(const struct snapshot *s, const struct vm_config *cfg,
		       struct mote_err *err)
{
	struct arch_ram ram[ARCH_RAM_MAX];
	int n = arch_ram_layout(cfg->vm.protocol, cfg->vm.memory, ram);

	if (cfg->vm.vcpus != s->manifest.vcpus)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.vcpus: %u, the snapshot has %u",
				     cfg->vm.vcpus, s->manifest.vcpus);
	if (n < 0 || (uint32_t)n != s->ram.regions ||
	    cfg->vm.memory != s->ram.length)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.memory: %" PRIu64 " bytes, the "
				     "snapshot has %" PRIu64,
				     cfg->vm.memory, s->ram.length);
	for (int i = 0; i < n; i++)
		if (ram[i].gpa != s->ram.region[i].gpa ||
		    ram[i].size != s->ram.region[i].size)
			return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
					     "section ram: region %d lies "
					     "elsewhere than in this version",
					     i);
	return 0;
}

static int load_state(struct vm *vm, struct snap_reader *r,
		      struct mote_err *err)
{
	struct snap_section s;
	int ret = arch_vm_load(&vm->arch, r, err);

	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = arch_vcpu_load(&vm->vcpu[i]->arch, r, err);
	if (ret == 0)
		ret = arch_irq_load(&vm->arch, r, err);
	for (uint32_t i = 0; ret == 0 && i < vm->devices; i++)
		ret = device_load(vm->device[i], r, err);
	if (ret == 0)
		ret = snap_section_open(r, SECTION_CONSOLE, 0, &s, err);
	if (ret == 0)
		ret = snap_section_version(&s, CONSOLE_VERSION, err);
	if (ret < 0)
		return ret;
	if (chardev_load(&vm->console, &s) < 0)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section console: more than its buffers "
				     "hold");
	ret = snap_section_close(&s, err);
	if (ret == 0)
		ret = snap_reader_finish(r, err);
	return ret;
}

int snapshot_load(struct snapshot *s, struct build_options *opt,
		  struct vm **out, struct mote_err *err)
{
	const struct vm_config *cfg = opt->cfg;
	struct vm *vm = NULL;
	int ret = snapshot_compat(s, err);

	if (ret == 0)
		ret = snapshot_read_state(s, err);
	if (ret == 0)
		ret = check_shape(s, cfg, err);
	if (ret == 0 && cfg->restore.verify == VERIFY_EAGER)
		ret = snapshot_verify(s, err);
	timeline_mark(opt->timeline, "snapshot checked");
	if (ret < 0)
		return ret;

	opt->memory_fd = s->fds.memory_fd;
	opt->memory_copy = cfg->restore.memory == RESTORE_COPY;
	ret = build_vm(&vm, opt, err);
	if (ret < 0)
		return ret;
	ret = load_state(vm, &s->reader, err);
	if (ret == 0 && vm->hvt)
		ret = build_hvt_attach(vm, opt, err);
	if (ret < 0) {
		vm_destroy(vm);
		return err_wrap(err, ret, "state");
	}
	timeline_mark(opt->timeline, "state loaded");
	vm->loaded = true;
	*out = vm;
	return 0;
}
