/* prometheus.h -- the newest values of runs in Prometheus' text format, version 0.0.4.
 *
 *   vly_prometheus_write(list->v, list->n, &text);
 *
 * charts/SPS becomes volley_charts_SPS, the counter run/steps volley_run_steps_total; labels: run,
 * env, algo, seed.
 */
#ifndef VLY_CPU_PROMETHEUS_H
#define VLY_CPU_PROMETHEUS_H
#include "cpu/monitor/run_log.h"
#include "common/base/text.h"

void vly_prometheus_write(vly_run_log *const *runs, int n, vly_text *out);
/* One line with its HELP and TYPE, no labels. */
void vly_prometheus_one(vly_text *out, const char *name, const char *type, const char *help,
                        double value);
/* What a standard metric means; "" for others. */
const char *vly_prometheus_help(const char *metric, bool *counter);
#endif
