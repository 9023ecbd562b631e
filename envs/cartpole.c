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

typedef struct { int32_t max_steps; } world;

enum { CHUNK = 64, LANES = 8 }; /* actors worked on side by side; all of it stays in level 1 */

/* The moving part of a chunk, one array a quantity, so that the loops below vectorise. */
typedef struct {
    _Alignas(64) double x[CHUNK], x_dot[CHUNK], theta[CHUNK], theta_dot[CHUNK];
    double sine[CHUNK], cosine[CHUNK];
    int64_t unsure[CHUNK], fell[CHUNK];
    float obs[4][CHUNK];
    int32_t lane[CHUNK], action[CHUNK];
} chunk;

static void write_row(const vly_cartpole *s, vly_rows out, float reward, int flags) {
    const float obs[4] = {(float)s->x, (float)s->x_dot, (float)s->theta, (float)s->theta_dot};
    memcpy(out.obs, obs, sizeof obs);
    *out.reward = *out.score = reward;
    *out.flags = (uint8_t)flags;
}

static void start_episode(vly_cartpole *s, vly_rows out) {
    const double low = -0.05, width = 0.05 - low;
    s->x = vly_pcg64_uniform(&s->rng, low, width);
    s->x_dot = vly_pcg64_uniform(&s->rng, low, width);
    s->theta = vly_pcg64_uniform(&s->rng, low, width);
    s->theta_dot = vly_pcg64_uniform(&s->rng, low, width);
    s->step = s->ended = 0;
    write_row(s, out, 0.0f, VLY_ROW_RESET);
}

static void cartpole_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env;
    vly_cartpole *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_episode(s, at);
}

/* Starts the episodes that are due and gathers the other actors; returns how many. Idle lanes up
 * to the next multiple of LANES stand upright. */
static INLINE int gather(chunk *c, vly_cartpole *s, int n, const int32_t *action, vly_rows out) {
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (__builtin_expect(s[i].ended, 0)) {
            start_episode(&s[i], vly_rows_at(out, (size_t)i));
            continue;
        }
        c->x[m] = s[i].x, c->x_dot[m] = s[i].x_dot;
        c->theta[m] = s[i].theta, c->theta_dot[m] = s[i].theta_dot;
        c->action[m] = action[i];
        c->lane[m++] = i;
    }
    for (int k = m; k % LANES; k++)
        c->x[k] = c->x_dot[k] = c->theta[k] = c->theta_dot[k] = c->action[k] = 0;
    return m;
}

static INLINE void library_trig(chunk *c, int m) {
    for (int k = 0; k < m; k++) c->sine[k] = sin(c->theta[k]), c->cosine[k] = cos(c->theta[k]);
}

static INLINE void fast_trig(chunk *restrict c, int lanes) {
    for (int k = 0; k < lanes; k++)
        c->unsure[k] = vly_small_trig(c->theta[k], &c->sine[k], &c->cosine[k]);
    for (int k = 0; k < lanes; k++)
        if (__builtin_expect(c->unsure[k] != 0, 0))
            c->sine[k] = sin(c->theta[k]), c->cosine[k] = cos(c->theta[k]);
}

/* The order of every operation is that of the reference: rounding is part of the contract. */
static INLINE void move(chunk *restrict c, int lanes) {
    const double gravity = 9.8, mass_pole = 0.1, mass = 0.1 + 1.0, length = 0.5, tau = 0.02;
    const double pole = mass_pole * length, theta_max = 12 * 2 * M_PI / 360, x_max = 2.4;
    for (int i = 0; i < lanes; i++) {
        const double sine = c->sine[i], cosine = c->cosine[i], spin = c->theta_dot[i];
        const double force = 20.0 * (c->action[i] == 1) - 10.0;
        const double temp = (force + pole * (spin * spin) * sine) / mass;
        const double theta_acc = (gravity * sine - cosine * temp) /
            (length * (4.0 / 3.0 - mass_pole * (cosine * cosine) / mass));
        const double x_acc = temp - pole * theta_acc * cosine / mass;
        c->x[i] += tau * c->x_dot[i];
        c->x_dot[i] += tau * x_acc;
        c->theta[i] += tau * spin;
        c->theta_dot[i] += tau * theta_acc;
        c->fell[i] = (fabs(c->x[i]) > x_max) | (fabs(c->theta[i]) > theta_max);
        c->obs[0][i] = (float)c->x[i], c->obs[1][i] = (float)c->x_dot[i];
        c->obs[2][i] = (float)c->theta[i], c->obs[3][i] = (float)c->theta_dot[i];
    }
}

static INLINE void scatter(const chunk *c, int m, vly_cartpole *s, int32_t max_steps,
                           vly_rows out) {
    for (int k = 0; k < m; k++) {
        const int i = c->lane[k];
        vly_cartpole *a = &s[i];
        a->x = c->x[k], a->x_dot = c->x_dot[k];
        a->theta = c->theta[k], a->theta_dot = c->theta_dot[k];
        const int fell = (int)c->fell[k], late = ++a->step == max_steps;
        a->ended = fell | late;
        const float obs[4] = {c->obs[0][k], c->obs[1][k], c->obs[2][k], c->obs[3][k]};
        memcpy(out.obs + (size_t)i * out.obs_stride, obs, sizeof obs);
        out.reward[i] = out.score[i] = 1.0f;
        out.flags[i] = (uint8_t)(fell * VLY_ROW_TERMINATED | late * VLY_ROW_TRUNCATED |
                                 (fell | late) * VLY_ROW_GAME_OVER);
    }
}

static INLINE void step_all(const vly_env *env, vly_cartpole *s, int n, const int32_t *action,
                            vly_rows out, int fast) {
    const int32_t max_steps = ((const world *)env->world)->max_steps;
    chunk c;
    for (int i = 0; i < n; i += CHUNK) {
        const int some = n - i < CHUNK ? n - i : CHUNK;
        const vly_rows rows = vly_rows_at(out, (size_t)i);
        const int m = gather(&c, s + i, some, action + i, rows);
        const int lanes = (m + LANES - 1) / LANES * LANES;
        if (fast) fast_trig(&c, lanes);
        else library_trig(&c, lanes);
        move(&c, lanes);
        scatter(&c, m, s + i, max_steps, rows);
    }
}

/* One source for three kinds of processor; the bits are the same on all of them. */
static void step_plain(const vly_env *env, void *states, int n, const int32_t *action,
                       vly_rows out) {
    step_all(env, states, n, action, out, 0);
}

#ifdef X86
__attribute__((target("avx2,fma"))) static void step_avx2(const vly_env *env, void *states,
                                                          int n, const int32_t *action,
                                                          vly_rows out) {
    step_all(env, states, n, action, out, 1);
}

__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma" WIDE))) static void
step_avx512(const vly_env *env, void *states, int n, const int32_t *action, vly_rows out) {
    step_all(env, states, n, action, out, 1);
}
#endif

typedef void (*step_fn)(const vly_env *, void *, int, const int32_t *, vly_rows);

static step_fn best_step(double simd) {
#ifdef X86
    if (simd >= 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return step_avx512;
    if (simd >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return step_avx2;
#endif
    (void)simd;
    return step_plain;
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

vly_status vly_cartpole_open(vly_env *env, const vly_env_args *args) {
    double simd = 2; /* 0 plain C, 1 up to AVX2, 2 up to AVX-512: for the test that they agree */
    const vly_env_key keys[] = {{"simd", &simd, 0, 2, NULL, 0}};
    VLY_TRY(vly_env_options("cartpole", args, keys, 1));
    vly_env_begin(env, "cartpole", 2, sizeof(vly_cartpole));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    world *w = env->world;
    w->max_steps = vly_env_limit(args, 500);
    vly_env_vector(env, 4);
    env->return_target = 475.0f;
    env->reset = cartpole_reset;
    env->step = best_step(simd);
    env->render = cartpole_render;
    env->describe = cartpole_describe;
    return VLY_OK;
}
