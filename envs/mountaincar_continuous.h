/* mountaincar_continuous.h -- MountainCarContinuous-v0: a car drives up a hill with a motor too weak
 * for it, with as little effort as it can.
 *
 * Reference: Gymnasium 1.4.0, MountainCarContinuous-v0, bit for bit: the start state is double, and
 * float32 from the first step on, as there. Observation: float32 (position, velocity). Action: a force
 * in [-1, 1]. Reward: -0.1 force^2, and 100 at the flag, where it is TERMINATED; TRUNCATED after 999
 * steps (args->max_steps).
 */
#ifndef VLY_ENVS_MOUNTAINCAR_CONTINUOUS_H
#define VLY_ENVS_MOUNTAINCAR_CONTINUOUS_H
#include "common/base/env.h"
#include "envs/numpy_rng.h"

typedef struct {
    double position; /* of a float but for an episode's first */
    float velocity;
    int32_t step, ended;
    uint32_t spare[11];
    vly_pcg64 rng;
    uint64_t spare2[4];
} vly_mountaincar_continuous;

vly_status vly_mountaincar_continuous_open(vly_env *env, const vly_env_args *args);
#endif
