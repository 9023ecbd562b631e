/* volley.h -- libvolley: environments, trained agents and training from any language.
 *
 *   vly_vec *v;
 *   if (vly_vec_open(&v, "pong", "num_envs=64 num_threads=2 atari.sticky=0.25") != 0)
 *       fprintf(stderr, "%s\n", vly_last_error());
 *   vly_batch batch = {.bytes = sizeof batch, .observation = pixels, .reward = rewards,
 *                      .terminated = terminated, .truncated = truncated};
 *   vly_vec_reset(v, NULL, seeds, &batch);
 *   for (...) vly_vec_step(v, actions, VLY_TYPE_I32, &batch);
 *   vly_vec_close(v);
 *
 * Functions that return int return 0, or a negative code: -1 invalid argument, -2 out of memory,
 * -3 no such device, -4 CUDA, -5 input or output, -6 not found, -7 damaged data, -8 made by another
 * version, -9 no space left, -10 not a finite number, -11 took too long, -12 a peer failed,
 * -13 interrupted, -14 not supported here. vly_last_error() then has the words.
 *
 * The library prints nothing, never exits, installs no signal handler and keeps no state outside
 * its handles. Handles are independent: several threads may use several at once. A handle serves
 * one call at a time; a second one at the same moment fails with -1 and changes nothing. A handle
 * belongs to the process that opened it: after fork() the child opens its own.
 *
 * Compatibility: symbols and members are added, never changed or removed, within one soname.
 * Structs that the caller allocates begin with `bytes`, which the caller sets to their size.
 */
#ifndef VOLLEY_H
#define VOLLEY_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VLY_API __attribute__((visibility("default")))
#else
#define VLY_API
#endif

/* "0.2.0" */
VLY_API const char *vly_version(void);
/* What the last call of this thread that failed found wrong; "" when there was none. Valid until
 * the thread's next call. */
VLY_API const char *vly_last_error(void);

enum {
    VLY_TYPE_U8 = 0,
    VLY_TYPE_I32 = 1,
    VLY_TYPE_I64 = 2,
    VLY_TYPE_F32 = 3,
    VLY_TYPE_F64 = 4,
};

/* ---- which environments there are ---- */

typedef struct {
    size_t bytes;          /* sizeof(vly_vec_known) */
    const char *name;      /* "cartpole", "minatar/breakout", "pong" */
    const char *gymnasium; /* the id that it is known by there, or NULL */
    const char *summary;
    const char *family; /* "classic", "minatar"; of files that are fetched: "atari", "mujoco" */
} vly_vec_known;
/* Entry i of the list, from 0; -6 past the end. */
VLY_API int vly_vec_list(int i, vly_vec_known *out);

/* ---- a vector of environments ---- */

typedef struct vly_vec vly_vec;

/* What one observation or one action is. */
typedef struct {
    size_t bytes; /* sizeof(vly_vec_space) */
    int32_t type; /* VLY_TYPE_* of its numbers */
    int32_t ndim;
    int64_t shape[8];
    int64_t n;        /* not 0: a whole number in [0, n), without a shape; 0 and VLY_TYPE_I64: one
                         choice for each entry of the shape (vly_vec_bounds) */
    double low, high; /* of every number; infinite where there is no bound */
} vly_vec_space;

typedef struct {
    size_t bytes; /* sizeof(vly_vec_facts) */
    int32_t num_envs, batch_size, num_threads;
    int32_t autoreset; /* 0 next step, 1 same step, 2 disabled */
    int32_t stack;     /* frames of an observation */
    int32_t frames_per_step;
    int32_t reward_type; /* VLY_TYPE_* */
    int32_t columns;     /* of information: vly_vec_column */
    uint64_t state_bytes;
    int32_t asynchronous; /* batch_size is less than num_envs */
    int32_t renders;      /* vly_vec_render draws it */
    int32_t players;      /* rows of an environment, and actions: one after the other */
    int32_t reserved;
} vly_vec_facts;

/* A column of information: `count` numbers of each environment. */
typedef struct {
    size_t bytes; /* sizeof(vly_column) */
    const char *name;
    int32_t type, count;
} vly_column;

/* Where a batch of n rows is written: each member n entries, or NULL where it is not asked for. n
 * is num_envs * players, or batch_size for vly_vec_recv of an asynchronous vector. */
typedef struct {
    size_t bytes;              /* sizeof(vly_batch) */
    void *observation;         /* (n, ...) as the space says */
    void *reward;              /* of reward_type */
    uint8_t *terminated;       /* 0 or 1 */
    uint8_t *truncated;        /* 0 or 1 */
    int32_t *env_id;           /* which environment a row is of */
    void *final_observation;   /* autoreset same step: (n, ...), only rows that ended are written */
    void *const *column;       /* as many as vly_vec_facts.columns, each NULL or (n, count) */
    void *const *final_column; /* the same at the end, only rows that ended are written */
} vly_batch;

/* name: of an environment, a Gymnasium id or a path to a plugin. options: words "key=value" with
 * blanks between, a value with blanks in double quotes; may be NULL. Keys:
 *   num_envs=1         environments
 *   batch_size=0       rows of vly_vec_recv; 0: num_envs, fewer make it asynchronous
 *   num_threads=0      that step, the caller's included; 0: one for each processor in reach
 *   autoreset=next_step | same_step | disabled
 *   stack_start=zero | repeat    what is before an episode's first frame
 *   stack_lives=false  an episode that starts within a game keeps the frames before it
 *   life_loss=false    a lost life is TERMINATED although the episode goes on
 *   reward=f32 | f64 | i32
 *   view=false         vly_vec_view shows observations in place
 *   max_steps=0        time limit of an episode; 0: the environment's own
 *   data=FOLDER        files that environments are made of (ROMs)
 *   FAMILY.KEY         an option of a family, as "atari.sticky"
 * and any other key is the environment's own. */
VLY_API int vly_vec_open(vly_vec **out, const char *name, const char *options);
/* NULL is allowed. */
VLY_API void vly_vec_close(vly_vec *v);

VLY_API int vly_vec_info(const vly_vec *v, vly_vec_facts *out);
VLY_API int vly_vec_spaces(const vly_vec *v, vly_vec_space *observation, vly_vec_space *action);
/* Of each number of an action: least and largest, of a choice among k: 0 and k - 1. Room for as many
 * as the space of actions has numbers. */
VLY_API int vly_vec_bounds(const vly_vec *v, double *low, double *high);
/* The environment's own name: "pong" for "ALE/Pong-v5". */
VLY_API const char *vly_vec_name(const vly_vec *v);
/* Column i, from 0; -6 past the end. */
VLY_API int vly_vec_column(const vly_vec *v, int i, vly_column *out);

/* Starts episodes. mask: num_envs bytes, 0 leaves an environment as it is; NULL: all. seeds: one
 * for each environment, negative: its random numbers go on; NULL: all negative. The first reset
 * without a seed takes one from the system. Every row is written, those that were left alone with
 * what they showed last. An asynchronous vector has all rows received first. */
VLY_API int vly_vec_reset(vly_vec *v, const uint8_t *mask, const int64_t *seeds,
                          const vly_batch *batch);
/* One step of every environment. actions: one of the space for each row, of `type`: VLY_TYPE_I32 or
 * VLY_TYPE_I64, in a box VLY_TYPE_F32. */
VLY_API int vly_vec_step(vly_vec *v, const void *actions, int type, const vly_batch *batch);
/* The same in two halves, or asynchronously: n actions, for the environments `ids` (NULL: all, in
 * order). What is sent is received once. */
VLY_API int vly_vec_send(vly_vec *v, const int32_t *ids, int n, const void *actions, int type);
/* Starts episodes without waiting: for an asynchronous vector. seeds as for vly_vec_reset, by
 * environment. ids NULL: all; what was sent and not received is received first, and lost. */
VLY_API int vly_vec_send_reset(vly_vec *v, const int32_t *ids, int n, const int64_t *seeds);
/* batch_size rows, of an asynchronous vector those that finished first. */
VLY_API int vly_vec_recv(vly_vec *v, const vly_batch *batch);

/* view=true: the newest observations in place, until the next call: row i begins at
 * data + i * row_bytes; within a row they are contiguous. */
VLY_API int vly_vec_view(const vly_vec *v, const void **data, size_t *row_bytes);

/* What critics of all players are shown beside the observations, one for an environment. -14: it
 * has none. */
VLY_API int vly_vec_shared_space(const vly_vec *v, vly_vec_space *out);
/* That of n environments as their newest rows have it: (n, ...) as the space says, `bytes` in all. */
VLY_API int vly_vec_shared(vly_vec *v, const int32_t *ids, int n, void *shared, size_t bytes);

/* The states of n environments, state_bytes each, with the observations that belong to them. A
 * state fits every environment of the same game and settings. */
VLY_API int vly_vec_save(vly_vec *v, const int32_t *ids, int n, void *states, size_t bytes);
/* Damaged states are refused and change nothing. batch may be NULL; its n rows show the
 * environments as they are then, with reward 0. */
VLY_API int vly_vec_load(vly_vec *v, const int32_t *ids, int n, const void *states, size_t bytes,
                         const vly_batch *batch);

/* What a person would look at: rgb[height][width][3]. With rgb NULL only the size is written. */
VLY_API int vly_vec_render(vly_vec *v, int env, uint8_t *rgb, int *width, int *height);

/* ---- training ---- */

typedef struct vly_trainer vly_trainer;

typedef struct {
    size_t bytes; /* sizeof(vly_report) */
    int64_t steps, updates, episodes;
    double return_mean_100, length_mean_100; /* of the last 100 episodes; NAN before the first */
    double wall_s, steps_per_s, frames_per_s;
    int32_t stop; /* 0 it can go on, 1 the return was reached, 2 the steps are done, 3 interrupted,
                     4 failed */
    int32_t reserved;
} vly_report;

/* options: words "key=value", those of `volley train`: "env=cartpole algo=ppo seed=1 ppo.lr=3e-4".
 * run: NULL, or the folder of a run that goes on. The run's folder is made. */
VLY_API int vly_trainer_open(vly_trainer **out, const char *run, const char *options);

/* A batch of environments of the caller's, each at most once. */
typedef struct {
    size_t bytes; /* sizeof(vly_host_batch) */
    int32_t n, reserved;
    const int32_t *env;  /* (n): which; a new one has the next whole number, from 0 */
    const int64_t *seed; /* (n): -2 a step; -1 a new episode, random numbers go on; else a new
                            episode from this seed. The step after an end is a new episode. */
    const void *action;  /* (n, ...): int32 choices or float32 numbers; read for steps alone */
    void *observation;   /* (n, ...): of a step or of the new episode */
    float *reward;       /* (n) */
    uint8_t *terminated, *truncated; /* (n): 0 or 1 */
    uint8_t *mask;                   /* (n, choices): 1 allowed, 0 not; NULL without masks */
    const char *name, *description;  /* "host:NAME" and env.args, as the run has them */
} vly_host_batch;
/* Not 0: it failed, and training ends. Called from threads of the library, one call at a time. */
typedef int (*vly_host_step)(void *arg, const vly_host_batch *batch);
/* Trains in environments of the caller's: "env=host:NAME", and env.args describes what they are like:
 * "observation=f32:4,action=choice:2". observation: f32:LENGTH or u8:HEIGHTxWIDTHxCHANNELS; action:
 * choice:N, choices:N;N…, box:LOW:HIGH;LOW:HIGH…, where "*K" repeats a part; scale=1: the network
 * reads scale * observation; mask=1: rows have masks. A run that goes on begins new episodes. */
VLY_API int vly_trainer_open_hosted(vly_trainer **out, const char *run, const char *options,
                                    vly_host_step step, void *arg);
/* Saves what was trained. NULL is allowed. */
VLY_API void vly_trainer_close(vly_trainer *t);
/* Trains until at least `steps` more agent steps were made (0: for a second) or the run's end, at
 * an update. -11 after timeout_ms (negative: never), while training goes on: call it again. Later
 * calls of an ended run return at once. */
VLY_API int vly_trainer_train(vly_trainer *t, int64_t steps, int timeout_ms, vly_report *out);
/* As of the last update. */
VLY_API int vly_trainer_report(vly_trainer *t, vly_report *out);
/* Metric i of the last update, from 0: "losses/policy_loss"; -6 past the end. The name is valid
 * until the next call. */
VLY_API int vly_trainer_metric(vly_trainer *t, int i, const char **name, double *value);
/* Writes a checkpoint; as a rule after one more update. */
VLY_API int vly_trainer_save(vly_trainer *t);
/* Training ends after the update, saved. From any thread, during another call too. */
VLY_API int vly_trainer_stop(vly_trainer *t);
VLY_API const char *vly_trainer_folder(const vly_trainer *t);
/* The newest; "" before the first. Valid until the same thread asks again. */
VLY_API const char *vly_trainer_checkpoint(const vly_trainer *t);
/* What the run had to say to a person since the last call, a line each. */
VLY_API int vly_trainer_said(vly_trainer *t, char *text, size_t bytes);

/* ---- trained agents ---- */

typedef struct vly_policy vly_policy;

typedef struct {
    size_t bytes; /* sizeof(vly_policy_facts) */
    int32_t type; /* of the numbers of an observation */
    int32_t ndim;
    int64_t shape[8];  /* of an observation; a stack of frames is its first axis */
    int32_t actions;   /* 0 to actions - 1; of several choices their sum */
    int32_t recurrent; /* width of its state; 0: it has none */
    int32_t q_values;  /* logits are values of actions; it acts greedily */
    float scale;       /* the network reads scale * observation */
    const char *environment, *algorithm, *network, *activation; /* network: "table" has none */
    int32_t parts; /* numbers of an action: 1, choices made at once, or those of a box */
    int32_t box;   /* actions are numbers, not choices; `actions` is 0 */
    int32_t width; /* numbers of a row of logits: of all choices, or what the policy of a box has */
    int32_t
        deterministic; /* logits are the action of a box, before it is stretched to the bounds */
    const int32_t *choices; /* (parts): how many each has; NULL in a box */
} vly_policy_facts;

/* Observations and what is decided about them; members that are NULL are not asked for. */
typedef struct {
    size_t bytes;            /* sizeof(vly_decision) */
    const void *observation; /* (n, ...) */
    const uint8_t *mask;     /* (n, actions): 1 allowed, 0 not; NULL: all are */
    float *state;   /* recurrent: (n, 2, recurrent), zeros at an episode's start; replaced */
    int32_t greedy; /* the likeliest action; 0: one by its probability */
    int32_t reserved;
    int64_t *action; /* (n, parts); not of a box */
    float *logits;   /* (n, width); of forbidden actions the least number */
    float *value;    /* (n): the expected return, NAN where there is none */
    float *numbers;  /* (n, parts): the action, of a box; within its bounds */
} vly_decision;

typedef struct {
    size_t bytes; /* sizeof(vly_weight) */
    const char *name;
    const float *data; /* until close */
    int32_t ndim, reserved;
    int64_t shape[4];
} vly_weight;

/* run: the folder of a run, or a checkpoint. options: best=false (the best checkpoint instead of
 * the newest), accept_config=false (go on although config.yaml is not what the checkpoint was saved with),
 * seed=0 (of random actions), num_threads=1. */
VLY_API int vly_policy_open(vly_policy **out, const char *run, const char *options);
VLY_API void vly_policy_close(vly_policy *p);
VLY_API int vly_policy_info(const vly_policy *p, vly_policy_facts *out);
VLY_API int vly_policy_act(vly_policy *p, int n, const vly_decision *decision);
/* Weight i of the network, from 0: "policy.head.weight"; -6 past the end. */
VLY_API int vly_policy_tensor(const vly_policy *p, int i, vly_weight *out);
/* Plays whole episodes in the environment that the run was trained in. returns, lengths: one for
 * each; lengths may be NULL. */
VLY_API int vly_policy_evaluate(const vly_policy *p, int episodes, int64_t seed, int greedy,
                                double *returns, int32_t *lengths);

#ifdef __cplusplus
}
#endif
#endif
