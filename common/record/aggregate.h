/* aggregate.h -- one number for many runs of many tasks, and how sure it is (Agarwal et al. 2021).
 *
 *   vly_scores tasks[] = {{pong, 5}, {breakout, 5}};            // a score a run
 *   double iqm, ci[2];
 *   VLY_TRY(vly_aggregate(tasks, 2, VLY_AGGREGATE_IQM, &iqm));
 *   VLY_TRY(vly_aggregate_interval(tasks, 2, VLY_AGGREGATE_IQM, 20000, seed, ci));
 *
 * The interval is the 95 % percentile interval of a stratified bootstrap: every resample draws, for
 * each task, as many of its runs as it has, with replacement. The same seed gives the same
 * interval. Scores of different tasks have to be on one scale (human-normalised) to be mixed.
 */
#ifndef VLY_COMMON_RECORD_AGGREGATE_H
#define VLY_COMMON_RECORD_AGGREGATE_H
#include <stdint.h>
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const double *score;
    int n; /* runs of this task, at least 1 */
} vly_scores;

typedef enum {
    VLY_AGGREGATE_IQM,           /* mean of all scores without the lowest and the highest quarter */
    VLY_AGGREGATE_MEAN,          /* of the tasks' means */
    VLY_AGGREGATE_MEDIAN,        /* of the tasks' means */
    VLY_AGGREGATE_OPTIMALITY_GAP /* 1 - mean of min(score, 1): how far below the human, less is
                                    better */
} vly_aggregate_kind;

/* Scores have to be finite. */
vly_status vly_aggregate(const vly_scores *tasks, int count, vly_aggregate_kind kind, double *out);
vly_status vly_aggregate_interval(const vly_scores *tasks, int count, vly_aggregate_kind kind,
                                  int resamples, uint64_t seed, double out[2]);

#ifdef __cplusplus
}
#endif
#endif
