#include "envs/cartpole.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/small_trig.h"

#define INLINE inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__GNUC__)
#define X86 1
#ifdef __clang__
#define WIDE ""
#else
#define WIDE ",prefer-vector-width=512" /* gcc would halve the vectors */
#endif
#endif

#define MASS (0.1 + 1.0) /* of pole and cart [kg] */

typedef struct {
    int32_t max_steps;
} world;

enum { CHUNK = 64, LANES = 8 }; /* actors worked on side by side; all of it stays in level 1 */

/* The moving part of a chunk, one array a quantity, so that the loops below vectorise. */
typedef struct {
    _Alignas(64) double x[CHUNK], x_dot[CHUNK], theta[CHUNK], theta_dot[CHUNK];
    double sine[CHUNK], cosine[CHUNK];
    int64_t unsure[CHUNK], fell[CHUNK];
    float obs[4][CHUNK];
    int32_t action[CHUNK], step[CHUNK], pick[CHUNK + 1];
} chunk;

static INLINE void write_cart_row(const vly_cartpole *s, vly_rows out, float reward, int flags) {
    const float obs[4] = {(float)s->x, (float)s->x_dot, (float)s->theta, (float)s->theta_dot};
    memcpy(out.obs, obs, sizeof obs);
    *out.reward = *out.score = reward;
    *out.flags = (uint8_t)flags;
}

static INLINE void start_balance(vly_cartpole *s, vly_rows out) {
    const double low = -0.05, width = 0.05 - low;
    vly_pcg64 rng = s->rng; /* in registers for the four draws */
    s->x = vly_pcg64_uniform(&rng, low, width);
    s->x_dot = vly_pcg64_uniform(&rng, low, width);
    s->theta = vly_pcg64_uniform(&rng, low, width);
    s->theta_dot = vly_pcg64_uniform(&rng, low, width);
    s->rng = rng;
    s->step = s->ended = 0;
    write_cart_row(s, out, 0.0f, VLY_ROW_RESET);
}

static void cartpole_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env;
    vly_cartpole *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_balance(s, at);
}

static void cartpole_restart(const vly_env *env, void *state, vly_rows at) {
    (void)env;
    start_balance(state, at);
}

static INLINE void gather(chunk *c, const vly_cartpole *s, int n, const int32_t *action) {
    for (int i = 0; i < n; i++) {
        c->x[i] = s[i].x, c->x_dot[i] = s[i].x_dot;
        c->theta[i] = s[i].theta, c->theta_dot[i] = s[i].theta_dot;
        c->action[i] = action[i], c->step[i] = s[i].step;
    }
    for (int i = n; i % LANES; i++) /* idle lanes stand upright */
        c->x[i] = c->x_dot[i] = c->theta[i] = c->theta_dot[i] = c->action[i] = 0;
}

/* Lists the lanes whose flag is set, without branches; returns how many. */
static INLINE int pick_flagged(chunk *c, const int64_t *flag, int n) {
    int found = 0;
    for (int i = 0; i < n; i++) {
        c->pick[found] = i;
        found += flag[i] != 0;
    }
    return found;
}

static INLINE void library_trig(chunk *c, int m) {
    for (int k = 0; k < m; k++) c->sine[k] = sin(c->theta[k]), c->cosine[k] = cos(c->theta[k]);
}

static INLINE void fast_trig(chunk *restrict c, int n, int lanes) {
    for (int i = 0; i < lanes; i++)
        c->unsure[i] = vly_small_trig(c->theta[i], &c->sine[i], &c->cosine[i]);
    for (int k = 0, asked = pick_flagged(c, c->unsure, n); k < asked; k++) {
        const int i = c->pick[k];
        c->sine[i] = sin(c->theta[i]), c->cosine[i] = cos(c->theta[i]);
    }
}

/* v / MASS, rounded as a division is, four times as fast: the guess is less than 1.5 units in the
 * last place off, so its remainder is exact in 53 bits, and correcting by it misses the quotient
 * by 7e-17 units at most, while no quotient comes closer than 2e-16 to the middle of two doubles
 * (MASS is 2 * 1.1 * 2^51 units). Markstein 1990; tests/envs/test_small_trig.c tries millions. */
static INLINE double over_mass(double v, int fast) {
    const double reciprocal = 1 / MASS;
    if (!fast) return v / MASS;
    const double guess = v * reciprocal;
    return __builtin_fma(__builtin_fma(-guess, MASS, v), reciprocal, guess);
}

/* The order of every operation is that of the reference: rounding is part of the contract. */
static INLINE void move_carts(chunk *restrict c, int lanes, int fast) {
    const double gravity = 9.8, mass_pole = 0.1, length = 0.5, tau = 0.02;
    const double pole = mass_pole * length, theta_max = 12 * 2 * M_PI / 360, x_max = 2.4;
    for (int i = 0; i < lanes; i++) {
        const double sine = c->sine[i], cosine = c->cosine[i], spin = c->theta_dot[i];
        const double force = 20.0 * (c->action[i] == 1) - 10.0;
        const double temp = over_mass(force + pole * (spin * spin) * sine, fast);
        const double theta_acc =
            (gravity * sine - cosine * temp) /
            (length * (4.0 / 3.0 - over_mass(mass_pole * (cosine * cosine), fast)));
        const double x_acc = temp - over_mass(pole * theta_acc * cosine, fast);
        c->x[i] += tau * c->x_dot[i];
        c->x_dot[i] += tau * x_acc;
        c->theta[i] += tau * spin;
        c->theta_dot[i] += tau * theta_acc;
        c->fell[i] = (fabs(c->x[i]) > x_max) | (fabs(c->theta[i]) > theta_max);
        c->obs[0][i] = (float)c->x[i], c->obs[1][i] = (float)c->x_dot[i];
        c->obs[2][i] = (float)c->theta[i], c->obs[3][i] = (float)c->theta_dot[i];
    }
}

/* Wraps: a lane whose episode is over may stand at the limit of 2^31 - 1. */
static INLINE int32_t next_step(int32_t step) {
    return (int32_t)((uint32_t)step + 1);
}

static INLINE void scatter(const chunk *c, vly_cartpole *s, int n, int32_t max_steps,
                           vly_rows out) {
    for (int i = 0; i < n; i++) {
        const int fell = (int)c->fell[i], step = next_step(c->step[i]), late = step == max_steps;
        s[i].x = c->x[i], s[i].x_dot = c->x_dot[i];
        s[i].theta = c->theta[i], s[i].theta_dot = c->theta_dot[i];
        s[i].step = step, s[i].ended = fell | late;
        const float obs[4] = {c->obs[0][i], c->obs[1][i], c->obs[2][i], c->obs[3][i]};
        memcpy(out.obs + (size_t)i * out.obs_stride, obs, sizeof obs);
        out.reward[i] = out.score[i] = 1.0f;
        out.flags[i] = (uint8_t)(fell * VLY_ROW_TERMINATED | late * VLY_ROW_TRUNCATED |
                                 (fell | late) * VLY_ROW_GAME_OVER);
    }
}

/* Actors whose episode is over are stepped too, which is faster than masking them; their start
 * overwrites the result. */
static INLINE void step_chunk(chunk *c, vly_cartpole *s, int n, const int32_t *action, vly_rows out,
                              int32_t max_steps, int fast) {
    const int lanes = (n + LANES - 1) / LANES * LANES;
    int32_t over[CHUNK + 1], overs = 0;
    for (int i = 0; i < n; i++) {
        over[overs] = i;
        overs += s[i].ended != 0;
    }
    gather(c, s, n, action);
    if (fast)
        fast_trig(c, n, lanes);
    else
        library_trig(c, lanes);
    move_carts(c, lanes, fast);
    scatter(c, s, n, max_steps, out);
    for (int k = 0; k < overs; k++) start_balance(&s[over[k]], vly_rows_at(out, (size_t)over[k]));
}

static INLINE void step_carts(const vly_env *env, vly_cartpole *s, int n, const int32_t *action,
                              vly_rows out, int fast) {
    const int32_t max_steps = ((const world *)env->world)->max_steps;
    chunk c;
    for (int i = 0; i < n; i += CHUNK)
        step_chunk(&c, s + i, n - i < CHUNK ? n - i : CHUNK, action + i,
                   vly_rows_at(out, (size_t)i), max_steps, fast);
}

/* One source for three kinds of processor; the bits are the same on all of them. */
static void step_carts_plain(const vly_env *env, void *states, int n, vly_actions action,
                             vly_rows out) {
    step_carts(env, states, n, vly_action_ints(action), out, 0);
}

#ifdef X86
__attribute__((target("avx2,fma"))) static void step_avx2(const vly_env *env, void *states, int n,
                                                          vly_actions action, vly_rows out) {
    step_carts(env, states, n, vly_action_ints(action), out, 1);
}

__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma" WIDE))) static void
step_avx512(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    step_carts(env, states, n, vly_action_ints(action), out, 1);
}
#endif

typedef void (*step_fn)(const vly_env *, void *, int, vly_actions, vly_rows);

static step_fn best_step(double simd) {
#ifdef X86
    if (simd >= 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return step_avx512;
    if (simd >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return step_avx2;
#endif
    (void)simd;
    return step_carts_plain;
}

static void cartpole_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const vly_cartpole *s = state;
    snprintf(text, bytes, "step %d  cart %+.2f m  pole %+.1f deg", s->step, s->x,
             s->theta * 180 / M_PI);
}

static void cartpole_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                            int *height) {
    (void)env;
    const vly_cartpole *s = state;
    *width = 600, *height = 400;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    const double scale = 600 / 4.8, x = s->x * scale + 300, y = 300, reach = scale;
    vly_draw_clear(&c, VLY_RGB(255, 255, 255));
    vly_draw_box(&c, 0, y, 600, y + 1, VLY_RGB(0, 0, 0));
    vly_draw_box(&c, x - 25, y - 15, x + 25, y + 15, VLY_RGB(0, 0, 0));
    vly_draw_bar(&c, x, y - 7, x + sin(s->theta) * reach, y - 7 - cos(s->theta) * reach, 10,
                 VLY_RGB(202, 152, 101));
    vly_draw_disc(&c, x, y - 7, 5, VLY_RGB(129, 132, 203));
}

static vly_status cartpole_valid(const vly_env *env, const void *state) {
    const vly_cartpole *s = state;
    VLY_TRY(vly_env_valid_range("x", s->x, -1e3, 1e3));
    VLY_TRY(vly_env_valid_range("x_dot", s->x_dot, -1e3, 1e3));
    VLY_TRY(vly_env_valid_range("theta", s->theta, -1e3, 1e3));
    VLY_TRY(vly_env_valid_range("theta_dot", s->theta_dot, -1e3, 1e3));
    return vly_env_valid_episode(s->step, s->ended, ((const world *)env->world)->max_steps);
}

/* The episode ends outside the first and third; speeds are seldom larger. */
static const vly_bounds bounds[] = {{-2.4, 2.4}, {-3.0, 3.0}, {-0.21, 0.21}, {-3.0, 3.0}};

vly_status vly_cartpole_open(vly_env *env, const vly_env_args *args) {
    double simd = 2; /* 0 plain C, 1 up to AVX2, 2 up to AVX-512: for the test that they agree */
    const vly_env_key keys[] = {VLY_KEY_WHOLE("simd", &simd, 0, 2)};
    VLY_TRY(vly_env_options("cartpole", args, keys, 1));
    vly_env_begin(env, "cartpole", 2, sizeof(vly_cartpole));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    world *w = env->world;
    w->max_steps = vly_env_limit(args, 500);
    vly_env_vector(env, 4);
    env->bounds = bounds;
    env->return_target = 475.0f;
    env->reset = cartpole_reset;
    env->restart = cartpole_restart;
    env->valid = cartpole_valid;
    env->step = best_step(simd);
    env->render = cartpole_render;
    env->describe = cartpole_describe;
    return VLY_OK;
}
