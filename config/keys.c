/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.c - the one table of sections and keys of mote.ini.
 *
 * The parser, mote check, --help, mote.ini(5) and completion come from it.
 * A key whose since is NULL is known, so that it is never called a typing
 * error, and refused.
 */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "config/config_priv.h"

#define ANY   CONFIG_ARCH_ANY
#define X86   CONFIG_ARCH_X86_64
#define ARM   CONFIG_ARCH_ARM64
#define PPC   CONFIG_ARCH_PPC64LE
#define NOW   "0.1"
#define YESNO "yes|no"

#define AT(field) .off = offsetof(struct vm_config, field)
#define IN_DISK(field)                                                         \
	.family = &disks, .off = offsetof(struct disk_config, field)
#define IN_NET(field) .family = &nets, .off = offsetof(struct net_config, field)
#define IN_PASSTHROUGH(field)                                                  \
	.family = &passthroughs,                                               \
	.off = offsetof(struct passthrough_config, field)

/* section, key, type, unit, range, default, architectures, help */
#define INFO(sec, name, ty, un, ra, de, ar, when, text)                        \
	.info = {.section = sec,                                               \
		 .key = name,                                                  \
		 .type = ty,                                                   \
		 .range = ra,                                                  \
		 .def = de,                                                    \
		 .arch = ar,                                                   \
		 .since = when,                                                \
		 .help = text,                                                 \
		 .unit = un}
#define KEY(sec, name, ty, un, ra, de, ar, text, ...)                          \
	{                                                                      \
		INFO(sec, name, ty, un, ra, de, ar, NOW, text), __VA_ARGS__    \
	}
#define LATER(sec, name, ty, un, ra, de, ar, text)                             \
	{                                                                      \
		INFO(sec, name, ty, un, ra, de, ar, NULL, text),               \
			.kind = KEY_LATER                                      \
	}

/* The enums and log.level are stored as one 32-bit int. */
_Static_assert(sizeof(enum vm_protocol) == sizeof(int), "enum is not an int");

static const struct family disks = {
	.list = offsetof(struct vm_config, disk),
	.count = offsetof(struct vm_config, disk_count),
	.size = sizeof(struct disk_config),
	.max = CONFIG_DISKS_MAX,
};

static const struct family nets = {
	.list = offsetof(struct vm_config, net),
	.count = offsetof(struct vm_config, net_count),
	.size = sizeof(struct net_config),
	.max = CONFIG_NETS_MAX,
};

static const struct family passthroughs = {
	.list = offsetof(struct vm_config, passthrough),
	.count = offsetof(struct vm_config, passthrough_count),
	.size = sizeof(struct passthrough_config),
	.max = CONFIG_PASSTHROUGHS_MAX,
};

static const struct choice protocols[] = {
	{"auto", PROTOCOL_AUTO, ANY, false},
	{"hvt", PROTOCOL_HVT, X86 | ARM, false},
	{"pvh", PROTOCOL_PVH, X86, false},
	{"linux", PROTOCOL_LINUX, ANY, false},
	{"multiboot", PROTOCOL_MULTIBOOT, X86, false},
	{"mote", PROTOCOL_MOTE, ANY, false},
	{0},
};

static const struct choice acpis[] = {
	{"auto", ACPI_AUTO, X86, false},
	{"yes", ACPI_YES, X86, false},
	{"no", ACPI_NO, X86, false},
	{0},
};

static const struct choice mmus[] = {
	{"hash", CPU_MMU_HASH, PPC, false},
	{"radix", CPU_MMU_RADIX, PPC, false},
	{0},
};

static const struct choice irqs[] = {
	{"xics", CPU_IRQ_XICS, PPC, false},
	{"xive", CPU_IRQ_XIVE, PPC, false},
	{0},
};

static const struct choice trackings[] = {
	{"auto", DIRTY_AUTO, ANY, false},
	{"private", DIRTY_PRIVATE, ANY, false},
	{"bitmap", DIRTY_BITMAP, ANY, false},
	{"ring", DIRTY_RING, X86 | ARM, false},
	{"wp", DIRTY_WP, ANY, true},
	{0},
};

static const struct choice log_formats[] = {
	{"text", LOG_TEXT, ANY, false},
	{"json", LOG_JSON, ANY, false},
	{0},
};

static const struct choice metrics_formats[] = {
	{"json", METRICS_JSON, ANY, false},
	{"prometheus", METRICS_PROMETHEUS, ANY, false},
	{0},
};

static const struct choice hugepages[] = {
	{"no", HUGEPAGES_NO, ANY, false},
	{"thp", HUGEPAGES_THP, ANY, false},
	{"2M", HUGEPAGES_2M, ANY, false},
	{"1G", HUGEPAGES_1G, ANY, false},
	{0},
};

static const struct choice consoles[] = {
	{"stdio", CONSOLE_STDIO, ANY, false},
	{"pty", CONSOLE_PTY, ANY, false},
	{"file", CONSOLE_FILE, ANY, false},
	{"socket", CONSOLE_SOCKET, ANY, false},
	{"null", CONSOLE_NULL, ANY, false},
	{0},
};

static const struct choice caches[] = {
	{"writeback", DISK_WRITEBACK, ANY, false},
	{"writethrough", DISK_WRITETHROUGH, ANY, false},
	{"none", DISK_WRITEBACK, ANY, true},
	{0},
};

static const struct choice passthrough_snapshots[] = {
	{"refuse", PASSTHROUGH_REFUSE, ANY, false},
	{"without-device", PASSTHROUGH_WITHOUT_DEVICE, ANY, false},
	{0},
};

static const struct choice passthrough_diffs[] = {
	{"refuse", PASSTHROUGH_DIFF_REFUSE, ANY, false},
	{"full", PASSTHROUGH_DIFF_FULL, ANY, false},
	{0},
};

static const struct choice disk_types[] = {
	{"file", DISK_FILE, ANY, false},
	{"block", DISK_BLOCK, ANY, false},
	{0},
};

static const struct choice whens[] = {
	{"never", SNAPSHOT_NEVER, ANY, false},
	{"ready", SNAPSHOT_READY, ANY, false},
	{"signal", SNAPSHOT_SIGNAL, ANY, false},
	{"exit", SNAPSHOT_EXIT, ANY, false},
	{0},
};

static const struct choice durabilities[] = {
	{"full", DURABILITY_FULL, ANY, false},
	{"file", DURABILITY_FILE, ANY, false},
	{"none", DURABILITY_NONE, ANY, false},
	{0},
};

static const struct choice restores[] = {
	{"auto", RESTORE_AUTO, ANY, false},
	{"cow", RESTORE_COW, ANY, false},
	{"uffd", RESTORE_UFFD, ANY, false},
	{"copy", RESTORE_COPY, ANY, false},
	{0},
};

static const struct choice verifies[] = {
	{"auto", VERIFY_AUTO, ANY, false}, {"off", VERIFY_OFF, ANY, false},
	{"once", VERIFY_ONCE, ANY, false}, {"eager", VERIFY_EAGER, ANY, false},
	{"lazy", VERIFY_LAZY, ANY, false}, {0},
};

static const struct choice hotsets[] = {
	{"auto", HOTSET_AUTO, ANY, false},
	{"private-thp", HOTSET_PRIVATE_THP, ANY, false},
	{"shared-runs", HOTSET_SHARED_RUNS, ANY, false},
	{"off", HOTSET_OFF, ANY, false},
	{0},
};

static const struct choice seccomps[] = {
	{"kill", SECCOMP_KILL, ANY, false},
	{"errno", SECCOMP_ERRNO, ANY, false},
	{"log", SECCOMP_LOG, ANY, false},
	{"off", SECCOMP_OFF, ANY, false},
	{0},
};

/* Levels of syslog(3). */
static const struct choice levels[] = {
	{"err", 3, ANY, false},
	{"warn", 4, ANY, false},
	{"info", 6, ANY, false},
	{"debug", 7, ANY, false},
	{0},
};

static const struct key keys[] = {
	KEY("vm", "name", "name", "", "1 to 64 of A-Z a-z 0-9 . _ -", "", ANY,
	    "name of the VM in messages", .kind = KEY_NAME, AT(vm.name),
	    .max = 64),
	KEY("vm", "kernel", "path", "", "", "", ANY, "the guest's image",
	    .kind = KEY_PATH, AT(vm.kernel)),
	KEY("vm", "initrd", "path", "", "", "", ANY,
	    "initial RAM disk, or module, of a guest that takes one",
	    .kind = KEY_PATH, AT(vm.initrd)),
	KEY("vm", "cmdline", "text", "", "up to 8191 bytes", "", ANY,
	    "command line that the guest sees", .kind = KEY_TEXT,
	    AT(vm.cmdline), .max = 8191),
	KEY("vm", "protocol", "auto|hvt|pvh|linux|multiboot|mote", "", "",
	    "auto", ANY, "how the guest is entered; auto: by its notes",
	    .kind = KEY_CHOICE, AT(vm.protocol), .choices = protocols),
	KEY("vm", "acpi", "auto|yes|no", "", "", "auto", X86,
	    "ACPI tables for the guest; auto: for linux and pvh",
	    .kind = KEY_CHOICE, .flags = KEY_QUIET, AT(vm.acpi),
	    .choices = acpis),
	KEY("vm", "memory", "size", "bytes", "1M to 1T, a multiple of 1M",
	    "32M", ANY, "guest RAM", .kind = KEY_SIZE, AT(vm.memory),
	    .min = MIB, .max = 1024 * GIB, .step = MIB),
	KEY("vm", "vcpus", "number", "", "1 to 64", "1", ANY,
	    "virtual CPUs at the start", .kind = KEY_COUNT, AT(vm.vcpus),
	    .min = 1, .max = 64, .step = 1),
	KEY("vm", "max_vcpus", "number", "", "vcpus to 64, or auto", "auto",
	    ANY, "virtual CPUs that can be plugged in; auto: as vcpus",
	    .kind = KEY_COUNT, .flags = KEY_QUIET | KEY_AUTO, AT(vm.max_vcpus),
	    .min = 1, .max = 64, .step = 1),
	KEY("vm", "stop_timeout", "time", "ms", "0 to 60m", "5s", ANY,
	    "how long a guest asked to stop may take", .kind = KEY_TIME,
	    AT(vm.stop_timeout_ms), .max = 3600000, .step = 1),
	KEY("vm", "core", "path", "", "", "", ANY,
	    "folder for a core file when an hvt guest aborts", .kind = KEY_PATH,
	    AT(vm.core)),

	KEY("cpu", "features", "host|x86-64-v1|-v2|-v3|-v4[,-NAME][,+NAME]", "",
	    "names as in /proc/cpuinfo", "host", X86,
	    "CPU features that the guest is shown", .kind = KEY_CPU,
	    .flags = KEY_QUIET, AT(cpu.features)),
	KEY("cpu", "psci", "MAJOR.MINOR|host", "", "0.0 to 99.99", "auto", ARM,
	    "PSCI version that the guest sees", .kind = KEY_PSCI,
	    .flags = KEY_QUIET, AT(cpu.psci), .max = 99),
	KEY("cpu", "sve", YESNO, "", "", "no", ARM,
	    "scalable vectors for the guest", .kind = KEY_BOOL,
	    .flags = KEY_QUIET, AT(cpu.sve)),
	KEY("cpu", "pauth", YESNO, "", "", "no", ARM,
	    "pointer authentication for the guest", .kind = KEY_BOOL,
	    .flags = KEY_QUIET, AT(cpu.pauth)),
	KEY("cpu", "hpt_order", "number", "log2 bytes", "18 to 46, or auto",
	    "auto", PPC, "size of the hashed page table; auto: by RAM size",
	    .kind = KEY_COUNT, .flags = KEY_QUIET | KEY_AUTO, AT(cpu.hpt_order),
	    .min = 18, .max = 46, .step = 1),
	KEY("cpu", "mmu", "hash|radix", "", "", "hash", PPC,
	    "how the guest's addresses are translated", .kind = KEY_CHOICE,
	    .flags = KEY_QUIET, AT(cpu.mmu), .choices = mmus),
	KEY("cpu", "irq", "xics|xive", "", "", "xics", PPC,
	    "interrupt controller that the guest sees", .kind = KEY_CHOICE,
	    .flags = KEY_QUIET, AT(cpu.irq), .choices = irqs),

	KEY("memory", "hugepages", "no|thp|2M|1G", "", "", "no", ANY,
	    "large pages behind guest RAM", .kind = KEY_CHOICE,
	    AT(memory.hugepages), .choices = hugepages),
	KEY("memory", "shared", YESNO, "", "", "no", ANY,
	    "share guest RAM with other processes", .kind = KEY_BOOL,
	    AT(memory.shared)),
	KEY("memory", "lock", YESNO, "", "", "no", ANY,
	    "keep guest RAM from being swapped out", .kind = KEY_BOOL,
	    AT(memory.lock)),
	KEY("memory", "dirty_tracking", "auto|private|bitmap|ring|wp", "", "",
	    "auto", ANY, "how changed pages are found", .kind = KEY_CHOICE,
	    AT(memory.dirty_tracking), .choices = trackings),

	KEY("console", "type", "stdio|pty|file|socket|null", "", "", "stdio",
	    ANY, "where the guest's console goes", .kind = KEY_CHOICE,
	    AT(console.type), .choices = consoles),
	KEY("console", "path", "path", "", "", "", ANY,
	    "the console's file or socket, or a link to its pty",
	    .kind = KEY_PATH, AT(console.path)),

	KEY("disk.NAME", "path", "path", "", "", "", ANY,
	    "image file or block device", .kind = KEY_PATH, IN_DISK(path)),
	KEY("disk.NAME", "type", "file|block", "", "", "file", ANY,
	    "what the path is", .kind = KEY_CHOICE, IN_DISK(type),
	    .choices = disk_types),
	KEY("disk.NAME", "readonly", YESNO, "", "", "no", ANY,
	    "refuse the guest's writes", .kind = KEY_BOOL, IN_DISK(readonly)),
	KEY("disk.NAME", "sector_size", "size", "bytes",
	    "512 to 32K, a power of two", "512", ANY,
	    "sector size that the guest sees", .kind = KEY_SIZE32,
	    IN_DISK(sector_size), .min = 512, .max = 32768, .step = 512),
	KEY("disk.NAME", "cache", "writeback|writethrough|none", "", "",
	    "writeback", ANY, "when a write is done: at once, or on the disk",
	    .kind = KEY_CHOICE, .flags = KEY_QUIET, IN_DISK(cache),
	    .choices = caches),
	KEY("disk.NAME", "queues", "number", "", "1 to 8, or auto", "auto", ANY,
	    "queues of a virtio disk; auto: one", .kind = KEY_COUNT,
	    .flags = KEY_QUIET | KEY_AUTO, IN_DISK(queues), .min = 1,
	    .max = CONFIG_DISK_QUEUES_MAX, .step = 1),
	KEY("disk.NAME", "rate_bytes", "size", "bytes per second",
	    "64K to 1T, or auto", "auto", ANY,
	    "most bytes per second, with virtio; auto: any", .kind = KEY_SIZE,
	    .flags = KEY_QUIET | KEY_AUTO, IN_DISK(rate_bytes), .min = 64 * KIB,
	    .max = 1024 * GIB, .step = 1),
	KEY("disk.NAME", "rate_ops", "number", "per second",
	    "1 to 4294967295, or auto", "auto", ANY,
	    "most requests per second, with virtio; auto: any",
	    .kind = KEY_COUNT, .flags = KEY_QUIET | KEY_AUTO, IN_DISK(rate_ops),
	    .min = 1, .max = UINT32_MAX, .step = 1),

	KEY("net.NAME", "tap", "name", "", "1 to 15 bytes", "", ANY,
	    "tap interface of the host", .kind = KEY_IFNAME, IN_NET(tap),
	    .max = 15),
	KEY("net.NAME", "fd", "number", "", "0 to 2147483647", "", ANY,
	    "descriptor of an open tap", .kind = KEY_FD, IN_NET(fd)),
	KEY("net.NAME", "mac", "MAC address", "", "", "", ANY,
	    "hardware address of the guest; unset: a random one",
	    .kind = KEY_MAC, IN_NET(mac)),
	KEY("net.NAME", "mtu", "number", "bytes", "68 to 65535, or auto",
	    "auto", ANY, "largest packet; auto: the tap's", .kind = KEY_COUNT,
	    .flags = KEY_QUIET | KEY_AUTO, IN_NET(mtu), .min = 68, .max = 65535,
	    .step = 1),
	KEY("net.NAME", "rate_bytes", "size", "bytes per second",
	    "64K to 1T, or auto", "auto", ANY,
	    "most bytes per second each way, with virtio; auto: any",
	    .kind = KEY_SIZE, .flags = KEY_QUIET | KEY_AUTO, IN_NET(rate_bytes),
	    .min = 64 * KIB, .max = 1024 * GIB, .step = 1),
	KEY("net.NAME", "rate_packets", "number", "per second",
	    "1 to 4294967295, or auto", "auto", ANY,
	    "most packets per second each way, with virtio; auto: any",
	    .kind = KEY_COUNT, .flags = KEY_QUIET | KEY_AUTO,
	    IN_NET(rate_packets), .min = 1, .max = UINT32_MAX, .step = 1),

	LATER("vsock", "cid", "number", "", "3 to 4294967294", "", ANY,
	      "the guest's address"),
	LATER("vsock", "socket", "path", "", "", "", ANY,
	      "unix socket on the host's side"),
	KEY("rng", "enable", YESNO, "", "", "no", ANY,
	    "a virtio entropy device; the section alone says yes",
	    .kind = KEY_BOOL, .flags = KEY_QUIET | KEY_SECTION, AT(rng.enable)),
	KEY("rng", "rate_bytes", "size", "bytes per second",
	    "1K to 1T, or auto", "auto", ANY,
	    "most random bytes per second; auto: any", .kind = KEY_SIZE,
	    .flags = KEY_QUIET | KEY_AUTO, AT(rng.rate_bytes), .min = KIB,
	    .max = 1024 * GIB, .step = 1),
	LATER("balloon", "", "", "", "", "", ANY,
	      "the section alone adds a virtio balloon"),
	LATER("balloon", "reporting", YESNO, "", "", "yes", ANY,
	      "give the guest's free pages back to the host"),

	KEY("passthrough.NAME", "pci", "PCI address", "", "DDDD:BB:DD.F", "",
	    X86, "device of the host, bound to vfio-pci", .kind = KEY_PCI,
	    IN_PASSTHROUGH(pci)),
	KEY("passthrough.NAME", "cdev", "path", "", "", "", X86,
	    "device by its VFIO node", .kind = KEY_PATH, IN_PASSTHROUGH(cdev)),
	KEY("passthrough.NAME", "fd", "number", "", "0 to 2147483647", "", X86,
	    "descriptor of such a node, open", .kind = KEY_FD,
	    IN_PASSTHROUGH(fd)),
	KEY("passthrough.NAME", "snapshot", "refuse|without-device", "", "",
	    "refuse", X86,
	    "what a snapshot does with a device that can't save "
	    "its state",
	    .kind = KEY_CHOICE, IN_PASSTHROUGH(snapshot),
	    .choices = passthrough_snapshots),
	KEY("passthrough.NAME", "diff", "refuse|full", "", "", "refuse", X86,
	    "what a diff does where the device may have written any page",
	    .kind = KEY_CHOICE, IN_PASSTHROUGH(diff),
	    .choices = passthrough_diffs),

	KEY("snapshot", "dir", "path", "", "", "", ANY,
	    "directory that the snapshot becomes", .kind = KEY_PATH,
	    AT(snapshot.dir)),
	KEY("snapshot", "when", "never|ready|signal|exit", "", "", "never", ANY,
	    "when a snapshot is taken by itself", .kind = KEY_CHOICE,
	    AT(snapshot.when), .choices = whens),
	KEY("snapshot", "ready", "mark|idle|console:TEXT|after:TIME", "",
	    "TEXT of 1 to 256 bytes, TIME of up to 60m", "mark", ANY,
	    "what counts as ready", .kind = KEY_READY, .flags = KEY_QUIET,
	    AT(snapshot.ready)),
	KEY("snapshot", "durability", "full|file|none", "", "", "full", ANY,
	    "what is on disk when the snapshot is done", .kind = KEY_CHOICE,
	    AT(snapshot.durability), .choices = durabilities),

	KEY("restore", "from", "path", "", "", "", ANY,
	    "snapshot to restore instead of booting", .kind = KEY_PATH,
	    AT(restore.from)),
	KEY("restore", "memory", "auto|cow|uffd|copy", "", "", "auto", ANY,
	    "how the guest's RAM is brought back", .kind = KEY_CHOICE,
	    .flags = KEY_QUIET, AT(restore.memory), .choices = restores),
	KEY("restore", "verify", "auto|off|once|eager|lazy", "", "", "auto",
	    ANY, "when the RAM's digests are checked", .kind = KEY_CHOICE,
	    .flags = KEY_QUIET, AT(restore.verify), .choices = verifies),
	KEY("restore", "hotset", "auto|private-thp|shared-runs|off", "", "",
	    "auto", ANY, "how the recorded working set is brought in",
	    .kind = KEY_CHOICE, .flags = KEY_QUIET, AT(restore.hotset),
	    .choices = hotsets),
	KEY("restore", "record", YESNO, "", "", "no", ANY,
	    "record the working set of this run", .kind = KEY_BOOL,
	    .flags = KEY_QUIET, AT(restore.record)),
	KEY("restore", "resume", YESNO, "", "", "yes", ANY,
	    "run the guest after restoring it", .kind = KEY_BOOL,
	    .flags = KEY_QUIET, AT(restore.resume)),
	KEY("restore", "allow_shared_identity", YESNO, "", "", "no", ANY,
	    "allow clones that can't tell that they are clones",
	    .kind = KEY_BOOL, .flags = KEY_QUIET,
	    AT(restore.allow_shared_identity)),

	KEY("sandbox", "enable", YESNO, "", "", "yes", ANY,
	    "jail the process that runs the guest", .kind = KEY_BOOL,
	    AT(sandbox.enable)),
	KEY("sandbox", "require", YESNO, "", "", "no", ANY,
	    "fail where a layer of the jail can't be had", .kind = KEY_BOOL,
	    AT(sandbox.require)),
	KEY("sandbox", "user", "user", "", "a name, or 0 to 4294967294", "",
	    ANY, "user to become; unset: 65534 when started by root",
	    .kind = KEY_ACCOUNT, AT(sandbox.user), .max = 32),
	KEY("sandbox", "group", "group", "", "a name, or 0 to 4294967294", "",
	    ANY, "group to become; unset: 65534 when started by root",
	    .kind = KEY_ACCOUNT, AT(sandbox.group), .max = 32),
	KEY("sandbox", "namespaces", YESNO, "", "", "yes", ANY,
	    "give the process namespaces of its own", .kind = KEY_BOOL,
	    AT(sandbox.namespaces)),
	KEY("sandbox", "netns", "path", "", "", "", ANY,
	    "network namespace to join, instead of an empty one",
	    .kind = KEY_PATH, AT(sandbox.netns)),
	KEY("sandbox", "landlock", YESNO, "", "", "yes", ANY,
	    "take the file system away by Landlock too", .kind = KEY_BOOL,
	    AT(sandbox.landlock)),
	KEY("sandbox", "seccomp", "kill|errno|log|off", "", "", "kill", ANY,
	    "what a forbidden system call does", .kind = KEY_CHOICE,
	    AT(sandbox.seccomp), .choices = seccomps),

	KEY("limits", "cgroup", "paths", "", "", "", ANY,
	    "cgroup directories to join, a colon between two", .kind = KEY_PATH,
	    AT(limits.cgroup)),
	KEY("limits", "open_files", "number", "", "16 to 1048576, or auto",
	    "auto", ANY, "most open files of the VM process", .kind = KEY_COUNT,
	    .flags = KEY_AUTO, AT(limits.open_files), .min = 16, .max = 1048576,
	    .step = 1),
	KEY("limits", "file_size", "size", "bytes", "4K to 1024T, or auto",
	    "auto", ANY, "largest file that the VM process may write",
	    .kind = KEY_SIZE, .flags = KEY_AUTO, AT(limits.file_size),
	    .min = 4096, .max = UINT64_C(1) << 50, .step = 1),
	KEY("limits", "threads", "number", "", "4 to 4194304, or auto", "auto",
	    ANY, "most threads of its user", .kind = KEY_COUNT,
	    .flags = KEY_AUTO, AT(limits.threads), .min = 4, .max = 4194304,
	    .step = 1),

	KEY("control", "socket", "path", "", "up to 107 bytes", "", ANY,
	    "unix socket for mote ctl", .kind = KEY_PATH, AT(control.socket)),
	KEY("control", "mode", "octal mode", "", "0000 to 0777", "0600", ANY,
	    "permissions of the control socket", .kind = KEY_MODE,
	    .flags = KEY_QUIET, AT(control.mode), .max = 0777, .step = 1),

	KEY("metrics", "file", "path", "", "", "", ANY,
	    "file that metrics are written to", .kind = KEY_PATH,
	    AT(metrics.file)),
	KEY("metrics", "format", "json|prometheus", "", "", "json", ANY,
	    "how metrics are written", .kind = KEY_CHOICE, .flags = KEY_QUIET,
	    AT(metrics.format), .choices = metrics_formats),
	KEY("metrics", "interval", "time", "ms", "100ms to 60m", "10s", ANY,
	    "how often metrics are written", .kind = KEY_TIME,
	    .flags = KEY_QUIET, AT(metrics.interval_ms), .min = 100,
	    .max = 3600000, .step = 1),

	KEY("log", "level", "err|warn|info|debug", "", "", "warn", ANY,
	    "least important message that is logged", .kind = KEY_CHOICE,
	    AT(log.level), .choices = levels),
	KEY("log", "file", "path", "", "", "", ANY,
	    "file for the log instead of stderr", .kind = KEY_PATH,
	    AT(log.file)),
	KEY("log", "format", "text|json", "", "", "text", ANY,
	    "how log lines are written", .kind = KEY_CHOICE, AT(log.format),
	    .choices = log_formats, .flags = KEY_QUIET),
};

size_t keys_count(void)
{
	return ARRAY_SIZE(keys);
}

const struct key *keys_at(size_t i)
{
	return i < ARRAY_SIZE(keys) ? &keys[i] : NULL;
}

size_t keys_index(const struct key *k)
{
	return (size_t)(k - keys);
}

const struct config_key_info *config_key(size_t i)
{
	return i < ARRAY_SIZE(keys) ? &keys[i].info : NULL;
}

bool keys_section_is(const char *pattern, const char *name)
{
	const char *dot = strchr(pattern, '.');
	size_t kind;

	if (dot == NULL)
		return strcmp(pattern, name) == 0;
	kind = (size_t)(dot - pattern) + 1;
	return strncmp(pattern, name, kind) == 0 && name[kind] != '\0' &&
	       strchr(name + kind, '.') == NULL;
}

const struct key *keys_section(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys_section_is(keys[i].info.section, name))
			return &keys[i];
	return NULL;
}

bool keys_section_now(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].kind != KEY_LATER &&
		    keys_section_is(keys[i].info.section, name))
			return true;
	return false;
}

const struct key *keys_find(const char *section, const char *name)
{
	if (name[0] == '\0')
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].info.key, name) == 0 &&
		    keys_section_is(keys[i].info.section, section))
			return &keys[i];
	return NULL;
}

const char *keys_arch_text(unsigned int arch, char *buf, size_t size)
{
	static const char *const names[] = {"x86_64", "arm64", "ppc64le"};
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names) && used < size; i++)
		if (arch & 1u << i)
			used += (size_t)snprintf(buf + used, size - used,
						 "%s%s", used ? " and " : "",
						 names[i]);
	return buf;
}
