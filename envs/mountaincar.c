#include "envs/mountaincar.h"
#include <math.h>
#include <stdio.h>
#include "envs/draw_hill.h"
#include "envs/env_options.h"
#include "envs/episode.h"

typedef struct {
    int32_t max_steps;
} world;

static void write_car_obs(const vly_mountaincar *s, uint8_t *obs) {
    const float row[2] = {(float)s->position, (float)s->velocity};
    memcpy(obs, row, sizeof row);
}

static void start_climb(vly_mountaincar *s, vly_rows at) {
    const double low = -0.6, high = -0.4;
    s->position = vly_pcg64_uniform(&s->rng, low, high - low);
    s->velocity = 0.0;
    s->step = s->ended = 0;
    write_car_obs(s, at.obs);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void mountaincar_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env;
    vly_mountaincar *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_climb(s, at);
}

static void mountaincar_restart(const vly_env *env, void *state, vly_rows at) {
    (void)env;
    start_climb(state, at);
}

static double clamp(double v, double low, double high) {
    return fmin(fmax(v, low), high);
}

/* Returns whether the flag is reached. */
static int accelerate(vly_mountaincar *s, int action) {
    const double force = 0.001, gravity = 0.0025, fastest = 0.07, left = -1.2, right = 0.6;
    double v = s->velocity + ((action - 1) * force + cos(3 * s->position) * -gravity);
    v = clamp(v, -fastest, fastest);
    const double p = clamp(s->position + v, left, right);
    if (p == left && v < 0) v = 0;
    s->position = p, s->velocity = v;
    return p >= 0.5 && v >= 0;
}

static void mountaincar_step(const vly_env *env, void *states, int n, vly_actions actions,
                             vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    const world *w = env->world;
    vly_mountaincar *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_climb(s, at);
            continue;
        }
        const int there = accelerate(s, action[i]), late = ++s->step == w->max_steps;
        s->ended = there | late;
        write_car_obs(s, at.obs);
        vly_row_write(at, -1.0f, vly_row_flags(there, late));
    }
}

static void mountaincar_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                               int *height) {
    (void)env;
    vly_draw_hill(rgb, width, height, ((const vly_mountaincar *)state)->position, 0.5);
}

static void mountaincar_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const vly_mountaincar *s = state;
    snprintf(text, bytes, "step %d  position %+.3f  velocity %+.4f", s->step, s->position,
             s->velocity);
}

static vly_status mountaincar_valid(const vly_env *env, const void *state) {
    const vly_mountaincar *s = state;
    VLY_TRY(vly_env_valid_range("position", s->position, -1.2, 0.6));
    VLY_TRY(vly_env_valid_range("velocity", s->velocity, -0.07, 0.07));
    return vly_env_valid_episode(s->step, s->ended, ((const world *)env->world)->max_steps);
}

/* Position and velocity are kept within these. */
static const vly_bounds bounds[] = {{-1.2, 0.6}, {-0.07, 0.07}};

vly_status vly_mountaincar_open(vly_env *env, const vly_env_args *args) {
    VLY_TRY(vly_env_options("mountaincar", args, NULL, 0));
    vly_env_begin(env, "mountaincar", 3, sizeof(vly_mountaincar));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    ((world *)env->world)->max_steps = vly_env_limit(args, 200);
    vly_env_vector(env, 2);
    env->bounds = bounds;
    env->return_target = -110.0f;
    env->reset = mountaincar_reset;
    env->restart = mountaincar_restart;
    env->valid = mountaincar_valid;
    env->step = mountaincar_step;
    env->render = mountaincar_render;
    env->describe = mountaincar_describe;
    return VLY_OK;
}
