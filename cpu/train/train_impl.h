/* train_impl.h -- the inside of a training run, for cpu/train alone.
 *
 *   train.c         creates, runs and destroys it: schedule, groups, pool, queues
 *   train_sync.c    the synchronous schedule
 *   train_async.c   the asynchronous schedule
 *   lead.c          the interface of a schedule that the caller provides (lead.h)
 *   train_eval.c    episodes with fixed weights
 *   train_rows.c    rows to and from the environments
 *   train_state.c   what is saved and restored
 *   train_report.c  counters, rates, the reasons to stop, on_update
 *
 * Calls go down this list.
 */
#ifndef VLY_CPU_TRAIN_TRAIN_IMPL_H
#define VLY_CPU_TRAIN_TRAIN_IMPL_H
#include <stdatomic.h>
#include "cpu/train/train.h"

enum { RETURNS = 100, SAMPLES = 16, EPISODES_AT_ONCE = 256 };

/* TRAIN_LEARNING: a learn() was cut short by a stop; a run that goes on finishes it first. */
enum { TRAIN_STARTED = 1, TRAIN_LEARNING = 2 };

typedef struct {     /* saved as one array of int64_t: add at the end */
    int64_t version; /* of this layout */
    int64_t started; /* TRAIN_STARTED: the first observations are there */
    int64_t steps, updates, episodes;
    int64_t fleet_steps, fleet_episodes; /* of all ranks, as of the last update */
    int64_t episodes_shift; /* added to this rank's own: those of other ranks before a resume */
} train_counters;

typedef struct {
    double time, steps, rows;
} train_sample;

typedef struct {
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t changed;
    bool running, job, done, quit;
    vly_progress progress;
    vly_status status;
    char error[512];
} train_learner;

struct vly_train {
    vly_train_options o;
    vly_compute *c;
    vly_algo *algo;
    vly_pool *pool;
    vly_queue *act, *learn; /* the same on a synchronous schedule */
    vly_event *event;
    int N, G, M; /* actors, groups, actors of a group */
    bool async;

    vly_rows *rows;       /* per group: where the row in flight goes */
    uint8_t **device_obs; /* per group: where its observations belong on a device; the pool writes
                             them to the slab */
    uint8_t *slab;        /* pinned host memory (N observations); NULL on the CPU */
    train_counters counters;
    double returns[RETURNS]; /* of the last episodes, a ring at episodes % RETURNS */
    int32_t lengths[RETURNS];
    uint8_t *pool_state;
    size_t pool_bytes;
    vly_episode episodes[EPISODES_AT_ONCE];

    vly_metric metrics[VLY_METRICS_MAX];
    int metric_count;
    double phase_s[VLY_PHASES];
    uint64_t created_ns, mark_ns;
    train_sample samples[SAMPLES];
    int sample_count;
    double rows_learned;
    atomic_int stop_asked;
    vly_stop stop;
    bool dirty; /* something changed since the last save */

    /* asynchronous */
    int *taken, *waiting, *acting, *stalled; /* groups; waiting: arrived, not acted; acting: their
                                                actions are being computed; stalled: acted, but the
                                                algorithm has no room */
    int waiting_count, acting_count, stalled_count, in_flight, batch;
    atomic_int acted; /* the actions of `acting` are in host memory; set by a thread of the back
                         end */
    train_learner learner;
};

/* ---- train_sync.c, train_async.c ---- */

vly_status vly_train_run_sync(vly_train *t);
vly_status vly_train_run_async(vly_train *t);

/* ---- train_rows.c ---- */

/* Gives group g to the pool: with action NULL it is reset. *room false: the algorithm has none. */
vly_status vly_train_submit(vly_train *t, int group, const int32_t *action, bool *room);
/* The group's row is complete: uploads it, counts steps, passes it to the algorithm. */
vly_status vly_train_receive(vly_train *t, int group);
/* Until the pool is done with the group (synchronous). */
vly_status vly_train_wait(vly_train *t, int group);
/* Synchronous: inference for one group, its actions to the pool; and the answer. */
vly_status vly_train_act_group(vly_train *t, int group);
vly_status vly_train_await_group(vly_train *t, int group);
/* Resets all environments at the start of a run, not after a resume. */
vly_status vly_train_first_rows(vly_train *t);
/* Counts the episodes that have ended and hands them to on_episode. */
void vly_train_count_episode(vly_train *t, const vly_episode *episode);
void vly_train_episodes(vly_train *t);
/* After a failure, before memory is freed: waits for groups that the pool still has. Returns
 * status, with its words. */
vly_status vly_train_drain_groups(vly_train *t, vly_status status);

/* ---- train_report.c ---- */

/* Books the time since the last call to a phase. */
void vly_train_mark(vly_train *t, vly_phase phase);
vly_progress vly_train_progress(const vly_train *t);
/* Agent steps of all ranks. */
int64_t vly_train_total_steps(const vly_train *t);
/* Ranks exchange counters after every update. */
bool vly_train_has_ranks(const vly_train *t);
/* Rates are measured from here on. */
void vly_train_restart_rates(vly_train *t);
/* Whether the run is over, by its own counters alone. */
vly_stop vly_train_check_stop(vly_train *t);
/* Waits for learn() on its queue; VLY_EPEER when a rank is gone. */
vly_status vly_train_finish_learn(vly_train *t, vly_queue *q);
/* After vly_train_finish_learn: metrics, then vly_train_changed. */
vly_status vly_train_updated(vly_train *t, bool *save);
/* After a learn() that returned early: metrics; the run ends as interrupted and is saved so. */
vly_status vly_train_cut(vly_train *t);
/* Counters or metrics have changed: agrees with the ranks on a stop, calls on_update. *save: asked
 * for. */
vly_status vly_train_changed(vly_train *t, bool *save);

/* ---- train_state.c ---- */

/* Calls on_save if anything has changed since the last. */
vly_status vly_train_save(vly_train *t);

#endif
