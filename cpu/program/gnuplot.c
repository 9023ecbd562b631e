#include "cpu/program/gnuplot.h"
#include <ctype.h>

void vly_gnuplot_text(FILE *g, const char *text) {
    fputc('\'', g);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', g);
        fputc(iscntrl((unsigned char)*text) ? '?' : *text, g);
    }
    fputc('\'', g);
}

vly_status vly_gnuplot_open(vly_tool **out, const char *path, int width, int height) {
    static const char *const argv[] = {"gnuplot", "-d", NULL}; /* -d: no start-up file */
    const bool svg = vly_path_ends_with(path, ".svg");
    if (!svg && !vly_path_ends_with(path, ".png"))
        return vly_fail(VLY_EINVAL, "--out %s: the name has to end in .png or .svg", path);
    if (!vly_tool_is_there(argv[0]))
        return vly_fail(VLY_ENOTFOUND, "gnuplot is not installed: apt-get install gnuplot-nox");
    VLY_TRY(vly_tool_open(out, argv, path));
    fprintf(vly_tool_input(*out),
            "set terminal %s size %d,%d noenhanced font 'sans,12' background rgb 'white'\n"
            "set grid lc rgb '#dddddd'\nset border 3\nset tics nomirror\n"
            "set key outside bottom center horizontal\nset bmargin 5\n",
            svg ? "svg" : "pngcairo", width, height);
    return VLY_OK;
}
