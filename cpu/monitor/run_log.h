/* run_log.h -- a run's folder, read from outside: settings, curves, whether the run is live.
 * Follows metrics.jsonl as it grows.
 *
 *   vly_run_log *r;
 *   VLY_TRY(vly_run_log_open(&r, "runs", "pong-ppo-1"));
 *   while (vly_run_log_read(r)) ...;                 // a piece at a time, until it has caught up
 *   const vly_run_metric *m = vly_run_log_metric(r, "charts/SPS");
 *   vly_run_log_close(r);
 *
 * Nothing is locked or written: the run is not affected. Lines that are not records
 * are counted and skipped.
 */
#ifndef VLY_CPU_RUN_LOG_H
#define VLY_CPU_RUN_LOG_H
#include <stdbool.h>
#include <stdint.h>
#include "common/config/config.h"
#include "common/base/status.h"
#include "cpu/monitor/curve.h"

enum { VLY_RUN_NAME = 256, VLY_RUN_PATH = 1536, VLY_RUN_METRICS = 256 };

typedef struct {
    char name[64];
    double last; /* newest value, NAN when it was null */
    vly_curve curve;
} vly_run_metric;

typedef struct {
    char name[VLY_RUN_NAME], path[VLY_RUN_PATH]; /* name: below the folder of runs */
    char env[256], algo[32], preset[64], store[256], error[256]; /* error: why the settings cannot
                                                                    be read */
    int64_t seed, steps_planned;
    double until_return;      /* NAN: none */
    int64_t started, updated; /* seconds since 1970: of the settings, of the newest line */
    bool live;                /* a process holds its lock; kept by cpu/monitor/run_list.h */
    bool seen;                /* of the last scan; likewise */

    double step, seconds; /* of the newest line; seconds go on over a resume */
    int64_t lines, bad_lines;
    int64_t at, size; /* read, and to be read */
    double before_resume;
    uint64_t version; /* rises with every change */
    vly_run_metric *metrics;
    int metric_count, metric_room, next; /* next: where the next name of a line is looked for first
                                          */
    int64_t config_time;
    uint64_t told; /* the version that was sent out last, for one watcher */
    int forgotten; /* times that it was read again from the start */
} vly_run_log;

vly_status vly_run_log_open(vly_run_log **out, const char *folder, const char *name);
void vly_run_log_close(vly_run_log *r);
/* Looks whether there is more to read, or other settings. */
void vly_run_log_look(vly_run_log *r);
/* Reads a piece, at most a quarter of a megabyte; true: there is more. */
bool vly_run_log_read(vly_run_log *r);
const vly_run_metric *vly_run_log_metric(const vly_run_log *r, const char *name); /* NULL: none */
double vly_run_log_last(const vly_run_log *r, const char *name);                  /* NAN: none */
/* A row from elsewhere than the file: a run that writes none. */
void vly_run_log_row(vly_run_log *r, double step, double seconds);
void vly_run_log_value(vly_run_log *r, const char *name, double value);
/* The run's settings as they were saved. */
vly_status vly_run_log_config(const vly_run_log *r, vly_config *config);
#endif
