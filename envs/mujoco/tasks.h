/* tasks.h -- the eleven tasks: model, start, observation, reward and end of each; for the files of this
 * folder only.
 *
 * Reference: gymnasium/envs/mujoco/NAME_v5.py of Gymnasium 1.4.0 with NumPy 2: the same operations in the
 * same order and precision. Costs of actions are float32 there, because actions are; the rest is double.
 */
#ifndef VLY_ENVS_MUJOCO_TASKS_H
#define VLY_ENVS_MUJOCO_TASKS_H
#include <stdbool.h>
#include "common/base/env.h"
#include "envs/numpy_rng.h"

enum { VLY_MJ_IDS = 3, VLY_MJ_OBS_MOST = 512, VLY_MJ_ACTIONS_MOST = 32 };

/* What Gymnasium's constructors take by these names; those that a task lacks, and refuses as options,
 * are 0. */
typedef struct {
    double forward_reward, ctrl_cost, contact_cost, healthy_reward, reset_noise;
    const char *ours, *gymnasiums; /* "ctrl_cost_weight", where Gymnasium's task has another name */
} vly_mj_weights;

struct vly_mj_world;
struct vly_mj_body;

typedef struct vly_mj_task vly_mj_task;
struct vly_mj_task {
    const char *name, *model; /* "mujoco/ant", "ant.xml" */
    int frame_skip, max_steps;
    int nq, nv, nu, nbody, obs;
    const vly_bounds *bounds;  /* (nu,), of actions */
    const char *const *joints; /* (nu,), that they turn: the model's names */
    float return_target;
    vly_mj_weights weights;
    bool contact_forces; /* cfrc_ext is read */
    const char *bodies[VLY_MJ_IDS];
    /* Sets qpos and qvel of a body that was just reset to the model's own. */
    void (*start)(const struct vly_mj_world *, const struct vly_mj_body *, vly_pcg64 *);
    void (*observe)(const struct vly_mj_world *, const struct vly_mj_body *, double *obs);
    /* Where the body is along the axis that it is rewarded for moving along; NULL: no such reward. */
    double (*place)(const struct vly_mj_world *, const struct vly_mj_body *);
    /* x_velocity: of place. */
    double (*reward)(const struct vly_mj_world *, const struct vly_mj_body *, const float *action,
                     double x_velocity, bool *terminated);
    const char *site; /* whose place the reward reads; NULL: none */
};

const vly_mj_task *vly_mj_task_named(const char *name);
const vly_mj_task *vly_mj_task_at(int i); /* NULL past the end */

#endif
