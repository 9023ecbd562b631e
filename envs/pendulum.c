#include "envs/pendulum.h"
#include <math.h>
#include <stdio.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"

#define FASTEST 8.0
#define TORQUE_MOST 2.0f

typedef struct {
    int32_t max_steps;
} world;

static void write_pendulum_obs(const vly_pendulum *s, uint8_t *obs) {
    const float row[3] = {(float)cos(s->angle), (float)sin(s->angle), (float)s->speed};
    memcpy(obs, row, sizeof row);
}

static void start_pendulum(vly_pendulum *s, vly_rows at) {
    s->angle = vly_pcg64_uniform(&s->rng, -M_PI, M_PI - -M_PI);
    s->speed = vly_pcg64_uniform(&s->rng, -1.0, 2.0);
    s->step = s->ended = 0;
    write_pendulum_obs(s, at.obs);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void pendulum_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env;
    vly_pendulum *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_pendulum(s, at);
}

static void pendulum_restart(const vly_env *env, void *state, vly_rows at) {
    (void)env;
    start_pendulum(state, at);
}

/* Into [-pi, pi), as NumPy's remainder rounds. */
static double normalised(double angle) {
    const double turn = 2 * M_PI;
    double rest = fmod(angle + M_PI, turn);
    if (rest < 0) rest += turn;
    return rest - M_PI;
}

/* Returns the reward. The reference squares with pow() and powf(), which do not round as a product
 * does; the exponents are volatile so that the compiler does not make one of them. */
static double swing_once(vly_pendulum *s, float torque) {
    const volatile double two = 2.0;
    const volatile float two32 = 2.0f;
    const double dt = 0.05;
    torque = fminf(fmaxf(torque, -TORQUE_MOST), TORQUE_MOST);
    const float effort = 0.001f * powf(torque, two32);
    const double cost = pow(normalised(s->angle), two) + 0.1 * pow(s->speed, two) + (double)effort;
    const double speed = s->speed + (15.0 * sin(s->angle) + (double)(3.0f * torque)) * dt;
    s->speed = fmin(fmax(speed, -FASTEST), FASTEST);
    s->angle += s->speed * dt;
    return -cost;
}

static void pendulum_step(const vly_env *env, void *states, int n, vly_actions action,
                          vly_rows out) {
    const world *w = env->world;
    vly_pendulum *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_pendulum(s, at);
            continue;
        }
        const double reward = swing_once(s, *vly_action_floats(vly_actions_at(action, (size_t)i)));
        s->ended = ++s->step == w->max_steps;
        write_pendulum_obs(s, at.obs);
        vly_row_write(at, (float)reward, vly_row_flags(0, s->ended));
    }
}

static void pendulum_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                            int *height) {
    (void)env;
    const vly_pendulum *s = state;
    *width = *height = 500;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    const double middle = 250, reach = 500 / 4.4;
    vly_draw_clear(&c, VLY_RGB(255, 255, 255));
    vly_draw_bar(&c, middle, middle, middle - reach * sin(s->angle), middle - reach * cos(s->angle),
                 0.2 * reach, VLY_RGB(204, 77, 77));
    vly_draw_disc(&c, middle, middle, 5, VLY_RGB(0, 0, 0));
}

static void pendulum_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const vly_pendulum *s = state;
    snprintf(text, bytes, "step %d  angle %+.1f deg  speed %+.2f rad/s", s->step,
             normalised(s->angle) * 180 / M_PI, s->speed);
}

static vly_status pendulum_valid(const vly_env *env, const void *state) {
    const vly_pendulum *s = state;
    VLY_TRY(vly_env_valid_range("angle", s->angle, -1e9, 1e9));
    VLY_TRY(vly_env_valid_range("speed", s->speed, -FASTEST, FASTEST));
    return vly_env_valid_episode(s->step, s->ended, ((const world *)env->world)->max_steps);
}

static const vly_bounds bounds[] = {{-1, 1}, {-1, 1}, {-FASTEST, FASTEST}};
static const vly_bounds torque_bounds[] = {{-2, 2}};
static const char *const names[] = {"torque"};

vly_status vly_pendulum_open(vly_env *env, const vly_env_args *args) {
    VLY_TRY(vly_env_options("pendulum", args, NULL, 0));
    vly_env_begin(env, "pendulum", 1, sizeof(vly_pendulum));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    ((world *)env->world)->max_steps = vly_env_limit(args, 200);
    vly_env_vector(env, 3);
    env->bounds = bounds;
    env->action = vly_space_box(1, torque_bounds);
    env->action.names = names;
    env->return_target = -200.0f;
    env->reset = pendulum_reset;
    env->restart = pendulum_restart;
    env->valid = pendulum_valid;
    env->step = pendulum_step;
    env->render = pendulum_render;
    env->describe = pendulum_describe;
    return VLY_OK;
}
