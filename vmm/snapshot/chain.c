/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - opening a snapshot and its parents, and checking all of it,
 * without a machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "snapshot/hotset.h"
#include "snapshot/snapshot.h"
#include "vm.h"

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

/* The last part of path, when that is a name. */
static void note_name(struct snapshot *s, const char *path)
{
	size_t end = strlen(path), at;
	char name[MANIFEST_NAME_MAX];

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (at = end; at > 0 && path[at - 1] != '/';)
		at--;
	if (end - at >= sizeof(name))
		return;
	memcpy(name, path + at, end - at);
	name[end - at] = 0;
	if (manifest_name_ok(name))
		strcpy(s->name, name);
}

static int read_manifest(struct snapshot *s, struct mote_err *err)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int ret = read_file(s->fds.manifest_fd, MANIFEST_MAX, &text, &len, err);

	if (ret == 0)
		ret = manifest_parse(&s->manifest, text, len, err);
	return ret < 0 ? err_wrap(err, ret, "manifest") : 0;
}

/* One folder, without its parents; *dir is the caller's to close. */
static int open_one(struct snapshot *s, int dirfd, const char *path, int *dir,
		    struct mote_err *err)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->fds = (struct snapshot_files){-1, -1, -1};
	s->hotset_fd = s->dir_fd = -1;
	*dir = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return err_set_class(err, errno, err_path_class(errno),
				     "snapshot %s: %s, expected a snapshot "
				     "directory",
				     path, strerror(errno));
	note_name(s, path);
	ret = open_files(s, *dir, err);
	if (ret == 0)
		ret = read_manifest(s, err);
	return ret < 0 ? err_wrap(err, ret, "snapshot %s", path) : 0;
}

static int too_deep(struct mote_err *err)
{
	return err_set_class(err, ELOOP, ERR_CLASS_DATA,
			     "more than %d diffs on each other: merge some",
			     SNAPSHOT_DEPTH_MAX);
}

/* The parents of a diff lie beside it, and are those that it names. */
static int open_parents(struct snapshot *s, int dir, struct mote_err *err)
{
	struct snapshot *child = s;

	while (child->manifest.is_diff) {
		const struct manifest *m = &child->manifest;
		cleanup_fd int beside =
			openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cleanup_fd int own = -1;
		int ret;

		if (beside < 0)
			return err_set(err, errno, "folder of parent %s: %s",
				       m->parent, strerror(errno));
		if (++s->depth > SNAPSHOT_DEPTH_MAX)
			return too_deep(err);
		child->parent = calloc(1, sizeof(*child->parent));
		if (!child->parent)
			return err_set(err, ENOMEM, "snapshot");
		ret = open_one(child->parent, beside, m->parent, &own, err);
		if (ret < 0)
			return err_wrap(err, ret, "parent");
		if (memcmp(m->parent_digest.byte,
			   child->parent->manifest.digest.byte,
			   sizeof(m->parent_digest.byte)) != 0)
			return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
					     "parent %s: it is not the one "
					     "that this diff was taken of",
					     m->parent);
		child = child->parent;
	}
	return 0;
}

int snapshot_open(struct snapshot *s, int dirfd, const char *path,
		  struct mote_err *err)
{
	cleanup_fd int dir = -1;
	int ret = open_one(s, dirfd, path, &dir, err);

	if (ret == 0) {
		ret = open_parents(s, dir, err);
		if (ret < 0)
			err_wrap(err, ret, "snapshot %s", path);
	}
	if (ret < 0) {
		snapshot_close(s);
		return ret;
	}
	s->hotset_fd = fd_open_regular(dir, "hotset", false, NULL);
	if (s->hotset_fd < 0)
		s->hotset_fd = -1; /* a hint: it may be missing */
	s->dir_fd = fd_steal(&dir);
	return 0;
}

int snapshot_adopt(struct snapshot *s, const struct snapshot_files *fds,
		   struct snapshot *parent, struct mote_err *err)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->hotset_fd = s->dir_fd = -1;
	s->fds = *fds;
	s->parent = parent;
	s->depth = parent ? parent->depth + 1 : 0;
	ret = read_manifest(s, err);
	if (ret == 0 && s->depth > SNAPSHOT_DEPTH_MAX)
		ret = too_deep(err);
	if (ret < 0)
		snapshot_close(s);
	return ret;
}

/* Copies of the descriptors, or -errno and none. */
static int dup_files(const struct snapshot_files *from,
		     struct snapshot_files *to)
{
	int code;

	*to = (struct snapshot_files){
		fcntl(from->manifest_fd, F_DUPFD_CLOEXEC, 3),
		fcntl(from->state_fd, F_DUPFD_CLOEXEC, 3),
		fcntl(from->memory_fd, F_DUPFD_CLOEXEC, 3)};
	if (to->manifest_fd >= 0 && to->state_fd >= 0 && to->memory_fd >= 0)
		return 0;
	code = errno;
	fd_clear(&to->manifest_fd);
	fd_clear(&to->state_fd);
	fd_clear(&to->memory_fd);
	return -code;
}

int snapshot_dup(const struct snapshot *s, struct snapshot **out,
		 struct mote_err *err)
{
	struct snapshot *own = calloc(1, sizeof(*own)), *parent = NULL;
	struct snapshot_files fds;
	int ret;

	*out = NULL;
	if (!own)
		return err_set(err, ENOMEM, "snapshot");
	ret = s->parent ? snapshot_dup(s->parent, &parent, err) : 0;
	if (ret == 0) {
		ret = dup_files(&s->fds, &fds);
		if (ret < 0) {
			err_set(err, -ret, "dup: %s", strerror(-ret));
			if (parent)
				snapshot_close(parent);
			free(parent);
		}
	}
	if (ret == 0)
		ret = snapshot_adopt(own, &fds, parent, err);
	if (ret < 0) {
		free(own);
		return ret;
	}
	memcpy(own->name, s->name, sizeof(own->name));
	own->sealed = s->sealed;
	*out = own;
	return 0;
}

static void close_one(struct snapshot *s)
{
	fd_clear(&s->fds.manifest_fd);
	fd_clear(&s->fds.state_fd);
	fd_clear(&s->fds.memory_fd);
	fd_clear(&s->hotset_fd);
	fd_clear(&s->dir_fd);
	manifest_fini(&s->manifest);
	diff_index_fini(&s->diff);
	layers_fini(&s->layers);
	free(s->state);
	s->state = NULL;
}

void snapshot_close(struct snapshot *s)
{
	struct snapshot *p = s->parent;

	s->parent = NULL;
	close_one(s);
	while (p) {
		struct snapshot *next = p->parent;

		close_one(p);
		free(p);
		p = next;
	}
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
	if (m->is_diff)
		return diff_index_load(&s->diff, &s->ram, &s->reader, m, err);
	return ram_index_load(&s->ram, &s->reader, &m->memory_digest, err);
}

static int read_one(struct snapshot *s, struct mote_err *err)
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
	s->state = ptr_steal((uint8_t **)&buf);
	return 0;
}

static int same_regions(const struct snapshot *s, struct mote_err *err)
{
	const struct ram_index *a = &s->ram, *b = &s->parent->ram;
	bool same = a->regions == b->regions;

	for (uint32_t i = 0; same && i < a->regions; i++)
		same = a->region[i].gpa == b->region[i].gpa &&
		       a->region[i].size == b->region[i].size;
	return same ? 0
		    : err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				    "its memory is not of the shape of its "
				    "parent's");
}

/* f for s and each of its parents; an error names the parent. */
static int for_chain(struct snapshot *s,
		     int (*f)(struct snapshot *, struct mote_err *),
		     struct mote_err *err)
{
	for (struct snapshot *p = s; p; p = p->parent) {
		int ret = f(p, err);

		if (ret < 0)
			return p == s ? ret
				      : err_wrap(err, ret, "parent %s",
						 p->name);
	}
	return 0;
}

int snapshot_read_state(struct snapshot *s, struct mote_err *err)
{
	int ret = for_chain(s, read_one, err);

	for (const struct snapshot *p = s; ret == 0 && p->parent; p = p->parent)
		ret = same_regions(p, err);
	return ret < 0 ? ret : layers_read(s, err);
}

int snapshot_arch(const struct snapshot *s, struct mote_err *err)
{
	if (strcmp(s->manifest.arch, arch_name) != 0)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "architecture: the snapshot is of %s, "
				     "this host is %s",
				     s->manifest.arch, arch_name);
	return 0;
}

static int compat_one(struct snapshot *s, struct mote_err *err)
{
	const struct manifest *m = &s->manifest;
	int64_t size = fd_size(s->fds.memory_fd);
	int ret = snapshot_arch(s, err);

	if (ret < 0)
		return ret;
	if (m->page_size != host_page_size())
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "page-size: the snapshot was taken with "
				     "%u bytes, this host has %zu",
				     m->page_size, host_page_size());
	if (m->vcpus > VM_VCPUS_MAX)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vcpus: %u, this version runs at most %d",
				     m->vcpus, VM_VCPUS_MAX);
	if (size < 0)
		return err_set(err, (int)-size, "memory: fstat: %s",
			       strerror((int)-size));
	if ((uint64_t)size != m->memory_length)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "memory: %" PRId64 " bytes, the manifest "
				     "says %" PRIu64,
				     size, m->memory_length);
	return 0;
}

int snapshot_compat(struct snapshot *s, struct mote_err *err)
{
	return for_chain(s, compat_one, err);
}

int snapshot_host(struct snapshot *s, int kvm_fd, bool values,
		  struct mote_err *err)
{
	bool known = s->host_ok && !values;
	cleanup_fd int own = kvm_fd < 0 && !known ? kvm_open(NULL, err) : -1;
	int ret = 0, most;

	if (known)
		return 0;
	if (kvm_fd < 0)
		kvm_fd = own;
	if (kvm_fd < 0)
		return kvm_fd;
	most = kvm_check_extension(kvm_fd, KVM_CAP_MAX_VCPUS);
	if (most > 0 && s->manifest.vcpus > (uint32_t)most)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "vcpus: %u, this host's KVM offers %d",
				     s->manifest.vcpus, most);
	for (int i = 0; ret == 0 && i < s->reader.count; i++)
		ret = arch_host_check(kvm_fd, &s->reader, &s->reader.section[i],
				      values, err);
	s->host_ok = ret == 0;
	return ret;
}

static int check_length(const struct snapshot *s, struct mote_err *err)
{
	int64_t size = fd_size(s->fds.memory_fd);

	if (size < 0)
		return err_set(err, (int)-size, "memory: fstat: %s",
			       strerror((int)-size));
	if ((uint64_t)size != s->manifest.memory_length ||
	    s->ram.length != s->manifest.memory_length)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "memory: %" PRId64 " bytes, the manifest "
				     "says %" PRIu64,
				     size, s->manifest.memory_length);
	return 0;
}

static struct snapshot_seen look_at(int fd)
{
	const uint64_t fixed = STATX_ATTR_IMMUTABLE | STATX_ATTR_VERITY;
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) < 0 ||
	    !(x.stx_attributes & fixed))
		return (struct snapshot_seen){0};
	return (struct snapshot_seen){.known = true,
				      .major = x.stx_dev_major,
				      .minor = x.stx_dev_minor,
				      .inode = x.stx_ino,
				      .size = x.stx_size,
				      .ctime_s = x.stx_ctime.tv_sec,
				      .ctime_ns = x.stx_ctime.tv_nsec};
}

static bool is_same(const struct snapshot_seen *a,
		    const struct snapshot_seen *b)
{
	return b->known && a->major == b->major && a->minor == b->minor &&
	       a->inode == b->inode && a->size == b->size &&
	       a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns;
}

static int verify_one(struct snapshot *s, struct mote_err *err)
{
	int ret = check_length(s, err);
	struct snapshot_seen now;

	if (s->sealed) /* nobody could change it since */
		return ret;
	now = look_at(s->fds.memory_fd);
	if (ret < 0 || (now.known && is_same(&now, &s->seen)))
		return ret;
	ret = ram_verify(&s->ram, s->fds.memory_fd, err);
	if (ret == 0)
		s->seen = now;
	return ret;
}

int snapshot_verify(struct snapshot *s, struct mote_err *err)
{
	int ret = snapshot_read_state(s, err);

	if (ret == 0)
		ret = for_chain(s, verify_one, err);
	return ret;
}

int snapshot_verify_hotset(struct snapshot *s, struct mote_err *err)
{
	struct hotset h;
	int ret;

	if (s->hotset_fd < 0)
		return 0;
	ret = hotset_read(&h, s->hotset_fd, &s->manifest.digest,
			  s->ram.ram / host_page_size(), err);
	if (ret < 0)
		return ret;
	ret = hotset_verify(&h, s->hotset_fd, err);
	hotset_fini(&h);
	return ret;
}

/*
 * The copy takes the file's number: whoever reads it, in another thread too,
 * reads one or the other.
 */
static int seal_one(struct snapshot *s, struct mote_err *err)
{
	cleanup_fd int copy = -1;
	int ret = s->sealed ? 0 : check_length(s, err);

	if (ret < 0 || s->sealed)
		return ret;
	copy = ram_seal(&s->ram, s->fds.memory_fd, err);
	if (copy < 0)
		return copy;
	if (dup3(copy, s->fds.memory_fd, O_CLOEXEC) < 0)
		return err_set(err, errno, "memory: %s", strerror(errno));
	s->sealed = true;
	return 0;
}

static int seal_diff(struct snapshot *s, struct mote_err *err)
{
	return s->parent ? seal_one(s, err) : 0;
}

int snapshot_seal(struct snapshot *s, bool root, struct mote_err *err)
{
	int ret = snapshot_read_state(s, err);

	return ret < 0 ? ret : for_chain(s, root ? seal_one : seal_diff, err);
}

int snapshot_diff_page(const struct snapshot *s, uint64_t page, void *buf)
{
	uint64_t size = host_page_size();

	for (; s->parent; s = s->parent) {
		const struct diff_run *r = diff_find(&s->diff, page);
		int ret = 0;

		if (!r)
			continue;
		if (r->kind == DIFF_ZEROS)
			memset(buf, 0, size);
		else
			ret = fd_pread_full(s->fds.memory_fd, buf, size,
					    (r->at + page - r->first) * size);
		return ret < 0 ? ret : 1;
	}
	return 0;
}

const struct snapshot *snapshot_root(const struct snapshot *s)
{
	while (s->parent)
		s = s->parent;
	return s;
}

int snapshot_apply_diffs(const struct snapshot *s,
			 const struct memslot_table *slots,
			 struct mote_err *err)
{
	for (unsigned int above = s->depth; above-- > 0;) {
		const struct snapshot *p = s;
		int ret;

		for (unsigned int i = 0; i < above; i++)
			p = p->parent;
		ret = diff_apply(&p->diff, p->fds.memory_fd, slots, err);
		if (ret < 0)
			return err_wrap(err, ret, "snapshot %s", p->name);
	}
	return 0;
}
