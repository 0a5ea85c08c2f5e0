/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.c - the first process of a lab: mounts, loads modules, runs the tests,
 * prints the verdict, powers off.
 *
 * From the kernel command line: lab.nonce=WORD.  From the initramfs:
 * /lab/modules (one "file.ko parameters" a line, in loading order) and
 * /lab/args (one argument of the test program a line).
 *
 * The verdict is one line with the run's nonce and the three counts.  It is
 * printed only if the test program ended by itself, with a status that agrees
 * with the counts it wrote.  Anything else prints LAB-NO-VERDICT or nothing,
 * and both mean failure to run.sh.  Nothing here relies on a clock.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define COUNTS		   "/run/counts"
#define ARGS_MAX	   256
#define KLOG_CONSOLE_LEVEL 8

static char nonce[64] = "none";

static const struct {
	const char *type;
	const char *where;
	const char *data;
} mounts[] = {
	{"proc", "/proc", NULL},
	{"sysfs", "/sys", NULL},
	{"devtmpfs", "/dev", NULL},
	{"devpts", "/dev/pts", "ptmxmode=0666"},
	{"tmpfs", "/dev/shm", "mode=1777"},
	{"tmpfs", "/run", "mode=0755"},
	{"tmpfs", "/tmp", "mode=1777"},
	{"cgroup2", "/sys/fs/cgroup", NULL},
	{"debugfs", "/sys/kernel/debug", NULL},
};

/* One write for one line: kernel messages must not get into its middle. */
static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (n > (int)sizeof(buf) - 2)
		n = (int)sizeof(buf) - 2;
	buf[n++] = '\n';
	if (write(STDOUT_FILENO, buf, (size_t)n) < 0)
		return;
}

static void power_off(void) __attribute__((noreturn));

static void power_off(void)
{
	tcdrain(STDOUT_FILENO);
	sync();
	reboot(RB_POWER_OFF);
	/* Only the outer time limit can help now. */
	for (;;)
		pause();
}

static void die(const char *what)
{
	say("LAB-NO-VERDICT %s: %s", what, strerror(errno));
	power_off();
}

static void mount_all(void)
{
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].where, 0755);
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0,
			  mounts[i].data) < 0 &&
		    errno != EBUSY)
			say("init: %s: %s", mounts[i].where, strerror(errno));
	}
}

/* An initramfs without /dev/console starts init without descriptors. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);
	int i;

	if (fd < 0)
		return;
	for (i = 0; i <= STDERR_FILENO; i++)
		dup2(fd, i);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void read_nonce(void)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "re");
	char *p;

	if (!f)
		return;
	if (fgets(line, sizeof(line), f)) {
		p = strstr(line, "lab.nonce=");
		if (p)
			sscanf(p, "lab.nonce=%63s", nonce);
	}
	fclose(f);
}

static void load_module(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	if (syscall(SYS_finit_module, fd, params, 0) < 0 && errno != EEXIST)
		die(path);
	close(fd);
}

static void load_modules(void)
{
	FILE *f = fopen("/lab/modules", "re");
	char line[512], path[600], *params;

	if (!f)
		die("/lab/modules");
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!*line)
			continue;
		params = strchr(line, ' ');
		if (params)
			*params++ = '\0';
		snprintf(path, sizeof(path), "/lab/%s", line);
		load_module(path, params ? params : "");
	}
	fclose(f);
}

static void loopback_up(void)
{
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		say("init: lo: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* For tests that use a shell; a lab without busybox has none. */
static void install_busybox(void)
{
	pid_t pid;

	if (access("/bin/busybox", X_OK) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		execl("/bin/busybox", "busybox", "--install", "-s", "/bin",
		      NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void read_args(char **argv, int max)
{
	FILE *f = fopen("/lab/args", "re");
	char line[512];
	int n = 1;

	if (!f)
		die("/lab/args");
	while (n < max - 1 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		argv[n++] = strdup(line);
	}
	argv[n] = NULL;
	fclose(f);
}

static void exec_tests(void)
{
	char *argv[ARGS_MAX] = {"/bin/lab-tests"};

	/* No controlling terminal that could signal the tests. */
	setsid();
	read_args(argv, ARGS_MAX);
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/tmp", 1);
	setenv("TMPDIR", "/tmp", 1);
	setenv("MOTE_LAB", "1", 1);
	setenv("MOTE_BIN", "/bin/mote", 1);
	setenv("MOTE_GUESTS", "/lib/mote/guests", 1);
	execv(argv[0], argv);
	say("init: %s: %s", argv[0], strerror(errno));
	_exit(127);
}

/* Start the tests and reap whatever else falls to init until they end. */
static int run_tests(void)
{
	pid_t pid = fork(), got;
	int status;

	if (pid == 0)
		exec_tests();
	if (pid < 0)
		die("fork");
	do
		got = waitpid(-1, &status, 0);
	while (got != pid && (got > 0 || errno == EINTR));
	if (got != pid)
		die("wait");
	return status;
}

static int read_counts(int *c)
{
	FILE *f = fopen(COUNTS, "re");
	char end = 0;
	int n;

	if (!f)
		return -1;
	n = fscanf(f, "%d %d %d%c", &c[0], &c[1], &c[2], &end);
	fclose(f);
	return n == 4 && end == '\n' ? 0 : -1;
}

static void give_verdict(int status)
{
	int c[3], want;

	if (WIFSIGNALED(status)) {
		say("LAB-NO-VERDICT the test program died of signal %d",
		    WTERMSIG(status));
		return;
	}
	if (read_counts(c) < 0) {
		say("LAB-NO-VERDICT no counts; the test program exited with %d",
		    WEXITSTATUS(status));
		return;
	}
	want = c[1] ? 1 : c[0] + c[2] ? 0 : 2;
	if (WEXITSTATUS(status) != want) {
		say("LAB-NO-VERDICT status %d does not fit %d %d %d",
		    WEXITSTATUS(status), c[0], c[1], c[2]);
		return;
	}
	say("\nLAB-VERDICT %s %d %d %d", nonce, c[0], c[1], c[2]);
}

int main(void)
{
	int status;

	mount_all();
	open_console();
	read_nonce();
	say("\nLAB-START %s", nonce); /* whatever the firmware left there */
	loopback_up();
	install_busybox();
	load_modules();
	status = run_tests();
	/* From here on the console is ours: only emergencies get through. */
	klogctl(KLOG_CONSOLE_LEVEL, NULL, 1);
	give_verdict(status);
	power_off();
}
