#include "common/bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES_MOST = 99 };

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int vly_bench_wanted(const vly_bench_options *options, const char *name) {
    return !options->filter || strstr(name, options->filter) != NULL;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sample(vly_bench_fn work, void *arg, double seconds) {
    const double start = now_s();
    double done = 0, passed;
    do done += work(arg);
    while ((passed = now_s() - start) < seconds);
    return done / passed;
}

void vly_bench_rate(const vly_bench_options *options, vly_bench_fn work, void *arg,
                    vly_bench_result *result) {
    const double seconds = options->seconds > 0 ? options->seconds : 0.2;
    int n = options->samples > 0 ? options->samples : 7;
    if (n > SAMPLES_MOST) n = SAMPLES_MOST;
    double rate[SAMPLES_MOST];
    sample(work, arg, seconds / 2);
    for (int i = 0; i < n; i++) rate[i] = sample(work, arg, seconds);
    qsort(rate, (size_t)n, sizeof *rate, ascending);
    result->samples = n;
    result->min = rate[0], result->max = rate[n - 1];
    result->median = n % 2 ? rate[n / 2] : 0.5 * (rate[n / 2 - 1] + rate[n / 2]);
}

void vly_bench_json(const vly_bench_result *r, char *text, size_t bytes) {
    snprintf(text, bytes,
             "{\"name\": \"%s\", %s%s\"median\": %.6g, \"min\": %.6g, \"max\": %.6g, "
             "\"unit\": \"%s\", \"samples\": %d}",
             r->name, r->params, r->params[0] ? ", " : "", r->median, r->min, r->max, r->unit,
             r->samples);
}
