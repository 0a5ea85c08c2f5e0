/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the configuration of one VM, as the INI file or the API gave it.
 *
 * No I/O but reading the INI file itself, no KVM; nothing that a key names
 * is opened here.  Threads: any, one struct on one thread at a time.
 * Trust: files come from the user; every fault is reported with its place.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mote_err;

enum config_arch {
	CONFIG_ARCH_X86_64 = 1 << 0,
	CONFIG_ARCH_ARM64 = 1 << 1,
	CONFIG_ARCH_PPC64LE = 1 << 2,
};

enum cpu_mmu {
	CPU_MMU_HASH,
	CPU_MMU_RADIX,
};

enum cpu_irq {
	CPU_IRQ_XICS,
	CPU_IRQ_XIVE,
};

enum vm_protocol {
	PROTOCOL_AUTO,
	PROTOCOL_HVT,
	PROTOCOL_PVH,
	PROTOCOL_LINUX,
	PROTOCOL_MULTIBOOT,
	PROTOCOL_MOTE,
};

enum vm_acpi {
	ACPI_AUTO, /* where Linux or a PVH guest looks for it */
	ACPI_YES,
	ACPI_NO,
};

enum console_type {
	CONSOLE_STDIO,
	CONSOLE_PTY,
	CONSOLE_FILE,
	CONSOLE_SOCKET,
	CONSOLE_NULL,
};

enum snapshot_when {
	SNAPSHOT_NEVER,
	SNAPSHOT_READY,
	SNAPSHOT_SIGNAL,
	SNAPSHOT_EXIT,
};

enum snapshot_ready {
	READY_MARK,
	READY_IDLE,
	READY_CONSOLE,
	READY_AFTER,
};

enum snapshot_durability {
	DURABILITY_FULL, /* files, directory and parent are on disk */
	DURABILITY_FILE, /* file contents are on disk */
	DURABILITY_NONE,
};

enum restore_memory {
	RESTORE_AUTO,
	RESTORE_COW,
	RESTORE_UFFD,
	RESTORE_COPY,
};

enum restore_verify {
	VERIFY_AUTO,
	VERIFY_OFF,
	VERIFY_ONCE,
	VERIFY_EAGER,
	VERIFY_LAZY,
};

enum restore_hotset {
	HOTSET_AUTO,
	HOTSET_PRIVATE_THP,
	HOTSET_SHARED_RUNS,
	HOTSET_OFF,
};

enum dirty_tracking {
	DIRTY_AUTO,
	DIRTY_PRIVATE,
	DIRTY_BITMAP,
	DIRTY_RING,
	DIRTY_WP,
};

enum hugepages {
	HUGEPAGES_NO,
	HUGEPAGES_THP, /* where the kernel has some: madvise */
	HUGEPAGES_2M,  /* reserved ones, or nothing */
	HUGEPAGES_1G,
};

enum log_format {
	LOG_TEXT,
	LOG_JSON,
};

enum metrics_format {
	METRICS_JSON,
	METRICS_PROMETHEUS,
};

enum seccomp_mode {
	SECCOMP_KILL,
	SECCOMP_ERRNO,
	SECCOMP_LOG,
	SECCOMP_OFF,
};

/* PSCI version, arm64: MAJOR.MINOR as the kernel encodes it, or the host's. */
#define PSCI_DEFAULT UINT32_MAX	      /* the product's default: pinned 1.0 */
#define PSCI_HOST    (UINT32_MAX - 1) /* whatever the kernel offers */

#define CONFIG_DISKS_MAX 63
#define CONFIG_NETS_MAX	 63

enum disk_type { DISK_FILE, DISK_BLOCK };

/* When a write is done: in the host's page cache, or on the disk. */
enum disk_cache { DISK_WRITEBACK, DISK_WRITETHROUGH };

#define CONFIG_DISK_QUEUES_MAX 8

struct disk_config {
	char *name; /* of the section: 1 to 67 of A-Z a-z 0-9 _ - */
	char *path;
	enum disk_type type;
	bool readonly;
	uint32_t sector_size; /* bytes; a power of two, 512 to 32768 */
	enum disk_cache cache;
	uint32_t queues;     /* of virtio; 0: one */
	uint64_t rate_bytes; /* a second; 0: any */
	uint32_t rate_ops;
};

struct net_config {
	char *name;
	char *tap; /* interface name, or NULL */
	int fd;	   /* of an open tap, -1: none */
	uint8_t mac[6];
	bool has_mac;	     /* else: a random one */
	uint32_t mtu;	     /* bytes; 0: the tap's */
	uint64_t rate_bytes; /* a second, each way; 0: any */
	uint32_t rate_packets;
};

#define CONFIG_PASSTHROUGHS_MAX 8

/* What a snapshot does with a device that can't save its state. */
enum passthrough_snapshot {
	PASSTHROUGH_REFUSE,
	PASSTHROUGH_WITHOUT_DEVICE, /* of a guest that is ready */
};

/* What a diff does where a device may have written any page. */
enum passthrough_diff {
	PASSTHROUGH_DIFF_REFUSE,
	PASSTHROUGH_DIFF_FULL,
};

/* A device of the host; one of pci, cdev and fd says which. */
struct passthrough_config {
	char *name;
	char *pci;  /* DDDD:BB:DD.F */
	char *cdev; /* /dev/vfio/devices/vfioN */
	int fd;	    /* of such a node, open; -1: none */
	enum passthrough_snapshot snapshot;
	enum passthrough_diff diff;
};

/*
 * Strings are owned by the struct (NULL when unset); paths are absolute or
 * as found beside the INI file.  Numbers are bytes and milliseconds.
 */
struct vm_config {
	struct {
		char *name;
		char *kernel;
		char *initrd;
		char *cmdline;
		enum vm_protocol protocol;
		enum vm_acpi acpi; /* x86_64: tables for the guest */
		uint64_t memory;   /* bytes */
		uint32_t vcpus;
		uint32_t max_vcpus; /* 0: as vcpus */
		uint64_t stop_timeout_ms;
		char *core; /* directory for core files of aborted hvt guests */
	} vm;
	struct {
		char *features;	    /* cpu_features_parse */
		uint32_t psci;	    /* MAJOR << 16 | MINOR, or PSCI_* */
		bool sve;	    /* arm64: scalable vectors */
		bool pauth;	    /* arm64: pointer authentication */
		uint32_t hpt_order; /* 0: chosen from the memory size */
		enum cpu_mmu mmu;
		enum cpu_irq irq;
	} cpu;
	struct {
		enum dirty_tracking dirty_tracking;
		enum hugepages hugepages;
		bool shared; /* a memfd that others can map */
		bool lock;   /* never swapped out */
	} memory;
	struct {
		enum console_type type;
		char *path;
	} console;
	struct disk_config *disk; /* disk_count of them, in file order */
	uint32_t disk_count;
	struct net_config *net;
	uint32_t net_count;
	struct {
		bool enable;
		uint64_t rate_bytes; /* a second; 0: any */
	} rng;
	struct passthrough_config *passthrough;
	uint32_t passthrough_count;
	struct {
		char *dir;
		enum snapshot_when when;
		char *ready; /* config_parse_ready */
		enum snapshot_durability durability;
	} snapshot;
	struct {
		char *from;
		enum restore_memory memory;
		enum restore_verify verify;
		enum restore_hotset hotset;
		bool record;
		bool resume, allow_shared_identity;
	} restore;
	struct {
		bool enable;
		bool require; /* what can't be applied is fatal */
		char *user;   /* name or number */
		char *group;
		bool namespaces, landlock;
		char *netns;
		enum seccomp_mode seccomp;
	} sandbox;
	struct {
		char *cgroup;
		uint32_t open_files, threads; /* 0: as it was inherited */
		uint64_t file_size;	      /* likewise */
	} limits;
	struct {
		char *socket;
		uint32_t mode; /* of the socket file */
	} control;
	struct {
		char *file;
		enum metrics_format format;
		uint64_t interval_ms;
	} metrics;
	struct {
		int level; /* of syslog(3) */
		char *file;
		enum log_format format;
	} log;
};

/*
 * Set to its default what belongs to one run and not to the machine: console,
 * control socket, snapshot folder, restore, sandbox, metrics, log, core files,
 * and which files and networks stand behind the devices.  -ENOMEM.
 */
int config_forget_run(struct vm_config *c);

/*
 * How many virtio devices it has: none under hvt; else first a block device
 * for each [disk.NAME] in file order, then a network card for each [net.NAME],
 * then the entropy device of [rng].
 */
unsigned int config_virtio_count(const struct vm_config *c);

/* Does an x86_64 guest get ACPI tables?  Once the protocol is known. */
bool config_acpi(const struct vm_config *c);

/* Messages of one check: all faults, in the order of the file. */
struct config_errors {
	char **msg; /* "FILE:LINE: section.key: what was found, expected" */
	size_t count;
};

/* A copy that owns its strings; *to is overwritten.  -ENOMEM: it is empty. */
int config_copy(struct vm_config *to, const struct vm_config *from);

/* Defaults of the key table.  config_fini frees what the struct owns. */
int config_init(struct vm_config *c);
void config_fini(struct vm_config *c);
void config_errors_fini(struct config_errors *e);

/*
 * Read INI text into *c, which holds defaults.  name stands in messages;
 * relative paths are joined to the directory of name and made absolute ("-" or
 * NULL: as they are).  Returns 0, or -EINVAL with at least one message in *errs
 * (-ENOMEM without); then some keys may have been set.  Messages are added
 * to what *errs holds, at most 100 and a note each time; errs may be NULL.
 * arch: one CONFIG_ARCH_* bit, the host's.
 */
int config_parse_text(struct vm_config *c, const char *name, const char *text,
		      size_t len, unsigned int arch,
		      struct config_errors *errs);

/* The same from a regular file; unreadable: -errno and a message. */
int config_parse_file(struct vm_config *c, const char *path, unsigned int arch,
		      struct config_errors *errs);

/*
 * One "SECTION.KEY=VALUE" of --set (or of a flag) on top; paths are taken
 * relative to the working directory.  Messages begin with "origin: ".
 * A later set replaces an earlier one and what the file said.
 */
int config_set(struct vm_config *c, const char *origin, const char *assign,
	       unsigned int arch, struct config_errors *errs);

/*
 * Cross-key checks once everything is set: a kernel or restore.from is
 * there, paths that a type needs, vcpus <= max_vcpus.  Messages as above,
 * with name as the file.
 */
int config_check(const struct vm_config *c, const char *name, unsigned int arch,
		 struct config_errors *errs);

/*
 * Append words to vm.cmdline, each after one space.  -ENOMEM, or -EINVAL
 * where the line gets too long or an INI file could not hold it (control
 * bytes, white space at its end); then nothing changed.
 */
int config_append_args(struct vm_config *c, char *const args[], int count);

/*
 * The effective configuration as INI text (malloc'd, NULL only for want of
 * memory): every key that is set, and those that apply to one architecture
 * where they are not the default.  Parsing the text under a name without a
 * directory gives the same struct and the same text.  No line is longer
 * than the parser takes: a long value goes on in indented lines, which are
 * joined by one space, or by nothing where the line before ends with a
 * backslash.
 */
char *config_describe(const struct vm_config *c);

/*
 * The value of "section.key" as INI text: buf, or a string of *c; NULL
 * when unset or unknown.
 */
const char *config_get(const struct vm_config *c, const char *key, char *buf,
		       size_t size);

/* One key of the table, for --help, completion and the man page. */
struct config_key_info {
	const char *section; /* "vm"; "disk.NAME" for a family */
	/* "memory"; "" says what the section does without any key ([rng]) */
	const char *key;
	const char *type;  /* "size", "yes|no", "path", ... */
	const char *range; /* human text, may be "" */
	const char *def;   /* default as text, may be "" */
	unsigned int arch; /* CONFIG_ARCH_* bits */
	const char *since; /* version, or NULL: not in this version yet */
	const char *help;  /* one line */
	const char *unit;  /* of plain numbers: "bytes", "ms"; may be "" */
};

/* The i-th key, or NULL past the end. */
const struct config_key_info *config_key(size_t i);

/*
 * Number readers shared with the command line: the whole string must be
 * used.  size: plain bytes or K, M, G, T (binary).  time: ms, s, m or a
 * plain 0.  Return 0, -EINVAL (not a number or unit) or -ERANGE.
 */
int config_parse_size(const char *s, uint64_t *out);
int config_parse_time_ms(const char *s, uint64_t *out);
int config_parse_u64(const char *s, uint64_t *out);

/* What snapshot.ready says; NULL is "mark".  0 or -EINVAL. */
#define READY_TEXT_MAX	256 /* bytes */
#define READY_AFTER_MAX 3600000u
struct config_ready {
	enum snapshot_ready on;
	const char *text; /* of READY_CONSOLE, in s; else NULL */
	uint64_t ms;	  /* of READY_AFTER */
};
int config_parse_ready(const char *s, struct config_ready *out);

#endif
