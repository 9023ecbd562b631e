/* cartpole.h -- CartPole-v1: keep a pole upright on a cart that is pushed left or right.
 *
 *   vly_env env;
 *   VLY_TRY(vly_cartpole_open(&env, NULL));    // or vly_env_open(&env, "cartpole", NULL)
 *
 * Reference: Gymnasium 1.4.0, CartPole-v1 (Barto, Sutton & Anderson 1983; Euler, 0.02 s). The
 * state is double, as there, and every bit of it is the same: start states come from NumPy's
 * generator, sine and cosine are those of the C library (small_trig.h), so a whole
 * episode of 500 steps matches although the upright pole multiplies a difference by 10^17 in it.
 *
 * Observation: float32 (x [m], x_dot [m/s], theta [rad], theta_dot [rad/s]). Actions: 0 left,
 * 1 right. Reward 1 a step. TERMINATED beyond 2.4 m or 12 degrees, TRUNCATED after 500 steps
 * (args->max_steps; CartPole-v0: 200). Option simd=0, 1, 2 caps the instructions at plain C, AVX2,
 * AVX-512; it changes the speed and not one bit.
 */
#ifndef VLY_ENVS_CARTPOLE_H
#define VLY_ENVS_CARTPOLE_H
#include "common/base/env.h"
#include "envs/numpy_rng.h"

/* One actor: the first cache line is all that a step touches, the second is for the next start. */
typedef struct {
    double x, x_dot, theta, theta_dot;
    int32_t step;  /* of this episode */
    int32_t ended; /* the next step starts an episode */
    uint64_t spare[3];
    vly_pcg64 rng;
    uint64_t spare2[4];
} vly_cartpole;

vly_status vly_cartpole_open(vly_env *env, const vly_env_args *args);
#endif
