/* windy.h -- WindyGridWorld: a field of 7 x 10 cells with a crosswind towards the top.
 *
 * Reference: Sutton & Barto, "Reinforcement Learning", 2nd edition, example 6.5; moves=8 and moves=9
 * are exercise 6.9, wind=gusts is exercise 6.10. From (row 3, column 0) to (3, 7); a move from column
 * c goes on by its wind, 0 0 0 1 1 1 2 2 1 0, upwards. Reward -1 a step; the optimum is 15 moves, with
 * moves=8 it is 7. TERMINATED at the goal; no time limit unless args->max_steps sets one.
 *
 * Actions: 0 up, 1 right, 2 down, 3 left; moves=8 adds the diagonals, moves=9 staying.
 * Option wind: steady; gusts (where there is wind, one cell more or less with a chance of 1/3 each, a
 * stream that no action influences: stream.h); or a file of one number a line, -1, 0 or 1, that says
 * the gust of each step. Option shown=1: the gust of the next move is part of the state.
 * Option drift=N: after every N moves of its own the wind turns, from the next episode on: down, up, down
 * ... The optimum stays, and another way leads to it. Nothing that the agent sees says so; `info` has the
 * phase.
 */
#ifndef VLY_ENVS_WINDY_H
#define VLY_ENVS_WINDY_H
#include "common/base/env.h"
#include "envs/stream.h"

typedef struct {
    int32_t cell, step, ended;
    int32_t phase; /* how often the wind has turned */
    vly_stream gust;
    int64_t moves; /* of all episodes */
    uint64_t spare[2];
} vly_windy;

vly_status vly_windy_open(vly_env *env, const vly_env_args *args);
#endif
