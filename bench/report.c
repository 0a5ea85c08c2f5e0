/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - the metrics as a table, as JSON, as a picture.
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

/* --- picture -------------------------------------------------------------- */

#define ROW   26
#define LEFT  310 /* where 0 is */
#define WIDTH 420
#define RIGHT 80

/* Peers are tens of times slower: they have a scale of their own. */
static bool is_ratio(const struct metric *m, bool peers)
{
	return strstr(m->name, "ratio") &&
	       peers == (strstr(m->name, "ratio_floor") == NULL);
}

static double top_of(bool peers)
{
	double top = 1;

	for (int i = 0; i < metrics; i++)
		if (is_ratio(&metric[i], peers) && metric[i].value > top)
			top = metric[i].value;
	return top * 1.25;
}

static void bar(FILE *f, const struct metric *m, int y, double top)
{
	double end = LEFT + WIDTH * m->value / top;

	fprintf(f,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n"
		"<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" "
		"fill=\"#4a7ab5\"/>\n",
		LEFT - 8, y + 12, m->name, LEFT, y, end - LEFT);
	if (m->spread) {
		double lo = LEFT + WIDTH * m->lo / top;
		double hi = LEFT + WIDTH * m->hi / top;

		if (hi > LEFT + WIDTH)
			hi = LEFT + WIDTH;
		fprintf(f,
			"<path d=\"M%.1f %dH%.1fM%.1f %dv8M%.1f %dv8\" "
			"stroke=\"#222\" fill=\"none\"/>\n",
			lo, y + 7, hi, lo, y + 3, hi, y + 3);
	}
	fprintf(f, "<text x=\"%d\" y=\"%d\">%.2f</text>\n", LEFT + WIDTH + 8,
		y + 12, m->value);
}

/* One group of bars with a line at 1; returns where the next may begin. */
static int group(FILE *f, bool peers, const char *title, int y)
{
	double top = top_of(peers);
	int first = y;

	y += ROW;
	for (int i = 0; i < metrics; i++) {
		if (!is_ratio(&metric[i], peers))
			continue;
		bar(f, &metric[i], y, top);
		y += ROW;
	}
	if (y == first + ROW)
		return first;
	fprintf(f,
		"<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n"
		"<path d=\"M%.1f %dV%d\" stroke=\"#b33\" "
		"stroke-dasharray=\"4 3\"/>\n",
		LEFT, first + 14, title, LEFT + WIDTH / top, first + ROW - 4,
		y - 6);
	return y + ROW / 2;
}

int write_plot(const char *path)
{
	FILE *f = fopen(path, "we");
	int rows = 6, y;

	if (!f) {
		fprintf(stderr, "bench: open %s: %m\n", path);
		return -1;
	}
	for (int i = 0; i < metrics; i++)
		rows += strstr(metric[i].name, "ratio") != NULL;
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
		"height=\"%d\" font-family=\"sans-serif\" "
		"font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" "
		"fill=\"#fff\"/>\n",
		LEFT + WIDTH + RIGHT, rows * ROW);
	y = group(f, false,
		  "to the floor (1, dashed): less is better, of churn more", 8);
	group(f, true, "to mote (1, dashed)", y);
	fprintf(f, "</svg>\n");
	if (fclose(f) != 0) {
		fprintf(stderr, "bench: write %s: %m\n", path);
		return -1;
	}
	return 0;
}
