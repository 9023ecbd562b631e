/* lead.h -- for a leader: a function that runs a training run whose acting, learning or both happen
 * in other processes (vly_train_options.lead). It replaces the trainer's own schedules.
 *
 *   vly_status my_lead(void *arg, vly_train *t) {
 *       while (vly_lead_stop(t) == VLY_STOP_NONE) {
 *           ... serve the workers; for each finished episode: vly_lead_episode(t, score) ...
 *           vly_lead_mark(t, VLY_PHASE_LEARN);
 *           VLY_TRY(vly_lead_tick(t, &(vly_lead_counts){steps, updates}, metrics, n));
 *       }
 *       return VLY_OK;
 *   }
 *
 * The trainer keeps the counters, decides when the run ends, calls on_update and on_save, and saves
 * once more after the leader has returned VLY_OK. The leader owns nothing of the trainer.
 *
 * Every function here is called from the leader, on the thread of vly_train_run.
 */
#ifndef VLY_CPU_TRAIN_LEAD_H
#define VLY_CPU_TRAIN_LEAD_H
#include "cpu/train/train.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed from the run; valid until the leader returns. */
typedef struct {
    vly_compute *compute;
    vly_queue *queue; /* for learning */
    vly_algo *algo;
    const vly_env *env;
} vly_lead_parts;
vly_lead_parts vly_lead_get_parts(vly_train *t);

/* Totals of the run, those before a resume included. */
typedef struct {
    int64_t steps, updates;
} vly_lead_counts;
vly_lead_counts vly_lead_get_counts(const vly_train *t);
/* Between ticks, for a leader that learns itself: what vly_lead_progress and the next tick see. */
void vly_lead_set_counts(vly_train *t, const vly_lead_counts *counts);
/* Rows learned from since the last call, for the rate in the report. */
void vly_lead_learned(vly_train *t, int64_t rows);
/* The argument of the algorithm's learn(). */
vly_progress vly_lead_progress(const vly_train *t);

/* An episode that a worker has finished. */
void vly_lead_episode(vly_train *t, double score);
/* Episodes that workers have finished without telling their scores: counted, not averaged. */
void vly_lead_count_episodes(vly_train *t, int64_t n);
/* Books the time since the last call to a phase. */
void vly_lead_mark(vly_train *t, vly_phase phase);

/* Some 50 times a second at most: runs the loop, takes over counts and metrics (at most
 * VLY_METRICS_MAX are kept), checks whether the run is over, calls on_update, and on_save where
 * that asked for it. The state that vly_train_buffers lists must be whole. */
vly_status vly_lead_tick(vly_train *t, const vly_lead_counts *counts, const vly_metric *metrics,
                         int metric_count);

/* How a leader waits: runs the loop (timers, a stop, what the caller of the run has on it) until
 * the descriptor can be read, or written; false after ms. fd -1: until something has happened, or
 * ms have passed. ms -1: the descriptor is about to be closed; that has to be said. Descriptors
 * become non-blocking. `train` is the vly_train: the function fits vly_store_options.wait. */
bool vly_lead_await(void *train, int fd, bool write, int ms);

/* VLY_STOP_NONE while the run goes on; changes in vly_lead_tick and vly_lead_finish. */
vly_stop vly_lead_stop(const vly_train *t);
/* All work has been done before the budget of steps was seen to be: ends with VLY_STOP_BUDGET. */
void vly_lead_finish(vly_train *t);
/* vly_train_stop has been called, possibly since the last tick. */
bool vly_lead_interrupted(const vly_train *t);

#ifdef __cplusplus
}
#endif
#endif
