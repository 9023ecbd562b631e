/* pendulum.h -- Pendulum-v1: swing a pendulum up with a weak motor and keep it there.
 *
 * Reference: Gymnasium 1.4.0, Pendulum-v1, bit for bit: double state, NumPy's start states, float32
 * torque. Observation: float32 (cos angle, sin angle, speed [rad/s]); the angle is 0 upright. Action:
 * a torque in [-2, 2]. Reward: -(angle^2 + 0.1 speed^2 + 0.001 torque^2). TRUNCATED after 200 steps
 * (args->max_steps); it does not terminate.
 */
#ifndef VLY_ENVS_PENDULUM_H
#define VLY_ENVS_PENDULUM_H
#include "common/base/env.h"
#include "envs/numpy_rng.h"

typedef struct {
    double angle, speed;
    int32_t step, ended;
    uint64_t spare[5];
    vly_pcg64 rng;
    uint64_t spare2[4];
} vly_pendulum;

vly_status vly_pendulum_open(vly_env *env, const vly_env_args *args);
#endif
