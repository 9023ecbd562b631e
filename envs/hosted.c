#include "envs/hosted.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "envs/env_options.h"
#include "envs/episode.h"
#include "envs/hosted_impl.h"

/* Under the lock. */
static void keep_hosted_fault(const vly_env *env, vly_status status, const char *what) {
    hosted_world *w = env->world;
    if (w->fault.failed) return;
    w->fault.status = status;
    snprintf(w->fault.words, sizeof w->fault.words, "%.63s: %s", env->name, what);
    __atomic_store_n(&w->fault.failed, 1, __ATOMIC_RELEASE);
}

static bool finite_numbers(const float *v, size_t n) {
    bool good = true;
    for (size_t i = 0; i < n; i++) good &= isfinite(v[i]) != 0;
    return good;
}

/* Of row i of the call. */
static bool check_hosted_row(const vly_env *env, int i) {
    const hosted_world *w = env->world;
    const float *numbers =
        (const float *)(const void *)(w->observation + (size_t)i * env->obs.bytes);
    const bool vector = env->obs.dtype == VLY_F32;
    char what[128];
    if (isfinite(w->reward[i]) &&
        (!vector || finite_numbers(numbers, env->obs.bytes / sizeof *numbers)))
        return true;
    snprintf(what, sizeof what, "environment %d gave %s that is not finite", w->number[i],
             isfinite(w->reward[i]) ? "an observation" : "a reward");
    keep_hosted_fault(env, VLY_ENUMERIC, what);
    return false;
}

/* Whether the rules wrote all n rows. */
static bool ask_rules(const vly_env *env, int n) {
    hosted_world *w = env->world;
    const vly_hosted_batch b = {n,
                                w->number,
                                w->seed,
                                w->action,
                                w->observation,
                                w->reward,
                                w->terminated,
                                w->truncated,
                                w->mask,
                                env->name,
                                w->description};
    if (w->fault.failed) return false;
    if (!w->attached) {
        keep_hosted_fault(env, VLY_EUNSUPPORTED,
                          "its rules are the program's that trained it, and are not here: from "
                          "Python, volley.Trainer(CLASS, resume=FOLDER) brings them");
        return false;
    }
    if (w->rules.step(w->rules.arg, &b) != 0) {
        keep_hosted_fault(env, VLY_EPEER, "its rules failed");
        return false;
    }
    for (int i = 0; i < n; i++)
        if (!check_hosted_row(env, i)) return false;
    return true;
}

/* Row i of the call is what the actor shows next. */
static void take_hosted_row(const vly_env *env, int i, hosted_state *s, vly_rows at) {
    hosted_world *w = env->world;
    const bool begins = w->seed[i] != VLY_HOSTED_STEP;
    s->elapsed = begins ? 0 : s->elapsed + 1;
    const bool late = w->truncated[i] || s->elapsed >= w->limit;
    const int flags = begins ? VLY_ROW_RESET : vly_row_flags(w->terminated[i], late);
    memcpy(at.obs, w->observation + (size_t)i * env->obs.bytes, env->obs.bytes);
    if (at.mask)
        memcpy(at.mask, w->mask + (size_t)i * (size_t)env->action.n, (size_t)env->action.n);
    vly_row_write(at, begins ? 0 : w->reward[i], flags);
    s->ended = (flags & VLY_ROW_ENDED) != 0;
    s->steps = ++w->steps[s->number];
}

static hosted_state *hosted_state_of(const vly_env *env, void *states, int i) {
    return (hosted_state *)(void *)((char *)states + (size_t)i * env->state_bytes);
}

/* ---- one actor ---- */

/* The environment of a state is there and as the state has it. */
static bool is_current(const hosted_world *w, const hosted_state *s) {
    return s->begun && s->part == w->rules.part && s->number < w->envs &&
           s->steps == w->steps[s->number];
}

static bool give_number(const vly_env *env, hosted_state *s) {
    hosted_world *w = env->world;
    if (s->begun && s->part == w->rules.part && s->number < w->envs) return true;
    if (w->envs == VLY_HOSTED_ENVS_MOST) {
        keep_hosted_fault(env, VLY_EINVAL, "more than 65536 environments");
        return false;
    }
    *s = (hosted_state){.part = w->rules.part, .number = w->envs++, .begun = 1};
    return true;
}

/* Under the lock. */
static void begin_hosted(const vly_env *env, hosted_state *s, int64_t seed, vly_rows at) {
    hosted_world *w = env->world;
    *at.flags = VLY_ROW_FAILED;
    if (!give_number(env, s)) return;
    w->number[0] = s->number, w->seed[0] = seed;
    if (ask_rules(env, 1)) take_hosted_row(env, 0, s, at);
}

/* Seeds of 31 bits: what environments elsewhere take. */
static void hosted_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    hosted_world *w = env->world;
    pthread_mutex_lock(&w->lock);
    begin_hosted(env, state, (int64_t)(seed & INT32_MAX), at);
    pthread_mutex_unlock(&w->lock);
}

static void hosted_restart(const vly_env *env, void *state, vly_rows at) {
    hosted_world *w = env->world;
    pthread_mutex_lock(&w->lock);
    begin_hosted(env, state, VLY_HOSTED_NEXT, at);
    pthread_mutex_unlock(&w->lock);
}

/* ---- many ---- */

static void step_call(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    hosted_world *w = env->world;
    const size_t bytes = env->action.bytes;
    int k = 0;
    memset(out.flags, VLY_ROW_FAILED, (size_t)n);
    for (int i = 0; i < n; i++) {
        const hosted_state *s = hosted_state_of(env, states, i);
        if (!is_current(w, s)) continue;
        w->row[k] = i, w->number[k] = s->number;
        w->seed[k] = s->ended ? VLY_HOSTED_NEXT : VLY_HOSTED_STEP;
        memcpy(w->action + (size_t)k++ * bytes, vly_actions_at(action, (size_t)i).data, bytes);
    }
    if (!k || !ask_rules(env, k)) return;
    for (int i = 0; i < k; i++)
        take_hosted_row(env, i, hosted_state_of(env, states, w->row[i]),
                        vly_rows_at(out, (size_t)w->row[i]));
}

static void hosted_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    hosted_world *w = env->world;
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < n; i += w->batch)
        step_call(env, hosted_state_of(env, states, i), n - i < w->batch ? n - i : w->batch,
                  vly_actions_at(action, (size_t)i), vly_rows_at(out, (size_t)i));
    pthread_mutex_unlock(&w->lock);
}

static vly_status hosted_valid(const vly_env *env, const void *state) {
    const hosted_state *s = state;
    (void)env;
    VLY_TRY(vly_env_valid_range("number", s->number, 0, VLY_HOSTED_ENVS_MOST - 1));
    VLY_TRY(vly_env_valid_range("elapsed", s->elapsed, 0, INT32_MAX - 1));
    VLY_TRY(vly_env_valid_range("begun", s->begun, 0, 1));
    return vly_env_valid_range("ended", s->ended, 0, 1);
}

void hosted_fill_calls(vly_env *env) {
    env->reset = hosted_reset, env->restart = hosted_restart, env->step = hosted_step;
    env->valid = hosted_valid;
}
