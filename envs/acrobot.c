#include "envs/acrobot.h"
#include <math.h>
#include <stdio.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"
#include "envs/small_trig.h"

typedef struct {
    int32_t max_steps;
} world;
typedef struct {
    double v[4];
} vec; /* angles, then speeds */

#define INLINE inline __attribute__((always_inline))

/* The reference squares with pow(), which rounds differently from x
 *
 * x about once in a thousand. Its error is below 0.52 units in the last place (glibc since
 * 2.28), so where x
 *
 * x is at least 0.05 away from the midpoint of two doubles both round alike and pow() is not
 * called. The exponent is volatile so that the compiler does not replace the call by x
 *
 * x. */
static INLINE double square(double x, int fast) {
    const volatile double two = 2.0;
#ifdef __GLIBC__
    const double product = x * x;
    if (fast && fabs(__builtin_fma(x, x, -product)) < 0.9 * vly_half_ulp(product)) return product;
#endif
    (void)fast;
    return pow(x, two);
}

/* The first observation of an episode is computed in float32, where NumPy's sine and cosine are
 * polynomials of their own; on the start angles, at most 0.1, these are the same. */
static float cos32(float x) {
    const float z = x * x;
    float r = fmaf(0x1.98e616p-16f, z, -0x1.6c06dcp-10f);
    r = fmaf(r, z, 0x1.55553cp-05f);
    r = fmaf(r, z, -0.5f);
    return fmaf(r, z, 1.0f);
}

static float sin32(float x) {
    const float z = x * x;
    float r = fmaf(0x1.7d3bbcp-19f, z, -0x1.a06bbap-13f);
    r = fmaf(r, z, 0x1.11119ap-07f);
    r = fmaf(r, z, -0x1.555556p-03f);
    return fmaf(r * z, x, x);
}

static void start_swing(vly_acrobot *s, vly_rows at) {
    float start[4];
    const double low = -0.1, high = 0.1;
    for (int k = 0; k < 4; k++) start[k] = (float)vly_pcg64_uniform(&s->rng, low, high - low);
    for (int k = 0; k < 2; k++) s->angle[k] = start[k], s->speed[k] = start[2 + k];
    s->step = s->ended = 0;
    const float row[6] = {cos32(start[0]), sin32(start[0]), cos32(start[1]),
                          sin32(start[1]), start[2],        start[3]};
    memcpy(at.obs, row, sizeof row);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void acrobot_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env;
    vly_acrobot *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_swing(s, at);
}

static void acrobot_restart(const vly_env *env, void *state, vly_rows at) {
    (void)env;
    start_swing(state, at);
}

/* Sutton & Barto, "Reinforcement Learning", figure 11.6; masses, lengths and inertias are 1,
 * centres of mass at 0.5. Operations are in the reference's order. */
static INLINE vec derivative(vec s, double torque, int fast) {
    const double a = s.v[0], b = s.v[1], da = s.v[2], db = s.v[3];
    const double sin_b = sin(b), cos_b = cos(b);
    const double d1 = 0.25 + (1.25 + cos_b) + 1.0 + 1.0;
    const double d2 = 0.25 + 0.5 * cos_b + 1.0;
    const double phi2 = 0.5 * 9.8 * cos(a + b - M_PI / 2.0);
    const double phi1 = -0.5 * square(db, fast) * sin_b - db * da * sin_b +
                        1.5 * 9.8 * cos(a - M_PI / 2) + phi2;
    const double ddb = (torque + d2 / d1 * phi1 - 0.5 * square(da, fast) * sin_b - phi2) /
                       (1.25 - square(d2, fast) / d1);
    const double dda = -(d2 * ddb + phi1) / d1;
    const vec out = {{da, db, dda, ddb}};
    return out;
}

static INLINE vec along(vec s, double h, vec slope) {
    for (int k = 0; k < 4; k++) s.v[k] += h * slope.v[k];
    return s;
}

static INLINE vec rk4(vec s, double torque, int fast) {
    const double dt = 0.2;
    const vec k1 = derivative(s, torque, fast);
    const vec k2 = derivative(along(s, dt / 2.0, k1), torque, fast);
    const vec k3 = derivative(along(s, dt / 2.0, k2), torque, fast);
    const vec k4 = derivative(along(s, dt, k3), torque, fast);
    for (int k = 0; k < 4; k++)
        s.v[k] += dt / 6.0 * (k1.v[k] + 2 * k2.v[k] + 2 * k3.v[k] + k4.v[k]);
    return s;
}

static double wrap(double angle) {
    while (angle > M_PI) angle -= M_PI - -M_PI;
    while (angle < -M_PI) angle += M_PI - -M_PI;
    return angle;
}

/* Returns whether the free end is above the bar. */
static INLINE int swing(vly_acrobot *s, int action, int fast) {
    const vec now = {{s->angle[0], s->angle[1], s->speed[0], s->speed[1]}};
    const vec next = rk4(now, action - 1.0, fast);
    for (int k = 0; k < 2; k++) {
        const double fastest = k ? 9 * M_PI : 4 * M_PI;
        s->angle[k] = wrap(next.v[k]);
        s->speed[k] = fmin(fmax(next.v[2 + k], -fastest), fastest);
    }
    return -cos(s->angle[0]) - cos(s->angle[1] + s->angle[0]) > 1.0;
}

static void write_link_obs(const vly_acrobot *s, uint8_t *obs) {
    const float row[6] = {(float)cos(s->angle[0]), (float)sin(s->angle[0]), (float)cos(s->angle[1]),
                          (float)sin(s->angle[1]), (float)s->speed[0],      (float)s->speed[1]};
    memcpy(obs, row, sizeof row);
}

static INLINE void step_links(const vly_env *env, void *states, int n, const int32_t *action,
                              vly_rows out, int fast) {
    const world *w = env->world;
    vly_acrobot *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_swing(s, at);
            continue;
        }
        const int up = swing(s, action[i], fast), late = ++s->step == w->max_steps;
        s->ended = up | late;
        write_link_obs(s, at.obs);
        vly_row_write(at, up ? 0.0f : -1.0f, vly_row_flags(up, late));
    }
}

static void step_links_plain(const vly_env *env, void *states, int n, vly_actions action,
                             vly_rows out) {
    step_links(env, states, n, vly_action_ints(action), out, 0);
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) static void step_fma(const vly_env *env, void *states, int n,
                                                         vly_actions action, vly_rows out) {
    step_links(env, states, n, vly_action_ints(action), out, 1);
}
#define HAS_FMA (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#else
#define step_fma step_links_plain
#define HAS_FMA 0
#endif

static void acrobot_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                           int *height) {
    (void)env;
    const vly_acrobot *s = state;
    *width = *height = 500;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    const double scale = 500 / 4.4, middle = 250, both = s->angle[0] + s->angle[1];
    const double x = middle + sin(s->angle[0]) * scale, y = middle + cos(s->angle[0]) * scale;
    const double x2 = x + sin(both) * scale, y2 = y + cos(both) * scale;
    vly_draw_clear(&c, VLY_RGB(255, 255, 255));
    vly_draw_box(&c, 0, middle - scale, 500, middle - scale + 1, VLY_RGB(0, 0, 0));
    vly_draw_bar(&c, middle, middle, x, y, 0.2 * scale, VLY_RGB(0, 204, 204));
    vly_draw_bar(&c, x, y, x2, y2, 0.2 * scale, VLY_RGB(0, 170, 204));
    vly_draw_disc(&c, middle, middle, 0.1 * scale, VLY_RGB(204, 204, 0));
    vly_draw_disc(&c, x, y, 0.1 * scale, VLY_RGB(204, 204, 0));
}

static void acrobot_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const vly_acrobot *s = state;
    snprintf(text, bytes, "step %d  height %+.2f  speeds %+.1f %+.1f", s->step,
             -cos(s->angle[0]) - cos(s->angle[0] + s->angle[1]), s->speed[0], s->speed[1]);
}

static vly_status acrobot_valid(const vly_env *env, const void *state) {
    const vly_acrobot *s = state;
    for (int i = 0; i < 2; i++) {
        VLY_TRY(vly_env_valid_range("angle", s->angle[i], -4, 4));
        VLY_TRY(vly_env_valid_range("speed", s->speed[i], -30, 30));
    }
    return vly_env_valid_episode(s->step, s->ended, ((const world *)env->world)->max_steps);
}

/* Cosines and sines of both angles, then the speeds, whose limits are 4 pi and 9 pi. */
static const vly_bounds bounds[] = {{-1, 1}, {-1, 1},       {-1, 1},
                                    {-1, 1}, {-12.6, 12.6}, {-28.3, 28.3}};

vly_status vly_acrobot_open(vly_env *env, const vly_env_args *args) {
    double simd = 2;
    const vly_env_key keys[] = {VLY_KEY_WHOLE("simd", &simd, 0, 2)};
    VLY_TRY(vly_env_options("acrobot", args, keys, 1));
    vly_env_begin(env, "acrobot", 3, sizeof(vly_acrobot));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    ((world *)env->world)->max_steps = vly_env_limit(args, 500);
    vly_env_vector(env, 6);
    env->bounds = bounds;
    env->return_target = -100.0f;
    env->reset = acrobot_reset;
    env->restart = acrobot_restart;
    env->valid = acrobot_valid;
    env->step = simd > 0 && HAS_FMA ? step_fma : step_links_plain;
    env->render = acrobot_render;
    env->describe = acrobot_describe;
    return VLY_OK;
}
