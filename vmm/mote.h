/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mote.h - libmote: a micro-VMM for unikernels as a C library.
 *
 * Handles are opaque.  Every fallible call returns 0 (or what it names) or
 * a negative errno, and fills the caller's struct mote_err (which may be
 * NULL; untouched on success).  The library never forks, exits, prints,
 * installs a signal handler or writes to a descriptor that it was not
 * given; it has no global state, so many VMs can live in one process.
 *
 * Threads: a VM belongs to the thread that created it (the "VM thread"),
 * which makes all calls on it.  Each vCPU has a thread of its own, with all
 * signals blocked.
 *
 * Order of a jailed launch: open files, fork into namespaces (the
 * embedder), mote_jail_enter, mote_vm_create, mote_vm_start,
 * mote_jail_lock, then mote_vm_dispatch in a poll loop.
 */
#ifndef MOTE_H
#define MOTE_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOTE_API __attribute__((visibility("default")))

#ifndef MOTE_ERR_MAX
#define MOTE_ERR_MAX 1024
/* An error in words, "outermost: ...: cause". */
struct mote_err {
	int code;	/* positive errno of the cause, 0 when unset */
	int exit_class; /* exit code of mote(1) that fits, 0: by errno */
	char msg[MOTE_ERR_MAX];
};
#endif

/* "0.1.0" */
MOTE_API const char *mote_version(void);

/* The exit code that mote(1) documents for this error (64 to 77). */
MOTE_API int mote_err_exit_code(const struct mote_err *err);

/* --- configuration: mote.ini(5) ------------------------------------------ */

struct mote_config;

/* Defaults; NULL only when memory is out. */
MOTE_API struct mote_config *mote_config_new(void);
MOTE_API void mote_config_free(struct mote_config *cfg);

/*
 * Read a file or text (name stands in messages, relative paths are joined
 * to its directory).  On -EINVAL all faults stand in *faults, one a line,
 * malloc'd, to be freed by the caller; faults may be NULL.
 */
MOTE_API int mote_config_read(struct mote_config *cfg, const char *path,
			      char **faults);
MOTE_API int mote_config_parse(struct mote_config *cfg, const char *name,
			       const char *text, size_t len, char **faults);

/* "section.key=value"; origin stands in messages ("--set"). */
MOTE_API int mote_config_set(struct mote_config *cfg, const char *origin,
			     const char *assign, char **faults);

/* Add words to the guest's command line. */
MOTE_API int mote_config_append_args(struct mote_config *cfg,
				     char *const args[], int count);

/* Checks across keys, once everything is set. */
MOTE_API int mote_config_check(const struct mote_config *cfg, const char *name,
			       char **faults);

/* The effective configuration as INI text that parses to itself. */
MOTE_API char *mote_config_describe(const struct mote_config *cfg);

/*
 * The value of "section.key" as INI text, into buf (or a string of cfg);
 * NULL when unset or unknown.
 */
MOTE_API const char *mote_config_get(const struct mote_config *cfg,
				     const char *key, char *buf, size_t size);

/* One key of the table; false past the end. */
struct mote_key_info {
	const char *section, *key, *type, *unit, *range, *def, *since, *help;
	bool here; /* exists on this architecture */
};
MOTE_API bool mote_config_key(size_t i, struct mote_key_info *info);

/* --- snapshots ----------------------------------------------------------- */

struct mote_snapshot;

/*
 * Open the snapshot directory path (relative to dirfd as in openat(2)) and
 * check its manifest; state and memory are opened, not read.
 */
MOTE_API int mote_snapshot_open(int dirfd, const char *path,
				struct mote_snapshot **out,
				struct mote_err *err);
MOTE_API void mote_snapshot_close(struct mote_snapshot *snap);

/*
 * Its descriptors, its hotset's and those of its parents (borrowed), to be
 * kept open into a jail; how many.
 */
#define MOTE_SNAPSHOT_FDS_MAX 67
MOTE_API int mote_snapshot_fds(const struct mote_snapshot *snap,
			       int fd[MOTE_SNAPSHOT_FDS_MAX]);

/* Its directory (borrowed), where a hotset belongs under that name. */
MOTE_API int mote_snapshot_dir(const struct mote_snapshot *snap);

/* Check every byte of state, memory and hotset against the digests. */
MOTE_API int mote_snapshot_verify(struct mote_snapshot *snap,
				  struct mote_err *err);

/*
 * The same while memory is copied into sealed memfds (host memory: what is
 * no hole), which every machine that is then created from snap maps: one pass
 * for any number of them, and nobody can change what was checked.  A machine
 * with [restore] verify=once does it by itself.  Not while another thread
 * uses snap.
 */
MOTE_API int mote_snapshot_seal(struct mote_snapshot *snap,
				struct mote_err *err);

/*
 * Can this host restore it?  If not, *err names what is missing.  On arm64 a
 * bare VM is made, of which KVM's registers are asked, and closed again.
 */
MOTE_API int mote_snapshot_compat(struct mote_snapshot *snap,
				  struct mote_err *err);

/*
 * Do clones of it learn that they are clones (a generation page)?  And may
 * there be more than one: else -EINVAL, unless restore.allow_shared_identity
 * of cfg says yes.
 */
MOTE_API bool mote_snapshot_has_identity(const struct mote_snapshot *snap);
MOTE_API int mote_snapshot_may_clone(const struct mote_snapshot *snap,
				     const struct mote_config *cfg,
				     struct mote_err *err);

/*
 * What the manifest says, one "key = value" a line (malloc'd), or as JSON.
 * deep: also what the state's sections say.
 */
MOTE_API char *mote_snapshot_describe(struct mote_snapshot *snap, bool json,
				      struct mote_err *err);

/*
 * Read the saved configuration into cfg (fresh): the machine and its
 * devices; what belongs to one instance (console, control socket, snapshot
 * folder, restore, metrics, log, sandbox) stays at its default.
 */
MOTE_API int mote_snapshot_config(const struct mote_snapshot *snap,
				  struct mote_config *cfg,
				  struct mote_err *err);

/*
 * Writing one: the embedder makes the directory and the three files (0600)
 * and renames when mote_vm_snapshot has returned 0.  Borrowed.  memory_fd is
 * open for reading too: digests are made of what was written.
 */
struct mote_snapshot_files {
	int manifest_fd, state_fd, memory_fd;
};

/*
 * Open a full snapshot by its files (mote_vm_fork_into), which are taken over,
 * also by a failure.
 */
MOTE_API int mote_snapshot_adopt(const struct mote_snapshot_files *files,
				 struct mote_snapshot **out,
				 struct mote_err *err);

/*
 * Write a diff and its parents as one full snapshot.  Every byte is checked
 * against its digest before.
 */
MOTE_API int mote_snapshot_merge(struct mote_snapshot *snap,
				 const struct mote_snapshot_files *files,
				 struct mote_err *err);

/* --- a virtual machine ---------------------------------------------------- */

struct mote_vm;

/* Time marks of a launch; zero it.  names are literals of the library. */
#define MOTE_TIMELINE_MAX 48
struct mote_timeline {
	uint32_t count;
	struct {
		const char *name;
		uint64_t ns; /* CLOCK_MONOTONIC */
	} mark[MOTE_TIMELINE_MAX];
};
MOTE_API void mote_timeline_mark(struct mote_timeline *t, const char *name);

enum mote_seccomp {
	MOTE_SECCOMP_OFF,
	MOTE_SECCOMP_KILL,  /* a call that is not allowed ends the process */
	MOTE_SECCOMP_ERRNO, /* ... fails with EPERM */
	MOTE_SECCOMP_LOG,   /* ... is logged by the kernel and allowed */
};

/*
 * What stands behind a disk, a network or a device of the host, by its section;
 * "vfio" and "iommu" for what all of the last need.
 */
struct mote_device_fd {
	char section[80]; /* "disk.data", "passthrough.nic" */
	int fd;
	uint32_t mtu; /* of a network, bytes */
};

/*
 * A userfaultfd of this process (the caller's to close after mote_vm_create),
 * for [restore] memory=uffd and verify=lazy, before a jail is entered.
 */
MOTE_API int mote_uffd_open(struct mote_err *err);

/*
 * Open the i-th disk, network or device of the configuration, as the user,
 * before any jail: 1 and *out (fd is the caller's to close), 0 past the last,
 * or an error that names the section.  A tap must exist and be up.
 */
MOTE_API int mote_device_open(const struct mote_config *cfg, size_t i,
			      struct mote_device_fd *out, struct mote_err *err);

/* Descriptors are borrowed until mote_vm_create returns, but the console's
 * until mote_vm_destroy. */
struct mote_vm_options {
	size_t size;			  /* sizeof(struct mote_vm_options) */
	const struct mote_config *config; /* copied */
	struct mote_snapshot *snapshot;	  /* restore this one; may be NULL */
	int kvm_fd;			  /* -1: open /dev/kvm */
	int kernel_fd;			  /* -1: open vm.kernel */
	/* /proc/self/pagemap of this process; -1: opened when a diff of a
	 * restored VM needs it, which a jail does not allow (and dirty_pages
	 * of mote_vm_metrics is not known before); -2: never, and such a diff
	 * is refused. */
	int pagemap_fd;
	int console_in_fd, console_out_fd; /* -1: none */
	enum mote_seccomp seccomp;	   /* for the vCPU threads */
	/* One line of log, no newline; NULL: silence.  Levels of syslog. */
	void (*log)(void *opaque, int level, const char *line);
	void *log_opaque;
	int log_level;
	struct mote_timeline *timeline; /* may be NULL */
	bool rewind; /* with snapshot: mote_vm_rewind shall be possible */
	/* Of mote_device_open; what is not among them is opened. */
	const struct mote_device_fd *devices;
	int device_count;
	/* Of mote_uffd_open; -1: opened when [restore] asks for one, which a
	 * jail does not allow. */
	int uffd_fd;
	int initrd_fd; /* -1: open vm.initrd */
};
#define MOTE_VM_OPTIONS_INIT                                                   \
	{                                                                      \
		.size = sizeof(struct mote_vm_options), .kvm_fd = -1,          \
		.kernel_fd = -1, .pagemap_fd = -1, .console_in_fd = -1,        \
		.console_out_fd = -1, .uffd_fd = -1, .initrd_fd = -1,          \
	}

/*
 * Build the machine and load the image or the snapshot into it.  Nothing
 * runs yet.  A snapshot that can't be restored here is refused before a
 * KVM VM exists, by name.
 */
MOTE_API int mote_vm_create(const struct mote_vm_options *opt,
			    struct mote_vm **out, struct mote_err *err);

/* Start the vCPU threads, parked when paused. */
MOTE_API int mote_vm_start(struct mote_vm *vm, bool paused,
			   struct mote_err *err);

/*
 * The descriptors to poll (at most 4) and the timeout in milliseconds (-1:
 * none).  After poll(2) call mote_vm_dispatch with the same array.
 */
#define MOTE_VM_POLL_MAX 4
MOTE_API int mote_vm_poll(struct mote_vm *vm, struct pollfd *fds,
			  int *timeout_ms);
MOTE_API int mote_vm_dispatch(struct mote_vm *vm, const struct pollfd *fds,
			      int n);

enum mote_state {
	MOTE_BUILT,
	MOTE_RUNNING,
	MOTE_PAUSED,
	MOTE_ENDED,
};

enum mote_end {
	MOTE_END_NONE,
	MOTE_END_EXIT,	 /* the guest ended itself with a code */
	MOTE_END_RESET,	 /* it asked for a reset */
	MOTE_END_CRASH,	 /* it can't go on; the error says why */
	MOTE_END_KILLED, /* mote_vm_kill */
};

struct mote_status {
	size_t size; /* in: sizeof(struct mote_status) */
	enum mote_state state;
	enum mote_end end;
	int exit_code;
	bool ready; /* the guest wrote its ready mark */
	uint32_t vcpus;
	uint64_t memory;	  /* bytes */
	uint64_t exits[5];	  /* port I/O, MMIO, hypercall, kick, other */
	uint64_t console_dropped; /* bytes */
	uint64_t console_pending; /* bytes that the reader has not taken yet */
	bool console_attached;	  /* there is a reader */
};

/* err gets the reason of a crash. */
MOTE_API void mote_vm_status(struct mote_vm *vm, struct mote_status *status,
			     struct mote_err *err);

enum mote_restore {
	MOTE_RESTORE_NONE, /* it was booted */
	MOTE_RESTORE_COW,  /* memory is mapped from the snapshot */
	MOTE_RESTORE_COPY,
	MOTE_RESTORE_UFFD, /* it is filled page by page as it is touched */
};

/*
 * Counters of one machine's life, and what its last snapshot and its restore
 * took.  -1: not known, which is never 0.
 */
struct mote_metrics {
	size_t size; /* in: sizeof(struct mote_metrics) */
	enum mote_state state;
	bool ready;
	uint32_t vcpus;
	uint64_t memory;	  /* bytes */
	uint64_t exits[5];	  /* as in mote_status */
	uint64_t console_dropped; /* bytes */
	/* mote_vm_snapshot, _live: how often it returned 0, and an error. */
	uint64_t snapshots, snapshots_failed;
	/*
	 * Of the last that returned 0: its time, bytes of memory written (of
	 * a running VM's some more than once), of a diff (else -1) the pages
	 * that had changed.
	 */
	int64_t snapshot_ns, snapshot_bytes, snapshot_pages;
	/* How long the guest stood still for it; -1 until it runs again. */
	int64_t snapshot_pause_ns;
	enum mote_restore restore;
	int64_t restore_ns; /* of mote_vm_create, when restored */
	/*
	 * Pages of the host changed since mote_vm_parent; restored from a
	 * diff or rewound, also those that its parents or the rewind wrote,
	 * or a hot set brought in, until the next snapshot.  -1: not tracked,
	 * or a snapshot waits for mote_vm_snapshot_end, or options had no
	 * pagemap_fd.
	 */
	int64_t dirty_pages;
	/*
	 * How long it was expected to stand still when that was decided, -1:
	 * nobody did, because no device of the host is in the machine.
	 */
	int64_t snapshot_predicted_ns;
};

/*
 * *m beyond the size that it names is left alone; -EINVAL: no size there.
 * dirty_pages costs a pass over the page tables, and after a snapshot a fault
 * for each page that the guest then writes again.
 */
MOTE_API int mote_vm_metrics(struct mote_vm *vm, struct mote_metrics *m);

MOTE_API int mote_vm_pause(struct mote_vm *vm, struct mote_err *err);
MOTE_API int mote_vm_resume(struct mote_vm *vm, struct mote_err *err);

/*
 * Take a vCPU out of the machine (it is kept, parked), or put it back.  The
 * last one stays; a snapshot needs all of them in.
 */
MOTE_API int mote_vm_vcpu_unplug(struct mote_vm *vm, uint32_t id,
				 struct mote_err *err);
MOTE_API int mote_vm_vcpu_replug(struct mote_vm *vm, uint32_t id,
				 struct mote_err *err);

/*
 * Put a VM that was created with rewind back to its snapshot, from any state
 * but built or killed; it is paused then, and its next run is a new
 * generation.  The pages that it wrote are copied back (*pages: how many, may
 * be NULL), vCPUs and devices are loaded anew, what was on its way through
 * the console is gone.  Faster than another VM by the price of that one's
 * faults.  Not undone: what left the machine.  After an error it has crashed.
 */
MOTE_API int mote_vm_rewind(struct mote_vm *vm, uint64_t *pages,
			    struct mote_err *err);

/*
 * Give the console other descriptors, borrowed until the next call or
 * mote_vm_destroy and O_NONBLOCK; not between mote_vm_poll and
 * mote_vm_dispatch.  out_fd -1: nobody reads; the last 64 KiB that the guest
 * writes are kept for who comes, older bytes are lost and counted.  So does
 * a VM begin whose [console] type is pty or socket (the library opens
 * neither).  When a write fails (ignore SIGPIPE), nobody reads again:
 * console_attached of the status.
 */
MOTE_API int mote_vm_console_attach(struct mote_vm *vm, int in_fd, int out_fd);

/* Ask the guest to end (what SIGTERM means), or end it now. */
MOTE_API void mote_vm_ask_stop(struct mote_vm *vm);
MOTE_API void mote_vm_kill(struct mote_vm *vm);

/*
 * With [snapshot] when=ready: has the moment come that [snapshot] ready
 * names?  The guest waits there to be paused, for a second at most; ask
 * after each mote_vm_dispatch.  Once it was true it is false again.
 */
MOTE_API bool mote_vm_snapshot_due(struct mote_vm *vm);

struct mote_snapshot_options {
	size_t size; /* sizeof(struct mote_snapshot_options) */
	/* What its directory will be called: later diffs name it as parent. */
	const char *name;
	/* Only the pages that changed since mote_vm_parent. */
	bool diff;
};

/*
 * Write a snapshot; the VM must be paused, and may be resumed right after;
 * or its guest have ended by itself with [snapshot] when=exit (-ESRCH where it
 * ended otherwise: its last instruction may be half done).
 * Then make the files durable, give the directory its name (a diff's lies
 * beside its parent's) and say by mote_vm_snapshot_end whether that worked:
 * if not, the next diff is still to the parent that it had.
 */
MOTE_API int mote_vm_snapshot(struct mote_vm *vm,
			      const struct mote_snapshot_files *files,
			      const struct mote_snapshot_options *opt,
			      struct mote_err *err);

/*
 * The same of a VM that runs, and runs again when this returns: memory is
 * written while the guest goes on, which stands still only for its state and
 * the pages that it changed last (of one that changes them faster than they
 * are written: for all that is left after some attempts).  Digests and the
 * other two files come after that.  A VM that does not run: mote_vm_snapshot.
 * -ESRCH: its guest ended meanwhile.
 */
MOTE_API int mote_vm_snapshot_live(struct mote_vm *vm,
				   const struct mote_snapshot_files *files,
				   const struct mote_snapshot_options *opt,
				   struct mote_err *err);
MOTE_API void mote_vm_snapshot_end(struct mote_vm *vm, bool kept);

/*
 * Of a VM that was restored with [restore] record=yes: write the pages that
 * were touched since into fd, an empty file.  It is to be the file "hotset"
 * in the snapshot's directory (rename it there once it is synced).  The guest
 * may run.  -E2BIG: more pages than it is good for (64 MiB).
 */
MOTE_API int mote_vm_hotset(struct mote_vm *vm, int fd, struct mote_err *err);

/*
 * What the next diff would be to: the name of that snapshot's directory
 * (lives until the next snapshot) and the digest of its manifest; NULL:
 * nothing yet.
 */
MOTE_API const char *mote_vm_parent(struct mote_vm *vm, uint8_t digest[16]);

/*
 * Write an ELF core file of a machine that has ended or is paused into fd:
 * registers (of an aborted Solo5 guest those of its trap) and memory, zero
 * pages left out.
 */
MOTE_API int mote_vm_core(struct mote_vm *vm, int fd, struct mote_err *err);

/*
 * Stop and free.  NULL is fine.  Console output that is still pending is
 * lost: dispatch until it is not.
 */
MOTE_API void mote_vm_destroy(struct mote_vm *vm);

/*
 * Copy from or to guest-physical memory, len bytes at gpa; meant for a VM that
 * does not run.  -EFAULT: not all of it is RAM.  The guest finds what was
 * written, and tracking of changed pages knows it.
 */
MOTE_API int mote_vm_memory_read(struct mote_vm *vm, uint64_t gpa, void *buf,
				 size_t len);
MOTE_API int mote_vm_memory_write(struct mote_vm *vm, uint64_t gpa,
				  const void *buf, size_t len);

/*
 * Where children of a VM begin: a snapshot of it in memory, without a file.
 * It is closed as any other; children are made of it by mote_vm_create (their
 * configuration: mote_snapshot_config) or by a pool, as many as are wanted.
 * A VM that runs stands still meanwhile as long as its state and some pages
 * take: those that it wrote since it was restored or forked (memory mapped from
 * a snapshot); none (memory.shared=yes, which is a file of its own from then
 * on); else those that it wrote while the rest was copied.  Refused for a guest
 * without clone identity unless restore.allow_shared_identity says yes.  Before
 * mote_jail_lock.
 */
MOTE_API int mote_vm_fork(struct mote_vm *vm, struct mote_snapshot **out,
			  struct mote_err *err);

/*
 * The same into three empty files of the caller (memfds), for another process
 * to open by mote_snapshot_adopt; also after mote_jail_lock.  Without digests
 * of the memory: restore.verify=off.
 */
MOTE_API int mote_vm_fork_into(struct mote_vm *vm,
			       const struct mote_snapshot_files *files,
			       struct mote_err *err);

/* --- a pool of clones ---------------------------------------------------- */

/*
 * Clones of one snapshot, restored and parked before their first instruction.
 * What a claim leaves to do is a new generation, the clocks and a wake.
 * Threads: any thread may call; a clone belongs to who claimed it.  All of
 * them live in this process: they belong to one trust domain.
 */
struct mote_pool;

struct mote_pool_options {
	size_t size; /* sizeof(struct mote_pool_options) */
	/* As for mote_vm_create; what it points to outlives the pool.  Without
	 * console descriptors: a clone gets its own when it is claimed. */
	struct mote_vm_options vm;
	unsigned int clones; /* how many are kept ready */
	bool refill;	     /* a thread of the pool replaces what was taken */
};

/*
 * Fill a new pool.  A guest whose contract has no clone identity is refused
 * unless restore.allow_shared_identity says yes.
 */
MOTE_API int mote_pool_create(const struct mote_pool_options *opt,
			      struct mote_pool **out, struct mote_err *err);

/*
 * A clone, paused, never run: mote_vm_console_attach, mote_vm_resume.  Where
 * none is ready it is made here, which takes as long as a restore.
 */
MOTE_API int mote_pool_claim(struct mote_pool *pool, struct mote_vm **vm,
			     struct mote_err *err);

/*
 * Give a claimed one back: rewound and parked again if vm.rewind was set and
 * there is room, else destroyed.
 */
MOTE_API void mote_pool_give_back(struct mote_pool *pool, struct mote_vm *vm);

/* Make what is missing, in this thread; how many are ready. */
MOTE_API int mote_pool_fill(struct mote_pool *pool, struct mote_err *err);
MOTE_API unsigned int mote_pool_parked(struct mote_pool *pool);

/* Destroys what is parked; claimed ones live on.  NULL is fine. */
MOTE_API void mote_pool_destroy(struct mote_pool *pool);

/* --- the host ------------------------------------------------------------ */

/* One thing that a host has or lacks; texts live during the call. */
struct mote_finding {
	const char *name;
	bool ok;
	const char *detail, *cost, *remedy; /* never NULL, may be empty */
};

/* Ask the host by trying; true when guests can run here. */
MOTE_API bool mote_doctor(void (*say)(void *opaque,
				      const struct mote_finding *f),
			  void *opaque);

/* One known trap of the kernel's interfaces; texts live during the call. */
enum mote_trap_verdict {
	MOTE_TRAP_ABSENT, /* can't be asked here; the detail says why */
	MOTE_TRAP_AS_EXPECTED,
	MOTE_TRAP_DIFFERS, /* the detail says what was seen */
};

struct mote_trap {
	const char *name; /* what is expected, as a sentence */
	enum mote_trap_verdict verdict;
	const char *detail; /* never NULL, may be empty */
};

/*
 * Try each trap on small machines of its own (a second or so); true when
 * none differs.
 */
MOTE_API bool mote_doctor_uapi(void (*say)(void *opaque,
					   const struct mote_trap *t),
			       void *opaque);

/* --- jail (whole process; only in a process made for one VM) -------------- */

/* What a device of [passthrough.NAME] takes: interrupts, an aligned block. */
#define MOTE_DEVICE_FDS 144
#define MOTE_VIRTIO_FDS 192 /* ... and for virtio devices, all of them */

struct mote_jail_options {
	size_t size;	   /* sizeof(struct mote_jail_options) */
	bool require;	   /* what can't be applied is an error */
	bool new_root;	   /* in a mount namespace of our own: empty its root */
	uint32_t uid, gid; /* become these when root; else ignored */
	const int *keep_fds; /* everything else from 3 on is closed */
	int keep_count;
	uint64_t lock_bytes; /* how much memory may be locked or pinned later */
	/* Descriptors to come: MOTE_DEVICE_FDS for each [passthrough.NAME]. */
	unsigned int more_fds;
	bool no_landlock;		/* leave this layer out */
	struct mote_timeline *timeline; /* marks of its steps; may be NULL */
};

/* What mote_jail_enter applied, one bit a layer. */
enum mote_jail_layer {
	MOTE_JAIL_FDS = 1 << 0,
	MOTE_JAIL_ROOT = 1 << 1,
	MOTE_JAIL_LIMITS = 1 << 2,
	MOTE_JAIL_CAPS = 1 << 3,
	MOTE_JAIL_NO_NEW_PRIVS = 1 << 4,
	MOTE_JAIL_MDWE = 1 << 5,
	MOTE_JAIL_LANDLOCK = 1 << 6,
	MOTE_JAIL_USER = 1 << 7,
};

/*
 * Drop everything but the descriptors: *layers says what was applied, and
 * *missing (malloc'd, NULL when nothing is) what could not be and why.
 * The process is left as it is by an error; end it.
 */
MOTE_API int mote_jail_enter(const struct mote_jail_options *opt,
			     unsigned int *layers, char **missing,
			     struct mote_err *err);

/*
 * Last step, after mote_vm_start: the calling thread's own filter (role
 * "control").  From here on it can open nothing.
 */
MOTE_API int mote_jail_lock(enum mote_seccomp mode, struct mote_err *err);

/* --- POWER's hashed page table ----------------------------------------------
 */

/*
 * The entries of a VM that does not run, from number first on: records as in
 * section ppc64-hpt (docs/SNAPSHOT.md), malloc'd.  bolted: the others as
 * invalid; to be looked at, as whoever wrote that back would delete them.
 * -ENOTSUP: it has none (another architecture, a radix guest).  VM thread.
 */
MOTE_API int mote_hpt_read(struct mote_vm *vm, uint64_t first, bool bolted,
			   void **stream, size_t *len, struct mote_err *err);

/* --- SIGBUS -----------------------------------------------------------------
 */

/*
 * For a handler of SIGBUS (SA_SIGINFO) of a process that restores by mapping:
 * the file behind a guest's RAM was cut short.  True: it was that; the guest
 * ends as crashed, and what the library was doing fails or finds zeros.  May
 * not return at all (siglongjmp to the library).  False: it is the caller's
 * own.  Async-signal-safe; any thread.
 */
MOTE_API bool mote_sigbus_handle(const siginfo_t *info);

#ifdef __cplusplus
}
#endif

#endif
