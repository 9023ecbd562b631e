/* minatar.h -- the five MinAtar games: 10 x 10 cells, a channel for each kind of thing.
 *
 *   vly_env_open(&env, "minatar/breakout", NULL);       // 6 actions, sticky, ramping
 *   vly_env_open(&env, "MinAtar/Breakout-v1", NULL);    // the game's minimal actions
 *   vly_env_args args = {.extra = "sticky=0,ramping=0,minimal=1"};
 *
 * Reference: MinAtar 1.0.15 (Young & Tian 2019), bit for bit, reset(seed) as its Gymnasium wrapper
 * seeds it: RandomState(seed), which goes on from episode to episode, and so does the last action
 * that a sticky step repeats. Actions: 0 nothing, 1 left, 2 up, 3 right, 4 down, 5 fire; "minimal"
 * keeps those that matter in the game, in this order. Observation: bytes 0 or 1 of (10, 10, C).
 * There is no time limit unless args->max_steps sets one.
 *
 * A game is its rules on a plain struct (breakout.c ...); what all of them share is in minatar.c.
 */
#ifndef VLY_ENVS_MINATAR_MINATAR_H
#define VLY_ENVS_MINATAR_MINATAR_H
#include <string.h>
#include "common/base/env.h"
#include "envs/env_options.h"
#include "envs/numpy_rng.h"

enum { MINATAR_SIDE = 10, MINATAR_CHANNELS_MAX = 10 };
enum { MINATAR_NOTHING, MINATAR_LEFT, MINATAR_UP, MINATAR_RIGHT, MINATAR_DOWN, MINATAR_FIRE };

/* What a step of a game reports. */
typedef struct {
    int reward, terminal;
} vly_minatar_step;

typedef struct {
    const char *name; /* "minatar/breakout" */
    int channels;
    size_t game_bytes;
    const char *minimal; /* digits: the actions that matter */
    void (*start)(void *game, vly_mt19937 *rng);
    vly_minatar_step (*act)(void *game, vly_mt19937 *rng, int action, int ramping);
    /* obs (10, 10, channels) is zero on entry. */
    void (*observe)(const void *game, uint8_t *obs);
    /* As vly_env.valid, of the game's struct; ended: its episode is over. */
    vly_status (*valid)(const void *game, int ended);
} vly_minatar_game;

vly_status vly_minatar_open(vly_env *env, const vly_minatar_game *game, const vly_env_args *args);

vly_status vly_minatar_breakout_open(vly_env *env, const vly_env_args *args);
vly_status vly_minatar_asterix_open(vly_env *env, const vly_env_args *args);
vly_status vly_minatar_freeway_open(vly_env *env, const vly_env_args *args);
vly_status vly_minatar_seaquest_open(vly_env *env, const vly_env_args *args);
vly_status vly_minatar_space_invaders_open(vly_env *env, const vly_env_args *args);

/* One member of a game's struct for its valid(): between low and high. */
#define MINATAR_RANGE(game, member, low, high) \
    VLY_TRY(vly_env_valid_range(#member, (game)->member, low, high))

static inline void minatar_set(uint8_t *obs, int channels, int y, int x, int channel) {
    obs[(y * MINATAR_SIDE + x) * channels + channel] = 1;
}

static inline int minatar_max(int a, int b) {
    return a > b ? a : b;
}
static inline int minatar_min(int a, int b) {
    return a < b ? a : b;
}
#endif
