#include "cpu/program/bench_plot.h"
#include <ctype.h>
#include <math.h>
#include <string.h>
#include "cpu/program/gnuplot.h"

enum { LABEL = 160, WIDTH = 900, SERIES = 24 };

static const char *text_of(const json_t *row, const char *key) {
    return json_string_value(json_object_get(row, key));
}

static double number_of(const json_t *row, const char *key) {
    return vly_bench_median(json_object_get(row, key));
}

static const char *row_name(const json_t *row) {
    static const char *const keys[] = {"name", "game", "env", "op"};
    for (int i = 0; i < 4; i++)
        if (text_of(row, keys[i])) return text_of(row, keys[i]);
    return "?";
}

/* ---- bars ---- */

typedef struct {
    char label[LABEL];
    double value;
} bar;

static vly_status draw_bars(const bar *bars, int n, const char *path, const char *axis, double from,
                            bool logarithmic) {
    vly_tool *tool;
    VLY_TRY(vly_gnuplot_open(&tool, path, WIDTH, 90 + 22 * n));
    FILE *g = vly_tool_input(tool);
    fprintf(g, "$d << EOD\n");
    for (int i = 0; i < n; i++) fprintf(g, "%.6g\n", bars[i].value);
    fprintf(g, "EOD\nset ytics (");
    for (int i = 0; i < n; i++) {
        fputs(i ? ", " : "", g);
        vly_gnuplot_text(g, bars[i].label);
        fprintf(g, " %d", i);
    }
    fputs(")\nset xlabel ", g);
    vly_gnuplot_text(g, axis);
    fprintf(g, "\nset yrange [%g:-0.7]\nset key off\nset bmargin 4\n", n - 0.3);
    if (logarithmic) fprintf(g, "set logscale x\nset xrange [*:*] extend\n");
    fprintf(g,
            "plot $d using 1:0:(%g):1:($0-0.35):($0+0.35) with boxxyerror fs solid 0.6 "
            "noborder lc rgb '#3366aa', "
            "$d using 1:0:(sprintf(' %%.3g', $1)) with labels left font ',10'\n",
            from);
    return vly_tool_close(tool, VLY_OK);
}

static void add_bar(bar *bars, int *n, int room, double value, const char *name, const char *peer) {
    if (!isfinite(value) || value <= 0 || *n == room) return;
    snprintf(bars[*n].label, LABEL, "%.70s%s%.70s", name, *peer ? " : " : "", peer);
    bars[(*n)++].value = value;
}

static vly_status draw_ratios(const vly_bench_table *t, const char *path, bool *drawn) {
    static _Thread_local bar bars[100];
    size_t i;
    json_t *row, *value;
    const char *key;
    int n = 0;
    json_array_foreach(t->rows, i, row) {
        const char *const prefix = text_of(row, "peer.name") ? "peer." : "";
        char ratio[40], per_cpu[40];
        snprintf(ratio, sizeof ratio, "%sratio", prefix),
            snprintf(per_cpu, sizeof per_cpu, "%sratio_per_cpu_s", prefix);
        const char *peer = text_of(row, "peer.name");
        add_bar(bars, &n, 100,
                isfinite(number_of(row, per_cpu)) ? number_of(row, per_cpu) : number_of(row, ratio),
                row_name(row), peer ? peer : "");
        json_object_foreach(
            row, key, value) if (!strncmp(key, "times_", 6) ||
                                 (!strncmp(key, "ratio_", 6) && strcmp(key, "ratio_per_cpu_s")))
            add_bar(bars, &n, 100, vly_bench_median(value), row_name(row), key + 6);
    }
    *drawn = n > 0;
    return n ? draw_bars(bars, n, path, "times the peer", 1, true) : VLY_OK;
}

static vly_status draw_bandwidth(const vly_bench_table *t, const char *path, bool *drawn) {
    static _Thread_local bar bars[100];
    size_t i;
    json_t *row;
    int n = 0;
    json_array_foreach(t->rows, i, row) {
        const char *unit = text_of(row, "unit");
        if (unit && !strcmp(unit, "GB/s"))
            add_bar(bars, &n, 100, number_of(row, "peak_percent"), row_name(row), "");
    }
    *drawn = n > 1;
    return n > 1 ? draw_bars(bars, n, path, "% of the copy's bandwidth", 0, false) : VLY_OK;
}

/* ---- roofline ---- */

static const json_t *find_row(const vly_bench_table *t, const char *name) {
    size_t i;
    json_t *row;
    json_array_foreach(t->rows, i, row) if (!strcmp(row_name(row), name)) return row;
    return NULL;
}

static vly_status draw_roofline(const vly_bench_table *t, const char *path, bool *drawn) {
    const double copy = number_of(find_row(t, "copy"), "median"),
                 peak = number_of(find_row(t, "linear/peak"), "median");
    size_t i;
    json_t *row;
    *drawn = false;
    double left = INFINITY, right = 0, low = INFINITY;
    json_array_foreach(t->rows, i, row) {
        const double x = number_of(row, "flop_per_byte");
        if (!isfinite(x)) continue;
        *drawn = true;
        left = fmin(left, x / 2), right = fmax(right, 6 * x),
        low = fmin(low, 500 * number_of(row, "median"));
    }
    if (!*drawn || !isfinite(copy) || !isfinite(peak)) return *drawn = false, VLY_OK;
    vly_tool *tool;
    VLY_TRY(vly_gnuplot_open(&tool, path, WIDTH, 560));
    FILE *g = vly_tool_input(tool);
    fprintf(g, "$d << EOD\n");
    json_array_foreach(t->rows, i, row) {
        const double x = number_of(row, "flop_per_byte");
        if (isfinite(x)) fprintf(g, "%.6g %.6g\n", x, 1e3 * number_of(row, "median"));
    }
    fputs("EOD\n", g);
    json_array_foreach(t->rows, i, row) {
        const double x = number_of(row, "flop_per_byte"), y = 1e3 * number_of(row, "median");
        if (!isfinite(x) || !isfinite(y)) continue;
        fputs("set label ", g);
        vly_gnuplot_text(g, row_name(row));
        fprintf(g, " at %.6g,%.6g left offset 0.7,0 font ',9'\n", x, y);
    }
    fprintf(g,
            "set logscale xy\nset xrange [%g:%g]\nset yrange [%g:%g]\nset samples 500\nset "
            "xlabel 'FLOP per byte that has to be moved'\n"
            "set ylabel 'GFLOP/s'\nroof(x) = %.6g * x < %.6g ? %.6g * x : %.6g\n",
            left, right, low, 2e3 * peak, copy, 1e3 * peak, copy, 1e3 * peak);
    fprintf(g,
            "plot roof(x) with lines lw 2 lc rgb '#888888' title '%.4g GB/s of the copy, %.4g "
            "GFLOP/s of the largest product', "
            "$d using 1:2 with points pt 7 lc rgb '#3366aa' notitle\n",
            copy, 1e3 * peak);
    return vly_tool_close(tool, VLY_OK);
}

/* ---- scaling ---- */

/* "nature/update/f32/256" is 256 of "nature/update/f32"; NAN: the name ends in no number. */
static double number_at_end(const char *name, char *stem) {
    size_t n = strlen(name), digits = 0;
    while (digits < n && isdigit((unsigned char)name[n - 1 - digits])) digits++;
    if (!digits || digits == n) return NAN;
    size_t cut = n - digits;
    if (name[cut - 1] == 'x' || name[cut - 1] == '.') return NAN; /* 128x8192 is a shape */
    double value = 0;
    for (size_t i = cut; i < n; i++) value = 10 * value + (name[i] - '0');
    while (cut > 1 && (name[cut - 1] == '/' || name[cut - 1] == '_')) cut--;
    snprintf(stem, LABEL, "%.*s", (int)cut, name);
    return value;
}

typedef struct {
    char stem[LABEL];
    int points;
    double x, y; /* of the first */
} series;

/* What more of should give as much more. */
static bool is_parallel(const char *stem) {
    static const char *const words[] = {"gpu", "rank", "node", "worker", "thread", "actor", "core"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(stem, words[i])) return true;
    return false;
}

static int find_series(const vly_bench_table *t, series *all) {
    size_t i;
    json_t *row;
    int n = 0;
    json_array_foreach(t->rows, i, row) {
        char stem[LABEL];
        const double x = number_at_end(row_name(row), stem);
        int k = 0;
        if (!isfinite(x) || !isfinite(number_of(row, "median")) ||
            isfinite(number_of(row, "peak_percent")))
            continue;
        while (k < n && strcmp(all[k].stem, stem)) k++;
        if (k == SERIES) continue;
        if (k == n)
            snprintf(all[n++].stem, LABEL, "%s", stem), all[k].points = 0, all[k].x = x,
                                                        all[k].y = number_of(row, "median");
        all[k].points += all[k].points == 0 || all[k].x != x;
    }
    return n;
}

static vly_status draw_scaling(const vly_bench_table *t, const char *path, bool *drawn) {
    static _Thread_local series all[SERIES];
    const int n = find_series(t, all);
    const char *unit = text_of(json_array_get(t->rows, 0), "unit");
    vly_tool *tool;
    size_t i;
    json_t *row;
    int lines = 0;
    *drawn = false;
    for (int k = 0; k < n; k++) *drawn |= all[k].points > 1;
    if (!*drawn) return VLY_OK;
    VLY_TRY(vly_gnuplot_open(&tool, path, WIDTH, 560));
    FILE *g = vly_tool_input(tool);
    fputs("set logscale xy\nset xlabel 'number at the end of the name; dashed: in proportion'\n"
          "set format y '%.0s%c'\nset ylabel ",
          g);
    vly_gnuplot_text(g, unit ? unit : "");
    fputc('\n', g);
    for (int k = 0; k < n; k++) {
        if (all[k].points < 2) continue;
        fprintf(g, "$d%d << EOD\n", k);
        json_array_foreach(t->rows, i, row) {
            char stem[LABEL];
            const double x = number_at_end(row_name(row), stem), y = number_of(row, "median");
            if (isfinite(x) && isfinite(y) && !strcmp(stem, all[k].stem))
                fprintf(g, "%.6g %.8g\n", x, y);
        }
        fprintf(g, "EOD\n");
    }
    for (int k = 0; k < n; k++) {
        if (all[k].points < 2) continue;
        fprintf(g, "%s$d%d using 1:2 with linespoints lw 2 pt 7 lc %d title ",
                lines++ ? ", " : "plot ", k, k + 1);
        vly_gnuplot_text(g, all[k].stem);
        if (is_parallel(all[k].stem) && all[k].x > 0)
            fprintf(g, ", %.8g * x with lines dt 2 lc rgb '#999999' notitle", all[k].y / all[k].x);
    }
    fputc('\n', g);
    return vly_tool_close(tool, VLY_OK);
}

/* ---- learning curves ---- */

/* `runs` with a `curve` each: [steps, seconds, return]. Every run is a line; a group (a game) has
 * one colour. What is published, "15: whose" or "1442.64 +- 46.03: whose", is a broken line and a
 * band. */
typedef struct {
    FILE *g;                                             /* NULL: only counts */
    enum { CURVE_COUNT, CURVE_DATA, CURVE_LINES } doing; /* with each curve */
    int lines, groups;
    double last, unit;
    double low, high; /* of what is published; low above high: nothing is */
} learning;

/* False: no number is published. */
static bool add_published(learning *l, const json_t *group) {
    const char *text = text_of(group, "published");
    double mean, deviation = 0;
    if (!text || sscanf(text, "%lf +- %lf", &mean, &deviation) < 1) return false;
    l->low = fmin(l->low, mean - deviation), l->high = fmax(l->high, mean + deviation);
    if (l->doing != CURVE_DATA) return true;
    fprintf(l->g,
            "set object rectangle from graph 0, first %.8g to graph 1, first %.8g behind fc lt %d "
            "fs transparent solid 0.15 noborder\n"
            "set arrow from graph 0, first %.8g to graph 1, first %.8g nohead dt 2 lc %d\n",
            mean - deviation, mean + deviation, l->groups, mean, mean, l->groups);
    return true;
}

static void add_curve(learning *l, const json_t *curve, const char *title) {
    size_t i;
    json_t *point;
    if (json_array_size(curve) < 2 || l->lines == 200) return;
    const json_t *last = json_array_get(curve, json_array_size(curve) - 1);
    l->lines++;
    if (l->doing == CURVE_COUNT) {
        l->last = fmax(l->last, json_number_value(json_array_get(last, 0)));
    } else if (l->doing == CURVE_DATA) {
        fprintf(l->g, "$d%d << EOD\n", l->lines);
        json_array_foreach(curve, i, point)
            fprintf(l->g, "%.8g %.8g\n", json_number_value(json_array_get(point, 0)) / l->unit,
                    json_number_value(json_array_get(point, 2)));
        fputs("EOD\n", l->g);
    } else {
        fprintf(l->g, "%s$d%d using 1:2 with lines lw 1.5 lc %d ", l->lines > 1 ? ", " : "plot ",
                l->lines, l->groups);
        fputs(title ? "title " : "notitle", l->g);
        if (title) vly_gnuplot_text(l->g, title);
    }
}

static void add_group(learning *l, const json_t *group, const char *name) {
    size_t i;
    json_t *run;
    const json_t *runs = json_object_get(group, "runs");
    char title[LABEL];
    bool first = true;
    l->groups++;
    snprintf(title, sizeof title, "%.80s%s", name,
             add_published(l, group) ? " (published: the broken line)" : "");
    json_array_foreach(runs, i, run) {
        if (!json_object_get(run, "curve")) continue;
        add_curve(l, json_object_get(run, "curve"), first ? title : NULL);
        first = false;
    }
}

static void add_groups(learning *l, const vly_bench_table *t, int doing) {
    const char *key;
    json_t *value;
    l->lines = l->groups = 0;
    l->doing = doing;
    if (json_object_get(t->file, "runs")) {
        add_group(l, t->file, t->name);
        return;
    }
    json_object_foreach(t->file, key, value) if (json_is_object(value) &&
                                                 json_is_array(json_object_get(value, "runs")))
        add_group(l, value, key);
}

static vly_status draw_learning(const vly_bench_table *t, const char *path, bool *drawn) {
    learning l = {.unit = 1, .low = INFINITY, .high = -INFINITY};
    vly_tool *tool;
    add_groups(&l, t, CURVE_COUNT);
    *drawn = l.lines > 0;
    if (!*drawn) return VLY_OK;
    l.unit = l.last >= 1e6 ? 1e6 : l.last >= 1e4 ? 1e3 : 1;
    VLY_TRY(vly_gnuplot_open(&tool, path, WIDTH, 480));
    l.g = vly_tool_input(tool);
    fprintf(l.g, "set xlabel '%sagent steps'\nset ylabel 'return, mean of the last 100 episodes'\n",
            l.unit == 1e6   ? "million "
            : l.unit == 1e3 ? "thousand "
                            : "");
    if (l.low <= l.high) fprintf(l.g, "set yrange [*<%.8g:%.8g<*]\n", l.low, l.high);
    add_groups(&l, t, CURVE_DATA);
    add_groups(&l, t, CURVE_LINES);
    fputc('\n', l.g);
    return vly_tool_close(tool, VLY_OK);
}

const vly_bench_picture vly_bench_pictures[] = {
    {"ratios", "how many times the peer's speed", draw_ratios},
    {"roofline", "under what memory and arithmetic allow", draw_roofline},
    {"bandwidth", "shares of the measured copy", draw_bandwidth},
    {"scaling", "over the number at the end of the name", draw_scaling},
    {"learning", "returns over training, a line a seed", draw_learning},
    {NULL, NULL, NULL}};
