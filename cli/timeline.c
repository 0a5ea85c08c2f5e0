/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline.c - where the time went: as text, as a table, as a picture.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/svg.h"

#define BAR_H	  18
#define LABEL_W	  180
#define PICTURE_W 640

static double us(const struct mote_timeline *t, uint32_t i)
{
	return (double)(t->mark[i].ns - t->mark[0].ns) / 1e3;
}

static void write_text(FILE *f, const struct mote_timeline *t)
{
	fprintf(f, "%10s %10s  step\n", "at us", "took us");
	for (uint32_t i = 0; i < t->count; i++)
		fprintf(f, "%10.1f %10.1f  %s\n", us(t, i),
			i ? us(t, i) - us(t, i - 1) : 0.0, t->mark[i].name);
}

static void write_csv(FILE *f, const struct mote_timeline *t)
{
	fprintf(f, "at_us,took_us,step\n");
	for (uint32_t i = 0; i < t->count; i++)
		fprintf(f, "%.1f,%.1f,%s\n", us(t, i),
			i ? us(t, i) - us(t, i - 1) : 0.0, t->mark[i].name);
}

static void write_svg(FILE *f, const struct mote_timeline *t)
{
	double end = t->count ? us(t, t->count - 1) : 1;
	int bottom = (int)(t->count + 1) * BAR_H;
	double scale;

	end = end > 0 ? end : 1;
	scale = PICTURE_W / end;
	svg_begin(f, LABEL_W + PICTURE_W + 100, bottom + 48);
	for (uint32_t i = 1; i < t->count; i++) {
		double from = us(t, i - 1), took = us(t, i) - from;
		unsigned int y = i * BAR_H;

		fprintf(f, "<text x=\"4\" y=\"%u\">%s</text>\n", y + 12,
			t->mark[i].name);
		fprintf(f,
			"<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" "
			"height=\"%d\" fill=\"#4a7ab5\"/>\n",
			LABEL_W + from * scale, y + 1,
			took * scale > 1 ? took * scale : 1.0, BAR_H - 4);
		fprintf(f, "<text x=\"%.1f\" y=\"%u\">%.0f us</text>\n",
			LABEL_W + (from + took) * scale + 4, y + 12, took);
	}
	svg_axis_x(f, LABEL_W, bottom, PICTURE_W, end,
		   "microseconds since mote began");
	svg_end(f);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

int timeline_write(const struct mote_timeline *t, const char *path)
{
	FILE *f = stdout;

	if (strcmp(path, "-") != 0)
		f = fopen(path, "we");
	if (!f)
		return fail(ERR_CLASS_IO, "timeline: open %s: %m", path);
	if (ends_with(path, ".svg"))
		write_svg(f, t);
	else if (ends_with(path, ".csv"))
		write_csv(f, t);
	else
		write_text(f, t);
	if ((f == stdout ? fflush(f) : fclose(f)) != 0)
		return fail(ERR_CLASS_IO, "timeline: write %s: %m", path);
	return 0;
}
