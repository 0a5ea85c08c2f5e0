/* SPDX-License-Identifier: Apache-2.0 */
/*
 * solo5.c - the command line of Solo5's hvt tender, when this program is
 * started as solo5-hvt: tools that exec a tender can exec mote.
 *
 *   solo5-hvt [--mem=512] [--net:NAME=IFACE|@FD] [--net-mac:NAME=MAC]
 *             [--block:NAME=PATH] [--block-sector-size:NAME=SIZE]
 *             [--dumpcore=DIR] [--] KERNEL [ARGS]
 *
 * The exit status is the guest's; 1 where the guest gave none, as there.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "cli/cli.h"
#include "launch/launch.h"

#define FAILED	     1
#define NAME_MAX_LEN 67

static const char *prog;

static int __attribute__((format(printf, 1, 2))) complain(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", prog);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return FAILED;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: %s [ CORE OPTIONS ] [ MODULE OPTIONS ] [ -- ] KERNEL "
		"[ ARGS ]\n"
		"KERNEL is the filename of the unikernel to run.\n"
		"ARGS are optional arguments passed to the unikernel.\n"
		"Core options:\n"
		"  [ --mem=512 ] (guest memory in MB)\n"
		"    --help (display this help)\n"
		"    --version (display version information)\n"
		"Module options:\n"
		"    --net:NAME=IFACE | @NN (attach tap at IFACE or at fd @NN "
		"as network NAME)\n"
		"  [ --net-mac:NAME=HWADDR ] (set HWADDR for network NAME)\n"
		"    --block:NAME=PATH (attach block device or file at PATH "
		"as block storage NAME)\n"
		"  [ --block-sector-size:NAME=SIZE ] (a power of two, at "
		"least 512)\n"
		"    --dumpcore=DIR (enable guest core dump on abort/trap)\n",
		prog);
	return FAILED;
}

/* One assignment of section.key; faults are told in our name. */
static int set(struct mote_config *cfg, const char *option, const char *key,
	       const char *value)
{
	cleanup_free char *assign = NULL;
	cleanup_free char *faults = NULL;

	if (asprintf(&assign, "%s=%s", key, value) < 0) {
		assign = NULL;
		return complain("out of memory");
	}
	if (mote_config_set(cfg, option, assign, &faults) == 0)
		return 0;
	if (faults)
		faults[strcspn(faults, "\n")] = 0;
	return complain("%s", faults ? faults : "out of memory");
}

static bool is_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]))
			return false;
	return len > 0 && len <= NAME_MAX_LEN;
}

/* "NAME=VALUE" to [kind.NAME] key. */
static int set_device(struct mote_config *cfg, const char *option,
		      const char *rest, const char *kind, const char *key)
{
	const char *eq = strchr(rest, '=');
	char section[NAME_MAX_LEN + 32];
	const char *value;

	if (!eq || !is_name(rest, (size_t)(eq - rest)) || !eq[1]) {
		complain("Invalid option: `%s'", option);
		return usage();
	}
	value = eq + 1;
	if (!strcmp(key, "tap") && *value == '@') {
		key = "fd";
		value++;
	}
	snprintf(section, sizeof(section), "%s.%.*s.%s", kind, (int)(eq - rest),
		 rest, key);
	return set(cfg, option, section, value);
}

static int set_memory(struct mote_config *cfg, const char *option,
		      const char *value)
{
	char text[32];
	char *end;
	unsigned long mem = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)value[0]) || *end || mem == 0)
		return complain("Malformed argument to --mem: `%s'", value);
	snprintf(text, sizeof(text), "%luM", mem);
	return set(cfg, option, "vm.memory", text);
}

static const char *after(const char *arg, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(arg, prefix, n) == 0 ? arg + n : NULL;
}

static bool is_block_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/* A block device where the path is one: Solo5's option takes both. */
static int set_block(struct mote_config *cfg, const char *option,
		     const char *rest)
{
	const char *eq = strchr(rest, '=');
	cleanup_free char *type = NULL;
	int ret = set_device(cfg, option, rest, "disk", "path");

	if (ret || !eq || !is_block_device(eq + 1))
		return ret;
	if (asprintf(&type, "%.*s=block", (int)(eq - rest), rest) < 0) {
		type = NULL;
		return complain("out of memory");
	}
	return set_device(cfg, option, type, "disk", "type");
}

static int take(struct mote_config *cfg, const char *arg)
{
	const char *rest;

	if ((rest = after(arg, "--mem=")))
		return set_memory(cfg, arg, rest);
	if ((rest = after(arg, "--net-mac:")))
		return set_device(cfg, arg, rest, "net", "mac");
	if ((rest = after(arg, "--net:")))
		return set_device(cfg, arg, rest, "net", "tap");
	if ((rest = after(arg, "--block-sector-size:")))
		return set_device(cfg, arg, rest, "disk", "sector_size");
	if ((rest = after(arg, "--block:")))
		return set_block(cfg, arg, rest);
	if ((rest = after(arg, "--dumpcore=")))
		return set(cfg, arg, "vm.core", rest);
	complain("Invalid option: `%s'", arg);
	return usage();
}

static int configure(struct mote_config *cfg, int argc, char **argv)
{
	int ret = set(cfg, prog, "vm.protocol", "hvt");
	cleanup_free char *faults = NULL;
	int i = 1;

	if (ret == 0)
		ret = set(cfg, prog, "vm.memory", "512M");
	/* There SIGTERM is the end at once. */
	if (ret == 0)
		ret = set(cfg, prog, "vm.stop_timeout", "0");
	for (; ret == 0 && i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "--help"))
			return usage();
		ret = take(cfg, argv[i]);
	}
	if (ret)
		return ret;
	if (i >= argc) {
		complain("Missing KERNEL operand");
		return usage();
	}
	ret = set(cfg, prog, "vm.kernel", argv[i++]);
	if (ret)
		return ret;
	if (i < argc && mote_config_append_args(cfg, argv + i, argc - i) < 0)
		return complain("Guest command line too long, or with control "
				"characters");
	if (mote_config_check(cfg, prog, &faults) < 0) {
		if (faults)
			faults[strcspn(faults, "\n")] = 0;
		return complain("%s", faults ? faults : "out of memory");
	}
	return 0;
}

static int launch(struct mote_config *cfg)
{
	const struct launch_options opt = {
		.cfg = cfg,
		.no_stdin = true,
		.kernel_fd = -1,
		.netns_fd = -1,
		.created_fd = -1,
	};
	struct launch_result res = {0};
	struct mote_err err = {0};
	int ret = launch_run(&opt, &res, &err);

	if (ret < 0)
		return complain("%s", err.msg);
	if (res.end == MOTE_END_EXIT)
		return res.exit_code;
	if (res.end == MOTE_END_KILLED)
		return complain("Exiting on signal %d", res.exit_code - 128);
	return complain("%s", res.err.msg);
}

int cmd_solo5(int argc, char **argv)
{
	struct mote_config *cfg = mote_config_new();
	const char *slash = strrchr(argv[0], '/');
	int ret;

	prog = slash ? slash + 1 : argv[0];
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		printf("%s (mote %s)\nABI version 2\n", prog, mote_version());
		return 0;
	}
	if (!cfg)
		return complain("out of memory");
	ret = configure(cfg, argc, argv);
	if (ret == 0)
		ret = launch(cfg);
	mote_config_free(cfg);
	return ret;
}

bool solo5_is_name(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	const char *name = slash ? slash + 1 : argv0;

	return !strcmp(name, "solo5-hvt") || !strcmp(name, "solo5-hvt-debug");
}
