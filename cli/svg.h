/* SPDX-License-Identifier: Apache-2.0 */
/*
 * svg.h - what the pictures of mote and of bench share: frame and axes.
 * Errors of writing show when the caller closes the file.
 */
#ifndef CLI_SVG_H
#define CLI_SVG_H

#include <stdio.h>

static inline void svg_begin(FILE *f, int width, int height)
{
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
		"height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		width, height);
}

static inline void svg_end(FILE *f)
{
	fprintf(f, "</svg>\n");
}

/* Between marks of an axis up to top: 1, 2 or 5 and zeros; at most 10. */
static inline double svg_step(double top)
{
	double step = 1;

	while (step * 100 < top)
		step *= 10;
	if (step * 10 >= top)
		return step;
	if (step * 20 >= top)
		return step * 2;
	return step * 50 >= top ? step * 5 : step * 10;
}

/* From (x, y) to the right, 0 to top, its name below. */
static inline void svg_axis_x(FILE *f, double x, double y, double width,
			      double top, const char *name)
{
	fprintf(f, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#222\"/>\n", x, y,
		width);
	for (double v = 0; v <= top; v += svg_step(top))
		fprintf(f,
			"<path d=\"M%.1f %.1fv5\" stroke=\"#222\"/>\n"
			"<text x=\"%.1f\" y=\"%.1f\" "
			"text-anchor=\"middle\">%.0f</text>\n",
			x + width * v / top, y, x + width * v / top, y + 18, v);
	fprintf(f,
		"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s"
		"</text>\n",
		x + width / 2, y + 36, name);
}

#endif
