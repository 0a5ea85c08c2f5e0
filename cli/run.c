/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - mote run, restore, check: configuration in, exit code out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "cli/cli.h"
#include "launch/launch.h"

#define SETS_MAX 256

struct request {
	const char *file;	   /* FILE.ini or SNAPSHOT */
	const char *set[SETS_MAX]; /* "--set" values and flags, in order */
	const char *origin[SETS_MAX];
	char *made[SETS_MAX]; /* owned: assignments made from flags */
	int sets;
	char **guest_args;
	int guest_count;
	const char *timeline;
	bool json;
};

/* Flags that stand for keys of [vm]. */
static const struct {
	const char *flag, *key;
} flags[] = {
	{"--kernel", "vm.kernel"},
	{"--memory", "vm.memory"},
	{"--vcpus", "vm.vcpus"},
	{"--cmdline", "vm.cmdline"},
	{"--name", "vm.name"},
	{"--protocol", "vm.protocol"},
	{"--stop-timeout", "vm.stop_timeout"},
};

/* Flags NAME=VALUE that stand for a key of [disk.NAME] or [net.NAME]. */
static const struct {
	const char *flag, *section, *key;
	const char *at_key; /* what "@VALUE" sets; NULL: nothing of its own */
} family_flags[] = {
	{"--disk", "disk", "path", NULL},
	{"--net", "net", "tap", "fd"},
};

static bool add_set(struct request *r, const char *origin, const char *assign)
{
	if (r->sets == SETS_MAX)
		return false;
	r->origin[r->sets] = origin;
	r->set[r->sets++] = assign;
	return true;
}

/* The assignment text (malloc'd or NULL) of a flag is added and owned. */
static bool add_made(struct request *r, const char *origin, char *text)
{
	if (!text || r->sets == SETS_MAX) {
		free(text);
		return false;
	}
	r->made[r->sets] = text;
	return add_set(r, origin, text);
}

static char *join(const char *a, const char *b)
{
	char *text;

	return asprintf(&text, "%s=%s", a, b) < 0 ? NULL : text;
}

static bool take_flag(struct request *r, int argc, char **argv, int *i,
		      bool *missing)
{
	for (size_t k = 0; k < ARRAY_SIZE(flags); k++) {
		const char *value = NULL;

		if (!take_option(argc, argv, i, flags[k].flag, &value, missing))
			continue;
		return *missing ||
		       add_made(r, flags[k].flag, join(flags[k].key, value));
	}
	return false;
}

/* "NAME=VALUE"; without a '=' it is a name, and its empty value is told. */
static char *join_family(size_t k, const char *text)
{
	int name = (int)strcspn(text, "=");
	const char *value = text + name + (text[name] == '=');
	const char *key = family_flags[k].key;
	char *made;

	if (family_flags[k].at_key && value[0] == '@') {
		key = family_flags[k].at_key;
		value++;
	}
	return asprintf(&made, "%s.%.*s.%s=%s", family_flags[k].section, name,
			text, key, value) < 0
		       ? NULL
		       : made;
}

static bool take_family_flag(struct request *r, int argc, char **argv, int *i,
			     bool *missing)
{
	for (size_t k = 0; k < ARRAY_SIZE(family_flags); k++) {
		const char *value = NULL;

		if (!take_option(argc, argv, i, family_flags[k].flag, &value,
				 missing))
			continue;
		return *missing ||
		       add_made(r, family_flags[k].flag, join_family(k, value));
	}
	return false;
}

static int parse_args(struct request *r, int argc, char **argv)
{
	memset(r, 0, sizeof(*r));
	for (int i = 1; i < argc; i++) {
		const char *value = NULL;
		bool missing = false;

		if (!strcmp(argv[i], "--")) {
			r->guest_args = argv + i + 1;
			r->guest_count = argc - i - 1;
			break;
		}
		if (!strcmp(argv[i], "--json"))
			r->json = true;
		else if (take_option(argc, argv, &i, "--set", &value,
				     &missing)) {
			if (value && !add_set(r, "--set", value))
				return fail(ERR_CLASS_USAGE,
					    "more than %d --set", SETS_MAX);
		} else if (take_option(argc, argv, &i, "--timeline", &value,
				       &missing))
			r->timeline = value;
		else if (take_flag(r, argc, argv, &i, &missing) ||
			 take_family_flag(r, argc, argv, &i, &missing))
			;
		else if (r->sets == SETS_MAX)
			return fail(ERR_CLASS_USAGE, "more than %d settings",
				    SETS_MAX);
		else if (argv[i][0] == '-' && argv[i][1])
			return fail(ERR_CLASS_USAGE,
				    "%s: unknown option %s; mote %s --help",
				    argv[0], argv[i], argv[0]);
		else if (r->file)
			return fail(ERR_CLASS_USAGE,
				    "%s: two files, %s and %s (guest "
				    "arguments stand after --)",
				    argv[0], r->file, argv[i]);
		else
			r->file = argv[i];
		if (missing)
			return fail(ERR_CLASS_USAGE, "%s: %s needs a value",
				    argv[0], argv[i]);
	}
	return 0;
}

static void request_fini(struct request *r)
{
	for (int i = 0; i < r->sets; i++)
		free(r->made[i]);
}

/* All of them, so that all faults are told at once. */
static int apply_sets(struct request *r, struct mote_config *cfg)
{
	char *all = NULL;
	size_t len;
	FILE *f = open_memstream(&all, &len);
	int bad = 0;

	for (int i = 0; f && i < r->sets; i++) {
		char *faults = NULL;

		if (mote_config_set(cfg, r->origin[i], r->set[i], &faults) < 0)
			bad++;
		if (faults)
			fputs(faults, f);
		free(faults);
	}
	if (!f || fclose(f) != 0)
		return fail(ERR_CLASS_OS, "out of memory");
	if (bad)
		return fail_faults(all);
	free(all);
	return 0;
}

/* What came after the file: --set, flags, guest arguments. */
static int apply(struct request *r, struct mote_config *cfg)
{
	int ret = r->sets ? apply_sets(r, cfg) : 0;

	if (ret)
		return ret;
	if (r->guest_count &&
	    mote_config_append_args(cfg, r->guest_args, r->guest_count) < 0)
		return fail(ERR_CLASS_DATA,
			    "guest arguments: together with vm.cmdline they "
			    "are too long or hold control characters");
	return 0;
}

/* Read the file, then what came on the command line, then check. */
static int load_config(struct request *r, struct mote_config *cfg)
{
	char *faults = NULL;
	int ret = 0;

	if (r->file && mote_config_read(cfg, r->file, &faults) < 0)
		return fail_faults(faults);
	ret = apply(r, cfg);
	if (ret == 0 && mote_config_check(cfg, r->file, &faults) < 0)
		return fail_faults(faults);
	return ret;
}

/* --- run --------------------------------------------------------------- */

static void print_end(const struct request *r, const struct launch_result *res)
{
	static const char *const name[] = {"none", "exit", "reset", "crash",
					   "killed"};
	char msg[MOTE_ERR_MAX];
	size_t n = 0;

	for (const char *p = res->err.msg; *p && n < sizeof(msg) - 1; p++)
		msg[n++] = *p == '"' || *p == '\\' || *p < ' ' ? '\'' : *p;
	msg[n] = 0;
	if (!fd_takes(STDERR_FILENO, FD_SAY_MS))
		return;
	if (r->json) {
		fprintf(stderr,
			"{\"end\":\"%s\",\"code\":%d,\"code_from\":\"%s\","
			"\"message\":\"%s\"}\n",
			name[res->end], res->exit_code,
			res->end == MOTE_END_EXIT ? "guest" : "mote", msg);
		return;
	}
	switch (res->end) {
	case MOTE_END_EXIT:
		fprintf(stderr, "mote: the guest ended with code %d\n",
			res->exit_code);
		break;
	case MOTE_END_CRASH:
		fprintf(stderr, "mote: the guest crashed: %s\n", res->err.msg);
		break;
	case MOTE_END_RESET:
		fprintf(stderr, "mote: the guest asked for a reset and was "
				"ended\n");
		break;
	default:
		fprintf(stderr, "mote: the guest was ended by signal %d\n",
			res->exit_code - 128);
	}
}

static void print_console(void *opaque, const char *name)
{
	const struct request *r = opaque;

	if (!fd_takes(STDERR_FILENO, FD_SAY_MS))
		return;
	fprintf(stderr,
		r->json ? "{\"console\":\"%s\"}\n" : "mote: console: %s\n",
		name);
}

static int launch(struct request *r, struct mote_config *cfg,
		  struct mote_snapshot *snap, struct mote_timeline *timeline)
{
	const struct launch_options opt = {
		.cfg = cfg,
		.snapshot = snap,
		.timeline = timeline,
		.kernel_fd = -1,
		.netns_fd = -1,
		.claim_fd = -1,
		.created_fd = -1,
		.console = print_console,
		.opaque = r,
	};
	struct launch_result res = {0};
	struct mote_err err = {0};
	int ret = launch_run(&opt, &res, &err);

	if (ret < 0)
		return fail_err(&err);
	if (timeline) {
		fflush(stdout);
		ret = timeline_write(timeline, r->timeline);
		if (ret)
			return ret;
	}
	print_end(r, &res);
	return res.exit_code;
}

/* Shared with the VM process, so that its marks come back. */
static struct mote_timeline *make_timeline(const struct request *r)
{
	struct mote_timeline *t;

	if (!r->timeline)
		return NULL;
	t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		return NULL;
	mote_timeline_mark(t, "start");
	return t;
}

/* The machine is the snapshot's, whatever the file says of it. */
static int take_shape(struct mote_config *cfg, struct mote_snapshot *snap,
		      struct mote_err *err)
{
	static const char *const keys[] = {
		"vm.protocol",	 "vm.memory", "vm.vcpus", "vm.kernel",
		"vm.cmdline",	 "cpu.psci",  "cpu.sve",  "cpu.pauth",
		"cpu.hpt_order", "cpu.mmu",   "cpu.irq"};
	struct mote_config *saved = mote_config_new();
	int ret = saved ? mote_snapshot_config(snap, saved, err)
			: err_set(err, ENOMEM, "configuration");

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(keys); i++) {
		cleanup_free char *assign = NULL;
		char buf[64];
		const char *v =
			mote_config_get(saved, keys[i], buf, sizeof(buf));

		if (!v || !*v)
			continue;
		if (asprintf(&assign, "%s=%s", keys[i], v) < 0) {
			assign = NULL; /* asprintf leaves it undefined */
			ret = err_set(err, ENOMEM, "configuration");
		} else
			mote_config_set(cfg, "manifest", assign, NULL);
	}
	mote_config_free(saved);
	return ret;
}

static int run_config(struct request *r, struct mote_config *cfg,
		      struct mote_timeline *timeline)
{
	char buf[8];
	const char *from =
		mote_config_get(cfg, "restore.from", buf, sizeof(buf));
	struct mote_snapshot *snap = NULL;
	struct mote_err err = {0};
	int ret = 0;

	if (from && r->guest_count)
		return fail(ERR_CLASS_USAGE, "run: a restored guest has its "
					     "arguments already");
	if (from) {
		ret = mote_snapshot_open(AT_FDCWD, from, &snap, &err);
		if (ret == 0)
			ret = take_shape(cfg, snap, &err);
		if (ret < 0) {
			mote_snapshot_close(snap);
			return fail_err(&err);
		}
	}
	ret = launch(r, cfg, snap, timeline);
	mote_snapshot_close(snap);
	return ret;
}

int cmd_run(int argc, char **argv)
{
	struct request r;
	int ret = parse_args(&r, argc, argv);
	struct mote_timeline *timeline = make_timeline(&r);
	struct mote_config *cfg = mote_config_new();

	if (ret == 0 && !r.file && r.sets == 0)
		ret = fail(ERR_CLASS_USAGE, "run: expected FILE.ini or "
					    "--kernel FILE");
	if (ret == 0 && !cfg)
		ret = fail(ERR_CLASS_OS, "out of memory");
	if (ret == 0)
		ret = load_config(&r, cfg);
	mote_timeline_mark(timeline, "configuration read");
	if (ret == 0)
		ret = run_config(&r, cfg, timeline);
	mote_config_free(cfg);
	request_fini(&r);
	return ret;
}

int cmd_check(int argc, char **argv)
{
	struct request r;
	int ret = parse_args(&r, argc, argv);
	struct mote_config *cfg = mote_config_new();
	char *text;

	if (ret == 0 && !r.file && r.sets == 0)
		ret = fail(ERR_CLASS_USAGE, "check: expected FILE.ini");
	if (ret == 0 && !cfg)
		ret = fail(ERR_CLASS_OS, "out of memory");
	if (ret == 0)
		ret = load_config(&r, cfg);
	if (ret == 0) {
		text = mote_config_describe(cfg);
		if (!text)
			ret = fail(ERR_CLASS_OS, "out of memory");
		else if (fputs(text, stdout) < 0 || fflush(stdout) != 0)
			ret = fail(ERR_CLASS_IO, "standard output: %m");
		free(text);
	}
	mote_config_free(cfg);
	request_fini(&r);
	return ret;
}

int cmd_restore(int argc, char **argv)
{
	struct request r;
	int ret = parse_args(&r, argc, argv);
	struct mote_timeline *timeline = make_timeline(&r);
	struct mote_config *cfg = mote_config_new();
	struct mote_snapshot *snap = NULL;
	struct mote_err err = {0};
	char *faults = NULL;

	if (ret == 0 && (!r.file || !cfg))
		ret = fail(ERR_CLASS_USAGE, "restore: expected a SNAPSHOT "
					    "directory");
	if (ret == 0 && r.guest_count)
		ret = fail(ERR_CLASS_USAGE, "restore: a restored guest has its "
					    "arguments already");
	if (ret == 0 &&
	    (mote_snapshot_open(AT_FDCWD, r.file, &snap, &err) < 0 ||
	     mote_snapshot_config(snap, cfg, &err) < 0))
		ret = fail_err(&err);
	if (ret == 0)
		ret = apply(&r, cfg);
	if (ret == 0 && mote_config_check(cfg, r.file, &faults) < 0)
		ret = fail_faults(faults);
	mote_timeline_mark(timeline, "configuration read");
	if (ret == 0)
		ret = launch(&r, cfg, snap, timeline);
	mote_snapshot_close(snap);
	mote_config_free(cfg);
	request_fini(&r);
	return ret;
}
