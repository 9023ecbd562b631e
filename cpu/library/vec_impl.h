/* vec_impl.h -- the inside of a vector of environments, for cpu/library alone.
 *
 *   vec_options.c   the text of options
 *   vec_open.c      opens and closes; spaces, facts
 *   vec_columns.c   columns of information
 *   vec_step.c      what a worker does with a chunk: steps, stacks, autoreset, delivery
 *   vec.c           the calls: reset, step, send, recv
 *   vec_state.c     states saved and restored; shared states; render
 *
 * The pool (cpu/actors/pool.h) steps `face`, an environment whose step() is vec_step.c's: it steps
 * the real one and delivers the rows to the caller's batch on the worker's thread. Frames lie in
 * `history`: (num_envs, room, frame); a stack is `frames` of them ending at the cursor, so it is
 * contiguous, and with equal cursors the whole batch is a strided view.
 *
 * An environment of several players has a row and an action for each of them, one after the other;
 * its observations are not stacked.
 */
#ifndef VLY_CPU_LIBRARY_VEC_IMPL_H
#define VLY_CPU_LIBRARY_VEC_IMPL_H
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include "common/base/env.h"
#include "cpu/actors/pool.h"
#include "include/volley.h"

typedef enum { VEC_NEXT_STEP, VEC_SAME_STEP, VEC_DISABLED } vec_autoreset;
typedef enum { VEC_STACK_ZERO, VEC_STACK_REPEAT } vec_stack_start;
typedef enum { VEC_REWARD_F32, VEC_REWARD_F64, VEC_REWARD_I32 } vec_reward;

typedef struct {
    int num_envs, batch_size, num_threads;
    int autoreset, stack_start, reward; /* the enumerations above */
    bool stack_lives, life_loss, view;
    int max_steps;
    char data[1024];
    char families[2048], extra[1024]; /* as vly_env_args wants them */
} vec_options;

/* What the next row of an environment is. */
enum { VEC_STEP, VEC_SEED, VEC_RESTART, VEC_SHOW };

/* Columns of information: those of every vector, of masks, of Atari, and of the environment by its
 * own names. */
typedef enum {
    VEC_ELAPSED_STEP,
    VEC_SCORE,
    VEC_GAME_OVER,
    VEC_MASK,
    VEC_IDLE,
    VEC_LIVES,
    VEC_FRAME_NUMBER,
    VEC_EPISODE_FRAME_NUMBER,
    VEC_RAM,
    VEC_INFO
} vec_column_kind;
/* Each kind once, and the environment's own. */
enum { VEC_COLUMNS_MOST = VEC_INFO + VLY_ENV_INFO_MAX };

typedef struct {
    vec_column_kind kind;
    int info; /* of VEC_INFO: which of the environment's */
    const char *name;
    int32_t type, count;
} vec_column;

struct vly_vec {
    vec_options o;
    vly_env env, face;
    bool env_open, atari, asynchronous;
    int players;
    vly_pool *pool;
    unsigned char *states; /* the pool's, state_bytes apart */
    int frames, room;
    vec_column columns[VEC_COLUMNS_MOST];
    int column_count, own_column;  /* those from own_column on are the environment's own */
    size_t frame_bytes, obs_bytes; /* of a frame, of a stack */

    uint8_t *history;
    int *cursor;                     /* by environment: its newest frame */
    uint8_t *command, *ended, *over; /* ended: the next step starts an episode; over: and a game */
    uint8_t *out;                    /* sent and not yet received */
    uint64_t *seed;                  /* of VEC_SEED, and what a restart's seed comes from */
    uint32_t *restarts;              /* since that seed */
    int32_t *elapsed, *order;        /* order: environments of chunks that were taken */
    unsigned char *action;           /* env.action.bytes apart */
    uint8_t *mask;                   /* env.masked: env.action.n apart */
    uint8_t *shared;                 /* env.shared.bytes apart, by environment; NULL: none */
    float *reward, *score;
    uint8_t *flags, *idle; /* idle: the flag of rows that a reset leaves alone */
    uint8_t *final; /* same step: the observation at the end, of rows that are received later */
    void *final_column[VEC_COLUMNS_MOST]; /* and the columns */

    const vly_batch
        *batch;    /* of the call in progress: workers deliver to it; NULL: the caller does */
    int in_flight; /* rows sent and not received */
    bool started;  /* reset was called */
    pid_t process;
    atomic_flag busy;
};

static inline uint8_t *vec_frame(const vly_vec *v, int env, int frame) {
    const size_t row = (size_t)env * (size_t)v->players;
    return v->history + (row * (size_t)v->room + (size_t)frame) * v->frame_bytes;
}
/* The oldest frame of an environment's stack. */
static inline uint8_t *vec_stack(const vly_vec *v, int env) {
    return vec_frame(v, env, v->cursor[env] - v->frames + 1);
}
static inline vly_actions vec_actions(const vly_vec *v, int env) {
    const size_t row = (size_t)env * (size_t)v->players;
    return (vly_actions){v->action + row * v->env.action.bytes, v->env.action.bytes};
}
static inline uint8_t *vec_shared(const vly_vec *v, int env) {
    return v->shared + (size_t)env * v->env.shared.bytes;
}
/* The rows of all environments from `env` on; their frames lie at equal distances where their
 * cursors are equal. */
static inline vly_rows vec_rows(const vly_vec *v, int env) {
    const size_t n = (size_t)v->env.action.n, row = (size_t)env * (size_t)v->players;
    return (vly_rows){.obs = vec_frame(v, env, v->cursor[env]),
                      .obs_stride = (size_t)v->room * v->frame_bytes,
                      .reward = v->reward + row,
                      .score = v->score + row,
                      .flags = v->flags + row,
                      .mask = v->mask ? v->mask + row * n : NULL,
                      .mask_stride = n,
                      .shared = v->shared ? vec_shared(v, env) : NULL,
                      .shared_stride = v->env.shared.bytes};
}
static inline void *vec_state(const vly_vec *v, int env) {
    return v->states + (size_t)env * v->env.state_bytes;
}

/* What the caller is told of as an end: with life_loss also where the episode goes on. */
static inline int vec_end_flags(const vly_vec *v) {
    return VLY_ROW_ENDED | (v->o.life_loss ? VLY_ROW_LIFE_LOST : 0);
}

/* vec_options.c */
vly_status vec_options_read(vec_options *o, const char *text);

/* vec_step.c */
void vec_make_face(vly_vec *v);
/* n environments of the batch, from number `row` on, show those from `env` on as they are. */
void vec_deliver(const vly_vec *v, int env, int row, int n, const vly_batch *batch);
/* Same step: the end that row `row` shows, which was kept. Nothing where it shows none. */
void vec_deliver_final(const vly_vec *v, int env, int row, const vly_batch *batch);

/* vec_columns.c */
/* Fails where a number of the environment has the name of another column. */
vly_status vec_choose_columns(vly_vec *v);
/* Rows from `row` on of the columns are rows `from` .. `from` + n - 1 of the vector: of players. */
void vec_write_columns(const vly_vec *v, int from, int row, int n, void *const *column);
size_t vec_column_bytes(const vec_column *c); /* of a row */

/* vec_state.c */
uint64_t vec_saved_bytes(const vly_vec *v);
/* VLY_EUNSUPPORTED: the environment has no shared state. */
vly_status vec_check_shared(const vly_vec *v);

/* vec.c. Claims the handle for one call; fails where another call, or another process, has it. */
vly_status vec_enter(vly_vec *v);
int vec_leave(vly_vec *v, vly_status status);
vly_status vec_check_ids(const vly_vec *v, const int32_t *ids, int n);
#endif
