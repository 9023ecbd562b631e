/* metrics.h -- the numbers of a run: written from anywhere, read by the status line, metrics.jsonl,
 * TensorBoard and the live page.
 *
 *   vly_metrics *m;
 *   VLY_TRY(vly_metrics_create(&m));
 *   VLY_TRY(vly_metrics_open_jsonl(m, "run/metrics.jsonl", -1));
 *   VLY_TRY(vly_metrics_open_tensorboard(m, "run", -1));
 *   vly_metrics_count(m, VLY_M_STEPS, 1024);              // counters only rise
 *   vly_metrics_set(m, VLY_M_SPS, 51000);                 // gauges are the last value
 *   // series: mean, min, max since the last record
 *   vly_metrics_observe(m, VLY_M_EPISODIC_RETURN, 475);
 *   vly_metrics_set_by_name(m, "losses/policy_loss", x);  // made at first use
 *   // a line and an event for all that changed
 *   VLY_TRY(vly_metrics_record(m, steps));
 *
 * Thread-safe. Nothing is allocated after create and open. The standard names are below, once:
 * CleanRL's where it has one. A name's part before the slash is its group on every page.
 */
#ifndef VLY_COMMON_RECORD_METRICS_H
#define VLY_COMMON_RECORD_METRICS_H
#include <stdbool.h>
#include <stdint.h>
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum { VLY_METRIC_COUNTER, VLY_METRIC_GAUGE, VLY_METRIC_SERIES } vly_metric_kind;

/* XX(id, name, kind, help) */
#define VLY_METRIC_MAP(XX)                                                                         \
    XX(EPISODIC_RETURN, "charts/episodic_return", SERIES,                                          \
       "undiscounted, unclipped return of an episode")                                             \
    XX(EPISODIC_LENGTH, "charts/episodic_length", SERIES, "agent steps of an episode")             \
    XX(RETURN_MEAN_100, "charts/return_mean_100", GAUGE,                                           \
       "mean return of the last 100 training episodes")                                            \
    XX(SPS, "charts/SPS", GAUGE, "agent steps acted per second")                                   \
    XX(SPS_LEARN, "charts/SPS_learn", GAUGE,                                                       \
       "transitions learned from per second, each pass counted")                                   \
    XX(FPS, "charts/frames_per_second", GAUGE, "environment frames per second, before frame skip") \
    XX(STEPS, "run/steps", COUNTER, "agent steps over all environments")                           \
    XX(UPDATES, "run/updates", COUNTER, "updates of the weights")                                  \
    XX(EPISODES, "run/episodes", COUNTER, "episodes finished")                                     \
    XX(STEPS_TOTAL, "run/steps_total", GAUGE, "agent steps planned")                               \
    XX(RETURN_TARGET, "run/return_target", GAUGE, "mean return that ends the run")                 \
    XX(POLICY_LAG, "run/policy_lag", GAUGE,                                                        \
       "updates between acting and learning, mean of the last batch")                              \
    XX(TIME_STEP, "time/step", GAUGE, "share of the time waiting for environments")                \
    XX(TIME_ACT, "time/act", GAUGE, "share of the time in inference")                              \
    XX(TIME_LEARN, "time/learn", GAUGE, "share of the time in updates")                            \
    XX(TIME_SAVE, "time/save", GAUGE, "share of the time in saving checkpoints")                   \
    XX(TIME_OTHER, "time/other", GAUGE, "share of the time elsewhere")                             \
    XX(TIME_ASLEEP, "time/asleep", GAUGE,                                                          \
       "share of the time asleep in the event loop, the only place where the run waits")           \
    XX(QUEUE_STEP, "queues/stepping", GAUGE, "environments being stepped")                         \
    XX(QUEUE_ACT, "queues/ready", GAUGE, "environments waiting for an action")                     \
    XX(QUEUE_LEARN, "queues/learner", GAUGE, "unrolls or batches waiting for the learner")         \
    XX(RESTARTS, "pool/restarts", COUNTER, "failed environments restarted")                        \
    XX(HUNG, "pool/hung", COUNTER, "environments that missed their deadline")                      \
    XX(ACTORS, "actors/connected", GAUGE, "remote actors connected")                               \
    XX(ACTORS_SERVING, "actors/environments", GAUGE, "environments that an actor steps in time")   \
    XX(ACTORS_SLOW, "actors/slow", GAUGE, "actors that are alive and late")                        \
    XX(ACTORS_LOST, "actors/lost", COUNTER, "connections of actors that were lost")                \
    XX(ACTORS_LATE, "actors/late", COUNTER, "steps of environments that missed the deadline")      \
    XX(ACTORS_P50, "actors/round_trip_p50_ms", GAUGE,                                              \
       "from actions to rows, median of the newest 1024")                                          \
    XX(ACTORS_P99, "actors/round_trip_p99_ms", GAUGE, "the same, 99th percentile")                 \
    XX(REPLAY_FILL, "replay/fill", GAUGE, "stored share of the capacity")                          \
    XX(REPLAY_RATIO, "replay/ratio", GAUGE, "transitions learned from per transition acted")       \
    XX(REPLAY_BYTES, "replay/bytes", GAUGE, "memory of the replay")                                \
    XX(DRIFT_PHASE, "drift/phase", GAUGE, "changes of the rules so far")                           \
    XX(DRIFT_FALL, "drift/fall", GAUGE,                                                            \
       "how far the mean return of 20 episodes fell after the last change, of one environment")    \
    XX(DRIFT_RECOVERY, "drift/recovery_steps", GAUGE,                                              \
       "agent steps until nine tenths of that fall were made good")                                \
    XX(CHECKPOINTS, "checkpoint/saved", COUNTER, "checkpoints written")                            \
    XX(CHECKPOINT_FAILURES, "checkpoint/failed", COUNTER, "checkpoints that could not be written") \
    XX(CHECKPOINT_SECONDS, "checkpoint/seconds", GAUGE, "duration of the last one")                \
    XX(MEMORY, "system/memory_bytes", GAUGE, "resident memory of the process")                     \
    XX(CPU, "system/cpu", GAUGE, "processors kept busy by the process")                            \
    XX(GPU, "system/gpu", GAUGE, "GPU utilisation, all processes")                                 \
    XX(GPU_MEMORY, "system/gpu_memory_bytes", GAUGE, "GPU memory in use, all processes")

enum {
#define XX(id, name, kind, help) VLY_M_##id,
    VLY_METRIC_MAP(XX)
#undef XX
        VLY_M_STANDARD,
    VLY_M_MAX = 256 /* standard and own together; what comes after is dropped and counted */
};

typedef struct vly_metrics vly_metrics;

vly_status vly_metrics_create(vly_metrics **out);
void vly_metrics_destroy(vly_metrics *m); /* flushes and closes; NULL is fine */

/* A metric of your own; the same name gives the same number again. -1 when the table is full. */
int vly_metrics_add(vly_metrics *m, const char *name, vly_metric_kind kind, const char *help);
void vly_metrics_count(vly_metrics *m, int id, int64_t n);
void vly_metrics_set(vly_metrics *m, int id, double value);
void vly_metrics_observe(vly_metrics *m, int id, double value);
void vly_metrics_set_by_name(vly_metrics *m, const char *name, double value);

/* ---- reading ---- */

typedef struct {
    const char *name, *help; /* live as long as the registry */
    vly_metric_kind kind;
    bool set;     /* false: never written, value means nothing */
    double value; /* counter: the sum; gauge: the last; series: the mean of the last record's
                     interval */
    double min, max;
    int64_t count; /* series: observations since creation */
} vly_metric_value;

int vly_metrics_count_of(const vly_metrics *m); /* ids are 0 .. this - 1 */
vly_metric_value vly_metrics_get(vly_metrics *m, int id);
/* Seconds since create. */
double vly_metrics_seconds(const vly_metrics *m);

/* ---- sinks ---- */

/* resumed: the step the run goes on from, -1 for a new run. Later lines of the run before are
 * removed, so that steps only rise. Each line: {"step":N,"seconds":S,"name":value,...}, null where
 * not finite. */
vly_status vly_metrics_open_jsonl(vly_metrics *m, const char *path, int64_t resumed);
/* A new event file in the folder; after a resume it marks the events that are superseded. */
vly_status vly_metrics_open_tensorboard(vly_metrics *m, const char *folder, int64_t resumed);
/* Closes the interval of every series and appends to the sinks. A disk that is full is reported
 * once, with VLY_ENOSPACE; metrics in memory go on. */
vly_status vly_metrics_record(vly_metrics *m, int64_t steps);

#ifdef __cplusplus
}
#endif
#endif
