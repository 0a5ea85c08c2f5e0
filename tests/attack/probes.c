/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probes.c - ways out of the jail, one function each.
 *
 * Each tries to reach something: a file, a process, a network, code of its
 * own.  0 says that it got there; anything else is the errno that stopped it.
 * No libc but syscall(): a filter may kill at any call, and a vCPU thread has
 * little else.  What a probe makes on its way it need not clean up: its
 * process ends with it.
 */
#include "attack/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_alg.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define UNUSED	    __attribute__((unused))
#define PROBE(name) static int name(const struct target *t UNUSED)

/* errno of a raw call, 0 when it worked. */
#define TRY(...) (syscall(__VA_ARGS__) < 0 ? errno : 0)

static const char *in_dir(const struct target *t, const char *name)
{
	static char path[2 * PROBE_TEXT];

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	return path;
}

static int try_open(const char *path, int flags)
{
	return TRY(SYS_openat, AT_FDCWD, path, flags, 0666);
}

/* --- files -------------------------------------------------------------------
 */

#define OPENS(name, path, flags)                                               \
	PROBE(name)                                                            \
	{                                                                      \
		return try_open(path, flags);                                  \
	}

OPENS(open_passwd, "/etc/passwd", O_RDONLY)
OPENS(open_dotdot, "../../../../../../etc/passwd", O_RDONLY)
OPENS(open_proc_environ, "/proc/self/environ", O_RDONLY)
OPENS(open_proc_root, "/proc/1/root/etc/passwd", O_RDONLY)
OPENS(open_proc_cwd, "/proc/self/cwd", O_RDONLY)
OPENS(open_proc_exe, "/proc/self/exe", O_RDONLY)
OPENS(open_proc_fd, "/proc/self/fd/0", O_RDWR)
OPENS(open_proc_mem, "/proc/self/mem", O_RDWR)
OPENS(open_sysrq, "/proc/sysrq-trigger", O_WRONLY)
OPENS(open_core_pattern, "/proc/sys/kernel/core_pattern", O_WRONLY)
OPENS(open_sys, "/sys/kernel", O_RDONLY | O_DIRECTORY)
OPENS(open_cgroup, "/sys/fs/cgroup", O_RDONLY | O_DIRECTORY)
OPENS(open_dev_kvm, "/dev/kvm", O_RDWR)
OPENS(open_dev_mem, "/dev/mem", O_RDONLY)
OPENS(open_dev_fd, "/dev/fd/0", O_RDONLY)
OPENS(list_root, "/", O_RDONLY | O_DIRECTORY)
OPENS(tmpfile_in_root, "/", O_TMPFILE | O_WRONLY)

PROBE(open_secret)
{
	return try_open(in_dir(t, "secret"), O_RDONLY);
}

PROBE(create_file)
{
	return try_open(in_dir(t, "made"), O_WRONLY | O_CREAT);
}

PROBE(open_how)
{
	const struct {
		uint64_t flags, mode, resolve;
	} how = {O_PATH, 0, 0};

	return TRY(SYS_openat2, AT_FDCWD, t->dir, &how, sizeof(how));
}

PROBE(stat_secret)
{
	struct stat st;

	return TRY(SYS_newfstatat, AT_FDCWD, in_dir(t, "secret"), &st, 0);
}

PROBE(access_dir)
{
	return TRY(SYS_faccessat, AT_FDCWD, t->dir, W_OK);
}

PROBE(make_directory)
{
	return TRY(SYS_mkdirat, AT_FDCWD, in_dir(t, "made-dir"), 0777);
}

PROBE(make_device)
{
	return TRY(SYS_mknodat, AT_FDCWD, in_dir(t, "made-dev"), S_IFCHR | 0666,
		   0x103);
}

/* Where nothing else is: the root of the jail. */
PROBE(make_device_here)
{
	return TRY(SYS_mknodat, AT_FDCWD, "/mote-probe-dev", S_IFCHR | 0666,
		   0xae8);
}

PROBE(make_file_here)
{
	return try_open("/mote-probe-file", O_WRONLY | O_CREAT);
}

PROBE(remove_file)
{
	return TRY(SYS_unlinkat, AT_FDCWD, in_dir(t, "removable"), 0);
}

PROBE(rename_file)
{
	char to[2 * PROBE_TEXT];

	snprintf(to, sizeof(to), "%s/renamed", t->dir);
	return TRY(SYS_renameat2, AT_FDCWD, in_dir(t, "removable"), AT_FDCWD,
		   to, 0);
}

PROBE(symlink_file)
{
	return TRY(SYS_symlinkat, "/etc/passwd", AT_FDCWD,
		   in_dir(t, "made-ln"));
}

PROBE(hard_link)
{
	char to[2 * PROBE_TEXT];

	snprintf(to, sizeof(to), "%s/hard", t->dir);
	return TRY(SYS_linkat, AT_FDCWD, in_dir(t, "removable"), AT_FDCWD, to,
		   0);
}

PROBE(change_mode)
{
	return TRY(SYS_fchmodat, AT_FDCWD, in_dir(t, "removable"), 0777);
}

PROBE(change_owner)
{
	return TRY(SYS_fchownat, AT_FDCWD, in_dir(t, "removable"), 0, 0, 0);
}

PROBE(cut_file)
{
	return TRY(SYS_truncate, in_dir(t, "removable"), 0L);
}

PROBE(by_handle)
{
	struct {
		unsigned int bytes;
		int type;
		uint32_t f[32];
	} handle = {.bytes = sizeof(handle.f)};
	int mount = -1;
	int ret = TRY(SYS_name_to_handle_at, AT_FDCWD, t->dir, &handle, &mount,
		      0);

	return ret ? ret
		   : TRY(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY);
}

/* A directory among what was inherited leads out. */
PROBE(leaked_directory)
{
	int ret = EBADF;

	for (int fd = 0; fd < 4096; fd++) {
		ret = TRY(SYS_openat, fd, "..", O_PATH);
		if (ret == 0)
			return 0;
	}
	return ret;
}

PROBE(leaked_file)
{
	/* probe.sh leaves one open, 9, that is for the launcher's caller. */
	return TRY(SYS_pread64, 9, (char[1]){0}, 1, 0L);
}

PROBE(change_directory)
{
	return TRY(SYS_chdir, t->dir);
}

PROBE(watch_files)
{
	int fd = (int)syscall(SYS_inotify_init1, 0);

	return fd < 0 ? errno : TRY(SYS_inotify_add_watch, fd, t->dir, 0xfff);
}

PROBE(fanotify)
{
	return TRY(SYS_fanotify_init, 0, O_RDONLY);
}

static int try_clone(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags, 0L, 0L, 0L, 0L);

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	return pid < 0 ? errno : 0;
}

/* --- mounts, namespaces -----------------------------------------------------
 */

PROBE(mount_tmpfs)
{
	return TRY(SYS_mount, "none", "/", "tmpfs", 0L, NULL);
}

PROBE(mount_proc)
{
	return TRY(SYS_mount, "none", "/", "proc", 0L, NULL);
}

PROBE(remount_writable)
{
	return TRY(SYS_mount, NULL, "/", NULL, MS_REMOUNT, NULL);
}

PROBE(unmount_root)
{
	return TRY(SYS_umount2, "/", MNT_DETACH);
}

PROBE(pivot)
{
	return TRY(SYS_pivot_root, ".", ".");
}

PROBE(change_root)
{
	return TRY(SYS_chroot, ".");
}

PROBE(open_mount_tree)
{
	return TRY(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */);
}

PROBE(open_file_system)
{
	return TRY(SYS_fsopen, "tmpfs", 0);
}

PROBE(set_mount_attributes)
{
	const uint64_t attr[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};

	return TRY(SYS_mount_setattr, AT_FDCWD, "/", 0, attr, sizeof(attr));
}

PROBE(new_user_namespace)
{
	/* Of a process with threads it is EINVAL; a child has one thread. */
	return try_clone(CLONE_NEWUSER | SIGCHLD);
}

PROBE(new_mount_namespace)
{
	return TRY(SYS_unshare, CLONE_NEWNS);
}

PROBE(new_network_namespace)
{
	return TRY(SYS_unshare, CLONE_NEWNET);
}

PROBE(new_pid_namespace)
{
	return TRY(SYS_unshare, CLONE_NEWPID);
}

PROBE(new_time_namespace)
{
	return TRY(SYS_unshare, CLONE_NEWTIME);
}

static int enter(pid_t pid, int what)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? errno : TRY(SYS_setns, fd, what);
}

PROBE(enter_launcher)
{
	return enter(t->launcher, CLONE_NEWNET | CLONE_NEWPID);
}

PROBE(enter_first)
{
	return enter(1, CLONE_NEWNS);
}

/* --- other processes ---------------------------------------------------------
 */

PROBE(trace_victim)
{
	return TRY(SYS_ptrace, PTRACE_SEIZE, (long)t->victim, 0L, 0L);
}

PROBE(trace_launcher)
{
	return TRY(SYS_ptrace, PTRACE_SEIZE, (long)t->launcher, 0L, 0L);
}

static int read_memory(pid_t pid)
{
	char buf[8];
	uint64_t local[2] = {(uint64_t)(uintptr_t)buf, sizeof(buf)};
	uint64_t remote[2] = {(uint64_t)(uintptr_t)&errno, sizeof(buf)};

	/* That it may is the answer, whether there is memory or not. */
	return syscall(SYS_process_vm_readv, pid, local, 1L, remote, 1L, 0L) <
				       0 &&
			       errno != EFAULT
		       ? errno
		       : 0;
}

PROBE(read_victim)
{
	return read_memory(t->victim);
}

PROBE(read_launcher)
{
	return read_memory(t->launcher);
}

PROBE(signal_victim)
{
	return TRY(SYS_kill, t->victim, 0);
}

PROBE(signal_launcher)
{
	return TRY(SYS_kill, t->launcher, SIGCONT);
}

PROBE(signal_all)
{
	return TRY(SYS_kill, -1, 0);
}

PROBE(signal_thread)
{
	return TRY(SYS_tgkill, t->victim, t->victim, 0);
}

PROBE(queue_signal)
{
	siginfo_t info = {.si_code = SI_QUEUE};

	return TRY(SYS_rt_sigqueueinfo, t->victim, SIGCONT, &info);
}

PROBE(hold_victim)
{
	return TRY(SYS_pidfd_open, t->victim, 0);
}

PROBE(steal_descriptor)
{
	int fd = (int)syscall(SYS_pidfd_open, t->victim, 0);

	return fd < 0 ? errno : TRY(SYS_pidfd_getfd, fd, 0, 0);
}

PROBE(limit_victim)
{
	const struct rlimit none = {0, 0};

	return TRY(SYS_prlimit64, t->victim, RLIMIT_CPU, &none, NULL);
}

PROBE(slow_victim)
{
	return TRY(SYS_setpriority, PRIO_PROCESS, t->victim, 19);
}

PROBE(pin_victim)
{
	unsigned long set = 1;

	return TRY(SYS_sched_setaffinity, t->victim, sizeof(set), &set);
}

PROBE(move_victim)
{
	return TRY(SYS_move_pages, t->victim, 0L, NULL, NULL, NULL, 0);
}

PROBE(compare_victim)
{
	return TRY(SYS_kcmp, t->victim, t->launcher, 2 /* KCMP_FILES */, 0L,
		   0L);
}

PROBE(read_clock_of_victim)
{
	struct timespec ts;

	return TRY(SYS_clock_gettime, ~(t->victim << 3) << 0 | 2, &ts);
}

/* --- more rights -------------------------------------------------------------
 */

PROBE(become_root)
{
	return TRY(SYS_setresuid, 0, 0, 0) ?: geteuid() ? EPERM : 0;
}

PROBE(join_group)
{
	const gid_t group = 0;

	return TRY(SYS_setgroups, 1L, &group);
}

PROBE(take_capabilities)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct all[2];

	memset(all, 0xff, sizeof(all));
	return TRY(SYS_capset, &h, all);
}

PROBE(raise_files)
{
	const struct rlimit more = {1 << 20, 1 << 20};

	return TRY(SYS_prlimit64, 0, RLIMIT_NOFILE, &more, NULL);
}

PROBE(lock_memory)
{
	return TRY(SYS_mlockall, MCL_CURRENT | MCL_FUTURE);
}

PROBE(realtime)
{
	const struct sched_param p = {.sched_priority = 1};

	return TRY(SYS_sched_setscheduler, 0, SCHED_FIFO, &p);
}

PROBE(raise_priority)
{
	return TRY(SYS_setpriority, PRIO_PROCESS, 0, -20);
}

PROBE(io_priority)
{
	return TRY(SYS_ioprio_set, 1, 0, 1 << 13 /* real time */);
}

/* --- the machine
 * ---------------------------------------------------------------
 */

PROBE(set_host_name)
{
	return TRY(SYS_sethostname, "taken", 5);
}

PROBE(set_clock)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts);
	return TRY(SYS_clock_settime, CLOCK_REALTIME, &ts);
}

PROBE(turn_clock)
{
	struct timex tx = {.modes = ADJ_TICK, .tick = 10000};

	return TRY(SYS_adjtimex, &tx);
}

PROBE(restart_machine)
{
	/* Ctrl-Alt-Del off: harmless, and takes the same right. */
	return TRY(SYS_reboot, 0xfee1dead, 672274793, 0, NULL);
}

PROBE(load_kernel)
{
	return TRY(SYS_kexec_load, 0L, 0L, NULL, 0L);
}

PROBE(load_module)
{
	return TRY(SYS_init_module, "", 0L, "");
}

PROBE(unload_module)
{
	return TRY(SYS_delete_module, "mote_no_such_module", O_NONBLOCK);
}

PROBE(swap_on)
{
	return TRY(SYS_swapoff, "/");
}

PROBE(account)
{
	return TRY(SYS_acct, NULL);
}

PROBE(read_kernel_log)
{
	char buf[16];

	return TRY(SYS_syslog, 3, buf, sizeof(buf));
}

PROBE(quota)
{
	return TRY(SYS_quotactl, 0x800002 << 8 /* Q_QUOTAON */, "/", 0, "/");
}

PROBE(bpf_map)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY,
			    .key_size = 4,
			    .value_size = 4,
			    .max_entries = 1};

	return TRY(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

PROBE(bpf_program)
{
	static const uint64_t insn[] = {0xb7, 0x95};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			    .insn_cnt = 2,
			    .insns = (uint64_t)(uintptr_t)insn,
			    .license = (uint64_t)(uintptr_t) "GPL"};

	return TRY(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
}

static int perf(pid_t pid, int cpu)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
				    .size = sizeof(a),
				    .config = PERF_COUNT_SW_CPU_CLOCK};

	return TRY(SYS_perf_event_open, &a, pid, cpu, -1, 0L);
}

PROBE(measure_machine)
{
	return perf(-1, 0);
}

PROBE(measure_self)
{
	return perf(0, -1);
}

PROBE(keyring)
{
	return TRY(SYS_add_key, "user", "mote", "x", 1L,
		   KEY_SPEC_PROCESS_KEYRING);
}

PROBE(io_uring)
{
	struct io_uring_params p = {0};

	return TRY(SYS_io_uring_setup, 4, &p);
}

PROBE(handle_kernel_faults)
{
	return TRY(SYS_userfaultfd, 0);
}

PROBE(handle_own_faults)
{
	return TRY(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */);
}

/* --- networks, messages
 * ----------------------------------------------------------
 */

static int connect_to(int family, int type, const void *addr, size_t len)
{
	int fd = (int)syscall(SYS_socket, family, type, 0);

	return fd < 0 ? errno : TRY(SYS_connect, fd, addr, len);
}

PROBE(connect_tcp)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)t->port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};

	return connect_to(AF_INET, SOCK_STREAM, &a, sizeof(a));
}

static int connect_unix(const char *name, bool abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memcpy(a.sun_path + abstract, name, strlen(name));
	return connect_to(AF_UNIX, SOCK_STREAM, &a,
			  offsetof(struct sockaddr_un, sun_path) + abstract +
				  strlen(name));
}

PROBE(connect_abstract)
{
	return connect_unix(t->abstract, true);
}

PROBE(connect_socket_file)
{
	return connect_unix(in_dir(t, "socket"), false);
}

PROBE(see_interface)
{
	struct ifreq r = {0};
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);

	memcpy(r.ifr_name, t->link, sizeof(t->link));
	return fd < 0 ? errno : TRY(SYS_ioctl, fd, SIOCGIFFLAGS, &r);
}

PROBE(raw_packets)
{
	return TRY(SYS_socket, AF_PACKET, SOCK_RAW, 0);
}

PROBE(raw_ip)
{
	return TRY(SYS_socket, AF_INET, SOCK_RAW, 1);
}

PROBE(kernel_crypto)
{
	const struct sockaddr_alg a = {.salg_family = AF_ALG,
				       .salg_type = "hash",
				       .salg_name = "sha256"};
	int fd = (int)syscall(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0);

	return fd < 0 ? errno : TRY(SYS_bind, fd, &a, sizeof(a));
}

PROBE(vsock)
{
	const struct sockaddr_vm a = {.svm_family = AF_VSOCK,
				      .svm_port = VMADDR_PORT_ANY,
				      .svm_cid = VMADDR_CID_ANY};
	int fd = (int)syscall(SYS_socket, AF_VSOCK, SOCK_STREAM, 0);

	return fd < 0 ? errno : TRY(SYS_bind, fd, &a, sizeof(a));
}

PROBE(shared_memory)
{
	return TRY(SYS_shmget, t->shm_key, 0L, 0);
}

PROBE(message_queue)
{
	return TRY(SYS_mq_open, "mote", O_RDWR | O_CREAT, 0600, NULL);
}

/* --- code of its own
 * --------------------------------------------------------------
 */

PROBE(execute_shell)
{
	char *const argv[] = {"sh", NULL};

	return TRY(SYS_execve, "/bin/sh", argv, argv + 1);
}

PROBE(execute_itself)
{
	char *const argv[] = {"mote", NULL};

	return TRY(SYS_execve, "/proc/self/exe", argv, argv + 1);
}

/* "#!" of nothing: that the kernel looks at it is the answer. */
PROBE(execute_memory)
{
	char *const argv[] = {"x", NULL};
	int fd = (int)syscall(SYS_memfd_create, "x", 0), ret;

	if (fd < 0)
		return errno;
	syscall(SYS_write, fd, "#!/none\n", 8L);
	ret = TRY(SYS_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH);
	return ret == ENOENT || ret == ENOEXEC || ret == ETXTBSY ? 0 : ret;
}

PROBE(map_file_as_code)
{
	int fd = (int)syscall(SYS_memfd_create, "x", 0);

	if (fd < 0)
		return errno;
	syscall(SYS_ftruncate, fd, 4096L);
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) ==
			       MAP_FAILED
		       ? errno
		       : 0;
}

PROBE(writable_code)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? errno
		       : 0;
}

PROBE(data_to_code)
{
	static char page[8192] __attribute__((aligned(4096)));

	page[0] = 1;
	return TRY(SYS_mprotect, page, 4096L, PROT_READ | PROT_EXEC);
}

PROBE(another_process)
{
	return try_clone(SIGCHLD);
}

/* A descriptor of one's own in the place of one that was handed over. */
PROBE(instead_of_another)
{
	syscall(SYS_close, 0);
	return TRY(SYS_memfd_create, "x", 0);
}

/* A core file of its memory. */
PROBE(dump_core)
{
	const struct rlimit more = {1 << 20, 1 << 20};
	int ret = TRY(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);

	return ret ? ret : TRY(SYS_prlimit64, 0, RLIMIT_CORE, &more, NULL);
}

/* clang-format off */
#define P(f)	  {#f, f, NULL, false}
#define P_ROOM(f) {#f, f, NULL, true}
/* clang-format on */

const struct probe probes[] = {
	P(open_passwd),
	P(open_dotdot),
	P(open_proc_environ),
	P(open_proc_root),
	P(open_proc_cwd),
	P(open_proc_exe),
	P(open_proc_fd),
	P(open_proc_mem),
	P(open_sysrq),
	P(open_core_pattern),
	P(open_sys),
	P(open_cgroup),
	P(open_dev_kvm),
	P(open_dev_mem),
	P(open_dev_fd),
	P(list_root),
	P(tmpfile_in_root),
	P(open_secret),
	P(create_file),
	P(open_how),
	P(stat_secret),
	P(access_dir),
	P(make_directory),
	P(make_device),
	P(make_device_here),
	P(make_file_here),
	P(remove_file),
	P(rename_file),
	P(symlink_file),
	P(hard_link),
	P(change_mode),
	P(change_owner),
	P(cut_file),
	P(by_handle),
	P(leaked_directory),
	{"leaked_file", leaked_file,
	 "the VM thread may read what is open; that nothing else is, is the "
	 "one defence",
	 false},
	P(change_directory),
	P(watch_files),
	P(fanotify),
	P(mount_tmpfs),
	P(mount_proc),
	P(remount_writable),
	P(unmount_root),
	P(pivot),
	P(change_root),
	P(open_mount_tree),
	P(open_file_system),
	P(set_mount_attributes),
	P(new_user_namespace),
	P(new_mount_namespace),
	P(new_network_namespace),
	P(new_pid_namespace),
	P(new_time_namespace),
	P(enter_launcher),
	P(enter_first),
	P(trace_victim),
	P(trace_launcher),
	P(read_victim),
	P(read_launcher),
	P(signal_victim),
	P(signal_launcher),
	P(signal_all),
	P(signal_thread),
	P(queue_signal),
	P(hold_victim),
	P(steal_descriptor),
	P(limit_victim),
	P(slow_victim),
	P(pin_victim),
	P(move_victim),
	P(compare_victim),
	P(read_clock_of_victim),
	P(become_root),
	P(join_group),
	P(take_capabilities),
	P(raise_files),
	P(lock_memory),
	P(realtime),
	P(raise_priority),
	P(io_priority),
	P(set_host_name),
	P(set_clock),
	P(turn_clock),
	P(restart_machine),
	P(load_kernel),
	P(load_module),
	P(unload_module),
	P(swap_on),
	P(account),
	P(read_kernel_log),
	P(quota),
	P(bpf_map),
	P(bpf_program),
	P(measure_machine),
	P(measure_self),
	{"keyring", keyring,
	 "the kernel has no second switch; the keys are those of the jail's "
	 "user, who has none",
	 false},
	P_ROOM(io_uring),
	P(handle_kernel_faults),
	P_ROOM(handle_own_faults),
	P(connect_tcp),
	P(connect_abstract),
	P(connect_socket_file),
	P(see_interface),
	P(raw_packets),
	P(raw_ip),
	P_ROOM(kernel_crypto),
	P_ROOM(vsock),
	P(shared_memory),
	P(message_queue),
	P(execute_shell),
	P(execute_itself),
	P_ROOM(execute_memory),
	P_ROOM(map_file_as_code),
	P(writable_code),
	P(data_to_code),
	{"another_process", another_process,
	 "a limit would stop KVM's own thread too; it is in the same jail and "
	 "ends with it",
	 false},
	{"instead_of_another", instead_of_another,
	 "with no room for descriptors one must be closed first, which the VM "
	 "thread has to be allowed",
	 false},
	P(dump_core),
};
const size_t probe_count = sizeof(probes) / sizeof(probes[0]);
