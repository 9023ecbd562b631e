/* A worker's part: the environments of a chunk are stepped into the history of frames, episodes
 * that ended are started again where the caller asked for that, and rows are delivered. */
#include <string.h>
#include "common/base/philox.h"
#include "cpu/library/vec_impl.h"

/* ---- frames ---- */

/* A new newest frame; where the history is full its last stack is moved to its beginning. */
static void advance_cursor(vly_vec *v, int env) {
    if (++v->cursor[env] < v->room) return;
    const int kept = v->frames - 1;
    if (kept > 0)
        memmove(vec_frame(v, env, 0), vec_frame(v, env, v->room - kept),
                (size_t)kept * v->frame_bytes);
    v->cursor[env] = kept;
}

/* The frames before the newest of an episode that begins. */
static void fill_stack(vly_vec *v, int env) {
    uint8_t *at = vec_stack(v, env);
    const uint8_t *newest = vec_frame(v, env, v->cursor[env]);
    const size_t older = (size_t)(v->frames - 1) * v->frame_bytes;
    if (v->o.stack_start == VEC_STACK_ZERO) {
        memset(at, 0, older);
        return;
    }
    for (int i = 0; i + 1 < v->frames; i++)
        memcpy(at + (size_t)i * v->frame_bytes, newest, v->frame_bytes);
}

/* Room for one more frame where the cursor does not move: the stack moves instead. */
static void shift_stack(vly_vec *v, int env) {
    uint8_t *at = vec_stack(v, env);
    memmove(at, at + v->frame_bytes, (size_t)(v->frames - 1) * v->frame_bytes);
}

/* ---- one row ---- */

/* Books what the newest row says. */
static void book_row(vly_vec *v, int env) {
    const uint8_t flags = v->flags[env * v->players];
    if (flags & VLY_ROW_RESET) {
        const bool whole = v->over[env] || !v->o.stack_lives;
        if (whole && v->frames > 1) fill_stack(v, env);
        if (v->over[env]) v->elapsed[env] = 0;
    }
    v->ended[env] = (flags & VLY_ROW_ENDED) != 0;
    v->over[env] = (flags & VLY_ROW_GAME_OVER) != 0;
}

static uint64_t restart_seed(vly_vec *v, int env) {
    const vly_u32x4 r = vly_philox(v->seed[env], VLY_STREAM_ENV, ++v->restarts[env], (uint32_t)env);
    return (uint64_t)r.v[1] << 32 | r.v[0];
}

static void clear_rewards(vly_vec *v, int env) {
    for (int i = env * v->players; i < (env + 1) * v->players; i++) v->reward[i] = v->score[i] = 0;
}

static void seed_env(vly_vec *v, int env, uint64_t seed) {
    v->over[env] = 1;
    v->env.reset(&v->env, vec_state(v, env), seed, vec_rows(v, env));
    clear_rewards(v, env);
}

/* The step after an end starts an episode whatever its action. */
static void start_next_episode(vly_vec *v, int env) {
    if (v->o.stack_lives && !v->over[env]) shift_stack(v, env);
    v->env.step(&v->env, vec_state(v, env), 1, vec_actions(v, env), vec_rows(v, env));
}

static void restart_env(vly_vec *v, int env) {
    if (v->ended[env]) {
        start_next_episode(v, env);
    } else if (v->env.restart) {
        v->over[env] = 1;
        v->env.restart(&v->env, vec_state(v, env), vec_rows(v, env));
        clear_rewards(v, env);
    } else {
        seed_env(v, env, restart_seed(v, env));
    }
    book_row(v, env);
}

/* What the row of an end shows: to the caller, or until the row is received. */
static void keep_final(const vly_vec *v, int env) {
    const vly_batch *batch = v->batch;
    uint8_t *observation = batch ? batch->final_observation : v->final;
    void *const *column = batch ? batch->final_column : v->final_column;
    if (observation)
        memcpy(observation + (size_t)env * v->obs_bytes, vec_stack(v, env), v->obs_bytes);
    if (column) vec_write_columns(v, env, env, 1, column);
}

/* The row keeps the reward and the flags of the end and shows the next episode. Of one player. */
static void end_same_step(vly_vec *v, int env) {
    const float reward = v->reward[env], score = v->score[env];
    const uint8_t flags = v->flags[env];
    start_next_episode(v, env);
    book_row(v, env);
    v->reward[env] = reward, v->score[env] = score, v->flags[env] = flags;
}

static void book_step(vly_vec *v, int env) {
    book_row(v, env);
    if (v->o.autoreset != VEC_SAME_STEP) return;
    if (v->flags[env] & vec_end_flags(v)) keep_final(v, env);
    if (v->ended[env]) end_same_step(v, env);
}

/* An environment that is not simply stepped. */
static void command_env(vly_vec *v, int env) {
    switch (v->command[env]) {
    case VEC_SEED:
        seed_env(v, env, v->seed[env]);
        book_row(v, env);
        break;
    case VEC_RESTART: restart_env(v, env); break;
    default:
        clear_rewards(v, env);
        for (int i = env * v->players; i < (env + 1) * v->players; i++) v->flags[i] = v->idle[i];
    }
}

/* ---- a chunk ---- */

/* The flags of each environment's first player say whether it has stepped or begun. */
static void count_steps(const uint8_t *restrict flags, int k, int n, int32_t *restrict elapsed) {
    if (k == 1)
        for (int i = 0; i < n; i++) elapsed[i] += !(flags[i] & VLY_ROW_RESET);
    else
        for (int i = 0; i < n; i++) elapsed[i] += !(flags[i * k] & VLY_ROW_RESET);
}

/* Those of equal cursors with one call, for their frames lie at equal distances. */
static void step_equal_cursors(vly_vec *v, int first, int n) {
    for (int i = 0; i < n && v->room > 1; i++) advance_cursor(v, first + i);
    v->env.step(&v->env, vec_state(v, first), n, vec_actions(v, first), vec_rows(v, first));
    const uint8_t *flags = v->flags + (size_t)first * (size_t)v->players;
    count_steps(flags, v->players, n, v->elapsed + first);
    for (int i = 0; i < n; i++)
        if (flags[i * v->players]) book_step(v, first + i);
}

static void step_vec_chunk(vly_vec *v, int first, int n) {
    const uint8_t *command = v->command + first;
    const int32_t *cursor = v->cursor + first;
    for (int i = 0, end; i < n; i = end) {
        end = i + 1;
        if (command[i] != VEC_STEP) {
            command_env(v, first + i);
            continue;
        }
        while (end < n && command[end] == VEC_STEP && cursor[end] == cursor[i]) end++;
        step_equal_cursors(v, first + i, end - i);
    }
}

static void face_step(const vly_env *face, void *states, int n, vly_actions action, vly_rows out) {
    vly_vec *v = face->world;
    const int first = (int)((size_t)((unsigned char *)states - v->states) / v->env.state_bytes);
    (void)action, (void)out; /* these are the vector's own arrays */
    step_vec_chunk(v, first, n);
    if (v->batch) vec_deliver(v, first, first, n, v->batch);
}

/* The pool starts an environment again that failed. */
static void face_reset(const vly_env *face, void *state, uint64_t seed, vly_rows at) {
    vly_vec *v = face->world;
    const int env = (int)((size_t)((unsigned char *)state - v->states) / v->env.state_bytes);
    (void)at;
    seed_env(v, env, seed);
    book_row(v, env);
    if (v->batch) vec_deliver(v, env, env, 1, v->batch);
}

void vec_make_face(vly_vec *v) {
    v->face = v->env;
    v->face.world = v;
    v->face.step = face_step;
    v->face.reset = face_reset;
    v->face.restart = NULL, v->face.assign = NULL;
}

/* ---- delivery ---- */

static void deliver_observations(const vly_vec *v, int env, int row, int n, uint8_t *to) {
    to += (size_t)row * v->obs_bytes;
    if (v->room == 1) {
        memcpy(to, v->history + (size_t)env * v->frame_bytes, (size_t)n * v->obs_bytes);
        return;
    }
    for (int i = 0; i < n; i++)
        memcpy(to + (size_t)i * v->obs_bytes, vec_stack(v, env + i), v->obs_bytes);
}

static void deliver_rewards(const vly_vec *v, int env, int row, int n, void *to) {
    const float *from = v->reward + env;
    switch (v->o.reward) {
    case VEC_REWARD_F64:
        for (int i = 0; i < n; i++) ((double *)to)[row + i] = (double)from[i];
        break;
    case VEC_REWARD_I32:
        for (int i = 0; i < n; i++) ((int32_t *)to)[row + i] = (int32_t)from[i];
        break;
    default: memcpy((float *)to + row, from, (size_t)n * sizeof *from);
    }
}

/* Where `any` of the flags is set and `none` is not. */
static void deliver_flags(const uint8_t *restrict flags, int any, int none, int n,
                          uint8_t *restrict to) {
    for (int i = 0; i < n; i++) to[i] = (flags[i] & any) && !(flags[i] & none);
}

/* A lost life that counts as an end is not cut off as well. */
static void deliver_ends(const vly_vec *v, int env, int row, int n, const vly_batch *batch) {
    const uint8_t *flags = v->flags + env;
    const int lost = v->o.life_loss ? VLY_ROW_LIFE_LOST : 0;
    if (batch->terminated)
        deliver_flags(flags, VLY_ROW_TERMINATED | lost, 0, n, batch->terminated + row);
    if (batch->truncated) deliver_flags(flags, VLY_ROW_TRUNCATED, lost, n, batch->truncated + row);
}

static void deliver_ids(int env, int n, int k, int32_t *to) {
    for (int i = 0; i < n; i++, env++)
        for (int j = 0; j < k; j++) *to++ = env;
}

void vec_deliver(const vly_vec *v, int env, int row, int n, const vly_batch *batch) {
    const int k = v->players;
    if (batch->env_id) deliver_ids(env, n, k, batch->env_id + row * k);
    env *= k, row *= k, n *= k; /* rows from here on */
    if (batch->observation) deliver_observations(v, env, row, n, batch->observation);
    if (batch->reward) deliver_rewards(v, env, row, n, batch->reward);
    deliver_ends(v, env, row, n, batch);
    if (batch->column) vec_write_columns(v, env, row, n, batch->column);
}

void vec_deliver_final(const vly_vec *v, int env, int row, const vly_batch *batch) {
    if (v->o.autoreset != VEC_SAME_STEP || !(v->flags[env] & vec_end_flags(v))) return;
    if (batch->final_observation)
        memcpy((uint8_t *)batch->final_observation + (size_t)row * v->obs_bytes,
               v->final + (size_t)env * v->obs_bytes, v->obs_bytes);
    for (int i = 0; batch->final_column && i < v->column_count; i++) {
        const size_t bytes = vec_column_bytes(&v->columns[i]);
        uint8_t *to = batch->final_column[i];
        const uint8_t *from = v->final_column[i];
        if (to) memcpy(to + (size_t)row * bytes, from + (size_t)env * bytes, bytes);
    }
}
