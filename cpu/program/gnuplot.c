#include "cpu/program/gnuplot.h"
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void vly_gnuplot_escape(char *to, size_t bytes, const char *from) {
    size_t n = 0;
    for (; *from && n + 3 < bytes; from++) {
        if (*from == '"' || *from == '\\') to[n++] = '\\';
        to[n++] = *from;
    }
    to[n] = '\0';
}

vly_status vly_gnuplot_open(FILE **out, const char *path, int width, int height) {
    char name[2600];
    const char *end = strrchr(path, '.');
    const bool svg = end && !strcmp(end, ".svg");
    if (!svg && !(end && !strcmp(end, ".png")))
        return vly_fail(VLY_EINVAL, "--out %s: the name has to end in .png or .svg", path);
    if (system("command -v gnuplot >/dev/null 2>&1") != 0)
        return vly_fail(VLY_ENOTFOUND, "gnuplot is not installed: apt-get install gnuplot-nox");
    FILE *probe = fopen(path, "ab"); /* gnuplot would go on and draw to standard output */
    if (!probe) return vly_fail(VLY_EIO, "cannot write %s: %s", path, strerror(errno));
    fclose(probe);
    signal(SIGPIPE, SIG_IGN);
    FILE *g = *out = popen("gnuplot", "w");
    if (!g) return vly_fail(VLY_EIO, "cannot start gnuplot: %s", strerror(errno));
    vly_gnuplot_escape(name, sizeof name, path);
    fprintf(g,
            "set terminal %s size %d,%d noenhanced font \"sans,12\" background rgb \"white\"\nset "
            "output \"%s\"\n",
            svg ? "svg" : "pngcairo", width, height, name);
    fprintf(g, "set grid lc rgb \"#dddddd\"\nset border 3\nset tics nomirror\nset key outside "
               "bottom center horizontal\nset bmargin 5\n");
    return VLY_OK;
}

vly_status vly_gnuplot_close(FILE *g, const char *path) {
    return pclose(g) == 0 ? VLY_OK : vly_fail(VLY_EIO, "gnuplot could not draw %s", path);
}
