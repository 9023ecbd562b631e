/* train_impl.h -- the inside of a run, for cpu/train*.c alone. */
#ifndef VLY_CPU_TRAIN_TRAIN_IMPL_H
#define VLY_CPU_TRAIN_TRAIN_IMPL_H
#include <stdatomic.h>
#include "cpu/train/train.h"

enum { RETURNS = 100, SAMPLES = 16, EPISODES_AT_ONCE = 256 };

typedef struct {     /* saved as one array of int64_t: add at the end */
    int64_t version; /* of this layout */
    int64_t started; /* first observations have been made */
    int64_t steps, updates, episodes;
    int64_t fleet_steps, fleet_episodes; /* of all ranks, as of the last update */
    int64_t episodes_shift; /* what to add to one's own: other ranks' before a resume */
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
    uint8_t **device_obs; /* per group: ... on a device of its own; the pool then writes to the slab
                           */
    uint8_t *slab;
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
                                                actions are being made; stalled: acted, no room */
    int waiting_count, acting_count, stalled_count, in_flight, batch;
    atomic_int acted; /* the actions of `acting` are in host memory; set by whichever thread the
                         back end says it from */
    train_learner learner;
};

/* Books the time since the last call to a phase. */
void vly_train_mark(vly_train *t, vly_phase phase);
/* Gives group g to the pool: with action NULL it is reset. False: the algorithm has no room. */
vly_status vly_train_submit(vly_train *t, int group, const int32_t *action, bool *room);
/* The group's row is in: uploads, counts, tells the algorithm. */
vly_status vly_train_receive(vly_train *t, int group);
/* Until the pool is done with the group (synchronous). */
vly_status vly_train_wait(vly_train *t, int group);
void vly_train_episodes(vly_train *t);
vly_progress vly_train_progress(const vly_train *t);
/* Waits for learn() on its queue; when a rank is gone, says so. */
vly_status vly_train_passed(vly_train *t, vly_queue *q);
/* After learn() has passed: metrics, checks, callback. *save: asked for. */
vly_status vly_train_updated(vly_train *t, bool *save);
/* The same for a run that is led from here and acts elsewhere (cpu/fleet/lead.c): its counters and
 * metrics. */
vly_status vly_train_led(vly_train *t, int64_t steps, int64_t updates, const vly_metric *metrics,
                         int count, bool *save);
vly_status vly_train_save(vly_train *t);
vly_status vly_train_first_rows(vly_train *t);
vly_status vly_train_run_sync(vly_train *t);
vly_status vly_train_run_async(vly_train *t);

#endif
