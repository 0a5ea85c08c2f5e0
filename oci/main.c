/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - mote-oci(8): the commands of an OCI runtime, as runc takes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "launch/launch.h"
#include "oci/oci.h"

#define REPLY_MAX    16384
#define DEFAULT_ROOT "/run/mote-oci"
#define DIE_TRIES    500 /* of 10 ms */

static struct options {
	const char *root, *log, *log_format;
	const char *bundle, *pid_file, *console_socket;
	bool force, all;
	const char *id, *signal; /* the words after the options */
} opt = {.root = DEFAULT_ROOT, .log_format = "text", .bundle = "."};

/* --- errors: stderr, and the log that the engine reads ----------------- */

static void log_error(const char *text)
{
	FILE *f = opt.log ? fopen(opt.log, "ae") : NULL;
	struct json_object *o;
	char when[32];
	time_t now = time(NULL);
	struct tm tm;

	if (!f)
		return;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	if (!strcmp(opt.log_format, "json")) {
		o = json_object_new_object();
		json_object_object_add(o, "level",
				       json_object_new_string("error"));
		json_object_object_add(o, "msg", json_object_new_string(text));
		json_object_object_add(o, "time", json_object_new_string(when));
		fprintf(f, "%s\n",
			json_object_to_json_string_ext(o,
						       JSON_C_TO_STRING_PLAIN));
		json_object_put(o);
	} else {
		fprintf(f, "time=\"%s\" level=error msg=\"%s\"\n", when, text);
	}
	fclose(f);
}

static int __attribute__((format(printf, 1, 2))) fail(const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (fd_takes(STDERR_FILENO, FD_SAY_MS))
		fprintf(stderr, "mote-oci: %s\n", text);
	log_error(text);
	return 1;
}

/* --- talking to the VM ------------------------------------------------- */

/* One command without arguments; *reply is malloc'd when wanted. */
static int control(const struct container *c, const char *command,
		   struct mote_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char path[OCI_PATH_MAX], line[64], reply[REPLY_MAX];
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct json_object *o, *ok = NULL, *error = NULL;
	size_t len = 0;
	ssize_t n = 1;
	int ret = 0;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s",
		 container_path(c, "control.sock", path));
	do {
		ret = fd < 0 ? -1
			     : connect(fd, (struct sockaddr *)&addr,
				       sizeof(addr));
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return err_set(err, errno, "container %s: %s", c->id,
			       strerror(errno));
	snprintf(line, sizeof(line), "{\"command\":\"%s\"}\n", command);
	if (fd_write_full(fd, line, strlen(line)) < 0)
		return err_set(err, EPIPE, "container %s has ended", c->id);
	while ((n > 0 || (n < 0 && errno == EINTR)) &&
	       len < sizeof(reply) - 1 && !memchr(reply, '\n', len)) {
		n = read(fd, reply + len, sizeof(reply) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	reply[len] = 0;
	o = json_tokener_parse(reply);
	if (!o || !json_object_object_get_ex(o, "ok", &ok))
		ret = err_set(err, EPROTO, "container %s: no answer", c->id);
	else if (!json_object_get_boolean(ok) &&
		 json_object_object_get_ex(o, "error", &error))
		ret = err_set(err, EINVAL, "%s", json_object_get_string(error));
	json_object_put(o);
	return ret;
}

/* --- create ------------------------------------------------------------ */

static int set_control(struct bundle *b, const struct container *c)
{
	char path[OCI_PATH_MAX];
	cleanup_free char *assign = NULL;

	if (asprintf(&assign, "control.socket=%s",
		     container_path(c, "control.sock", path)) < 0) {
		assign = NULL; /* asprintf leaves it undefined */
		return -ENOMEM;
	}
	return mote_config_set(b->cfg, "mote-oci", assign, NULL);
}

/* The monitor: launcher of the VM until the guest ends; its status is ours. */
static int __attribute__((noreturn))
monitor(struct bundle *b, int created_fd, bool paused)
{
	const struct launch_options lo = {
		.cfg = b->cfg,
		.kernel_fd = b->kernel_fd,
		.paused = paused,
		.no_stdin = false,
		.netns_fd = b->netns_fd,
		.claim_fd = -1,
		.created_fd = created_fd,
	};
	struct launch_result res = {0};
	struct mote_err err = {0};
	int keep[3] = {b->kernel_fd, b->netns_fd, created_fd};
	int low = 3;

	/* Engines leave descriptors open that are none of ours. */
	for (int i = 0; i < 3; i++)
		for (int k = i + 1; k < 3; k++)
			if (keep[k] < keep[i]) {
				int t = keep[i];

				keep[i] = keep[k];
				keep[k] = t;
			}
	for (int i = 0; i < 3; i++) {
		if (keep[i] < low)
			continue;
		if (keep[i] > low)
			syscall(SYS_close_range, low, keep[i] - 1, 0);
		low = keep[i] + 1;
	}
	syscall(SYS_close_range, low, ~0u, 0);
	if (launch_run(&lo, &res, &err) < 0) {
		if (created_fd < 0)
			fail("%s", err.msg);
		_exit(err_exit_code(&err));
	}
	if (res.end == MOTE_END_CRASH)
		fprintf(stderr, "mote-oci: the guest crashed: %s\n",
			res.err.msg);
	_exit(res.exit_code);
}

static int write_pid_file(pid_t pid)
{
	char tmp[OCI_PATH_MAX], text[32];
	int fd, ret;

	if (!opt.pid_file)
		return 0;
	snprintf(tmp, sizeof(tmp), "%.4000s.tmp", opt.pid_file);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	snprintf(text, sizeof(text), "%d", pid);
	ret = fd_write_full(fd, text, strlen(text));
	fd_close(fd);
	if (ret == 0 && rename(tmp, opt.pid_file) < 0)
		ret = -errno;
	return ret;
}

/* Fork the monitor and wait until the machine is built (or is not). */
static int start_monitor(struct container *c, struct bundle *b,
			 struct mote_err *err)
{
	char text[MOTE_ERR_MAX] = "";
	size_t len = 0;
	ssize_t n;
	int fds[2], code;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	c->pid = fork();
	if (c->pid < 0)
		return err_set(err, errno, "fork: %s", strerror(errno));
	if (c->pid == 0) {
		fd_close(fds[0]);
		monitor(b, fds[1], true);
	}
	fd_close(fds[1]);
	do {
		n = read(fds[0], text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 && len < sizeof(text) - 1) ||
		 (n < 0 && errno == EINTR));
	code = errno;
	fd_close(fds[0]);
	if (strcmp(text, "\n") == 0)
		return 0;
	if (n < 0)
		kill(c->pid, SIGKILL); /* it may well go on */
	waitpid(c->pid, NULL, 0);
	if (n < 0)
		return err_set(err, code, "monitor: read: %s", strerror(code));
	return err_set(err, EIO, "%s",
		       text[0] ? text : "the monitor process died");
}

static int create(struct container *c, struct bundle *b, struct mote_err *err)
{
	int ret = start_monitor(c, b, err);

	if (ret < 0)
		return ret;
	c->start_time = process_start_time(c->pid);
	/* Without it the container would count as stopped. */
	ret = c->start_time ? container_save(c, err)
			    : err_set(err, EIO,
				      "monitor: no start time in /proc/%d/stat",
				      (int)c->pid);
	if (ret == 0) {
		ret = write_pid_file(c->pid);
		if (ret < 0)
			err_set(err, -ret, "pid file %s: %s", opt.pid_file,
				strerror(-ret));
	}
	if (ret < 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
	return ret;
}

static int prepare(struct container *c, struct bundle *b, struct mote_err *err)
{
	int ret = container_init(c, opt.root, opt.id, err);

	if (ret == 0)
		ret = bundle_open(b, opt.bundle, err);
	if (ret < 0)
		return ret;
	strcpy(c->bundle, b->path);
	strcpy(c->annotations, b->annotations);
	ret = container_make(c, err);
	if (ret == 0 && set_control(b, c) < 0) {
		container_remove(c);
		ret = err_set(err, EINVAL, "control socket");
	}
	if (ret < 0)
		bundle_close(b);
	return ret;
}

static int cmd_create(void)
{
	struct mote_err err = {0};
	struct bundle b = {.kernel_fd = -1, .netns_fd = -1};
	struct container c;
	int ret;

	if (prepare(&c, &b, &err) < 0)
		return fail("%s", err.msg);
	ret = create(&c, &b, &err);
	bundle_close(&b);
	if (ret < 0) {
		container_remove(&c);
		return fail("%s", err.msg);
	}
	return 0;
}

/* --- the others -------------------------------------------------------- */

static int load(struct container *c, struct mote_err *err)
{
	int ret = container_init(c, opt.root, opt.id, err);

	return ret < 0 ? ret : container_load(c, err);
}

static int start(struct container *c, struct mote_err *err)
{
	enum oci_status st = container_status(c);
	int ret;

	if (st != OCI_CREATED)
		return err_set(err, EINVAL,
			       "container %s is %s, expected "
			       "created",
			       c->id, container_status_name(st));
	ret = control(c, "resume", err);
	if (ret < 0)
		return ret;
	c->started = true;
	return container_save(c, err);
}

static int cmd_start(void)
{
	struct mote_err err = {0};
	struct container c;

	if (load(&c, &err) < 0 || start(&c, &err) < 0)
		return fail("%s", err.msg);
	return 0;
}

static int cmd_run(void)
{
	struct mote_err err = {0};
	struct bundle b = {.kernel_fd = -1, .netns_fd = -1};
	struct container c;
	int ret, status = 0;

	if (prepare(&c, &b, &err) < 0)
		return fail("%s", err.msg);
	ret = create(&c, &b, &err);
	bundle_close(&b);
	if (ret == 0) {
		ret = start(&c, &err);
		if (ret < 0)
			kill(c.pid, SIGKILL);
		while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	container_remove(&c);
	if (ret < 0)
		return fail("%s", err.msg);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int cmd_state(void)
{
	struct json_object *o, *notes;
	struct mote_err err = {0};
	enum oci_status st;
	struct container c;

	if (load(&c, &err) < 0)
		return fail("%s", err.msg);
	st = container_status(&c);
	o = json_object_new_object();
	json_object_object_add(o, "ociVersion",
			       json_object_new_string(OCI_VERSION));
	json_object_object_add(o, "id", json_object_new_string(c.id));
	json_object_object_add(
		o, "status", json_object_new_string(container_status_name(st)));
	json_object_object_add(
		o, "pid", json_object_new_int(st == OCI_STOPPED ? 0 : c.pid));
	json_object_object_add(o, "bundle", json_object_new_string(c.bundle));
	notes = json_tokener_parse(c.annotations);
	json_object_object_add(o, "annotations",
			       notes ? notes : json_object_new_object());
	printf("%s\n",
	       json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	json_object_put(o);
	return 0;
}

static int signal_number(const char *s)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {{"HUP", SIGHUP},	 {"INT", SIGINT},   {"QUIT", SIGQUIT},
		     {"KILL", SIGKILL},	 {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
		     {"TERM", SIGTERM},	 {"STOP", SIGSTOP}, {"CONT", SIGCONT},
		     {"WINCH", SIGWINCH}};
	char *end;
	long n;

	if (!s)
		return SIGTERM;
	n = strtol(s, &end, 10);
	if (*s && !*end)
		return n >= 0 && n <= SIGRTMAX ? (int)n : -1;
	if (!strncmp(s, "SIG", 3))
		s += 3;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].name, s))
			return known[i].number;
	return -1;
}

/*
 * A guest hears one thing: please end.  KILL ends it; every other signal
 * has no meaning for it and is taken without effect (a window that changes
 * its size must not end a container).
 */
static int cmd_kill(void)
{
	struct mote_err err = {0};
	int sig = signal_number(opt.signal);
	struct container c;

	if (sig < 0)
		return fail("kill: unknown signal %s", opt.signal);
	if (load(&c, &err) < 0)
		return fail("%s", err.msg);
	if (container_status(&c) == OCI_STOPPED)
		return fail("container %s is stopped", c.id);
	if (sig == SIGINT || sig == SIGHUP || sig == SIGQUIT)
		sig = SIGTERM;
	if (sig != SIGTERM && sig != SIGKILL)
		return 0;
	if (kill(c.pid, sig) < 0)
		return fail("kill: container %s: %s", c.id, strerror(errno));
	return 0;
}

static int cmd_delete(void)
{
	struct mote_err err = {0};
	struct container c;
	int ret = load(&c, &err);

	if (ret == -ENOENT && opt.force)
		return 0;
	if (ret < 0)
		return fail("%s", err.msg);
	if (container_status(&c) != OCI_STOPPED) {
		if (!opt.force)
			return fail(
				"container %s is %s, expected stopped", c.id,
				container_status_name(container_status(&c)));
		kill(c.pid, SIGKILL);
		for (int i = 0; i < DIE_TRIES; i++) {
			if (container_status(&c) == OCI_STOPPED)
				break;
			usleep(10000);
		}
		if (container_status(&c) != OCI_STOPPED)
			return fail("container %s: its process does not end",
				    c.id);
	}
	ret = container_remove(&c);
	return ret < 0 ? fail("container %s: removal of its state: %s", c.id,
			      strerror(-ret))
		       : 0;
}

static int simple(const char *command)
{
	struct mote_err err = {0};
	struct container c;

	if (load(&c, &err) < 0 || control(&c, command, &err) < 0)
		return fail("%s", err.msg);
	return 0;
}

static int cmd_pause(void)
{
	return simple("pause");
}

static int cmd_resume(void)
{
	return simple("resume");
}

static int cmd_exec(void)
{
	return fail("exec: a unikernel has no second process to start");
}

/* --- arguments --------------------------------------------------------- */

static const struct {
	const char *name;
	int (*run)(void);
} commands[] = {
	{"create", cmd_create}, {"start", cmd_start},	{"state", cmd_state},
	{"kill", cmd_kill},	{"delete", cmd_delete}, {"run", cmd_run},
	{"pause", cmd_pause},	{"resume", cmd_resume}, {"exec", cmd_exec},
};

static const struct {
	const char *name, *alias;
	const char **value; /* NULL: takes none */
	bool *flag;
} options[] = {
	{"--root", NULL, &opt.root, NULL},
	{"--log", NULL, &opt.log, NULL},
	{"--log-format", NULL, &opt.log_format, NULL},
	{"--bundle", "-b", &opt.bundle, NULL},
	{"--pid-file", NULL, &opt.pid_file, NULL},
	{"--console-socket", NULL, &opt.console_socket, NULL},
	{"--force", "-f", NULL, &opt.force},
	{"--all", "-a", NULL, &opt.all},
	{"--debug", NULL, NULL, NULL},
	{"--systemd-cgroup", NULL, NULL, NULL},
	{"--no-pivot", NULL, NULL, NULL},
	{"--no-new-keyring", NULL, NULL, NULL},
};

/* 1: taken, 0: not an option of ours, -1: said what is wrong. */
static int take(int argc, char **argv, int *i)
{
	const char *arg = argv[*i];

	for (size_t k = 0; k < ARRAY_SIZE(options); k++) {
		size_t n = strlen(options[k].name);
		bool eq = !strncmp(arg, options[k].name, n) && arg[n] == '=';
		bool is = !strcmp(arg, options[k].name) ||
			  (options[k].alias && !strcmp(arg, options[k].alias));

		if (!eq && !is)
			continue;
		if (options[k].flag)
			*options[k].flag = true;
		if (!options[k].value)
			return 1;
		if (is && *i + 1 >= argc) {
			fail("%s needs a value", arg);
			return -1;
		}
		*options[k].value = eq ? arg + n + 1 : argv[++*i];
		return 1;
	}
	return 0;
}

static int print_version(void)
{
	printf("mote-oci version %s\nspec: %s\n", mote_version(), OCI_VERSION);
	return 0;
}

static int print_help(void)
{
	printf("mote-oci: an OCI runtime for unikernels\n\n"
	       "  mote-oci [--root DIR] [--log FILE] [--log-format text|json] "
	       "COMMAND ...\n\n"
	       "  create --bundle DIR [--pid-file FILE] ID\n"
	       "  start ID | state ID | pause ID | resume ID\n"
	       "  kill ID [SIGNAL] | delete [--force] ID\n"
	       "  run --bundle DIR [--pid-file FILE] ID\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *word[3] = {NULL, NULL, NULL};
	struct mote_err err = {0};
	int words = 0;

	if (fd_open_stdio(&err) < 0)
		return fail("%s", err.msg);
	for (int i = 1; i < argc; i++) {
		int ret = take(argc, argv, &i);

		if (ret < 0)
			return 1;
		if (ret > 0)
			continue;
		if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-v"))
			return print_version();
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return print_help();
		if (argv[i][0] == '-')
			return fail("unknown option %s", argv[i]);
		if (words == 3)
			return fail("too many words at %s", argv[i]);
		word[words++] = argv[i];
	}
	if (words == 0)
		return fail("no command; mote-oci --help lists them");
	opt.id = word[1];
	opt.signal = word[2];
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, word[0]) != 0)
			continue;
		if (!opt.id)
			return fail("%s: expected a container id", word[0]);
		return commands[i].run();
	}
	return fail("%s: not in this version yet", word[0]);
}
