/* mujoco.h -- Gymnasium's MuJoCo tasks, v5: bodies that learn to move, with actions of real numbers.
 *
 *   vly_env env;
 *   VLY_TRY(vly_env_open(&env, "mujoco/half_cheetah", NULL));     // "HalfCheetah-v5" is the same
 *   vly_env_args args = {.extra = "version=3.6.0,reset_noise_scale=0"};
 *
 * Reference: Gymnasium 1.4.0 with the same MuJoCo library: observations (rounded to float32), rewards,
 * ends and starts are equal bit for bit. The physics is MuJoCo's C library, which `make mujoco` fetches
 * with Gymnasium's models; envs/mujoco/README.md says which versions, and where they are looked for.
 *
 * Actions: float32, nu numbers in [-limit, limit]; what lies outside acts as the nearer end, but costs as
 * much as it is. Options, by Gymnasium's names, those that the task reads: forward_reward_weight,
 * ctrl_cost_weight (reward_control_weight of reacher and pusher), contact_cost_weight
 * (impact_cost_weight of humanoid_standup), healthy_reward, reset_noise_scale; version=X.Y.Z chooses a
 * library where several are there. An actor is plain memory, under 1 kB; a library of another version refuses it.
 */
#ifndef VLY_ENVS_MUJOCO_MUJOCO_H
#define VLY_ENVS_MUJOCO_MUJOCO_H
#include <stddef.h>
#include "common/base/env.h"

/* X(name, Gymnasium's id, summary) */
#define VLY_MUJOCO_TASKS(X)                                                         \
    X(ant, "Ant-v5", "four legs walk")                                              \
    X(half_cheetah, "HalfCheetah-v5", "two legs run in a plane")                    \
    X(hopper, "Hopper-v5", "one leg hops")                                          \
    X(walker2d, "Walker2d-v5", "two legs walk in a plane")                          \
    X(humanoid, "Humanoid-v5", "a figure of 17 joints walks")                       \
    X(swimmer, "Swimmer-v5", "three links swim")                                    \
    X(reacher, "Reacher-v5", "an arm of two links reaches a target")                \
    X(inverted_pendulum, "InvertedPendulum-v5", "a pole upright on a cart")         \
    X(inverted_double_pendulum, "InvertedDoublePendulum-v5", "two poles on a cart") \
    X(pusher, "Pusher-v5", "an arm pushes a cylinder to its goal")                  \
    X(humanoid_standup, "HumanoidStandup-v5", "a figure of 17 joints stands up")

#define X(name, id, summary) vly_status vly_mujoco_##name##_open(vly_env *, const vly_env_args *);
VLY_MUJOCO_TASKS(X)
#undef X

/* Fills those members of *env that do not depend on the library. name: "mujoco/ant" ... */
void vly_mujoco_describe(vly_env *env, const char *name);
/* Whether a library of a supported version is here: its version and folder, for `volley doctor`. */
vly_status vly_mujoco_find(char *text, size_t bytes);

#endif
