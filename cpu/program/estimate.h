/* estimate.h -- how long a run will take: its own first updates give the rate, the table of what
 * presets reach (common/config/learned.h) the steps.
 *
 *   vly_estimate e;
 *   vly_estimate_begin(&e, env.name, &config, 0);
 *   // after every update; true when the rate is known, and when it has become another one
 *   if (vly_estimate_measured(&e, report->total_steps, report->updates, report->wall_s))
 *       vly_estimate_words(&e, text, sizeof text);
 *
 * The first update is left out of the rate: it touches memory for the first time, and off-policy
 * algorithms fill their replay before it.
 */
#ifndef VLY_CPU_ESTIMATE_H
#define VLY_CPU_ESTIMATE_H
#include <stdbool.h>
#include "common/config/config.h"
#include "common/config/learned.h"

typedef struct {
    const vly_learned *learned; /* NULL: not measured with these settings */
    int64_t start, budget;      /* agent steps that the estimate goes on from; the last */
    double steps_per_s;         /* 0: not yet measured */
    int64_t first_steps, first_updates;
    double first_s, again_s;
    bool begun;
} vly_estimate;

/* start: steps that the run goes on from, which its steps and updates include. */
void vly_estimate_begin(vly_estimate *e, const char *env, const vly_config *config, int64_t start);
bool vly_estimate_measured(vly_estimate *e, int64_t steps, int64_t updates, double wall_s);
/* Seconds from `start` to the target of the table, with the steps of its seeds in the median, the least
 * or the most of them, NAN if that is not known; to the last step of the budget. */
double vly_estimate_target_s(const vly_estimate *e);
double vly_estimate_least_s(const vly_estimate *e);
double vly_estimate_most_s(const vly_estimate *e);
double vly_estimate_budget_s(const vly_estimate *e);
/* "about 4 minutes to a mean return of 18 on this machine (1,450 steps/s; ...)" */
void vly_estimate_words(const vly_estimate *e, char *text, size_t bytes);
/* A sentence about an environment and algorithm that have no preset, or whose preset was not measured
 * or does not reach its target; "" where there is nothing to say. */
void vly_estimate_warning(const char *env, const vly_config *config, char *text, size_t bytes);
#endif
