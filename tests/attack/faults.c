/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults.c - every system call fails once.
 *
 *   faults [-j JOBS] [-k EVERY] [-m fail|signal|eintr] [-s SCENE] [-v] SCENES
 *
 * SCENES (faults.scenes) says what is run; docs/FAULTS.md what is demanded of
 * a run in which a call failed.  The environment names the programs (MOTE,
 * OCI), the guests (G) and a folder with what all runs read (B).
 *
 *   fail    each call site, its first two times, with each error of its call
 *   signal  each signal to each thread, at four moments of its life
 *   eintr   every second call that a signal can end has EINTR
 *
 * -k: each EVERY-th case only, always the same ones.  -v: say each case.
 * A line "ok", "FAIL" or "skip" for each scene, findings above it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack/stumble.h"

#define LIMIT_MS 5000
#define NTH_MAX	 2
#define MOMENTS	 4
#define SCENES	 96
#define TEXT	 4096

struct scene {
	char *name, *program, *before, *run, *with, *after, *loose, *allow,
		*told;
};

struct plan {
	enum stumble_what what;
	struct site at;
	int value;
};

/* How a run without a fault ended. */
struct usual {
	int code, client;
	char out[TEXT], client_out[TEXT], names[TEXT];
};

struct tally {
	unsigned long runs, unreached, usual, refused, findings;
};

static struct scene scenes[SCENES];
static size_t scene_count;
static struct {
	char call[32], code[16], words[64], reason[128];
	unsigned long used;
} excuse[64];
static size_t excuses;
static const char *only;
static unsigned int every = 1, jobs = 2;
static enum stumble_what mode = STUMBLE_FAIL;
static bool verbose;
static char work[256]; /* of this worker: out, err, d/ */

/* --- what is run ------------------------------------------------------------
 */

static char *tail_of(char *line)
{
	while (*line && isspace((unsigned char)*line))
		line++;
	return strdup(line);
}

/* A field that is there twice has two lines. */
static void add_line(char **field, char *text)
{
	char *all = NULL;

	if (*field && asprintf(&all, "%s\n%s", *field, text) > 0)
		text = all;
	*field = text;
}

static int read_scenes(const char *path)
{
	char line[1024];
	struct scene *s = NULL;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f)) {
		static const char *const key[] = {
			"program:", "before:", "run:",	 "with:",
			"after:",   "loose:",  "allow:", "told:"};

		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "scene:", 6) && scene_count < SCENES) {
			s = &scenes[scene_count++];
			s->name = tail_of(line + 6);
		} else if (!strncmp(line, "excuse:", 7) && excuses < 64 &&
			   sscanf(line + 7, " %31s %15s %63s %127[^\n]",
				  excuse[excuses].call, excuse[excuses].code,
				  excuse[excuses].words,
				  excuse[excuses].reason) == 4) {
			excuses++;
		}
		for (int i = 0; s && i < 8; i++)
			if (!strncmp(line, key[i], strlen(key[i])))
				add_line(&(&s->program)[i],
					 tail_of(line + strlen(key[i])));
	}
	if (f)
		fclose(f);
	return scene_count > 0 ? 0 : -1;
}

static char *in_work(const char *name)
{
	static char path[4][sizeof(work) + 64];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", work, name);
	return path[i];
}

static void to_file(const char *name, int fd)
{
	int file = open(in_work(name), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND,
			0600);

	dup2(file, fd);
	close(file);
}

static pid_t shell(const char *script, const char *out, const char *err,
		   bool stop, pid_t program)
{
	pid_t pid = fork();
	char text[24];

	if (pid)
		return pid;
	snprintf(text, sizeof(text), "%d", (int)program);
	setenv("PID", text, 1);
	setenv("D", in_work("d"), 1);
	setenv("ERR", in_work("err"), 1);
	setenv("OUT", in_work("out"), 1);
	close(0);
	open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(0, 0);
	to_file(out, 1);
	to_file(err, 2);
	fcntl(0, F_SETFD, 0);
	if (stop)
		raise(SIGSTOP);
	else
		setpgid(0, 0);
	execl("/bin/sh", "sh", "-c", script, (char *)NULL);
	_exit(127);
}

static pid_t start_client(void *opaque, pid_t program)
{
	return shell(opaque, "client_out", "client_err", false, program);
}

static int shell_wait(const char *script, const char *out)
{
	pid_t pid = shell(script, out, "shell_err", false, 0);
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* --- what is left -----------------------------------------------------------
 */

static void read_text(const char *name, char *buf)
{
	int fd = open(in_work(name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, TEXT - 1);

	buf[n > 0 ? n : 0] = 0;
	close(fd);
}

/* The names in d/, two levels, each "/NAME". */
static void list(const char *dir, const char *prefix, char *names, int depth)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[1024], name[512];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(name, sizeof(name), "%.200s/%.255s", prefix,
			 e->d_name);
		if (strlen(names) + strlen(name) + 2 < TEXT) {
			strcat(names, name);
			strcat(names, "\n");
		}
		snprintf(path, sizeof(path), "%.700s/%.255s", dir, e->d_name);
		if (depth && e->d_type == DT_DIR)
			list(path, name, names, depth - 1);
	}
	if (d)
		closedir(d);
}

static bool has_line(const char *text, const char *line, size_t n)
{
	for (const char *p = text; (p = strstr(p, line)); p++)
		if ((p == text || p[-1] == '\n') && p[n] == '\n')
			return true;
	return false;
}

/* The first name that a usual run does not leave; NULL: none. */
static const char *left_over(const struct scene *sc, const struct usual *usual,
			     const char *names)
{
	static char name[512];

	for (const char *p = names; *p; p = strchr(p, '\n') + 1) {
		size_t n = strcspn(p, "\n");

		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		if (!has_line(usual->names, name, n) &&
		    (!sc->allow || strcmp(sc->allow, name) != 0))
			return name;
	}
	return NULL;
}

static void clear_work(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", in_work("d"), (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	mkdir(in_work("d"), 0755);
	unlink(in_work("client_err"));
	unlink(in_work("client_out"));
}

/* Helpers of a scene that are still there go; orphans are our children. */
static void reap(void)
{
	for (int pid = 1; pid > 0;) {
		FILE *f = fopen("/proc/thread-self/children", "r");

		pid = 0;
		while (f && fscanf(f, "%d", &pid) == 1)
			kill(pid, SIGKILL);
		if (f)
			fclose(f);
		while (pid > 0 && waitpid(-1, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

/* --- the oracle -------------------------------------------------------------
 */

/* The last line that the program said of itself. */
static const char *last_words(const char *err)
{
	static char words[TEXT];
	const char *line = err, *last = "";

	while (*line) {
		const char *end = line + strcspn(line, "\n");

		if (end > line && strncmp(line, "sh: ", 4) != 0)
			last = line;
		line = *end ? end + 1 : end;
	}
	snprintf(words, sizeof(words), "%.*s", (int)strcspn(last, "\n"), last);
	return words;
}

/* Names the message more than the error itself? */
static bool names_object(const char *words, int error)
{
	const char *cause = strerror(error), *p = strstr(words, ": ");
	int letters = 0;
	const char *at;

	p = p ? p + 2 : words;
	at = strstr(p, cause);
	for (; *p && p != at; p++)
		letters += isalpha((unsigned char)*p) != 0;
	return letters >= 4;
}

static bool code_documented(const struct scene *sc, int code)
{
	switch (code) {
	case 1: /* an engine knows no other */
		return sc->program && !strcmp(sc->program, "OCI");
	case 65:
	case 69:
	case 70:
	case 71:
	case 74:
	case 75:
	case 77:
		return true;
	default:
		return false;
	}
}

/* Codes that an error may have; what the path or the host is blamed for is
   65 or 69 whatever failed. */
static bool code_fits(int code, int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return code != 70;
	case EIO:
	case ENOSPC:
		return code == 1 || code == 74 || code == 71 || code == 69 ||
		       code == 65 || code == 75;
	default:
		return true;
	}
}

static const char *excused(const struct site *at, int code, const char *words)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", code);
	for (size_t i = 0; i < excuses; i++) {
		if (strcmp(excuse[i].call, stumble_call(at->nr)) != 0 &&
		    strcmp(excuse[i].call, "*") != 0)
			continue;
		if (strcmp(excuse[i].code, number) != 0 &&
		    strcmp(excuse[i].code, "*") != 0)
			continue;
		if (strcmp(excuse[i].words, "*") != 0) {
			bool frame = false;

			for (int f = 0; f < SITE_FRAMES; f++)
				frame |= at->frame[f] &&
					 !strcmp(stumble_function(at->frame[f]),
						 excuse[i].words);
			if (!frame && !strstr(words, excuse[i].words))
				continue;
		}
		excuse[i].used++;
		return excuse[i].reason;
	}
	return NULL;
}

/* What is wrong with a run; NULL: nothing. */
static const char *judge(const struct scene *sc, const struct plan *p,
			 const struct stumble *s, const struct usual *usual,
			 const struct usual *now, const char *words)
{
	static char wrong[TEXT * 2];
	const char *left = left_over(sc, usual, now->names);
	char after[TEXT];

	if (s->late)
		return "it does not end in 5 s";
	if (s->left)
		return "a process is left";
	/* Who is killed can't remove what he was making; the next one does. */
	if (left &&
	    !(p->what == STUMBLE_SIGNAL && now->code == 128 + p->value)) {
		snprintf(wrong, sizeof(wrong), "left behind: %s", left);
		return wrong;
	}
	if (sc->after) {
		shell_wait(sc->after, "after_out");
		read_text("after_out", after);
		if (after[0]) {
			snprintf(wrong, sizeof(wrong), "%.*s",
				 (int)strcspn(after, "\n"), after);
			return wrong;
		}
	}
	if (now->code == usual->code && now->client == usual->client) {
		if (!sc->loose && strcmp(now->out, usual->out) != 0)
			return "its output differs";
		if (!sc->loose && strcmp(now->client_out, usual->client_out))
			return "what its client was told differs";
		return NULL;
	}
	if (p->what == STUMBLE_EINTR)
		return "another end";
	/* The C library has handlers of its own for 32 and 33: they return by
	   what a thread in the jail may not call (70). */
	if (p->what == STUMBLE_SIGNAL)
		return now->code == usual->code ||
				       ((p->value == 32 || p->value == 33) &&
					now->code == 70) ||
				       now->code == 128 + p->value ||
				       now->code == 143 || now->code == 137
			       ? NULL
			       : "neither its own end nor the signal's";
	/* The client is not ours: then it stands in the run's own log. */
	if (sc->told) {
		read_text("err", after);
		return strstr(after, strerror(p->value))
			       ? NULL
			       : "the log does not tell the cause";
	}
	/* A client who was told of the failure: the run itself went on. */
	if (now->code == usual->code) {
		read_text("client_err", after);
		words = last_words(after);
		if (!code_documented(sc, now->client))
			return "the client's code is not documented";
	} else if (!code_documented(sc, now->code)) {
		return "the code is not documented";
	} else if (!code_fits(now->code, p->value)) {
		return "the code does not fit the error";
	}
	if (!words[0])
		return "no message";
	if (!names_object(words, p->value))
		return "the message names no object";
	if (!strstr(words, strerror(p->value)))
		return "the message does not tell the cause";
	return NULL;
}

static void run_once(const struct scene *sc, const struct plan *p,
		     struct stumble *s, struct usual *end)
{
	pid_t program;

	clear_work();
	if (sc->before)
		shell_wait(sc->before, "before_out");
	*s = (struct stumble){.what = p->what,
			      .at = p->at,
			      .value = p->value,
			      .limit_ms = LIMIT_MS};
	program = shell(sc->run, "out", "err", true, 0);
	if (stumble_run(s, program, sc->with ? start_client : NULL, sc->with))
		fprintf(stderr, "faults: ptrace: %s\n", strerror(errno));
	end->code = s->status;
	end->client = s->client_status;
	read_text("out", end->out);
	read_text("client_out", end->client_out);
	end->names[0] = 0;
	list(in_work("d"), "", end->names, 1);
}

/* --- cases ------------------------------------------------------------------
 */

static void describe(FILE *f, const struct scene *sc, const struct plan *p)
{
	fprintf(f, "%s: ", sc->name);
	if (p->what == STUMBLE_EINTR) {
		fprintf(f, "EINTR each second time");
		return;
	}
	fprintf(f, "%s of process %u%s ", stumble_call(p->at.nr), p->at.who / 2,
		p->at.who & 1 ? "'s thread" : "");
	if (p->at.which >= 0)
		fprintf(f, "(0x%lx) ", p->at.which);
	fprintf(f, "%u: ", p->at.nth);
	if (p->what == STUMBLE_SIGNAL)
		fprintf(f, "signal %d", p->value);
	else
		fprintf(f, "%s", strerrorname_np(p->value));
	fprintf(f, " [");
	for (int i = 0; i < SITE_FRAMES && p->at.frame[i]; i++)
		fprintf(f, "%s%s", i ? " < " : "",
			stumble_function(p->at.frame[i]));
	fprintf(f, "]");
}

static void try_case(const struct scene *sc, const struct plan *p,
		     const struct usual *usual, struct tally *t, FILE *f)
{
	struct usual now;
	struct stumble s;
	char err[TEXT];
	const char *wrong, *words, *why;

	for (int i = 0; i < 2; i++) {
		run_once(sc, p, &s, &now);
		if (s.reached)
			break;
	}
	t->runs++;
	if (!s.reached) {
		t->unreached++;
		if (verbose) {
			describe(f, sc, p);
			fprintf(f, ": not reached\n");
		}
		reap();
		return;
	}
	read_text("err", err);
	words = last_words(err);
	wrong = judge(sc, p, &s, usual, &now, words);
	why = wrong ? excused(&p->at, now.code, words) : NULL;
	if (wrong && !why) {
		t->findings++;
		fprintf(f, "FOUND ");
	} else if (now.code == usual->code && now.client == usual->client) {
		t->usual++;
	} else {
		t->refused++;
	}
	if (verbose || (wrong && !why)) {
		describe(f, sc, p);
		fprintf(f, ": %s: code %d, client %d: %s\n",
			wrong ? wrong : "ok", now.code, now.client, words);
		if (wrong && now.client != usual->client) {
			read_text("client_err", err);
			fprintf(f, "      client: %s\n", last_words(err));
		}
	}
	reap();
}

static size_t add(struct plan **plans, size_t n, struct plan p)
{
	struct plan *more = realloc(*plans, (n + 1) * sizeof(p));

	if (!more)
		return n;
	*plans = more;
	more[n] = p;
	return n + 1;
}

static size_t plan_failures(const struct stumble *s, struct plan **plans)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		const int *error = stumble_errors(&s->site[i]);

		if (s->site[i].nth > NTH_MAX)
			continue;
		for (; error && *error; error++)
			n = add(plans, n,
				(struct plan){STUMBLE_FAIL, s->site[i],
					      *error});
	}
	return n;
}

static size_t plan_signals(const struct stumble *s, struct plan **plans)
{
	size_t n = 0;

	for (unsigned int who = 0; who < 16; who++) {
		size_t all = 0, k = 0;

		for (size_t i = 0; i < s->count; i++)
			all += s->site[i].who == who;
		for (size_t i = 0; i < s->count; i++) {
			if (s->site[i].who != who)
				continue;
			/* the middle of each of its life's parts */
			if ((k++ * MOMENTS * 2 / all) % 2 == 0 ||
			    ((k - 2) * MOMENTS * 2 / all) % 2 == 1)
				continue;
			for (int sig = 1; sig <= 64; sig++)
				n = add(plans, n,
					(struct plan){STUMBLE_SIGNAL,
						      s->site[i], sig});
		}
	}
	return n;
}

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len-- > 0)
		h = (h ^ *p++) * UINT64_C(0x100000001b3); /* FNV-1a */
	return h;
}

/*
 * Is a plan among one of every?  By what it is, functions by their names: a
 * slice is the same one each time, and of every build.
 */
static bool chosen(const struct scene *sc, const struct plan *p)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	if (every == 1 || p->what == STUMBLE_EINTR)
		return true;
	h = mix(h, sc->name, strlen(sc->name));
	h = mix(h, &p->at.nr, sizeof(p->at.nr));
	h = mix(h, &p->at.which, sizeof(p->at.which));
	h = mix(h, &p->at.nth, sizeof(p->at.nth));
	h = mix(h, &p->value, sizeof(p->value));
	for (int i = 0; i < SITE_FRAMES && p->at.frame[i]; i++) {
		const char *name = stumble_function(p->at.frame[i]);

		h = mix(h, name, strlen(name));
	}
	return (h >> 20) % every == 0;
}

static size_t sites_of(const struct stumble *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += s->site[i].nth == 1 && stumble_errors(&s->site[i]);
	return n;
}

static int play(const struct scene *sc, struct tally *total, size_t *sites)
{
	const struct plan none = {.what = STUMBLE_LIST};
	struct usual usual, again;
	struct plan *plans = NULL;
	struct tally t = {0};
	struct stumble s, s2;
	int pipes[2];
	size_t n;

	if (stumble_program(getenv(sc->program ? sc->program : "MOTE")) < 0) {
		printf("FAIL %s: no program with symbols\n", sc->name);
		return 1;
	}
	run_once(sc, &none, &s, &usual);
	reap();
	run_once(sc, &none, &s2, &again);
	reap();
	if (s.late || s.left || s.count < 5 || usual.code != again.code ||
	    (!sc->loose && strcmp(usual.out, again.out) != 0)) {
		char err[TEXT];

		read_text("err", err);
		printf("FAIL %s: without a fault: code %d and %d, %zu "
		       "calls%s%s: %s\n",
		       sc->name, usual.code, again.code, s.count,
		       s.late ? ", late" : "", s.left ? ", left" : "",
		       last_words(err));
		read_text("client_err", err);
		printf("     client: %d %s\n", usual.client, last_words(err));
		total->findings++;
		return 1;
	}
	n = mode == STUMBLE_SIGNAL ? plan_signals(&s, &plans)
	    : mode == STUMBLE_EINTR
		    ? add(&plans, 0, (struct plan){.what = STUMBLE_EINTR})
		    : plan_failures(&s, &plans);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return 1;
	for (size_t i = 0, all = n; i < all; i++) {
		if (i == 0)
			n = 0;
		if (chosen(sc, &plans[i]) || (i + 1 == all && n == 0))
			plans[n++] = plans[i];
	}
	fflush(stdout);
	for (unsigned int j = 0; j < jobs; j++) {
		FILE *f;

		if (fork())
			continue;
		prctl(PR_SET_CHILD_SUBREAPER, 1); /* is not inherited */
		snprintf(work + strlen(work), 16, ".%u", j);
		mkdir(work, 0755);
		f = fopen(in_work("said"), "w");
		for (size_t i = j; i < n; i += jobs) {
			try_case(sc, &plans[i], &usual, &t, f);
			fflush(f);
		}
		write(pipes[1], &t, sizeof(t));
		_exit(0);
	}
	close(pipes[1]);
	for (struct tally one;
	     read(pipes[0], &one, sizeof(one)) == sizeof(one);) {
		t.runs += one.runs;
		t.unreached += one.unreached;
		t.usual += one.usual;
		t.refused += one.refused;
		t.findings += one.findings;
	}
	close(pipes[0]);
	while (wait(NULL) > 0)
		;
	for (unsigned int j = 0; j < jobs; j++) {
		char name[sizeof(work) + 16], line[TEXT];
		FILE *f;

		snprintf(name, sizeof(name), "%s.%u/said", work, j);
		f = fopen(name, "r");
		while (f && fgets(line, sizeof(line), f))
			fputs(line, stdout);
		if (f)
			fclose(f);
	}
	printf("%s %s: %zu sites, %zu calls, %lu runs: %lu as ever, %lu "
	       "refused in words, %lu not reached, %lu wrong\n",
	       t.findings || t.runs == 0 ? "FAIL" : "ok", sc->name,
	       sites_of(&s), s.count, t.runs, t.usual, t.refused, t.unreached,
	       t.findings);
	fflush(stdout);
	*sites += sites_of(&s);
	total->runs += t.runs;
	total->unreached += t.unreached;
	total->usual += t.usual;
	total->refused += t.refused;
	total->findings += t.findings;
	free(plans);
	free(s.site);
	free(s2.site);
	return t.findings != 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: faults [-j JOBS] [-k EVERY] [-m "
			"fail|signal|eintr] [-s SCENE] [-v] SCENES\n");
	return 64;
}

int main(int argc, char **argv)
{
	struct tally total = {0};
	size_t sites = 0, played = 0;
	int opt, bad = 0;

	personality(ADDR_NO_RANDOMIZE); /* one place for a program to lie */
	while ((opt = getopt(argc, argv, "j:k:m:s:v")) != -1) {
		switch (opt) {
		case 'j':
			jobs = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'k':
			every = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			mode = !strcmp(optarg, "signal")  ? STUMBLE_SIGNAL
			       : !strcmp(optarg, "eintr") ? STUMBLE_EINTR
							  : STUMBLE_FAIL;
			break;
		case 's':
			only = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return usage();
		}
	}
	if (optind + 1 != argc || jobs < 1 || every < 1 || !getenv("B") ||
	    read_scenes(argv[optind]) < 0)
		return usage();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(work, sizeof(work), "%s/w", getenv("B"));
	mkdir(work, 0755);
	for (size_t i = 0; i < scene_count; i++) {
		if (only && !strstr(scenes[i].name, only))
			continue;
		bad += play(&scenes[i], &total, &sites);
		played++;
	}
	printf("faults: %zu scenes, %zu call sites, %lu runs: %lu ended as "
	       "ever, %lu refused in words, %lu not reached, %lu wrong\n",
	       played, sites, total.runs, total.usual, total.refused,
	       total.unreached, total.findings);
	return bad != 0;
}
