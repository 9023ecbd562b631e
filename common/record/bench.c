#include "common/record/bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_MOST = 99 };

static double bench_now_s(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int vly_bench_wanted(const vly_bench_options *options, const char *name) {
    return !options->filter || strstr(name, options->filter) != NULL;
}

static int bench_ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sample(vly_bench_fn work, void *arg, double seconds, double *wall, double *cpu) {
    const double start = bench_now_s(CLOCK_MONOTONIC),
                 start_cpu = bench_now_s(CLOCK_PROCESS_CPUTIME_ID);
    double done = 0, passed;
    do done += work(arg);
    while ((passed = bench_now_s(CLOCK_MONOTONIC) - start) < seconds);
    *wall = done / passed;
    *cpu = done / (bench_now_s(CLOCK_PROCESS_CPUTIME_ID) - start_cpu);
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, bench_ascending);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

void vly_bench_rate(const vly_bench_options *options, vly_bench_fn work, void *arg,
                    vly_bench_result *result) {
    const double seconds = options->seconds > 0 ? options->seconds : 0.2;
    int n = options->samples > 0 ? options->samples : 7;
    if (n > SAMPLES_MOST) n = SAMPLES_MOST;
    double wall[SAMPLES_MOST], cpu[SAMPLES_MOST];
    sample(work, arg, seconds / 2, wall, cpu);
    for (int i = 0; i < n; i++) sample(work, arg, seconds, &wall[i], &cpu[i]);
    result->samples = n;
    result->median = median(wall, n);
    result->min = wall[0], result->max = wall[n - 1];
    result->cpu = median(cpu, n);
}

static double proc_busy_s(void) {
    double user = 0, nice = 0, system = 0, stolen = 0;
    FILE *f = fopen("/proc/stat", "r");
    if (!f) return 0;
    if (fscanf(f, "cpu %lf %lf %lf %*f %*f %*f %*f %lf", &user, &nice, &system, &stolen) != 4)
        user = nice = system = stolen = 0;
    fclose(f);
    return (user + nice + system + stolen) / (double)sysconf(_SC_CLK_TCK);
}

static double usage_s(int who) {
    struct rusage u;
    if (getrusage(who, &u)) return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

vly_bench_load vly_bench_load_begin(void) {
    return (vly_bench_load){bench_now_s(CLOCK_MONOTONIC), proc_busy_s(),
                            usage_s(RUSAGE_SELF) + usage_s(RUSAGE_CHILDREN)};
}

double vly_bench_load_of_others(const vly_bench_load *before) {
    const vly_bench_load now = vly_bench_load_begin();
    const double wall = now.wall_s - before->wall_s;
    const double others = now.busy_s - before->busy_s - now.own_s + before->own_s;
    return wall > 0 && others > 0 ? others / wall : 0;
}

void vly_bench_json(const vly_bench_result *r, char *text, size_t bytes) {
    char check[100] = "";
    if (r->verified > 0)
        snprintf(check, sizeof check, "\"verified\": %lld, \"wrong\": %lld, \"error\": %.3g, ",
                 r->verified, r->wrong, r->error);
    snprintf(text, bytes,
             "{\"name\": \"%s\", %s%s\"median\": %.6g, \"min\": %.6g, \"max\": %.6g, "
             "\"median_per_cpu_s\": %.6g, \"unit\": \"%s\", %s\"samples\": %d}",
             r->name, r->params, r->params[0] ? ", " : "", r->median, r->min, r->max, r->cpu,
             r->unit, check, r->samples);
}
