#include "envs/mountaincar_continuous.h"
#include <math.h>
#include <stdio.h>
#include "envs/draw_hill.h"
#include "envs/env_options.h"
#include "envs/episode.h"

#define LEFT (-1.2f)
#define RIGHT 0.6f
#define GOAL 0.45f
#define FASTEST 0.07f

typedef struct {
    int32_t max_steps;
} world;

static void write_climber_obs(const vly_mountaincar_continuous *s, uint8_t *obs) {
    const float row[2] = {(float)s->position, s->velocity};
    memcpy(obs, row, sizeof row);
}

static void start_climber(vly_mountaincar_continuous *s, vly_rows at) {
    const double low = -0.6, high = -0.4;
    s->position = vly_pcg64_uniform(&s->rng, low, high - low);
    s->velocity = 0.0f;
    s->step = s->ended = 0;
    write_climber_obs(s, at.obs);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void climber_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env;
    vly_mountaincar_continuous *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_climber(s, at);
}

static void climber_restart(const vly_env *env, void *state, vly_rows at) {
    (void)env;
    start_climber(state, at);
}

/* What a step adds to the velocity: float32 arithmetic, but double where the force was out of range,
 * for the reference then goes on with a Python number. */
static double velocity_change(float force, double cosine) {
    if (force > 1.0f) return 0.0015 - 0.0025 * cosine;
    if (force < -1.0f) return -0.0015 - 0.0025 * cosine;
    return (double)(force * 0.0015f - (float)(0.0025 * cosine));
}

/* Returns whether the flag is reached. */
static int drive(vly_mountaincar_continuous *s, float force) {
    if (s->step == 0) { /* too slow to reach a limit */
        const double velocity = (double)s->velocity + velocity_change(force, cos(3 * s->position));
        s->position = (double)(float)(s->position + velocity);
        s->velocity = (float)velocity;
        return 0;
    }
    const float from = (float)s->position;
    float velocity = s->velocity + (float)velocity_change(force, cos((double)(3 * from)));
    velocity = fminf(fmaxf(velocity, -FASTEST), FASTEST);
    const float position = fminf(fmaxf(from + velocity, LEFT), RIGHT);
    if (position <= LEFT && velocity < 0) velocity = 0;
    s->position = (double)position, s->velocity = velocity;
    return position >= GOAL && velocity >= 0;
}

static void climber_step(const vly_env *env, void *states, int n, vly_actions action,
                         vly_rows out) {
    const world *w = env->world;
    vly_mountaincar_continuous *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_climber(s, at);
            continue;
        }
        const float force = *vly_action_floats(vly_actions_at(action, (size_t)i));
        const int there = drive(s, force), late = ++s->step == w->max_steps;
        const double effort = (double)force * (double)force * 0.1; /* the square is exact */
        s->ended = there | late;
        write_climber_obs(s, at.obs);
        vly_row_write(at, (float)((there ? 100.0 : 0.0) - effort), vly_row_flags(there, late));
    }
}

static void climber_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                           int *height) {
    (void)env;
    const vly_mountaincar_continuous *s = state;
    vly_draw_hill(rgb, width, height, s->position, (double)GOAL);
}

static void climber_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const vly_mountaincar_continuous *s = state;
    snprintf(text, bytes, "step %d  position %+.3f  velocity %+.4f", s->step, s->position,
             (double)s->velocity);
}

static vly_status climber_valid(const vly_env *env, const void *state) {
    const vly_mountaincar_continuous *s = state;
    VLY_TRY(vly_env_valid_range("position", s->position, (double)LEFT, (double)RIGHT));
    VLY_TRY(
        vly_env_valid_range("velocity", (double)s->velocity, -(double)FASTEST, (double)FASTEST));
    return vly_env_valid_episode(s->step, s->ended, ((const world *)env->world)->max_steps);
}

static const vly_bounds bounds[] = {{-1.2, 0.6}, {-0.07, 0.07}};
static const vly_bounds force_bounds[] = {{-1, 1}};
static const char *const names[] = {"force"};

vly_status vly_mountaincar_continuous_open(vly_env *env, const vly_env_args *args) {
    VLY_TRY(vly_env_options("mountaincar_continuous", args, NULL, 0));
    vly_env_begin(env, "mountaincar_continuous", 1, sizeof(vly_mountaincar_continuous));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    ((world *)env->world)->max_steps = vly_env_limit(args, 999);
    vly_env_vector(env, 2);
    env->bounds = bounds;
    env->action = vly_space_box(1, force_bounds);
    env->action.names = names;
    env->return_target = 90.0f;
    env->reset = climber_reset;
    env->restart = climber_restart;
    env->valid = climber_valid;
    env->step = climber_step;
    env->render = climber_render;
    env->describe = climber_describe;
    return VLY_OK;
}
