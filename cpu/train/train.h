/* train.h -- one training run in memory: keeps environments, algorithm and device busy until a
 * stop.
 *
 *   vly_train_options o = {.compute = c, .env = &env, .config = &config,
 *                          .on_update = updated, .on_save = save, .arg = me};
 *   VLY_TRY(vly_train_create(&t, &o));
 *   <resume: vly_train_write(t, &buffer, bytes) for every buffer of vly_train_buffers;
 *            vly_train_restored(t)>
 *   status = vly_train_run(t, &result);      // returns at a stop; result.stop says which
 *   vly_train_destroy(t);
 *
 *   o.eval = true: ... restore the weights ... vly_train_evaluate(t, 100, returns, lengths);
 *
 * The schedule is the algorithm's own, or pool.schedule. A synchronous run gives the same bits for
 * any number of workers, also when it was saved and restored in between. In an asynchronous run the
 * learner has its own thread.
 *
 * Not here: files. Callbacks come on the thread of vly_train_run: on_update after an update,
 * on_episode at an episode's end, and on_save, when on_update asked for it, at the next point where
 * nothing is in flight; it then reads the buffers. A number that is not finite ends the run with
 * VLY_ENUMERIC before on_update and on_save see it.
 *
 * One event loop owns what can become ready: rows of environments, the device, the learner, a stop,
 * and whatever the caller has on a loop of its own (options.loop). The thread sleeps in that loop
 * alone (report.asleep_s), and runs what is due there at least between two updates.
 *
 * The trainer borrows everything in the options.
 */
#ifndef VLY_CPU_TRAIN_TRAIN_H
#define VLY_CPU_TRAIN_TRAIN_H
#include <uv.h>
#include "common/learn/algo.h"
#include "common/config/config.h"
#include "cpu/actors/pool.h"
#include "cpu/actors/remote.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct vly_train vly_train;

typedef enum {
    VLY_STOP_NONE,
    VLY_STOP_TARGET,
    VLY_STOP_BUDGET,
    VLY_STOP_INTERRUPTED,
    VLY_STOP_FAILED
} vly_stop;
const char *vly_stop_name(vly_stop stop); /* "target", "budget", "interrupted", "failed" */

/* Where the wall clock of vly_train_run went, on its own thread. */
typedef enum {
    VLY_PHASE_ENV,   /* waiting for environments (or stepping them itself) */
    VLY_PHASE_ACT,   /* inference, transfers */
    VLY_PHASE_LEARN, /* updates; asynchronous: waiting for the learner */
    VLY_PHASE_OTHER, /* callbacks, book-keeping */
    VLY_PHASES
} vly_phase;
const char *vly_phase_name(vly_phase phase);

/* One of several environments that learn together (vly_env.tasks). */
typedef struct vly_train_task {
    const char *env;
    int64_t episodes;
    double return_mean_100; /* NAN before the first */
} vly_train_task;

/* A change of the rules while they are learned (vly_env.info "phase"). Means are of the last 20
 * episodes; NAN: there were too few. */
typedef struct vly_train_change {
    int task;                /* number in `tasks` of the report; 0 where there is one */
    int64_t phase, episodes; /* from phase 1 on; finished in it so far */
    int64_t steps;           /* agent steps of all when its first episode began */
    double return_before, return_lowest, return_mean; /* in the phase before; the least until it
                                                         recovered; now */
    int64_t recovery_steps; /* until nine tenths of the fall were made good; -1: they are not */
} vly_train_change;

typedef struct {
    int64_t steps;       /* agent steps of this process; RESET rows are not counted */
    int64_t total_steps; /* over all ranks */
    int64_t frames;      /* steps times the environment's frames per step */
    int64_t updates, episodes;
    int64_t rounds; /* learn() calls: DQN makes no update in one, or several */
    double return_mean_100, length_mean_100; /* over the last `window` episodes; NAN before the
                                                first */
    int window;                              /* at most 100 */
    const struct vly_train_task *tasks;      /* of an environment of several; valid until destroy */
    int task_count;                          /* 0: there is one */
    const struct vly_train_change *changes;  /* of each task the last 16, oldest first; valid until
                                                destroy */
    int change_count;
    double wall_s;           /* in vly_train_run, since create; a resumed run starts at 0 */
    double steps_per_s;      /* over the last seconds */
    double learn_rows_per_s; /* rows learned from, over the last seconds */
    double phase_s[VLY_PHASES];
    int64_t sleeps;  /* on the loop */
    double asleep_s; /* in the kernel's wait of the loop, since create */
    /* asynchronous */
    double lag_mean, lag_max; /* policy versions between acting and learning, in the last update */
    int64_t dropped;          /* unrolls older than max_lag */
    int ready, learning;      /* unrolls that wait, and that are learned from */
    int stalled;              /* groups that the algorithm has no room for */
    vly_pool_stats pool;
    const vly_metric *metrics; /* of the last update */
    int metric_count;
} vly_train_report;

/* What on_update returns; flags. */
enum { VLY_TRAIN_GO_ON = 0, VLY_TRAIN_SAVE = 1, VLY_TRAIN_STOP = 2 };

typedef struct {
    vly_compute *compute;
    const vly_env *env;
    const vly_config *config; /* run.algo names the algorithm; all three borrowed */
    vly_sync *sync;           /* NULL: alone */
    uv_loop_t *loop;          /* NULL: the run has one of its own */
    vly_status (*lead)(void *arg, vly_train *t); /* replaces the schedule (lead.h); NULL: none */
    void *lead_arg;
    bool eval, greedy; /* for vly_train_evaluate and vly_train_step */
    int eval_actors;   /* 0: 16 */
    uint64_t eval_seed;
    double
        patience_s; /* a phase (a rollout and its update) that has lasted so long is given up at a
                          stop; 0: 0.2 */
    void *arg;      /* for the callbacks, each of which may be NULL */
    int (*on_update)(void *arg, const vly_train_report *report);
    void (*on_episode)(void *arg, const vly_episode *episode, int64_t total_steps);
    vly_status (*on_save)(void *arg, vly_train *t);  /* an error ends the run */
    void (*on_warning)(void *arg, const char *text); /* from any thread */
} vly_train_options;

typedef struct {
    vly_stop stop;
    vly_train_report report; /* its metrics pointer: valid until destroy */
} vly_train_result;

vly_status vly_train_create(vly_train **out, const vly_train_options *options);
void vly_train_destroy(vly_train *t);

/* Until run.steps, run.until_return, vly_train_stop or a failure. Calls on_save at the end if
 * anything has changed since the last save, but not after a failure. VLY_OK for every stop but
 * VLY_STOP_FAILED. */
vly_status vly_train_run(vly_train *t, vly_train_result *result);
/* Ends vly_train_run or vly_train_evaluate as soon as the state is whole; before them, after the
 * first update. A long phase is given up: the state is that of before it. From any thread or a
 * signal handler. */
void vly_train_stop(vly_train *t);
void vly_train_get_report(vly_train *t, vly_train_report *out);
/* VLY_EPEER once environments failed and were started again more than pool.restarts times. */
vly_status vly_train_check_restarts(vly_train *t);
/* Who steps the environments of --listen, on the thread of vly_train_run or when not running. False:
 * they are stepped here. */
bool vly_train_actors(vly_train *t, vly_remote_stats *out);
vly_algo *vly_train_algo(vly_train *t);
/* State of one actor, for rendering, in on_update alone. NULL while it is being stepped, and in a
 * run with a leader. */
const void *vly_train_state(vly_train *t, int actor);

#define VLY_TRAIN_POOL "train.pool"
/* The whole state of training: the algorithm's buffers, counters, environments, returns. The same
 * list for the same options. Returns how many there are; writes at most max. Valid in on_save, and
 * when not running. */
int vly_train_buffers(vly_train *t, vly_buffer *out, int max);
vly_status vly_train_read(vly_train *t, const vly_buffer *buffer, void *host);
vly_status vly_train_write(vly_train *t, const vly_buffer *buffer, const void *host);
/* Instead of the environments' buffer (VLY_TRAIN_POOL): what a run with its environments elsewhere
 * has saved, or the other way. Episodes begin anew. */
vly_status vly_train_convert(vly_train *t, const void *host, size_t bytes);
/* After all buffers were written: checks them and rebuilds what derives from them. */
vly_status vly_train_restored(vly_train *t);

/* eval: plays episodes with the current weights; each actor plays its share, so that long episodes
 * are not left out. returns, lengths (episodes); lengths may be NULL. VLY_ECANCELED after
 * vly_train_stop; a failure of vly_train_check_restarts ends it, as it ends vly_train_step. */
vly_status vly_train_evaluate(vly_train *t, int episodes, double *returns, int32_t *lengths);

/* Which of the environment's tasks the i-th of so many episodes was of. */
int vly_train_episode_task(const vly_train *t, int episodes, int i);

/* eval with eval_actors 1: one step with the current weights; the first call only resets. */
typedef struct {
    const void *state;  /* of the environment after this step */
    vly_actions action; /* that led here, of each player, until the next step; data NULL: none */
    double value;       /* the algorithm's estimate where it acted; NAN when it has none */
    double score;       /* gained in this step, by the first player */
    uint8_t flags;      /* of its row, VLY_ROW_*; with RESET the action was ignored */
} vly_train_moment;
vly_status vly_train_step(vly_train *t, vly_train_moment *moment);

#ifdef __cplusplus
}
#endif
#endif
