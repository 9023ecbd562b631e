/* cliffwalking.h -- CliffWalking-v1: 4 x 12 cells, a cliff along the lower edge.
 *
 * Reference: Gymnasium 1.4.0, CliffWalking-v1 (Sutton & Barto, example 6.6). 48 discrete states,
 * row * 12 + column; the observation is one-hot float32 of them, state_index() the number itself.
 * Start 36, goal 47. Actions: 0 up, 1 right, 2 down, 3 left. Reward -1 a step; the cliff costs 100
 * and leads back to the start. Optimal return -13. As in the reference there is no time limit:
 * give args->max_steps where a policy might never arrive.
 * Option slippery=1 (CliffWalkingSlippery-v1): a third each goes ahead and to either side.
 */
#ifndef VLY_ENVS_CLIFFWALKING_H
#define VLY_ENVS_CLIFFWALKING_H
#include "common/base/env.h"
#include "envs/numpy_rng.h"

typedef struct {
    int32_t cell, step, ended, spare;
    vly_pcg64 rng;
    uint64_t spare2[2];
} vly_cliffwalking;

vly_status vly_cliffwalking_open(vly_env *env, const vly_env_args *args);
#endif
