/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - the metrics as a table and as JSON.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "measure.h"

void print_table(void)
{
	for (int i = 0; i < metrics; i++)
		printf("%-40s %12.3f  %s\n", metric[i].name, metric[i].value,
		       metric[i].note);
}

/* --- host ----------------------------------------------------------------- */

/* Printable ASCII without quotes. */
static void clean(char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~' || *s == '"' || *s == '\\')
			*s = ' ';
}

static void cpu_model(char *buf, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(buf, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *v = strchr(line, ':');

		if (!v || strncmp(line, "model name", 10) != 0)
			continue;
		v[strcspn(v, "\n")] = 0;
		snprintf(buf, size, "%s", v + 2);
		break;
	}
	if (f)
		fclose(f);
	clean(buf);
}

/* kvm_intel, kvm_amd, ...: what stands behind /dev/kvm. */
static void kvm_module(char *buf, size_t size)
{
	DIR *d = opendir("/sys/module");
	struct dirent *e;
	size_t n = 0;

	buf[0] = 0;
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, "kvm_", 4) && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
					      n ? " " : "", e->d_name);
	if (d)
		closedir(d);
	if (!buf[0])
		snprintf(buf, size, "unknown");
	clean(buf);
}

/* --- JSON ----------------------------------------------------------------- */

int write_json(const char *path)
{
	char cpu[128], module[128];
	struct utsname u;
	FILE *f = fopen(path, "we");
	const char *sep = "";

	if (!f) {
		fprintf(stderr, "bench: open %s: %m\n", path);
		return -1;
	}
	uname(&u);
	cpu_model(cpu, sizeof(cpu));
	kvm_module(module, sizeof(module));
	fprintf(f,
		"{\"host\": {\"kernel\": \"%s\", \"machine\": \"%s\", "
		"\"cpu\": \"%s\", \"cpus\": %ld, \"kvm\": \"%s\"},\n"
		" \"metrics\": {",
		u.release, u.machine, cpu, sysconf(_SC_NPROCESSORS_ONLN),
		module);
	for (int i = 0; i < metrics; i++)
		fprintf(f, "%s\n  \"%s\": %.6g", i ? "," : "", metric[i].name,
			metric[i].value);
	fprintf(f, "\n },\n \"spread\": {");
	for (int i = 0; i < metrics; i++) {
		if (!metric[i].spread)
			continue;
		fprintf(f, "%s\n  \"%s\": [%.6g, %.6g]", sep, metric[i].name,
			metric[i].lo, metric[i].hi);
		sep = ",";
	}
	fprintf(f, "\n }}\n");
	if (fclose(f) != 0) {
		fprintf(stderr, "bench: write %s: %m\n", path);
		return -1;
	}
	return 0;
}
