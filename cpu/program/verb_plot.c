/* Curves of runs by gnuplot: runs of one environment and algorithm are seeds of one line, drawn as
 * mean and range. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/program/gnuplot.h"
#include "cpu/program/records.h"
#include "cpu/run/run_folder.h"
#include "cpu/program/verbs.h"

typedef struct {
    char metric[96], out[1024];
    int smooth, points, width, height;
} plot_options;

static const vly_option plot_table[] = {
    VLY_CLI_TEXT(plot_options, metric, "charts/return_mean_100", NULL,
                 "what to draw over agent steps; a name of metrics.jsonl"),
    VLY_CLI_TEXT(plot_options, out, "curves.png", NULL, "name.png or name.svg"),
    VLY_CLI_INT(plot_options, smooth, "1", 1, 10000,
                "mean over so many records; said in the legend"),
    VLY_CLI_INT(plot_options, points, "400", 10, 100000,
                "points of a line: seeds are averaged on one grid"),
    VLY_CLI_INT(plot_options, width, "1000", 200, 10000, "pixels"),
    VLY_CLI_INT(plot_options, height, "600", 150, 10000, "pixels"),
};

static const double LARGEST = 1e150; /* whose square is a number */

typedef struct {
    char group[320]; /* "cartpole ppo" */
    double *step, *value;
    int n;
} curve;

static vly_status append_point(curve *c, double step, double value, int *room) {
    if (c->n == *room) {
        *room = *room ? 2 * *room : 1024;
        double *s = realloc(c->step, (size_t)*room * sizeof *s);
        if (s) c->step = s;
        double *v = s ? realloc(c->value, (size_t)*room * sizeof *v) : NULL;
        if (v) c->value = v;
        if (!v) return vly_fail(VLY_ENOMEM, "no memory for %d points", *room);
    }
    c->step[c->n] = step, c->value[c->n++] = value;
    return VLY_OK;
}

typedef struct {
    curve *c;
    const char *metric;
    int room, records;
} reading;

static vly_status add_record(void *arg, const json_t *record) {
    reading *r = arg;
    const json_t *step = json_object_get(record, "step"),
                 *value = json_object_get(record, r->metric);
    r->records++;
    if (!json_is_number(step) || !json_is_number(value)) return VLY_OK;
    if (!(fabs(json_number_value(value)) < LARGEST)) return VLY_OK;
    return append_point(r->c, json_number_value(step), json_number_value(value), &r->room);
}

/* The records that have the metric. */
static vly_status read_curve(curve *c, const char *run, const char *metric) {
    reading r = {.c = c, .metric = metric};
    vly_config *config = malloc(sizeof *config);
    if (!config) return vly_fail(VLY_ENOMEM, "no memory for a configuration");
    vly_status status = vly_run_load_config(run, config);
    if (status == VLY_OK)
        snprintf(c->group, sizeof c->group, "%s %s", config->run.env, config->run.algo);
    free(config);
    VLY_TRY(status);
    VLY_TRY(vly_records_each(run, add_record, &r));
    return c->n ? VLY_OK
                : vly_fail(VLY_ENOTFOUND,
                           "%s has no %s to draw in its %d records; metrics.jsonl names what there "
                           "is",
                           run, metric, r.records);
}

static void smooth(curve *c, int window) {
    double sum = 0;
    double *out = malloc((size_t)c->n * sizeof *out);
    if (!out) return;
    for (int i = 0; i < c->n; i++) {
        sum += c->value[i] - (i >= window ? c->value[i - window] : 0);
        out[i] = sum / (i + 1 < window ? i + 1 : window);
    }
    free(c->value);
    c->value = out;
}

/* Straight lines between points; NAN outside. */
static double at_step(const curve *c, double step) {
    int low = 0, high = c->n - 1;
    if (step < c->step[0] || step > c->step[high]) return NAN;
    while (high - low > 1) {
        const int mid = (low + high) / 2;
        if (c->step[mid] <= step)
            low = mid;
        else
            high = mid;
    }
    const double span = c->step[high] - c->step[low],
                 part = span > 0 ? (step - c->step[low]) / span : 0;
    return c->value[low] + part * (c->value[high] - c->value[low]);
}

/* step in units, mean, mean - half, mean + half (95 % of the mean, normal), seeds: while all seeds
 * go on. */
static int write_group(FILE *out, const curve *curves, int count, const char *group, int points,
                       double unit) {
    double last = INFINITY, first = 0;
    int seeds = 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(curves[i].group, group) != 0) continue;
        seeds++;
        last = fmin(last, curves[i].step[curves[i].n - 1]);
        first = fmax(first, curves[i].step[0]);
    }
    for (int p = 0; p < points; p++) {
        const double step = first + (last - first) * p / (points - 1);
        double sum = 0, square = 0;
        for (int i = 0; i < count; i++) {
            if (strcmp(curves[i].group, group) != 0) continue;
            const double v = at_step(&curves[i], step);
            sum += v, square += v * v;
        }
        const double mean = sum / seeds,
                     spread = seeds > 1 ? sqrt(fmax(0, (square - sum * mean) / (seeds - 1))) : 0;
        const double half = 1.96 * spread / sqrt(seeds);
        if (isfinite(mean))
            fprintf(out, "%.10g %.10g %.10g %.10g\n", step / unit, mean, mean - half, mean + half);
    }
    return seeds;
}

static bool is_first_of_group(const curve *curves, int i) {
    for (int k = 0; k < i; k++)
        if (!strcmp(curves[k].group, curves[i].group)) return false;
    return true;
}

static void write_line(FILE *g, int line, const char *group, int seeds, int window) {
    char title[sizeof((curve *)0)->group + 96], mean[48] = "";
    if (window > 1) snprintf(mean, sizeof mean, ", mean over %d records", window);
    snprintf(title, sizeof title, "%s (%d seed%s%s)", group, seeds,
             seeds > 1 ? "s: mean, 95% interval" : "", mean);
    fputs(line ? ", " : "plot ", g);
    if (seeds > 1)
        fprintf(
            g,
            "$d%d using 1:3:4 with filledcurves fs transparent solid 0.2 noborder lc %d notitle, ",
            line, line + 1);
    fprintf(g, "$d%d using 1:2 with lines lw 2 lc %d title ", line, line + 1);
    vly_gnuplot_text(g, title);
}

static vly_status draw_curves(const curve *curves, int count, const plot_options *o) {
    enum { LINES = 64 };
    int first[LINES], seeds[LINES], lines = 0;
    double last = 0;
    vly_tool *tool;
    for (int i = 0; i < count; i++) last = fmax(last, curves[i].step[curves[i].n - 1]);
    const double unit = last >= 1e6 ? 1e6 : last >= 1e4 ? 1e3 : 1;
    VLY_TRY(vly_gnuplot_open(&tool, o->out, o->width, o->height));
    FILE *g = vly_tool_input(tool);
    fprintf(g, "set xlabel '%sagent steps'\nset ylabel ",
            unit == 1e6   ? "million "
            : unit == 1e3 ? "thousand "
                          : "");
    vly_gnuplot_text(g, o->metric);
    for (int i = 0; i < count && lines < LINES; i++) {
        if (!is_first_of_group(curves, i)) continue;
        fprintf(g, "\n$d%d << EOD\n", lines);
        first[lines] = i;
        seeds[lines++] = write_group(g, curves, count, curves[i].group, o->points, unit);
        fputs("EOD", g);
    }
    fputc('\n', g);
    for (int l = 0; l < lines; l++) write_line(g, l, curves[first[l]].group, seeds[l], o->smooth);
    fputc('\n', g);
    return vly_tool_close(tool, VLY_OK);
}

static int plot_verb(vly_cli *cli) {
    const plot_options *o = cli->own;
    curve *curves = calloc((size_t)cli->count, sizeof *curves);
    vly_status status = curves ? VLY_OK
                               : vly_fail(VLY_ENOMEM, "no memory for %d curves", cli->count);
    for (int i = 0; i < cli->count && status == VLY_OK; i++) {
        status = read_curve(&curves[i], cli->positional[i], o->metric);
        if (status == VLY_OK && o->smooth > 1) smooth(&curves[i], o->smooth);
    }
    if (status == VLY_OK) status = draw_curves(curves, cli->count, o);
    for (int i = 0; curves && i < cli->count; i++) free(curves[i].step), free(curves[i].value);
    free(curves);
    if (status != VLY_OK) return vly_cli_fail(status);
    fprintf(cli->people, "%s\n", o->out);
    if (cli->json)
        vly_cli_print_json(
            json_pack("{s:s, s:s, s:i}", "out", o->out, "metric", o->metric, "runs", cli->count));
    return VLY_EXIT_DONE;
}

const vly_verb vly_verb_plot = {
    .name = "plot",
    .positional_help = "RUN...",
    .summary = "draws curves of runs; several seeds of one setting as mean and interval",
    .examples = "volley plot runs/cartpole-ppo-* --out curves.png\nvolley plot runs/a runs/b "
                "--metric losses/value_loss --smooth 10 --out loss.svg",
    .own = plot_table,
    .own_count = sizeof plot_table / sizeof *plot_table,
    .own_bytes = sizeof(plot_options),
    .positional_min = 1,
    .positional_max = VLY_CLI_POSITIONAL,
    .run = plot_verb,
};
