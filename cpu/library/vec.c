#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "common/base/philox.h"
#include "cpu/library/vec_impl.h"

/* ---- one call at a time ---- */

vly_status vec_enter(vly_vec *v) {
    if (!v) return vly_fail(VLY_EINVAL, "no vector: it was closed, or never opened");
    if (v->process != getpid())
        return vly_fail(VLY_EINVAL,
                        "this vector belongs to process %d, which forked: open another here",
                        (int)v->process);
    if (atomic_flag_test_and_set(&v->busy))
        return vly_fail(VLY_EINVAL, "another thread is in a call with this vector: one at a time");
    return VLY_OK;
}

int vec_leave(vly_vec *v, vly_status status) {
    if (v->batch) v->batch = NULL; /* asynchronous workers read it at any time: it stays NULL */
    atomic_flag_clear(&v->busy);
    return status;
}

/* ---- checks ---- */

static vly_status check_batch(const vly_batch *batch) {
    if (!batch || batch->bytes < sizeof *batch)
        return vly_fail(VLY_EINVAL, "a batch needs its size in `bytes`");
    return VLY_OK;
}

vly_status vec_check_ids(const vly_vec *v, const int32_t *ids, int n) {
    if (n < 1 || n > v->o.num_envs)
        return vly_fail(VLY_EINVAL, "%d environments: there are %d", n, v->o.num_envs);
    for (int i = 0; ids && i < n; i++)
        if (ids[i] < 0 || ids[i] >= v->o.num_envs)
            return vly_fail(VLY_EINVAL, "environment %d: there are %d, from 0", ids[i],
                            v->o.num_envs);
    return VLY_OK;
}

static int env_at(const int32_t *ids, int i) {
    return ids ? ids[i] : i;
}

/* Each environment once, and none that is in flight. */
static vly_status check_idle(vly_vec *v, const int32_t *ids, int n) {
    int fit = 0;
    if (!v->in_flight && !ids) return VLY_OK;
    for (; fit < n && !v->out[env_at(ids, fit)]; fit++) v->out[env_at(ids, fit)] = 1;
    for (int i = 0; i < fit; i++) v->out[env_at(ids, i)] = 0;
    if (fit == n) return VLY_OK;
    const int env = env_at(ids, fit);
    return v->out[env]
               ? vly_fail(VLY_EINVAL,
                          "environment %d has an action that was not received: recv() first", env)
               : vly_fail(VLY_EINVAL, "environment %d is named twice", env);
}

static vly_status check_can_step(const vly_vec *v, const int32_t *ids, int n) {
    if (!v->started)
        return vly_fail(VLY_EINVAL, "the vector was not reset: reset() before the first step");
    for (int i = 0; v->o.autoreset == VEC_DISABLED && i < n; i++)
        if (v->ended[env_at(ids, i)])
            return vly_fail(VLY_EINVAL,
                            "environment %d has ended and autoreset is disabled: reset it with a "
                            "mask before the next step",
                            env_at(ids, i));
    return VLY_OK;
}

/* row: of the vector's actions, `at` numbers into the caller's. */
static vly_status take_choices(vly_vec *v, int row, const void *actions, size_t at, int type) {
    const vly_space *space = &v->env.action;
    int32_t *to = (int32_t *)(void *)(v->action + (size_t)row * space->bytes);
    for (int k = 0; k < space->count; k++) {
        const int64_t a = type == VLY_TYPE_I64 ? ((const int64_t *)actions)[at + (size_t)k]
                                               : ((const int32_t *)actions)[at + (size_t)k];
        if (a < 0 || a >= vly_space_size(space, k))
            return vly_fail(VLY_EINVAL, "action %lld of environment %d: %s has 0 to %d",
                            (long long)a, row / v->players, v->env.name,
                            vly_space_size(space, k) - 1);
        to[k] = (int32_t)a;
    }
    return VLY_OK;
}

/* The usual case, in loops that vectorise; false: another, or one is out of range. */
static bool take_plain(vly_vec *v, const int32_t *ids, int n, const void *actions, int type) {
    const vly_space *space = &v->env.action;
    if (ids || space->kind != VLY_SPACE_DISCRETE || type != VLY_TYPE_I64) return false;
    const int64_t *from = actions;
    int32_t *to = (int32_t *)(void *)v->action;
    uint64_t wrong = 0;
    for (int i = 0; i < n; i++) {
        wrong |= (uint64_t)from[i] >= (uint64_t)space->n;
        to[i] = (int32_t)from[i];
    }
    return wrong == 0;
}

static vly_status take_numbers(vly_vec *v, int row, const float *actions) {
    const vly_space *space = &v->env.action;
    float *to = (float *)(void *)(v->action + (size_t)row * space->bytes);
    for (int k = 0; k < space->count; k++) {
        const float low = (float)space->bounds[k].low, high = (float)space->bounds[k].high;
        if (!isfinite(actions[k]))
            return vly_fail(VLY_EINVAL, "action of environment %d: number %d is not finite",
                            row / v->players, k);
        to[k] = actions[k] < low ? low : actions[k] > high ? high : actions[k];
    }
    return VLY_OK;
}

static vly_status take_actions(vly_vec *v, const int32_t *ids, int n, const void *actions,
                               int type) {
    const vly_space *space = &v->env.action;
    const bool box = space->kind == VLY_SPACE_BOX;
    if (!actions) return vly_fail(VLY_EINVAL, "a step without actions");
    if (box ? type != VLY_TYPE_F32 : type != VLY_TYPE_I32 && type != VLY_TYPE_I64)
        return vly_fail(VLY_EINVAL, "actions of %s are %s", v->env.name,
                        box ? "float32 numbers" : "whole numbers of 32 or 64 bits");
    const int k = v->players;
    if (take_plain(v, ids, n * k, actions, type)) return VLY_OK;
    for (int i = 0; i < n * k; i++) {
        const size_t at = (size_t)i * (size_t)space->count;
        const int row = env_at(ids, i / k) * k + i % k;
        VLY_TRY(box ? take_numbers(v, row, (const float *)actions + at)
                    : take_choices(v, row, actions, at, type));
    }
    return VLY_OK;
}

/* ---- seeds ---- */

static vly_status first_seeds(vly_vec *v) {
    uint64_t entropy;
    if (getrandom(&entropy, sizeof entropy, 0) != (ssize_t)sizeof entropy)
        return vly_fail(VLY_EIO, "the system gives no random numbers");
    for (int i = 0; i < v->o.num_envs; i++) {
        const vly_u32x4 r = vly_philox(entropy, VLY_STREAM_ENV, 0, (uint32_t)i);
        v->seed[i] = (uint64_t)(r.v[0] >> 1);
    }
    return VLY_OK;
}

/* What a reset does with an environment; a seed that was never given comes from first_seeds. */
static void command_reset(vly_vec *v, int env, int64_t seed) {
    v->command[env] = seed >= 0 || !v->started ? VEC_SEED : VEC_RESTART;
    if (seed >= 0) v->seed[env] = (uint64_t)seed;
    if (v->command[env] == VEC_SEED) v->restarts[env] = 0;
}

/* ---- the pool ---- */

static vly_status submit_env(vly_vec *v, int env) {
    VLY_TRY(vly_pool_submit_chunk(v->pool, env, vec_actions(v, env), vec_rows(v, env)));
    v->out[env] = 1;
    v->in_flight++;
    return VLY_OK;
}

/* Asynchronously each environment is a chunk; otherwise all are one group. */
static vly_status submit_envs(vly_vec *v, const int32_t *ids, int n) {
    for (int i = 0; v->asynchronous && i < n; i++) VLY_TRY(submit_env(v, env_at(ids, i)));
    if (v->asynchronous) return VLY_OK;
    VLY_TRY(vly_pool_submit_group(v->pool, 0, vec_actions(v, 0), vec_rows(v, 0)));
    memset(v->out, 1, (size_t)v->o.num_envs);
    v->in_flight = v->o.num_envs;
    return VLY_OK;
}

/* All that is in flight, whose rows nobody asked for. */
static vly_status wait_all(vly_vec *v) {
    int chunk;
    if (!v->asynchronous) {
        if (v->in_flight) VLY_TRY(vly_pool_wait_group(v->pool, 0, -1));
    } else {
        for (int i = v->in_flight; i > 0; i--) (void)vly_pool_take(v->pool, 1, &chunk, -1);
    }
    memset(v->out, 0, (size_t)v->o.num_envs);
    v->in_flight = 0;
    return vly_pool_check(v->pool);
}

static void deliver_async(vly_vec *v, int n, const vly_batch *batch) {
    for (int i = 0; i < n; i++) {
        const int env = v->order[i];
        v->out[env] = 0;
        vec_deliver(v, env, i, 1, batch);
        vec_deliver_final(v, env, i, batch);
    }
    v->in_flight -= n;
}

static vly_status receive_async(vly_vec *v, const vly_batch *batch) {
    const int n = v->o.batch_size;
    if (v->in_flight < n)
        return vly_fail(VLY_EINVAL, "recv() of %d environments, but only %d were sent an action", n,
                        v->in_flight);
    if (vly_pool_take(v->pool, n, v->order, -1) != n)
        return vly_fail(VLY_ETIMEOUT, "%s: no batch came", v->env.name);
    deliver_async(v, n, batch);
    return vly_pool_check(v->pool);
}

/* ---- the calls ---- */

static vly_status reset_all(vly_vec *v, const uint8_t *mask, const int64_t *seeds,
                            const vly_batch *batch) {
    VLY_TRY(check_batch(batch));
    if (mask && !v->started && memchr(mask, 0, (size_t)v->o.num_envs))
        return vly_fail(VLY_EINVAL, "the first reset is of all environments, not of some");
    if (mask && v->asynchronous)
        return vly_fail(VLY_EINVAL, "a reset of some environments needs batch_size equal to "
                                    "num_envs");
    VLY_TRY(wait_all(v));
    if (!v->started) VLY_TRY(first_seeds(v));
    for (int i = 0; i < v->o.num_envs * v->players; i++) v->idle[i] = v->flags[i] & VLY_ROW_IDLE;
    for (int i = 0; i < v->o.num_envs; i++) {
        if (mask && !mask[i])
            v->command[i] = VEC_SHOW;
        else
            command_reset(v, i, seeds ? seeds[i] : -1);
    }
    if (!v->asynchronous) v->batch = batch;
    VLY_TRY(submit_envs(v, NULL, v->o.num_envs));
    VLY_TRY(wait_all(v));
    v->started = true;
    if (v->asynchronous) vec_deliver(v, 0, 0, v->o.num_envs, batch);
    return VLY_OK;
}

int vly_vec_reset(vly_vec *v, const uint8_t *mask, const int64_t *seeds, const vly_batch *batch) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, reset_all(v, mask, seeds, batch));
}

static vly_status send_actions(vly_vec *v, const int32_t *ids, int n, const void *actions,
                               int type) {
    VLY_TRY(vec_check_ids(v, ids, n));
    if (!v->asynchronous && (ids || n != v->o.num_envs))
        return vly_fail(VLY_EINVAL,
                        "%d actions: a synchronous vector takes one for each of its %d "
                        "environments, in order",
                        n, v->o.num_envs);
    VLY_TRY(check_idle(v, ids, n));
    VLY_TRY(check_can_step(v, ids, n));
    VLY_TRY(take_actions(v, ids, n, actions, type));
    for (int i = 0; i < n; i++) v->command[env_at(ids, i)] = VEC_STEP;
    return submit_envs(v, ids, n);
}

static vly_status step_all(vly_vec *v, const void *actions, int type, const vly_batch *batch) {
    VLY_TRY(check_batch(batch));
    if (v->asynchronous)
        return vly_fail(VLY_EINVAL, "step() needs batch_size equal to num_envs: send() and recv()");
    VLY_TRY(check_idle(v, NULL, v->o.num_envs)); /* before workers may deliver to this batch */
    v->batch = batch;
    VLY_TRY(send_actions(v, NULL, v->o.num_envs, actions, type));
    return wait_all(v);
}

int vly_vec_step(vly_vec *v, const void *actions, int type, const vly_batch *batch) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, step_all(v, actions, type, batch));
}

int vly_vec_send(vly_vec *v, const int32_t *ids, int n, const void *actions, int type) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, send_actions(v, ids, n, actions, type));
}

static vly_status send_resets(vly_vec *v, const int32_t *ids, int n, const int64_t *seeds) {
    VLY_TRY(vec_check_ids(v, ids, n));
    if (!v->started && (ids || n != v->o.num_envs))
        return vly_fail(VLY_EINVAL, "the first reset is of all environments, not of some");
    if (!v->asynchronous && n != v->o.num_envs)
        return vly_fail(VLY_EINVAL, "a synchronous vector resets some environments with a mask");
    if (v->asynchronous && !ids && n == v->o.num_envs) VLY_TRY(wait_all(v));
    VLY_TRY(check_idle(v, ids, n));
    if (!v->started) VLY_TRY(first_seeds(v));
    for (int i = 0; i < n; i++) {
        const int env = env_at(ids, i);
        command_reset(v, env, seeds ? seeds[env] : -1);
    }
    v->started = true;
    return submit_envs(v, ids, n);
}

int vly_vec_send_reset(vly_vec *v, const int32_t *ids, int n, const int64_t *seeds) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, send_resets(v, ids, n, seeds));
}

static vly_status receive(vly_vec *v, const vly_batch *batch) {
    VLY_TRY(check_batch(batch));
    if (v->asynchronous) return receive_async(v, batch);
    if (!v->in_flight) return vly_fail(VLY_EINVAL, "recv() without send()");
    VLY_TRY(wait_all(v));
    for (int i = 0; i < v->o.num_envs; i++) v->order[i] = i;
    vec_deliver(v, 0, 0, v->o.num_envs, batch);
    for (int i = 0; i < v->o.num_envs; i++) vec_deliver_final(v, i, i, batch);
    return VLY_OK;
}

int vly_vec_recv(vly_vec *v, const vly_batch *batch) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, receive(v, batch));
}

static vly_status show_view(const vly_vec *v, const void **data, size_t *row_bytes) {
    if (!v->o.view) return vly_fail(VLY_EINVAL, "the vector was not opened with view=true");
    if (!data || !row_bytes) return vly_fail(VLY_EINVAL, "nowhere to put the view");
    *data = vec_stack(v, 0);
    *row_bytes = (size_t)v->room * v->frame_bytes;
    return VLY_OK;
}

int vly_vec_view(const vly_vec *v, const void **data, size_t *row_bytes) {
    vly_vec *mine = (vly_vec *)(uintptr_t)v;
    VLY_TRY(vec_enter(mine));
    return vec_leave(mine, show_view(v, data, row_bytes));
}
