/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plot.c - the pictures of make bench-plot: the ratios; what a rewind costs
 * by the pages that were written; and, mote's own, where the time of a launch
 * and of a restore goes.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/svg.h"
#include "saved.h"

static FILE *picture(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		fprintf(stderr, "bench: open %s: %m\n", path);
	return f;
}

/* Say where it is; 0 or -1. */
static int picture_done(FILE *f, const char *path)
{
	svg_end(f);
	if (fclose(f) != 0) {
		fprintf(stderr, "bench: write %s: %m\n", path);
		return -1;
	}
	printf("%s\n", path);
	return 0;
}

/* --- ratios ----------------------------------------------------------------
 */

#define ROW   26
#define LEFT  310 /* where 0 is */
#define WIDTH 420
#define RIGHT 80

/* Peers are tens of times slower: each kind has a scale of its own. */
enum kind { TO_FLOOR, TO_MOTE, TO_OTHER, KINDS, NO_RATIO };

static const char *const titles[KINDS] = {
	[TO_FLOOR] = "to the floor (1, dashed): less is better, of churn more",
	[TO_MOTE] = "peers to mote (1, dashed)",
	[TO_OTHER] = "to what the name says (1, dashed): less is better",
};

static enum kind kind_of(const struct metric *m)
{
	static const char *const peers[] = {"ratio_qemu", "ratio_kvmtool",
					    "ratio_solo5"};

	if (!strstr(m->name, "ratio_"))
		return NO_RATIO;
	for (int i = 0; i < 3; i++)
		if (strstr(m->name, peers[i]))
			return TO_MOTE;
	return strstr(m->name, "ratio_floor") ? TO_FLOOR : TO_OTHER;
}

static double top_of(enum kind kind)
{
	double top = 1;

	for (int i = 0; i < metrics; i++)
		if (kind_of(&metric[i]) == kind && metric[i].value > top)
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
static int group(FILE *f, enum kind kind, int y)
{
	double top = top_of(kind);
	int first = y;

	y += ROW;
	for (int i = 0; i < metrics; i++) {
		if (kind_of(&metric[i]) != kind)
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
		LEFT, first + 14, titles[kind], LEFT + WIDTH / top,
		first + ROW - 4, y - 6);
	return y + ROW / 2;
}

static int plot_ratios(const char *path)
{
	FILE *f = picture(path);
	int rows = 2 * KINDS, y = 8;

	if (!f)
		return -1;
	for (int i = 0; i < metrics; i++)
		rows += kind_of(&metric[i]) != NO_RATIO;
	svg_begin(f, LEFT + WIDTH + RIGHT, rows * ROW);
	for (int kind = 0; kind < KINDS; kind++)
		y = group(f, kind, y);
	return picture_done(f, path);
}

/* --- rewind ----------------------------------------------------------------
 */

#define PLOT_X 80 /* of 0, 0 */
#define PLOT_Y 360
#define PLOT_W 560
#define PLOT_H 310

/* Upwards from the corner at x, 0 to top; its marks and name beside it. */
static void axis_y(FILE *f, int x, int side, double top, const char *name)
{
	const char *anchor = side < 0 ? "end" : "start";

	fprintf(f, "<path d=\"M%d %dv%d\" stroke=\"#222\"/>\n", x, PLOT_Y,
		-PLOT_H);
	for (double v = 0; v <= top; v += svg_step(top)) {
		double y = PLOT_Y - PLOT_H * v / top;

		fprintf(f,
			"<path d=\"M%d %.1fh%d\" stroke=\"#222\"/>\n"
			"<text x=\"%d\" y=\"%.1f\" "
			"text-anchor=\"%s\">%.0f</text>\n",
			x, y, 5 * side, x + 8 * side, y + 4, anchor, v);
	}
	fprintf(f,
		"<text transform=\"translate(%d %d) rotate(-90)\" "
		"text-anchor=\"middle\">%s</text>\n",
		x + 54 * side + 4, PLOT_Y - PLOT_H / 2, name);
}

static void rewind_points(FILE *f, const struct rewind_cost *c, double x_top,
			  double y_top)
{
	double x_scale = PLOT_W / x_top, y_scale = PLOT_H / y_top;

	for (int i = 0; i < c->n; i++) {
		const struct rewind_point *p = &c->point[i];
		double x = PLOT_X + p->pages * x_scale;
		double hi = p->hi < y_top ? p->hi : y_top;

		fprintf(f,
			"<path d=\"M%.1f %.1fV%.1f\" stroke=\"#222\"/>\n"
			"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" "
			"fill=\"#4a7ab5\"><title>%d pages: %.1f us</title>"
			"</circle>\n",
			x, PLOT_Y - p->lo * y_scale, PLOT_Y - hi * y_scale, x,
			PLOT_Y - p->us * y_scale, p->pages, p->us);
	}
}

static int plot_rewind(const char *path, const struct rewind_cost *c)
{
	double x_top = c->point[c->n - 1].pages * 1.02, y_top = 0;
	FILE *f = picture(path);

	if (!f)
		return -1;
	for (int i = 0; i < c->n; i++)
		if (c->point[i].us > y_top)
			y_top = c->point[i].us;
	y_top *= 1.2;
	svg_begin(f, PLOT_X + PLOT_W + 90, PLOT_Y + 48);
	fprintf(f,
		"<text x=\"%d\" y=\"24\" font-weight=\"bold\">A rewind, by the "
		"pages that the guest wrote</text>\n",
		PLOT_X);
	svg_axis_x(f, PLOT_X, PLOT_Y, PLOT_W, x_top,
		   "pages of 4 KiB written since, in runs of 64");
	axis_y(f, PLOT_X, -1, y_top, "microseconds, of this host");
	axis_y(f, PLOT_X + PLOT_W, 1, y_top / c->pio_us,
	       "round trips of a userspace port exit");
	fprintf(f,
		"<path d=\"M%d %.1fL%d %.1f\" stroke=\"#b33\" "
		"stroke-dasharray=\"4 3\"/>\n",
		PLOT_X, PLOT_Y - PLOT_H * c->fixed / y_top, PLOT_X + PLOT_W,
		PLOT_Y - PLOT_H * (c->fixed + c->per_page * x_top) / y_top);
	rewind_points(f, c, x_top, y_top);
	fprintf(f,
		"<text x=\"%d\" y=\"70\">dots: medians of %d runs, "
		"p10 to p90</text>\n"
		"<text x=\"%d\" y=\"90\" fill=\"#b33\">dashed: %.1f us + "
		"%.3f us for each page</text>\n",
		PLOT_X + 20, c->runs, PLOT_X + 20, c->fixed, c->per_page);
	return picture_done(f, path);
}

/* --- where the time goes -------------------------------------------------- */

#define TRIES 5

/* The picture of the run in the middle of some; each draws its own. */
static int plot_timeline(const char *build, const char *name,
			 const char *const args[])
{
	char option[TRIES][512], path[512];
	struct subject *s[TRIES];
	bool ok;

	for (int i = 0; i < TRIES; i++) {
		const char *const more[] = {option[i], NULL};

		snprintf(option[i], sizeof(option[i]),
			 "--timeline=%.400s/%s.%d.svg", build, name, i);
		s[i] = subject_new("mote", build, "mote", args);
		subject_args(s[i], more);
	}
	snprintf(path, sizeof(path), "%.400s/%s.svg", build, name);
	ok = measure(s, TRIES, 1);
	for (int i = 0; i < TRIES; i++) {
		const char *drawn = strchr(option[i], '=') + 1;
		int faster = 0;

		for (int k = 0; k < TRIES; k++)
			faster += s[k]->us[0] < s[i]->us[0] ||
				  (s[k]->us[0] == s[i]->us[0] && k < i);
		if (ok && faster == TRIES / 2)
			ok = rename(drawn, path) == 0;
		else
			unlink(drawn);
	}
	if (!ok)
		return -1;
	printf("%s\n", path);
	return 0;
}

/* Of a guest with 120 MiB that writes 64 pages. */
static int plot_restore(const char *build)
{
	struct saved s;
	const char *const args[] = {"restore", s.dir, "--set",
				    "sandbox.enable=no", NULL};
	int ret;

	if (!saved_make(&s, build, "fill=1 from=8 pages=64 run=64"))
		return -1;
	ret = plot_timeline(build, "bench-restore-timeline", args);
	saved_drop(&s);
	return ret;
}

int plot_all(const char *build)
{
	static const char *const launch[] = {"run", "bench/noop.ini", NULL};
	char path[512];
	int ret;

	snprintf(path, sizeof(path), "%.400s/bench-ratios.svg", build);
	ret = plot_ratios(path);
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return ret;
	if (rewind_cost.pio_us > 0) {
		snprintf(path, sizeof(path), "%.400s/bench-rewind.svg", build);
		ret |= plot_rewind(path, &rewind_cost);
	}
	ret |= plot_timeline(build, "bench-timeline", launch);
	return ret | plot_restore(build);
}
