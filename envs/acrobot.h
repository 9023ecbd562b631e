/* acrobot.h -- Acrobot-v1: two links hang from a pivot, only the joint between them is driven;
 * swing the free end above the bar.
 *
 * Reference: Gymnasium 1.4.0, Acrobot-v1 (Sutton 1996, the book's dynamics; one RK4 step of
 * 0.2 s), bit for bit: double state, NumPy's start states, rounded to float32 as there.
 * Observation: float32 (cos a, sin a, cos b, sin b, a's velocity, b's velocity). Actions: torque
 * -1, 0, +1. Reward -1 a step, 0 for the last. TRUNCATED after 500 steps (args->max_steps).
 * Option simd=0: plain C, the same bits more slowly.
 */
#ifndef VLY_ENVS_ACROBOT_H
#define VLY_ENVS_ACROBOT_H
#include "common/base/env.h"
#include "envs/numpy_rng.h"

typedef struct {
    double angle[2], speed[2]; /* the second angle is relative to the first link */
    int32_t step, ended;
    uint64_t spare[3];
    vly_pcg64 rng;
    uint64_t spare2[4];
} vly_acrobot;

vly_status vly_acrobot_open(vly_env *env, const vly_env_args *args);
#endif
