/* gnuplot.h -- pictures by gnuplot, through a pipe.
 *
 *   FILE *g;
 *   VLY_TRY(vly_gnuplot_open(&g, "curves.svg", 1000, 600));       // .png or .svg; the house's axes
 * and grid are set fprintf(g, "plot ...\n"); VLY_TRY(vly_gnuplot_close(g, "curves.svg"));
 */
#ifndef VLY_CPU_GNUPLOT_H
#define VLY_CPU_GNUPLOT_H
#include <stdio.h>
#include "common/base/status.h"

vly_status vly_gnuplot_open(FILE **out, const char *path, int width, int height);
vly_status vly_gnuplot_close(FILE *g, const char *path);
/* For a string in double quotes. */
void vly_gnuplot_escape(char *to, size_t bytes, const char *from);
#endif
