/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - mote(1): which command, help, version.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "cli/cli.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage, *help;
} commands[] = {
	{"run", cmd_run,
	 "run FILE.ini [--set SECTION.KEY=VALUE]... [-- GUEST-ARGS]\n"
	 "run --kernel FILE [--memory SIZE] [--vcpus N] ... [-- GUEST-ARGS]",
	 "launch a guest (or restore one, if the file has [restore])"},
	{"check", cmd_check, "check FILE.ini [--set SECTION.KEY=VALUE]...",
	 "read a file, open nothing, print the effective configuration"},
	{"restore", cmd_restore,
	 "restore SNAPSHOT [--set SECTION.KEY=VALUE]...",
	 "bring a snapshot back to life"},
	{"ctl", cmd_ctl,
	 "ctl SOCKET status|pause|resume|stop|snapshot DIR [--diff] [--json]\n"
	 "ctl SOCKET metrics [--json|--prometheus]",
	 "talk to a running VM"},
	{"snapshot", cmd_snapshot, "snapshot SOCKET DIR [--diff]",
	 "take a snapshot of a running VM"},
	{"inspect", cmd_inspect, "inspect SNAPSHOT [--json]",
	 "say what is in a snapshot"},
	{"verify", cmd_verify, "verify SNAPSHOT",
	 "check every byte of a snapshot"},
	{"compat", cmd_compat, "compat SNAPSHOT",
	 "can this host restore it, and if not, why"},
	{"merge", cmd_merge, "merge DIFF OUT",
	 "fold a diff and its parents into one full snapshot"},
	{"pool", cmd_pool,
	 "pool SNAPSHOT --size N --listen unix:PATH|tcp:ADDRESS:PORT\n"
	 "     [--max N] [--rewind] [--in-process] [--set "
	 "SECTION.KEY=VALUE]...",
	 "parked clones, one per connection"},
	{"doctor", cmd_doctor, "doctor [--uapi] [--json]",
	 "what this host offers, what each lack costs, how to get it"},
	{"fork", cmd_fork, "fork SOCKET [-n N] [--set SECTION.KEY=VALUE]...",
	 "children of a running VM, without a file"},
	{"bench", NULL, "bench", "short self-measurement"},
};

int fail(int code, const char *fmt, ...)
{
	va_list ap;

	if (!fd_takes(STDERR_FILENO, FD_SAY_MS))
		return code; /* nobody reads: the code must do */
	fputs("mote: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

int fail_err(const struct mote_err *err)
{
	return fail(mote_err_exit_code(err), "%s", err->msg);
}

int fail_faults(char *faults)
{
	if (fd_takes(STDERR_FILENO, FD_SAY_MS))
		fputs(faults ? faults : "mote: out of memory\n", stderr);
	free(faults);
	return ERR_CLASS_DATA;
}

bool take_option(int argc, char **argv, int *i, const char *name,
		 const char **value, bool *missing)
{
	size_t n = strlen(name);
	const char *arg = argv[*i];

	if (strncmp(arg, name, n) != 0)
		return false;
	if (arg[n] == '=') {
		*value = arg + n + 1;
		return true;
	}
	if (arg[n] != 0)
		return false;
	*missing = *i + 1 >= argc;
	*value = *missing ? NULL : argv[++*i];
	return true;
}

static void print_usage(FILE *f, const struct command *c)
{
	char text[512];
	char *line;

	snprintf(text, sizeof(text), "%s", c->usage);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		fprintf(f, "  mote %s\n", line);
}

static void help_all(void)
{
	puts("mote: a micro-VMM for unikernels\n\nCommands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!commands[i].run)
			continue;
		print_usage(stdout, &commands[i]);
		printf("      %s\n", commands[i].help);
	}
	puts("  mote --version, --help, COMMAND --help\n\n"
	     "Exit codes: the guest's own where it gave one; else 64 usage, "
	     "65 bad input,\n69 the host lacks something, 70 internal, 71 a "
	     "host call failed, 74 I/O,\n75 the guest crashed, 77 permission, "
	     "128+N ended by signal N.");
}

/* The keys of the one table, for run and check. */
static void help_keys(void)
{
	struct mote_key_info k;

	puts("\nKeys of the file and of --set (section.key, type, default):");
	for (size_t i = 0; mote_config_key(i, &k); i++)
		if (k.since && k.here && k.key[0])
			printf("  %s.%s  %s%s%s%s\n      %s\n", k.section,
			       k.key, k.type, k.def[0] ? " [" : "", k.def,
			       k.def[0] ? "]" : "", k.help);
}

static int help_one(const struct command *c)
{
	printf("Usage:\n");
	print_usage(stdout, c);
	printf("\n%s%s\n", c->help, c->run ? "" : " (not in this version yet)");
	if (c->run == cmd_run)
		puts("\n  --timeline FILE.svg|FILE.csv|-   where the time "
		     "went, step by step\n"
		     "  --json                           the last line on "
		     "stderr as JSON\n"
		     "  --kernel --memory --vcpus --cmdline --name "
		     "--stop-timeout   keys of [vm] as flags\n"
		     "  --disk NAME=PATH                 a disk: [disk.NAME] "
		     "path\n"
		     "  --net NAME=TAP                   a network: [net.NAME] "
		     "tap; @N is descriptor N");
	if (c->run == cmd_run || c->run == cmd_check)
		help_keys();
	return 0;
}

int main(int argc, char **argv)
{
	struct mote_err err = {0};
	int ret;

	if (fd_open_stdio(&err) < 0)
		return fail_err(&err);
	if (argc > 0 && solo5_is_name(argv[0]))
		return cmd_solo5(argc, argv);
	if (argc < 2)
		return fail(ERR_CLASS_USAGE, "no command; mote --help lists "
					     "them");
	if (!strcmp(argv[1], "--version")) {
		printf("mote %s\n", mote_version());
		return 0;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		help_all();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, argv[1]) != 0)
			continue;
		if (argc > 2 && !strcmp(argv[2], "--help"))
			return help_one(c);
		if (!c->run)
			return fail(ERR_CLASS_USAGE,
				    "%s: not in this version yet", c->name);
		ret = c->run(argc - 1, argv + 1);
		/* What could not be said was not done. */
		if ((fflush(stdout) != 0 || ferror(stdout)) && ret == 0)
			ret = fail(ERR_CLASS_IO, "standard output: write: %m");
		return ret;
	}
	return fail(ERR_CLASS_USAGE,
		    "unknown command \"%.64s\"; mote --help lists them",
		    argv[1]);
}
