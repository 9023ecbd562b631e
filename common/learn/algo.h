/* algo.h -- the interface between a learning algorithm and the trainer.
 *
 *   vly_algo *a;
 *   VLY_TRY(vly_algo_create(&a, "ppo", &args));
 *   for every group g:  a->place(a, g, &rows); <the pool resets g's actors into rows>;
 *                       a->arrived(a, q, g);
 *   loop, synchronous schedule:
 *       for a->phase_steps steps of every group g:
 *           // action of g's actors: *a->action(a, g), host, once q has passed
 *           a->act(a, q, &g, 1);
 *           a->place(a, g, &rows);          // where the answers go
 *           <the pool steps g into rows>
 *           // the rows are complete (and enqueued, on a device of its own)
 *           a->arrived(a, q, g);
 *       a->learn(a, q, &progress);          // one update: a->metrics(...) once q has passed
 *
 * Actors are numbered 0 .. actors - 1, and here each player of an environment is one: the players of
 * a state are neighbours in one group. Group g owns actors / groups consecutive ones, which are
 * stepped and inferred together. Two groups alternate on a synchronous schedule; an asynchronous
 * one has many small groups, and act() gets those that finished first.
 *
 * Rows. An arriving row carries the observation and the reward and flags that came with it. The
 * action chosen on row t is answered by row t + 1: a transition's reward and flags are those of the
 * NEXT row. When that next row is flagged RESET the action was ignored: the transition is masked.
 * TERMINATED cuts the bootstrap, TRUNCATED bootstraps from the value of the row that carries it.
 * On a row flagged IDLE the player did not move: nothing is learned from its action, and what it is
 * rewarded with belongs to its last move.
 *
 * Asynchronous schedule (IMPALA): acting and learning are concurrent. On the loop's thread, in this
 * order: collect() takes the unrolls of the next update (false: not enough yet); learn() runs on
 * the learner's thread and queue; publish() hands its weights to the acting copy and frees the
 * unrolls. place() returns false while there is no room: the group waits for the next publish().
 *
 * Synchronous schedule with overlap (set_aside is not NULL): once all groups have phase_steps rows
 * and no learn() runs, set_aside() on the acting queue; then learn() on the learner's thread and
 * queue, beside the next rollout, which is acted with the weights that learn() begins from.
 *
 * Everything is allocated by create. learn() must be capturable (common/base/compute.h). One thread
 * at a time, except learn() beside act(), place(), arrived() where it has a thread of its own.
 */
#ifndef VLY_COMMON_LEARN_ALGO_H
#define VLY_COMMON_LEARN_ALGO_H
#include "common/base/compute.h"
#include "common/base/count.h"
#include "common/config/config.h"
#include "common/learn/net.h"
#include "common/sync/sync.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct vly_algo vly_algo;

typedef enum { VLY_SCHEDULE_SYNC, VLY_SCHEDULE_ASYNC } vly_schedule;

/* ---- creation ---- */

typedef struct {
    vly_compute *compute;
    const vly_env *env;       /* obs, actions; borrowed for the algorithm's life */
    const vly_config *config; /* resolved (vly_algo_resolve); borrowed */
    vly_sync *sync;           /* NULL: alone */
    bool led;                 /* other processes act for it */
    uint64_t seed;
    int actors, groups; /* actors (players counted) is a multiple of groups */
    vly_queue *queue;   /* for what create itself enqueues */
    bool eval;          /* acts only: no learner, no replay; learn() is replaced by discard() */
    bool greedy; /* eval: the best action; else sampled as in training (DQN: epsilon of evaluation)
                  */
} vly_algo_args;

/* ---- what is saved ---- */

typedef enum {
    VLY_BUFFER_WEIGHT,    /* a parameter of the acting network: exported, and all that eval needs */
    VLY_BUFFER_OPTIMIZER, /* moments, optimizer steps */
    VLY_BUFFER_STATE, /* random counters, cursors, observations in flight, recurrent state, target
                         network */
    VLY_BUFFER_REPLAY /* large: stored transitions */
} vly_buffer_role;

typedef struct {
    char name[64]; /* "policy.0.weight"; unique within the algorithm */
    vly_buffer_role role;
    vly_dtype dtype;
    int ndim;
    int64_t shape[4];
    void *data; /* contiguous; device memory when `device` */
    bool device;
} vly_buffer;

size_t vly_buffer_bytes(const vly_buffer *buffer);

/* ---- while training ---- */

typedef struct {
    int64_t steps, total_steps; /* agent steps over all actors and ranks, done and planned (0:
                                   open-ended) */
    int64_t own_steps; /* this learner's share of them: what its own updates are counted against */
    int64_t updates;   /* learn() calls done before this one */
    bool (*stop_asked)(const void *arg); /* whether learn() is to return early, if it can: `cuts`,
                                            or VLY_ECANCELED, after which its state is of no use;
                                            NULL: never */
    const void *stop_arg;
} vly_progress;

static inline bool vly_progress_stopped(const vly_progress *p) {
    return p->stop_asked && p->stop_asked(p->stop_arg);
}

/* What is left of a linear schedule over so many steps: 1 at the start, 0 at the end and after it; 1
 * where `over` is 0. */
static inline double vly_steps_left(int64_t steps, int64_t over) {
    if (over <= 0) return 1.0;
    const double left = 1.0 - (double)steps / (double)over;
    return left > 0 ? left : 0;
}

/* Of a schedule over the whole run; 1 when open-ended. */
static inline double vly_progress_left(const vly_progress *p) {
    return vly_steps_left(p->steps, p->total_steps);
}

typedef struct {
    char name[40]; /* as CleanRL names them: "losses/policy_loss" */
    double value;
} vly_metric;
enum { VLY_METRICS_MAX = 32 };
/* Appends to out[*count]; beyond VLY_METRICS_MAX it does nothing. */
static inline void vly_metric_add(vly_metric *out, int *count, const char *name, double value) {
    if (*count >= VLY_METRICS_MAX) return;
    size_t i = 0;
    for (; name[i] && i + 1 < sizeof out->name; i++) out[*count].name[i] = name[i];
    out[*count].name[i] = '\0';
    out[(*count)++].value = value;
}

struct vly_algo {
    char name[16];
    vly_schedule schedule;
    int phase_steps; /* synchronous: steps of every group between two learn() calls */
    int64_t params;  /* number of trained parameters */
    int64_t version; /* of the acting weights: updates they have seen */
    struct {
        double lag_mean, lag_max; /* of the last update: policy versions since its rows were acted
                                   */
        int64_t dropped;          /* unrolls that were too old to learn from, since create */
        int ready, learning;      /* unrolls complete; being learned from */
    } async;                      /* asynchronous schedule; read on the loop's thread */
    int64_t rows_per_update; /* rows that a learn() reads (passes over the same row not counted) */
    const int64_t *made;     /* updates made, where a learn() is any number of them (DQN's ratio, a
                                table's cells); NULL: each is one */
    bool cuts;               /* learn() looks at stop_asked after each of its updates */
    bool unfinished;         /* and returned early: the state is whole, and the next learn() with
                                the same progress, before any act(), makes the other updates */
    bool failed;             /* set with VLY_ENUMERIC: the state is no longer worth saving */
    const vly_params *arena; /* all parameters as one array, for a parameter server; NULL: it has
                                none */
    const vly_optimizer *optimizer; /* that the arena is trained with */

    void (*destroy)(vly_algo *a);

    /* Where the next row of every actor of the group goes. rows->obs: device memory, n contiguous
     * observations (stride rows->obs_stride); reward, score, flags: host memory; so are masks
     * (env->masked) and shared states, which stay NULL where the algorithm reads none. False: no room
     * now (asynchronous schedule). */
    bool (*place)(vly_algo *a, int group, vly_rows *rows);
    /* The rows are there. `age`: for each actor the frames of its episode before this row, at most
     * 255. */
    vly_status (*arrived)(vly_algo *a, vly_queue *q, int group, const uint8_t *age);
    /* Enqueues inference on the newest row of each group; all groups have arrived and not acted. */
    vly_status (*act)(vly_algo *a, vly_queue *q, const int *group, int count);
    /* The actions of the group's last act(), host memory, env->action.bytes apart, valid once q has
     * passed it, until the next act(). */
    vly_actions (*action)(vly_algo *a, int group);

    /* What the network expects from where the first actor of the last act() was: its value, or its
     * best Q. q has passed it. For display; may be NULL. */
    vly_status (*value)(vly_algo *a, vly_queue *q, float *value);

    /* Whether an actor's episodes show what the policy can do; NULL: all do. Those that explore for
     * the others are not reported. */
    bool (*counts)(const vly_algo *a, int actor);

    bool (*collect)(vly_algo *a, vly_queue *q); /* asynchronous only, else NULL */
    /* Asynchronous only, at a stop: after a learn() that returned VLY_ECANCELED, the unrolls wait
     * again; and the last act() of a group without room did not take place. */
    void (*uncollect)(vly_algo *a);
    vly_status (*unact)(vly_algo *a, vly_queue *q, int group);
    vly_status (*learn)(vly_algo *a, vly_queue *q, const vly_progress *progress);
    vly_status (*publish)(vly_algo *a, vly_queue *q); /* asynchronous only, else NULL */
    /* Overlap only, else NULL: moves the rollout to where learn() reads it, and the newest weights to
     * where act() does. */
    vly_status (*set_aside)(vly_algo *a, vly_queue *q);
    /* With it: how many bytes at the end of one of its buffers learn() alone writes. */
    size_t (*learned)(const vly_algo *a, const vly_buffer *buffer);
    /* Takes in what vly_sync_unrolls of another process sent, before collect(). VLY_ECORRUPT: not
     * an unroll of this run. NULL: it learns from its own rows alone. */
    vly_status (*receive)(vly_algo *a, vly_queue *q, const void *unroll, size_t bytes);
    /* Instead of learn(): forgets what was collected and goes on from the newest rows (evaluation).
     */
    vly_status (*discard)(vly_algo *a, vly_queue *q);
    /* The last learn() as numbers, once its queue has passed; VLY_ENUMERIC when they are not
     * finite. Writes at most VLY_METRICS_MAX. */
    vly_status (*metrics)(vly_algo *a, vly_metric *out, int *count);

    /* Everything that decides how training goes on, between an update and the next act(). The list
     * is the same for every create with the same arguments. Returns the number of buffers; writes
     * at most max. */
    int (*buffers)(vly_algo *a, vly_buffer *out, int max);
    /* After the buffers were overwritten (resume, evaluation): derived state is rebuilt. */
    vly_status (*restored)(vly_algo *a, vly_queue *q);
};

/* ---- the list ---- */

/* Environments that an algorithm acts in beside those of one player with one discrete action and
 * without masks. */
enum {
    VLY_ACTS_MULTI = 1,       /* several discrete actions at once */
    VLY_ACTS_BOX = 2,         /* continuous ones */
    VLY_ACTS_MASKED = 4,      /* some actions are not allowed */
    VLY_ACTS_PLAYERS = 8,     /* several players, who share what is learned; with a replay memory
                                 those alone who all move on every row */
    VLY_ACTS_NO_DISCRETE = 16 /* and not in the usual ones */
};

/* What other rooms need to know of an algorithm: names are compared nowhere outside an entry. */
typedef struct {
    unsigned acts; /* VLY_ACTS_* */
    bool tabular;  /* a table in host memory and no network: no GPU, no parameter server */
    bool server;   /* runs with a parameter server by default, without dist.update */
    bool unrolls;  /* the learner can be fed by other processes' unrolls (vly_algo.receive) */
    bool in_store; /* the replay memory can lie in a store (apex.replay) */
} vly_algo_traits;

/* Defined in the algorithm's own file as vly_algo_NAME, listed in common/learn/algo.c. */
typedef struct {
    const char *name, *summary;
    const char *sections[4]; /* of options.def: its own, then others that it reads beside net, optim
                                and replay; NULL ends the list */
    vly_schedule schedule;
    vly_algo_traits traits;
    bool (*reads)(
        const vly_env *env); /* whether it learns from such observations; NULL: from any */
    const char *needs;       /* what `reads` asks for, in words */
    bool (*overlaps)(const vly_config *config); /* vly_algo.set_aside will be there; NULL: never */
    /* A new run, before it is created: replaces what its options leave to the device. alone: no
     * other processes. May be NULL. */
    void (*settle)(vly_config *config, const vly_env *env, const vly_compute_info *device,
                   bool alone);
    /* Checks that involve several options; may be NULL. */
    vly_status (*check)(const vly_config *config);
    vly_status (*create)(vly_algo **out, const vly_algo_args *args);
    /* The network that acts, of compute, env and config alone; NULL: it has none. */
    vly_net_desc (*network)(const vly_algo_args *args);
    /* What that network's numbers mean for a box of so many; its bounds are vly_head_dist's. NULL: as
     * net.deviation and net.squash say. */
    vly_dist (*dist)(const vly_config *config, int parts);
} vly_algo_entry;

/* Unknown names fail with the nearest valid ones, environments that it cannot act in with the
 * algorithms that can. */
vly_status vly_algo_create(vly_algo **out, const char *name, const vly_algo_args *args);
/* The network that acts in runs of args->config, whose weights a checkpoint holds. */
vly_status vly_algo_net(vly_net **out, const vly_algo_args *args);
const vly_algo_entry *vly_algo_find(const char *name);        /* NULL: none of that name */
const vly_algo_entry *vly_algo_list(int i);                   /* NULL past the end */
vly_algo_traits vly_algo_traits_of(const vly_config *config); /* of run.algo */

/* ---- a run's configuration ---- */

/* vly_config_layers, then the algorithm's check: what a run uses. */
vly_status vly_algo_resolve(vly_config *config, const vly_assignments *given, const char *canonical,
                            const char *family);
/* The algorithm's `settle`: its choice is saved with the run. */
void vly_algo_settle(vly_config *config, const vly_env *env, const vly_compute_info *device,
                     bool alone);
/* vly_config_read, then the algorithm's check. */
vly_status vly_algo_restore(vly_config *config, const char *path);
/* vly_config_hash over the sections of run.algo. */
uint64_t vly_algo_config_hash(const vly_config *config);
/* vly_config_differences, for the algorithm of `b`. */
int vly_algo_config_differences(const vly_config *a, const vly_config *b, char *names,
                                size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
