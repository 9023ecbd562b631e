/* gridworld.h -- a maze of cells: reach the goal around the walls.
 *
 *   vly_env_args args = {.extra = "size=7,slip=0.2"};
 *   vly_env_args own = {.extra = "map=S.#./..#./...G"};
 *   VLY_TRY(vly_env_open(&env, "gridworld", &args));
 *
 * The rules are Volley's own. Cells are numbered row * columns + column; the observation is one-hot
 * float32 of them, state_index() the number itself. Actions: 0 up, 1 right, 2 down, 3 left; a move
 * into a wall or over the edge stays in place. A step costs `cost`; the step into the goal instead
 * gives +1 and is TERMINATED, the step into a pit gives -1 and is TERMINATED. TRUNCATED after
 * 4 * cells steps (args->max_steps).
 *
 * Options: size (2 .. 32, default 5; the built-in maze: start top left, goal top right, a wall in
 * the middle column down to one cell above the lower edge), map (rows of S start, G goal, # wall,
 * P pit, . floor, with / between them; overrides size), slip (0 .. 1: the chance that a move goes
 * to the left or right of where it should, half each; default 0), cost (0 .. 1, default 0.01).
 *
 * Known optimum without slip: with d steps from a cell to the goal, the discounted value is
 *   V(d) = gamma^(d-1) - cost * (1 - gamma^(d-1)) / (1 - gamma);
 * undiscounted 1 - cost * (d - 1). The built-in maze has d = 3 (size - 1) from the start (size 2:
 * 1): size 5 returns 0.89 at best. return_target is that number when there is no slip.
 */
#ifndef VLY_ENVS_GRIDWORLD_H
#define VLY_ENVS_GRIDWORLD_H
#include "common/base/env.h"
#include "envs/numpy_rng.h"

typedef struct {
    int32_t cell, step, ended, spare;
    vly_pcg64 rng;
    uint64_t spare2[2];
} vly_gridworld;

vly_status vly_gridworld_open(vly_env *env, const vly_env_args *args);
/* Steps from `cell` to the nearest goal without slipping and without entering a pit; -1: none. */
int vly_gridworld_distance(const vly_env *env, int cell);
#endif
