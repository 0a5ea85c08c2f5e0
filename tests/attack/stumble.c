/* SPDX-License-Identifier: Apache-2.0 */
#include "attack/stumble.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPTIONS                                                                \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |    \
	 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)
#define STACK_WORDS 2048
#define TASKS	    256
#define EVENTFD	    1 /* which, of a read or a write */

/* --- system calls ----------------------------------------------------------
 */

#define NEVER	    0x1 /* can't fail, or does not return */
#define WAITS	    0x2 /* a signal can end it with EINTR */
#define CLOSES	    0x4 /* what it does is done although it fails */
#define WHICH_0	    0x8 /* the first argument says which call it is */
#define WHICH_1	    0x10
#define ERRORS(...) ((const int[]){__VA_ARGS__, 0})

static const struct call {
	long nr;
	const char *name;
	unsigned int flags;
	const int *error;
} calls[] = {
#define C(name, flags, ...)                                                    \
	{                                                                      \
		SYS_##name, #name, flags, ERRORS(__VA_ARGS__)                  \
	}
#define N(name)                                                                \
	{                                                                      \
		SYS_##name, #name, NEVER, NULL                                 \
	}
	C(openat, 0, EMFILE, EACCES, EIO),
	C(open, 0, EMFILE, EACCES, EIO),
	C(openat2, 0, EMFILE, EACCES, EAGAIN),
	C(close, CLOSES, EIO, EINTR),
	C(close_range, 0, EMFILE, ENOMEM),
	C(read, WAITS, EIO, ENOMEM, EINTR),
	C(pread64, WAITS, EIO, ENOMEM, EINTR),
	C(readv, WAITS, EIO, ENOMEM),
	C(preadv, WAITS, EIO, ENOMEM),
	C(write, WAITS, EIO, ENOSPC, EINTR),
	C(pwrite64, WAITS, EIO, ENOSPC, EINTR),
	C(writev, WAITS, EIO, ENOSPC, EINTR),
	C(pwritev, WAITS, EIO, ENOSPC),
	C(copy_file_range, 0, EIO, ENOSPC, EXDEV),
	C(sendfile, 0, EIO, ENOMEM),
	C(lseek, 0, EINVAL, EIO),
	C(fsync, 0, EIO, ENOSPC),
	C(fdatasync, 0, EIO, ENOSPC),
	C(ftruncate, 0, EIO, ENOSPC),
	C(fallocate, 0, EOPNOTSUPP, ENOSPC),
	C(fstat, 0, EIO, ENOMEM),
	C(stat, 0, EACCES, EIO),
	C(lstat, 0, EACCES, EIO),
	C(newfstatat, 0, EACCES, ENOMEM),
	C(statx, 0, EACCES, ENOMEM),
	C(access, 0, EACCES, EIO),
	C(faccessat, 0, EACCES, EIO),
	C(faccessat2, 0, EACCES, EIO),
	C(statfs, 0, EACCES, EIO),
	C(fstatfs, 0, EIO, ENOMEM),
	C(readlink, 0, EACCES, EIO),
	C(readlinkat, 0, EACCES, EIO),
	C(getdents64, 0, EIO, ENOENT),
	C(mkdir, 0, EACCES, ENOSPC),
	C(mkdirat, 0, EACCES, ENOSPC),
	C(unlink, 0, EACCES, EIO),
	C(unlinkat, 0, EACCES, EIO),
	C(rmdir, 0, EACCES, EIO),
	C(rename, 0, EACCES, ENOSPC),
	C(renameat, 0, EACCES, ENOSPC),
	C(renameat2, 0, EACCES, ENOSPC),
	C(link, 0, EACCES, ENOSPC),
	C(linkat, 0, EACCES, ENOSPC),
	C(symlink, 0, EACCES, ENOSPC),
	C(symlinkat, 0, EACCES, ENOSPC),
	C(chmod, 0, EPERM, EROFS),
	C(fchmod, 0, EPERM, EROFS),
	C(fchmodat, 0, EPERM, EROFS),
	C(chown, 0, EPERM, EROFS),
	C(fchown, 0, EPERM, EROFS),
	C(fchownat, 0, EPERM, EROFS),
	C(flock, 0, ENOLCK, EWOULDBLOCK),
	C(fcntl, WHICH_1, EMFILE, EINVAL),
	C(ioctl, WHICH_1, ENOMEM, EIO, EINTR),
	C(mmap, 0, ENOMEM, EAGAIN, EPERM),
	C(munmap, 0, ENOMEM, EINVAL),
	C(mremap, 0, ENOMEM, EAGAIN),
	C(mprotect, 0, ENOMEM, EACCES),
	C(madvise, 0, ENOMEM, EINVAL),
	C(mlock, 0, ENOMEM, EPERM),
	C(mlock2, 0, ENOMEM, EPERM),
	C(munlock, 0, ENOMEM, EPERM),
	C(msync, 0, EIO, ENOMEM),
	C(mincore, 0, EAGAIN, ENOMEM),
	C(memfd_create, 0, EMFILE, ENOMEM),
	C(userfaultfd, 0, EPERM, ENOSYS, EMFILE),
	C(eventfd2, 0, EMFILE, ENOMEM),
	C(signalfd4, 0, EMFILE, ENOMEM),
	C(timerfd_create, 0, EMFILE, ENOMEM),
	C(timerfd_settime, 0, EINVAL, ECANCELED),
	C(epoll_create1, 0, EMFILE, ENOMEM),
	C(epoll_ctl, 0, ENOMEM, ENOSPC),
	C(epoll_wait, WAITS, EINTR, EINVAL),
	C(pidfd_open, 0, EMFILE, ENOMEM),
	C(pidfd_send_signal, 0, EPERM, ESRCH),
	C(pipe2, 0, EMFILE, ENFILE),
	C(dup, 0, EMFILE, EBADF),
	C(dup2, 0, EMFILE, EBUSY),
	C(dup3, 0, EMFILE, EBUSY),
	C(socket, 0, EMFILE, ENOBUFS),
	C(socketpair, 0, EMFILE, ENOMEM),
	C(bind, 0, EADDRINUSE, EACCES),
	C(listen, 0, EADDRINUSE, EOPNOTSUPP),
	C(accept4, WAITS, EMFILE, ECONNABORTED, EINTR),
	C(accept, WAITS, EMFILE, ECONNABORTED),
	C(connect, WAITS, ECONNREFUSED, EACCES),
	C(sendmsg, WAITS, ENOBUFS, EPIPE, EINTR),
	C(sendto, WAITS, ENOBUFS, EPIPE, EINTR),
	C(recvmsg, WAITS, ENOMEM, ECONNRESET, EINTR),
	C(recvfrom, WAITS, ENOMEM, ECONNRESET, EINTR),
	C(getsockopt, 0, ENOBUFS, ENOMEM),
	C(setsockopt, 0, ENOBUFS, ENOMEM),
	C(getsockname, 0, ENOBUFS, ENOMEM),
	C(getpeername, 0, ENOTCONN, ENOBUFS),
	C(shutdown, 0, ENOTCONN, ENOTSOCK),
	C(poll, WAITS, ENOMEM, EINTR),
	C(ppoll, WAITS, ENOMEM, EINTR),
	C(clone, 0, EAGAIN, ENOMEM),
	C(clone3, 0, EAGAIN, ENOMEM),
	C(fork, 0, EAGAIN, ENOMEM),
	C(vfork, 0, EAGAIN, ENOMEM),
	C(execve, 0, EACCES, ENOMEM),
	C(wait4, WAITS, ECHILD, EINTR),
	C(waitid, WAITS, ECHILD, EINTR),
	C(kill, 0, EPERM, ESRCH),
	C(tgkill, 0, EAGAIN, ESRCH),
	C(setns, 0, EPERM, ENOMEM),
	C(unshare, 0, EPERM, ENOSPC, ENOMEM),
	C(mount, 0, EPERM, ENOMEM),
	C(umount2, 0, EPERM, EBUSY),
	C(pivot_root, 0, EPERM, EINVAL),
	C(chroot, 0, EPERM, ENOMEM),
	C(getcwd, 0, ENOENT, ENOMEM),
	C(chdir, 0, EACCES, EIO),
	C(fchdir, 0, EACCES, EIO),
	C(prctl, WHICH_0, EINVAL, EPERM),
	C(prlimit64, WHICH_1, EPERM, EINVAL),
	C(setrlimit, WHICH_0, EPERM, EINVAL),
	C(getrlimit, WHICH_0, EFAULT, EINVAL),
	C(seccomp, WHICH_0, EINVAL, ENOMEM),
	C(capget, 0, EPERM, EINVAL),
	C(capset, 0, EPERM, EINVAL),
	C(setresuid, 0, EAGAIN, EPERM),
	C(setresgid, 0, EPERM, EINVAL),
	C(setgroups, 0, EPERM, ENOMEM),
	C(getgroups, 0, EFAULT, EINVAL),
	C(setsid, 0, EPERM, EINVAL),
	C(sethostname, 0, EPERM, EINVAL),
	C(landlock_create_ruleset, 0, EOPNOTSUPP, ENOMEM),
	C(landlock_add_rule, 0, EINVAL, ENOMEM),
	C(landlock_restrict_self, 0, EPERM, E2BIG),
	C(getrandom, 0, EAGAIN, EINTR),
	C(rt_sigtimedwait, WAITS, EAGAIN, EINTR),
	C(sigaltstack, 0, ENOMEM, EPERM),
	C(futex, WHICH_1, EAGAIN, EINTR),
	C(nanosleep, WAITS, EINTR, EINVAL),
	C(clock_nanosleep, WAITS, EINTR, EINVAL),
	C(sched_getaffinity, 0, EINVAL, EPERM),
	C(sched_setaffinity, 0, EINVAL, EPERM),
	C(setpriority, 0, EPERM, EACCES),
	C(getrusage, 0, EFAULT, EINVAL),
	C(sysinfo, 0, EFAULT, EPERM),
	C(uname, 0, EFAULT, EPERM),
	C(utimensat, 0, EPERM, EROFS),
	C(inotify_init1, 0, EMFILE, ENFILE),
	C(inotify_add_watch, 0, ENOSPC, ENOMEM),
	N(exit),
	N(exit_group),
	N(rt_sigreturn),
	N(restart_syscall),
	N(getpid),
	N(getppid),
	N(gettid),
	N(getuid),
	N(geteuid),
	N(getgid),
	N(getegid),
	N(getresuid),
	N(getresgid),
	N(umask),
	N(alarm),
	N(sched_yield),
	N(clock_gettime),
	N(gettimeofday),
	N(time),
	N(set_tid_address),
	N(set_robust_list),
	N(rseq),
	N(arch_prctl),
	N(brk),		   /* the C library takes mmap then */
	N(rt_sigprocmask), /* but by bad arguments */
	N(rt_sigaction),
#undef C
#undef N
};

static const struct call *call_of(long nr)
{
	static const int error[] = {ENOMEM, EPERM, 0};
	static const struct call other = {-1, NULL, 0, error};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].nr == nr)
			return &calls[i];
	return &other;
}

/* FUTEX_WAIT, FUTEX_WAIT_BITSET */
static bool futex_waits(uint64_t op)
{
	return (op & 0x7f) == 0 || (op & 0x7f) == 9;
}

const char *stumble_call(long nr)
{
	static char number[24];
	const char *name = call_of(nr)->name;

	if (name)
		return name;
	snprintf(number, sizeof(number), "call %ld", nr);
	return number;
}

const int *stumble_errors(const struct site *at)
{
	static const int interrupted[] = {EINTR, 0};

	/* Of these two the kernel gives nothing else. */
	if (at->which == EVENTFD && (at->nr == SYS_read || at->nr == SYS_write))
		return interrupted;
	if (at->nr == SYS_futex && !futex_waits((uint64_t)at->which))
		return NULL;
	return call_of(at->nr)->error;
}

/* --- the program ------------------------------------------------------------
 */

static struct {
	char path[4096];
	struct stat st;
	const uint8_t *text, *file;
	uint64_t begin, end, main, main_end;
	uint64_t bias; /* where it lies, less that; the same in every run */
	const Elf64_Sym *sym;
	size_t count;
	const char *names;
} prog;

static bool function_at(const Elf64_Sym *s, uint64_t a)
{
	return ELF64_ST_TYPE(s->st_info) == STT_FUNC && a > s->st_value &&
	       a <= s->st_value + s->st_size;
}

const char *stumble_function(uint64_t address)
{
	for (size_t i = 0; i < prog.count; i++)
		if (function_at(&prog.sym[i], address))
			return prog.names + prog.sym[i].st_name;
	return "?";
}

int stumble_program(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const Elf64_Ehdr *e;
	const Elf64_Phdr *p;
	const Elf64_Shdr *h;

	snprintf(prog.path, sizeof(prog.path), "%s", path);
	if (fd < 0 || fstat(fd, &prog.st) < 0)
		return -errno;
	prog.file = mmap(NULL, (size_t)prog.st.st_size, PROT_READ, MAP_PRIVATE,
			 fd, 0);
	close(fd);
	if (prog.file == MAP_FAILED)
		return -errno;
	e = (const Elf64_Ehdr *)prog.file;
	if (e->e_type != ET_EXEC && e->e_type != ET_DYN)
		return -ENOEXEC;
	p = (const Elf64_Phdr *)(prog.file + e->e_phoff);
	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && p[i].p_flags & PF_X) {
			prog.begin = p[i].p_vaddr;
			prog.end = p[i].p_vaddr + p[i].p_filesz;
			prog.text = prog.file + p[i].p_offset;
		}
	h = (const Elf64_Shdr *)(prog.file + e->e_shoff);
	for (int i = 0; i < e->e_shnum; i++)
		if (h[i].sh_type == SHT_SYMTAB) {
			prog.sym =
				(const Elf64_Sym *)(prog.file + h[i].sh_offset);
			prog.count = h[i].sh_size / sizeof(Elf64_Sym);
			prog.names = (const char *)prog.file +
				     h[h[i].sh_link].sh_offset;
		}
	for (size_t i = 0; i < prog.count; i++)
		if (!strcmp(prog.names + prog.sym[i].st_name, "main")) {
			prog.main = prog.sym[i].st_value;
			prog.main_end = prog.main + prog.sym[i].st_size;
		}
	return prog.main ? 0 : -ENOEXEC;
}

/* A word of a stack that a call instruction of the program may have left. */
static bool is_return(uint64_t word)
{
	const uint8_t *p;

	if (word < prog.begin + 7 || word >= prog.end)
		return false;
	p = prog.text + (word - prog.begin);
	return p[-5] == 0xe8 || (p[-2] == 0xff && (p[-1] & 0x38) == 0x10) ||
	       (p[-3] == 0xff && (p[-2] & 0x38) == 0x10) ||
	       (p[-6] == 0xff && (p[-5] & 0x38) == 0x10);
}

bool stumble_same(const struct site *a, const struct site *b)
{
	return a->who == b->who && a->nr == b->nr && a->which == b->which &&
	       !memcmp(a->frame, b->frame, sizeof(a->frame));
}

/* --- tracing ----------------------------------------------------------------
 */

struct task {
	pid_t pid;
	unsigned int who;
	bool inside, begun, ours;
	long result;		     /* at the exit of the call; 1: as it is */
	bool made;		     /* ... which was made */
	struct user_regs_struct was; /* at its entry */
};

static struct run {
	struct stumble *s;
	struct task task[TASKS];
	int tasks;
	pid_t program, client;
	bool gone, client_gone;
	struct site *seen; /* with how many */
	size_t seen_count;
} run;

static struct task *task_of(pid_t pid)
{
	for (int i = 0; i < run.tasks; i++)
		if (run.task[i].pid == pid)
			return &run.task[i];
	return NULL;
}

static struct task *task_add(pid_t pid)
{
	struct task *t = task_of(pid);

	if (t || run.tasks == TASKS)
		return t;
	t = &run.task[run.tasks++];
	*t = (struct task){.pid = pid, .result = 1};
	return t;
}

static void task_drop(pid_t pid)
{
	struct task *t = task_of(pid);

	if (t)
		*t = run.task[--run.tasks];
}

static pid_t process_of(pid_t tid)
{
	char path[64], line[128];
	pid_t pid = tid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Tgid:", 5))
			pid = (pid_t)strtol(line + 5, NULL, 10);
	if (f)
		fclose(f);
	return pid;
}

static void born(struct task *parent)
{
	unsigned long id = 0;
	unsigned int who = parent->who;
	bool begun = parent->begun;
	struct task *t;

	if (ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &id) < 0)
		return;
	t = task_add((pid_t)id);
	if (!t)
		return;
	t->begun = begun;
	t->who = process_of((pid_t)id) == (pid_t)id ? (who & ~1u) + 2 : who | 1;
	t->ours = true;
}

/* Of a program that can lie anywhere: its first mapping, less its own zero. */
static uint64_t find_bias(pid_t pid)
{
	char path[64], line[512];
	unsigned long start, inode;
	uint64_t bias = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%*x %*s %*x %*x:%*x %lu", &start,
			   &inode) == 2 &&
		    inode == prog.st.st_ino) {
			bias = start;
			break;
		}
	if (f)
		fclose(f);
	return ((const Elf64_Ehdr *)prog.file)->e_type == ET_DYN ? bias : 0;
}

/* Did it become the program?  Then all before main() is the C library's. */
static void became(struct task *t)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)t->pid);
	t->ours = stat(path, &st) == 0 && st.st_ino == prog.st.st_ino &&
		  st.st_dev == prog.st.st_dev;
	t->begun = false;
	if (t->ours)
		prog.bias = find_bias(t->pid);
}

/* Nothing interrupts what is done with one. */
static bool is_file(pid_t pid, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_waiting(pid_t pid, const struct user_regs_struct *r)
{
	if (r->orig_rax == SYS_ioctl) /* KVM_RUN, KVM_CREATE_VM */
		return r->rsi == 0xae80 || r->rsi == 0xae01;
	if (r->orig_rax == SYS_futex)
		return futex_waits(r->rsi);
	return call_of((long)r->orig_rax)->flags & WAITS &&
	       !is_file(pid, (int)r->rdi);
}

static bool is_eventfd(pid_t pid, int fd)
{
	char path[64], to[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(path, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = 0;
	return !strcmp(to, "anon_inode:[eventfd]");
}

/* Where the thread is; false: not in the program proper. */
static bool locate(struct task *t, const struct user_regs_struct *r,
		   struct site *at)
{
	static uint64_t stack[STACK_WORDS];
	struct iovec to = {stack, sizeof(stack)};
	struct iovec from = {(void *)(uintptr_t)r->rsp, sizeof(stack)};
	unsigned int flags = call_of((long)r->orig_rax)->flags;
	ssize_t n = -1;
	int frames = 0;

	/* What lies above a thread's stack may be memory whose pages come by
	   userfaultfd, from a thread that stands still now. */
	if (!(t->who & 1))
		n = process_vm_readv(t->pid, &to, 1, &from, 1, 0);
	if (n <= 0) {
		from.iov_len = 4096 - (r->rsp & 4095);
		n = process_vm_readv(t->pid, &to, 1, &from, 1, 0);
	}
	*at = (struct site){.who = t->who,
			    .nr = (long)r->orig_rax,
			    .which = flags & WHICH_0   ? (long)(uint32_t)r->rdi
				     : flags & WHICH_1 ? (long)(uint32_t)r->rsi
						       : -1};
	if ((at->nr == SYS_read || at->nr == SYS_write) &&
	    is_eventfd(t->pid, (int)r->rdi))
		at->which = EVENTFD;
	for (ssize_t i = 0; i < n / 8; i++) {
		uint64_t word = stack[i] - prog.bias;

		if (!is_return(word))
			continue;
		t->begun |= word > prog.main && word <= prog.main_end;
		if (frames < SITE_FRAMES)
			at->frame[frames++] = word;
		else if (t->begun)
			break;
	}
	return t->begun;
}

/* The how manieth at this site it is; writes it down. */
static unsigned int count_site(struct site *at)
{
	struct site *more;

	for (size_t i = 0; i < run.seen_count; i++)
		if (stumble_same(&run.seen[i], at))
			return at->nth = ++run.seen[i].nth;
	more = realloc(run.seen, (run.seen_count + 1) * sizeof(*more));
	if (!more)
		return 0;
	run.seen = more;
	at->nth = 1;
	run.seen[run.seen_count++] = *at;
	return 1;
}

static void remember(const struct site *at)
{
	struct stumble *s = run.s;
	struct site *more = realloc(s->site, (s->count + 1) * sizeof(*more));

	if (!more)
		return;
	s->site = more;
	s->site[s->count++] = *at;
}

static void fail_call(struct task *t, struct user_regs_struct *r, int error)
{
	t->was = *r;
	t->result = -error;
	t->made = call_of((long)r->orig_rax)->flags & CLOSES;
	if (t->made)
		return;
	/* One in its place that every filter of the jail allows and that does
	   nothing: an address that is none. */
	r->orig_rax = SYS_munmap;
	r->rdi = 1;
	r->rsi = 0;
	ptrace(PTRACE_SETREGS, t->pid, NULL, r);
}

static void entry(struct task *t)
{
	struct stumble *s = run.s;
	struct user_regs_struct r;
	struct site at;

	t->result = 1;
	if (!t->ours || ptrace(PTRACE_GETREGS, t->pid, NULL, &r) < 0 ||
	    !locate(t, &r, &at))
		return;
	s->calls++;
	count_site(&at);
	if (s->what == STUMBLE_LIST) {
		remember(&at);
	} else if (s->what == STUMBLE_EINTR) {
		if (is_waiting(t->pid, &r) && at.nth % 2) {
			s->reached = true;
			s->hits++;
			fail_call(t, &r, EINTR);
		}
	} else if (!s->reached && stumble_same(&at, &s->at) &&
		   at.nth == s->at.nth) {
		s->reached = true;
		if (s->what == STUMBLE_FAIL)
			fail_call(t, &r, s->value);
		else
			syscall(SYS_tgkill, process_of(t->pid), t->pid,
				s->value);
	}
}

static void leave(struct task *t)
{
	struct user_regs_struct r;

	if (t->result > 0)
		return;
	if (t->made) {
		if (ptrace(PTRACE_GETREGS, t->pid, NULL, &r) < 0)
			return;
		t->was = r;
	}
	t->was.rax = (unsigned long)t->result;
	t->result = 1;
	ptrace(PTRACE_SETREGS, t->pid, NULL, &t->was);
}

static void stopped(struct task *t, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == (SIGTRAP | 0x80)) {
		t->inside = !t->inside;
		if (t->inside)
			entry(t);
		else
			leave(t);
		sig = 0;
	} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		   event == PTRACE_EVENT_CLONE) {
		born(t);
		sig = 0;
	} else if (event == PTRACE_EVENT_EXEC) {
		became(t);
		sig = 0;
	} else if (event == PTRACE_EVENT_STOP) {
		/* Whoever is told to stand still is told to go on at once. */
		if (sig != SIGTRAP)
			kill(process_of(t->pid), SIGCONT);
		sig = 0;
	} else if (event) {
		sig = 0;
	}
	ptrace(PTRACE_SYSCALL, t->pid, NULL, (void *)(intptr_t)sig);
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void tick(int sig)
{
	(void)sig;
}

static int shell_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void ended(pid_t pid, int status)
{
	struct stumble *s = run.s;

	if (pid == run.program) {
		run.gone = true;
		s->status = shell_status(status);
	} else if (pid == run.client) {
		run.client_gone = true;
		s->client_status = shell_status(status);
	}
	task_drop(pid);
}

static void kill_all(void)
{
	for (int i = 0; i < run.tasks; i++)
		kill(run.task[i].pid, SIGKILL);
	if (run.client > 0)
		kill(-run.client, SIGKILL); /* its group */
}

int stumble_run(struct stumble *s, pid_t program,
		pid_t (*client)(void *, pid_t), void *opaque)
{
	struct itimerval on = {{0, 50000}, {0, 50000}}, off = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = tick};
	long end = now_ms() + s->limit_ms, settle = 0;
	int status;
	pid_t pid;

	run = (struct run){
		.s = s, .program = program, .client = -1, .client_gone = true};
	s->client_status = 0;
	if (waitpid(program, &status, WUNTRACED) != program ||
	    ptrace(PTRACE_SEIZE, program, NULL, (void *)OPTIONS) < 0) {
		kill(program, SIGKILL);
		return -errno;
	}
	task_add(program);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &on, NULL);
	kill(program, SIGCONT);
	ptrace(PTRACE_INTERRUPT, program, NULL, NULL);
	if (client) {
		run.client_gone = false;
		run.client = client(opaque, program);
	}
	while (run.tasks || !run.gone || !run.client_gone) {
		long now;

		pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == ECHILD)
			break;
		if (pid > 0 && !WIFSTOPPED(status)) {
			ended(pid, status);
		} else if (pid > 0) {
			struct task *t = task_add(pid);

			if (t)
				stopped(t, status);
		}
		now = now_ms();
		/* What outlives program and client has a moment to end. */
		if (run.gone && run.client_gone && !settle)
			settle = now + 1000;
		if (now > end || (settle && now > settle)) {
			s->late |= now > end && !(run.gone && run.client_gone);
			s->left |= run.gone && run.client_gone;
			kill_all();
			if (now > end + 5000)
				break;
		}
	}
	setitimer(ITIMER_REAL, &off, NULL);
	free(run.seen);
	run.seen = NULL;
	return 0;
}
