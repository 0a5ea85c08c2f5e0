/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_jail.c - a child enters the jail and tells what it can still do.
 *
 * As root in a mount namespace, as an ordinary user in a user namespace, and
 * without namespaces.  What the kernel lacks (6.1: MDWE, some have no
 * Landlock) must be in the report; what it has must hold.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/compat.h"
#include "sandbox/sandbox.h"

#define NOBODY	65534
#define USER	12345 /* without a meaning on this machine */
#define FDS_MAX 64
#define LEAK	40

enum how { AS_ROOT, AS_USER, NO_SPACES };

struct seen {
	int setup; /* errno of what comes before the jail */
	int ret;
	struct jail_report report;
	struct mote_err err;
	bool open[FDS_MAX];
	int passwd, root_dir, set_uid, exec_gain, new_user_ns, socket;
	int mount, chroot, kvm_vm, kvm_vcpu, thread;
	int lock;
	uint32_t uid, gid, cap_bits;
	int bound, nnp, dumpable, pdeathsig, groups;
	bool environ_empty;
	rlim_t core, nofile, nofile_locked;
	mode_t mask;
};

static struct seen *shared(void)
{
	void *p = mmap(NULL, sizeof(struct seen), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	return p;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(98);
	close(fd);
}

/* What the launcher does for an ordinary user; errno or 0. */
static int user_namespace(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	char map[64];

	if (uid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(USER) < 0 ||
		    setuid(USER) < 0)
			return errno;
		uid = gid = USER;
	}
	if (unshare(CLONE_NEWUSER) < 0)
		return errno;
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_text("/proc/self/gid_map", map);
	return 0;
}

static int setup(enum how how)
{
	int ret = 0;

	if (how == AS_USER)
		ret = user_namespace();
	if (ret == 0 && how != NO_SPACES && unshare(CLONE_NEWNS) < 0)
		ret = errno;
	return ret;
}

static int errno_of(long ret)
{
	return ret < 0 ? errno : 0;
}

static void *empty_thread(void *arg)
{
	return arg;
}

static int try_exec_gain(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return errno_of(mprotect(p, page, PROT_READ | PROT_EXEC));
}

static int try_thread(void)
{
	pthread_t t;
	int ret = pthread_create(&t, NULL, empty_thread, NULL);

	if (ret == 0)
		pthread_join(t, NULL);
	return ret;
}

/* EINVAL: a thread that was joined is not quite gone. */
static int try_user_namespace(void)
{
	int ret = EINVAL;

	for (int i = 0; i < 1000 && ret == EINVAL; i++) {
		ret = errno_of(unshare(CLONE_NEWUSER));
		if (ret == EINVAL)
			usleep(1000);
	}
	return ret;
}

/* Everything held in any of the three sets, as one word. */
static uint32_t capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint32_t all = 0;

	if (syscall(SYS_capget, &head, data) < 0)
		return ~0u;
	for (int i = 0; i < 2; i++)
		all |= data[i].effective | data[i].permitted |
		       data[i].inheritable;
	return all;
}

static int bounding_set(void)
{
	int n = 0;

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		n += prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
	return n;
}

static void try_kvm(struct seen *s, int kvm)
{
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	s->kvm_vm = errno_of(vm);
	s->kvm_vcpu = errno_of(vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0));
}

static void look_around(struct seen *s, int kvm)
{
	extern char **environ;
	struct rlimit lim;
	uid_t r, e, u;
	gid_t rg, eg, g;

	for (int i = 0; i < FDS_MAX; i++)
		s->open[i] = fcntl(i, F_GETFD) >= 0;
	s->passwd = errno_of(open("/etc/passwd", O_RDONLY));
	s->root_dir = errno_of(open("/", O_RDONLY | O_DIRECTORY));
	s->set_uid = errno_of(setuid(0));
	s->chroot = errno_of(chroot("/"));
	s->mount = errno_of(mount("none", "/", "tmpfs", 0, NULL));
	s->exec_gain = try_exec_gain();
	s->thread = try_thread();
	try_kvm(s, kvm);
	getresuid(&r, &e, &u);
	getresgid(&rg, &eg, &g);
	s->uid = r == e && e == u ? r : ~0u;
	s->gid = rg == eg && eg == g ? rg : ~0u;
	s->groups = getgroups(0, NULL);
	s->cap_bits = capabilities();
	s->bound = bounding_set();
	s->nnp = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	s->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_GET_PDEATHSIG, &s->pdeathsig, 0, 0, 0);
	s->environ_empty = !environ || !*environ;
	getrlimit(RLIMIT_CORE, &lim);
	s->core = lim.rlim_max;
	getrlimit(RLIMIT_NOFILE, &lim);
	s->nofile = lim.rlim_max;
	s->mask = umask(0);
	s->lock = jail_lock(NULL);
	getrlimit(RLIMIT_NOFILE, &lim);
	s->nofile_locked = lim.rlim_max;
	s->new_user_ns = try_user_namespace();
}

/* --- a child in the jail ----------------------------------------------- */

/* Keeps kvm, 20 and 30, of which 25 is not; LEAK is open and not kept. */
static void child(struct seen *s, enum how how, int ready, int go)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	const int keep[] = {30, -1, kvm, ready, 20, 1, go, 20};
	const struct jail_options opt = {
		.new_root = how != NO_SPACES,
		.uid = NOBODY,
		.gid = NOBODY,
		.keep_fds = keep,
		.keep_count = sizeof(keep) / sizeof(keep[0]),
	};
	char byte;

	dup2(1, 20);
	dup2(1, 25);
	dup2(1, 30);
	dup2(1, LEAK);
	close(0); /* the jail gives us one back */
	s->setup = setup(how);
	if (s->setup != 0)
		_exit(0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	s->ret = jail_enter(&opt, &s->report, &s->err);
	if (s->ret == 0)
		look_around(s, kvm);
	/* Now the parent looks at us. */
	if (write(ready, "x", 1) != 1 || read(go, &byte, 1) != 1)
		_exit(97);
	_exit(0);
}

static int count_mounts(pid_t pid)
{
	char path[64], line[1024];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		n++;
	fclose(f);
	return n;
}

static int enter(struct seen *s, enum how how, int *mounts)
{
	int ready[2], go[2], status = -1;
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	cr_assert_eq(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		close(go[1]);
		child(s, how, ready[1], go[0]);
	}
	close(ready[1]);
	close(go[0]);
	if (read(ready[0], &byte, 1) == 1) {
		*mounts = count_mounts(pid);
		cr_expect_eq(write(go[1], "x", 1), 1);
	}
	close(ready[0]);
	close(go[1]);
	waitpid(pid, &status, 0);
	return status;
}

static void expect_layers(const struct seen *s, unsigned int layers)
{
	unsigned int may_lack = 0;

	if (strstr(s->report.missing, "mdwe"))
		may_lack |= JAIL_MDWE;
	if (strstr(s->report.missing, "landlock"))
		may_lack |= JAIL_LANDLOCK;
	cr_expect_eq(s->report.layers, layers & ~may_lack,
		     "layers 0x%x, missing \"%s\"", s->report.layers,
		     s->report.missing);
}

static void expect_jailed(const struct seen *s)
{
	cr_assert_eq(s->ret, 0, "%s", s->err.msg);
	for (int i = 0; i < 3; i++)
		cr_expect(s->open[i], "%d is not open", i);
	cr_expect(s->open[20] && s->open[30]);
	cr_expect(!s->open[25] && !s->open[LEAK], "a descriptor leaked");
	cr_expect_eq(s->cap_bits, 0);
	cr_expect_eq(s->bound, 0);
	cr_expect_eq(s->nnp, 1);
	cr_expect_eq(s->dumpable, 0);
	cr_expect_eq(s->pdeathsig, SIGKILL);
	cr_expect_neq(s->uid, 0);
	cr_expect_neq(s->uid, ~0u);
	cr_expect_neq(s->set_uid, 0); /* EINVAL where root is not mapped */
	cr_expect_eq(s->chroot, EPERM);
	cr_expect_eq(s->mount, EPERM);
	cr_expect_eq(s->core, 0);
	cr_expect_leq(s->nofile, 30 + 1 + 96);
	cr_expect_eq(s->mask, 077);
	cr_expect(s->environ_empty);
	cr_expect_eq(s->thread, 0, "no thread for a vCPU");
	cr_expect_eq(s->lock, 0);
	cr_expect_lt(s->nofile_locked, s->nofile);
	if (s->report.layers & JAIL_MDWE)
		cr_expect_eq(s->exec_gain, EACCES);
	if (s->report.layers & JAIL_LANDLOCK)
		cr_expect_eq(s->root_dir, EACCES);
	if (access("/dev/kvm", R_OK | W_OK) == 0 && s->kvm_vm != EBADF) {
		cr_expect_eq(s->kvm_vm, 0, "KVM_CREATE_VM: %d", s->kvm_vm);
		cr_expect_eq(s->kvm_vcpu, 0, "KVM_CREATE_VCPU");
	}
}

Test(jail, root_loses_everything)
{
	struct seen *s = shared();
	int mounts = -1;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(enter(s, AS_ROOT, &mounts), 0);
	cr_assert_eq(s->setup, 0);
	expect_jailed(s);
	expect_layers(s, 0xff);
	cr_expect_eq(s->uid, NOBODY);
	cr_expect_eq(s->gid, NOBODY);
	cr_expect_eq(s->groups, 0);
	cr_expect_neq(s->passwd, 0);
	cr_expect_eq(mounts, 0, "below its own root there is none");
	cr_expect_eq(s->new_user_ns, EPERM, "one in the empty root: %d",
		     s->new_user_ns);
	munmap(s, sizeof(*s));
}

Test(jail, a_user_gets_the_same_in_a_user_namespace)
{
	struct seen *s = shared();
	int mounts = -1;

	cr_assert_eq(enter(s, AS_USER, &mounts), 0);
	if (s->setup != 0)
		cr_skip_test("no user namespaces here");
	expect_jailed(s);
	expect_layers(s, 0xff);
	cr_expect_neq(s->passwd, 0);
	cr_expect_eq(s->new_user_ns, ENOSPC, "a user namespace in ours: %d",
		     s->new_user_ns);
	if (geteuid() == 0)
		cr_expect_eq(mounts, 0);
	munmap(s, sizeof(*s));
}

Test(jail, without_namespaces_the_rest_holds)
{
	struct seen *s = shared();
	int mounts = -1;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(enter(s, NO_SPACES, &mounts), 0);
	expect_jailed(s);
	expect_layers(s, 0xff & ~JAIL_ROOT);
	if (s->report.layers & JAIL_LANDLOCK)
		cr_expect_eq(s->passwd, EACCES);
	cr_expect_gt(mounts, 1);
	munmap(s, sizeof(*s));
}

/* --- what can't be had ------------------------------------------------- */

/* Make this kernel an old one: no Landlock, no MDWE. */
static void age_kernel(void)
{
	struct sock_filter insn[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0,
		 offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 4, 0, SYS_landlock_create_ruleset},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 2, SYS_prctl},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0,
		 offsetof(struct seccomp_data, args[0])},
		{BPF_JMP | BPF_JEQ | BPF_K, 2, 0, PR_SET_MDWE},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EINVAL},
	};
	const struct sock_fprog prog = {.len = sizeof(insn) / sizeof(insn[0]),
					.filter = insn};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(96);
}

static void enter_on_old_kernel(struct seen *s, bool require)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		const struct jail_options opt = {
			.require = require, .uid = NOBODY, .gid = NOBODY};

		age_kernel();
		s->ret = jail_enter(&opt, &s->report, &s->err);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	cr_assert_eq(status, 0);
}

Test(jail, what_the_kernel_lacks_is_said)
{
	struct seen *s = shared();

	enter_on_old_kernel(s, false);
	cr_expect_eq(s->ret, 0, "%s", s->err.msg);
	cr_expect_str_eq(s->report.missing, "mdwe: not in this kernel; "
					    "landlock: not in this kernel");
	cr_expect_eq(s->report.layers & (JAIL_MDWE | JAIL_LANDLOCK), 0);
	munmap(s, sizeof(*s));
}

Test(jail, what_the_kernel_lacks_is_fatal_when_required)
{
	struct seen *s = shared();

	enter_on_old_kernel(s, true);
	cr_expect_eq(s->ret, -EOPNOTSUPP);
	cr_expect(strstr(s->err.msg, "landlock: not in this kernel") != NULL,
		  "%s", s->err.msg);
	cr_expect_eq(s->err.exit_class, ERR_CLASS_UNAVAILABLE);
	munmap(s, sizeof(*s));
}

static void *wait_thread(void *arg)
{
	pause();
	return arg;
}

Test(jail, a_process_with_threads_is_refused)
{
	struct seen *s = shared();
	pid_t pid = fork();

	if (pid == 0) {
		const struct jail_options opt = {.uid = NOBODY, .gid = NOBODY};
		pthread_t t;

		if (pthread_create(&t, NULL, wait_thread, NULL) != 0)
			_exit(1);
		s->ret = jail_enter(&opt, &s->report, &s->err);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	cr_expect_eq(s->ret, -EINVAL);
	cr_expect_str_eq(s->err.msg,
			 "jail: the process has more than one thread");
	munmap(s, sizeof(*s));
}

Test(jail, a_new_root_without_the_right_to_it_is_an_error)
{
	struct seen *s = shared();
	pid_t pid = fork();

	if (pid == 0) {
		const struct jail_options opt = {.new_root = true};

		if (geteuid() == 0 && (setgid(USER) < 0 || setuid(USER) < 0))
			_exit(1);
		s->ret = jail_enter(&opt, &s->report, &s->err);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	cr_expect_eq(s->ret, -EPERM);
	cr_expect(strstr(s->err.msg, "jail: root: private mounts:") != NULL,
		  "%s", s->err.msg);
	cr_expect_eq(s->report.layers & JAIL_ROOT, 0);
	munmap(s, sizeof(*s));
}
