/* mountaincar.h -- MountainCar-v0: an engine too weak for the hill has to swing up to the flag.
 *
 * Reference: Gymnasium 1.4.0, MountainCar-v0 (Moore 1990), bit for bit: double state, NumPy's
 * start states. Observation: float32 (position, velocity). Actions: 0 back, 1 nothing, 2 forward.
 * Reward -1 a step. TERMINATED at position 0.5, TRUNCATED after 200 steps (args->max_steps).
 */
#ifndef VLY_ENVS_MOUNTAINCAR_H
#define VLY_ENVS_MOUNTAINCAR_H
#include "common/base/env.h"
#include "envs/numpy_rng.h"

typedef struct {
    double position, velocity;
    int32_t step, ended;
    vly_pcg64 rng;
    uint64_t spare;
} vly_mountaincar;

vly_status vly_mountaincar_open(vly_env *env, const vly_env_args *args);
#endif
