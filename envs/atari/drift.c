#include "envs/atari/drift.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "envs/atari/atari.h"
#include "envs/env_options.h"

enum { PHASES_MOST = 8, HEAD = 64, OWN_NUMBERS = 3 };

typedef struct {
    int phases;
    struct {
        int64_t steps;
        int mode, difficulty;
        vly_env env;
    } phase[PHASES_MOST];
    const char *info_names[VLY_ENV_INFO_MAX]; /* the game's, then its own */
} world;

/* In front of the state of the phase's own environment. */
typedef struct {
    uint64_t seed;
    int64_t steps;
    int32_t phase, over; /* over: the game has ended, the next step begins one */
} head;

_Static_assert(sizeof(head) <= HEAD, "the inner state is aligned behind it");

static const vly_env *inner_env(const vly_env *env, const void *state) {
    return &((const world *)env->world)->phase[((const head *)state)->phase].env;
}

static void *inner_state(void *state) {
    return (uint8_t *)state + HEAD;
}

static uint64_t seed_of_phase(const head *h) {
    if (h->phase == 0) return h->seed;
    const vly_u32x4 r = vly_philox(h->seed, VLY_STREAM_ENV, UINT64_MAX, (uint32_t)h->phase);
    return (uint64_t)r.v[1] << 32 | r.v[0];
}

static void begin_phase(const vly_env *env, head *h, vly_rows at) {
    const vly_env *one = inner_env(env, h);
    memset(inner_state(h), 0, env->state_bytes - HEAD);
    one->reset(one, inner_state(h), seed_of_phase(h), at);
    h->over = 0;
}

static bool is_due(const world *w, const head *h) {
    return h->phase + 1 < w->phases && h->steps >= w->phase[h->phase + 1].steps;
}

/* Whether the mode has changed, and with it a game begun. */
static bool drift(const vly_env *env, head *h, vly_rows at) {
    if (!is_due(env->world, h)) return false;
    while (is_due(env->world, h)) h->phase++;
    begin_phase(env, h, at);
    return true;
}

static void drift_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    head *h = state;
    memset(state, 0, env->state_bytes);
    h->seed = seed;
    begin_phase(env, h, at);
}

static void drift_restart(const vly_env *env, void *state, vly_rows at) {
    head *h = state;
    const vly_env *one = inner_env(env, state);
    h->over = 0;
    if (!drift(env, h, at)) one->restart(one, inner_state(state), at);
}

static void drift_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    uint8_t *state = states;
    for (int i = 0; i < n; i++, state += env->state_bytes) {
        head *h = (head *)(void *)state;
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (h->over && drift(env, h, at)) continue;
        const vly_env *one = inner_env(env, h);
        one->step(one, inner_state(h), 1, vly_actions_at(action, (size_t)i), at);
        h->steps += !(*at.flags & VLY_ROW_RESET);
        h->over = (*at.flags & VLY_ROW_GAME_OVER) != 0;
    }
}

static void drift_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                         int *height) {
    const vly_env *one = inner_env(env, state);
    one->render(one, (const uint8_t *)state + HEAD, rgb, width, height);
}

static void drift_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    const vly_env *one = inner_env(env, state);
    const int n = snprintf(text, bytes, "phase %d  ", ((const head *)state)->phase);
    if (n > 0 && (size_t)n < bytes)
        one->describe(one, (const uint8_t *)state + HEAD, text + n, bytes - (size_t)n);
}

static void drift_info(const vly_env *env, const void *state, double *out) {
    const world *w = env->world;
    const int phase = ((const head *)state)->phase;
    const vly_env *one = inner_env(env, state);
    one->info(one, (const uint8_t *)state + HEAD, out);
    out += one->info_count;
    out[0] = phase;
    out[1] = w->phase[phase].mode;
    out[2] = w->phase[phase].difficulty;
}

static vly_status drift_valid(const vly_env *env, const void *state) {
    const head *h = state;
    VLY_TRY(vly_env_valid_range("phase", h->phase, 0, ((const world *)env->world)->phases - 1));
    VLY_TRY(vly_env_valid_range("steps", (double)h->steps, 0, 9e15));
    VLY_TRY(vly_env_valid_range("over", h->over, 0, 1));
    const vly_env *one = inner_env(env, state);
    return one->valid(one, (const uint8_t *)state + HEAD);
}

static void drift_close(vly_env *env) {
    world *w = env->world;
    for (int i = 0; w && i < w->phases; i++) w->phase[i].env.close(&w->phase[i].env);
    free(w);
    env->world = NULL;
}

bool vly_atari_drift_is(const vly_env *env) {
    return env->reset == drift_reset;
}

const vly_env *vly_atari_drift_inner(const vly_env *env, const void **state) {
    if (!vly_atari_drift_is(env)) return env;
    const vly_env *one = inner_env(env, *state);
    *state = (const uint8_t *)*state + HEAD;
    return one;
}

/* ---- opening ---- */

static vly_status bad_schedule(const char *text) {
    return vly_fail(VLY_EINVAL,
                    "--atari.drift %s: not STEPS:MODE/DIFFICULTY in rising order, with commas "
                    "between at most %d",
                    text, PHASES_MOST - 1);
}

/* One change at *at, which moves behind it. */
static bool parse_change(const char **at, int64_t *steps, int *mode, int *difficulty) {
    char *end;
    int used = 0;
    errno = 0;
    const long long after = strtoll(*at, &end, 10);
    if (end == *at || errno) return false;
    *at = end;
    if (sscanf(*at, ":%9d/%9d%n", mode, difficulty, &used) < 2 || !used) return false;
    *steps = after;
    *at += used;
    return after > 0 && *mode >= 0 && *difficulty >= 0;
}

static vly_status open_phase(world *w, const char *name, const vly_atari_options *o,
                             int64_t steps) {
    const int i = w->phases;
    VLY_TRY(vly_atari_open(&w->phase[i].env, name, o));
    w->phase[i].steps = steps, w->phase[i].mode = o->mode, w->phase[i].difficulty = o->difficulty;
    w->phases++;
    return VLY_OK;
}

static vly_status open_phases(world *w, const char *name, const vly_atari_options *options) {
    vly_atari_options o = *options;
    const vly_atari_game *game = vly_atari_named(name, &o);
    if (!game) return vly_fail(VLY_ENOTFOUND, "no Atari game named '%.64s'", name);
    if (o.mode < 0) o.mode = game->default_mode;
    if (o.difficulty < 0) o.difficulty = 0;
    VLY_TRY(open_phase(w, name, &o, 0));
    for (const char *at = options->drift; *at;) {
        int64_t steps;
        if (w->phases == PHASES_MOST || !parse_change(&at, &steps, &o.mode, &o.difficulty) ||
            steps <= w->phase[w->phases - 1].steps || (*at && (*at++ != ',' || !*at)))
            return bad_schedule(options->drift);
        VLY_TRY(open_phase(w, name, &o, steps));
    }
    return VLY_OK;
}

static void append_numbers(vly_env *env, world *w) {
    static const char *const own[OWN_NUMBERS] = {"phase", "mode", "difficulty"};
    const vly_env *first = &w->phase[0].env;
    const size_t n = (size_t)first->info_count;
    memcpy(w->info_names, first->info_names, n * sizeof *own);
    memcpy(w->info_names + n, own, sizeof own);
    env->info_count = first->info_count + OWN_NUMBERS;
    env->info_names = w->info_names, env->info = drift_info;
}

vly_status vly_atari_drift_open(vly_env *env, const char *name, const vly_atari_options *options) {
    vly_env made;
    vly_env_begin(&made, "", 1, HEAD);
    VLY_TRY(vly_env_world(&made, sizeof(world)));
    world *w = made.world;
    made.close = drift_close;
    const vly_status status = open_phases(w, name, options);
    if (status != VLY_OK) {
        drift_close(&made);
        return status;
    }
    const vly_env *first = &w->phase[0].env;
    size_t most = 0;
    for (int i = 0; i < w->phases; i++)
        if (w->phase[i].env.state_bytes > most) most = w->phase[i].env.state_bytes;
    snprintf(made.name, sizeof made.name, "%.50s+drift", first->name);
    made.obs = first->obs, made.action = first->action;
    made.frames_per_step = first->frames_per_step, made.step_s = first->step_s;
    made.state_bytes = HEAD + most;
    made.reset = drift_reset, made.restart = drift_restart, made.step = drift_step;
    made.render = drift_render, made.describe = drift_describe, made.valid = drift_valid;
    append_numbers(&made, w);
    *env = made;
    return VLY_OK;
}
