/* gnuplot.h -- pictures by gnuplot (tool.h).
 *
 *   vly_tool *t;
 *   VLY_TRY(vly_gnuplot_open(&t, "curves.svg", 1000, 600)); // .png or .svg; axes and grid are set
 *   FILE *g = vly_tool_input(t);
 *   fputs("set xlabel ", g), vly_gnuplot_text(g, name), fputs("\nplot x\n", g);
 *   VLY_TRY(vly_tool_close(t, VLY_OK));
 *
 * Every string that is not a constant of this program goes through vly_gnuplot_text: gnuplot runs
 * what stands between backticks inside double quotes.
 */
#ifndef VLY_CPU_GNUPLOT_H
#define VLY_CPU_GNUPLOT_H
#include "cpu/program/tool.h"

vly_status vly_gnuplot_open(vly_tool **out, const char *path, int width, int height);
/* Writes the text as a string in single quotes, where gnuplot substitutes nothing; control
 * characters, line ends and tabs included, become '?'. */
void vly_gnuplot_text(FILE *g, const char *text);
#endif
