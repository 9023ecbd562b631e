/* episode.h -- writes one actor's row, the same way for every environment of this folder. */
#ifndef VLY_ENVS_EPISODE_H
#define VLY_ENVS_EPISODE_H
#include <string.h>
#include "common/base/env.h"

static inline void vly_row_write(vly_rows at, float reward, int flags) {
    *at.reward = *at.score = reward;
    *at.flags = (uint8_t)flags;
}

/* The flags of a step: an episode that the time limit ends may have terminated as well. */
static inline int vly_row_flags(int terminated, int truncated) {
    return (terminated ? VLY_ROW_TERMINATED : 0) | (truncated ? VLY_ROW_TRUNCATED : 0) |
           (terminated | truncated ? VLY_ROW_GAME_OVER : 0);
}

/* A discrete state for a network: one 1 among `states` float32. */
static inline void vly_one_hot(uint8_t *obs, int states, int index) {
    const float one = 1.0f;
    memset(obs, 0, (size_t)states * sizeof one);
    memcpy(obs + (size_t)index * sizeof one, &one, sizeof one);
}
#endif
