/* train_impl.h -- the inside of a training run, for cpu/train alone.
 *
 *   train.c         creates, runs and destroys it: schedule, groups, source of rows, queues
 *   train_remote.c  a source of rows that other processes step
 *   train_core.c    what happens when: the states of groups, learner and run; both schedules
 *   train_sync.c    what is particular to the synchronous schedule
 *   train_async.c   what is particular to the asynchronous schedule
 *   lead.c          the interface of a schedule that the caller provides (lead.h)
 *   lead_await.c    how a leader waits for a descriptor
 *   train_eval.c    episodes with fixed weights
 *   train_learner.c learn(), here or on a thread of its own
 *   train_drift.c   how returns fall and recover when the rules change
 *   train_rows.c    rows to and from the environments
 *   train_loop.c    the event loop: where this thread sleeps
 *   train_undo.c    back to before a phase that a stop interrupts
 *   train_state.c   what is saved and restored
 *   train_report.c  counters, rates, the reasons to stop, on_update
 *
 * Calls go down this list.
 */
#ifndef VLY_CPU_TRAIN_TRAIN_IMPL_H
#define VLY_CPU_TRAIN_TRAIN_IMPL_H
#include <stdatomic.h>
#include "cpu/actors/isolate.h"
#include "cpu/train/train.h"

enum { RETURNS = 100, SAMPLES = 16, EPISODES_AT_ONCE = 256, CHANGES = 16, RECENT = 20 };

/* TRAIN_LEARNING: a learn() was cut short by a stop; a run that goes on finishes it first. */
enum { TRAIN_STARTED = 1, TRAIN_LEARNING = 2 };

typedef struct {     /* saved as one array of int64_t: add at the end */
    int64_t version; /* of this layout */
    int64_t started; /* TRAIN_STARTED: the first observations are there */
    int64_t steps, updates, episodes;
    int64_t fleet_steps, fleet_episodes; /* of all ranks, as of the last update */
    int64_t episodes_shift; /* added to this rank's own: those of other ranks before a resume */
} train_counters;

typedef struct {                       /* saved as doubles */
    double episodes, returns[RETURNS]; /* a ring at episodes % RETURNS */
} train_task;

typedef struct { /* saved as doubles; of one phase of a task, at phase % CHANGES */
    double phase, begun, episodes, recent[RECENT]; /* recent: a ring at episodes % RECENT */
    double before, lowest, recovered; /* recovered: at how many steps of all; -1: not yet */
} train_change;

typedef struct {
    double time, steps, rows;
} train_sample;

/* A point of a queue that this thread waits for: asked for a while, then an event on the loop. */
typedef struct {
    vly_train *t;
    vly_event *event;
    bool set, watched; /* watched: its event on the loop will come, also after a failure */
    uv_mutex_t lock;
    bool passed; /* under the lock, while watched */
} train_point;

typedef enum { LEARNER_IDLE, LEARNER_LEARNING, LEARNER_LEARNED } train_learner_state;

typedef struct {
    train_learner_state state;
    uv_thread_t thread; /* where `threaded` */
    uv_mutex_t mutex;
    uv_cond_t changed;
    bool threaded, running, job, quit;
    atomic_int done; /* the thread's: learn() has passed, with `status` */
    vly_progress progress;
    uint64_t begun_ns; /* of the update that it is LEARNING */
    double last_s;     /* how long the one before took; 0: there was none */
    vly_status status;
    char error[512];
} train_learner;

/* What the two schedules do differently. */
typedef struct {
    /* Groups that act next, into t->acting; returns how many. */
    int (*choose)(vly_train *t);
    /* Whether the rows of an update are there; the algorithm has taken them then. */
    vly_status (*collect)(vly_train *t, bool *ready);
    bool (*may_finish)(vly_train *t); /* whether what has passed may be taken in now */
    void (*learned)(vly_train *t);    /* the update has passed, its metrics are taken */
    int (*want)(vly_train *t);        /* groups that are received together; at least 1 */
    /* Nothing is in flight that can be waited for, and what was acted is learned from. */
    bool (*rests)(vly_train *t);
} train_schedule;
extern const train_schedule vly_train_sync, vly_train_async;

/* The state of before a phase, in the order of `list`. With overlap that is of two moments: what
 * learn() writes as of now, all else as of the beginning of the rollout that is about to be learned
 * from. */
typedef struct {
    vly_buffer *list; /* NULL: nothing was kept yet */
    int n;
    size_t bytes;
    uint8_t *memory;          /* of one moment, with overlap of two */
    uint8_t *acted, *learned; /* the moments of the rollout and of the learner; NULL: not kept */
    int64_t updates;          /* at the second */
    bool held, was_dirty;     /* held: the phase under way can be given up */
    int phases;               /* that have begun */
    uint64_t begun_ns;        /* of that phase */
    double last_s;            /* how long the phase before it lasted */
} train_undo;

struct vly_train {
    vly_train_options o;
    vly_compute *c;
    vly_algo *algo;
    vly_source *source;
    bool remote;            /* it is one of remote actors */
    vly_isolate *isolate;   /* their processes, where they are the run's own */
    vly_queue *act, *learn; /* the same on a synchronous schedule */
    vly_event *uploads;     /* before an update on another queue */
    int N, G, M; /* rows, groups, rows of a group: of whole actors, one for each player */
    bool async;
    const train_schedule *schedule;

    uv_loop_t *loop, own_loop;
    uv_async_t wake; /* from any thread: the learner, the device, vly_train_stop */
    uv_timer_t limit;
    int handles; /* open on the loop */
    bool limit_over;
    uint64_t polled_ns;
    int64_t sleeps;
    train_point acted, learned;
    struct train_descriptor *descriptors;

    vly_rows *rows;       /* per group: where the row in flight goes */
    uint8_t **device_obs; /* per group: where its observations belong on a device; the pool writes
                             them to the slab */
    uint8_t *slab;        /* pinned host memory (N observations); NULL on the CPU */
    train_counters counters;
    double returns[RETURNS]; /* of the last episodes, a ring at episodes % RETURNS */
    train_task *tasks;       /* one for each; NULL where there is one */
    vly_train_task *task_reports;
    train_change *changes;            /* (tasks, CHANGES); NULL: the environment has no phases */
    vly_train_change *change_reports; /* (tasks, CHANGES) */
    double *info;                     /* of one actor */
    int phase_at;                     /* in info */
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
    train_undo undo;
    bool dirty;      /* something changed since the last save */
    bool save_asked; /* by on_update */

    int *taken, *waiting, *acting, *stalled; /* groups: HERE, ACTING, STALLED (train_core.c) */
    int waiting_count, acting_count, stalled_count, in_flight;
    int batch;      /* asynchronous: groups that are inferred together */
    int turn, step; /* synchronous: the group that acts next, and on which step of its rollout */
    train_learner learner;
};

/* ---- train_remote.c ---- */

bool vly_train_is_remote(const vly_train *t);
vly_status vly_train_create_remote(vly_train *t, uint64_t seed);

/* ---- train_core.c ---- */

vly_status vly_train_run_schedule(vly_train *t);
/* Synchronous: inference for one group, its actions to the source; and the answer. */
vly_status vly_train_act_group(vly_train *t, int group);
vly_status vly_train_await_group(vly_train *t, int group);
/* Resets all environments at the start of a run, not after a resume. */
vly_status vly_train_first_rows(vly_train *t);
/* Whether the run has to come to rest: it is over, or asked to save. */
bool vly_train_is_resting(const vly_train *t);
/* Groups that can be waited for: not those that hang. */
int vly_train_expected(vly_train *t);
/* After a failure, before memory is freed: waits for what is in flight. Returns status, with its
 * words. */
vly_status vly_train_drain(vly_train *t, vly_status status);

/* ---- train_learner.c ---- */

vly_status vly_train_learner_start(vly_train *t);
void vly_train_learner_stop(vly_train *t);
/* IDLE to LEARNING, and to LEARNED once it has passed: *moved. */
vly_status vly_train_learner_begin(vly_train *t);
vly_status vly_train_learner_look(vly_train *t, bool *moved);

/* ---- train_rows.c ---- */

/* Gives group g to the source: without actions it is reset. *room false: the algorithm has none. */
vly_status vly_train_submit(vly_train *t, int group, vly_actions action, bool *room);
/* Takes `want` groups into t->taken if they are complete: *n, else 0. */
vly_status vly_train_take(vly_train *t, int want, int *n);
/* The group's row is complete: uploads it, counts steps, passes it to the algorithm. */
vly_status vly_train_receive(vly_train *t, int group);
/* Of a row. */
static inline int vly_train_task_of(const vly_train *t, int row) {
    return row / t->o.env->players % t->o.env->tasks;
}
/* Counts the episodes that have ended and hands them to on_episode. */
void vly_train_count_episode(vly_train *t, const vly_episode *episode);
void vly_train_episodes(vly_train *t);

/* ---- train_drift.c; nothing to do for an environment without phases ---- */

vly_status vly_train_create_changes(vly_train *t);
void vly_train_free_changes(vly_train *t);
/* The actor's state is still that of the episode's end. */
void vly_train_count_change(vly_train *t, const vly_episode *episode);
vly_status vly_train_check_changes(const vly_train *t); /* of a checkpoint */
void vly_train_report_changes(vly_train *t, vly_train_report *out);

/* ---- train_loop.c ---- */

vly_status vly_train_open_loop(vly_train *t);
void vly_train_close_loop(vly_train *t);
/* Runs what is due on the loop, at most once a millisecond. */
void vly_train_poll(vly_train *t);
/* Sleeps until something happens: `want` groups (0: none is waited for), a point, the learner, a
 * stop, or another event of the loop. Books the time to the phase. */
vly_status vly_train_sleep(vly_train *t, int want, vly_phase phase);
/* Sleeps until the loop has something else, or ms have passed. */
void vly_train_pause(vly_train *t, int ms);
/* t->limit_over becomes true after ms, while the loop runs. */
void vly_train_begin_limit(vly_train *t, int ms);

/* ---- lead_await.c ---- */

void vly_train_forget_descriptors(vly_train *t);

vly_status vly_train_point_create(vly_train *t, train_point *point);
void vly_train_point_destroy(train_point *point);
/* What is on the queue so far. */
vly_status vly_train_point_set(train_point *point, vly_queue *q);
bool vly_train_point_passed(train_point *point);

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

/* ---- train_undo.c ---- */

/* A phase begins: keeps the state if the phase before was a long one, or there was none. A copy
 * takes less than a hundredth of such a phase. overlapped: a rollout was set aside, and is learned
 * from beside the next. */
vly_status vly_train_keep(vly_train *t, bool overlapped);
/* Whether a stop was asked for and the phase, a long one, is not to be finished. */
bool vly_train_gives_up(const vly_train *t);
/* The state is that of before the phase; the run ends as interrupted and is saved so. */
vly_status vly_train_go_back(vly_train *t);
void vly_train_free_undo(vly_train *t);
/* Of vly_train_options, with its default. */
double vly_train_patience_s(const vly_train *t);

/* ---- train_state.c ---- */

/* Calls on_save if anything has changed since the last. */
vly_status vly_train_save(vly_train *t);

#endif
