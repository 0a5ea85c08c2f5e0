/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor_jail.c - the yardstick of the jail: its steps as plain system calls,
 * without reading anything back, without words for what goes wrong.
 *
 *   floor-jail          the jail alone
 *   floor-jail vm       then, in the jail, what the floor program does
 *
 * The steps are those of launch/launcher.c and vmm/sandbox/: pid
 * namespace, fork, the other namespaces, stray descriptors, an empty root,
 * limits, capabilities, ids, no-new-privs, MDWE, Landlock, and a filter of
 * system calls.  The parent waits and passes the result on.
 */
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "floor_vm.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#define NOBODY 65534

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(2);
	close(fd);
}

/* An ordinary user gets the other namespaces through a user namespace. */
static int user_namespace(void)
{
	unsigned int uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWUSER) < 0)
		return -1;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_file("/proc/self/gid_map", map);
	return 0;
}

static int empty_root(void)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	       mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		     "size=64k,nr_inodes=2,mode=555") < 0 ||
	       chdir("/proc") < 0 || mkdir("empty", 0555) < 0 ||
	       mount(NULL, ".", NULL,
		     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV |
			     MS_NOEXEC,
		     NULL) < 0 ||
	       syscall(SYS_pivot_root, ".", ".") < 0 ||
	       umount2(".", MNT_DETACH) < 0 || chroot("/empty") < 0 ||
	       chdir("/") < 0;
}

static int limits(void)
{
	const struct rlimit none = {0, 0}, fds = {104, 104};

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return setrlimit(RLIMIT_CORE, &none) < 0 ||
	       setrlimit(RLIMIT_NOFILE, &fds) < 0 ||
	       setrlimit(RLIMIT_MEMLOCK, &none) < 0 ||
	       setrlimit(RLIMIT_MSGQUEUE, &none) < 0;
}

static int privileges(int root)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	if (prctl(PR_SET_SECUREBITS,
		  SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
			  SECBIT_NO_SETUID_FIXUP |
			  SECBIT_NO_SETUID_FIXUP_LOCKED |
			  SECBIT_KEEP_CAPS_LOCKED |
			  SECBIT_NO_CAP_AMBIENT_RAISE |
			  SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
		  0, 0, 0) < 0)
		return 1;
	if (root &&
	    (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	     setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return 1;
	return syscall(SYS_capset, &head, none) < 0 ||
	       prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	       prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0;
}

/* Every right that the kernel's version 1 knows; newer ones cost the same. */
static int landlock(void)
{
	struct landlock_ruleset_attr all = {.handled_access_fs = (1 << 13) - 1};
	long fd;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0)
		return 0; /* not in this kernel: mote does without as well */
	fd = syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return 1;
	close((int)fd);
	return 0;
}

static int switches(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	prctl(PR_SET_MDWE, 1, 0, 0, 0); /* Linux 6.3 */
	return landlock();
}

/* What is left to do, as a list: the process ends by any other call. */
static int filter(void)
{
	static const int allowed[] = {
		SYS_ioctl,
		SYS_write,
		SYS_read,
		SYS_poll,
		SYS_close,
		SYS_munmap,
		SYS_rt_sigtimedwait,
		SYS_futex,
		SYS_exit,
		SYS_madvise,
		SYS_exit_group,
		SYS_rt_sigprocmask,
	};
	enum { N = sizeof(allowed) / sizeof(allowed[0]) };
	struct sock_filter code[N + 6];
	struct sock_fprog prog = {.len = N + 6, .filter = code};

	code[0] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
					       AUDIT_ARCH_X86_64, 1, 0);
	code[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
					       SECCOMP_RET_KILL_PROCESS);
	code[3] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < N; i++)
		code[4 + i] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)allowed[i],
			(uint8_t)(N - i), 0);
	code[4 + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						   SECCOMP_RET_KILL_PROCESS);
	code[5 + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						   SECCOMP_RET_ALLOW);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0;
}

/* Placeholders up to a limit that is as low as can be. */
static int no_room(void)
{
	const struct rlimit fds = {24, 24};

	if (setrlimit(RLIMIT_NOFILE, &fds) < 0)
		return 1;
	while (fcntl(2, F_DUPFD_CLOEXEC, 3) >= 0)
		;
	return 0;
}

/* The descriptors that stay are 0 to 2, sock and, for the VM, kvm. */
static int child(int sock, int kvm, int root)
{
	struct floor_vm f = {.kvm = kvm};
	int low = kvm >= 0 && kvm < sock ? kvm : sock;
	int high = kvm > sock ? kvm : sock;
	char bad;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		    CLONE_NEWCGROUP | CLONE_NEWNET) < 0)
		return 3;
	if (low > 3)
		syscall(SYS_close_range, 3, low - 1, 0);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0u, 0);
	if (empty_root() || limits())
		return 4;
	if (privileges(root) || switches())
		return 5;
	bad = kvm >= 0 && floor_vm_make(&f, floor_code, sizeof(floor_code));
	if (no_room() || filter())
		return 6;
	bad = bad || (kvm >= 0 && floor_vm_run(&f));
	/* The result goes out first, as mote's does. */
	if (write(sock, &bad, 1) != 1)
		return 7;
	if (kvm >= 0)
		floor_vm_close(&f);
	return bad;
}

int main(int argc, char **argv)
{
	int vm = argc > 1 && !strcmp(argv[1], "vm");
	int root = geteuid() == 0;
	int kvm = vm ? open("/dev/kvm", O_RDWR | O_CLOEXEC) : -1;
	int pair[2], status;
	char bad = 1;
	pid_t pid;

	if ((vm && kvm < 0) || (!root && user_namespace() < 0) ||
	    unshare(CLONE_NEWPID) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		_exit(8);
	pid = fork();
	if (pid == 0)
		_exit(child(pair[1], kvm, root));
	close(pair[1]);
	if (vm)
		close(kvm);
	if (pid < 0 || read(pair[0], &bad, 1) != 1)
		bad = 1;
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		_exit(9);
	_exit(WEXITSTATUS(status) ? WEXITSTATUS(status) : bad);
}
