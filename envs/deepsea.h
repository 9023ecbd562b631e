/* deepsea.h -- DeepSea: a dive through a square of cells in which one way of 2^size finds the treasure.
 *
 * Reference: Osband et al., "Behaviour Suite for Reinforcement Learning", 2020 (bsuite 0.3.5, DeepSea,
 * deterministic). Each step goes down one row; one action goes right, at a cost of 0.01 / size, the
 * other left; going right from the last cell earns 1. Which action is which differs from cell to cell:
 * option mapping=N draws it (0, the reference's randomize_actions=False: action 1 is right
 * everywhere). TERMINATED after `size` steps (option size, 10), with an observation of zeros. The
 * optimum is 0.99, and 0 is what an agent finds that does not explore.
 */
#ifndef VLY_ENVS_DEEPSEA_H
#define VLY_ENVS_DEEPSEA_H
#include "common/base/env.h"

typedef struct {
    int32_t row, column, ended;
    uint32_t spare[13];
} vly_deepsea;

vly_status vly_deepsea_open(vly_env *env, const vly_env_args *args);
#endif
