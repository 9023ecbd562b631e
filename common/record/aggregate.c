#include "common/record/aggregate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"

static int aggregate_ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_of(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

static double trimmed_mean(double *x, int n) {
    const int cut = n / 4; /* whole scores: SciPy's trim_mean, as the paper's */
    qsort(x, (size_t)n, sizeof *x, aggregate_ascending);
    return mean_of(x + cut, n - 2 * cut);
}

static double median_of(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, aggregate_ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* x: the tasks' scores one after the other, n in all; overwritten. means: room for `count`. */
static double aggregate(double *x, int n, const vly_scores *tasks, int count,
                        vly_aggregate_kind kind, double *means) {
    double gap = 0;
    switch (kind) {
    case VLY_AGGREGATE_IQM: return trimmed_mean(x, n);
    case VLY_AGGREGATE_OPTIMALITY_GAP:
        for (int i = 0; i < n; i++) gap += 1 - fmin(x[i], 1);
        return gap / n;
    case VLY_AGGREGATE_MEAN:
    case VLY_AGGREGATE_MEDIAN: break;
    }
    for (int t = 0; t < count; x += tasks[t++].n) means[t] = mean_of(x, tasks[t].n);
    return kind == VLY_AGGREGATE_MEAN ? mean_of(means, count) : median_of(means, count);
}

static vly_status aggregate_check(const vly_scores *tasks, int count, int *n) {
    *n = 0;
    if (count < 1) return vly_fail(VLY_EINVAL, "no scores to aggregate");
    for (int t = 0; t < count; t++) {
        if (tasks[t].n < 1) return vly_fail(VLY_EINVAL, "task %d has no scores", t);
        for (int i = 0; i < tasks[t].n; i++)
            if (!isfinite(tasks[t].score[i]))
                return vly_fail(VLY_EINVAL, "score %d of task %d is not a finite number", i, t);
        *n += tasks[t].n;
    }
    return VLY_OK;
}

vly_status vly_aggregate(const vly_scores *tasks, int count, vly_aggregate_kind kind, double *out) {
    int n;
    VLY_TRY(aggregate_check(tasks, count, &n));
    double *x = malloc((size_t)(n + count) * sizeof *x);
    if (!x) return vly_fail(VLY_ENOMEM, "no memory for %d scores", n);
    for (int t = 0, at = 0; t < count; at += tasks[t++].n)
        memcpy(x + at, tasks[t].score, (size_t)tasks[t].n * sizeof *x);
    *out = aggregate(x, n, tasks, count, kind, x + n);
    free(x);
    return VLY_OK;
}

/* NumPy's default: straight lines between order statistics. */
static double percentile(const double *sorted, int n, double part) {
    const double at = part * (n - 1);
    const int low = (int)at, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

vly_status vly_aggregate_interval(const vly_scores *tasks, int count, vly_aggregate_kind kind,
                                  int resamples, uint64_t seed, double out[2]) {
    int n;
    VLY_TRY(aggregate_check(tasks, count, &n));
    if (resamples < 1) return vly_fail(VLY_EINVAL, "%d resamples", resamples);
    double *x = malloc(((size_t)n + (size_t)count + (size_t)resamples) * sizeof *x);
    if (!x) return vly_fail(VLY_ENOMEM, "no memory for %d resamples of %d scores", resamples, n);
    double *result = x + n + count;
    for (int r = 0; r < resamples; r++) {
        for (int t = 0, at = 0; t < count; t++)
            for (int i = 0; i < tasks[t].n; i++, at++) {
                const uint32_t bits =
                    vly_philox(seed, VLY_STREAM_BOOTSTRAP, (uint64_t)r, (uint32_t)at).v[0];
                x[at] = tasks[t].score[vly_below(bits, (uint32_t)tasks[t].n)];
            }
        result[r] = aggregate(x, n, tasks, count, kind, x + n);
    }
    qsort(result, (size_t)resamples, sizeof *result, aggregate_ascending);
    out[0] = percentile(result, resamples, 0.025), out[1] = percentile(result, resamples, 0.975);
    free(x);
    return VLY_OK;
}
